//! Finding places in a log: where a sequence or a time is, and which segment a place is in.

use std::sync::Arc;

use super::Log;
use super::segment::{Segment, SegmentFile};
use crate::error::{Kind, Result};
use crate::format::index::Waypoint;
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::{FRAME_ALIGNMENT, Position};

/// A place in an open segment.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub segment: Arc<Segment>,
    pub file: Arc<SegmentFile>,
    /// The place asked for, or the start of the next segment that there is.
    pub offset: u32,
    /// Where the part of the segment ends that may be read.
    pub end: u32,
}

impl Log {
    /// The first place at or behind `position` and before `limit`; `None` at the limit.
    pub fn locate(&self, position: Position, limit: Position) -> Result<Option<Located>> {
        let mut position = position;
        loop {
            if position >= limit {
                return Ok(None);
            }
            let Some(segment) = self.segment_at(position.segment) else { return Ok(None) };
            if segment.index > position.segment {
                position = Position::new(segment.index, SEGMENT_HEADER_BYTES);
                continue;
            }
            let offset = position.offset.max(SEGMENT_HEADER_BYTES);
            let end = if segment.index == limit.segment { Some(limit.offset) } else { segment.end() };
            // The limit lies in a later segment, so this one has been finished.
            let end = end.expect("a segment before the tail's has an end");
            if offset >= end {
                position = Position::new(segment.index + 1, SEGMENT_HEADER_BYTES);
                continue;
            }
            match segment.open(&*self.environment.disk) {
                Ok(file) => return Ok(Some(Located { segment, file, offset, end })),
                // Trimmed between the look and the opening: look again.
                Err(error)
                    if error.kind() == Kind::Io
                        && self.segment_at(segment.index).is_none_or(|now| now.index > segment.index) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The segment of this number, or the next one that there is.
    fn segment_at(&self, index: u32) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        segments.get(segments.partition_point(|segment| segment.index < index)).cloned()
    }

    /// The oldest place of the log.
    pub fn start(&self) -> Position {
        let first = self.segments.read().first().map_or(0, |segment| segment.index);
        Position::new(first, SEGMENT_HEADER_BYTES)
    }

    /// The first frame with a record at or behind `sequence`; the tail where there is none yet.
    pub fn position_of_sequence(&self, sequence: u64) -> Result<Position> {
        let first = |segment: &Segment| segment.first_sequence <= sequence;
        let waypoint = |waypoint: &Waypoint| waypoint.sequence <= sequence;
        let ends_before = |next_sequence: u64, _| next_sequence <= sequence;
        self.seek(first, waypoint, ends_before)
    }

    /// The first frame that arrived at or after a time; the tail where there is none yet.
    pub fn position_of_time(&self, arrival_ms: u64) -> Result<Position> {
        let first = |segment: &Segment| segment.first_arrival_ms < arrival_ms;
        let waypoint = |waypoint: &Waypoint| waypoint.arrival_ms < arrival_ms;
        let arrived_before = |_, arrived_ms: u64| arrived_ms < arrival_ms;
        self.seek(first, waypoint, arrived_before)
    }

    /// The place behind the frame that took this sequence: no lower one stands there or later. Damage is passed over.
    pub fn position_behind(&self, sequence: u64) -> Result<Position> {
        let limit = self.published();
        let mut position = self.position_of_sequence(sequence)?;
        while let Some(located) = self.locate(position, limit)? {
            position = Position::new(located.segment.index, located.offset);
            let Some(head) = located.file.frame(located.offset, located.end)? else {
                position.offset += FRAME_ALIGNMENT;
                continue;
            };
            if head.header.first_sequence > sequence {
                return Ok(position);
            }
            position.offset += head.header.padded_bytes();
            if head.next_sequence > sequence {
                return Ok(position);
            }
        }
        Ok(limit)
    }

    /// How many records there are from a sequence on and before a limit; counts no further than `most`. What stands in
    /// a damaged place is not counted.
    pub fn count_records(&self, from: u64, limit: Position, most: u64) -> Result<u64> {
        let mut position = self.position_of_sequence(from)?;
        let mut count = 0;
        while count < most
            && let Some(located) = self.locate(position, limit)?
        {
            let segment = &located.segment;
            // A sealed segment that begins here was counted when it was sealed.
            if let Some(summary) = segment.summary().filter(|_| located.offset == SEGMENT_HEADER_BYTES)
                && segment.first_sequence >= from
                && segment.index < limit.segment
            {
                count += summary.records;
                position = Position::new(segment.index + 1, SEGMENT_HEADER_BYTES);
                continue;
            }
            position = match located.file.frame(located.offset, located.end)? {
                Some(head) => {
                    count += u64::from(head.header.records).min(head.next_sequence.saturating_sub(from));
                    Position::new(segment.index, located.offset + head.header.padded_bytes())
                }
                None => Position::new(segment.index + 1, SEGMENT_HEADER_BYTES),
            };
        }
        Ok(count.min(most))
    }

    /// How many bytes of the log stand between two places, frames' heads and all.
    pub fn bytes_between(&self, from: Position, to: Position) -> u64 {
        let segments = self.segments.read();
        let part = |segment: &Arc<Segment>| {
            let start = if segment.index == from.segment { from.offset } else { SEGMENT_HEADER_BYTES };
            let end = if segment.index == to.segment { to.offset } else { segment.end().unwrap_or(start) };
            u64::from(end.saturating_sub(start))
        };
        let between = |segment: &&Arc<Segment>| (from.segment..=to.segment).contains(&segment.index);
        segments.iter().filter(between).map(part).sum()
    }

    /// Goes to the last segment and waypoint that lie before, then from frame to frame while `passes` says so of a
    /// frame's next sequence and arrival.
    fn seek(
        &self,
        segment_before: impl Fn(&Segment) -> bool,
        waypoint_before: impl Fn(&Waypoint) -> bool,
        passes: impl Fn(u64, u64) -> bool,
    ) -> Result<Position> {
        let limit = self.published();
        let found = {
            let segments = self.segments.read();
            let after = segments.partition_point(|segment| segment_before(segment));
            after.checked_sub(1).and_then(|last| segments.get(last)).cloned()
        };
        let Some(segment) = found else { return Ok(self.start()) };
        let waypoint = segment.waypoint(&*self.environment.disk, waypoint_before);
        let mut position = Position::new(segment.index, waypoint.offset);
        while let Some(located) = self.locate(position, limit)? {
            position = Position::new(located.segment.index, located.offset);
            // At a damaged frame the seek ends early: the reader reports it, and filters what lies before the target.
            let Some(head) = located.file.frame(located.offset, located.end)? else { return Ok(position) };
            if !passes(head.next_sequence, head.header.arrival_ms) {
                return Ok(position);
            }
            position.offset += head.header.padded_bytes();
        }
        Ok(limit)
    }
}
