//! The control log: commands in, state out. A command is durable before it is applied, and applied before its
//! caller hears of it.
//!
//! The log is compacted by opening a segment with a snapshot of the state; the segments before it go.

use std::path::Path;
use std::sync::Arc;

use super::account::AccountSettings;
use super::command::Command;
use super::state::State;
use super::stream::StreamEntry;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::frame::{RunEntry, RunKind};
use crate::log::draft::FrameDraft;
use crate::log::replay::{Leads, create_whole, refuse_newer_kind};
use crate::log::{Finding, Log, LogConfig, Meaning, look_through};

/// The largest snapshot that is written, in bytes: it shares a frame with the segment's opening.
const SNAPSHOT_BYTES_MAX: usize = 15 << 20;

/// The control log with the state that it leads to.
#[derive(Debug)]
pub(crate) struct Journal {
    pub log: Arc<Log>,
    state: State,
    // Commands are appended behind this; once they are many, the log is compacted.
    compacted_at: Position,
}

pub(super) fn config(directory: &Path) -> LogConfig {
    LogConfig::plain("control log".to_owned(), directory.to_path_buf(), 0)
}

impl Journal {
    /// Opens the control log of a store, or makes it.
    pub fn open(environment: &Environment, directory: &Path, exists: bool) -> Result<(Journal, Vec<Finding>)> {
        let config = config(directory);
        if !exists {
            create_whole(environment, &config)?;
        }
        look_through(environment, &config, refuse_newer)?;
        // A compaction gives up all before its snapshot; where that is missing, a replay comes upon it.
        let start = Position::new(u32::MAX, u32::MAX);
        let (log, findings) = Log::open(environment.clone(), config, None, start)?;
        // A command that is lost from the middle makes all that follows meaningless.
        if let Some(damage) = findings.iter().find(|finding| finding.meaning != Meaning::PossiblyAcknowledged) {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{damage}; restore the store from a copy, or save what is good of it with millrace repair"),
            ));
        }
        let state = replay(&log)?;
        let mut journal = Journal { compacted_at: log.published(), log, state };
        journal.compact()?;
        Ok((journal, findings))
    }

    /// The state at present.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Validates a command against the state, makes it durable, applies it.
    pub fn execute(&mut self, command: &Command) -> Result<()> {
        self.state.validate(command)?;
        let mut draft = FrameDraft::of_state(&[(RunKind::Command, command.encode())]);
        let appended = self.log.append(&mut draft)?;
        self.log.sync_to(appended.end)?;
        self.state.apply(command)?;
        if self.compaction_is_due() {
            // The command is done whatever comes of this; the next one tries again.
            let _tried_again_with_the_next_command = self.compact();
        }
        Ok(())
    }

    fn compaction_is_due(&self) -> bool {
        let now = self.log.published();
        now.segment > self.compacted_at.segment
            || now.offset - self.compacted_at.offset > LogConfig::PLAIN_SEGMENT_BYTES / 2
    }

    fn compact(&mut self) -> Result<()> {
        let snapshot = self.state.to_snapshot();
        if snapshot.len() > SNAPSHOT_BYTES_MAX {
            // Too large for a frame: the log stays as long as it is, and a replay takes longer.
            return Ok(());
        }
        self.log.start_segment(&[(RunKind::State, snapshot)])?;
        self.log.sync_all()?;
        self.log.upkeep()?;
        self.compacted_at = self.log.published();
        self.log.trim(self.compacted_at)?;
        Ok(())
    }

    /// Ends the log with a mark, so that damage to its last command can be told from a torn tail.
    pub fn close(&self) -> Result<()> {
        self.log.close().map(|_tail| ())
    }
}

