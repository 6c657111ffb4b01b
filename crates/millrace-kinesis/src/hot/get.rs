//! The records that GetRecords and SubscribeToShard answer with, written one by one from where they are.

use ciborium_ll::Header;

use crate::encode::{encode_into, push, push_bytes, push_text, write_base64, write_seconds, write_text};
use crate::hot::Encryption;
use crate::{Format, Structure, Value};

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct RecordOut<'a> {
    /// Its sequence number: decimal digits.
    pub sequence_number: &'a str,
    /// When it arrived, in milliseconds since 1970.
    pub arrival_ms: u64,
    /// Its data.
    pub data: &'a [u8],
    /// Its partition key.
    pub key: &'a str,
    /// How it is said to be encrypted; it is told where it is.
    pub encryption: Encryption,
}

/// An answer that begins with records.
///
/// ```
/// use millrace_kinesis::{Encryption, Format, RecordOut, RecordsAnswer, Structure};
/// let mut answer = RecordsAnswer::new(Format::Json);
/// let encryption = Encryption::None;
/// answer.record(&RecordOut { sequence_number: "495", arrival_ms: 1_500, data: b"a", key: "k", encryption });
/// assert_eq!(
///     answer.finish(&Structure::new().with("MillisBehindLatest", 0_u32)),
///     br#"{"Records":[{"SequenceNumber":"495","ApproximateArrivalTimestamp":1.500,"Data":"YQ==","PartitionKey":"k"}],"MillisBehindLatest":0}"#
/// );
/// ```
#[derive(Debug)]
pub struct RecordsAnswer {
    format: Format,
    bytes: Vec<u8>,
    is_first: bool,
}

impl RecordsAnswer {
    /// An answer without records yet.
    #[must_use]
    pub fn new(format: Format) -> RecordsAnswer {
        let mut bytes = Vec::with_capacity(1_024);
        match format {
            Format::Json => bytes.extend_from_slice(b"{\"Records\":["),
            Format::Cbor => {
                push(Header::Map(None), &mut bytes);
                push_text("Records", &mut bytes);
                push(Header::Array(None), &mut bytes);
            }
        }
        RecordsAnswer { format, bytes, is_first: true }
    }

    /// Adds a record.
    pub fn record(&mut self, record: &RecordOut<'_>) {
        let first = std::mem::take(&mut self.is_first);
        let out = &mut self.bytes;
        match self.format {
            Format::Json => {
                out.extend_from_slice(if first { b"{\"SequenceNumber\":\"" } else { b",{\"SequenceNumber\":\"" });
                out.extend_from_slice(record.sequence_number.as_bytes());
                out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
                write_seconds(signed(record.arrival_ms), out);
                out.extend_from_slice(b",\"Data\":");
                write_base64(record.data, out);
                out.extend_from_slice(b",\"PartitionKey\":");
                write_text(record.key, out);
                out.extend_from_slice(match record.encryption {
                    Encryption::None => b"}",
                    Encryption::Kms => b",\"EncryptionType\":\"KMS\"}",
                });
            }
            Format::Cbor => {
                push(Header::Map(None), out);
                push_text("SequenceNumber", out);
                push_text(record.sequence_number, out);
                push_text("ApproximateArrivalTimestamp", out);
                encode_into(self.format, &Value::Timestamp(signed(record.arrival_ms)), out);
                push_text("Data", out);
                push_bytes(record.data, out);
                push_text("PartitionKey", out);
                push_text(record.key, out);
                if record.encryption == Encryption::Kms {
                    push_text("EncryptionType", out);
                    push_text(record.encryption.as_str(), out);
                }
                push(Header::Break, out);
            }
        }
    }

    /// How many bytes the answer has so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The body of the answer, with the members that stand behind the records.
    #[must_use]
    pub fn finish(mut self, rest: &Structure) -> Vec<u8> {
        match self.format {
            Format::Json => {
                self.bytes.push(b']');
                for (name, value) in rest.members() {
                    self.bytes.push(b',');
                    write_text(name, &mut self.bytes);
                    self.bytes.push(b':');
                    encode_into(self.format, value, &mut self.bytes);
                }
                self.bytes.push(b'}');
            }
            Format::Cbor => {
                push(Header::Break, &mut self.bytes);
                for (name, value) in rest.members() {
                    push_text(name, &mut self.bytes);
                    encode_into(self.format, value, &mut self.bytes);
                }
                push(Header::Break, &mut self.bytes);
            }
        }
        self.bytes
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode;

    proptest! {
        #[test]
        fn records_are_written_as_their_document_is(
            records in proptest::collection::vec(
                (any::<u64>(), 0_u64..1 << 45, proptest::collection::vec(any::<u8>(), 0..40), "\\PC{1,20}", any::<bool>()),
                0..4,
            ),
        ) {
            let rest = Structure::new().with("NextShardIterator", "AAAA").with("MillisBehindLatest", 7_u32);
            for format in [Format::Json, Format::Cbor] {
                let mut answer = RecordsAnswer::new(format);
                let mut documents = Vec::new();
                for (sequence, arrival_ms, data, key, is_encrypted) in &records {
                    let sequence_number = sequence.to_string();
                    let encryption = if *is_encrypted { Encryption::Kms } else { Encryption::None };
                    let record =
                        RecordOut { sequence_number: &sequence_number, arrival_ms: *arrival_ms, data, key, encryption };
                    answer.record(&record);
                    documents.push(
                        Structure::new()
                            .with("SequenceNumber", sequence_number)
                            .with("ApproximateArrivalTimestamp", Value::Timestamp(signed(*arrival_ms)))
                            .with("Data", Value::Blob(data.clone()))
                            .with("PartitionKey", key.as_str())
                            .with_some("EncryptionType", is_encrypted.then_some("KMS")),
                    );
                }
                let mut document = Structure::new().with("Records", documents.into_iter().collect::<Value>());
                rest.members().for_each(|(name, value)| document.insert(name, value.clone()));
                prop_assert_eq!(answer.finish(&rest), encode(format, &Value::Structure(document)));
            }
        }
    }
}
