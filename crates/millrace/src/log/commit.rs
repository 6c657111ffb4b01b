//! Making the log durable. Whoever holds the sync lock syncs for all who appended before; those who come meanwhile
//! find that it is done, or sync for the next group.

use std::sync::Arc;

use super::Log;
use super::notify::Change;
use crate::error::{Error, Kind, Result};
use crate::format::Position;

impl Log {
    /// Returns once the log is durable up to `wanted`; syncs in the calling thread if nobody has.
    pub fn sync_to(&self, wanted: Position) -> Result<()> {
        if self.durable() >= wanted {
            return Ok(());
        }
        let _one_syncs = self.sync.lock();
        if self.durable() >= wanted {
            return Ok(());
        }
        self.check_poison().map_err(|error| self.outcome_unknown(&error))?;
        self.sync_published().map_err(|error| self.outcome_unknown(&error))
    }

    /// Makes all that is published durable.
    pub fn sync_all(&self) -> Result<()> {
        self.sync_to(self.published())
    }

    fn sync_published(&self) -> Result<()> {
        let (files, finished, target, next_sequence) = {
            let writer = self.writer.lock();
            let mut files = writer.unsynced.clone();
            files.push(Arc::clone(&writer.file));
            let target = Position::new(writer.file.segment, writer.offset);
            (files, writer.unsynced.len(), target, writer.next_sequence)
        };
        let begun_ns = self.environment.clock.monotonic_ns();
        for file in files {
            if let Err(error) = file.file.sync() {
                let name = &self.config.name;
                let error = Error::io(format!("could not sync segment {} of {name}", file.segment), error);
                self.poison(&error);
                return Err(error);
            }
        }
        let now_ns = self.environment.clock.monotonic_ns();
        self.syncs.lock().record(now_ns.saturating_sub(begun_ns), now_ns / 1_000_000_000);
        self.writer.lock().unsynced.drain(..finished);
        self.durable.advance(target, next_sequence);
        self.notifier.notify(Change::Durable);
        Ok(())
    }

    fn outcome_unknown(&self, cause: &Error) -> Error {
        let message = format!(
            "{}: what was appended since the last sync may or may not be there after the next open: {}",
            self.config.name,
            cause.message()
        );
        Error::new(Kind::OutcomeUnknown, message)
    }

    /// Blocks until the log is durable up to `wanted` by somebody else's sync, or poisoned.
    pub fn wait_durable(&self, wanted: Position) -> Result<()> {
        self.notifier.block_until(|| self.durable() >= wanted || self.poison.get().is_some());
        if self.durable() >= wanted {
            Ok(())
        } else {
            self.check_poison().map_err(|error| self.outcome_unknown(&error))
        }
    }

    /// Says how far the log is durable, in the log itself, so that damage behind it can be told from a torn tail.
    pub fn mark(&self) -> Result<()> {
        if self.durable() == self.published() {
            self.append_mark()?;
            self.sync_all()?;
        }
        Ok(())
    }
}
