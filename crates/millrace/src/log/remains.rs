//! What is left of a log, as a reader finds it that may change nothing: verification and repair look at it this way.
//!
//! Which part of the files is the log is decided by the rule of recovery, so that a repaired copy holds what opening
//! the store would have served. One thing is done beyond that: where the header of a segment is lost, the segment's
//! first frame may still tell the seed that all its frames were written with.

use std::ops::Range;
use std::sync::Arc;

use super::finding::{Finding, Meaning, Shards};
use super::open::{FIRST, Files};
use super::recover::find;
use super::scan::{FoundFrame, Scan, build_index, damage_of, read_opening, scan_segment, shards_of_frame};
use super::segment::{Segment, SegmentFile, index_path, open_file, read_header};
use super::{LogConfig, Tail};
use crate::disk::Access;
use crate::environment::Environment;
use crate::error::{Kind, Result};
use crate::format::Position;
use crate::format::checksum::incarnation_with;
use crate::format::frame::{FrameHead, RunKind};
use crate::format::index::{Body, Summary};
use crate::format::record::RECORD_HEADER_BYTES;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::format::snapshot::ShardEntry;

/// The most sequences that a segment reserves: those of the largest that there can be.
pub(crate) const RESERVED_MAX: u64 = u32::MAX as u64 / RECORD_HEADER_BYTES as u64;

/// What is known of a log from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// All before this was durable once.
    pub floor: Tail,
    /// All sequences that were given are below this one, or in the files.
    pub next_sequence: u64,
    /// Place and sequence of the oldest record that is kept, where they are certain.
    pub horizon: Option<(Position, u64)>,
}

/// A segment that is part of the log, up to where it ends.
#[derive(Debug)]
pub(crate) struct Part {
    pub segment: u32,
    pub end: u32,
    /// The sequences that may be given to its records.
    pub reserved: Range<u64>,
    incarnation: u64,
    summary: Option<Summary>,
    previous_end: Position,
}

/// A part with all that is in it.
#[derive(Debug)]
pub(crate) struct PartRead {
    pub file: Arc<SegmentFile>,
    pub scan: Scan,
    pub findings: Vec<Finding>,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Remains {
    pub environment: Environment,
    pub config: LogConfig,
    pub parts: Vec<Part>,
    /// The segments that are no part of the log, with their incarnations.
    cut: Vec<(u32, u64)>,
    /// What is wrong beyond the frames of the parts.
    pub findings: Vec<Finding>,
    /// No segment had this number or a later one.
    pub next_segment: u32,
    /// No record had this sequence or a later one, as far as the files tell.
    pub next_sequence: u64,
}

impl Remains {
    /// Finds the log in the directory of `config`.
    pub fn find(environment: Environment, config: LogConfig, known: Known) -> Result<Remains> {
        let disk = &*environment.disk;
        let mut files = Files::list(disk, &config)?;
        let mut findings = Vec::new();
        for segment in files.unsealed.keys().copied().collect::<Vec<_>>() {
            if disk.open(&index_path(&config.directory, segment), Access::Read).is_ok() {
                findings.push(whole_segment(&config, segment, Meaning::Index));
            }
            if files.unsealed[&segment].is_err()
                && let Some(header) = restore_header(disk, &config, &files, segment, known)?
            {
                findings.push(lost_header(&config, segment));
                files.unsealed.insert(segment, Ok(header));
            }
        }
        let found = find(&environment, &config, &files, known.floor)?;
        let mut parts = Vec::new();
        for (&segment, summary) in &files.sealed {
            let (part, finding) = Part::sealed(disk, &config, segment, *summary)?;
            parts.push(part);
            findings.extend(finding);
        }
        for (file, end) in &found.kept {
            if let Some(Ok(header)) = files.unsealed.get(&file.segment) {
                parts.push(Part::unsealed(file, *end, header)?);
            }
        }
        parts.sort_by_key(|part| part.segment);
        // What is damaged in the frames of a part is found when the part is read.
        let of_a_part = |finding: &Finding| {
            finding.meaning != Meaning::PossiblyAcknowledged
                && finding.bytes.start >= SEGMENT_HEADER_BYTES
                && !finding.bytes.is_empty()
                && parts.iter().any(|part| part.segment == finding.segment)
        };
        findings.extend(found.findings.into_iter().filter(|finding| !of_a_part(finding)));
        findings.extend(missing(&config, &parts, known));
        let incarnation = |segment: &u32| files.unsealed.get(segment)?.as_ref().ok().map(|header| header.incarnation);
        let cut = found.cut.iter().filter_map(|segment| Some((*segment, incarnation(segment)?))).collect();
        let next_segment = files.next_segment;
        let next_sequence = files.next_sequence.max(known.next_sequence);
        Ok(Remains { parts, cut, findings, next_segment, next_sequence, config, environment })
    }

