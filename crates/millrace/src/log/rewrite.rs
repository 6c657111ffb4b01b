//! Writing what is left of a log as a log that is whole: the same segments, records, sequences and arrival times, in
//! frames that are linked anew.
//!
//! Each segment is synced and sealed before the next one is begun, and behind the last one stands a new one that says
//! where the log ends, as after a recovery.

use std::sync::Arc;

use super::append::{open_segment, opening_frame};
use super::draft::{FrameDraft, Place};
use super::prepare::{Ahead, make_exactly};
use super::recover::start_behind;
use super::remains::{Part, PartRead};
use super::scan::{FoundFrame, build_index, read_opening};
use super::segment::{Segment, SegmentFile, index_path, write_whole};
use super::shards::Followed;
use super::{Log, LogConfig, Tail};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES, RunEntry, RunKind};
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::snapshot::ShardEntry;
use crate::format::{Position, aligned, index, u32_of};

/// A log in the making.
#[derive(Debug)]
pub(crate) struct Rewriter {
    environment: Environment,
    config: LogConfig,
    tail: Tail,
    segments: Vec<Arc<Segment>>,
    followed: Followed,
}

/// Runs of one frame whose sequences follow each other: what becomes a frame of the copy.
struct Group {
    /// Where the frame stood that they were in.
    offset: u32,
    first_sequence: u64,
    arrival_ms: u64,
    runs: Vec<RunEntry>,
}

impl Rewriter {
    /// Makes the directory of a log that has no segment yet.
    pub fn new(environment: Environment, config: LogConfig) -> Result<Rewriter> {
        let failed = |error| Error::io(format!("could not make {}", config.directory.display()), error);
        environment.disk.make_directory(&config.directory).map_err(failed)?;
        let followed = Followed::new(config.shards.clone());
        Ok(Rewriter { environment, config, tail: Tail::default(), segments: Vec::new(), followed })
    }

    /// How many segments were written.
    pub fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    /// Writes the intact runs of a segment as a segment of the same number. Returns where the first of them stands that
    /// stood at or behind `offset`; `None` where nothing of the segment is left.
    pub fn copy(&mut self, part: &Part, read: &PartRead, offset: u32) -> Result<Option<Position>> {
        let mut groups = Vec::new();
        for frame in &read.scan.frames {
            groups.extend(intact_groups(&read.file, part.end, frame)?);
        }
        let Some(first) = groups.first() else { return Ok(None) };
        if let Some((opening, _)) = read_opening(&read.file, part.end)? {
            let records_until = self.followed.records_until;
            self.followed = Followed { records_until, ..Followed::new(opening.shards) };
        }
        let mut opening = opening_frame(&self.followed.shards, &self.tail, &[]);
        let frames: u32 = groups.iter().map(Group::padded_bytes).sum();
        let capacity = SEGMENT_HEADER_BYTES + opening.padded_bytes() + frames;
        // The opening's sequence is the first that the segment reserves.
        let reserved = part.reserved.start.min(first.first_sequence).max(self.tail.next_sequence)..part.reserved.end;
        let prepared = make_exactly(&self.environment, &self.config, part.segment, capacity, reserved)?;
        let failed =
            |error| Error::io(format!("could not write segment {} of {}", part.segment, self.config.name), error);
        // All before this segment is on disk.
        let mark = (self.tail.position, self.tail.next_sequence);
        let arrival_ms = first.arrival_ms.max(self.tail.last_arrival_ms);
        let file = Arc::clone(&prepared.file);
        let opened =
            open_segment(&self.config, prepared, &mut opening, &self.tail, arrival_ms, mark).map_err(failed)?;
        let mut tail = opened.tail();
        let mut found = None;
        for group in &groups {
            let mut draft = group.draft(&read.file)?;
            let place = Place {
                incarnation: file.incarnation,
                offset: tail.position.offset,
                first_sequence: group.first_sequence,
                arrival_ms: group.arrival_ms.max(tail.last_arrival_ms),
                mark: mark.0,
                mark_sequence: mark.1,
                previous_checksum: tail.last_checksum,
            };
            if group.offset >= offset && found.is_none() {
                found = Some(tail.position);
            }
            let sequences = draft.sequences();
            let (bytes, last_checksum) = draft.place(place);
            file.file.write_at(bytes, u64::from(place.offset)).map_err(failed)?;
            tail = Tail {
                position: Position::new(part.segment, place.offset + u32_of(bytes.len())),
                next_sequence: place.first_sequence + sequences,
                last_checksum,
                last_arrival_ms: place.arrival_ms,
            };
        }
        assert_eq!(tail.position.offset, capacity, "as long as it was planned");
        file.file.sync().map_err(failed)?;
        let (summary, body) = build_index(&file, capacity)?;
        let path = index_path(&self.config.directory, part.segment);
        write_whole(&*self.environment.disk, &path, &index::encode(&summary, &body))?;
        self.segments.push(Arc::new(Segment::sealed(&self.config.directory, summary)));
        self.followed.follow(&read.file, SEGMENT_HEADER_BYTES, part.end)?;
        self.tail = tail;
        Ok(Some(found.unwrap_or(tail.position)))
    }

