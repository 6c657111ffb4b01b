//! Making a log, and opening one: by its tail after a clean close, by recovery otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::append::{open_segment, opening_frame};
use super::finding::{Finding, Meaning, Shards};
use super::notify::Notifier;
use super::prepare::{Ahead, Prepared, make_first};
use super::reach::Reach;
use super::recover::recover;
use super::scan::{read_opening, scan_segment};
use super::segment::{Segment, SegmentFile, index_path, open_file, read_header, segment_path};
use super::shards::{Stretch, shards_at_end};
use super::wish::Wish;
use super::{Log, LogConfig, Tail, Writer};
use crate::disk::{Access, Disk};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{FrameHead, RunEntry};
use crate::format::index::{self, INDEX_HEADER_BYTES, Summary, Waypoint};
use crate::format::record::RECORD_HEADER_BYTES;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::format::{FRAME_ALIGNMENT, Position, SEGMENT_NUMBER_LIMIT};
use crate::sync::{Apart, Mutex, OnceLock, RwLock};

/// The first segment's number and the first sequence of a log: 0 means "before everything".
pub(super) const FIRST: u32 = 1;

/// What a log is put together from.
type Parts = (Vec<Arc<Segment>>, Writer, Ahead);

/// The files of a log's directory.
pub(super) struct Files {
    /// Segments whose index is on disk.
    pub sealed: BTreeMap<u32, Summary>,
    /// The others, with what their header says.
    pub unsealed: BTreeMap<u32, Result<SegmentHeader>>,
    /// No segment reserved this sequence or a later one.
    pub next_sequence: u64,
    pub next_segment: u32,
    spares: Vec<(PathBuf, u32)>,
    // What an interrupted step left half done.
    leftovers: Vec<PathBuf>,
}

impl Files {
    /// All segments by number.
    pub fn all(&self) -> BTreeSet<u32> {
        self.sealed.keys().chain(self.unsealed.keys()).copied().collect()
    }

    /// The first sequence that a segment with an unreadable header may have been given.
    pub fn reserved_before(&self, segment: u32) -> u64 {
        self.sealed.range(..segment).next_back().map_or(0, |(_, summary)| summary.next_sequence)
    }

    /// What goes on behind these files.
    pub fn ahead(&self, config: &LogConfig) -> Ahead {
        let mut ahead = Ahead::new(self.next_segment, self.next_sequence, config.segment_bytes_first);
        for (path, bytes) in &self.spares {
            ahead.keep_spare(path.clone(), *bytes);
        }
        ahead
    }

    /// Looks through the directory. Nothing is changed: a newer version may have written it.
    pub fn list(disk: &dyn Disk, config: &LogConfig) -> Result<Files> {
        let failed = |error| Error::io(format!("could not read {}", config.directory.display()), error);
        let mut files = Files {
            sealed: BTreeMap::new(),
            unsealed: BTreeMap::new(),
            next_sequence: 1,
            next_segment: FIRST,
            spares: Vec::new(),
            leftovers: Vec::new(),
        };
        let names = disk.list(&config.directory).map_err(failed)?;
        for name in &names {
            let path = config.directory.join(name);
            if name.ends_with(".tmp") {
                files.leftovers.push(path);
            } else if name.ends_with(".spare") {
                let bytes = disk.open(&path, Access::Read).and_then(|file| file.bytes()).map_err(failed)?;
                files.spares.push((path, u32::try_from(bytes).unwrap_or(0)));
            } else if let Some(number) = name.strip_suffix(".seg") {
                let segment = u32::from_str_radix(number, 16).ok().filter(|segment| *segment < SEGMENT_NUMBER_LIMIT);
                let segment = segment
                    .ok_or_else(|| Error::new(Kind::Corrupt, format!("{} is no name of a segment", path.display())))?;
                files.add(disk, config, segment)?;
            }
        }
        // A trim that was interrupted leaves the index of a segment that is gone.
        let oldest = files.all().first().copied().unwrap_or(0);
        for name in names.iter().filter(|name| name.ends_with(".idx")) {
            let segment = name.strip_suffix(".idx").and_then(|number| u32::from_str_radix(number, 16).ok());
            if segment.is_some_and(|segment| segment < oldest) {
                files.leftovers.push(config.directory.join(name));
            }
        }
        files.reserve(disk, config)?;
        Ok(files)
    }