    /// How many bytes of log there are to read.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.end)).sum()
    }

    /// Reads all and tells what is damaged.
    pub fn read_all(&self) -> Result<Vec<Finding>> {
        let mut findings = self.findings.clone();
        for part in &self.parts {
            findings.extend(self.read(part)?.findings);
        }
        Ok(findings)
    }

    /// Reads a part and finds what is damaged in it.
    pub fn read(&self, part: &Part) -> Result<PartRead> {
        let disk = &*self.environment.disk;
        let directory = &self.config.directory;
        let mut file = open_file(disk, directory, part.segment, part.incarnation, Access::Read)?;
        if file.bytes < part.end {
            // Somebody cut it: what stands before the cut is read as if zeros followed, as recovery leaves it.
            let whole = SegmentFile::new(part.segment, part.incarnation, Arc::clone(&file.file), part.end);
            file = Arc::new(whole);
        }
        let scan = scan_segment(&file, part.end)?;
        let next_sequence = part.summary.map(|summary| summary.next_sequence);
        let ends = (part.end, next_sequence);
        let mut findings = damage_of(&self.config.name, part.segment, part.reserved.start, ends, &scan);
        if let Some(summary) = part.summary {
            let stored = Segment::sealed(directory, summary).read_index(disk);
            let is_whole = findings.is_empty();
            let rebuilt = build_index(&file, part.end)?;
            // Where frames are damaged, an index that lists them is right.
            let agrees = |body: Body| summary == rebuilt.0 && body.agrees_with(rebuilt.1);
            if stored.map_or(true, |body| is_whole && !agrees(body)) {
                findings.push(whole_segment(&self.config, part.segment, Meaning::Index));
            }
        }
        Ok(PartRead { file, scan, findings })
    }
}

/// A frame of a log that holds state, with those of its runs that are what was written.
#[derive(Debug)]
pub(crate) struct StateFrame {
    pub checksum: u32,
    pub previous_checksum: u32,
    /// Whether all of its runs are here.
    pub is_whole: bool,
    pub runs: Vec<(RunKind, Vec<u8>)>,
}

impl Remains {
    /// Every frame that there is, also those behind the end of the log: for a log of which each frame was synced before
    /// the next one was written.
    pub fn state_frames(&self) -> Result<Vec<StateFrame>> {
        let disk = &*self.environment.disk;
        let mut files = Vec::new();
        for part in &self.parts {
            let file = open_file(disk, &self.config.directory, part.segment, part.incarnation, Access::Read)?;
            files.push((part.segment, if part.summary.is_some() { part.end } else { file.bytes }, file));
        }
        for (segment, incarnation) in &self.cut {
            let file = open_file(disk, &self.config.directory, *segment, *incarnation, Access::Read)?;
            files.push((*segment, file.bytes, file));
        }
        files.sort_by_key(|(segment, _, _)| *segment);
        let mut frames = Vec::new();
        for (_, end, file) in &files {
            for found in scan_segment(file, *end)?.frames {
                frames.extend(state_frame(file, &found)?);
            }
        }
        Ok(frames)
    }

