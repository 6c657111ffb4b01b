//! A record inside a run.
//!
//! ```text
//! 0            4           6        8             8 + key_bytes
//! | data_bytes | key_bytes | flags  | key (UTF-8) | data |
//! ```
//! Flag bit 0 says that the producer chose the hash key; the record's shard is what became of it.

use super::Cursor;

/// The length of a record's header in bytes.
pub const RECORD_HEADER_BYTES: usize = 8;
/// The largest data of a record, in bytes (Kinesis: 10 MiB).
pub const DATA_BYTES_MAX: usize = 10 << 20;
/// The longest partition key, in characters (Kinesis: 256).
pub const KEY_CHARACTERS_MAX: usize = 256;
/// Flag: the producer chose the hash key.
pub const EXPLICIT_HASH_KEY: u16 = 1;

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The length of the data in bytes.
    pub data_bytes: u32,
    /// The length of the key in bytes.
    pub key_bytes: u16,
    /// [`EXPLICIT_HASH_KEY`] or nothing.
    pub flags: u16,
}

impl RecordHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(self) -> [u8; RECORD_HEADER_BYTES] {
        let word = u64::from(self.data_bytes) | u64::from(self.key_bytes) << 32 | u64::from(self.flags) << 48;
        word.to_le_bytes()
    }

    /// Reads the header at the start of `bytes`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<RecordHeader> {
        let mut cursor = Cursor(bytes);
        Some(RecordHeader { data_bytes: cursor.u32()?, key_bytes: cursor.u16()?, flags: cursor.u16()? })
    }

    /// The length on disk, header included.
    #[must_use]
    pub fn record_bytes(self) -> usize {
        RECORD_HEADER_BYTES + self.key_bytes as usize + self.data_bytes as usize
    }
}

/// The records of a run's payload, one after the other. Ends early where the bytes are not records.
#[derive(Debug)]
pub struct Records<'a> {
    // What is not walked yet; shrinking it costs fewer checks than a walk by offsets.
    rest: &'a [u8],
    offset: usize,
}

/// One record: its key, its data, and where they stand in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The partition key, UTF-8.
    pub key: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// Where the data starts in the payload; the key stands right before it.
    pub data_offset: usize,
}

impl<'a> Records<'a> {
    /// Walks a run's payload.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Records<'a> {
        Records { rest: payload, offset: 0 }
    }

    /// Walks on from a place where a record starts.
    #[must_use]
    pub fn from_offset(payload: &'a [u8], offset: usize) -> Records<'a> {
        Records { rest: payload.get(offset..).unwrap_or_default(), offset }
    }

    /// Whether the payload is so many records, the last of which ends where it ends.
    #[must_use]
    pub fn are_all_of(payload: &[u8], count: u32) -> bool {
        let mut records = Records::new(payload);
        // Each takes its header at least, so a count that is a lie costs no more than the payload's length.
        (0..count).all(|_| records.next().is_some()) && records.rest.is_empty()
    }

    /// Where the next record starts.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordView<'a>;

    fn next(&mut self) -> Option<RecordView<'a>> {
        let header = RecordHeader::decode(self.rest)?;
        let (record, rest) = self.rest.split_at_checked(header.record_bytes())?;
        let (key, data) = record[RECORD_HEADER_BYTES..].split_at(header.key_bytes as usize);
        let data_offset = self.offset + RECORD_HEADER_BYTES + key.len();
        self.offset += record.len();
        self.rest = rest;
        Some(RecordView { key, data, data_offset })
    }
}

/// Writes a record behind what is in `payload`.
///
/// ```
/// let mut payload = Vec::new();
/// millrace::format::record::write_record(&mut payload, "user-42", b"hello");
/// assert_eq!(payload.len(), 8 + 7 + 5);
/// ```
///
/// # Panics
/// When the key or the data are longer than their lengths can say.
pub fn write_record(payload: &mut Vec<u8>, key: &str, data: &[u8]) {
    let header = RecordHeader {
        data_bytes: u32::try_from(data.len()).expect("data of less than 4 GiB"),
        key_bytes: u16::try_from(key.len()).expect("a key of less than 64 KiB"),
        flags: 0,
    };
    payload.extend_from_slice(&header.encode());
    payload.extend_from_slice(key.as_bytes());
    payload.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_stop_at_the_first_that_is_none() {
        let mut payload = Vec::new();
        write_record(&mut payload, "a", b"first");
        write_record(&mut payload, "bc", b"");
        let whole: Vec<_> = Records::new(&payload).map(|record| (record.key.to_vec(), record.data.to_vec())).collect();
        assert_eq!(whole, [(b"a".to_vec(), b"first".to_vec()), (b"bc".to_vec(), Vec::new())]);
        for length in 0..payload.len() {
            assert!(Records::new(&payload[..length]).count() < 2, "length {length}");
        }
    }

    #[test]
    fn a_payload_is_its_records_and_nothing_else() {
        let mut payload = Vec::new();
        write_record(&mut payload, "a", b"first");
        write_record(&mut payload, "bc", b"");
        let counts: Vec<u32> = (0..4).filter(|count| Records::are_all_of(&payload, *count)).collect();
        assert_eq!(counts, [2]);
        assert!(!Records::are_all_of(&payload, u32::MAX) && Records::are_all_of(&[], 0));
        assert!(!Records::are_all_of(&payload[..payload.len() - 1], 2), "a record that is cut off");
        payload.push(0);
        assert!(!Records::are_all_of(&payload, 2), "a byte behind the last record");
    }

    #[test]
    fn the_golden_record() {
        let mut payload = Vec::new();
        write_record(&mut payload, "k", b"d");
        assert_eq!(payload, [1, 0, 0, 0, 1, 0, 0, 0, b'k', b'd']);
        let chosen = RecordHeader { data_bytes: 1, key_bytes: 1, flags: EXPLICIT_HASH_KEY };
        assert_eq!(chosen.encode(), [1, 0, 0, 0, 1, 0, 1, 0]);
    }
}
