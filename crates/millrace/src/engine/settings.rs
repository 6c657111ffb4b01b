//! Settings of a stream that may be changed while it is in use. Each change is a command of the control log, durable
//! before it holds, and holds for the stream's users at once.

use std::collections::BTreeSet;

use super::Engine;
use super::inner::Inner;
use crate::capacity::CapacityMode;
use crate::control::{
    Command, RecordDistribution, Retention, SetEncryptionKey, SetLimits, SetMaxRecordBytes, SetMode,
    SetRecordDistribution, SetRetention, SetShardMetrics, SetWarmThroughput, ShardMetric, StreamEntry, TagStream, Tags,
    UntagStream,
};
use crate::error::Result;
use crate::limits::LimitPolicy;

/// The metrics of a stream's shards before a change, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitored {
    /// Those that were told before.
    pub before: BTreeSet<ShardMetric>,
    /// Those that are told from now on.
    pub after: BTreeSet<ShardMetric>,
}

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

    /// Switches who decides how many shards a stream has: its owner, or its traffic. It keeps those that it has, and
    /// begins to follow its traffic from there. A switch to the mode that it has does nothing.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `LimitExceeded` (it was switched twice within the last 24 hours), `Closed`.
    pub fn set_mode(&self, name: &str, mode: CapacityMode) -> Result<()> {
        let inner = self.check()?;
        if inner.journal.lock().state().stream_named(name)?.config.mode == mode {
            return Ok(());
        }
        let at_ms = inner.environment.clock.wall_ms();
        drop(inner);
        self.change(name, |id| SetMode { id, mode, at_ms }.into())
    }

    /// Warms an on-demand stream up for so many MiB/s written, before they come, or, with `None`, releases it. Returns
    /// when it has the shards for it; what is released goes by and by, as it stays quiet.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument` (a provisioned stream, or not 1 to 10,000), `Closed`,
    /// `LimitExceeded` or an error of the disk where it could not be split: it goes on with that once a minute.
    ///
    /// ```
    /// use millrace::capacity::CapacityMode;
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let config = StreamConfig { shards: 4, mode: CapacityMode::OnDemand, ..StreamConfig::default() };
    /// let clicks = engine.create_stream("clicks", config)?;
    /// engine.set_warm_throughput("clicks", Some(16))?;
    /// assert_eq!(clicks.describe().shards.iter().filter(|shard| shard.is_open()).count(), 16);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn set_warm_throughput(&self, name: &str, mib_per_second: Option<u32>) -> Result<()> {
        self.change(name, |id| SetWarmThroughput { id, mib_per_second }.into())?;
        let call = self.check()?;
        let id = call.journal.lock().state().stream_named(name)?.id;
        let stream = call.open_stream(id)?;
        // Each look splits a shard once.
        while mib_per_second.is_some() && stream.scale()? > 0 {}
        Ok(())
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

    /// Sets the key that a stream is said to be encrypted with, by whatever name it is known to those who ask, or takes
    /// it away. It is kept and told: **the engine encrypts nothing**, and what is on disk stays as it is. The key that it
    /// has already changes nothing.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument` (not 1 to 2,048 characters), `LimitExceeded` (set, or taken
    /// away, 25 times within the last 24 hours), `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// engine.set_encryption_key("clicks", Some("alias/orders".to_owned()))?;
    /// assert!(clicks.is_encrypted());
    /// engine.set_encryption_key("clicks", None)?;
    /// assert_eq!(clicks.describe().config.encryption_key, None);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn set_encryption_key(&self, name: &str, key: Option<String>) -> Result<()> {
        let at_ms = self.check()?.environment.clock.wall_ms();
        self.change_from(name, |entry| {
            let is_new = entry.config.encryption_key != key;
            ((), is_new.then(|| SetEncryptionKey { id: entry.id, key, at_ms }.into()))
        })
    }

    /// Changes who decides which shard of an on-demand stream a record goes to: its partition key, or the stream, which
    /// fills one shard after the other and passes over keys. It holds for what is appended from now on.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument` (a provisioned stream that is to decide itself), `Closed`.
    ///
    /// ```
    /// use millrace::capacity::CapacityMode;
    /// use millrace::{Commit, Engine, OpenOptions, RecordDistribution, StagedRecords, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let config = StreamConfig { shards: 4, mode: CapacityMode::OnDemand, ..StreamConfig::default() };
    /// let clicks = engine.create_stream("clicks", config)?;
    /// engine.set_record_distribution("clicks", RecordDistribution::Auto)?;
    /// let mut staged = StagedRecords::default();
    /// (0..4).for_each(|_| staged.push("one-key", None, b"a click"));
    /// let mut placements = Vec::new();
    /// clicks.append(staged.as_staged(), Some(&mut placements), Commit::Engine)?;
    /// assert_eq!(placements.iter().map(|placement| placement.shard).collect::<Vec<_>>(), [0, 1, 2, 3]);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn set_record_distribution(&self, name: &str, distribution: RecordDistribution) -> Result<()> {
        self.change_from(name, |entry| {
            let is_new = entry.config.distribution != distribution;
            ((), is_new.then(|| SetRecordDistribution { id: entry.id, distribution }.into()))
        })
    }

    /// Tells metrics of a stream's shards from now on, besides those that are told already.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use millrace::{Engine, OpenOptions, ShardMetric, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// engine.create_stream("clicks", StreamConfig::default())?;
    /// engine.enable_shard_metrics("clicks", &ShardMetric::ALL.into())?;
    /// let monitored = engine.disable_shard_metrics("clicks", &BTreeSet::from([ShardMetric::OutgoingBytes]))?;
    /// assert_eq!((monitored.before.len(), monitored.after.len()), (7, 6));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn enable_shard_metrics(&self, name: &str, metrics: &BTreeSet<ShardMetric>) -> Result<Monitored> {
        self.change_shard_metrics(name, |present| present | metrics)
    }

    /// Tells metrics of a stream's shards no more; those that are not told are passed over.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`.
    pub fn disable_shard_metrics(&self, name: &str, metrics: &BTreeSet<ShardMetric>) -> Result<Monitored> {
        self.change_shard_metrics(name, |present| present - metrics)
    }

    fn change_shard_metrics(
        &self,
        name: &str,
        change: impl FnOnce(&BTreeSet<ShardMetric>) -> BTreeSet<ShardMetric>,
    ) -> Result<Monitored> {
        self.change_from(name, |entry| {
            let before = entry.config.shard_metrics.clone();
            let after = change(&before);
            let command = (before != after).then(|| SetShardMetrics { id: entry.id, metrics: after.clone() }.into());
            (Monitored { before, after }, command)
        })
    }

    /// Executes a command that changes a stream's configuration, and tells the stream if it is open.
    fn change(&self, name: &str, command: impl FnOnce(u64) -> Command) -> Result<()> {
        self.change_from(name, |entry| ((), Some(command(entry.id))))
    }

    /// Looks at a stream, executes the command that follows, if one does, and tells the stream if it is open.
    fn change_from<R>(&self, name: &str, step: impl FnOnce(&StreamEntry) -> (R, Option<Command>)) -> Result<R> {
        let inner = self.check()?;
        let id = inner.journal.lock().state().stream_named(name)?.id;
        let seen = inner.change_seen(id, |entry| Ok(step(entry)))?;
        // Read again under the lock of the list: of two changes at once the later one must be told last.
        let streams = inner.streams.lock();
        if let Some(stream) = streams.get(&id) {
            stream.set_config(inner.journal.lock().state().stream(id)?.config.clone());
        }
        Ok(seen)
    }
}

impl Inner {
    /// Looks at a stream and executes what follows from it, if anything does: nothing comes between the two.
    pub(crate) fn change_seen<R>(
        &self,
        id: u64,
        step: impl FnOnce(&StreamEntry) -> Result<(R, Option<Command>)>,
    ) -> Result<R> {
        let mut journal = self.journal.lock();
        let (seen, command) = step(journal.state().stream(id)?)?;
        if let Some(command) = command {
            self.execute(&mut journal, &command)?;
        }
        Ok(seen)
    }
}
