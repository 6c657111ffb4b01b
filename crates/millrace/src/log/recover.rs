//! Recovery of a log that was not closed: find what was promised, keep it, cut only what never was.
//!
//! Each frame carries the durable mark of the time when it was written, so the highest mark in any intact frame says
//! what was acknowledged at least. Damage before it is reported and kept; the first broken frame behind it ends the
//! log, and what follows is cut, intact or not. What lies behind the mark and is intact may be in memory only (after
//! a failed sync the kernel calls pages clean that the disk never got), so it is written once more and synced before
//! anything is served. Appending goes on in a new segment, past every sequence that any segment reserved.
//!
//! Each step leaves files that this same recovery accepts if the machine stops in between.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::append::{open_segment, opening_frame};
use super::finding::{Finding, Meaning, Shards};
use super::open::Files;
use super::prepare::{Ahead, make_first};
use super::scan::{FoundFrame, build_index, read_opening, scan_segment, shards_of_frame};
use super::segment::{Segment, SegmentFile, index_path, open_file, segment_path, write_whole};
use super::shards::{Stretch, shards_at_end};
use super::{LogConfig, Scan, Tail, Writer};
use crate::disk::Access;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::frame::FrameHead;
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::snapshot::ShardEntry;
use crate::format::{FRAME_ALIGNMENT, Position, index};

/// A log as recovery leaves it.
pub(super) struct Recovered {
    pub segments: Vec<Arc<Segment>>,
    pub writer: Writer,
    pub ahead: Ahead,
    pub findings: Vec<Finding>,
}

/// Which part of a log's files is the log, by the rule of `docs/format.md`. Finding it changes nothing.
#[derive(Debug)]
pub(super) struct Found {
    /// The unsealed segments that are part of the log, and where each ends.
    pub kept: Vec<(Arc<SegmentFile>, u32)>,
    /// Those that are not.
    pub cut: Vec<u32>,
    pub mark: Position,
    pub tail: Tail,
    /// A link of the chain is missing.
    pub broken: bool,
    pub findings: Vec<Finding>,
}

/// One unsealed segment under recovery.
struct Unsealed {
    file: Arc<SegmentFile>,
    scan: Scan,
    /// How long the file was made.
    capacity: u32,
    /// The first sequence that it may not hold.
    reserved_until: u64,
}

/// What the walk along the chain of frames has come to.
struct Walk<'a> {
    config: &'a LogConfig,
    mark: Position,
    tail: Tail,
    // The checksum before is unknown: the first frame of a log, or damage right before.
    unlinked: bool,
    ended: bool,
    // Where each segment ends at least, as far as durable frames behind it say.
    promised_ends: BTreeMap<u32, u32>,
    // Where each segment ended when the next one went on: what stands behind it was refused.
    closed_ends: BTreeMap<u32, u32>,
    // A link of the chain is missing, so a segment that looks unused may be what is lost.
    broken: bool,
    findings: Vec<Finding>,
}

/// Finds the log in `files`. All before `floor` is known to have been durable from elsewhere: an earlier clean close.
pub(super) fn find(environment: &Environment, config: &LogConfig, files: &Files, floor: Tail) -> Result<Found> {
    let mut findings = Vec::new();
    let mut unsealed = BTreeMap::new();
    for (&segment, header) in &files.unsealed {
        let Ok(header) = header else {
            findings.push(Finding {
                log: config.name.clone(),
                segment,
                bytes: 0..SEGMENT_HEADER_BYTES,
                sequences: files.reserved_before(segment)..files.next_sequence,
                shards: Shards::Any,
                meaning: Meaning::Unreadable,
            });
            continue;
        };
        let file = open_file(&*environment.disk, &config.directory, segment, header.incarnation, Access::Write)?;
        let scan = scan_segment(&file, file.bytes)?;
        let (capacity, reserved_until) = (header.capacity, header.reserved_until);
        unsealed.insert(segment, Unsealed { file, scan, capacity, reserved_until });
    }
    let sealed_mark = files.sealed.values().next_back().map(|summary| Position::new(summary.segment, summary.end));
    let scanned_mark = unsealed.iter().map(|(segment, unsealed)| unsealed.scan.mark(*segment)).max();
    let mark = floor.position.max(sealed_mark.unwrap_or_default()).max(scanned_mark.unwrap_or_default());
    let mut closed_ends = ends_by_openings(&unsealed, |unsealed, _| unsealed.scan.goes_on())?;
    let mut promised_ends = ends_by_openings(&unsealed, |_, opening_end| opening_end <= mark)?;
    // A sealed segment was in use, and is durable with all before it.
    for summary in files.sealed.values().filter(|summary| summary.previous_end.segment < summary.segment) {
        let Position { segment, offset } = summary.previous_end;
        closed_ends.insert(segment, offset);
        promised_ends.insert(segment, offset);
    }
    if mark.offset > 0 {
        promised_ends.insert(mark.segment, mark.offset);
    }
    let mut walk = Walk {
        config,
        mark,
        tail: Tail::default(),
        unlinked: true,
        ended: false,
        promised_ends,
        closed_ends,
        broken: false,
        findings,
    };
    let mut kept = Vec::new();
    let mut cut = Vec::new();
    let all = files.all();
    for &segment in &all {
        if let Some(summary) = files.sealed.get(&segment) {
            walk.pass_sealed(summary);
        } else if let Some(unsealed) = unsealed.remove(&segment) {
            match walk.pass_unsealed(segment, &unsealed)? {
                Some(end) => kept.push((unsealed.file, end)),
                None => cut.push(segment),
            }
        } else {
            walk.unlinked = true;
        }
    }
    if floor.position > walk.tail.position && !all.contains(&floor.position.segment) {
        // The log was closed behind all that is there: the file that held the rest is gone.
        walk.report_damage(floor.position.segment, 0..floor.position.offset, floor.next_sequence);
    }
    let Walk { tail, findings, broken, .. } = walk;
    Ok(Found { kept, cut, mark, tail, broken, findings })
}

