//! From staged records to frames: check each record, hash the keys several at a time, route, then group by shard.
//!
//! The records of one shard keep the order in which they were staged, so the order of each key is kept. A packer is
//! reused: after a few appends it allocates nothing.

use crate::error::{Error, Kind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES, RunKind};
use crate::format::record::{EXPLICIT_HASH_KEY, KEY_CHARACTERS_MAX, RECORD_HEADER_BYTES, RecordHeader};
use crate::format::{FRAME_BYTES_MAX, u32_of};
use crate::log::draft::FrameDraft;
use crate::shard::{HashKey, KeySpan, ShardMap, hash_all};

const HASH_KEY_BYTES: usize = 16;

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
pub(super) struct Staged {
    /// Where its header starts.
    start: u32,
    /// Where its key starts.
    body: u32,
    /// Key and data together.
    body_bytes: u32,
    shard: u32,
}

impl Staged {
    pub(super) fn disk_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.body_bytes as usize
    }

    /// Writes the record as it stands on disk, without its explicit hash key, into `target` of `disk_bytes`.
    pub(super) fn write(&self, staged: &[u8], target: &mut [u8]) {
        let (start, body) = (self.start as usize, self.body as usize);
        let (header, rest) = target.split_at_mut(RECORD_HEADER_BYTES);
        header.copy_from_slice(&staged[start..start + RECORD_HEADER_BYTES]);
        rest.copy_from_slice(&staged[body..body + self.body_bytes as usize]);
    }
}

/// A staged record that is as it should be, before its key is hashed.
pub(super) struct Checked {
    pub record: Staged,
    pub key: KeySpan,
    /// The hash key that its caller chose.
    pub explicit: Option<HashKey>,
    /// Where the next record starts.
    pub end: usize,
}

impl Checked {
    /// Checks the record at `offset`, which is the one of this index.
    pub fn of(bytes: &[u8], offset: usize, index: usize, bytes_max: u32) -> Result<Checked> {
        let cut_off = || Error::new(Kind::InvalidArgument, format!("record {index} ends behind the staged bytes"));
        let header = bytes.get(offset..).and_then(RecordHeader::decode).ok_or_else(cut_off)?;
        let explicit = match header.flags {
            0 => 0,
            EXPLICIT_HASH_KEY => HASH_KEY_BYTES,
            other => {
                let message = format!("record {index}: expected flags 0 or {EXPLICIT_HASH_KEY}, got {other}");
                return Err(Error::new(Kind::InvalidArgument, message));
            }
        };
        let body = offset + RECORD_HEADER_BYTES + explicit;
        let body_bytes = header.key_bytes as usize + header.data_bytes as usize;
        if body_bytes > bytes_max as usize {
            let message = format!(
                "record {index}: expected at most {bytes_max} bytes of key and data, got {body_bytes}; \
                 split it, or create the stream with a larger maxRecordBytes (10 MiB at most)"
            );
            return Err(Error::new(Kind::RecordTooLarge, message));
        }
        let key = bytes.get(body..body + header.key_bytes as usize).ok_or_else(cut_off)?;
        check_key(key, index)?;
        let end = body + body_bytes;
        if end > bytes.len() {
            return Err(cut_off());
        }
        let explicit = (explicit > 0).then(|| {
            let hash = bytes[body - HASH_KEY_BYTES..body].try_into().expect("16 bytes");
            HashKey(u128::from_be_bytes(hash))
        });
        let key = KeySpan { offset: u32_of(body), len: header.key_bytes };
        let (start, body, body_bytes) = (u32_of(offset), u32_of(body), u32_of(body_bytes));
        Ok(Checked { record: Staged { start, body, body_bytes, shard: 0 }, key, explicit, end })
    }
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
    staged: Vec<Staged>,
    spans: Vec<KeySpan>,
    hashes: Vec<HashKey>,
    explicit: Vec<(u32, HashKey)>,
    slots: Vec<Slot>,
    touched: Vec<u32>,
    // How many of `staged` are in frames already.
    done: usize,
    /// The frame that `next_frame` made.
    pub draft: FrameDraft,
}

