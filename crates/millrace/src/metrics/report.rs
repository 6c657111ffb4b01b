//! What a stream's meter tells: the metrics of CloudWatch for Kinesis, as far as an engine can know them.
//!
//! The same shapes go to callers, over the boundary to other languages, and into the file that other processes read, in
//! JSON. `docs/operations.md` names each with its unit and what CloudWatch calls it.

use serde::{Deserialize, Serialize};

use super::flow::Passed;
use super::latency::Latencies;

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// How many there were.
    pub calls: u64,
    /// How many of them ended with an error.
    pub failed: u64,
    /// Records that passed.
    pub records: u64,
    /// Bytes of keys and data that passed.
    pub bytes: u64,
    /// Records that were asked for and did not pass, refused ones included.
    pub records_failed: u64,
    /// Records that a throughput limit refused.
    pub records_throttled: u64,
    /// How long calls took: of one in sixteen.
    pub latency: Latencies,
}

/// What enhanced fan-out did: what a server or a registered consumer tells the meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscriptions {
    /// Subscriptions that began.
    pub started: u64,
    /// Subscriptions that could not begin.
    pub failed: u64,
    /// Subscriptions that a rate limit refused.
    pub rate_exceeded: u64,
    /// Events that were sent.
    pub events: u64,
    /// Events that could not be sent.
    pub events_failed: u64,
    /// Records in these events.
    pub event_records: u64,
    /// Bytes of keys and data in these events.
    pub event_bytes: u64,
    /// How far behind the newest record the last event was, in milliseconds.
    pub millis_behind_latest: u64,
}

/// What passes through a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardMetrics {
    /// The shard's number.
    pub shard: u32,
    /// Whether records can still be appended to it.
    pub open: bool,
    /// What was appended.
    pub incoming: Passed,
    /// What was read.
    pub outgoing: Passed,
    /// How old the records were that were read in the last minute, at most, in milliseconds; 0 where nothing was read.
    pub iterator_age_ms: u64,
}

/// A partition key and its part of what comes in, over the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyMetrics {
    /// The key.
    pub key: String,
    /// Its hash key, in decimal.
    pub hash_key: String,
    /// The shard that it belongs to now.
    pub shard: u32,
    /// Its part of the stream's load, 0 to 1, at least: see [`super::advice`] for what load is.
    pub share: f64,
    /// By how much its part can be larger, 0 to 1.
    pub share_error: f64,
    /// Its records a second, as an estimate.
    pub records: f64,
    /// Its bytes a second, as an estimate.
    pub bytes: f64,
}

/// What happens in a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamMetrics {
    /// The stream's name.
    pub stream: String,
    /// What was appended.
    pub incoming: Passed,
    /// What was read.
    pub outgoing: Passed,
    /// Appends of one record.
    pub put_record: Operation,
    /// Appends of several.
    pub put_records: Operation,
    /// Reads that found records.
    pub get_records: Operation,
    /// Enhanced fan-out.
    pub subscriptions: Subscriptions,
    /// How long syncs of the log took.
    pub sync: Latencies,
    /// How old the records were that were read in the last minute, at most, in milliseconds; 0 where nothing was read.
    pub iterator_age_ms: u64,
    /// How many shards are open.
    pub open_shards: u32,
    /// The shards in the order of their numbers.
    pub shards: Vec<ShardMetrics>,
    /// The heaviest keys, the heaviest first.
    pub keys: Vec<KeyMetrics>,
}
