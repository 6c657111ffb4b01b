//! A frame: what one append brought, its records grouped by shard into runs.
//!
//! ```text
//! 0         64                 64 + 32 × runs                 frame_bytes   next multiple of 64
//! | header  | run table        | payload of run 0 | run 1 | … | zeros       |
//! ```
//! The header's checksum covers header and run table, each run's own checksum its payload, so that a reader of one
//! shard needs to read and verify no other shard's bytes.

use std::ops::Range;

use super::checksum::{crc32c, seed};
use super::{Cursor, FORMAT_VERSION, FRAME_BYTES_MAX, Position, SEQUENCE_LIMIT, u32_of};

/// The length of a frame's header in bytes.
pub const FRAME_HEADER_BYTES: usize = 64;
/// The length of one entry of the run table in bytes.
pub const RUN_ENTRY_BYTES: usize = 32;
/// Where the version stands in the header.
const VERSION_AT: usize = 56;
/// Where the kind stands in an entry of the run table.
const KIND_AT: usize = 4;
/// `MRF0`, little-endian.
const MAGIC: u32 = u32::from_le_bytes(*b"MRF0");

/// What a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// Records of one shard.
    Records,
    /// The state at the segment's opening: shard map, where the log came from.
    Opening,
    /// A change of the shard map. It has a sequence of its own.
    ShardChange,
    /// A command of the control log.
    Command,
    /// A snapshot of the control log's state.
    State,
    /// A kind of a later version: a reader skips it where its run says so.
    Other(u8),
}

impl RunKind {
    /// The byte on disk.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        match self {
            RunKind::Records => 1,
            RunKind::Opening => 2,
            RunKind::ShardChange => 3,
            // 4 producer, 5 checkpoint: kept for decisions 1 and 6.
            RunKind::Command => 6,
            RunKind::State => 7,
            RunKind::Other(byte) => byte,
        }
    }

    /// The inverse of [`RunKind::to_byte`].
    #[must_use]
    pub fn from_byte(byte: u8) -> RunKind {
        match byte {
            1 => RunKind::Records,
            2 => RunKind::Opening,
            3 => RunKind::ShardChange,
            6 => RunKind::Command,
            7 => RunKind::State,
            other => RunKind::Other(other),
        }
    }
}

impl RunKind {
    /// How many sequences a run of this kind takes beside those of its records.
    #[must_use]
    pub fn own_sequences(self) -> u64 {
        u64::from(self == RunKind::ShardChange)
    }
}

/// Set in a run's flags: a reader that does not know the kind may skip it.
pub const RUN_OPTIONAL: u8 = 1;

/// One entry of the run table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// What the run holds.
    pub kind: RunKind,
    /// [`RUN_OPTIONAL`] or nothing.
    pub flags: u8,
    /// The shard that the records belong to; 0 where the kind has none.
    pub shard: u32,
    /// Where the payload starts, counted from the frame's first byte.
    pub payload_offset: u32,
    /// The payload's length in bytes.
    pub payload_bytes: u32,
    /// How many records the run holds.
    pub records: u32,
    /// The first record's sequence less the frame's first sequence.
    pub sequence_delta: u32,
    /// CRC32C of the payload; on disk mixed with the frame's seed.
    pub checksum: u32,
}

impl RunEntry {
    /// Where the payload lies in the frame.
    #[must_use]
    pub fn payload(&self) -> Range<usize> {
        let start = self.payload_offset as usize;
        start..start + self.payload_bytes as usize
    }

    /// Whether the run's payload is what was written. `frame` holds at least the frame's bytes.
    #[must_use]
    pub fn is_intact(&self, frame: &[u8]) -> bool {
        frame.get(self.payload()).is_some_and(|bytes| crc32c(bytes) == self.checksum)
    }

