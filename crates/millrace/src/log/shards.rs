//! The shard map as the log leaves it: what the newest segment opens with, and each change behind that, in the order of
//! the log. What shards are for, this file does not know; that a change is missing, it does.

use std::sync::Arc;

use super::LogConfig;
use super::scan::read_opening;
use super::segment::{SegmentFile, open_file};
use crate::disk::{Access, Disk};
use crate::error::{Error, Kind, Result};
use crate::format::change::{ShardChange, next_shard};
use crate::format::frame::{FrameHead, RunKind};
use crate::format::index::Summary;
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::snapshot::ShardEntry;
use crate::format::{FRAME_ALIGNMENT, Position};

/// A segment of the log, up to where it ends.
pub(super) enum Stretch<'a> {
    Sealed(&'a Summary),
    Open(&'a Arc<SegmentFile>, u32),
}

/// Shards that are followed along the log.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub shards: Vec<ShardEntry>,
    /// The records that were passed are of shards with lower numbers.
    pub records_until: u32,
    /// The first change that could not be followed, and what says so.
    pub lost: Option<(Position, String)>,
}

impl Stretch<'_> {
    pub fn segment(&self) -> u32 {
        match self {
            Stretch::Sealed(summary) => summary.segment,
            Stretch::Open(file, _) => file.segment,
        }
    }

    fn file(&self, disk: &dyn Disk, config: &LogConfig) -> Result<(Arc<SegmentFile>, u32)> {
        match self {
            Stretch::Sealed(Summary { segment, incarnation, end, .. }) => {
                Ok((open_file(disk, &config.directory, *segment, *incarnation, Access::Read)?, *end))
            }
            Stretch::Open(file, end) => Ok((Arc::clone(file), *end)),
        }
    }
}

/// The shards at the end of a log of these segments, oldest first. Where `is_closed`, the log was closed in order with
/// all shards below `config.next_shard` opened: what opens with them is followed by no change.
pub(super) fn shards_at_end(
    disk: &dyn Disk,
    config: &LogConfig,
    stretches: &[Stretch<'_>],
    is_closed: bool,
) -> Result<Arc<Vec<ShardEntry>>> {
    let mut followed = Followed::new(config.shards.clone());
    let mut behind = (0, SEGMENT_HEADER_BYTES);
    for (index, stretch) in stretches.iter().enumerate().rev() {
        let (file, end) = stretch.file(disk, config)?;
        if let Some((opening, opening_end)) = read_opening(&file, end)? {
            followed = Followed::new(opening.shards);
            behind = (index, opening_end);
            break;
        }
    }
    let is_newest = behind.0 + 1 == stretches.len();
    if is_newest && is_closed && next_shard(&followed.shards) == config.next_shard {
        return Ok(Arc::new(followed.shards));
    }
    for (index, stretch) in stretches.iter().enumerate().skip(behind.0) {
        let (file, end) = stretch.file(disk, config)?;
        let start = if index == behind.0 { behind.1 } else { SEGMENT_HEADER_BYTES };
        followed.follow(&file, start, end)?;
    }
    let end = stretches.last().map_or(0, Stretch::segment);
    followed.complete(config, Position::new(end, 0)).map(Arc::new)
}

impl Followed {
    pub fn new(shards: Vec<ShardEntry>) -> Followed {
        Followed { shards, records_until: 0, lost: None }
    }

    /// Goes on along a part of a segment, over damage too.
    pub fn follow(&mut self, file: &SegmentFile, start: u32, end: u32) -> Result<()> {
        let mut offset = start;
        while offset < end {
            let Some(head) = file.frame(offset, end)? else {
                offset += FRAME_ALIGNMENT;
                continue;
            };
            let bytes = file.map()?.bytes(offset as usize..end.min(file.bytes) as usize).unwrap_or_default();
            self.pass(Position::new(file.segment, offset), &head, bytes);
            offset += head.header.padded_bytes();
        }
        Ok(())
    }

    /// Does the changes of a frame, whose bytes `frame` begins with.
    pub fn pass(&mut self, place: Position, head: &FrameHead<'_>, frame: &[u8]) {
        let entries = || (0..head.runs()).filter_map(|run| head.run(run));
        let records = entries().filter(|entry| entry.kind == RunKind::Records);
        self.records_until = records.map(|entry| entry.shard.saturating_add(1)).fold(self.records_until, u32::max);
        if self.records_until > next_shard(&self.shards) {
            let fault = format!("records of shard {} follow it", self.records_until - 1);
            self.lost.get_or_insert((place, fault));
        }
        let changes = entries().filter(|entry| entry.kind == RunKind::ShardChange);
        for (sequence, entry) in (head.header.first_sequence..).zip(changes) {
            let payload = frame.get(entry.payload()).filter(|_| entry.is_intact(frame));
            let fault = match payload.and_then(ShardChange::decode) {
                None => "it is damaged".to_owned(),
                Some(change) => match change.apply(&mut self.shards, sequence) {
                    Ok(()) => continue,
                    Err(misfit) => format!("one before it is missing, it does not fit shard {}", misfit.shard),
                },
            };
            self.lost.get_or_insert((place, fault));
        }
    }

    /// The shards, if no change before them is missing.
    fn complete(self, config: &LogConfig, end: Position) -> Result<Vec<ShardEntry>> {
        let Followed { shards, lost, .. } = self;
        let next = next_shard(&shards);
        let lost = lost.or_else(|| {
            let missing = || format!("expected shards up to number {}, found {next}", config.next_shard);
            (next < config.next_shard).then(|| (end, missing()))
        });
        let Some((place, fault)) = lost else { return Ok(shards) };
        let message = format!(
            "{}: a change of its shards at or before {place} is lost ({fault}), so nobody can say where records belong; restore \
             the store from a copy, or save what is good of it with millrace repair",
            config.name
        );
        Err(Error::new(Kind::Corrupt, message))
    }
}
