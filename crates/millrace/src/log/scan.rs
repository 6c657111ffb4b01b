//! Reading a segment from its start to its end, frame by frame, trusting nothing: what recovery, sealing and
//! verification share.

use std::collections::BTreeSet;
use std::ops::Range;

use super::finding::{Finding, Meaning, Shards};
use super::segment::SegmentFile;
use crate::error::Result;
use crate::format::frame::{FrameHead, FrameHeader, RunEntry, RunKind};
use crate::format::index::{Body, DAMAGED, RunDetail, RunPlace, Summary, Waypoint};
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::snapshot::Opening;
use crate::format::{FRAME_ALIGNMENT, Position, aligned};

/// How many zeros behind its header make a segment a fresh one.
const FRESH_BYTES: usize = 256 << 10;

/// A frame that a scan found.
#[derive(Clone, Debug)]
pub(crate) struct FoundFrame {
    pub offset: u32,
    pub header: FrameHeader,
    /// The sequence behind all that the frame takes.
    pub next_sequence: u64,
    /// The runs whose payload is not what was written.
    pub damaged: Vec<DamagedRun>,
}

/// A part of a frame that is not what was written, while the frame's head is.
#[derive(Clone, Debug)]
pub(crate) struct DamagedRun {
    pub bytes: Range<u32>,
    pub sequences: Range<u64>,
    pub shards: Shards,
    pub meaning: Meaning,
}

impl FoundFrame {
    /// Looks at every run of a frame. `bytes` begins with the frame and holds at least all of it.
    pub fn new(offset: u32, head: &FrameHead<'_>, bytes: &[u8]) -> FoundFrame {
        let entries = (0..head.runs()).map(|run| head.run(run));
        let damaged = entries.filter(|entry| !entry.is_some_and(|entry| entry.is_intact(bytes)));
        let damaged = damaged.map(|entry| DamagedRun::new(offset, head, entry)).collect();
        FoundFrame { offset, header: head.header, next_sequence: head.next_sequence, damaged }
    }

    /// Whether every run's payload is what was written.
    pub fn is_intact(&self) -> bool {
        self.damaged.is_empty()
    }

    /// Where the next frame would start.
    pub fn end(&self) -> u32 {
        self.offset + self.header.padded_bytes()
    }

    /// How many of the frame's records are what was written.
    pub fn intact_records(&self) -> u64 {
        let damaged: u64 = self.damaged.iter().map(|run| run.sequences.end - run.sequences.start).sum();
        u64::from(self.header.records).saturating_sub(damaged)
    }
}

impl DamagedRun {
    fn new(offset: u32, head: &FrameHead<'_>, entry: Option<RunEntry>) -> DamagedRun {
        let first = head.header.first_sequence;
        let Some(entry) = entry else {
            // Nobody knows where its payload is: all of the frame is in doubt.
            return DamagedRun {
                bytes: offset..offset + head.header.padded_bytes(),
                sequences: first..first + u64::from(head.header.records),
                shards: Shards::Any,
                meaning: Meaning::Damaged,
            };
        };
        let start = offset + entry.payload_offset;
        let first = first + u64::from(entry.sequence_delta);
        DamagedRun {
            bytes: start..start + entry.payload_bytes,
            sequences: first..first + u64::from(entry.records),
            shards: shards_of(entry),
            meaning: match entry.kind {
                // The snapshot that a segment opens with holds no records.
                RunKind::Opening => Meaning::Unreadable,
                RunKind::ShardChange => Meaning::ShardChange,
                _ => Meaning::Damaged,
            },
        }
    }
}

impl DamagedRun {
    /// How it is told.
    pub fn finding(&self, log: &str, segment: u32) -> Finding {
        let DamagedRun { bytes, sequences, shards, meaning } = self.clone();
        Finding { log: log.to_owned(), segment, bytes, sequences, shards, meaning }
    }
}

/// The shards that have records in a frame.
pub(crate) fn shards_of_frame(head: &FrameHead<'_>) -> Shards {
    let mut all = BTreeSet::new();
    for run in 0..head.runs() {
        match head.run(run).map_or(Shards::Any, shards_of) {
            Shards::Of(shards) => all.extend(shards),
            Shards::Any => return Shards::Any,
        }
    }
    Shards::Of(all.into_iter().collect())
}

