//! From staged records to frames: check each record, hash the keys several at a time, route, then group by shard.
//!
//! The records of one shard keep the order in which they were staged, so the order of each key is kept. A packer is
//! reused: after a few appends it allocates nothing.

use crate::error::{Error, Kind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES, RunKind};
use crate::format::record::{EXPLICIT_HASH_KEY, KEY_CHARACTERS_MAX, RECORD_HEADER_BYTES, RecordHeader};
use crate::format::{FRAME_BYTES_MAX, u32_of};
use crate::log::draft::FrameDraft;
use crate::metrics::meter::Seen;
use crate::shard::{HashKey, KeySpan, ShardId, ShardMap, hash_all};
use crate::stream::staged::Staged;

const HASH_KEY_BYTES: usize = 16;
/// Keys of so many bytes are copied with what follows them: a copy of a fixed length is no call.
const SHORT_KEY_BYTES: usize = 16;

/// Where a record went: its shard, and its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The shard's number.
    pub shard: u32,
    /// The record's sequence within the stream.
    pub sequence: u64,
}

/// A staged record that has been checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub header: RecordHeader,
    /// Where its data starts.
    data: u32,
    /// Where its key starts.
    key: u32,
    /// Its shard's place among the open ones.
    slot: u32,
}

/// What one shard gets of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    bytes: u32,
    records: u32,
    // Where its next record goes, and that record's number in the frame.
    offset: u32,
    delta: u32,
}

/// Packs staged records; owned by one append at a time.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    staged: Vec<Checked>,
    spans: Vec<KeySpan>,
    hashes: Vec<HashKey>,
    explicit: Vec<(u32, HashKey)>,
    slots: Vec<Slot>,
    touched: Vec<u32>,
    // How many of `staged` are in frames already, and how many were before the last frame.
    done: usize,
    done_before: usize,
    /// The frame that `next_frame` made.
    pub draft: FrameDraft,
}

