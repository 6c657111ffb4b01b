//! Answers in CBOR: byte strings as they are, times in milliseconds behind tag 1, maps of unknown length as the
//! service's own writer makes them.

use ciborium_ll::{Encoder, Header, simple};

use crate::value::Value;

/// The tag of a moment.
const EPOCH: u64 = 1;

pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(value) => push(Header::Simple(if *value { simple::TRUE } else { simple::FALSE }), out),
        Value::Integer(value) => push(integer(*value), out),
        Value::String(text) => push_text(text, out),
        Value::Blob(bytes) => push_bytes(bytes, out),
        Value::Timestamp(ms) => {
            push(Header::Tag(EPOCH), out);
            push(integer(*ms), out);
        }
        Value::List(values) => {
            push(Header::Array(None), out);
            values.iter().for_each(|value| write(value, out));
            push(Header::Break, out);
        }
        Value::Map(entries) => {
            push(Header::Map(None), out);
            entries.iter().for_each(|(name, value)| write_entry(name, value, out));
            push(Header::Break, out);
        }
        Value::Structure(structure) => {
            push(Header::Map(None), out);
            structure.members().for_each(|(name, value)| write_entry(name, value, out));
            push(Header::Break, out);
        }
    }
}

fn write_entry(name: &str, value: &Value, out: &mut Vec<u8>) {
    push_text(name, out);
    write(value, out);
}

fn integer(value: i64) -> Header {
    match u64::try_from(value) {
        Ok(positive) => Header::Positive(positive),
        Err(_) => Header::Negative(value.unsigned_abs() - 1),
    }
}

/// Writes the head of a value.
pub(crate) fn push(header: Header, out: &mut Vec<u8>) {
    Encoder::from(out).push(header).expect("a head can be written to memory");
}

/// Writes a string.
pub(crate) fn push_text(text: &str, out: &mut Vec<u8>) {
    push(Header::Text(Some(text.len())), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a byte string.
pub(crate) fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    push(Header::Bytes(Some(bytes.len())), out);
    out.extend_from_slice(bytes);
}