impl Packer {
    /// Checks and routes `count` records; nothing of a call with a bad record is appended.
    pub fn load(&mut self, bytes: &[u8], count: usize, bytes_max: u32, map: &ShardMap) -> Result<()> {
        if u32::try_from(bytes.len()).is_err() {
            let message = format!("expected at most {} bytes in one append, got {}", u32::MAX, bytes.len());
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        self.staged.clear();
        self.spans.clear();
        self.hashes.clear();
        self.explicit.clear();
        self.done = 0;
        let mut offset = 0;
        for index in 0..count {
            offset = self.check(bytes, offset, index, bytes_max)?;
        }
        if offset != bytes.len() {
            let message = format!("expected {count} records in {} bytes, they end at {offset}", bytes.len());
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        hash_all(bytes, &self.spans, &mut self.hashes);
        for (index, key) in &self.explicit {
            self.hashes[*index as usize] = *key;
        }
        for (record, hash) in self.staged.iter_mut().zip(&self.hashes) {
            record.shard = map.route(*hash).0;
        }
        let shards = map.shards().len();
        if self.slots.len() < shards {
            self.slots.resize(shards, Slot::default());
        }
        Ok(())
    }

    /// Checks the record at `offset`, takes it in, and returns where the next one starts.
    fn check(&mut self, bytes: &[u8], offset: usize, index: usize, bytes_max: u32) -> Result<usize> {
        let checked = Checked::of(bytes, offset, index, bytes_max)?;
        if let Some(hash) = checked.explicit {
            self.explicit.push((u32_of(index), hash));
        }
        self.spans.push(checked.key);
        self.staged.push(checked.record);
        Ok(checked.end)
    }

    /// Lays out the next frame in `draft`, with as many records as fit; `false` when all are done. Where `placements`
    /// is given, each record's shard and its number within the frame are appended to it.
    pub fn next_frame(&mut self, bytes: &[u8], placements: Option<&mut Vec<Placement>>) -> bool {
        let taken = self.fill_slots();
        if taken == 0 {
            return false;
        }
        let payload_bytes: u32 = self.touched.iter().map(|shard| self.slots[*shard as usize].bytes).sum();
        self.draft.start(self.touched.len(), payload_bytes as usize);
        self.place_slots();
        self.copy(bytes, taken, placements);
        let mut offset = FRAME_HEADER_BYTES + self.touched.len() * RUN_ENTRY_BYTES;
        for shard in self.touched.drain(..) {
            let slot = std::mem::take(&mut self.slots[shard as usize]);
            self.draft.add_run(RunKind::Records, shard, offset, slot.bytes as usize, slot.records);
            offset += slot.bytes as usize;
        }
        self.done += taken;
        true
    }

    /// Counts what each shard gets of the next frame; returns how many records that is.
    fn fill_slots(&mut self) -> usize {
        let mut frame_bytes = FRAME_HEADER_BYTES;
        let rest = &self.staged[self.done..];
        for (index, record) in rest.iter().enumerate() {
            let slot = &mut self.slots[record.shard as usize];
            let table_bytes = if slot.records == 0 { RUN_ENTRY_BYTES } else { 0 };
            frame_bytes += table_bytes + record.disk_bytes();
            if frame_bytes > FRAME_BYTES_MAX as usize {
                return index;
            }
            if slot.records == 0 {
                self.touched.push(record.shard);
            }
            slot.bytes += u32_of(record.disk_bytes());
            slot.records += 1;
        }
        rest.len()
    }

    fn place_slots(&mut self) {
        let mut offset = u32_of(FRAME_HEADER_BYTES + self.touched.len() * RUN_ENTRY_BYTES);
        let mut delta = 0;
        for shard in &self.touched {
            let slot = &mut self.slots[*shard as usize];
            (slot.offset, slot.delta) = (offset, delta);
            offset += slot.bytes;
            delta += slot.records;
        }
    }

    fn copy(&mut self, bytes: &[u8], taken: usize, mut placements: Option<&mut Vec<Placement>>) {
        let frame = self.draft.bytes_mut();
        for record in &self.staged[self.done..self.done + taken] {
            let slot = &mut self.slots[record.shard as usize];
            let at = slot.offset as usize;
            record.write(bytes, &mut frame[at..at + record.disk_bytes()]);
            if let Some(placements) = placements.as_deref_mut() {
                placements.push(Placement { shard: record.shard, sequence: u64::from(slot.delta) });
            }
            slot.offset += u32_of(record.disk_bytes());
            slot.delta += 1;
        }
    }
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
