//! From documents to bytes. Answers are made of typed values, so no schema is needed to write them; that they are what
//! the schema says is held by [`crate::validate::conforms`] in tests.

mod cbor;
mod json;

use crate::Format;
use crate::value::Value;

/// The bytes of a document.
///
/// ```
/// use millrace_kinesis::{Format, Structure, Value, encode};
/// let answer = Value::Structure(Structure::new().with("At", Value::Timestamp(1_500)).with("Data", Value::Blob(vec![1])));
/// assert_eq!(encode(Format::Json, &answer), br#"{"At":1.500,"Data":"AQ=="}"#);
/// assert_eq!(encode(Format::Cbor, &answer), b"\xbf\x62At\xc1\x19\x05\xdc\x64Data\x41\x01\xff");
/// ```
#[must_use]
pub fn encode(format: Format, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(format, value, &mut bytes);
    bytes
}

/// Writes the bytes of a document behind what is there.
pub fn encode_into(format: Format, value: &Value, bytes: &mut Vec<u8>) {
    match format {
        Format::Json => json::write(value, bytes),
        Format::Cbor => cbor::write(value, bytes),
    }
}

pub(crate) use cbor::{push, push_bytes, push_text};
pub(crate) use json::{write_base64, write_seconds, write_text};
