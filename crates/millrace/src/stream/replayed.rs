//! The metrics of a log's last minute, from the records themselves: for a store that was opened only now, whose meters
//! have seen nothing yet. The records are told to a meter of their own, by a clock that shows when each arrived.

use std::sync::Arc;

use super::Stream;
use super::chunk::Step;
use super::measured::shard_limit;
use super::reader_options::{ReaderOptions, StartAt, Visibility};
use crate::clock::ManualClock;
use crate::error::Result;
use crate::format::record::{RecordView, Records};
use crate::metrics::advice::{Advice, Loads, advise};
use crate::metrics::meter::{Meter, Seen};
use crate::metrics::report::StreamMetrics;
use crate::shard::{HashKey, HashRange, ShardId};

/// So much of a log is replayed, in milliseconds: the minute, and the tens of seconds that it is rounded to.
const REPLAYED_MS: u64 = 70_000;
/// How many records, and bytes, are replayed at a time.
const REPLAYED_RECORDS: usize = 10_000;
const REPLAYED_BYTES: usize = 4 << 20;

impl Stream {
    /// Metrics and advice from the records themselves: those of the last minute before the newest one, as if they had
    /// just been appended. It tells of a store that was opened only now, and costs the reading of that minute. Records that chose
    /// their own hash key are taken to stand at the beginning of their shard, because the log does not keep where.
    ///
    /// # Errors
    /// `Corrupt` at damage, `Closed`, `StreamDeleting`, `Io`.
    pub fn replay_metrics(&self) -> Result<(StreamMetrics, Vec<Advice>)> {
        let inner = &self.0;
        let routes = inner.routes();
        let map = &routes.map;
        let until_ms = inner.log.last_arrival_ms();
        let from_ms = (until_ms / 1_000 * 1_000).saturating_sub(REPLAYED_MS);
        let clock = Arc::new(ManualClock::new(from_ms));
        let mut begun = None;
        let options =
            ReaderOptions { shard: None, from: StartAt::AtTimestamp(from_ms), visibility: Visibility::Published };
        let mut reader = self.reader(options)?;
        while let Step::Chunk(chunk) = reader.next_uncounted(REPLAYED_RECORDS, REPLAYED_BYTES)? {
            for run in &chunk.runs {
                clock.set_monotonic_ms(run.arrival_ms.saturating_sub(from_ms));
                // Where the log begins within the minute, so do the rates.
                let meter = begun.get_or_insert_with(|| Meter::new(Arc::clone(&clock) as _, from_ms));
                let records: Vec<_> = Records::new(chunk.payload(run)?).collect();
                let start = map.get(ShardId(run.shard)).map(|shard| shard.range);
                let seen = |index: usize| seen_in(start, &records[index]);
                meter.appended(records.len(), std::iter::once((run.shard, run.flow())), seen);
            }
        }
        let meter = begun.unwrap_or_else(|| Meter::new(Arc::clone(&clock) as _, from_ms));
        // The second of the newest record is over.
        clock.set_monotonic_ms((until_ms + 1_000).saturating_sub(from_ms));
        let (shards, keys) = meter.loads(map);
        let advice = advise(&Loads { shards: &shards, keys: &keys, limit: shard_limit(inner.throttle.limits()) });
        Ok((meter.report(&inner.name, map, map.shards(), inner.log.sync_latencies()), advice))
    }
}

/// A record as the sketch of keys sees it, in a shard of these hash keys.
fn seen_in<'a>(range: Option<HashRange>, record: &RecordView<'a>) -> Seen<'a> {
    let hash = HashKey::of_key(record.key);
    let hash = range.filter(|range| !range.contains(hash)).map_or(hash, |range| HashKey(range.start));
    Seen { hash, key: record.key, bytes: (record.key.len() + record.data.len()) as u64 }
}
