//! A frame before it has a place in the log: header left blank, run table and payloads laid out, the sums over the
//! payloads made. What depends on the place is filled in under the log's append lock.

use crate::format::checksum::{crc32c, seed};
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHead, FrameHeader, RUN_ENTRY_BYTES, RunEntry, RunKind};
use crate::format::{FRAME_ALIGNMENT, Position, aligned, u32_of};

/// A frame in the making.
#[derive(Debug, Default)]
pub(crate) struct FrameDraft {
    bytes: Vec<u8>,
    runs: Vec<RunEntry>,
    records: u32,
}

/// What a frame's place decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub incarnation: u64,
    pub offset: u32,
    pub first_sequence: u64,
    pub arrival_ms: u64,
    pub mark: Position,
    pub mark_sequence: u64,
    pub previous_checksum: u32,
}

impl FrameDraft {
    /// Starts a frame with room for `runs` runs whose payloads take `payload_bytes` together.
    pub fn start(&mut self, runs: usize, payload_bytes: usize) {
        let head = FRAME_HEADER_BYTES + runs * RUN_ENTRY_BYTES;
        let total = aligned(u32_of(head + payload_bytes)) as usize;
        // Old bytes are overwritten by the payloads; head and padding are cleared in `place`.
        self.bytes.resize(total, 0);
        self.runs.clear();
        self.records = 0;
    }

    /// The whole frame's bytes, for payloads to be written in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Adds a run whose payload stands at `payload_offset` of the frame already. Runs come in the order of their
    /// payloads, and their records' sequences follow each other.
    pub fn add_run(&mut self, kind: RunKind, shard: u32, payload_offset: usize, payload_bytes: usize, records: u32) {
        let checksum = crc32c(&self.bytes[payload_offset..payload_offset + payload_bytes]);
        self.runs.push(RunEntry {
            kind,
            flags: 0,
            shard,
            payload_offset: u32_of(payload_offset),
            payload_bytes: u32_of(payload_bytes),
            records,
            sequence_delta: self.records,
            checksum,
        });
        self.records += records;
    }

    /// A frame of runs that hold no records.
    pub fn of_state(runs: &[(RunKind, Vec<u8>)]) -> FrameDraft {
        let mut draft = FrameDraft::default();
        draft.start(runs.len(), runs.iter().map(|(_, payload)| payload.len()).sum());
        let mut offset = FRAME_HEADER_BYTES + runs.len() * RUN_ENTRY_BYTES;
        for (kind, payload) in runs {
            draft.bytes[offset..offset + payload.len()].copy_from_slice(payload);
            draft.add_run(*kind, 0, offset, payload.len(), 0);
            offset += payload.len();
        }
        draft
    }

    /// The frame's runs, in their order.
    pub fn runs(&self) -> &[RunEntry] {
        &self.runs
    }

    /// How many sequences the frame takes: those of its records, and of its changes of the shard map.
    pub fn sequences(&self) -> u64 {
        let own: u64 = self.runs.iter().map(|run| run.kind.own_sequences()).sum();
        u64::from(self.records) + own
    }

    /// The frame's length with padding, in bytes.
    pub fn padded_bytes(&self) -> u32 {
        u32_of(self.bytes.len())
    }

    /// How many records the frame holds.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Where a payload looks like a frame that starts there; hardly ever anywhere.
    pub fn lookalikes(&mut self) -> Vec<u32> {
        let payload_end = self.payload_end();
        self.bytes[payload_end..].fill(0);
        let head = FRAME_HEADER_BYTES + self.runs.len() * RUN_ENTRY_BYTES;
        let start = aligned(u32_of(head));
        let slots = (start..self.padded_bytes()).step_by(FRAME_ALIGNMENT as usize);
        slots.filter(|slot| FrameHead::looks_like_one(&self.bytes[*slot as usize..])).collect()
    }

    /// Whether one of these would be a frame indeed, were this frame written at `offset`.
    pub fn holds_a_frame(&self, lookalikes: &[u32], incarnation: u64, offset: u32) -> bool {
        let version = |slot: &u32| FrameHead::version(&self.bytes[*slot as usize..], incarnation, offset + slot);
        lookalikes.iter().any(|slot| version(slot).is_some())
    }

    fn payload_end(&self) -> usize {
        let head = FRAME_HEADER_BYTES + self.runs.len() * RUN_ENTRY_BYTES;
        self.runs.last().map_or(head, |run| run.payload().end)
    }

    /// Fills in what the place decides; returns the bytes to write and the frame's checksum.
    pub fn place(&mut self, place: Place) -> (&[u8], u32) {
        let payload_end = self.payload_end();
        self.bytes[payload_end..].fill(0);
        let seed = seed(place.incarnation, place.offset);
        for (run, entry) in self.runs.iter().zip(self.bytes[FRAME_HEADER_BYTES..].chunks_exact_mut(RUN_ENTRY_BYTES)) {
            run.encode(entry, seed);
        }
        let header = FrameHeader {
            frame_bytes: u32_of(payload_end),
            runs: u32_of(self.runs.len()),
            first_sequence: place.first_sequence,
            arrival_ms: place.arrival_ms,
            mark: place.mark,
            mark_sequence: place.mark_sequence,
            previous_checksum: place.previous_checksum,
            records: self.records,
            checksum: 0,
        };
        let checksum = header.encode(&mut self.bytes, seed);
        (&self.bytes, checksum)
    }
}