fn shards_of(entry: RunEntry) -> Shards {
    match entry.kind {
        RunKind::Records => Shards::Of(vec![entry.shard]),
        RunKind::Opening | RunKind::ShardChange | RunKind::Command | RunKind::State => Shards::Of(Vec::new()),
        RunKind::Other(_) => Shards::Any,
    }
}

/// All frames of a segment whose heads are intact, in order; between two of them there may be damage.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub frames: Vec<FoundFrame>,
}

impl Scan {
    /// How many records that are what was written the frames hold.
    pub fn intact_records(&self) -> u64 {
        self.frames.iter().map(FoundFrame::intact_records).sum()
    }

    /// Whether a frame stands behind the opening and links to it: then the segment was taken into use, while an opening
    /// alone may have been refused by a full disk, and the log gone on in the segment before.
    pub fn goes_on(&self) -> bool {
        let [opening, next, ..] = self.frames.as_slice() else { return false };
        next.offset == opening.end() && next.header.previous_checksum == opening.header.checksum
    }

    /// The highest mark that a frame of this segment carries. What it says of a place behind the frame itself, nobody
    /// could know when it was written.
    pub fn mark(&self, segment: u32) -> Position {
        let marks = self.frames.iter().map(|frame| frame.header.mark.min(Position::new(segment, frame.offset)));
        marks.max().unwrap_or_default()
    }
}

/// Scans up to `end`; where there is no frame it looks on at each 64-byte boundary, so that damage hides nothing
/// behind it. A frame of a newer version ends it with `FormatNewer`.
pub(crate) fn scan_segment(file: &SegmentFile, end: u32) -> Result<Scan> {
    let end = end.min(file.bytes);
    let map = file.map()?;
    let mut scan = Scan::default();
    if is_fresh(file, end)? {
        return Ok(scan);
    }
    let mut offset = SEGMENT_HEADER_BYTES;
    while offset < end {
        let Some(bytes) = map.bytes(offset as usize..end as usize) else { break };
        let Some(head) = file.head(bytes, offset)? else {
            offset += FRAME_ALIGNMENT;
            continue;
        };
        let frame = FoundFrame::new(offset, &head, bytes);
        offset = frame.end();
        scan.frames.push(frame);
    }
    Ok(scan)
}

/// What is damaged in a segment, as a scan found it. `first_sequence` is that of the segment's first frame, `ends` says
/// where the segment ends and, if that is known, which sequence comes next.
pub(crate) fn damage_of(
    log: &str,
    segment: u32,
    first_sequence: u64,
    ends: (u32, Option<u64>),
    scan: &Scan,
) -> Vec<Finding> {
    let (end, known_next) = ends;
    let mut findings = Vec::new();
    let gap = |bytes, sequences| {
        let (log, shards, meaning) = (log.to_owned(), Shards::Any, Meaning::Damaged);
        Finding { log, segment, bytes, sequences, shards, meaning }
    };
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut next_sequence = first_sequence;
    for frame in &scan.frames {
        if frame.offset > offset {
            let first = next_sequence.min(frame.header.first_sequence);
            findings.push(gap(offset..frame.offset, first..frame.header.first_sequence));
        }
        findings.extend(frame.damaged.iter().map(|run| run.finding(log, segment)));
        next_sequence = frame.next_sequence;
        offset = frame.end();
    }
    if offset < end {
        let next = known_next.map_or(next_sequence + 1, |known| known.max(next_sequence));
        findings.push(gap(offset..end, next_sequence..next));
    }
    findings
}

/// Whether the segment was prepared and never written: then its first frames' bytes are zeros, more of them than a
/// disk loses at once. Spares an unclean open the reading of all that stands prepared.
fn is_fresh(file: &SegmentFile, end: u32) -> Result<bool> {
    let start = SEGMENT_HEADER_BYTES as usize;
    let first = file.map()?.bytes(start..start + FRESH_BYTES).filter(|_| end as usize >= start + FRESH_BYTES);
    Ok(first.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)))
}

