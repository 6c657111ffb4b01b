//! Answers in JSON: bytes in base64, times in seconds with three places.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::value::Value;

pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Integer(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Value::String(text) => write_text(text, out),
        Value::Blob(bytes) => write_base64(bytes, out),
        Value::Timestamp(ms) => write_seconds(*ms, out),
        Value::List(values) => {
            let items = values.iter().map(|value| move |out: &mut Vec<u8>| write(value, out));
            separated(b"[]", items, out);
        }
        Value::Map(entries) => {
            let items = entries.iter().map(|(name, value)| move |out: &mut Vec<u8>| write_entry(name, value, out));
            separated(b"{}", items, out);
        }
        Value::Structure(structure) => {
            let items = structure.members().map(|(name, value)| move |out: &mut Vec<u8>| write_entry(name, value, out));
            separated(b"{}", items, out);
        }
    }
}

/// Writes what each item writes, with commas between, in a pair of brackets.
fn separated<F: FnOnce(&mut Vec<u8>)>(brackets: &[u8; 2], items: impl Iterator<Item = F>, out: &mut Vec<u8>) {
    out.push(brackets[0]);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out);
    }
    out.push(brackets[1]);
}

fn write_entry(name: &str, value: &Value, out: &mut Vec<u8>) {
    write_text(name, out);
    out.push(b':');
    write(value, out);
}

/// Writes a string with its quotes and escapes.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}

/// Writes bytes as a string of base64.
pub(crate) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room is as long as the encoding");
    debug_assert_eq!(written, out.len() - start);
    out.push(b'"');
}

/// Writes a moment in seconds.
pub(crate) fn write_seconds(ms: i64, out: &mut Vec<u8>) {
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(ms / 1_000).as_bytes());
    let thousandths = u8_digits(ms % 1_000);
    out.push(b'.');
    out.extend_from_slice(&thousandths);
}

fn u8_digits(below_1000: u64) -> [u8; 3] {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).expect("one digit");
    [digit(below_1000 / 100), digit(below_1000 / 10), digit(below_1000)]
}
