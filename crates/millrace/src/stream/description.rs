//! What a stream is like at a moment.

use super::Stream;
use crate::control::StreamConfig;
use crate::format::Position;
use crate::log::Finding;
use crate::shard::Shard;

/// What a stream is like at a moment.
#[derive(Clone, Debug)]
pub struct StreamDescription {
    /// The name.
    pub name: String,
    /// The number, never given twice in a store.
    pub id: u64,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its configuration at present.
    pub config: StreamConfig,
    /// All shards.
    pub shards: Vec<Shard>,
    /// How many segments its log has.
    pub segments: usize,
    /// The bytes of its frames, from the oldest segment to the tail.
    pub bytes: u64,
    /// The records of its sealed segments; what the active one holds is not counted yet.
    pub sealed_records: u64,
    /// When the oldest segment opened, in milliseconds since 1970.
    pub oldest_ms: u64,
    /// The end of what is published.
    pub published: Position,
    /// The end of what is durable.
    pub durable: Position,
    /// Whether a jump of the clock has paused the retention: see [`Engine::accept_clock`](crate::Engine).
    pub expiry_is_paused: bool,
    /// What an on-demand stream is warmed up for, in MiB/s, if it is.
    pub warm_mib_per_second: Option<u32>,
    /// What recovery found when the stream was opened.
    pub findings: Vec<Finding>,
}

impl Stream {
    /// What the stream is like at this moment.
    #[must_use]
    pub fn describe(&self) -> StreamDescription {
        let segments = self.0.log.segments();
        let published = self.0.log.published();
        let ends = segments.iter().map(|segment| segment.end().unwrap_or(published.offset));
        // Each lock is let go of before the next one is taken: what is locked in the expression below stays so to its end.
        let config = self.0.config.read().clone();
        let expiry_is_paused = self.0.engine.expiry.lock().is_paused();
        let capacity = self.0.engine.capacity_of(self.0.id).ok();
        StreamDescription {
            name: self.0.name.clone(),
            id: self.0.id,
            created_ms: self.0.created_ms,
            config,
            shards: self.0.routes().map.shards().to_vec(),
            segments: segments.len(),
            bytes: ends.map(u64::from).sum(),
            sealed_records: segments.iter().filter_map(|segment| Some(segment.summary()?.records)).sum(),
            oldest_ms: segments.first().map_or(self.0.created_ms, |segment| segment.first_arrival_ms),
            published,
            durable: self.0.log.durable(),
            expiry_is_paused,
            warm_mib_per_second: capacity.and_then(|(_, of)| of.warm_mib_per_second()),
            findings: self.0.findings.clone(),
        }
    }
}