    /// Whether nothing was ever taken from the front of the log.
    pub fn begins_at_the_beginning(&self) -> bool {
        self.parts.first().is_none_or(|part| part.segment == FIRST)
    }

    /// Whether nothing of what the log held is missing.
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| match finding.meaning {
            Meaning::Index => true,
            Meaning::Unreadable => finding.shards != Shards::Any,
            Meaning::Damaged | Meaning::PossiblyAcknowledged | Meaning::ShardChange => false,
        })
    }

    /// The shards that the newest opening names; where none can be read, how many there must be at least.
    pub fn shards(&self) -> Result<std::result::Result<Vec<ShardEntry>, u32>> {
        let disk = &*self.environment.disk;
        let mut least = 1;
        for part in self.parts.iter().rev() {
            let file = open_file(disk, &self.config.directory, part.segment, part.incarnation, Access::Read)?;
            if let Some((opening, _)) = read_opening(&file, part.end)?
                && !opening.shards.is_empty()
            {
                return Ok(Ok(opening.shards));
            }
            for frame in scan_segment(&file, part.end)?.frames {
                if let Some(head) = file.frame(frame.offset, part.end)?
                    && let Shards::Of(shards) = shards_of_frame(&head)
                {
                    least =
                        shards.into_iter().map(|shard| shard.saturating_add(1)).max().map_or(least, |n| n.max(least));
                }
            }
        }
        Ok(Err(least))
    }

    /// When the oldest segment was made, and whether it is the log's first.
    pub fn beginning(&self) -> Result<Option<(u64, bool)>> {
        let Some(first) = self.parts.first() else { return Ok(None) };
        let header = read_header(&*self.environment.disk, &self.config.directory, first.segment);
        let created_ms = match (header, &first.summary) {
            (Ok(header), _) => header.created_ms,
            (Err(_), Some(summary)) => summary.first_arrival_ms,
            (Err(_), None) => self.read(first)?.scan.frames.first().map_or(0, |frame| frame.header.arrival_ms),
        };
        Ok(Some((created_ms, first.segment == FIRST)))
    }
}

fn state_frame(file: &SegmentFile, found: &FoundFrame) -> Result<Option<StateFrame>> {
    let (offset, end) = (found.offset as usize, found.end().min(file.bytes) as usize);
    let (Some(head), Some(bytes)) = (file.frame(found.offset, file.bytes)?, file.map()?.bytes(offset..end)) else {
        return Ok(None);
    };
    let entries = (0..head.runs()).filter_map(|run| head.run(run)).filter(|entry| entry.is_intact(bytes));
    Ok(Some(StateFrame {
        checksum: head.header.checksum,
        previous_checksum: head.header.previous_checksum,
        is_whole: found.is_intact(),
        runs: entries.map(|entry| (entry.kind, bytes[entry.payload()].to_vec())).collect(),
    }))
}

impl Part {
    /// A sealed segment; where its header is damaged, that is a finding and no more: the index says the same.
    fn sealed(
        disk: &dyn crate::disk::Disk,
        config: &LogConfig,
        segment: u32,
        summary: Summary,
    ) -> Result<(Part, Option<Finding>)> {
        let Summary { end, incarnation, first_sequence, next_sequence, previous_end, .. } = summary;
        let part = |reserved| Part { segment, end, reserved, incarnation, summary: Some(summary), previous_end };
        match read_header(disk, &config.directory, segment) {
            Ok(header) if header.incarnation == incarnation => {
                Ok((part(header.reserved_from..header.reserved_until), None))
            }
            Err(error) if error.kind() != Kind::Corrupt => Err(error),
            Ok(_) | Err(_) => Ok((part(first_sequence..next_sequence), Some(lost_header(config, segment)))),
        }
    }

