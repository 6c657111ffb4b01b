//! Kinesis over HTTP on the engine of Millrace, and what its clients call beside it: a [`Server`] that existing SDKs, the
//! KCL, the KPL and the AWS command line cannot tell from the services.
//!
//! HTTP/1.1 and HTTP/2 come on one port, encrypted or not. What stands between the network and the engine is
//! `door.rs`, in the order of its checks; the services are in `behind`, and the operations of Kinesis in `operations`, a file
//! a noun. How requests and answers are
//! spelt is `millrace-kinesis`' matter.
//!
//! Architecture Invariant: no thread that serves waits for a disk: what may block is done on other threads, and whoever
//! waits for an acknowledgement or for records is woken.

mod answer;
mod behind;
mod body;
mod buckets;
mod connections;
mod counters;
mod custom_metrics;
mod delivery;
mod door;
mod error;
mod keys;
mod log;
mod operations;
mod options;
mod phases;
mod prometheus;
mod quotas;
mod rates;
mod server;
mod service;
mod streams;
mod tables;
mod tls;

pub use buckets::BucketEndpoint;
pub use delivery::deliver_channels;
pub use error::StartError;
pub use millrace::limits::{LimitPolicy, ShardLimits};
pub use millrace_kinesis::Credential;
pub use options::{Bounds, Buckets, Credentials, LogLevel, PhaseDurations, QuotaOptions, ServerOptions, Tls};
pub use server::Server;
