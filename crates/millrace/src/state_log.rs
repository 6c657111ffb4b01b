//! A log that an application keeps in the store for a state of its own: the same files, frames and recovery as a
//! stream's, in a directory of their own. The server keeps its tables in it. What the bytes mean, only their owner knows.
//!
//! Steps are appended before they are applied, and acknowledged once they are durable. The log is compacted by a snapshot
//! in several parts: a new segment begins with the first, and all before it goes once the last is durable. The keeper
//! does what nobody waits for: it prepares and seals segments, and removes those that a snapshot has made void.
//!
//! Invariant: what is read back is all that was acknowledged, or an error. A queue's log that is damaged is gone back in;
//! here, going back would give somebody what another was given already, and nobody would know.

use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::Inner;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{RunEntry, RunKind};
use crate::format::part::Part;
use crate::format::{FRAME_BYTES_MAX, Position};
use crate::log::draft::FrameDraft;
use crate::log::remains::{Known, Remains};
use crate::log::replay::{Leads, create_whole, is_there, refuse_newer_kind};
use crate::log::{Finding, Log, LogConfig, Meaning, look_through};
use crate::sync::Mutex;

/// How the log is called in what is reported.
pub(crate) const STATE_LOG: &str = "tables log";
/// Where it stands in a store.
pub(crate) const STATE_DIRECTORY: &str = "tables";
/// The number that its segments bear: no stream, queue or control log has it.
pub(crate) const STATE_LOG_ID: u64 = u64::MAX;
/// The length of its segments, in bytes, after shorter ones at the beginning; the next one is written ahead.
const SEGMENT_BYTES: u32 = 4 << 20;
/// The log is compacted once so many bytes stand behind the snapshot, or four times as many as it has. Whoever asks
/// meanwhile waits for that, so it is seldom.
const COMPACTED_AFTER_BYTES: usize = 8 << 20;
/// What a frame takes besides one payload, and the opening of a segment before it, in bytes.
const FRAME_ROOM_BYTES: usize = 4_096;

/// The log of a state; see [`crate::Engine::open_state_log`]. One at a time in a store; dropping it closes it.
pub struct StateLog {
    engine: Arc<Inner>,
    log: Arc<Log>,
    growth: Mutex<Growth>,
}

impl std::fmt::Debug for StateLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateLog").field("log", &self.log).finish_non_exhaustive()
    }
}

/// How much stands behind the last snapshot, and how much may.
#[derive(Clone, Copy, Debug)]
struct Growth {
    bytes: usize,
    bytes_max: usize,
}

/// What a log of state holds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatePart {
    /// A whole state, in the parts that it was given in: all before it is of no account.
    Snapshot(Vec<Vec<u8>>),
    /// Steps that were appended together.
    Steps(Vec<u8>),
}

impl StateLog {
    /// The most bytes that are appended together, or make a part of a snapshot.
    pub const BYTES_MAX: usize = FRAME_BYTES_MAX as usize - FRAME_ROOM_BYTES;

    /// Appends steps; returns the end of the log. They are not durable before [`StateLog::sync_to`] says so.
    ///
    /// # Errors
    /// `InvalidArgument` (more than [`StateLog::BYTES_MAX`]), `DiskFull`, `Poisoned`, `Closed`, `Io`. Nothing is appended
    /// then.
    pub fn append(&self, steps: Vec<u8>) -> Result<Position> {
        let _stays_open = self.engine.call()?;
        check_bytes(steps.len())?;
        let bytes = steps.len();
        let appended = self.log.append(&mut FrameDraft::of_state(&[(RunKind::Command, steps)]))?;
        self.growth.lock().bytes += bytes;
        Ok(appended.end)
    }

    /// Returns once the log is durable up to a place; syncs in the calling thread if nobody has.
    ///
    /// # Errors
    /// `OutcomeUnknown`: what was appended since the last sync may or may not be there after the next open, and nothing
    /// more is appended until then. `Closed`.
    pub fn sync_to(&self, end: Position) -> Result<()> {
        let _stays_open = self.engine.call()?;
        self.log.sync_to(end)?;
        self.engine.committer.mark_later(&self.log);
        Ok(())
    }

