//! Verification: every frame and every run of a stream is read and held against its checksums, every index against
//! its segment. Nothing is changed: [`verify`] looks at a store without opening it, also where it could not be opened.

use std::path::Path;

use crate::engine::{Engine, OpenOptions};
use crate::environment::Environment;
use crate::error::{Kind, Result};
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::log::{Finding, Log, Meaning, Scan, Shards, build_index, damage_of, scan_segment};
use crate::queue::log::queue_log_name;
use crate::repair::{Damage, Examined};
use crate::shard::SequenceCodec;
use crate::state_log::STATE_LOG;
use crate::store::ReadStore;
use crate::stream::Stream;

/// What a verification has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many segments were read.
    pub segments: u64,
    /// How many frames were read.
    pub frames: u64,
    /// How many records they hold that are what was written.
    pub records: u64,
    /// How many bytes of log were read.
    pub bytes: u64,
    /// What is damaged; nothing, if all is well.
    pub findings: Vec<Finding>,
}

impl Stream {
    /// Reads all that is durable and reports what is damaged. `progress` is called after each segment with the bytes
    /// read so far and their total; it returns whether to go on.
    ///
    /// # Errors
    /// `Io` where a file cannot be read at all, `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let stream = engine.create_stream("clicks", StreamConfig::default())?;
    /// assert!(stream.verify(|_done, _total| true)?.findings.is_empty());
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn verify(&self, mut progress: impl FnMut(u64, u64) -> bool) -> Result<Verification> {
        verify_log(&self.0.log, &mut progress)
    }
}

/// The same for any log that is open.
pub(crate) fn verify_log(log: &Log, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Verification> {
    let durable = log.durable();
    let segments = log.segments();
    let part = |index: u32, end: Option<u32>| match index.cmp(&durable.segment) {
        std::cmp::Ordering::Less => end.unwrap_or(SEGMENT_HEADER_BYTES),
        std::cmp::Ordering::Equal => durable.offset,
        std::cmp::Ordering::Greater => SEGMENT_HEADER_BYTES,
    };
    let total: u64 = segments.iter().map(|segment| u64::from(part(segment.index, segment.end()))).sum();
    let mut outcome = Verification::default();
    for (index, segment) in segments.iter().enumerate() {
        let end = part(segment.index, segment.end());
        // A file that is open stays as it is, but one that retention freed before that, or its index, is gone.
        let is_kept = || log.segments().iter().any(|kept| kept.index == segment.index);
        let file = match segment.open(&*log.environment.disk) {
            Err(_) if !is_kept() => continue,
            opened => opened?,
        };
        let scan = scan_segment(&file, end)?;
        // All that the segment was known to hold may be gone; where nobody knew that, all before the next one.
        let following = segments.get(index + 1).map_or(log.durable_sequence(), |next| next.first_sequence);
        let next_sequence = segment.summary().map_or(following, |summary| summary.next_sequence);
        let ends = (end, Some(next_sequence));
        let damage = damage_of(&log.config.name, segment.index, segment.first_sequence, ends, &scan);
        outcome.add(&scan);
        let is_whole = damage.is_empty();
        outcome.findings.extend(damage);
        // Where frames are damaged, an index that lists them is right. A segment that was still written to when the
        // verification began is read up to there: its index says more.
        if is_whole
            && let Some(summary) = segment.summary().filter(|_| segment.end() == Some(end))
            && let stored = intact(segment.read_index(&*log.environment.disk))
                .or_else(|error| if is_kept() { Err(error) } else { Ok(None) })?
            && let (rebuilt, body) = build_index(&file, end)?
            && !(*summary == rebuilt && stored.is_some_and(|stored| stored.agrees_with(body)))
            && is_kept()
        {
            outcome.findings.push(Finding {
                log: log.config.name.clone(),
                segment: segment.index,
                bytes: 0..0,
                sequences: 0..0,
                shards: Shards::Of(Vec::new()),
                meaning: Meaning::Index,
            });
        }
        outcome.bytes += u64::from(end);
        if !progress(outcome.bytes, total) {
            break;
        }
    }
    Ok(outcome)
}

/// `None` for what is damaged; what cannot be read is another matter.
fn intact<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == Kind::Corrupt => Ok(None),
        other => other.map(Some),
    }
}

/// What the verification of a whole store has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreVerification {
    /// How many streams were read.
    pub streams: u64,
    /// What was read of them; the findings are among the damages.
    pub read: Verification,
    /// What is damaged; nothing, if all is well.
    pub damages: Vec<Damage>,
}

