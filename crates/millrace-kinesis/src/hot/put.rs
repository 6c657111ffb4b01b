//! PutRecords: hundreds of records a call, of a hundred bytes each.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ciborium_ll::Header;
use serde::Deserialize;

use crate::encode::{push, push_text, write_text};
use crate::error::ServiceError;
use crate::hot::Encryption;
use crate::schema::{Schema, Shape};
use crate::validate::is_valid_member;
use crate::{Format, Structure, Value, decode, shard_name, validate};

/// The operation that this is.
const OPERATION: &str = "PutRecords";
const RECORDS_MAX: usize = 500;
const KEY_CHARACTERS_MAX: usize = 256;
/// What a record takes of an answer, about, in bytes.
const RESULT_BYTES: usize = 120;

/// A valid PutRecords request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutRecords<'a> {
    /// The stream's name.
    pub stream_name: Option<Cow<'a, str>>,
    /// The stream's ARN.
    pub stream_arn: Option<Cow<'a, str>>,
    /// Whether the records are not to be written.
    pub dry_run: bool,
    /// The records.
    pub entries: Vec<PutEntry<'a>>,
    /// The data of all records.
    data: Vec<u8>,
}

/// One record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutEntry<'a> {
    /// The partition key; streams that distribute records by themselves need none.
    pub key: Option<Cow<'a, str>>,
    /// The hash key that the producer chose: decimal digits.
    pub explicit_hash_key: Option<Cow<'a, str>>,
    data: Range<usize>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "StreamName", borrow, default)]
    stream_name: Option<&'a str>,
    #[serde(rename = "StreamARN", borrow, default)]
    stream_arn: Option<&'a str>,
    #[serde(rename = "StreamId", borrow, default)]
    stream_id: Option<&'a str>,
    #[serde(rename = "DryRun", default)]
    dry_run: Option<bool>,
    #[serde(rename = "Records", borrow)]
    records: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "Data")]
    data: &'a str,
    #[serde(rename = "PartitionKey", borrow)]
    key: Key<'a>,
    #[serde(rename = "ExplicitHashKey", borrow, default)]
    explicit_hash_key: Option<&'a str>,
}

/// A key, which alone may hold escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> PutRecords<'a> {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// `SerializationException` and `ValidationException`, as [`decode`] and [`validate`] give them.
    pub fn read(format: Format, body: &'a [u8]) -> Result<PutRecords<'a>, ServiceError> {
        if format == Format::Json
            && let Some(request) = PutRecords::read_usual(body)
        {
            return Ok(request);
        }
        let operation = Schema::get().operation(OPERATION).expect("an operation of the model");
        let document = decode(operation, format, body)?;
        validate(operation, &document)?;
        Ok(PutRecords::of_document(document))
    }

    /// Reads a request in JSON as the clients write it; `None` where anything is unusual or wrong.
    fn read_usual(body: &'a [u8]) -> Option<PutRecords<'a>> {
        let body: Body<'a> = serde_json::from_slice(body).ok()?;
        let names = [("StreamName", body.stream_name), ("StreamARN", body.stream_arn), ("StreamId", body.stream_id)];
        let valid = names.iter().all(|(name, value)| value.is_none_or(|value| is_valid_text(name, value)));
        if !valid || !(1..=RECORDS_MAX).contains(&body.records.len()) {
            return None;
        }
        let bytes = body.records.iter().map(|entry| entry.data.len().div_ceil(4) * 3).sum();
        let mut request = PutRecords {
            stream_name: body.stream_name.map(Cow::Borrowed),
            stream_arn: body.stream_arn.map(Cow::Borrowed),
            dry_run: body.dry_run.unwrap_or_default(),
            entries: Vec::with_capacity(body.records.len()),
            data: vec![0; bytes],
        };
        let mut start = 0;
        for Entry { data, key: Key(key), explicit_hash_key } in body.records {
            let characters = if key.is_ascii() { key.len() } else { key.chars().count() };
            let length = STANDARD.decode_slice_unchecked(data, &mut request.data[start..]).ok()?;
            let valid = (1..=KEY_CHARACTERS_MAX).contains(&characters)
                && length <= DATA_BYTES_MAX
                && explicit_hash_key.is_none_or(is_hash_key);
            if !valid {
                return None;
            }
            let explicit_hash_key = explicit_hash_key.map(Cow::Borrowed);
            request.entries.push(PutEntry { key: Some(key), explicit_hash_key, data: start..start + length });
            start += length;
        }
        request.data.truncate(start);
        Some(request)
    }

    fn of_document(document: Structure) -> PutRecords<'static> {
        let owned = |structure: &Structure, name: &str| structure.str(name).map(|text| Cow::Owned(text.to_owned()));
        let mut request = PutRecords {
            stream_name: owned(&document, "StreamName"),
            stream_arn: owned(&document, "StreamARN"),
            dry_run: document.is("DryRun"),
            ..PutRecords::default()
        };
        for entry in document.structures("Records") {
            let start = request.data.len();
            request.data.extend_from_slice(entry.blob("Data").unwrap_or_default());
            let data = start..request.data.len();
            let (key, explicit_hash_key) = (owned(entry, "PartitionKey"), owned(entry, "ExplicitHashKey"));
            request.entries.push(PutEntry { key, explicit_hash_key, data });
        }
        request
    }

    /// The data of a record of this request.
    #[must_use]
    pub fn data(&self, entry: &PutEntry<'_>) -> &[u8] {
        self.data.get(entry.data.clone()).unwrap_or_default()
    }

    /// The bytes of all records, keys included: what the limits count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.entries.iter().map(|entry| entry.key.as_deref().unwrap_or_default().len()).sum::<usize>()
    }
}