impl Packer {
    /// Checks and routes the records of a batch; nothing of one with a bad record is appended.
    pub fn load(&mut self, batch: Staged<'_>, bytes_max: u32, map: &ShardMap) -> Result<()> {
        let Staged { records, keys, count } = batch;
        if u32::try_from(batch.bytes()).is_err() {
            let message = format!("expected at most {} bytes in one append, got {}", u32::MAX, batch.bytes());
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        self.staged.clear();
        self.spans.clear();
        self.hashes.clear();
        self.explicit.clear();
        (self.done, self.done_before) = (0, 0);
        let limits = Limits::of(batch, bytes_max);
        let mut place = (0, 0);
        for index in 0..count {
            let (record, explicit) = Checked::of(batch, place, index, limits)?;
            if let Some(hash) = explicit {
                self.explicit.push((u32_of(index), hash));
            }
            self.spans.push(record.key());
            self.staged.push(record);
            place = record.end();
        }
        if place != (records.len(), keys.len()) {
            let (records, keys) = (records.len(), keys.len());
            let message = format!("expected {count} records in {records} and {keys} bytes, they end at {place:?}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        hash_all(keys, &self.spans, &mut self.hashes);
        for (index, key) in &self.explicit {
            self.hashes[*index as usize] = *key;
        }
        for (record, hash) in self.staged.iter_mut().zip(&self.hashes) {
            record.slot = u32_of(map.route_to(*hash));
        }
        self.make_slots(map);
        Ok(())
    }

    /// The shard of each record by the map that routed it, with the bytes of its key and data.
    pub fn sizes(&self, map: &ShardMap) -> impl Iterator<Item = (ShardId, u64)> {
        self.staged.iter().map(|record| (map.open_ids()[record.slot as usize], record.bytes()))
    }

    /// Keeps those records that `admits` admits, which is given their numbers in the batch, and what `sizes` says.
    pub fn keep(&mut self, map: &ShardMap, mut admits: impl FnMut(usize, ShardId, u64) -> bool) {
        let mut kept = 0;
        for index in 0..self.staged.len() {
            let record = self.staged[index];
            if admits(index, map.open_ids()[record.slot as usize], record.bytes()) {
                self.staged[kept] = record;
                self.hashes[kept] = self.hashes[index];
                kept += 1;
            }
        }
        self.staged.truncate(kept);
        self.hashes.truncate(kept);
    }

    /// Takes the last frame back, which was not appended, and routes what is not in frames yet by another map.
    pub fn route_again(&mut self, map: &ShardMap) {
        self.done = self.done_before;
        for (record, hash) in self.staged.iter_mut().zip(&self.hashes).skip(self.done) {
            record.slot = u32_of(map.route_to(*hash));
        }
        self.make_slots(map);
    }

    fn make_slots(&mut self, map: &ShardMap) {
        if self.slots.len() < map.open_count() {
            self.slots.resize(map.open_count(), Slot::default());
        }
    }

    /// Lays out the next frame in `draft`, with as many records as fit; `false` when all are done. Where `placements`
    /// is given, each record's shard and its number within the frame are appended to it. `map` is the one that routed
    /// the records.
    pub fn next_frame(&mut self, batch: Staged<'_>, map: &ShardMap, placements: Option<&mut Vec<Placement>>) -> bool {
        let taken = self.fill_slots();
        if taken == 0 {
            return false;
        }
        let payload_bytes: u32 = self.touched.iter().map(|slot| self.slots[*slot as usize].bytes).sum();
        self.draft.start(self.touched.len(), payload_bytes as usize);
        self.place_slots();
        self.copy(batch, taken, map, placements);
        let mut offset = FRAME_HEADER_BYTES + self.touched.len() * RUN_ENTRY_BYTES;
        for index in self.touched.drain(..) {
            let slot = std::mem::take(&mut self.slots[index as usize]);
            let shard = map.open_ids()[index as usize].0;
            self.draft.add_run(RunKind::Records, shard, offset, slot.bytes as usize, slot.records);
            offset += slot.bytes as usize;
        }
        self.done_before = self.done;
        self.done += taken;
        true
    }

    /// How many of the batch's records are in frames by now.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The record of this number in the batch.
    pub fn record<'a>(&self, batch: Staged<'a>, index: usize) -> Seen<'a> {
        let (record, hash) = (&self.staged[index], self.hashes[index]);
        Seen { hash, key: record.key().of(batch.keys), bytes: record.bytes() }
    }

    /// Counts what each shard gets of the next frame; returns how many records that is.
    fn fill_slots(&mut self) -> usize {
        let mut frame_bytes = FRAME_HEADER_BYTES;
        let rest = &self.staged[self.done..];
        for (index, record) in rest.iter().enumerate() {
            let slot = &mut self.slots[record.slot as usize];
            let table_bytes = if slot.records == 0 { RUN_ENTRY_BYTES } else { 0 };
            frame_bytes += table_bytes + record.header.record_bytes();
            if frame_bytes > FRAME_BYTES_MAX as usize {
                return index;
            }
            if slot.records == 0 {
                self.touched.push(record.slot);
            }
            slot.bytes += u32_of(record.header.record_bytes());
            slot.records += 1;
        }
        rest.len()
    }

    fn place_slots(&mut self) {
        let mut offset = u32_of(FRAME_HEADER_BYTES + self.touched.len() * RUN_ENTRY_BYTES);
        let mut delta = 0;
        for index in &self.touched {
            let slot = &mut self.slots[*index as usize];
            (slot.offset, slot.delta) = (offset, delta);
            offset += slot.bytes;
            delta += slot.records;
        }
    }

    fn copy(&mut self, batch: Staged<'_>, taken: usize, map: &ShardMap, mut placements: Option<&mut Vec<Placement>>) {
        let frame = self.draft.bytes_mut();
        for record in &self.staged[self.done..self.done + taken] {
            let slot = &mut self.slots[record.slot as usize];
            let at = slot.offset as usize;
            record.copy(batch, &mut frame[at..at + record.header.record_bytes()]);
            if let Some(placements) = placements.as_deref_mut() {
                let shard = map.open_ids()[record.slot as usize].0;
                placements.push(Placement { shard, sequence: u64::from(slot.delta) });
            }
            slot.offset += u32_of(record.header.record_bytes());
            slot.delta += 1;
        }
    }
}

impl Checked {
    /// Checks the record whose header and key are at `place`, the one of this index. Returns the hash key that its
    /// caller chose with it.
    #[inline]
    pub fn of(
        Staged { records, keys, .. }: Staged<'_>,
        (start, key): (usize, usize),
        index: usize,
        Limits { bytes_max, keys_are_ascii }: Limits,
    ) -> Result<(Checked, Option<HashKey>)> {
        let header = records.get(start..).and_then(RecordHeader::decode).ok_or_else(|| cut_off(index))?;
        let explicit = match header.flags {
            0 => 0,
            EXPLICIT_HASH_KEY => HASH_KEY_BYTES,
            other => return Err(unknown_flags(index, other)),
        };
        let data = start + RECORD_HEADER_BYTES + explicit;
        let (data_end, key_end) = (data + header.data_bytes as usize, key + header.key_bytes as usize);
        if data_end - data + key_end - key > bytes_max {
            return Err(too_large(index, bytes_max, header));
        }
        let text = keys.get(key..key_end).filter(|_| data_end <= records.len()).ok_or_else(|| cut_off(index))?;
        // An ASCII key has as many characters as bytes.
        if !(keys_are_ascii && (1..=KEY_CHARACTERS_MAX).contains(&text.len())) {
            check_key(text, index)?;
        }
        let explicit = (explicit > 0).then(|| {
            let hash = records[start + RECORD_HEADER_BYTES..data].try_into().expect("16 bytes");
            HashKey(u128::from_be_bytes(hash))
        });
        Ok((Checked { header, data: u32_of(data), key: u32_of(key), slot: 0 }, explicit))
    }

