//! From a value as a body spells it to one of the schema's types, with the words in which the service refuses another.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose};

use super::{Fault, Format};
use crate::schema::Shape;
use crate::value::Value;

/// What a message shows of a value at most, in characters.
const SHOWN_CHARACTERS_MAX: usize = 1_024;
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, PAD.with_decode_padding_mode(DecodePaddingMode::RequireCanonical));

/// A value that holds no others, as a body spells it.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Milliseconds since 1970.
    Time(i64),
}

impl Scalar<'_> {
    fn class(&self) -> &'static str {
        match self {
            Scalar::Boolean(_) => "class java.lang.Boolean",
            Scalar::Integer(_) | Scalar::Float(_) => "class com.amazon.coral.value.json.numbers.TruncatingBigNumber",
            Scalar::Text(_) => "class java.lang.String",
            Scalar::Bytes(_) => "class java.nio.HeapByteBuffer",
            Scalar::Time(_) => "class java.util.Date",
        }
    }
}

/// The schema's value of a scalar.
pub(super) fn convert(shape: &Shape, scalar: &Scalar<'_>, format: Format) -> Result<Value, Fault> {
    match (shape, scalar) {
        (Shape::Structure(_), _) => refuse("Expected null".to_owned()),
        (Shape::List { .. }, _) => refuse("Expected list or null".to_owned()),
        (Shape::Map { .. }, _) => refuse("Expected map or null".to_owned()),
        (Shape::Boolean, Scalar::Boolean(value)) => Ok(Value::Boolean(*value)),
        (Shape::Boolean, Scalar::Text(text)) => boolean(text),
        (Shape::Integer(_), Scalar::Integer(value)) => {
            Ok(Value::Integer((*value).clamp(i64::from(i32::MIN), i64::from(i32::MAX))))
        }
        (Shape::Integer(_), Scalar::Float(value)) => {
            Ok(Value::Integer(whole(*value).clamp(i64::from(i32::MIN), i64::from(i32::MAX))))
        }
        (Shape::Long(_), Scalar::Integer(value)) => Ok(Value::Integer(*value)),
        (Shape::Long(_), Scalar::Float(value)) => Ok(Value::Integer(whole(*value))),
        (Shape::String { .. }, Scalar::Text(text)) => Ok(Value::String((*text).to_owned())),
        (Shape::Blob(_), Scalar::Bytes(bytes)) => Ok(Value::Blob(bytes.to_vec())),
        (Shape::Blob(_), Scalar::Text(text)) if format == Format::Json => blob(text),
        (Shape::Timestamp, Scalar::Time(ms)) => Ok(Value::Timestamp(*ms)),
        // A time is in seconds in JSON, and in milliseconds in CBOR, where it may come without its tag.
        (Shape::Timestamp, Scalar::Integer(value)) => Ok(Value::Timestamp(match format {
            Format::Json => value.saturating_mul(1_000),
            Format::Cbor => *value,
        })),
        (Shape::Timestamp, Scalar::Float(value)) => Ok(Value::Timestamp(match format {
            Format::Json => whole((value * 1_000.0).round()),
            Format::Cbor => whole(*value),
        })),
        (shape, scalar) => refuse(format!("{} can not be converted to {}", scalar.class(), target(shape))),
    }
}

/// A list where the schema has none.
pub(super) fn list_not_expected() -> Fault {
    Fault::Type("Start of list found where not expected".to_owned())
}

/// A map or structure where the schema has none.
pub(super) fn map_not_expected() -> Fault {
    Fault::Type("Start of structure or map found where not expected.".to_owned())
}

/// The part of a text that a message shows.
pub(crate) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARACTERS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn refuse<T>(message: String) -> Result<T, Fault> {
    Err(Fault::Type(message))
}

fn target(shape: &Shape) -> &'static str {
    match shape {
        Shape::Boolean => "an Boolean",
        Shape::Integer(_) => "an Integer",
        Shape::Long(_) => "an Long",
        Shape::String { .. } => "an String",
        Shape::Blob(_) => "a Blob",
        Shape::Timestamp => "milliseconds since epoch",
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } => "a scalar",
    }
}

fn boolean(text: &str) -> Result<Value, Fault> {
    let upper = shown(text).to_uppercase();
    match upper.as_str() {
        "TRUE" | "YES" | "1" => Ok(Value::Boolean(true)),
        "FALSE" | "NO" | "0" => Ok(Value::Boolean(false)),
        other => refuse(format!("'{other}' can not be converted to an Boolean")),
    }
}

/// The integer below, as far as there is one.
#[expect(clippy::cast_possible_truncation, reason = "a conversion of a float saturates, which is what is asked for")]
fn whole(value: f64) -> i64 {
    value.floor() as i64
}

fn blob(text: &str) -> Result<Value, Fault> {
    BASE64.decode(text).map(Value::Blob).or_else(|_| refuse(format!("'{}' {}", shown(text), not_base64(text))))
}

/// What is wrong with a text that is not base64.
fn not_base64(text: &str) -> String {
    const REFUSED: &str = "can not be converted to a Blob:";
    if !text.len().is_multiple_of(4) {
        let length = text.chars().count();
        return format!("{REFUSED} Base64 encoded length is expected a multiple of 4 bytes but found: {length}");
    }
    let data = text.trim_end_matches('=');
    let stray = data.chars().find(|c| !(c.is_ascii_alphanumeric() || "+/".contains(*c)));
    match stray {
        Some(stray) => format!("{REFUSED} Invalid Base64 character: '{stray}'"),
        None => format!("{REFUSED} Invalid last non-pad Base64 character dectected"),
    }
}
