//! What becomes of records on their way into an object: one behind the other, as the channel's format says, compressed as
//! they come. The same records make the same bytes.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::control::{Compression, RecordFormat};

/// A record, and what names it.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Its sequence number as callers know it.
    pub sequence_number: &'a dyn Fn() -> String,
    pub key: &'a [u8],
    pub data: &'a [u8],
    pub arrival_ms: u64,
}

/// An object in the making, with those records that it cannot hold.
pub(crate) struct Batch {
    format: RecordFormat,
    body: Body,
    records: u64,
    raw_bytes: usize,
    buried: u64,
    dead_letters: Vec<u8>,
    first_arrival_ms: Option<u64>,
}

enum Body {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// What a batch came to.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The object; none where all records were dead letters.
    pub body: Option<Vec<u8>>,
    /// How many records it holds.
    pub records: u64,
    /// The dead letters, one JSON document a line; none where there are none.
    pub dead_letters: Option<Vec<u8>>,
    /// How many of them there are.
    pub buried: u64,
    /// When the first record arrived.
    pub first_arrival_ms: u64,
}

/// A record that is not of its channel's format, as it is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter<'a> {
    reason: &'a str,
    sequence_number: String,
    partition_key: std::borrow::Cow<'a, str>,
    arrival_ms: u64,
    data: String,
}

impl Batch {
    pub fn new(format: RecordFormat, compression: Compression) -> Batch {
        let body = match compression {
            Compression::None => Body::Plain(Vec::new()),
            Compression::Gzip => Body::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
        };
        Batch { format, body, records: 0, raw_bytes: 0, buried: 0, dead_letters: Vec::new(), first_arrival_ms: None }
    }

    /// How many bytes of records it has taken.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Whether it has taken nothing.
    pub fn is_empty(&self) -> bool {
        self.first_arrival_ms.is_none()
    }

    /// Takes a record.
    pub fn push(&mut self, record: Record<'_>) {
        self.first_arrival_ms.get_or_insert(record.arrival_ms);
        self.raw_bytes += record.data.len() + record.key.len();
        let reason = match self.format {
            RecordFormat::Json => not_json(record.data),
            RecordFormat::Text => std::str::from_utf8(record.data).err().map(|error| error.to_string()),
            RecordFormat::Bytes => None,
        };
        if let Some(reason) = reason {
            return self.bury(record, &reason);
        }
        self.records += 1;
        match self.format {
            // Between its tokens alone JSON has line breaks.
            RecordFormat::Json if record.data.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => {
                let of_one_line = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
                self.write(&record.data.iter().map(of_one_line).collect::<Vec<u8>>());
                self.write(b"\n");
            }
            RecordFormat::Json => {
                self.write(record.data);
                self.write(b"\n");
            }
            RecordFormat::Text => {
                self.write(record.data);
                if !record.data.ends_with(b"\n") {
                    self.write(b"\n");
                }
            }
            RecordFormat::Bytes => self.write(record.data),
        }
    }

    /// The object and the dead letters.
    pub fn pack(self) -> Packed {
        let body = match self.body {
            Body::Plain(bytes) => bytes,
            Body::Gzip(encoder) => encoder.finish().expect("memory takes all that is written to it"),
        };
        Packed {
            body: (self.records > 0).then_some(body),
            records: self.records,
            buried: self.buried,
            dead_letters: Some(self.dead_letters).filter(|letters| !letters.is_empty()),
            first_arrival_ms: self.first_arrival_ms.unwrap_or_default(),
        }
    }

    fn bury(&mut self, record: Record<'_>, reason: &str) {
        let letter = DeadLetter {
            reason,
            sequence_number: (record.sequence_number)(),
            partition_key: String::from_utf8_lossy(record.key),
            arrival_ms: record.arrival_ms,
            data: STANDARD.encode(record.data),
        };
        self.buried += 1;
        serde_json::to_writer(&mut self.dead_letters, &letter).expect("memory takes all that is written to it");
        self.dead_letters.push(b'\n');
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = match &mut self.body {
            Body::Plain(body) => body.write_all(bytes),
            Body::Gzip(encoder) => encoder.write_all(bytes),
        };
        written.expect("memory takes all that is written to it");
    }
}

/// Why data is no JSON document.
fn not_json(data: &[u8]) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(data).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(format: RecordFormat, compression: Compression, records: &[&[u8]]) -> Packed {
        let mut batch = Batch::new(format, compression);
        for (index, data) in records.iter().enumerate() {
            let sequence_number = move || index.to_string();
            batch.push(Record { sequence_number: &sequence_number, key: b"k", data, arrival_ms: 7 });
        }
        batch.pack()
    }

    #[test]
    fn json_stands_one_record_a_line_and_what_is_none_is_a_dead_letter() {
        let records: &[&[u8]] = &[b"{\"a\":\n1}", b"nonsense", b"[\"\\n\"]"];
        let packed = packed(RecordFormat::Json, Compression::None, records);
        assert_eq!(packed.body.as_deref(), Some(&b"{\"a\": 1}\n[\"\\n\"]\n"[..]));
        let letters = String::from_utf8(packed.dead_letters.expect("one is none")).expect("JSON");
        assert!(
            letters.ends_with(
                "\"sequenceNumber\":\"1\",\"partitionKey\":\"k\",\"arrivalMs\":7,\"data\":\"bm9uc2Vuc2U=\"}\n"
            ),
            "{letters}"
        );
    }

    #[test]
    fn text_gets_a_line_end_where_it_has_none_and_bytes_get_nothing() {
        let records: &[&[u8]] = &[b"one", b"two\n", b"\xff"];
        let text = packed(RecordFormat::Text, Compression::None, records);
        assert_eq!(text.body.as_deref(), Some(&b"one\ntwo\n"[..]));
        assert!(text.dead_letters.is_some());
        let bytes = packed(RecordFormat::Bytes, Compression::None, records);
        assert_eq!(bytes.body.as_deref(), Some(&b"onetwo\n\xff"[..]));
        assert!(bytes.dead_letters.is_none());
    }

    #[test]
    fn the_same_records_make_the_same_compressed_bytes() {
        let once = || packed(RecordFormat::Text, Compression::Gzip, &[b"one", b"two"]).body.expect("an object");
        assert_eq!(once(), once());
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*once()), &mut plain).expect("gzip");
        assert_eq!(plain, "one\ntwo\n");
    }

    #[test]
    fn dead_letters_alone_make_no_object() {
        let packed = packed(RecordFormat::Json, Compression::Gzip, &[b"x"]);
        assert!(packed.body.is_none() && packed.dead_letters.is_some());
    }
}