    /// Whether so much stands behind the last snapshot that it is time for another.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        let growth = self.growth.lock();
        growth.bytes > growth.bytes_max
    }

    /// Puts a whole state in the place of all that stands in the log, and returns once it is durable. Whoever appends
    /// waits for it: between the parts nothing else may stand.
    ///
    /// # Errors
    /// As for [`StateLog::append`] and [`StateLog::sync_to`]. What stood in the log before counts then.
    pub fn compact(&self, parts: Vec<Vec<u8>>) -> Result<()> {
        let _stays_open = self.engine.call()?;
        parts.iter().try_for_each(|part| check_bytes(part.len()))?;
        let total: usize = parts.iter().map(Vec::len).sum();
        let begins = write_snapshot(&self.log, parts)?;
        self.engine.give_up_state_before(&self.log, begins);
        *self.growth.lock() = Growth { bytes: 0, bytes_max: COMPACTED_AFTER_BYTES.max(4 * total) };
        Ok(())
    }
}

impl Drop for StateLog {
    fn drop(&mut self) {
        self.engine.let_go_of_state_log(&self.log);
    }
}

fn check_bytes(bytes: usize) -> Result<()> {
    if bytes <= StateLog::BYTES_MAX {
        return Ok(());
    }
    let max = StateLog::BYTES_MAX;
    Err(Error::new(Kind::InvalidArgument, format!("expected at most {max} bytes of state at once, got {bytes}")))
}

/// Writes a snapshot durably; returns where the segment begins that it begins in.
fn write_snapshot(log: &Log, parts: Vec<Vec<u8>>) -> Result<Position> {
    let total = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut numbered = parts.into_iter().zip(0_u32..).map(|(bytes, number)| Part { number, total, bytes }.encode());
    let Some(first) = numbered.next() else {
        return Err(Error::new(Kind::InvalidArgument, "expected a snapshot of at least one part, got none"));
    };
    log.start_segment(&[(RunKind::State, first)])?;
    let begins = Position::new(log.published().segment, 0);
    for part in numbered {
        log.append(&mut FrameDraft::of_state(&[(RunKind::State, part)]))?;
    }
    log.sync_all()?;
    Ok(begins)
}

/// Opens the log, or makes it where it is missing, and shows what it holds. Returns what the operator should know too.
pub(crate) fn open(
    environment: &Environment,
    directory: PathBuf,
    visit: &mut dyn FnMut(StatePart) -> Result<()>,
) -> Result<(Arc<Log>, Vec<Finding>)> {
    let config = config(directory);
    if !is_there(environment, &config.directory)? {
        create_whole(environment, &config)?;
    }
    look_through(environment, &config, |entry, _payload| refuse_newer_kind("the log of the tables", entry))?;
    // All before the last snapshot was given up; where that is missing, the replay comes upon it.
    let start = Position::new(u32::MAX, u32::MAX);
    let (log, findings) = Log::open(environment.clone(), config, None, start)?;
    if let Some(damage) = findings.iter().find(|finding| finding.meaning != Meaning::PossiblyAcknowledged) {
        return Err(damaged(damage));
    }
    let mut replayed = Replayed::default();
    match log.replay(|entry, payload| replayed.visit(entry, payload, visit))? {
        None => Ok((log, findings)),
        Some(place) => Err(damaged(&format_args!("{STATE_LOG}: it is damaged at {place}"))),
    }
}

impl StateLog {
    pub(crate) fn new(engine: Arc<Inner>, log: Arc<Log>) -> StateLog {
        StateLog { engine, log, growth: Mutex::new(Growth { bytes: 0, bytes_max: COMPACTED_AFTER_BYTES }) }
    }
}

