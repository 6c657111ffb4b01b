//! Settings of a stream that may be changed while it is in use. Each change is a command of the control log, durable
//! before it holds, and holds for the stream's users at once.

use std::collections::BTreeSet;

use super::Engine;
use crate::control::{Command, Retention, SetLimits, SetMaxRecordBytes, SetRetention, TagStream, Tags, UntagStream};
use crate::error::Result;
use crate::limits::LimitPolicy;

impl Engine {
    /// Changes how long a stream's records are kept. What expired before does not come back.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument`, `Closed`.
    pub fn set_retention(&self, name: &str, retention: Retention) -> Result<()> {
        self.change(name, |id| SetRetention { id, retention }.into())
    }

    /// Changes what a stream's shards take and give a second. All of them begin with full tanks.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument` (a number out of bounds), `Closed`.
    ///
    /// ```
    /// use millrace::limits::LimitPolicy;
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// engine.set_limits("clicks", LimitPolicy::Aws)?;
    /// assert_eq!(clicks.describe().config.limits, LimitPolicy::Aws);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn set_limits(&self, name: &str, limits: LimitPolicy) -> Result<()> {
        self.change(name, |id| SetLimits { id, limits }.into())
    }

    /// Changes how large a stream's records can be, in bytes of data and key together: 1,024 to 10,485,760.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument`, `Closed`.
    pub fn set_max_record_bytes(&self, name: &str, max_record_bytes: u32) -> Result<()> {
        self.change(name, |id| SetMaxRecordBytes { id, max_record_bytes }.into())
    }

    /// Adds tags to a stream, at least one; those of a key that it has are replaced. The rules are those of AWS: at most
    /// 50 tags, keys of 1 to 128 characters that do not begin with `aws:`, values of 0 to 256.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument`, `LimitExceeded` (more than 50), `Closed`.
    pub fn tag_stream(&self, name: &str, tags: Tags) -> Result<()> {
        self.change(name, |id| TagStream { id, tags }.into())
    }

    /// Removes the tags of these keys from a stream, at least one; keys that it does not have are passed over.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument`, `Closed`.
    pub fn untag_stream(&self, name: &str, keys: BTreeSet<String>) -> Result<()> {
        self.change(name, |id| UntagStream { id, keys }.into())
    }

    /// Executes a command that changes a stream's configuration, and tells the stream if it is open.
    fn change(&self, name: &str, command: impl FnOnce(u64) -> Command) -> Result<()> {
        let inner = self.check()?;
        let id = {
            let mut journal = inner.journal.lock();
            let id = journal.state().stream_named(name)?.id;
            inner.execute(&mut journal, &command(id))?;
            id
        };
        // Read again under the lock of the list: of two changes at once the later one must be told last.
        let streams = inner.streams.lock();
        if let Some(stream) = streams.get(&id) {
            stream.set_config(inner.journal.lock().state().stream(id)?.config.clone());
        }
        Ok(())
    }
}
