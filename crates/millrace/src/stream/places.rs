//! The runs of one shard in a sealed segment, as its index has them.

use crate::disk::Disk;
use crate::error::Result;
use crate::format::index::{DAMAGED, RunDetail, RunPlace, ShardRuns};
use crate::log::segment::Segment;

/// One look at a page that is not mapped maps so much around it. A reader whose runs stand farther apart on average pays
/// that for each of them, several times what reading a small run costs.
const SCATTERED_BYTES: u64 = 64 << 10;
/// Scattered runs up to this length are read and not mapped, in bytes.
const READ_BYTES_MAX: u32 = 16 << 10;

/// Where a reader goes on.
pub(super) enum Onward {
    /// At a frame, whose head says which runs it has.
    Frame,
    /// At a run that the index describes.
    Run(RunDetail),
    /// Nowhere in this segment.
    End,
}

/// The runs of the reader's shard in the sealed segment that it is in.
#[derive(Debug)]
pub(super) struct Places {
    pub segment: u32,
    runs: ShardRuns,
    // Frames that were damaged when the index was built: which runs they have, only they can say.
    damaged: Vec<u32>,
    are_scattered: bool,
}

impl Places {
    /// Reads the part of a sealed segment's index that tells of a shard.
    ///
    /// # Errors
    /// `Corrupt` or `Io` where the index cannot be read.
    pub fn read(segment: &Segment, disk: &dyn Disk, shard: u32) -> Result<Places> {
        let presence = segment.summary().map(|summary| summary.presence);
        let is_listed = presence.is_none_or(|presence| presence.may_hold(shard) || presence.may_hold(DAMAGED));
        let (runs, damaged) = if is_listed { segment.read_runs_of(disk, shard)? } else { Default::default() };
        let are_scattered = are_scattered(&runs.details);
        Ok(Places { segment: segment.index, runs, damaged, are_scattered })
    }

    /// Whether the frame at this offset was damaged when the index was built.
    pub fn is_damaged(&self, frame: u32) -> bool {
        self.damaged.contains(&frame)
    }

    /// The first run at or behind a run of a frame, and what it is, where the index says so.
    pub fn next(&self, frame: u32, run: u32) -> Option<(RunPlace, Option<RunDetail>)> {
        let ShardRuns { places, details } = &self.runs;
        let next = places.partition_point(|place| (place.frame, place.run) < (frame, run));
        places.get(next).map(|place| (*place, details.get(next).copied()))
    }

    /// Whether a run of such a length is better read than looked at in the map.
    pub fn are_read(&self, payload_bytes: u32) -> bool {
        self.are_scattered && payload_bytes <= READ_BYTES_MAX
    }
}

fn are_scattered(runs: &[RunDetail]) -> bool {
    let [first, .., last] = runs else { return false };
    u64::from(last.payload.saturating_sub(first.payload)) >= runs.len() as u64 * SCATTERED_BYTES
}