/// The most bytes of one record, as the model has it.
const DATA_BYTES_MAX: usize = 10_485_760;

fn is_valid_text(name: &str, text: &str) -> bool {
    let schema = Schema::get();
    let input = schema.operation(OPERATION).expect("an operation of the model").input;
    let Shape::Structure(members) = schema.shape(input) else { return false };
    let member = members.iter().find(|member| member.name == name);
    member.is_some_and(|member| is_valid_member(schema.shape(member.shape), &Value::from(text)))
}

/// Whether a text is a number of up to 39 digits as the model's pattern has it.
fn is_hash_key(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || ((1..=39).contains(&text.len()) && !text.starts_with('0')))
}

/// The answer to PutRecords, written result by result.
///
/// ```
/// use millrace_kinesis::{Encryption, Format, PutAnswer};
/// let mut answer = PutAnswer::new(Format::Json, 2);
/// answer.placed("49600000000000000000000000000000000000000000000000000001", 0);
/// answer.failed("ProvisionedThroughputExceededException", "Rate exceeded");
/// assert!(answer.finish(Encryption::None).ends_with(br#"],"FailedRecordCount":1,"EncryptionType":"NONE"}"#));
/// ```
#[derive(Debug)]
pub struct PutAnswer {
    format: Format,
    bytes: Vec<u8>,
    failed: u32,
    is_first: bool,
}

impl PutAnswer {
    /// An answer to so many records.
    #[must_use]
    pub fn new(format: Format, records: usize) -> PutAnswer {
        let mut bytes = Vec::with_capacity(64 + records * RESULT_BYTES);
        match format {
            Format::Json => bytes.extend_from_slice(b"{\"Records\":["),
            Format::Cbor => {
                push(Header::Map(None), &mut bytes);
                push_text("Records", &mut bytes);
                push(Header::Array(None), &mut bytes);
            }
        }
        PutAnswer { format, bytes, failed: 0, is_first: true }
    }

    /// The next record is in the stream: its sequence number, which is decimal digits, and its shard.
    pub fn placed(&mut self, sequence_number: &str, shard: u32) {
        match self.format {
            Format::Json => {
                self.separate();
                self.bytes.extend_from_slice(b"{\"SequenceNumber\":\"");
                self.bytes.extend_from_slice(sequence_number.as_bytes());
                self.bytes.extend_from_slice(b"\",\"ShardId\":\"shardId-");
                self.bytes.extend_from_slice(&twelve_digits(shard));
                self.bytes.extend_from_slice(b"\"}");
            }
            Format::Cbor => self.pairs(&[("SequenceNumber", sequence_number), ("ShardId", &shard_name(shard))]),
        }
    }

    /// The next record is not in the stream.
    pub fn failed(&mut self, code: &str, message: &str) {
        self.failed += 1;
        match self.format {
            Format::Json => {
                self.separate();
                self.bytes.extend_from_slice(b"{\"ErrorCode\":");
                write_text(code, &mut self.bytes);
                self.bytes.extend_from_slice(b",\"ErrorMessage\":");
                write_text(message, &mut self.bytes);
                self.bytes.push(b'}');
            }
            Format::Cbor => self.pairs(&[("ErrorCode", code), ("ErrorMessage", message)]),
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn finish(mut self, encryption: Encryption) -> Vec<u8> {
        match self.format {
            Format::Json => {
                self.bytes.extend_from_slice(b"],\"FailedRecordCount\":");
                self.bytes.extend_from_slice(itoa::Buffer::new().format(self.failed).as_bytes());
                self.bytes.extend_from_slice(b",\"EncryptionType\":\"");
                self.bytes.extend_from_slice(encryption.as_str().as_bytes());
                self.bytes.extend_from_slice(b"\"}");
            }
            Format::Cbor => {
                push(Header::Break, &mut self.bytes);
                push_text("FailedRecordCount", &mut self.bytes);
                push(Header::Positive(u64::from(self.failed)), &mut self.bytes);
                push_text("EncryptionType", &mut self.bytes);
                push_text(encryption.as_str(), &mut self.bytes);
                push(Header::Break, &mut self.bytes);
            }
        }
        self.bytes
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.bytes.push(b',');
        }
    }

    fn pairs(&mut self, pairs: &[(&str, &str)]) {
        push(Header::Map(None), &mut self.bytes);
        for (name, value) in pairs {
            push_text(name, &mut self.bytes);
            push_text(value, &mut self.bytes);
        }
        push(Header::Break, &mut self.bytes);
    }
}

/// A number with zeros in front.
fn twelve_digits(mut number: u32) -> [u8; 12] {
    let mut digits = [b'0'; 12];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).expect("one digit");
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests;