/// Reads a whole store and reports what is damaged, whether or not it could be opened. Nothing is changed, and nobody
/// can open the store for writing meanwhile; where this process itself has it open, what is durable is read.
/// `progress` is called after each segment with the bytes read so far and their total; it returns whether to go on.
///
/// # Errors
/// `Locked` (another process has it open), `NotAStore`, `FormatNewer`, `Unsupported`, `Io`.
///
/// ```
/// use millrace::{Engine, Environment, OpenOptions, verify};
/// # let directory = tempfile::tempdir().unwrap();
/// Engine::open(directory.path(), OpenOptions::default())?.close()?;
/// let verification = verify(directory.path(), &Environment::default(), |_done, _total| true)?;
/// assert!(verification.damages.is_empty());
/// # Ok::<(), millrace::Error>(())
/// ```
pub fn verify(
    path: &Path,
    environment: &Environment,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<StoreVerification> {
    let examined = match ReadStore::claim(path) {
        Err(error) if error.kind() == Kind::Locked => return verify_open(path, &mut progress),
        claimed => Examined::new(claimed?, environment)?,
    };
    let mut outcome = StoreVerification { damages: examined.damages.clone(), ..StoreVerification::default() };
    let total = examined.streams.iter().map(|stream| stream.remains.bytes()).sum();
    for stream in &examined.streams {
        let (name, codec) = (&stream.entry.name, stream.codec());
        outcome.streams += 1;
        outcome.damages.extend(stream.damages.iter().cloned());
        let mut findings = stream.remains.findings.clone();
        for part in &stream.remains.parts {
            let read = stream.remains.read(part)?;
            findings.extend(read.findings);
            outcome.read.add(&read.scan);
            outcome.read.bytes += u64::from(part.end);
            if !progress(outcome.read.bytes, total) {
                return Ok(outcome);
            }
        }
        outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(name, finding, codec)));
        let complaints = examined.disk.complaints(&stream.remains.config.directory);
        outcome.damages.extend(complaints.iter().map(|complaint| Damage::note(name, complaint)));
    }
    if let Some(tables) = &examined.tables {
        let findings = tables.read_all()?;
        outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(STATE_LOG, finding, None)));
    }
    for queue in &examined.queues {
        let findings = queue.read_all()?;
        outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(&queue.config.name, finding, None)));
    }
    Ok(outcome)
}

/// The same for a store that this process has open.
fn verify_open(path: &Path, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<StoreVerification> {
    let engine = Engine::open(path, OpenOptions { create: false, ..OpenOptions::default() })?;
    let mut outcome = StoreVerification::default();
    for summary in engine.list_streams()? {
        outcome.streams += 1;
        let verified = engine.stream(&summary.name).and_then(|stream| {
            let before = outcome.read.bytes;
            let read = stream.verify(|done, total| progress(before + done, before + total))?;
            let mut findings = stream.describe().findings;
            findings.extend(
                read.findings.iter().filter(|finding| !findings.contains(finding)).cloned().collect::<Vec<_>>(),
            );
            let codec = SequenceCodec::new(summary.created_ms / 1_000, summary.id).ok();
            outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(&summary.name, finding, codec)));
            Ok(read)
        });
        match verified {
            Ok(read) => outcome.read.count(&read),
            // The store is in use: a stream may be deleted meanwhile.
            Err(error) if [Kind::StreamNotFound, Kind::StreamDeleting].contains(&error.kind()) => outcome.streams -= 1,
            Err(error) => outcome.damages.push(Damage::note(&summary.name, &error.to_string())),
        }
    }
    for (_, queue) in engine.list_queues()? {
        let findings = engine.verify_queue(&queue)?;
        let place = queue_log_name(&queue.name);
        outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(&place, finding, None)));
    }
    let findings = engine.verify_state_log()?;
    outcome.damages.extend(findings.into_iter().map(|finding| Damage::of(STATE_LOG, finding, None)));
    engine.close()?;
    Ok(outcome)
}

impl Verification {
    fn count(&mut self, more: &Verification) {
        self.segments += more.segments;
        self.frames += more.frames;
        self.records += more.records;
        self.bytes += more.bytes;
    }

    pub(crate) fn add(&mut self, scan: &Scan) {
        self.segments += 1;
        self.frames += scan.frames.len() as u64;
        self.records += scan.intact_records();
    }
}
