//! From bytes to documents: a request is read by its schema, and what has another type is refused in the service's own
//! words.
//!
//! Invariants: unknown members are passed over, as the service does, and so is a member that is null. No input makes
//! the reader recurse further than the schema does, and a document holds at most [`VALUES_MAX`] values, so its memory is
//! bounded by a multiple of the body's length. This layer knows types; bounds and patterns are [`crate::validate`]'s.

mod cbor;
mod convert;
mod json;

use std::cell::Cell;

use crate::error::{ErrorName, ServiceError};
use crate::schema::{Operation, Schema};
use crate::value::{Structure, Value};

/// The most values that a request can hold: the largest lists of the model with all that is in them are far below.
pub const VALUES_MAX: usize = 200_000;
/// How deep a value that is passed over may be nested.
const IGNORED_DEPTH_MAX: usize = 64;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-amz-json-1.1`: bytes in base64, times in seconds.
    Json,
    /// `application/x-amz-cbor-1.1`: byte strings, times in milliseconds behind tag 1.
    Cbor,
}

impl Format {
    /// The name by which people know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "JSON",
            Format::Cbor => "CBOR",
        }
    }

    /// The content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-amz-json-1.1",
            Format::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The format that a `Content-Type` header names, parameters aside.
    #[must_use]
    pub fn of_content_type(header: &str) -> Option<Format> {
        let name = header.split(';').next().unwrap_or_default().trim();
        [Format::Json, Format::Cbor].into_iter().find(|format| name.eq_ignore_ascii_case(format.content_type()))
    }
}

/// Reads the request of an operation.
///
/// # Errors
/// `SerializationException`: with a message where a value has the wrong type, without one where the body is not of its
/// format at all.
///
/// ```
/// use millrace_kinesis::{Format, Schema, decode};
/// let operation = Schema::get().operation("DeleteStream").expect("an operation of the model");
/// let request = decode(operation, Format::Json, br#"{"StreamName":"clicks","Unknown":[1]}"#)?;
/// assert_eq!(request.str("StreamName"), Some("clicks"));
/// let error = decode(operation, Format::Json, br#"{"StreamName":[]}"#).unwrap_err();
/// assert_eq!(error.message.as_deref(), Some("Start of list found where not expected"));
/// # Ok::<(), millrace_kinesis::ServiceError>(())
/// ```
pub fn decode(operation: &Operation, format: Format, body: &[u8]) -> Result<Structure, ServiceError> {
    let walk = Walk { schema: Schema::get(), left: Cell::new(VALUES_MAX) };
    let fault = match format {
        Format::Json => json::decode(&walk, operation.input, body),
        Format::Cbor => cbor::decode(&walk, operation.input, body),
    };
    match fault {
        Ok(Some(Value::Structure(request))) => Ok(request),
        Ok(_) | Err(Fault::Malformed) => Err(ServiceError::bare(ErrorName::Serialization)),
        Err(Fault::Type(message)) => Err(ServiceError::new(ErrorName::Serialization, message)),
    }
}

/// Why a body was not read.
#[derive(Debug)]
enum Fault {
    /// It is not of its format.
    Malformed,
    /// A value has the wrong type.
    Type(String),
}

/// What a reading shares: the schema, and how many more values it may make.
struct Walk {
    schema: &'static Schema,
    left: Cell<usize>,
}

impl Walk {
    /// Counts a value before it is made.
    fn take(&self) -> Result<(), Fault> {
        let left = self.left.get().checked_sub(1);
        let left = left.ok_or_else(|| Fault::Type(format!("Expected at most {VALUES_MAX} values in a request")))?;
        self.left.set(left);
        Ok(())
    }
}

pub(crate) use convert::shown;

#[cfg(test)]
mod tests;