fn config(directory: PathBuf) -> LogConfig {
    LogConfig {
        segment_bytes_max: SEGMENT_BYTES,
        prepared_bytes: u64::from(SEGMENT_BYTES),
        ..LogConfig::plain(STATE_LOG.to_owned(), directory, STATE_LOG_ID)
    }
}

fn damaged(what: &dyn std::fmt::Display) -> Error {
    let message = format!(
        "{what}; restore the store from a copy, save what is good with millrace repair, or move the directory {STATE_DIRECTORY} \
         away to begin without tables"
    );
    Error::new(Kind::Corrupt, message)
}

/// A snapshot counts once all of its parts are there: a process that ended in between left the steps before it.
#[derive(Debug, Default)]
struct Replayed {
    parts: Vec<Vec<u8>>,
}

impl Replayed {
    fn visit(
        &mut self,
        entry: &RunEntry,
        payload: &[u8],
        visit: &mut dyn FnMut(StatePart) -> Result<()>,
    ) -> Result<Leads> {
        match entry.kind {
            RunKind::State => match self.part(payload)? {
                Some(parts) => visit(StatePart::Snapshot(parts)).map(|()| Leads::ToAWholeState),
                None => Ok(Leads::On),
            },
            RunKind::Command => {
                self.parts.clear();
                visit(StatePart::Steps(payload.to_vec())).map(|()| Leads::On)
            }
            RunKind::Records | RunKind::ShardChange => Err(damaged(&"expected state, got records")),
            RunKind::Opening | RunKind::Other(_) => Ok(Leads::On),
        }
    }

    /// Takes the next part of a snapshot; returns all of them with the last one.
    fn part(&mut self, payload: &[u8]) -> Result<Option<Vec<Vec<u8>>>> {
        let part = Part::decode(payload).ok_or_else(|| damaged(&"expected a part of a snapshot"))?;
        if part.number == 0 {
            self.parts.clear();
        }
        if part.number as usize != self.parts.len() {
            return Err(damaged(&"a part of a snapshot is missing"));
        }
        self.parts.push(part.bytes);
        Ok((self.parts.len() == part.total as usize).then(|| std::mem::take(&mut self.parts)))
    }
}

/// What is left of the log of a store that is only read; nothing where it has none.
pub(crate) fn state_remains(reading: &Environment, directory: PathBuf) -> Result<Option<Remains>> {
    if !is_there(reading, &directory)? {
        return Ok(None);
    }
    Remains::find(reading.clone(), config(directory), Known::default()).map(Some)
}

