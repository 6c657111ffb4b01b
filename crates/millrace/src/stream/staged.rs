//! Records on their way into a stream, in the layout that [`Stream::append`](super::Stream::append) takes.
//!
//! ```text
//! records:  | header 0 (8) | hash key 0 (16, only with its flag) | data 0 | header 1 | ...
//! keys:     | key 0 | key 1 | ...
//! ```
//! Headers are those of records on disk; hash keys are big endian. Keys stand apart from the data, because a caller in
//! another language writes all of them with one call, and because whether they are ASCII is then one question.
//!
//! Nothing here is trusted: the append checks every length, flag and key.

use crate::format::record::{EXPLICIT_HASH_KEY, RECORD_HEADER_BYTES, RecordHeader};
use crate::shard::HashKey;

const HASH_KEY_BYTES: usize = 16;

/// A batch of records that somebody else holds.
#[derive(Clone, Copy, Debug)]
pub struct Staged<'a> {
    /// Headers, explicit hash keys and data.
    pub records: &'a [u8],
    /// The keys, one behind the other, in UTF-8.
    pub keys: &'a [u8],
    /// How many records there are.
    pub count: usize,
}

impl Staged<'_> {
    /// The same records, each with a hash key that is given for it. What is no record is left as it is, with all behind it:
    /// the append refuses it.
    pub(super) fn with_hash_keys(self, mut hash_key: impl FnMut() -> HashKey) -> StagedRecords {
        let records = Vec::with_capacity(
            self.records.len() + self.count.min(self.records.len() / RECORD_HEADER_BYTES) * HASH_KEY_BYTES,
        );
        let mut keyed = StagedRecords { records, keys: self.keys.to_vec(), count: self.count };
        let mut rest = self.records;
        for _ in 0..self.count {
            let Some((header, data, behind)) = first_record(rest) else { break };
            keyed.records.extend_from_slice(&RecordHeader { flags: EXPLICIT_HASH_KEY, ..header }.encode());
            keyed.records.extend_from_slice(&hash_key().0.to_be_bytes());
            keyed.records.extend_from_slice(data);
            rest = behind;
        }
        keyed.records.extend_from_slice(rest);
        keyed
    }

    /// The length of all of it in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.len() + self.keys.len()
    }
}

/// The header and the data of the first record, and what stands behind it.
fn first_record(records: &[u8]) -> Option<(RecordHeader, &[u8], &[u8])> {
    let header = RecordHeader::decode(records)?;
    let explicit = match header.flags {
        0 => 0,
        EXPLICIT_HASH_KEY => HASH_KEY_BYTES,
        _ => return None,
    };
    let start = RECORD_HEADER_BYTES + explicit;
    let end = start.checked_add(usize::try_from(header.data_bytes).ok()?)?;
    Some((header, records.get(start..end)?, records.get(end..)?))
}

/// A batch of records that is being made. It can be cleared and used again.
///
/// ```
/// let mut batch = millrace::StagedRecords::default();
/// batch.push("user-42", None, b"hello");
/// assert_eq!(batch.as_staged().bytes(), 8 + 7 + 5);
/// ```
#[derive(Clone, Debug, Default)]
pub struct StagedRecords {
    records: Vec<u8>,
    keys: Vec<u8>,
    count: usize,
}

impl StagedRecords {
    /// Adds a record. An explicit hash key decides its shard instead of its partition key.
    ///
    /// What no record may be, such as one with an empty key, is refused when the batch is appended.
    pub fn push(&mut self, key: &str, explicit_hash_key: Option<u128>, data: &[u8]) {
        // Lengths that do not fit are staged as the largest there is, which the append refuses with its typed error.
        let header = RecordHeader {
            data_bytes: u32::try_from(data.len()).unwrap_or(u32::MAX),
            key_bytes: u16::try_from(key.len()).unwrap_or(u16::MAX),
            flags: if explicit_hash_key.is_some() { EXPLICIT_HASH_KEY } else { 0 },
        };
        self.records.extend_from_slice(&header.encode());
        if let Some(hash_key) = explicit_hash_key {
            self.records.extend_from_slice(&hash_key.to_be_bytes());
        }
        self.records.extend_from_slice(data);
        self.keys.extend_from_slice(key.as_bytes());
        self.count += 1;
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.keys.clear();
        self.count = 0;
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch as an append takes it.
    #[must_use]
    pub fn as_staged(&self) -> Staged<'_> {
        Staged { records: &self.records, keys: &self.keys, count: self.count }
    }
}