    /// Removes what an interrupted step left half done.
    pub fn clean_up(&self, disk: &dyn Disk) -> Result<()> {
        let remove = |path: &PathBuf| disk.remove(path).map_err(|error| Error::io(path.display(), error));
        self.leftovers.iter().try_for_each(remove)
    }

    /// What is known to have been there goes on here, whether its files are there or not.
    fn go_on_behind(&mut self, tail: &Tail) {
        self.next_sequence = self.next_sequence.max(tail.next_sequence);
        self.next_segment = self.next_segment.max(tail.position.segment.saturating_add(1));
    }

    fn add(&mut self, disk: &dyn Disk, config: &LogConfig, segment: u32) -> Result<()> {
        self.next_segment = self.next_segment.max(segment + 1);
        let header = match read_header(disk, &config.directory, segment) {
            Ok(header) if header.stream != config.stream => {
                let message = format!("segment {segment} of {} is one of stream {}", config.name, header.stream);
                self.unsealed.insert(segment, Err(Error::new(Kind::Corrupt, message)));
                return Ok(());
            }
            Err(error) if error.kind() != Kind::Corrupt => return Err(error),
            header => header,
        };
        // An index of another file says nothing of this one. Where the header is damaged, the index is all there is.
        let is_of = |summary: &Summary| !header.as_ref().is_ok_and(|header| header.incarnation != summary.incarnation);
        match read_summary(disk, config, segment) {
            Ok(Some(summary)) if is_of(&summary) => drop(self.sealed.insert(segment, summary)),
            Err(error) if error.kind() != Kind::Corrupt => return Err(error),
            // Without a good index the segment is scanned again.
            Ok(_) | Err(_) => drop(self.unsealed.insert(segment, header)),
        }
        Ok(())
    }

    /// Finds the first sequence that nobody reserved.
    fn reserve(&mut self, disk: &dyn Disk, config: &LogConfig) -> Result<()> {
        let Some(last) = self.all().last().copied() else { return Ok(()) };
        if self.sealed.contains_key(&last)
            && let Ok(header) = read_header(disk, &config.directory, last)
        {
            self.next_sequence = header.reserved_until;
        }
        for segment in self.all() {
            let until = match (self.unsealed.get(&segment), self.sealed.get(&segment)) {
                (Some(Ok(header)), _) => header.reserved_until,
                // A reservation that cannot be read is as long as the largest segment's.
                (Some(Err(_)), _) => self.next_sequence + u64::from(u32::MAX) / RECORD_HEADER_BYTES as u64,
                (None, summary) => summary.map_or(0, |summary| summary.next_sequence),
            };
            self.next_sequence = self.next_sequence.max(until);
        }
        Ok(())
    }
}

fn read_summary(disk: &dyn Disk, config: &LogConfig, segment: u32) -> Result<Option<Summary>> {
    let path = index_path(&config.directory, segment);
    let file = match disk.open(&path, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| Error::io(path.display(), error))?,
    };
    let mut header = [0; INDEX_HEADER_BYTES];
    match file.read_at(&mut header, 0) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other.map_err(|error| Error::io(path.display(), error))?,
    }
    let summary = index::decode_summary(&header).map_err(|error| error.in_file(&path))?;
    Ok((summary.segment == segment).then_some(summary))
}

impl Log {
    /// Makes a log in a directory of its own; it is durable when this returns. Its records arrive at `not_before_ms` at
    /// the earliest, whatever the wall clock says.
    pub fn create(environment: Environment, config: LogConfig, not_before_ms: u64) -> Result<Arc<Log>> {
        let disk = &environment.disk;
        let failed = |error| Error::io(format!("could not make {}", config.directory.display()), error);
        disk.make_directory(&config.directory).map_err(failed)?;
        let mut ahead = Ahead::new(FIRST, u64::from(FIRST), config.segment_bytes_first);
        let mut opening = opening_frame(&config.shards, &Tail::default(), &[]);
        let room = SEGMENT_HEADER_BYTES + opening.padded_bytes();
        let prepared = make_first(&environment, &config, &mut ahead, room)?;
        let now_ms = environment.clock.wall_ms().max(not_before_ms);
        let mark = (Position::default(), 0);
        let opened = open_segment(&config, prepared, &mut opening, &Tail::default(), now_ms, mark).map_err(failed)?;
        let writer = Writer { shards: Arc::new(config.shards.clone()), ..opened };
        writer.file.file.sync().map_err(failed)?;
        if let Some(parent) = config.directory.parent() {
            disk.sync_directory(parent).map_err(failed)?;
        }
        let segments = vec![Arc::clone(&writer.segment)];
        Ok(Log::assemble(environment, config, segments, writer, ahead))
    }