/// Writes what is left of a log elsewhere, up to what is damaged: a state that there was. Returns whether that is all.
/// Steps whose base is gone are void, as for [`Log::replay`]; the copy begins at its beginning, where nobody could tell.
pub(crate) fn copy_remains(remains: &Remains, environment: &Environment, directory: PathBuf) -> Result<bool> {
    let is_whole = remains.is_whole() && remains.read_all()?.iter().all(|finding| finding.meaning == Meaning::Index);
    let log = Log::create(environment.clone(), config(directory), 0)?;
    let (mut replayed, mut has_base) = (Replayed::default(), remains.begins_at_the_beginning());
    let mut previous = None;
    for frame in remains.state_frames()? {
        let follows = previous.is_none_or(|checksum| checksum == frame.previous_checksum);
        if !frame.is_whole || !follows {
            break;
        }
        previous = Some(frame.checksum);
        let mut counts = |kind: RunKind, payload: &[u8]| match kind {
            RunKind::State => {
                has_base |= replayed.part(payload).is_ok_and(|whole| whole.is_some());
                true
            }
            RunKind::Command => has_base,
            RunKind::Opening | RunKind::Records | RunKind::ShardChange | RunKind::Other(_) => false,
        };
        let runs: Vec<_> = frame.runs.into_iter().filter(|(kind, payload)| counts(*kind, payload)).collect();
        if !runs.is_empty() {
            log.append(&mut FrameDraft::of_state(&runs))?;
        }
    }
    log.close()?;
    Ok(is_whole)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Engine, OpenOptions};

    fn engine(directory: &Path) -> Engine {
        Engine::open(directory, OpenOptions::default()).expect("opened")
    }

    fn held(engine: &Engine) -> Vec<StatePart> {
        let mut parts = Vec::new();
        let log = engine.open_state_log(|part| {
            parts.push(part);
            Ok(())
        });
        drop(log.expect("opened"));
        parts
    }

    #[test]
    fn a_snapshot_that_is_not_whole_counts_for_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = engine(directory.path());
        let log = engine.open_state_log(|_| Ok(())).expect("made");
        let steps = |text: &str| StatePart::Steps(text.as_bytes().to_vec());
        log.append(b"one".to_vec()).expect("appended");
        // What a compaction leaves that ends before its last part, and steps of the process after it.
        let part = |number| Part { number, total: 3, bytes: b"part".to_vec() }.encode();
        log.log.start_segment(&[(RunKind::State, part(0))]).expect("started");
        log.log.append(&mut FrameDraft::of_state(&[(RunKind::State, part(1))])).expect("appended");
        log.append(b"two".to_vec()).expect("appended");
        drop(log);
        assert_eq!(held(&engine), [steps("one"), steps("two")]);
        let log = engine.open_state_log(|_| Ok(())).expect("opened");
        log.compact(vec![b"whole".to_vec(), b"state".to_vec()]).expect("compacted");
        log.append(b"three".to_vec()).expect("appended");
        drop(log);
        let snapshot = StatePart::Snapshot(vec![b"whole".to_vec(), b"state".to_vec()]);
        assert_eq!(held(&engine), [snapshot, steps("three")]);
        engine.close().expect("closed");
    }

    /// A log whose last snapshot was made while it had several segments, of which a trim that was interrupted took the first.
    fn trimmed_in_part(engine: &Engine, snapshot: &[&str]) {
        let log = engine.open_state_log(|_| Ok(())).expect("made");
        log.append(b"base".to_vec()).expect("appended");
        log.log.start_segment(&[]).expect("started");
        let void = log.append(b"void without its base".to_vec()).expect("appended");
        if !snapshot.is_empty() {
            let parts = snapshot.iter().map(|part| part.as_bytes().to_vec()).collect();
            write_snapshot(&log.log, parts).expect("written");
        }
        log.log.upkeep().expect("sealed");
        assert!(log.log.trim(void).expect("trimmed") > 0);
    }

    #[test]
    fn steps_whose_base_an_interrupted_trim_has_taken_are_void() {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
        let engine = engine(&store);
        trimmed_in_part(&engine, &["whole", "state"]);
        let snapshot = StatePart::Snapshot(vec![b"whole".to_vec(), b"state".to_vec()]);
        assert_eq!(held(&engine), std::slice::from_ref(&snapshot));
        engine.close().expect("closed");
        let repaired = crate::repair(&store, &copy, &Environment::default(), |_, _| true).expect("repaired");
        assert_eq!(repaired.expect("not stopped").damages, []);
        let engine = Engine::open(&copy, OpenOptions::default()).expect("opened");
        assert_eq!(held(&engine), [snapshot]);
        engine.close().expect("closed");
    }

    #[test]
    fn steps_without_a_base_and_without_a_snapshot_are_damage() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = engine(directory.path());
        trimmed_in_part(&engine, &[]);
        assert_eq!(engine.open_state_log(|_| Ok(())).expect_err("refused").kind(), Kind::Corrupt);
        engine.close().expect("closed");
    }

    #[test]
    fn parts_out_of_their_order_are_damage() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = engine(directory.path());
        let log = engine.open_state_log(|_| Ok(())).expect("made");
        let part = Part { number: 1, total: 2, bytes: Vec::new() }.encode();
        log.log.append(&mut FrameDraft::of_state(&[(RunKind::State, part)])).expect("appended");
        drop(log);
        let refused = engine.open_state_log(|_| Ok(())).expect_err("refused");
        assert_eq!(refused.kind(), Kind::Corrupt);
        engine.close().expect("closed");
    }
}
