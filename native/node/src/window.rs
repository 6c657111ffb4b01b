//! The window: descriptors of records, written where JavaScript's typed arrays look.
//!
//! ```text
//! 0          64                                                                     length
//! | 16 x u32 | 12 B a record, forwards …        … free …        … 24 B a run, backwards |
//! |  header  | offset and length of the data,                     sequence of the first, |
//! |          | length of the key (bit 31: not ASCII)              arrival, shard, index  |
//! ```
//! What is the same for all records of a run stands once a run. A run's entry is a u64, a float64 and two u32; the last
//! is the index in the window of the run's first record. A batch has entries of its own, also where it goes on in a
//! run. Numbers are little endian, which is what typed arrays are on every platform that Node runs on. The counterpart
//! is `Window` in `src/batch.ts`.

use millrace::format::record::{RecordView, Records};

use crate::error::internal;

const HEADER_BYTES: usize = 64;
const RECORD_BYTES: usize = 12;
const RUN_BYTES: usize = 24;
const WIDE_KEY: u32 = 0x8000_0000;
/// The header's segment when the bytes are in the slab.
pub const IN_SLAB: u32 = u32::MAX;

/// The words of the header.
#[derive(Clone, Copy)]
pub enum Slot {
    /// In: index of the first descriptor to write.
    First = 0,
    /// In and out: bytes of the slab that are used.
    SlabUsed = 1,
    /// Out: the segment that the descriptors point into, or [`IN_SLAB`].
    Segment = 2,
    /// Out: how long a slab must be for the next record.
    SlabWanted = 3,
    /// Out: milliseconds between the last record and the stream's newest.
    MillisBehind = 4,
    /// In and out: how many entries of runs are written.
    Runs = 5,
}

/// A window over bytes of JavaScript.
pub struct Window<'a> {
    header: &'a mut [[u8; 4]],
    free: &'a mut [u8],
    next: usize,
}

/// What is the same for all records of a run.
#[derive(Clone, Copy)]
pub struct RunHead {
    pub shard: u32,
    pub arrival_ms: u64,
}

/// Where a walk through a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Offset in the run's payload.
    pub offset: usize,
    /// Sequence of the record there.
    pub sequence: u64,
}

impl<'a> Window<'a> {
    /// Takes the bytes apart. An error is a defect of our own TypeScript.
    pub fn new(bytes: &'a mut [u8]) -> napi::Result<Self> {
        let Some((header, rest)) = bytes.split_at_mut_checked(HEADER_BYTES) else {
            return Err(internal("a window shorter than its header"));
        };
        let header = header.as_chunks_mut().0;
        let word = |slot: Slot| u32::from_le_bytes(header[slot as usize]) as usize;
        let next = word(Slot::First);
        let (start, runs) = (next * RECORD_BYTES, word(Slot::Runs) * RUN_BYTES);
        let end = rest.len().checked_sub(runs).filter(|end| start <= *end);
        let free = &mut rest[start..end.ok_or_else(|| internal("a window that is more than full"))?];
        Ok(Window { header, free, next })
    }

    /// A word of the header.
    pub fn get(&self, slot: Slot) -> u32 {
        u32::from_le_bytes(self.header[slot as usize])
    }

    /// Sets a word of the header.
    pub fn set(&mut self, slot: Slot, value: u32) {
        self.header[slot as usize] = value.to_le_bytes();
    }

    /// Whether a record of another run still fits.
    pub fn has_room(&self) -> bool {
        self.free.len() >= RECORD_BYTES + RUN_BYTES
    }

    /// Describes as many records of a run's payload from `cursor` on as there is room for, here and within the
    /// limits. Returns how many, and moves the cursor.
    pub fn describe(&mut self, run: RunHead, payload: &[u8], cursor: &mut Cursor, limits: Limits) -> usize {
        let Some(room) = self.free.len().checked_sub(RUN_BYTES) else { return 0 };
        let slots = self.free[..room].as_chunks_mut().0;
        let slots = &mut slots[..limits.records.min(room / RECORD_BYTES)];
        let count = describe_all(slots, payload, cursor, limits);
        if count > 0 {
            let first = u32::try_from(self.next).unwrap_or(u32::MAX);
            self.push_run(run, cursor.sequence, first, count);
            cursor.sequence += count as u64;
        }
        count
    }

    fn push_run(&mut self, run: RunHead, sequence: u64, first: u32, count: usize) {
        let free = std::mem::take(&mut self.free);
        let (_described, free) = free.split_at_mut(count * RECORD_BYTES);
        let (free, entry) = free.split_at_mut(free.len() - RUN_BYTES);
        entry[0..8].copy_from_slice(&sequence.to_le_bytes());
        entry[8..16].copy_from_slice(&(run.arrival_ms as f64).to_le_bytes());
        entry[16..20].copy_from_slice(&run.shard.to_le_bytes());
        entry[20..24].copy_from_slice(&first.to_le_bytes());
        self.free = free;
        self.next += count;
        self.set(Slot::Runs, self.get(Slot::Runs) + 1);
    }
}

/// Where a run's bytes will stand, and how many of them may be described.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Added to offsets in the payload.
    pub base: u32,
    /// Records must end within so many bytes.
    pub bytes: usize,
    /// At most so many of them.
    pub records: usize,
}

/// Fills the slots with the records from the cursor on, and moves its offset.
fn describe_all(slots: &mut [[u8; RECORD_BYTES]], payload: &[u8], cursor: &mut Cursor, limits: Limits) -> usize {
    let within = payload.len().min(cursor.offset.saturating_add(limits.bytes));
    let mut records = Records::from_offset(&payload[..within], cursor.offset);
    let mut count = 0;
    for slot in slots {
        let Some(record) = records.next() else { break };
        *slot = descriptor(limits.base, &record);
        count += 1;
    }
    cursor.offset = records.offset();
    count
}

fn descriptor(base: u32, record: &RecordView<'_>) -> [u8; RECORD_BYTES] {
    // Offsets and lengths inside of a segment or slab are below 4 GiB, so that these never saturate.
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let key_bytes = narrow(record.key.len()) | if is_ascii(record.key) { 0 } else { WIDE_KEY };
    let words = [base.wrapping_add(narrow(record.data_offset)), narrow(record.data.len()), key_bytes];
    let mut bytes = [0; RECORD_BYTES];
    for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *slot = word.to_le_bytes();
    }
    bytes
}

/// Keys of 8 to 16 bytes, the most frequent, are two words that overlap; the standard library's walk costs more than
/// all else that is done for a record.
fn is_ascii(key: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) if key.len() <= 16 => {
            (u64::from_le_bytes(*first) | u64::from_le_bytes(*last)) & HIGH_BITS == 0
        }
        _ => key.is_ascii(),
    }
}
