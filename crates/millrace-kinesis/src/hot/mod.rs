//! The calls that carry records, read and written without a document between.
//!
//! Each has a twin in the generic way, which answers for whatever is unusual, and tests hold the two against each other:
//! a request that is read here is one that the generic way reads as the same and finds valid, and an answer that is
//! written here is byte for byte the generic one.

mod get;
mod put;

pub use get::{RecordOut, RecordsAnswer};
pub use put::{PutAnswer, PutEntry, PutRecords};
