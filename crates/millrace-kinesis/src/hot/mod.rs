//! The calls that carry records, read and written without a document between.
//!
//! Each has a twin in the generic way, which answers for whatever is unusual, and tests hold the two against each other:
//! a request that is read here is one that the generic way reads as the same and finds valid, and an answer that is
//! written here is byte for byte the generic one.

mod get;
mod put;

/// How a stream's records are said to be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// With a key of the key service.
    Kms,
}

impl Encryption {
    /// As the model has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Encryption::None => "NONE",
            Encryption::Kms => "KMS",
        }
    }
}

pub use get::{RecordOut, RecordsAnswer};
pub use put::{PutAnswer, PutEntry, PutRecords};