    /// Opens the log of a directory: behind `clean`, where its close said that it ends, or by recovery.
    /// What stood at or behind `start` has to be there, or is reported.
    pub fn open(
        environment: Environment,
        config: LogConfig,
        clean: Option<Tail>,
        start: Position,
    ) -> Result<(Arc<Log>, Vec<Finding>)> {
        let mut files = Files::list(&*environment.disk, &config)?;
        if let Some(tail) = &clean {
            files.go_on_behind(tail);
        }
        if let Some(tail) = clean
            && let Some((segments, writer, ahead)) = continue_behind(&environment, &config, &files, &tail)?
        {
            files.clean_up(&*environment.disk)?;
            let log = Log::assemble(environment, config, segments, writer, ahead);
            let findings = log.find_missing(start)?;
            return Ok((log, findings));
        }
        let recovered = recover(&environment, &config, files, clean.unwrap_or_default())?;
        let log = Log::assemble(environment, config, recovered.segments, recovered.writer, recovered.ahead);
        let mut findings = recovered.findings;
        findings.extend(log.find_missing(start)?);
        Ok((log, findings))
    }

    /// Finds segments that are missing between others, or before the first: each segment's opening names the one before.
    fn find_missing(&self, start: Position) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut before: Option<Arc<Segment>> = None;
        for segment in self.segments() {
            let previous_end = match segment.summary() {
                Some(summary) => summary.previous_end,
                None => {
                    let file = segment.open(&*self.environment.disk)?;
                    let opening = read_opening(&file, file.bytes)?;
                    opening.map(|(opening, _)| opening.previous_end).unwrap_or_default()
                }
            };
            let is_there = match &before {
                Some(before) => previous_end.segment == before.index,
                // What stood before the start was given up.
                None => previous_end <= start,
            };
            if !is_there && previous_end != Position::default() {
                let known = |before: &Arc<Segment>| {
                    before.summary().map_or(before.first_sequence, |summary| summary.next_sequence)
                };
                findings.push(Finding {
                    log: self.config.name.clone(),
                    segment: previous_end.segment,
                    bytes: 0..previous_end.offset,
                    sequences: before.as_ref().map_or(0, known)..segment.first_sequence,
                    shards: Shards::Any,
                    meaning: Meaning::Damaged,
                });
            }
            before = Some(segment);
        }
        Ok(findings)
    }

    /// Looks at what the newest segment opens with. Where that is damaged it is a finding and no more: the records can be
    /// read, and the shard map is known from the segments before it or from the control log.
    pub fn check_opening(&self) -> Result<Option<Finding>> {
        let segments = self.segments();
        let newest = segments.last().expect("a log has a segment");
        let file = newest.open(&*self.environment.disk)?;
        let end = self.published().offset;
        if read_opening(&file, end)?.is_some() {
            return Ok(None);
        }
        Ok(Some(Finding {
            log: self.config.name.clone(),
            segment: newest.index,
            bytes: SEGMENT_HEADER_BYTES..end,
            sequences: newest.first_sequence..newest.first_sequence,
            shards: Shards::Of(Vec::new()),
            meaning: Meaning::Unreadable,
        }))
    }

    /// All that `writer` has written is durable.
    pub(super) fn assemble(
        environment: Environment,
        config: LogConfig,
        segments: Vec<Arc<Segment>>,
        writer: Writer,
        ahead: Ahead,
    ) -> Arc<Log> {
        let end = Position::new(writer.file.segment, writer.offset);
        let next_sequence = writer.next_sequence;
        Arc::new(Log {
            config,
            environment,
            writer: Apart(Mutex::new(writer)),
            sync: Mutex::new(()),
            syncs: Mutex::default(),
            published: Apart(Reach::new(end, next_sequence)),
            durable: Apart(Reach::new(end, next_sequence)),
            segments: RwLock::new(segments),
            ahead: Mutex::new(ahead),
            notifier: Arc::new(Notifier::default()),
            poison: OnceLock::new(),
            servant: OnceLock::new(),
            upkeep_wanted: Wish::default(),
            upkeep: Mutex::new(()),
            sync_due: Wish::default(),
            mark_due: Wish::default(),
        })
    }
}

