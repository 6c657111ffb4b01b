//! What a reader hands out: runs of records in the order of the log, with the bytes that they stand in.

use std::ops::Range;
use std::sync::Arc;

use super::measured::flow_of;
use crate::error::Result;
use crate::log::segment::SegmentFile;
use crate::metrics::flow::Flow;
use crate::shard::Shard;

/// What [`Reader::next`](super::reader::Reader::next) came upon.
#[derive(Debug)]
pub enum Step {
    /// Records.
    Chunk(Chunk),
    /// Nothing more at present.
    AtTail,
    /// All records of the reader's shard have been handed out, and no more will come: it was split or merged. Its
    /// children, in the order of their ids, hold what came later; those that have expired are not among them.
    EndOfShard(Vec<Shard>),
}

/// Verified records of one segment, still where they are on disk, or copied from there where that costs less.
#[derive(Debug)]
pub struct Chunk {
    /// The segment's file; the bytes stay as long as it is held.
    pub file: Arc<SegmentFile>,
    /// The runs, in the order of the log.
    pub runs: Vec<RunView>,
    /// Bytes of the file before this offset stand in pages that will not change any more.
    pub safe_end: u32,
    // The payloads of the runs that were read instead of mapped, one behind the other.
    pub(super) read: Vec<u8>,
}

/// Consecutive records of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// The shard's number.
    pub shard: u32,
    /// The sequence of the first record.
    pub first_sequence: u64,
    /// How many records there are.
    pub records: u32,
    /// When they arrived, in milliseconds since 1970.
    pub arrival_ms: u64,
    /// Where the records stand in the segment's file, one behind the other.
    pub payload: Range<u32>,
    // Where the chunk has a copy of them.
    pub(super) read_at: Option<usize>,
}

impl RunView {
    /// How many records these are, and the bytes of their keys and data.
    #[must_use]
    pub fn flow(&self) -> Flow {
        flow_of(self.records, self.payload.end - self.payload.start)
    }
}

impl Chunk {
    /// The bytes of a run, with the checksum that they were written with. That they are as many records as the run says
    /// is looked at by whoever walks them: [`Records::are_all_of`](crate::format::record::Records::are_all_of) tells, and
    /// costs a walk.
    ///
    /// # Errors
    /// `Io` where the file cannot be mapped.
    pub fn payload(&self, run: &RunView) -> Result<&[u8]> {
        let range = run.payload.start as usize..run.payload.end as usize;
        if let Some(start) = run.read_at {
            return Ok(&self.read[start..start + range.len()]);
        }
        Ok(self.file.map()?.bytes(range).expect("a run that was verified lies inside of the map"))
    }

    /// Whether the run's records are best shown where they stand in the segment's map: its pages will not change any
    /// more, and were looked at already.
    #[must_use]
    pub fn is_shown_in_place(&self, run: &RunView) -> bool {
        run.read_at.is_none() && run.payload.end <= self.safe_end
    }
}
