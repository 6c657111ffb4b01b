//! The engine's descriptions as plain objects, and plain objects as the engine's settings.

use millrace::{Durability, Error, Kind, Result, Retention, Stream, StreamConfig, StreamStatus, StreamSummary};
use napi_derive::napi;

use crate::settings::{NativeLimits, NativeTag, capacity_mode, mode_text};
use crate::shards::{NativeShard, describe_shards};

/// Settings of a stream to be created; each checked by the engine.
#[napi(object)]
pub struct NativeStreamConfig {
    pub shards: u32,
    /// 0 is unbounded.
    pub retention_hours: u32,
    /// `synced`, `interval` or `os`.
    pub durability: String,
    /// For `interval` only.
    pub interval_ms: u32,
    pub max_record_bytes: u32,
    pub preallocate_bytes: f64,
    pub codec: String,
    pub limits: NativeLimits,
    /// `provisioned` or `on-demand`.
    pub mode: String,
    pub tags: Vec<NativeTag>,
}

/// A line of the list of streams.
#[napi(object)]
pub struct NativeStreamSummary {
    pub name: String,
    pub deleting: bool,
    pub shards: u32,
    /// 0 is unbounded.
    pub retention_hours: u32,
    /// `synced`, `interval` or `os`.
    pub durability: String,
    /// For `interval` only.
    pub interval_ms: u32,
    pub codec: Option<String>,
    pub created_at_ms: f64,
    pub limits: NativeLimits,
    /// `provisioned` or `on-demand`.
    pub mode: String,
    /// In the order of their keys.
    pub tags: Vec<NativeTag>,
}

/// A stream as it is now.
#[napi(object)]
pub struct NativeStreamDescription {
    pub summary: NativeStreamSummary,
    pub shard_list: Vec<NativeShard>,
    pub max_record_bytes: u32,
    pub bytes: f64,
    pub segments: u32,
    pub sealed_records: f64,
    pub oldest_ms: f64,
    /// What an on-demand stream is warmed up for, in MiB/s, if it is.
    pub warm_mib_per_second: Option<u32>,
}

impl NativeStreamConfig {
    /// The engine's settings.
    pub fn into_engine(self) -> Result<StreamConfig> {
        Ok(StreamConfig {
            shards: self.shards,
            retention: retention(self.retention_hours),
            durability: durability(&self.durability, self.interval_ms)?,
            max_record_bytes: self.max_record_bytes,
            preallocate_bytes: whole(self.preallocate_bytes)?,
            codec: Some(self.codec),
            limits: self.limits.into_engine()?,
            mode: capacity_mode(&self.mode),
            tags: self.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            // Clients of the endpoint set the rest.
            ..StreamConfig::default()
        })
    }
}

/// Hours as the engine takes them; 0 is unbounded.
pub fn retention(hours: u32) -> Retention {
    if hours == 0 { Retention::Unbounded } else { Retention::Hours(hours) }
}

/// A durability by its word.
pub fn durability(word: &str, interval_ms: u32) -> Result<Durability> {
    match word {
        "synced" => Ok(Durability::Synced),
        "os" => Ok(Durability::Os),
        "interval" => Ok(Durability::Interval { ms: interval_ms }),
        other => Err(Error::new(
            Kind::InvalidArgument,
            format!("expected a durability of synced, interval or os, got {other}"),
        )),
    }
}

/// A count that came as JavaScript's number.
pub fn whole(number: f64) -> Result<u64> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    if !(0.0..=LARGEST).contains(&number) || number.fract() != 0.0 {
        let message = format!("expected a whole number from 0 to 2^53 - 1, got {number}");
        return Err(Error::new(Kind::InvalidArgument, message));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a whole number above")]
    Ok(number as u64)
}

/// A line of the list of streams.
pub fn summarize(summary: StreamSummary) -> NativeStreamSummary {
    let deleting = summary.status == StreamStatus::Deleting;
    summarize_parts(summary.name, deleting, summary.created_ms, summary.open_shards, summary.config)
}

fn summarize_parts(
    name: String,
    deleting: bool,
    created_ms: u64,
    open_shards: u32,
    config: StreamConfig,
) -> NativeStreamSummary {
    let (durability, interval_ms) = match config.durability {
        Durability::Synced => ("synced", 0),
        Durability::Interval { ms } => ("interval", ms),
        Durability::Os => ("os", 0),
    };
    NativeStreamSummary {
        name,
        deleting,
        shards: open_shards,
        retention_hours: match config.retention {
            Retention::Hours(hours) => hours,
            Retention::Unbounded => 0,
        },
        durability: durability.to_owned(),
        interval_ms,
        codec: config.codec,
        created_at_ms: created_ms as f64,
        limits: NativeLimits::of(config.limits),
        mode: mode_text(config.mode).to_owned(),
        tags: config.tags.into_iter().map(|(key, value)| NativeTag { key, value }).collect(),
    }
}

/// A stream as it is now.
pub fn describe(stream: &Stream) -> NativeStreamDescription {
    let description = stream.describe();
    let open_shards = description.shards.iter().filter(|shard| shard.is_open()).count();
    let open_shards = u32::try_from(open_shards).unwrap_or(u32::MAX);
    NativeStreamDescription {
        max_record_bytes: description.config.max_record_bytes,
        shard_list: describe_shards(stream, &description.shards),
        bytes: description.bytes as f64,
        segments: u32::try_from(description.segments).unwrap_or(u32::MAX),
        sealed_records: description.sealed_records as f64,
        oldest_ms: description.oldest_ms as f64,
        warm_mib_per_second: description.warm_mib_per_second,
        summary: summarize_parts(description.name, false, description.created_ms, open_shards, description.config),
    }
}