/// Recovers the log in `files`. All before `floor` is known to have been durable from elsewhere: an earlier clean close.
pub(super) fn recover(environment: &Environment, config: &LogConfig, files: Files, floor: Tail) -> Result<Recovered> {
    let Found { kept, mut cut, mark, tail, broken, findings } = find(environment, config, &files, floor)?;
    let sealed = files.sealed.values();
    let mut segments: Vec<_> = sealed.map(|summary| Arc::new(Segment::sealed(&config.directory, *summary))).collect();
    if segments.is_empty() && kept.is_empty() {
        let message = format!("{} has no readable segment in {}", config.name, config.directory.display());
        return Err(Error::new(Kind::Corrupt, message));
    }
    let mut stretches: Vec<_> = files.sealed.values().map(Stretch::Sealed).collect();
    stretches.extend(kept.iter().map(|(file, end)| Stretch::Open(file, *end)));
    stretches.sort_by_key(Stretch::segment);
    let shards = shards_at_end(&*environment.disk, config, &stretches, false)?;
    files.clean_up(&*environment.disk)?;
    for (file, end) in &kept {
        write_again(file, mark, *end)?;
    }
    let mut ahead = files.ahead(config);
    ahead.skip_to(tail.next_sequence);
    let writer = start_behind(environment, config, &mut ahead, &tail, shards)?;
    for (file, end) in kept {
        segments.push(Arc::new(seal_cut(environment, config, file, end)?));
    }
    // Where a link is missing, a promised segment is left for whoever repairs the store.
    cut.retain(|segment| !broken || Position::new(*segment, SEGMENT_HEADER_BYTES) >= mark);
    for segment in cut {
        let path = segment_path(&config.directory, segment);
        environment.disk.remove(&path).map_err(|error| Error::io(path.display(), error))?;
    }
    let failed = |error| Error::io(config.directory.display(), error);
    environment.disk.sync_directory(&config.directory).map_err(failed)?;
    segments.sort_by_key(|segment| segment.index);
    segments.push(Arc::clone(&writer.segment));
    Ok(Recovered { segments, writer, ahead, findings })
}