    /// Writes the entry; `seed` is the frame's.
    pub fn encode(&self, out: &mut [u8], seed: u32) {
        assert_eq!(out.len(), RUN_ENTRY_BYTES, "room for one entry");
        out[0..4].copy_from_slice(&(self.checksum ^ seed).to_le_bytes());
        out[4] = self.kind.to_byte();
        out[5] = self.flags;
        out[6..8].fill(0);
        out[8..12].copy_from_slice(&self.shard.to_le_bytes());
        out[12..16].copy_from_slice(&self.payload_offset.to_le_bytes());
        out[16..20].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.records.to_le_bytes());
        out[24..28].copy_from_slice(&self.sequence_delta.to_le_bytes());
        out[28..32].fill(0);
    }

    /// `None` where the reserved bytes are in use.
    fn decode(bytes: &[u8], seed: u32) -> Option<RunEntry> {
        let mut cursor = Cursor(bytes);
        let checksum = cursor.u32()? ^ seed;
        let kind = RunKind::from_byte(cursor.u8()?);
        let flags = cursor.u8()?;
        let reserved = cursor.u16()?;
        let entry = RunEntry {
            kind,
            flags,
            shard: cursor.u32()?,
            payload_offset: cursor.u32()?,
            payload_bytes: cursor.u32()?,
            records: cursor.u32()?,
            sequence_delta: cursor.u32()?,
            checksum,
        };
        (reserved == 0 && cursor.u32()? == 0).then_some(entry)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The frame's length in bytes, without the zeros behind it.
    pub frame_bytes: u32,
    /// How many entries the run table has. None: the frame is a mark.
    pub runs: u32,
    /// The sequence of the frame's first record, or the next one where it has none.
    pub first_sequence: u64,
    /// When the frame arrived: milliseconds since 1970, never decreasing over a log.
    pub arrival_ms: u64,
    /// The durable mark: all before this place was on disk when the frame was written.
    pub mark: Position,
    /// All sequences below this one were on disk when the frame was written.
    pub mark_sequence: u64,
    /// The checksum of the frame before this one; 0 for the first of a log.
    pub previous_checksum: u32,
    /// How many records the frame holds.
    pub records: u32,
    /// This frame's own checksum, seed included.
    pub checksum: u32,
}

impl FrameHeader {
    /// The frame's length with the zeros behind it.
    #[must_use]
    pub fn padded_bytes(&self) -> u32 {
        super::aligned(self.frame_bytes)
    }

    /// The length of header and run table in bytes.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.runs as usize * RUN_ENTRY_BYTES
    }

    /// Writes the header over the first bytes of `frame`, whose run table is already encoded, and returns the
    /// checksum over both.
    pub fn encode(&self, frame: &mut [u8], seed: u32) -> u32 {
        frame[4..8].copy_from_slice(&MAGIC.to_le_bytes());
        frame[8..12].copy_from_slice(&self.frame_bytes.to_le_bytes());
        frame[12..16].copy_from_slice(&self.runs.to_le_bytes());
        frame[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        frame[24..32].copy_from_slice(&self.arrival_ms.to_le_bytes());
        frame[32..40].copy_from_slice(&self.mark.pack().to_le_bytes());
        frame[40..48].copy_from_slice(&self.mark_sequence.to_le_bytes());
        frame[48..52].copy_from_slice(&self.previous_checksum.to_le_bytes());
        frame[52..56].copy_from_slice(&self.records.to_le_bytes());
        frame[VERSION_AT..58].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        frame[58..64].fill(0);
        let checksum = crc32c(&frame[4..self.head_bytes()]) ^ seed;
        frame[0..4].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }
}

/// A header and its run table, verified and borrowed from the bytes of a log.
#[derive(Clone, Copy, Debug)]
pub struct FrameHead<'a> {
    /// The header.
    pub header: FrameHeader,
    /// The sequence behind all that the frame takes: those of its records, and of its changes of the shard map.
    pub next_sequence: u64,
    table: &'a [u8],
    seed: u32,
}

