//! The framing of `application/vnd.amazon.eventstream`, as SubscribeToShard answers in it.
//!
//! ```text
//! | total length (4) | headers' length (4) | CRC-32 of these (4) | headers | payload | CRC-32 of all before (4) |
//! header: | length of name (1) | name | type 7 (1) | length of value (2) | value |
//! ```
//! Numbers are big endian. The headers say what the payload is.

use crc_fast::{CrcAlgorithm, checksum};

use crate::error::ServiceError;
use crate::{Format, encode};
use crate::{Structure, Value};

/// The content type of such a stream.
pub const EVENT_STREAM_CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// The type of a header that is a string.
const STRING: u8 = 7;
/// Lengths and checksum in front of the headers.
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// The message with which each stream begins; the clients wait for it.
#[must_use]
pub fn initial_response(format: Format) -> Vec<u8> {
    let headers =
        [(":message-type", "event"), (":event-type", "initial-response"), (":content-type", format.content_type())];
    message(&headers, &encode(format, &Value::Structure(Structure::new())))
}

/// The message of an event whose payload is encoded.
#[must_use]
pub fn event(name: &str, format: Format, payload: &[u8]) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", name), (":content-type", format.content_type())];
    message(&headers, payload)
}

/// The message of an error that ends the stream.
#[must_use]
pub fn exception(format: Format, error: &ServiceError) -> Vec<u8> {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", error.name.as_str()),
        (":content-type", format.content_type()),
    ];
    let payload = Structure::new().with("message", error.message.as_deref().unwrap_or_default());
    message(&headers, &encode(format, &Value::Structure(payload)))
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let headers_bytes: usize = headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total_bytes = PRELUDE_BYTES + headers_bytes + payload.len() + CRC_BYTES;
    let mut bytes = Vec::with_capacity(total_bytes);
    bytes.extend_from_slice(&length(total_bytes).to_be_bytes());
    bytes.extend_from_slice(&length(headers_bytes).to_be_bytes());
    push_crc(&mut bytes);
    for (name, value) in headers {
        bytes.push(u8::try_from(name.len()).expect("the names of headers are short"));
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(STRING);
        bytes.extend_from_slice(&u16::try_from(value.len()).expect("their values too").to_be_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(payload);
    push_crc(&mut bytes);
    bytes
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an event is a few MiB at most")
}

fn push_crc(bytes: &mut Vec<u8>) {
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes)).expect("a CRC of 32 bits");
    bytes.extend_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;
    use crate::ErrorName;

    fn read(bytes: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        let message = read_message_from(bytes).expect("a message that the SDK reads");
        let text = |value: &aws_smithy_types::event_stream::HeaderValue| {
            value.as_string().expect("a header that is a string").as_str().to_owned()
        };
        let headers = message.headers().iter().map(|header| (header.name().as_str().to_owned(), text(header.value())));
        (headers.collect(), message.payload().to_vec())
    }

    #[test]
    fn the_sdk_reads_what_is_written() {
        let (headers, payload) = read(&initial_response(Format::Json));
        assert_eq!(headers[1], (":event-type".to_owned(), "initial-response".to_owned()));
        assert_eq!(payload, b"{}");
        let (headers, payload) = read(&event("SubscribeToShardEvent", Format::Json, &[0xff; 1 << 20]));
        assert_eq!(headers[1].1, "SubscribeToShardEvent");
        assert_eq!(headers[2].1, "application/x-amz-json-1.1");
        assert_eq!(payload, [0xff; 1 << 20]);
        let error = ServiceError::new(ErrorName::ResourceInUse, "Another one took over.");
        let (headers, payload) = read(&exception(Format::Json, &error));
        assert_eq!(headers[0].1, "exception");
        assert_eq!(headers[1].1, "ResourceInUseException");
        assert_eq!(payload, br#"{"message":"Another one took over."}"#);
    }

    #[test]
    fn the_golden_message() {
        let golden: &[u8] = &[
            0x00, 0x00, 0x00, 0x1d, 0x00, 0x00, 0x00, 0x0c, 0xef, 0xb1, 0xf0, 0x8a, 0x01, b'a', 7, 0, 1, b'b', 0x01,
            b'c', 7, 0, 1, b'd',
        ];
        let message = message(&[("a", "b"), ("c", "d")], b"x");
        assert_eq!(message[..8], golden[..8]);
        assert_eq!(message[12..24], golden[12..24]);
        assert_eq!(message.len(), 0x1d);
    }
}
