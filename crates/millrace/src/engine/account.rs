//! What belongs to the store as a whole.

use super::Engine;
use crate::control::{Command, Commitment, CommitmentStatus, EndCommitment, StartCommitment};
use crate::error::Result;

impl Engine {
    /// How the commitment to a least throughput stands. It is kept as the service keeps it, for those who ask; the engine
    /// itself does nothing by it.
    ///
    /// # Errors
    /// `Closed`.
    pub fn throughput_commitment(&self) -> Result<Commitment> {
        let inner = self.check()?;
        let now_ms = inner.environment.clock.wall_ms();
        Ok(inner.journal.lock().state().account.commitment(now_ms))
    }

    /// Commits to a least throughput for 24 hours or longer, or takes back that the commitment is to end. Where it goes on
    /// anyway nothing changes.
    ///
    /// # Errors
    /// `Closed`, or an error of the disk.
    ///
    /// ```
    /// use millrace::{CommitmentStatus, Engine, OpenOptions};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// assert_eq!(engine.start_throughput_commitment()?.status, CommitmentStatus::Enabled);
    /// assert_eq!(engine.end_throughput_commitment()?.status, CommitmentStatus::EnabledUntilEarliestEnd);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn start_throughput_commitment(&self) -> Result<Commitment> {
        self.commit(|status, at_ms| (status != CommitmentStatus::Enabled).then(|| StartCommitment { at_ms }.into()))
    }

    /// Ends the commitment: at once, or once 24 hours are over since it was made. Where there is none that goes on nothing
    /// changes.
    ///
    /// # Errors
    /// `Closed`, or an error of the disk.
    pub fn end_throughput_commitment(&self) -> Result<Commitment> {
        self.commit(|status, at_ms| (status == CommitmentStatus::Enabled).then(|| EndCommitment { at_ms }.into()))
    }

    fn commit(&self, step: impl FnOnce(CommitmentStatus, u64) -> Option<Command>) -> Result<Commitment> {
        let inner = self.check()?;
        let now_ms = inner.environment.clock.wall_ms();
        let mut journal = inner.journal.lock();
        if let Some(command) = step(journal.state().account.commitment(now_ms).status, now_ms) {
            inner.execute(&mut journal, &command)?;
        }
        Ok(journal.state().account.commitment(now_ms))
    }
}
