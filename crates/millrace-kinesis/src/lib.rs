//! Kinesis on the wire: what requests and answers are, how they are encoded, checked, signed and refused.
//!
//! The service model is data ([`Schema`]); a request is a document ([`Structure`]) that was decoded and validated by it.
//!
//! Architecture Invariant: this crate does no input or output and knows no engine. What comes from outside is never
//! trusted: every function of bytes returns a document or an error of the service, and panics at nothing.

mod decode;
mod encode;
mod error;
mod event_stream;
mod hot;
mod name;
mod recorded;
mod schema;
mod sigv4;
mod time;
mod token;
mod validate;
mod value;

pub use decode::{Format, VALUES_MAX, decode};
pub use encode::{encode, encode_into};
pub use error::{ErrorName, ServiceError};
pub use event_stream::{EVENT_STREAM_CONTENT_TYPE, event, exception, initial_response};
pub use hot::{Encryption, PutAnswer, PutEntry, PutRecords, RecordOut, RecordsAnswer};
pub use name::{ConsumerArn, StreamArn, shard_name, shard_number};
pub use schema::{Bounds, Member, Operation, Pattern, Schema, Shape, ShapeId};
pub use sigv4::{Credential, SKEW_MS, Signature, SignedRequest, SigningScope};
pub use time::parse_basic_iso;
pub use token::{IteratorPosition, PageToken, ShardIterator, TOKEN_LIFE_MS, TokenKey};
pub use validate::{conforms, validate};
pub use value::{Structure, Value};