/// What a segment opens with, and where that frame ends; `None` where its first frame is not intact.
pub(crate) fn read_opening(file: &SegmentFile, end: u32) -> Result<Option<(Opening, u32)>> {
    let start = SEGMENT_HEADER_BYTES;
    let Some(frame) = file.map()?.bytes(start as usize..end.min(file.bytes) as usize) else { return Ok(None) };
    let head = file.frame(start, end)?.filter(|head| head.payloads_are_intact(frame));
    Ok(head.and_then(|head| {
        let opening = frame.get(head.run(0)?.payload()).and_then(Opening::decode)?;
        Some((opening, start + head.header.padded_bytes()))
    }))
}

/// Gathers what the index of a segment says, frame by frame.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    summary: Summary,
    body: Body,
    // Each run with its shard, in the order of the log.
    runs: Vec<(u32, RunPlace, RunDetail)>,
    damaged: Vec<RunPlace>,
}

impl IndexBuilder {
    pub fn new(file: &SegmentFile) -> IndexBuilder {
        let summary = Summary { segment: file.segment, incarnation: file.incarnation, ..Summary::default() };
        IndexBuilder { summary, body: Body::default(), runs: Vec::new(), damaged: Vec::new() }
    }

    pub fn add(&mut self, offset: u32, head: &FrameHead<'_>) {
        let header = &head.header;
        let summary = &mut self.summary;
        if summary.frames == 0 {
            summary.first_sequence = header.first_sequence;
            summary.first_arrival_ms = header.arrival_ms;
        }
        summary.frames += 1;
        summary.records += u64::from(header.records);
        summary.next_sequence = head.next_sequence;
        summary.last_arrival_ms = header.arrival_ms;
        summary.last_checksum = header.checksum;
        summary.end = offset + header.padded_bytes();
        let (sequence, arrival_ms) = (header.first_sequence, header.arrival_ms);
        self.body.waypoints.push(Waypoint { offset, sequence, arrival_ms });
        for run in 0..head.runs() {
            // A run whose entry is damaged cannot be named; a reader of the whole stream comes upon it.
            let Some(entry) = head.run(run).filter(|entry| entry.kind == RunKind::Records) else { continue };
            let detail = RunDetail {
                first_sequence: sequence + u64::from(entry.sequence_delta),
                arrival_ms,
                payload: offset + entry.payload_offset,
                payload_bytes: entry.payload_bytes,
                records: entry.records,
                checksum: entry.checksum,
            };
            self.runs.push((entry.shard, RunPlace { frame: offset, run }, detail));
            self.summary.presence.insert(entry.shard);
        }
    }

    /// Notes that there is no frame at `offset`, where one should be.
    pub fn add_damage(&mut self, offset: u32) {
        self.damaged.push(RunPlace { frame: offset, run: 0 });
        self.summary.presence.insert(DAMAGED);
    }

    /// Summary and body of what was added; `end` is where the segment ends.
    pub fn finish(mut self, end: u32) -> (Summary, Body) {
        self.summary.end = end;
        // Of 200,000 runs, sorting pairs of numbers takes a fraction of what moving the runs themselves does.
        let shards = self.runs.iter().map(|(shard, ..)| *shard);
        let mut order: Vec<(u32, u32)> = shards.zip(0..).collect();
        order.sort_unstable();
        self.body.details = order.iter().map(|(_, at)| self.runs[*at as usize].2).collect();
        for runs in order.chunk_by(|(one, _), (other, _)| one == other) {
            self.body.shards.push((runs[0].0, runs.iter().map(|(_, at)| self.runs[*at as usize].1).collect()));
        }
        if !self.damaged.is_empty() {
            self.body.shards.push((DAMAGED, self.damaged));
        }
        (self.summary, self.body.fitted(self.summary.frames))
    }
}

/// Builds the index of the frames between the segment's start and `end`, heads alone being read.
pub(crate) fn build_index(file: &SegmentFile, end: u32) -> Result<(Summary, Body)> {
    let mut builder = IndexBuilder::new(file);
    builder.summary.previous_end =
        read_opening(file, end)?.map(|(opening, _)| opening.previous_end).unwrap_or_default();
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut is_damaged = false;
    while offset < end {
        let head = file.frame(offset, end)?;
        match &head {
            Some(head) => {
                builder.add(offset, head);
                offset = aligned(offset + head.header.frame_bytes);
            }
            None => {
                if !is_damaged {
                    builder.add_damage(offset);
                }
                offset += FRAME_ALIGNMENT;
            }
        }
        is_damaged = head.is_none();
    }
    Ok(builder.finish(end))
}
