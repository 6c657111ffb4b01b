//! What a stream tells of itself: its metrics, and advice on its load.

use super::chunk::{Chunk, RunView, Step};
use super::reader::Reader;
use super::subscription::{Event, Subscription};
use super::{Stream, StreamInner};
use crate::error::{Kind, Result};
use crate::format::record::RECORD_HEADER_BYTES;
use crate::limits::ShardLimits;
use crate::metrics::advice::{Advice, Loads, ShardLimit, advise};
use crate::metrics::flow::Flow;
use crate::metrics::meter::Begun;
use crate::metrics::report::StreamMetrics;

impl StreamInner {
    fn count_read(&self, chunk: &Chunk, begun: Option<Begun>) {
        let now_ms = self.engine.environment.clock.wall_ms();
        let of_run = |run: &RunView| (run.shard, run.flow(), now_ms.saturating_sub(run.arrival_ms));
        if self.meter.read(chunk.runs.iter().map(of_run), begun) {
            self.engine.figures_changed();
        }
    }

    /// A subscription's event was handed out.
    pub fn count_event(&self, event: &Event) {
        let flow = |chunk: &Chunk| {
            self.count_read(chunk, None);
            chunk.runs.iter().fold(Flow::default(), |mut all, run| {
                all.add(run.flow());
                all
            })
        };
        let Flow { records, bytes, .. } = event.records.as_ref().map(flow).unwrap_or_default();
        self.meter.subscriptions(|subscriptions| {
            subscriptions.events += 1;
            subscriptions.event_records += records;
            subscriptions.event_bytes += bytes;
            subscriptions.millis_behind_latest = event.millis_behind_latest;
        });
    }

    /// A subscription began, or could not.
    pub fn count_subscribing(&self, outcome: &Result<Subscription>) {
        self.meter.subscriptions(|subscriptions| match outcome {
            Ok(_) => subscriptions.started += 1,
            Err(error) => {
                subscriptions.failed += 1;
                subscriptions.rate_exceeded += u64::from(error.kind() == Kind::SubscriptionInUse);
            }
        });
    }

    pub fn metrics(&self) -> StreamMetrics {
        let map = &self.routes().map;
        self.meter.report(&self.name, map, map.shards(), self.log.sync_latencies())
    }

    pub fn metrics_without_shards(&self) -> StreamMetrics {
        self.meter.report(&self.name, &self.routes().map, &[], self.log.sync_latencies())
    }
}

impl Stream {
    /// What has happened in the stream since it was opened: flows, durations, ages and heavy keys. It costs a look at
    /// each shard, so a stream of 10,000 should be asked no more than once a second.
    ///
    /// ```
    /// # use millrace::{Commit, Engine, OpenOptions, StagedRecords, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// # let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// let mut staged = StagedRecords::default();
    /// staged.push("user-42", None, b"a click");
    /// clicks.append(staged.as_staged(), None, Commit::Engine)?;
    /// let metrics = clicks.metrics();
    /// assert_eq!((metrics.incoming.total.records, metrics.incoming.total.bytes), (1, 14));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> StreamMetrics {
        self.0.metrics()
    }

    /// What to do about the stream's load of the last minute: which hot shard to split and where, which key to spread,
    /// which cold neighbours to merge. Nothing where all is well.
    #[must_use]
    pub fn advise(&self) -> Vec<Advice> {
        let (shards, keys) = self.0.meter.loads(&self.0.routes().map);
        advise(&Loads { shards: &shards, keys: &keys, limit: shard_limit(self.0.throttle.limits()) })
    }
}

impl Reader {
    /// The next records, at most so many, and so many bytes unless the first record alone is larger.
    ///
    /// # Errors
    /// `Corrupt` at damage, again and again until [`Reader::skip_damage`]; `Closed`, `StreamDeleting`, `Io`.
    pub fn next(&mut self, records_max: usize, bytes_max: usize) -> Result<Step> {
        let begun = self.stream.meter.begin();
        let step = self.next_uncounted(records_max, bytes_max);
        match &step {
            Ok(Step::Chunk(chunk)) => self.stream.count_read(chunk, Some(begun)),
            Ok(Step::AtTail | Step::EndOfShard(_)) => {}
            Err(_) => self.stream.meter.read_failed(),
        }
        step
    }
}

/// What a shard admits, as the advice takes it; what is not limited is infinite.
pub(super) fn shard_limit(limits: ShardLimits) -> Option<ShardLimit> {
    let a_second = |limit: Option<u64>| limit.map_or(f64::INFINITY, |limit| limit as f64);
    let (records, bytes) = (a_second(limits.write_records_per_second), a_second(limits.write_bytes_per_second));
    (!limits.writes_are_free()).then_some(ShardLimit { records, bytes })
}

/// The keys and data of so many records whose run is so long.
pub(super) fn flow_of(records: u32, payload_bytes: u32) -> Flow {
    let headers = u64::from(records) * RECORD_HEADER_BYTES as u64;
    Flow::of(u64::from(records), u64::from(payload_bytes).saturating_sub(headers))
}
