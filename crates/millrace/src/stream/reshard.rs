//! Changing the shard map of a stream that is in use: a change is a frame of the stream's own log, so what stands before
//! it was routed by the old map, and what stands behind it by the new one, whenever the machine stops.
//!
//! Whoever appends routes its records without a lock, by the map that holds at that moment. Under the log's append lock
//! it is told if another one holds by then, routes again and tries again: no record is refused, and none is appended to
//! a shard that is closed.

use std::sync::Arc;

use super::{Routes, Stream};
use crate::control::{Command, ShardsChanged};
use crate::error::{Kind, Result};
use crate::format::frame::RunKind;
use crate::log::draft::FrameDraft;
use crate::shard::{HashKey, Planned, SequenceNumber, Shard, ShardId, ShardMap};

/// A change of a stream's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// As [`Stream::split_shard`] does it.
    Split {
        /// The shard.
        shard: ShardId,
        /// Where the upper child begins; by default in the middle.
        at: Option<HashKey>,
    },
    /// As [`Stream::merge_shards`] does it.
    Merge {
        /// One of the shards.
        shard: ShardId,
        /// The other.
        adjacent: ShardId,
    },
    /// As [`Stream::update_shard_count`] does it.
    Count(u32),
}

impl Reshard {
    fn plan(self, map: &ShardMap) -> Result<Planned> {
        match self {
            Reshard::Split { shard, at } => map.plan_split(shard, at),
            Reshard::Merge { shard, adjacent } => map.plan_merge(shard, adjacent),
            Reshard::Count(count) => map.plan_count(count),
        }
    }
}

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
        self.reshard(Reshard::Split { shard, at })
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
        self.reshard(Reshard::Merge { shard, adjacent })
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
        self.reshard(Reshard::Count(count))
    }

    /// What a change would open, if it came now: it is refused as the change would be, and changes nothing. Shards that
    /// would live only to be parents of others are not among them.
    ///
    /// # Errors
    /// Those of the change, but for what a disk can do.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, Reshard, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig { shards: 2, ..StreamConfig::default() })?;
    /// assert_eq!(clicks.plan_reshard(Reshard::Count(3))?.len(), 3);
    /// assert_eq!(clicks.describe().shards.len(), 2);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn plan_reshard(&self, change: Reshard) -> Result<Vec<Shard>> {
        self.0.check_usable()?;
        let map = &self.0.routes().map;
        let planned =
            self.judged(change, map)?.map(|(planned, _)| planned.at(SequenceNumber(self.0.log.next_sequence())));
        Ok(planned.map_or_else(Vec::new, |after| opened(map, &after)))
    }

    fn reshard(&self, change: Reshard) -> Result<Vec<Shard>> {
        let _stays_open = self.0.engine.call()?;
        self.change_map(change)
    }

    /// Carries out a change; the caller keeps the engine open meanwhile.
    pub(super) fn change_map(&self, change: Reshard) -> Result<Vec<Shard>> {
        self.0.check_usable()?;
        let _one_at_a_time = self.0.resharding.lock();
        let routes = self.0.routes();
        let Some((planned, noted)) = self.judged(change, &routes.map)? else { return Ok(Vec::new()) };
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
        let after = &self.0.routes().map;
        self.0.throttle.forget_closed(after);
        Ok(opened(&routes.map, after))
    }

    /// A plan, and what the control log will note of it, after it was asked whether it may. None: nothing is to be done.
    fn judged(&self, change: Reshard, map: &ShardMap) -> Result<Option<(Planned, Command)>> {
        let planned = change.plan(map)?;
        if planned.changes().is_empty() {
            return Ok(None);
        }
        let (next_shard, open_shards) = planned.numbers();
        let is_scaled = matches!(change, Reshard::Count(_));
        let scaled_ms = is_scaled.then(|| self.0.engine.environment.clock.wall_ms());
        let noted = ShardsChanged { id: self.0.id, next_shard, open_shards, scaled_ms }.into();
        self.0.engine.judge(&noted)?;
        Ok(Some((planned, noted)))
    }
}

/// The open shards of a map that another one before it did not have.
fn opened(before: &ShardMap, after: &ShardMap) -> Vec<Shard> {
    let is_new = |shard: &&Shard| shard.is_open() && before.get(shard.id).is_none();
    after.shards().iter().filter(is_new).cloned().collect()
}