    /// The shard map as the copied segments leave it.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Begins the segment in which appending goes on, with this shard map, this number and this sequence at least, and
    /// closes the log in order. Returns its tail.
    pub fn finish(mut self, next_segment: u32, next_sequence: u64, shards: Vec<ShardEntry>) -> Result<Tail> {
        let next_sequence = next_sequence.max(self.tail.next_sequence);
        let mut ahead = Ahead::new(next_segment, next_sequence, self.config.segment_bytes_first);
        let writer = start_behind(&self.environment, &self.config, &mut ahead, &self.tail, Arc::new(shards))?;
        self.segments.push(Arc::clone(&writer.segment));
        Log::assemble(self.environment, self.config, self.segments, writer, ahead).close()
    }
}

/// The runs of records that are what was written, apart where one between them is not: within a frame sequences have
/// no gaps.
fn intact_groups(file: &SegmentFile, end: u32, frame: &FoundFrame) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let end = end.min(file.bytes);
    let (Some(head), Some(bytes)) =
        (file.frame(frame.offset, end)?, file.map()?.bytes(frame.offset as usize..end as usize))
    else {
        return Ok(groups);
    };
    let mut continues = false;
    let mut next_sequence = frame.header.first_sequence;
    for entry in (0..head.runs()).filter_map(|run| head.run(run)) {
        let first_sequence = next_sequence;
        next_sequence += u64::from(entry.records) + entry.kind.own_sequences();
        if !(frame.is_intact() || entry.is_intact(bytes)) {
            continues = false;
            continue;
        }
        match entry.kind {
            RunKind::Records | RunKind::ShardChange => {}
            RunKind::Other(kind) => {
                let message = format!(
                    "segment {} holds a run of kind {kind}, which this build does not know; repair the store with the \
                     version of Millrace that wrote it",
                    file.segment
                );
                return Err(Error::new(Kind::FormatNewer, message));
            }
            // The copy's segments have an opening of their own, and state has no place in a stream.
            RunKind::Opening | RunKind::Command | RunKind::State => continue,
        }
        if !continues {
            groups.push(Group {
                offset: frame.offset,
                first_sequence,
                arrival_ms: frame.header.arrival_ms,
                runs: Vec::new(),
            });
        }
        groups.last_mut().expect("pushed above").runs.push(entry);
        continues = true;
    }
    Ok(groups)
}

impl Group {
    fn payload_bytes(&self) -> usize {
        self.runs.iter().map(|run| run.payload_bytes as usize).sum()
    }

    fn padded_bytes(&self) -> u32 {
        aligned(u32_of(FRAME_HEADER_BYTES + self.runs.len() * RUN_ENTRY_BYTES + self.payload_bytes()))
    }

    /// The runs as a frame of their own.
    fn draft(&self, file: &SegmentFile) -> Result<FrameDraft> {
        let mut draft = FrameDraft::default();
        draft.start(self.runs.len(), self.payload_bytes());
        let mut to = FRAME_HEADER_BYTES + self.runs.len() * RUN_ENTRY_BYTES;
        for run in &self.runs {
            let from = self.offset as usize + run.payload_offset as usize;
            let bytes = run.payload_bytes as usize;
            let payload = file.map()?.bytes(from..from + bytes).expect("the run was found in this map");
            draft.bytes_mut()[to..to + bytes].copy_from_slice(payload);
            draft.add_run(run.kind, run.shard, to, bytes, run.records);
            to += bytes;
        }
        Ok(draft)
    }
}
