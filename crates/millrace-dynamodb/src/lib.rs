//! The part of DynamoDB that lease tables need: what requests and answers are, and what tables do with them.
//!
//! [`Tables`] is a pure state machine. A request is decided on the state as it is ([`Tables::decide`]): it is answered,
//! and where it writes, it leads to [`Step`]s, which change the state once they are applied ([`Tables::apply`]) and are
//! kept by whoever holds the tables before that.
//!
//! Architecture Invariant: this crate does no input or output and knows no engine; it takes the time as an argument. What
//! comes from outside, from a client or from disk, is never trusted: every function of bytes returns a value or an error,
//! and panics at nothing.

mod error;
mod expression;
mod json;
mod key;
mod legacy;
mod number;
mod operations;
mod step;
mod table;
mod tables;
mod value;

pub use error::{CancellationReason, ErrorName, ServiceError};
pub use key::{Key, KeyAttribute, KeySchema, KeyType, KeyValue};
pub use number::{Number, NumberError};
pub use operations::{Context, Decision, OPERATIONS, Request};
pub use step::{STEPS_VERSION, Step, StepsError};
pub use table::{Capacity, Definition, IndexDefinition, IndexProjection, Table, Throughput};
pub use tables::{Misstep, Tables};
pub use value::{AttributeValue, Item};
