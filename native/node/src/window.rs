//! The window: descriptors of records, written where JavaScript's typed arrays look.
//!
//! ```text
//! 0          64                 64 + 8n            64 + 16n                    64 + 32n
//! | 16 x u32 | n x u64 sequence | n x f64 arrival | n x 4 u32: offset and length of the data, length of the key
//! |  header  |                  |                 |            (bit 31: not ASCII), shard                       |
//! ```
//! Numbers are little endian, which is what typed arrays are on every platform that Node runs on. The counterpart is
//! `Window` in `src/batch.ts`.

use millrace::format::record::{RecordView, Records};

use crate::error::internal;

const HEADER_BYTES: usize = 64;
const DESCRIPTOR_BYTES: usize = 32;
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
}

/// A window over bytes of JavaScript.
pub struct Window<'a> {
    header: &'a mut [[u8; 4]],
    sequences: &'a mut [[u8; 8]],
    arrivals: &'a mut [[u8; 8]],
    meta: &'a mut [[u8; 16]],
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
        let descriptors = bytes.len().checked_sub(HEADER_BYTES).filter(|bytes| bytes % DESCRIPTOR_BYTES == 0);
        let capacity = descriptors.ok_or_else(|| internal("a window of a wrong length"))? / DESCRIPTOR_BYTES;
        let (header, rest) = bytes.split_at_mut(HEADER_BYTES);
        let (sequences, rest) = rest.split_at_mut(capacity * 8);
        let (arrivals, meta) = rest.split_at_mut(capacity * 8);
        let header = header.as_chunks_mut().0;
        let (sequences, arrivals, meta) =
            (sequences.as_chunks_mut().0, arrivals.as_chunks_mut().0, meta.as_chunks_mut().0);
        let mut window = Window { header, sequences, arrivals, meta, next: 0 };
        window.next = window.get(Slot::First) as usize;
        if window.next > capacity {
            return Err(internal("a window that starts behind its end"));
        }
        Ok(window)
    }

    /// A word of the header.
    pub fn get(&self, slot: Slot) -> u32 {
        u32::from_le_bytes(self.header[slot as usize])
    }

    /// Sets a word of the header.
    pub fn set(&mut self, slot: Slot, value: u32) {
        self.header[slot as usize] = value.to_le_bytes();
    }

    /// Descriptors that still fit.
    pub fn room(&self) -> usize {
        self.sequences.len() - self.next
    }

    /// Describes as many records of a run's payload from `cursor` on as there is room for, here and within the
    /// limits. Returns how many, and moves the cursor.
    pub fn describe(&mut self, run: RunHead, payload: &[u8], cursor: &mut Cursor, limits: Limits) -> usize {
        let end = cursor.offset.saturating_add(limits.bytes);
        let meta = &mut self.meta[self.next..];
        let mut records = Records::from_offset(payload, cursor.offset);
        let mut count = 0;
        for slot in meta.iter_mut().take(limits.records) {
            let Some(record) = records.next() else { break };
            if records.offset() > end {
                break;
            }
            cursor.offset = records.offset();
            *slot = descriptor(limits.base, &record, run.shard);
            count += 1;
        }
        let arrival = (run.arrival_ms as f64).to_le_bytes();
        self.arrivals[self.next..][..count].fill(arrival);
        for (slot, sequence) in self.sequences[self.next..][..count].iter_mut().zip(cursor.sequence..) {
            *slot = sequence.to_le_bytes();
        }
        cursor.sequence += count as u64;
        self.next += count;
        count
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

fn descriptor(base: u32, record: &RecordView<'_>, shard: u32) -> [u8; 16] {
    // Offsets and lengths inside of a segment or slab are below 4 GiB, so that these never saturate.
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let key_bytes = narrow(record.key.len()) | if record.key.is_ascii() { 0 } else { WIDE_KEY };
    let words = [base.wrapping_add(narrow(record.data_offset)), narrow(record.data.len()), key_bytes, shard];
    let mut bytes = [0; 16];
    for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *slot = word.to_le_bytes();
    }
    bytes
}