/// Makes a control log that begins with a state, durably.
///
/// # Errors
/// `Corrupt` where the streams break an invariant of the state, `Unsupported` where they are too many for a snapshot,
/// `DiskFull`, `Io`.
pub(crate) fn write(
    environment: &Environment,
    directory: &Path,
    next_stream_id: u64,
    streams: Vec<StreamEntry>,
    account: AccountSettings,
) -> Result<()> {
    let state = State::of(next_stream_id, streams, account)?;
    if state.to_snapshot().len() > SNAPSHOT_BYTES_MAX {
        let message = format!("expected a state of at most {SNAPSHOT_BYTES_MAX} bytes, got more: too many streams");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let log = Log::create(environment.clone(), config(directory), 0)?;
    let mut journal = Journal { compacted_at: log.published(), log, state };
    journal.compact()?;
    journal.close()
}

/// Refuses what a newer version wrote. Damage is left to recovery and replay, which know what it means.
fn refuse_newer(entry: &RunEntry, payload: &[u8]) -> Result<()> {
    let decoded = match entry.kind {
        RunKind::State => State::from_snapshot(payload).map(drop),
        RunKind::Command => Command::decode(payload).map(drop),
        _ => refuse_newer_kind("the control log", entry),
    };
    decoded.or_else(|error| if error.kind() == Kind::FormatNewer { Err(error) } else { Ok(()) })
}

/// The state that the log's commands lead to.
fn replay(log: &Log) -> Result<State> {
    let mut state = State::new();
    let damaged = |what: &dyn std::fmt::Display| {
        let message = format!(
            "the control log {what}; restore the store from a copy, or save what is good of it with millrace repair"
        );
        Error::new(Kind::Corrupt, message)
    };
    let damage = log.replay(|entry, payload| match entry.kind {
        RunKind::State => {
            state = State::from_snapshot(payload)?;
            Ok(Leads::ToAWholeState)
        }
        RunKind::Command => state.apply(&Command::decode(payload)?).map(|()| Leads::On),
        RunKind::Records | RunKind::ShardChange => Err(damaged(&"holds records")),
        // Others are optional: those that are not were refused before.
        RunKind::Opening | RunKind::Other(_) => Ok(Leads::On),
    })?;
    match damage {
        None => Ok(state),
        Some(place) => Err(damaged(&format_args!("is damaged at {place}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{CreateStream, DeleteStream, StreamConfig};

    /// The kind of error that opening ends in after a run of this kind was appended.
    fn opened_after(kind: RunKind) -> Option<Kind> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let control = directory.path().join("control");
        let environment = Environment::default();
        let (journal, _) = Journal::open(&environment, &control, false).expect("made");
        journal.log.append(&mut FrameDraft::of_state(&[(kind, b"anything".to_vec())])).expect("appended");
        journal.close().expect("closed");
        Journal::open(&environment, &control, true).map_err(|error| error.kind()).err()
    }

    #[test]
    fn commands_whose_base_an_interrupted_trim_has_taken_are_void() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let control = directory.path().join("control");
        let environment = Environment::default();
        let (mut journal, _) = Journal::open(&environment, &control, false).expect("made");
        let (name, config) = ("clicks".to_owned(), StreamConfig::default());
        journal.execute(&CreateStream { name, created_ms: 7, expiry_clock_ms: None, config }.into()).expect("created");
        let id = journal.state().streams().next().expect("a stream").id;
        // A compaction that comes when there are two segments, and whose trim is interrupted behind the first.
        journal.log.start_segment(&[]).expect("started");
        let deletion = Command::from(DeleteStream { id });
        let mut draft = FrameDraft::of_state(&[(RunKind::Command, deletion.encode())]);
        let baseless = journal.log.append(&mut draft).expect("appended").end;
        journal.state.apply(&deletion).expect("applied");
        journal.log.start_segment(&[(RunKind::State, journal.state.to_snapshot())]).expect("started");
        journal.log.upkeep().expect("sealed");
        assert!(journal.log.trim(baseless).expect("trimmed") > 0);
        journal.close().expect("closed");
        let (again, _) = Journal::open(&environment, &control, true).expect("opened");
        assert_eq!(again.state().to_snapshot(), journal.state().to_snapshot());
    }

    #[test]
    fn what_a_newer_version_wrote_into_the_control_log_is_never_passed_over() {
        assert_eq!(opened_after(RunKind::Other(4)), Some(Kind::FormatNewer));
        assert_eq!(opened_after(RunKind::Records), Some(Kind::Corrupt));
        assert_eq!(opened_after(RunKind::ShardChange), Some(Kind::Corrupt));
        assert_eq!(opened_after(RunKind::Command), Some(Kind::Corrupt));
    }
}
