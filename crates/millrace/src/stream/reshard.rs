//! Changing the shard map of a stream that is in use: a change is a frame of the stream's own log, so what stands before
//! it was routed by the old map, and what stands behind it by the new one, whenever the machine stops.
//!
//! Whoever appends routes its records without a lock, by the map that holds at that moment. Under the log's append lock
//! it is told if another one holds by then, routes again and tries again: no record is refused, and none is appended to
//! a shard that is closed.

use std::sync::Arc;

use super::{Routes, Stream};
use crate::control::ShardsChanged;
use crate::error::{Kind, Result};
use crate::format::frame::RunKind;
use crate::log::draft::FrameDraft;
use crate::shard::{HashKey, Planned, SequenceNumber, Shard, ShardId, ShardMap};

impl Stream {
    /// Splits an open shard in two: the upper child's hash keys begin at `at`, by default in the middle. Returns when the
    /// change is on disk, whatever the stream's durability, and what it has opened. Readers may go on to read the parent
    /// until its records have expired.
    ///
    /// # Errors
    /// `ShardNotFound`; `InvalidArgument` for a shard that is closed or too small, or a hash key that is not "greater
    /// than one plus the shard's StartingHashKey and less than the shard's EndingHashKey" (the rule of `SplitShard`);
    /// `LimitExceeded`, `StreamDeleting`, `Closed`, `DiskFull`, `Poisoned`, `OutcomeUnknown`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig, shard::ShardId};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// let children = clicks.split_shard(ShardId(0), None)?;
    /// assert_eq!(children[0].parent, Some(ShardId(0)));
    /// assert_eq!(children[1].range.start, 1 << 127);
    /// assert!(!clicks.describe().shards[0].is_open());
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn split_shard(&self, shard: ShardId, at: Option<HashKey>) -> Result<Vec<Shard>> {
        self.reshard(None, |map| map.plan_split(shard, at))
    }

    /// Merges two open shards whose hash keys adjoin into one. Returns it, when the change is on disk.
    ///
    /// # Errors
    /// `ShardNotFound`; `InvalidArgument` for shards that are closed or do not adjoin; the others of
    /// [`split_shard`](Self::split_shard).
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig, shard::ShardId};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig { shards: 2, ..StreamConfig::default() })?;
    /// let merged = &clicks.merge_shards(ShardId(0), ShardId(1))?[0];
    /// assert_eq!((merged.parent, merged.adjacent_parent), (Some(ShardId(0)), Some(ShardId(1))));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn merge_shards(&self, shard: ShardId, adjacent: ShardId) -> Result<Vec<Shard>> {
        self.reshard(None, |map| map.plan_merge(shard, adjacent))
    }

    /// Changes the number of open shards to `count`, all of the same size, in one step. Returns those
    /// that it has opened, when the change is on disk; shards that had the right size already stay.
    ///
    /// # Errors
    /// `InvalidArgument` where `count` is more than double the present number, less than half of it, or not 1 to 10,000;
    /// `LimitExceeded` where it has been changed ten times within 24 hours (the rules of `UpdateShardCount`); the others
    /// of [`split_shard`](Self::split_shard).
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig { shards: 2, ..StreamConfig::default() })?;
    /// assert_eq!(clicks.update_shard_count(3)?.len(), 3);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn update_shard_count(&self, count: u32) -> Result<Vec<Shard>> {
        let now_ms = self.0.engine.environment.clock.wall_ms();
        self.reshard(Some(now_ms), |map| map.plan_count(count))
    }

    fn reshard(&self, scaled_ms: Option<u64>, plan: impl FnOnce(&ShardMap) -> Result<Planned>) -> Result<Vec<Shard>> {
        let _in_flight = self.0.engine.in_flight()?;
        self.0.check_usable()?;
        let _one_at_a_time = self.0.resharding.lock();
        let routes = self.0.routes();
        let planned = plan(&routes.map)?;
        if planned.changes().is_empty() {
            return Ok(Vec::new());
        }
        let (next_shard, open_shards) = planned.numbers();
        let noted = ShardsChanged { id: self.0.id, next_shard, open_shards, scaled_ms }.into();
        self.0.engine.judge(&noted)?;
        self.note_opened()?;
        let runs: Vec<_> = planned.changes().iter().map(|change| (RunKind::ShardChange, change.encode())).collect();
        let generation = routes.generation + 1;
        let appended = self.0.log.change_shards(&mut FrameDraft::of_state(&runs), |first_sequence| {
            let map = planned.at(SequenceNumber(first_sequence));
            let entries = Arc::new(map.entries());
            *self.0.routes.write() = Arc::new(Routes { map, generation });
            entries
        })?;
        self.0.log.sync_to(appended.end)?;
        self.0.engine.committer.mark_later(&self.0.log);
        // Were the change lost from the log, this would tell: what is there must open as many shards.
        match self.0.engine.command(&noted) {
            Err(error) if error.kind() == Kind::StreamDeleting || error.kind() == Kind::StreamNotFound => {}
            other => other?,
        }
        let is_new = |shard: &&Shard| shard.is_open() && routes.map.get(shard.id).is_none();
        Ok(self.0.routes().map.shards().iter().filter(is_new).cloned().collect())
    }
}
