//! The log that a queue keeps of its progress: the same files, frames and recovery as a stream's, in a directory of its
//! own. Each step is appended before it is applied; the log is compacted by opening a segment with a snapshot.
//!
//! Invariant: what is read back is a state that the queue was in. Where a part of the log is damaged, it is the state
//! before that part, whatever stands behind: then records that were acknowledged since are handed out again, and none is
//! lost, as would be where a later step counted whose predecessor is missing.

use std::path::PathBuf;
use std::sync::Arc;

use super::state::QueueState;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::frame::{RunEntry, RunKind};
use crate::format::queue::{Progress, QueueSnapshot};
use crate::log::draft::FrameDraft;
use crate::log::replay::{Leads, create_whole, is_there, refuse_newer_kind};
use crate::log::{Log, LogConfig, look_through};

/// The log is compacted once so many bytes stand behind the snapshot, or four times as many as it has.
const COMPACTED_AFTER_BYTES: u64 = 512 << 10;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct QueueLog {
    pub log: Arc<Log>,
    // Steps that are done and not written down, because the time tells them too: they go with the next append.
    owed: Vec<Progress>,
    bytes: u64,
    bytes_max: u64,
}

impl QueueLog {
    /// Opens the log of a queue, or makes it where it is missing. A queue without one begins at `start_sequence`. Tells
    /// what was lost, if anything was.
    pub fn open(
        environment: &Environment,
        (id, name, directory): (u64, &str, PathBuf),
        start_sequence: u64,
    ) -> Result<(QueueLog, QueueState, Option<String>)> {
        let config = LogConfig::plain(queue_log_name(name), directory, id);
        if !is_there(environment, &config.directory)? {
            create_whole(environment, &config)?;
        }
        look_through(environment, &config, |entry, _payload| refuse_newer_kind("the log of a queue", entry))?;
        // All before the last snapshot was given up.
        let start = Position::new(u32::MAX, u32::MAX);
        let (log, findings) = Log::open(environment.clone(), config, None, start)?;
        let mut replayed = Replayed { state: QueueState::new(start_sequence), fault: None };
        let damage = log.replay(|entry, payload| Ok(replayed.visit(entry, payload)))?;
        let Replayed { state, fault } = replayed;
        let mut log = QueueLog { log, owed: Vec::new(), bytes: 0, bytes_max: 0 };
        // What stands behind the damage must not be replayed by the next open either.
        log.compact(&state)?;
        let fault = fault.or(damage.map(|place| format!("it is damaged at {place}")));
        let fault = fault.or(findings.first().map(ToString::to_string));
        let lost = fault.map(|fault| {
            format!(
                "queue {name} goes on from where it was before a part of its log was lost ({fault}): records that were \
                 received or acknowledged since are handed out again"
            )
        });
        Ok((log, state, lost))
    }

    /// Takes down steps that are done already, with the next append.
    pub fn owe(&mut self, steps: Vec<Progress>) {
        self.owed.extend(steps);
    }

    /// Appends steps and applies them, all or none; returns the end of the log, which need not be durable yet.
    pub fn append(&mut self, state: &mut QueueState, steps: &[Progress]) -> Result<Position> {
        let mut payload = Vec::new();
        self.owed.iter().chain(steps).for_each(|step| step.encode(&mut payload));
        if payload.is_empty() {
            return Ok(self.log.published());
        }
        self.bytes += payload.len() as u64;
        let end = self.log.append(&mut FrameDraft::of_state(&[(RunKind::Command, payload)]))?.end;
        self.owed.clear();
        for step in steps {
            state.apply(step).expect("a step that the state decided can be applied");
        }
        if self.bytes > self.bytes_max {
            // The steps are done whatever comes of this; the next append tries again.
            let _tried_again_with_the_next_append = self.compact(state);
        }
        Ok(end)
    }

    fn compact(&mut self, state: &QueueState) -> Result<()> {
        let snapshot = state.snapshot().encode();
        let bytes_max = COMPACTED_AFTER_BYTES.max(4 * snapshot.len() as u64);
        self.log.start_segment(&[(RunKind::State, snapshot)])?;
        self.log.sync_all()?;
        self.log.upkeep()?;
        self.log.trim(self.log.published())?;
        (self.bytes, self.bytes_max) = (0, bytes_max);
        Ok(())
    }
}

/// How the log of a queue is called in what is reported.
pub(crate) fn queue_log_name(queue: &str) -> String {
    format!("queue {queue}")
}

/// A state in the making, up to the first step that makes no sense behind those before it.
struct Replayed {
    state: QueueState,
    fault: Option<String>,
}

impl Replayed {
    fn visit(&mut self, entry: &RunEntry, payload: &[u8]) -> Leads {
        if self.fault.is_none() {
            let applied = self.apply(entry, payload);
            self.fault = applied.err().map(|error| error.message().to_owned());
        }
        if entry.kind == RunKind::State { Leads::ToAWholeState } else { Leads::On }
    }

    fn apply(&mut self, entry: &RunEntry, payload: &[u8]) -> Result<()> {
        let none = |what: &str| Error::new(Kind::Corrupt, format!("expected {what}, got bytes that are none"));
        match entry.kind {
            RunKind::State => {
                self.state = QueueState::restored(&QueueSnapshot::decode(payload).ok_or_else(|| none("a snapshot"))?);
            }
            RunKind::Command => {
                let steps = Progress::decode_all(payload).ok_or_else(|| none("steps"))?;
                steps.iter().try_for_each(|step| self.state.apply(step))?;
            }
            RunKind::Records | RunKind::ShardChange => return Err(none("steps or a snapshot")),
            RunKind::Opening | RunKind::Other(_) => {}
        }
        Ok(())
    }
}