impl<'a> FrameHead<'a> {
    /// Reads and verifies the head of a frame that starts at `offset` of a segment. `bytes` begins there and may run
    /// to the end of the segment. `None`: there is no frame here, or not an intact one.
    #[must_use]
    pub fn decode(bytes: &'a [u8], incarnation: u64, offset: u32) -> Option<FrameHead<'a>> {
        let header_bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let mut cursor = Cursor(header_bytes);
        let checksum = cursor.u32()?;
        if cursor.u32()? != MAGIC {
            return None;
        }
        let header = FrameHeader {
            checksum,
            frame_bytes: cursor.u32()?,
            runs: cursor.u32()?,
            first_sequence: cursor.u64()?,
            arrival_ms: cursor.u64()?,
            mark: Position::unpack(cursor.u64()?),
            mark_sequence: cursor.u64()?,
            previous_checksum: cursor.u32()?,
            records: cursor.u32()?,
        };
        let (version, reserved) = (cursor.u16()?, (cursor.u16()?, cursor.u32()?));
        if version > FORMAT_VERSION || reserved != (0, 0) || header.frame_bytes > FRAME_BYTES_MAX {
            return None;
        }
        if header.runs > FRAME_BYTES_MAX / u32_of(RUN_ENTRY_BYTES) || header.frame_bytes as usize > bytes.len() {
            return None;
        }
        let head = bytes.get(..header.head_bytes()).filter(|head| head.len() <= header.frame_bytes as usize)?;
        let (table, seed) = (&head[FRAME_HEADER_BYTES..], seed(incarnation, offset));
        let mut head = FrameHead { header, next_sequence: header.first_sequence, table, seed };
        // The table before the sum over it: no entry can be the start of another head, so that however many heads
        // somebody has put into a record, a scan looks at each byte of them a bounded number of times.
        let sequences = head.sequences().filter(|_| crc32c(&bytes[4..header.head_bytes()]) ^ seed == checksum)?;
        head.next_sequence = header.first_sequence.checked_add(sequences).filter(|next| *next <= SEQUENCE_LIMIT)?;
        Some(head)
    }

    /// How many sequences the frame takes; `None` where the runs are not all of the frame, each right behind the one
    /// before, in bytes and in sequences. A table of a thousand runs is walked for each frame that a reader passes, so this
    /// reads the fields that it needs in place.
    fn sequences(&self) -> Option<u64> {
        let (mut end, mut records, mut own) = (self.header.head_bytes() as u64, 0, 0);
        for entry in self.table.as_chunks::<RUN_ENTRY_BYTES>().0 {
            let [_, kind, _, payload_offset, payload_bytes, run_records, sequence_delta, reserved] = words_of(entry);
            if kind >> 16 != 0 || reserved != 0 {
                return None;
            }
            if (u64::from(payload_offset), u64::from(sequence_delta)) != (end, records) {
                return None;
            }
            end += u64::from(payload_bytes);
            records += u64::from(run_records);
            own += RunKind::from_byte(entry[KIND_AT]).own_sequences();
        }
        let is_all = (end, records) == (u64::from(self.header.frame_bytes), u64::from(self.header.records));
        is_all.then_some(records + own)
    }

    /// The version of the frame that a newer build wrote, where one stands at the start of `bytes` and its head is
    /// intact. So much is the same in all versions: checksum, magic, runs and version stand where they do here, and the
    /// checksum covers header and run table.
    #[must_use]
    pub fn newer_version(bytes: &[u8], incarnation: u64, offset: u32) -> Option<u16> {
        FrameHead::version(bytes, incarnation, offset).filter(|version| *version > FORMAT_VERSION)
    }

    /// The version that the head at the start of `bytes` names, if its magic and its checksum are those of a frame at
    /// this very place.
    #[must_use]
    pub fn version(bytes: &[u8], incarnation: u64, offset: u32) -> Option<u16> {
        let mut cursor = Cursor(bytes.get(..FRAME_HEADER_BYTES)?);
        let (checksum, magic, _bytes, runs) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let version = Cursor(bytes.get(VERSION_AT..)?).u16()?;
        if magic != MAGIC || runs > FRAME_BYTES_MAX / u32_of(RUN_ENTRY_BYTES) {
            return None;
        }
        let head = bytes.get(4..FRAME_HEADER_BYTES + runs as usize * RUN_ENTRY_BYTES)?;
        (crc32c(head) ^ seed(incarnation, offset) == checksum).then_some(version)
    }

    /// Whether bytes that a frame would start with have its magic: all but one in 2^32 of random ones do not.
    #[must_use]
    pub fn looks_like_one(bytes: &[u8]) -> bool {
        bytes.get(4..8) == Some(&MAGIC.to_le_bytes())
    }

    /// The seed that the frame at the start of `bytes` was written with, if there is one: where the incarnation of its
    /// segment is lost, the frame itself still tells it. Its head and a run bear each other out, by 32 bits.
    #[must_use]
    pub fn seed_of(bytes: &[u8]) -> Option<u32> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (checksum, magic, runs) = (word(0)?, word(4)?, word(12)?);
        let head_bytes = FRAME_HEADER_BYTES + usize::try_from(runs).ok()?.checked_mul(RUN_ENTRY_BYTES)?;
        if magic != MAGIC || runs == 0 || head_bytes > FRAME_BYTES_MAX as usize {
            return None;
        }
        let seed = crc32c(bytes.get(4..head_bytes)?) ^ checksum;
        let entry = bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + RUN_ENTRY_BYTES)?;
        let entry = RunEntry::decode(entry, seed)?;
        entry.is_intact(bytes).then_some(seed)
    }

    /// Whether a frame that is damaged, or was not written whole, stands at the start of `bytes`: one that would follow
    /// a frame of this checksum with this sequence. Stale bytes of a recycled file never say so, and a frame of which
    /// one field is damaged says it with the other.
    #[must_use]
    pub fn is_claimed(bytes: &[u8], first_sequence: u64, previous_checksum: u32) -> bool {
        let claims = |bytes: &[u8]| {
            let mut cursor = Cursor(bytes.get(16..FRAME_HEADER_BYTES)?);
            let (sequence, _arrival, _mark, _mark_sequence) =
                (cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?);
            Some(sequence == first_sequence || cursor.u32()? == previous_checksum)
        };
        claims(bytes).unwrap_or(false)
    }

    /// The first entry at or behind `run` that is of `shard` (of any, where that is `None`), or how many there are.
    #[must_use]
    pub fn next_of(&self, run: u32, shard: Option<u32>) -> u32 {
        let Some(shard) = shard else { return run };
        let entries = self.table.as_chunks::<RUN_ENTRY_BYTES>().0.iter().skip(run as usize);
        let passed = entries.take_while(|entry| words_of(entry)[2] != shard).count();
        run.saturating_add(u32_of(passed)).min(self.runs())
    }

    /// How many runs there are.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.header.runs
    }

    /// The shard number that entry `run` names, without decoding the rest.
    #[must_use]
    pub fn shard_of(&self, run: u32) -> Option<u32> {
        let at = run as usize * RUN_ENTRY_BYTES + 8;
        self.table.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    /// Entry `run` of the table; its payload lies in the frame. `None` where there are not so many.
    #[must_use]
    pub fn run(&self, run: u32) -> Option<RunEntry> {
        let at = run as usize * RUN_ENTRY_BYTES;
        RunEntry::decode(self.table.get(at..at + RUN_ENTRY_BYTES)?, self.seed)
    }

    /// Whether every run is one, and its payload is what was written. `frame` holds at least the frame's bytes.
    #[must_use]
    pub fn payloads_are_intact(&self, frame: &[u8]) -> bool {
        (0..self.runs()).all(|run| self.run(run).is_some_and(|entry| entry.is_intact(frame)))
    }
}

/// The words of an entry of the run table, in its order: see [`RunEntry::encode`].
fn words_of(entry: &[u8; RUN_ENTRY_BYTES]) -> [u32; RUN_ENTRY_BYTES / 4] {
    let mut words = [0; RUN_ENTRY_BYTES / 4];
    for (word, bytes) in words.iter_mut().zip(entry.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests;
