//! The log of a state that an application keeps in a store: opened at most once at a time, and closed with the store.
//!
//! Lock order: the lock of the open log comes after all others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Engine, Inner};
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::log::replay::is_there;
use crate::log::{Finding, Log, Servant};
use crate::service::Keeper;
use crate::state_log::{self, STATE_DIRECTORY, STATE_LOG, STATE_LOG_ID, StateLog, StatePart, state_remains};
use crate::verify::verify_log;

impl Engine {
    /// Whether the store has a log of state.
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn has_state_log(&self) -> Result<bool> {
        let inner = self.check()?;
        is_there(&inner.environment, &state_directory(&inner.directory))
    }

    /// Opens the log of a state that an application keeps in the store, or makes it; `visit` is shown what it holds, in
    /// its order. One handle at a time: the state that it leads to is its owner's.
    ///
    /// # Errors
    /// `Locked` (it is open already), `Corrupt` (something of it is damaged or missing: nothing of it is used then),
    /// `FormatNewer`, `DiskFull`, `Closed`, `Io`, and what `visit` returns.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StatePart};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let log = engine.open_state_log(|_| Ok(()))?;
    /// log.sync_to(log.append(b"a step".to_vec())?)?;
    /// drop(log);
    /// let mut seen = Vec::new();
    /// engine.open_state_log(|part| {
    ///     seen.push(part);
    ///     Ok(())
    /// })?;
    /// assert_eq!(seen, [StatePart::Steps(b"a step".to_vec())]);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn open_state_log(&self, mut visit: impl FnMut(StatePart) -> Result<()>) -> Result<StateLog> {
        let inner = self.check()?;
        let mut open = inner.state_log.lock();
        if open.is_some() {
            let message = "the log of the tables is open already in this process; close the other one first";
            return Err(Error::new(Kind::Locked, message));
        }
        let directory = state_directory(&inner.directory);
        let (log, findings) = state_log::open(&inner.environment, directory, &mut visit)?;
        findings.iter().for_each(|finding| inner.warn(finding.to_string()));
        let keeper: Arc<Keeper> = Arc::clone(&inner.keeper);
        log.set_servant(keeper);
        *open = Some(OpenState { log: Arc::clone(&log), begins: Position::default() });
        Ok(StateLog::new(Arc::clone(&inner), log))
    }

    /// What is damaged in the log of a state, whether or not it is in use.
    pub(crate) fn verify_state_log(&self) -> Result<Vec<Finding>> {
        let inner = self.check()?;
        let open = inner.state_log.lock();
        if let Some(log) = open.as_ref().map(|state| Arc::clone(&state.log)) {
            drop(open);
            return Ok(verify_log(&log, &mut |_, _| true)?.findings);
        }
        // Nobody opens it as long as the lock is held.
        let remains = state_remains(&inner.environment, state_directory(&inner.directory))?;
        remains.map_or(Ok(Vec::new()), |remains| remains.read_all())
    }
}

/// Where the log of a state stands in a store.
pub(crate) fn state_directory(store: &Path) -> PathBuf {
    store.join(STATE_DIRECTORY)
}

/// The log of a state that is in use.
#[derive(Debug)]
pub(super) struct OpenState {
    log: Arc<Log>,
    /// Where its last snapshot begins, as far as this process wrote one: all before it is void.
    begins: Position,
}

impl OpenState {
    /// Ends it. Nothing is at its files any more once this returns.
    fn close(self) -> Result<()> {
        self.log.close()?;
        self.log.seal_all()?;
        self.log.trim(self.begins).map(|_removed| ())
    }
}

impl Inner {
    /// Lets the keeper remove what stands before a snapshot that is durable.
    pub fn give_up_state_before(&self, log: &Arc<Log>, begins: Position) {
        if let Some(open) = self.state_log.lock().as_mut().filter(|open| Arc::ptr_eq(&open.log, log)) {
            open.begins = begins;
        }
        self.keeper.wants_upkeep(STATE_LOG_ID);
    }

    /// Prepares and seals, and removes what is void.
    pub(super) fn keep_state_log(&self) {
        let Some(log) = self.state_log.lock().as_ref().map(|open| Arc::clone(&open.log)) else { return };
        let kept = log.upkeep().and_then(|()| {
            // Under the lock nobody opens the log anew, whose files these would be then.
            let open = self.state_log.lock();
            let open = open.as_ref().filter(|open| Arc::ptr_eq(&open.log, &log));
            open.map_or(Ok(0), |open| open.log.trim(open.begins))
        });
        if let Err(error) = kept {
            self.warn(format!("{STATE_LOG}: {}", error.message()));
        }
    }

    /// Ends the log of a state whose handle is dropped.
    pub fn let_go_of_state_log(&self, log: &Arc<Log>) {
        let mut open = self.state_log.lock();
        if let Some(held) = open.take_if(|held| Arc::ptr_eq(&held.log, log)) {
            // What was acknowledged is durable; the next open recovers the rest.
            let _recovered_at_the_next_open = held.close();
        }
    }

    /// Ends the log of a state that is still open.
    pub(super) fn close_state_log(&self) -> Result<()> {
        let mut open = self.state_log.lock();
        open.take().map_or(Ok(()), OpenState::close)
    }
}
