//! Making a log, and opening one: by its tail after a clean close, by recovery otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::append::{open_segment, opening_frame};
use super::notify::Notifier;
use super::prepare::{Ahead, Prepared, make_first};
use super::reach::Reach;
use super::recover::{Finding, Meaning, recover};
use super::scan::{read_opening, scan_segment};
use super::segment::{Segment, index_path, open_file, read_header, segment_path};
use super::wish::Wish;
use super::{Log, LogConfig, Tail, Writer};
use crate::disk::{Access, Disk};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::index::{self, INDEX_HEADER_BYTES, Summary, Waypoint};
use crate::format::record::RECORD_HEADER_BYTES;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::sync::{Mutex, OnceLock, RwLock};

/// The first segment's number and the first sequence of a log: 0 means "before everything".
const FIRST: u32 = 1;

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
    spares: Vec<(PathBuf, u32)>,
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
        let next_segment = self.all().last().map_or(FIRST, |last| last + 1);
        let mut ahead = Ahead::new(next_segment, self.next_sequence, config.segment_bytes_first);
        for (path, bytes) in &self.spares {
            ahead.keep_spare(path.clone(), *bytes);
        }
        ahead
    }

    /// Looks through the directory and removes what an interrupted step left half done.
    fn list(disk: &dyn Disk, config: &LogConfig) -> Result<Files> {
        let failed = |error| Error::io(format!("could not read {}", config.directory.display()), error);
        let mut files =
            Files { sealed: BTreeMap::new(), unsealed: BTreeMap::new(), next_sequence: 1, spares: Vec::new() };
        let names = disk.list(&config.directory).map_err(failed)?;
        for name in &names {
            let path = config.directory.join(name);
            if name.ends_with(".tmp") {
                disk.remove(&path).map_err(failed)?;
            } else if name.ends_with(".spare") {
                let bytes = disk.open(&path, Access::Read).and_then(|file| file.bytes()).map_err(failed)?;
                files.spares.push((path, u32::try_from(bytes).unwrap_or(0)));
            } else if let Some(number) = name.strip_suffix(".seg") {
                let segment = u32::from_str_radix(number, 16)
                    .map_err(|_| Error::new(Kind::Corrupt, format!("{} is no name of a segment", path.display())))?;
                files.add(disk, config, segment)?;
            }
        }
        // A trim that was interrupted leaves the index of a segment that is gone.
        let oldest = files.all().first().copied().unwrap_or(0);
        for name in names.iter().filter(|name| name.ends_with(".idx")) {
            let segment = name.strip_suffix(".idx").and_then(|number| u32::from_str_radix(number, 16).ok());
            if segment.is_some_and(|segment| segment < oldest) {
                disk.remove(&config.directory.join(name)).map_err(failed)?;
            }
        }
        files.reserve(disk, config)?;
        Ok(files)
    }

    fn add(&mut self, disk: &dyn Disk, config: &LogConfig, segment: u32) -> Result<()> {
        match read_summary(disk, config, segment) {
            Ok(Some(summary)) => {
                self.sealed.insert(segment, summary);
                return Ok(());
            }
            Err(error) if error.kind() != Kind::Corrupt => return Err(error),
            // Without a good index the segment is scanned again.
            Ok(None) | Err(_) => {}
        }
        let header = read_header(disk, &config.directory, segment);
        if let Err(error) = &header
            && error.kind() != Kind::Corrupt
        {
            return header.map(|_| ());
        }
        self.unsealed.insert(segment, header);
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
    let summary = index::decode_summary(&header)?;
    Ok((summary.segment == segment).then_some(summary))
}

impl Log {
    /// Makes a log in a directory of its own; it is durable when this returns.
    pub fn create(environment: Environment, config: LogConfig) -> Result<Arc<Log>> {
        let disk = &environment.disk;
        let failed = |error| Error::io(format!("could not make {}", config.directory.display()), error);
        disk.make_directory(&config.directory).map_err(failed)?;
        let mut ahead = Ahead::new(FIRST, u64::from(FIRST), config.segment_bytes_first);
        let mut opening = opening_frame(&config, &Tail::default(), &[]);
        let room = SEGMENT_HEADER_BYTES + opening.padded_bytes();
        let prepared = make_first(&environment, &config, &mut ahead, room)?;
        let now_ms = environment.clock.wall_ms();
        let mark = (Position::default(), 0);
        let writer = open_segment(&config, prepared, &mut opening, &Tail::default(), now_ms, mark).map_err(failed)?;
        writer.file.file.sync().map_err(failed)?;
        if let Some(parent) = config.directory.parent() {
            disk.sync_directory(parent).map_err(failed)?;
        }
        let segments = vec![Arc::clone(&writer.segment)];
        Ok(Log::assemble(environment, config, segments, writer, ahead))
    }

