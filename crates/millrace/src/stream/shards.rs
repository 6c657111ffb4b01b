//! Which shards a stream has, or had: the filters of `ListShards`, at any time in the past that is kept, and the
//! forgetting of closed shards whose records have all expired.
//!
//! When a shard was opened or closed is not stored: the sequences at which it was tell it, because arrival times never
//! decrease over the log. A time is turned into a sequence, and sequences are compared.

use std::sync::Arc;

use super::{Routes, Stream, StreamInner};
use crate::error::{Error, Kind, Result};
use crate::shard::{SequenceNumber, Shard, ShardId};

/// Which shards to list; as `ShardFilter` of Kinesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardFilter {
    /// Those whose ids come after this one.
    AfterShardId(ShardId),
    /// Those that were open at the trim horizon.
    AtTrimHorizon,
    /// All that can be read: those that are open, and the closed ones whose records have not all expired.
    #[default]
    FromTrimHorizon,
    /// Those that are open.
    AtLatest,
    /// Those that were open at this time, in milliseconds since 1970; what was closed or opened at this very time too.
    AtTimestamp(u64),
    /// Those that are open, and the closed ones that were still open at this time, in milliseconds since 1970.
    FromTimestamp(u64),
}

impl Stream {
    /// The shards that a filter lets pass, in the order of their ids. A time before the trim horizon counts as that of
    /// the horizon.
    ///
    /// # Errors
    /// `InvalidArgument` for a time in the future; `StreamDeleting`, `Closed`, `Io`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, ShardFilter, StreamConfig, shard::ShardId};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// clicks.split_shard(ShardId(0), None)?;
    /// assert_eq!(clicks.list_shards(ShardFilter::AtLatest)?.len(), 2);
    /// assert_eq!(clicks.list_shards(ShardFilter::AtTrimHorizon)?[0].id, ShardId(0));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn list_shards(&self, filter: ShardFilter) -> Result<Vec<Shard>> {
        self.0.check_usable()?;
        let oldest = self.0.horizon.read().sequence;
        // What was open when all before `until` had been appended, and is or was so still when `from` came.
        let (from, until) = match filter {
            ShardFilter::AfterShardId(_) | ShardFilter::FromTrimHorizon => (oldest, u64::MAX),
            ShardFilter::AtTrimHorizon => (oldest, oldest),
            ShardFilter::AtLatest => (u64::MAX, u64::MAX),
            ShardFilter::AtTimestamp(ms) => (self.sequence_of_time(ms)?, self.sequence_of_time(ms + 1)?),
            ShardFilter::FromTimestamp(ms) => (self.sequence_of_time(ms)?, u64::MAX),
        };
        let (from, until) = (from.max(oldest), until.max(oldest));
        let passes = |shard: &&Shard| {
            let is_after = !matches!(filter, ShardFilter::AfterShardId(id) if shard.id <= id);
            let was_open = shard.opened_at.0 <= until && shard.closed_at.is_none_or(|closed_at| closed_at.0 >= from);
            is_after && was_open
        };
        Ok(self.0.routes().map.shards().iter().filter(passes).cloned().collect())
    }

    /// The sequence that the log had come to at a time: all that arrived sooner is below it.
    fn sequence_of_time(&self, arrival_ms: u64) -> Result<u64> {
        let now_ms = self.0.engine.environment.clock.wall_ms();
        if arrival_ms > now_ms.saturating_add(1) {
            let message = format!("expected a timestamp that is not in the future ({now_ms}), got {arrival_ms}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        self.0.sequence_at(self.0.log.position_of_time(arrival_ms)?)
    }
}

impl StreamInner {
    /// Takes the closed shards out of the map whose records lie before the horizon, all of them. No append is concerned.
    pub fn forget_expired_shards(&self) {
        let _one_at_a_time = self.resharding.lock();
        let oldest = SequenceNumber(self.horizon.read().sequence);
        let Routes { map, generation } = &*self.routes();
        let Some(map) = map.without_expired(oldest) else { return };
        self.log.forget_shards(Arc::new(map.entries()), *generation);
        self.meter.forget(|shard| map.get(ShardId(shard)).is_some());
        *self.routes.write() = Arc::new(Routes { map, generation: *generation });
    }
}