impl Walk<'_> {
    fn pass_sealed(&mut self, summary: &index::Summary) {
        let end = summary.end;
        let promised = self.promised_ends.get(&summary.segment).copied().unwrap_or(0);
        if promised > end {
            self.report_damage(summary.segment, end..promised, summary.next_sequence + 1);
        }
        self.tail = Tail {
            position: Position::new(summary.segment, summary.end),
            next_sequence: summary.next_sequence,
            last_checksum: summary.last_checksum,
            last_arrival_ms: summary.last_arrival_ms,
        };
        self.unlinked = false;
    }

    /// Follows the frames of a segment; returns where its part of the log ends, or `None` if it is no part of it.
    fn pass_unsealed(&mut self, segment: u32, unsealed: &Unsealed) -> Result<Option<u32>> {
        let mut end = SEGMENT_HEADER_BYTES;
        let closed_end = self.closed_ends.get(&segment).copied();
        let is_part = |frame: &&FoundFrame| closed_end.is_none_or(|end| frame.offset < end);
        for frame in unsealed.scan.frames.iter().take_while(is_part) {
            if self.ended {
                self.report_cut(unsealed, frame)?;
                continue;
            }
            let place = Position::new(segment, end);
            if !self.follows(frame, end) {
                if place >= self.mark {
                    self.ended = true;
                    self.report_cut(unsealed, frame)?;
                    continue;
                }
                if frame.offset != end {
                    self.report_damage(segment, end..frame.offset, frame.header.first_sequence);
                } else if !self.unlinked {
                    // It stands where it should and does not link: what is missing ended the segment before.
                    let Position { segment, offset } = self.tail.position;
                    self.broken = true;
                    self.report_damage(segment, offset..offset, frame.header.first_sequence);
                }
            }
            if !frame.is_intact() {
                if Position::new(segment, frame.offset) >= self.mark {
                    self.ended = true;
                    self.report_cut(unsealed, frame)?;
                    continue;
                }
                let log = &self.config.name;
                self.findings.extend(frame.damaged.iter().map(|run| run.finding(log, segment)));
            }
            end = frame.end();
            self.accept(segment, frame);
        }
        let end = self.check_end(segment, end, unsealed);
        self.check_rest(segment, end, unsealed)?;
        Ok((end > SEGMENT_HEADER_BYTES).then_some(end))
    }

    /// Behind the last frame there may be signs of more, though none of it is a frame any more.
    fn check_rest(&mut self, segment: u32, end: u32, unsealed: &Unsealed) -> Result<()> {
        let Unsealed { file, scan, capacity, reserved_until } = unsealed;
        if file.file_bytes() < *capacity {
            // No file is shorter than it was made before it has an index: somebody cut it.
            let next_sequence = self.tail.next_sequence;
            let lost = file.file_bytes().max(end)..*capacity;
            self.report_possible(segment, lost, next_sequence..next_sequence.max(*reserved_until));
            return Ok(());
        }
        if self.closed_ends.contains_key(&segment) {
            return Ok(());
        }
        // What was cut is named already; what stands behind the last frame of it is not.
        let last = scan.frames.last().filter(|_| self.ended);
        let (at, next_sequence, checksum) = match last {
            Some(last) => (last.end(), last.next_sequence, last.header.checksum),
            None if self.ended => return Ok(()),
            None => (end, self.tail.next_sequence, self.tail.last_checksum),
        };
        let rest = file.map()?.bytes(at as usize..file.file_bytes() as usize).unwrap_or_default();
        if FrameHead::is_claimed(rest, next_sequence, checksum) {
            // Of how many records it was nobody can say any more.
            self.report_possible(segment, at..at + FRAME_ALIGNMENT, next_sequence..next_sequence.max(*reserved_until));
        }
        Ok(())
    }

    fn report_possible(&mut self, segment: u32, bytes: Range<u32>, sequences: Range<u64>) {
        let log = self.config.name.clone();
        let (shards, meaning) = (Shards::Any, Meaning::PossiblyAcknowledged);
        self.findings.push(Finding { log, segment, bytes, sequences, shards, meaning });
    }

    fn follows(&self, frame: &FoundFrame, end: u32) -> bool {
        let linked = self.unlinked || frame.header.previous_checksum == self.tail.last_checksum;
        frame.offset == end && linked && frame.header.first_sequence >= self.tail.next_sequence
    }

    fn accept(&mut self, segment: u32, frame: &FoundFrame) {
        self.tail = Tail {
            position: Position::new(segment, frame.end()),
            // Where a frame goes back, it is reported; what comes next stands behind all that there is.
            next_sequence: self.tail.next_sequence.max(frame.next_sequence),
            last_checksum: frame.header.checksum,
            last_arrival_ms: frame.header.arrival_ms.max(self.tail.last_arrival_ms),
        };
        self.unlinked = false;
    }

    /// The mark, or the opening of the next segment, may say that there was more than the segment shows; that much is
    /// kept, so that readers and later verifications come upon the damage too. A segment without a frame of which none
    /// is promised was prepared and not used.
    fn check_end(&mut self, segment: u32, end: u32, unsealed: &Unsealed) -> u32 {
        let promised = self.promised_ends.get(&segment).copied().unwrap_or(0).min(unsealed.capacity);
        if self.ended || promised <= end {
            return end;
        }
        self.report_damage(segment, end..promised, unsealed.reserved_until.max(self.tail.next_sequence));
        self.tail.position = Position::new(segment, promised);
        promised
    }

    fn report_damage(&mut self, segment: u32, bytes: Range<u32>, next_sequence: u64) {
        let first = self.tail.next_sequence.min(next_sequence);
        self.findings.push(Finding {
            log: self.config.name.clone(),
            segment,
            bytes,
            sequences: first..next_sequence,
            shards: Shards::Any,
            meaning: Meaning::Damaged,
        });
        self.unlinked = true;
    }

    /// Frames that are cut one behind the other are one finding. Its shards are known where nothing is missing before
    /// and between them.
    fn report_cut(&mut self, unsealed: &Unsealed, frame: &FoundFrame) -> Result<()> {
        let (segment, next) = (unsealed.file.segment, frame.next_sequence);
        let head = unsealed.file.frame(frame.offset, unsealed.file.bytes)?;
        let shards = head.map_or(Shards::Any, |head| shards_of_frame(&head));
        if let Some(last) = self.findings.last_mut()
            && last.meaning == Meaning::PossiblyAcknowledged
            && last.segment == segment
        {
            last.shards.join(if last.bytes.end == frame.offset { shards } else { Shards::Any });
            last.bytes.end = frame.end();
            last.sequences.end = last.sequences.end.max(next);
            return Ok(());
        }
        let tail = &self.tail;
        let start = if tail.position.segment == segment { tail.position.offset } else { frame.offset };
        self.findings.push(Finding {
            log: self.config.name.clone(),
            segment,
            bytes: start..frame.end(),
            sequences: tail.next_sequence.min(next)..next,
            shards: if frame.header.first_sequence > tail.next_sequence { Shards::Any } else { shards },
            meaning: Meaning::PossiblyAcknowledged,
        });
        Ok(())
    }
}