    /// Where its key stands among the keys.
    #[inline]
    pub fn key(&self) -> KeySpan {
        KeySpan { offset: self.key, len: self.header.key_bytes }
    }

    /// The bytes of its key and data.
    #[inline]
    pub fn bytes(&self) -> u64 {
        u64::from(self.header.data_bytes) + u64::from(self.header.key_bytes)
    }

    /// Where the header and the key of the next record stand.
    #[inline]
    pub fn end(&self) -> (usize, usize) {
        let Checked { header, data, key, .. } = self;
        (*data as usize + header.data_bytes as usize, *key as usize + header.key_bytes as usize)
    }

    /// Writes the record as it stands on disk; `target` is as long.
    #[inline]
    pub fn copy(&self, Staged { records, keys, .. }: Staged<'_>, target: &mut [u8]) {
        let (header, rest) = target.split_at_mut(RECORD_HEADER_BYTES);
        header.copy_from_slice(&self.header.encode());
        let (key_bytes, key) = (self.header.key_bytes as usize, &keys[self.key as usize..]);
        match (rest.first_chunk_mut::<SHORT_KEY_BYTES>(), key.first_chunk()) {
            // What was copied behind the key is written over by the data.
            (Some(target), Some(chunk)) if key_bytes <= SHORT_KEY_BYTES => *target = *chunk,
            _ => rest[..key_bytes].copy_from_slice(&key[..key_bytes]),
        }
        let data = &mut rest[key_bytes..];
        data.copy_from_slice(&records[self.data as usize..][..data.len()]);
    }
}

/// What a record of a batch must keep to.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Key and data together.
    bytes_max: usize,
    keys_are_ascii: bool,
}

impl Limits {
    /// What the records of this batch must keep to.
    pub fn of(batch: Staged<'_>, bytes_max: u32) -> Limits {
        Limits { bytes_max: bytes_max as usize, keys_are_ascii: batch.keys.is_ascii() }
    }
}

#[cold]
fn cut_off(index: usize) -> Error {
    Error::new(Kind::InvalidArgument, format!("record {index} ends behind the staged bytes"))
}

#[cold]
fn unknown_flags(index: usize, flags: u16) -> Error {
    let message = format!("record {index}: expected flags 0 or {EXPLICIT_HASH_KEY}, got {flags}");
    Error::new(Kind::InvalidArgument, message)
}

#[cold]
fn too_large(index: usize, bytes_max: usize, header: RecordHeader) -> Error {
    let bytes = header.key_bytes as usize + header.data_bytes as usize;
    let message = format!(
        "record {index}: expected at most {bytes_max} bytes of key and data, got {bytes}; \
         split it, or create the stream with a larger maxRecordBytes (10 MiB at most)"
    );
    Error::new(Kind::RecordTooLarge, message)
}

fn check_key(key: &[u8], index: usize) -> Result<()> {
    let characters = if key.is_ascii() {
        key.len()
    } else {
        let text = std::str::from_utf8(key).map_err(|error| {
            Error::new(Kind::InvalidKey, format!("record {index}: expected a partition key in UTF-8, got {error}"))
        })?;
        text.chars().count()
    };
    if (1..=KEY_CHARACTERS_MAX).contains(&characters) {
        return Ok(());
    }
    let message =
        format!("record {index}: expected a partition key of 1 to {KEY_CHARACTERS_MAX} characters, got {characters}");
    Err(Error::new(Kind::InvalidKey, message))
}