    /// Opens the log of a directory: behind `clean`, where its close said that it ends, or by recovery.
    pub fn open(environment: Environment, config: LogConfig, clean: Option<Tail>) -> Result<(Arc<Log>, Vec<Finding>)> {
        let files = Files::list(&*environment.disk, &config)?;
        if let Some(tail) = clean
            && let Some((segments, writer, ahead)) = continue_behind(&environment, &config, &files, &tail)?
        {
            let log = Log::assemble(environment, config, segments, writer, ahead);
            let findings = log.find_missing()?;
            return Ok((log, findings));
        }
        let floor = clean.map(|tail| tail.position).unwrap_or_default();
        let recovered = recover(&environment, &config, files, floor)?;
        let log = Log::assemble(environment, config, recovered.segments, recovered.writer, recovered.ahead);
        let mut findings = recovered.findings;
        findings.extend(log.find_missing()?);
        Ok((log, findings))
    }

    /// Finds segments that are missing between others: each segment's opening names the one before.
    fn find_missing(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for pair in self.segments().windows(2) {
            let [before, after] = pair else { continue };
            let previous_end = match after.summary() {
                Some(summary) => summary.previous_end,
                None => {
                    let file = after.open(&*self.environment.disk)?;
                    let opening = read_opening(&file, file.bytes)?;
                    opening.map(|(opening, _)| opening.previous_end).unwrap_or_default()
                }
            };
            if previous_end.segment != before.index && previous_end != Position::default() {
                let known = before.summary().map_or(before.first_sequence, |summary| summary.next_sequence);
                findings.push(Finding {
                    log: self.config.name.clone(),
                    segment: previous_end.segment,
                    bytes: 0..previous_end.offset,
                    sequences: known..after.first_sequence,
                    meaning: Meaning::Damaged,
                });
            }
        }
        Ok(findings)
    }

    /// Checks that the newest segment opens with the shard map that this log was opened with. Where its opening is
    /// damaged that is a finding and no more: the records can be read, and the map is known from the control log.
    pub fn check_opening(&self) -> Result<Option<Finding>> {
        let segments = self.segments();
        let newest = segments.last().expect("a log has a segment");
        let file = newest.open(&*self.environment.disk)?;
        let end = self.published().offset;
        let Some((opening, _)) = read_opening(&file, end)? else {
            return Ok(Some(Finding {
                log: self.config.name.clone(),
                segment: newest.index,
                bytes: SEGMENT_HEADER_BYTES..end,
                sequences: newest.first_sequence..newest.first_sequence,
                meaning: Meaning::Unreadable,
            }));
        };
        if opening.shards == self.config.shards {
            return Ok(None);
        }
        let message = format!("{}: segment {} does not open with the stream's shards", self.config.name, newest.index);
        Err(Error::new(Kind::Corrupt, message))
    }

    /// All that `writer` has written is durable.
    fn assemble(
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
            writer: Mutex::new(writer),
            sync: Mutex::new(()),
            published: Reach::new(end, next_sequence),
            durable: Reach::new(end, next_sequence),
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
    if older_unsealed || newer_sealed || file.bytes != header.capacity || tail.position.offset > file.bytes {
        return Ok(None);
    }
    let Some(first) = file.frame(SEGMENT_HEADER_BYTES, tail.position.offset)?.map(|head| head.header) else {
        return Ok(None);
    };
    let mut ahead = files.ahead(config);
    for (&segment, header) in files.unsealed.range(active + 1..) {
        let Ok(header) = header else { return Ok(None) };
        let file = open_file(disk, &config.directory, segment, header.incarnation, Access::Write)?;
        let reserved = header.reserved_from..header.reserved_until;
        ahead.adopt(Prepared { file, reserved });
    }
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
        ends_with_mark: true,
        unsynced: Vec::new(),
        closed: false,
    };
    Ok(Some((segments, writer, ahead)))
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
    // A header that cannot be read may be that of a log that was used.
    let Ok(header) = read_header(disk, directory, FIRST) else { return Ok(false) };
    let file = open_file(disk, directory, FIRST, header.incarnation, Access::Read)?;
    let scan = scan_segment(&file, file.bytes)?;
    Ok(scan.frames.iter().all(|frame| frame.header.records == 0))
}