/// What those openings say of the end of the segments before them which `counts` lets count, given where they end.
fn ends_by_openings(
    unsealed: &BTreeMap<u32, Unsealed>,
    counts: impl Fn(&Unsealed, Position) -> bool,
) -> Result<BTreeMap<u32, u32>> {
    let mut ends = BTreeMap::new();
    for (segment, unsealed) in unsealed {
        if let Some((opening, opening_end)) = read_opening(&unsealed.file, unsealed.file.bytes)?
            && counts(unsealed, Position::new(*segment, opening_end))
            && opening.previous_end.segment < *segment
        {
            ends.insert(opening.previous_end.segment, opening.previous_end.offset);
        }
    }
    Ok(ends)
}

/// Writes what is not known to be on disk over itself and syncs, so that it is.
fn write_again(file: &SegmentFile, mark: Position, end: u32) -> Result<()> {
    let start = match mark.segment.cmp(&file.segment) {
        std::cmp::Ordering::Greater => return Ok(()),
        std::cmp::Ordering::Equal => mark.offset.clamp(SEGMENT_HEADER_BYTES, end),
        std::cmp::Ordering::Less => SEGMENT_HEADER_BYTES,
    };
    let failed = |error| Error::io(format!("could not write segment {} again", file.segment), error);
    let end = end.min(file.bytes);
    let bytes = file.map()?.bytes(start.min(end) as usize..end as usize).unwrap_or_default().to_vec();
    file.file.write_at(&bytes, u64::from(start)).map_err(failed)?;
    file.file.sync().map_err(failed)
}

/// Makes the segment in which appending goes on; it says where the recovered log ends.
pub(super) fn start_behind(
    environment: &Environment,
    config: &LogConfig,
    ahead: &mut Ahead,
    tail: &Tail,
    shards: Arc<Vec<ShardEntry>>,
) -> Result<Writer> {
    let mut opening = opening_frame(&shards, tail, &[]);
    let room = SEGMENT_HEADER_BYTES + opening.padded_bytes();
    let prepared = make_first(environment, config, ahead, room)?;
    let arrival_ms = environment.clock.wall_ms().max(tail.last_arrival_ms);
    let mark = (tail.position, tail.next_sequence);
    let failed = |error| Error::io(format!("could not open a segment of {}", config.name), error);
    let writer = open_segment(config, prepared, &mut opening, tail, arrival_ms, mark).map_err(failed)?;
    writer.file.file.sync().map_err(failed)?;
    Ok(Writer { shards, ..writer })
}

/// Cuts a recovered segment where its part of the log ends, and seals it.
fn seal_cut(environment: &Environment, config: &LogConfig, file: Arc<SegmentFile>, end: u32) -> Result<Segment> {
    let (summary, body) = build_index(&file, end)?;
    let segment = file.segment;
    let disk_file = Arc::clone(&file.file);
    // No map of ours may be left over bytes that are cut.
    drop(file);
    let failed = |error| Error::io(format!("could not cut segment {segment} of {}", config.name), error);
    // The index first: a short file without one is a damaged one.
    write_whole(&*environment.disk, &index_path(&config.directory, segment), &index::encode(&summary, &body))?;
    disk_file.truncate(u64::from(end)).map_err(failed)?;
    disk_file.sync().map_err(failed)?;
    Ok(Segment::sealed(&config.directory, summary))
}