/// The log as a clean close left it; `None` where the files do not say the same, and recovery has to look.
fn continue_behind(environment: &Environment, config: &LogConfig, files: &Files, tail: &Tail) -> Result<Option<Parts>> {
    let active = tail.position.segment;
    let Some(Ok(header)) = files.unsealed.get(&active) else { return Ok(None) };
    let older_unsealed = files.unsealed.range(..active).next().is_some();
    let newer_sealed = files.sealed.range(active..).next().is_some();
    let disk = &*environment.disk;
    let file = open_file(disk, &config.directory, active, header.incarnation, Access::Write)?;
    let offset = tail.position.offset;
    if older_unsealed || newer_sealed || file.bytes != header.capacity || offset > file.bytes {
        return Ok(None);
    }
    let reserved = tail.next_sequence..header.reserved_until;
    let is_reserved = tail.next_sequence >= header.reserved_from && suffices(&reserved, file.bytes - offset);
    if !offset.is_multiple_of(FRAME_ALIGNMENT) || !is_reserved {
        return Ok(None);
    }
    let Some(first) = file.frame(SEGMENT_HEADER_BYTES, tail.position.offset)?.map(|head| head.header) else {
        return Ok(None);
    };
    if goes_on(&file, tail)? {
        return Ok(None);
    }
    let mut ahead = files.ahead(config);
    let mut reserved_until = header.reserved_until;
    for (&segment, header) in files.unsealed.range(active + 1..) {
        let Ok(header) = header else { return Ok(None) };
        let file = open_file(disk, &config.directory, segment, header.incarnation, Access::Write)?;
        // An opening that a full disk refused may stand there too: it names an end before the tail.
        let opening = read_opening(&file, file.bytes)?;
        if opening.is_some_and(|(opening, _)| opening.previous_end >= tail.position) {
            return Ok(None);
        }
        let reserved = header.reserved_from..header.reserved_until;
        if reserved.start < reserved_until || !suffices(&reserved, file.bytes) {
            return Ok(None);
        }
        reserved_until = reserved.end;
        ahead.adopt(Prepared { file, reserved });
    }
    let mut stretches: Vec<_> = files.sealed.values().map(Stretch::Sealed).collect();
    stretches.push(Stretch::Open(&file, offset));
    let shards = shards_at_end(disk, config, &stretches, true)?;
    let opening =
        Waypoint { offset: SEGMENT_HEADER_BYTES, sequence: first.first_sequence, arrival_ms: first.arrival_ms };
    let segment = Arc::new(Segment::active(&config.directory, &file, opening));
    let mut segments: Vec<_> =
        files.sealed.values().map(|summary| Arc::new(Segment::sealed(&config.directory, *summary))).collect();
    segments.push(Arc::clone(&segment));
    let writer = Writer {
        segment,
        capacity: file.bytes,
        file,
        offset: tail.position.offset,
        next_sequence: tail.next_sequence,
        reserved_until: header.reserved_until,
        last_checksum: tail.last_checksum,
        last_arrival_ms: tail.last_arrival_ms,
        shards,
        generation: 0,
        waypoint_at: 0,
        populate_at: 0,
        populate_bytes: 0,
        ends_with_mark: true,
        unsynced: Vec::new(),
        closed: false,
    };
    Ok(Some((segments, writer, ahead)))
}

