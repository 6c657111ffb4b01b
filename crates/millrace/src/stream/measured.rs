//! What a stream tells of itself: its metrics, and advice on its load.

use super::chunk::{Chunk, RunView};
use super::reader::{Reader, Step};
use super::{Stream, StreamInner};
use crate::error::Result;
use crate::format::record::RECORD_HEADER_BYTES;
use crate::metrics::advice::{Advice, Loads, advise};
use crate::metrics::flow::Flow;
use crate::metrics::meter::Begun;
use crate::metrics::report::{StreamMetrics, Subscriptions};

impl StreamInner {
    fn count_read(&self, chunk: &Chunk, begun: Begun) {
        let now_ms = self.engine.environment.clock.wall_ms();
        let of_run = |run: &RunView| (run.shard, run.flow(), now_ms.saturating_sub(run.arrival_ms));
        if self.meter.read(chunk.runs.iter().map(of_run), begun) {
            self.engine.figures_changed();
        }
    }

    pub fn metrics(&self) -> StreamMetrics {
        self.meter.report(&self.name, &self.map, self.log.sync_latencies())
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
        let (shards, keys) = self.0.meter.loads(&self.0.map);
        advise(&Loads { shards: &shards, keys: &keys, limit: None })
    }

    /// Lets whoever serves subscriptions, which the engine does not see, count them with the stream's metrics.
    pub fn count_subscriptions(&self, count: impl FnOnce(&mut Subscriptions)) {
        self.0.meter.subscriptions(count);
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
            Ok(Step::Chunk(chunk)) => self.stream.count_read(chunk, begun),
            Ok(Step::AtTail) => {}
            Err(_) => self.stream.meter.read_failed(),
        }
        step
    }
}

/// The keys and data of so many records whose run is so long.
pub(super) fn flow_of(records: u32, payload_bytes: u32) -> Flow {
    let headers = u64::from(records) * RECORD_HEADER_BYTES as u64;
    Flow::of(u64::from(records), u64::from(payload_bytes).saturating_sub(headers))
}