    fn unsealed(file: &SegmentFile, end: u32, header: &SegmentHeader) -> Result<Part> {
        let opening = read_opening(file, file.bytes)?;
        Ok(Part {
            segment: file.segment,
            end,
            reserved: header.reserved_from..header.reserved_until,
            incarnation: file.incarnation,
            summary: None,
            previous_end: opening.map(|(opening, _)| opening.previous_end).unwrap_or_default(),
        })
    }

    /// The sequence behind its last record, as far as that is known without reading it.
    fn next_sequence(&self) -> u64 {
        self.summary.map_or(self.reserved.start, |summary| summary.next_sequence)
    }
}

/// A header that says what the damaged one of a segment said, as far as it is needed, if the segment's opening frame
/// is intact and is one of this segment.
///
/// The file may have been another segment before, whose opening frame is as intact as ever where this segment was
/// prepared and not used yet. But the one before was trimmed, so it was older than all that there are: its opening
/// does not name the segment before this one, and begins before the horizon.
fn restore_header(
    disk: &dyn crate::disk::Disk,
    config: &LogConfig,
    files: &Files,
    segment: u32,
    known: Known,
) -> Result<Option<SegmentHeader>> {
    let first = SEGMENT_HEADER_BYTES;
    let file = open_file(disk, &config.directory, segment, 0, Access::Read)?;
    let frames = file.map()?.bytes(first as usize..file.bytes as usize);
    let Some(seed) = frames.and_then(FrameHead::seed_of) else { return Ok(None) };
    let incarnation = incarnation_with(seed, first);
    let file = open_file(disk, &config.directory, segment, incarnation, Access::Read)?;
    let (Some((opening, _)), Some(head)) = (read_opening(&file, file.bytes)?, file.frame(first, file.bytes)?) else {
        return Ok(None);
    };
    let (first_sequence, arrival_ms) = (head.header.first_sequence, head.header.arrival_ms);
    let before = files.all().range(..segment).next_back().copied();
    let is_its_own = match (before, known.horizon) {
        (Some(before), _) => opening.previous_end.segment == before,
        (None, Some((_, oldest))) => first_sequence >= oldest,
        (None, None) => segment == FIRST,
    };
    Ok(is_its_own.then(|| SegmentHeader {
        stream: config.stream,
        segment,
        capacity: file.bytes,
        incarnation,
        reserved_from: first_sequence,
        reserved_until: first_sequence + u64::from(file.bytes) / RECORD_HEADER_BYTES as u64,
        created_ms: arrival_ms,
    }))
}

/// Segments that are missing before and between others: each one's opening names the one before.
fn missing(config: &LogConfig, parts: &[Part], known: Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before: Option<&Part> = None;
    for part in parts {
        let previous = part.previous_end;
        let is_missing = match (before, known.horizon) {
            _ if previous == Position::default() => false,
            (Some(before), _) => previous.segment != before.segment,
            // What ended before the horizon was trimmed.
            (None, Some((horizon, _))) => previous.segment >= horizon.segment,
            (None, None) => false,
        };
        if is_missing {
            findings.push(Finding {
                log: config.name.clone(),
                segment: previous.segment,
                bytes: 0..previous.offset,
                sequences: before.map_or(0, Part::next_sequence)..part.reserved.start,
                shards: Shards::Any,
                meaning: Meaning::Damaged,
            });
        }
        before = Some(part);
    }
    findings
}

fn lost_header(config: &LogConfig, segment: u32) -> Finding {
    Finding {
        log: config.name.clone(),
        segment,
        bytes: 0..SEGMENT_HEADER_BYTES,
        sequences: 0..0,
        shards: Shards::Of(Vec::new()),
        meaning: Meaning::Unreadable,
    }
}

fn whole_segment(config: &LogConfig, segment: u32, meaning: Meaning) -> Finding {
    Finding { bytes: 0..0, meaning, ..lost_header(config, segment) }
}
