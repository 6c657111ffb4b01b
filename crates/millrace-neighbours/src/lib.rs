//! What clients of Kinesis call beside it, on the wire: CloudWatch's PutMetricData in its three protocols, and STS'
//! GetCallerIdentity. The KCL and the KPL call both in their default configuration.
//!
//! A request is read ([`decode`]) into what was given, validated ([`Metric::all_of`]) into what is kept; answers and errors
//! are written by [`encode`].
//!
//! Architecture Invariant: this crate does no input or output. What comes from outside is never trusted: every function of
//! bytes returns a value or a [`Fault`], and memory is bounded by a multiple of the bytes.

pub mod decode;
pub mod encode;
mod fault;
mod input;
mod metric;

pub use fault::{Fault, FaultName};
pub use input::{Datum, Dimension, Double, Few, Moment, PutMetricData, StatisticSet};
pub use metric::{METRICS_MAX, Metric, Sample, VALUES_MAX};