/// Shows all runs of all intact frames in the files of a log, and changes nothing: before recovery cuts and seals,
/// somebody has to say whether a newer version wrote them.
pub(crate) fn look_through(
    environment: &Environment,
    config: &LogConfig,
    mut see: impl FnMut(&RunEntry, &[u8]) -> Result<()>,
) -> Result<()> {
    let disk = &*environment.disk;
    let files = Files::list(disk, config)?;
    let unsealed =
        files.unsealed.iter().filter_map(|(segment, header)| Some((*segment, header.as_ref().ok()?.incarnation)));
    let sealed = files.sealed.values().map(|summary| (summary.segment, summary.incarnation));
    for (segment, incarnation) in unsealed.chain(sealed) {
        let file = open_file(disk, &config.directory, segment, incarnation, Access::Read)?;
        for frame in scan_segment(&file, file.bytes)?.frames.iter().filter(|frame| frame.is_intact()) {
            let Some(head) = file.frame(frame.offset, file.bytes)? else { continue };
            let bytes = file.map()?.bytes(frame.offset as usize..frame.end() as usize).unwrap_or_default();
            for entry in (0..head.runs()).filter_map(|run| head.run(run)) {
                see(&entry, bytes.get(entry.payload()).unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// Whether the log goes on right behind its clean tail, or did: then the control log has lost that it was opened since,
/// and what stands there must not be written over.
fn goes_on(file: &SegmentFile, tail: &Tail) -> Result<bool> {
    let offset = tail.position.offset;
    let rest = file.map()?.bytes(offset as usize..file.bytes as usize).unwrap_or_default();
    let is_claimed = FrameHead::is_claimed(rest, tail.next_sequence, tail.last_checksum);
    Ok(is_claimed || file.frame(offset, file.bytes)?.is_some())
}

/// Whether there is a sequence for each record that fits so many bytes.
fn suffices(reserved: &Range<u64>, bytes: u32) -> bool {
    reserved.end.checked_sub(reserved.start).is_some_and(|count| count >= u64::from(bytes) / RECORD_HEADER_BYTES as u64)
}

/// Whether a directory holds no more than what the creation of a log leaves before it is known: one segment, in which
/// nothing but the opening was written.
pub(crate) fn log_is_unused(environment: &Environment, directory: &Path) -> Result<bool> {
    let disk = &*environment.disk;
    let names = disk.list(directory).map_err(|error| Error::io(directory.display(), error))?;
    let first = segment_path(directory, FIRST);
    let first = first.file_name().expect("a segment has a name").to_string_lossy();
    if names.iter().any(|name| !name.ends_with(".tmp") && *name != first) {
        return Ok(false);
    }
    if !names.iter().any(|name| *name == first) {
        return Ok(true);
    }
    let header = match read_header(disk, directory, FIRST) {
        Ok(header) => header,
        // A header that cannot be read may be that of a log that was used.
        Err(error) if error.kind() == Kind::Corrupt => return Ok(false),
        Err(error) => return Err(error),
    };
    let file = open_file(disk, directory, FIRST, header.incarnation, Access::Read)?;
    let scan = scan_segment(&file, file.bytes)?;
    Ok(scan.frames.iter().all(|frame| frame.header.records == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::draft::FrameDraft;

    fn config(directory: &Path) -> LogConfig {
        let plain = LogConfig::plain("log".to_owned(), directory.to_path_buf(), 1);
        LogConfig { segment_bytes_first: 64 << 10, segment_bytes_max: 64 << 10, ..plain }
    }

    #[test]
    fn a_clean_tail_that_its_segment_does_not_bear_out_is_no_place_to_go_on_at() {
        let lies: [fn(&mut Tail); 5] = [
            |tail| tail.next_sequence = 0,
            |tail| tail.next_sequence += 1 << 20,
            |tail| tail.position.offset += 1,
            |tail| tail.position.offset = u32::MAX,
            |tail| tail.position.segment += 1,
        ];
        for lie in lies {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let log = Log::create(Environment::default(), config(directory.path()), 0).expect("made");
            let mut tail = log.close().expect("closed");
            let (honest, environment) = (tail, Environment::default());
            lie(&mut tail);
            let (log, _) =
                Log::open(environment, config(directory.path()), Some(tail), Position::default()).expect("recovered");
            let appended = log.append(&mut FrameDraft::of_state(&[])).expect("appended");
            assert!(appended.end.segment > honest.position.segment, "{tail:?} was taken for the end");
            assert!(appended.first_sequence >= honest.next_sequence.max(tail.next_sequence), "{appended:?}");
        }
    }
}
