//! Settings of a stream as plain objects: the limits of its shards. The engine checks every number.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace::Result;
use millrace::capacity::CapacityMode;
use millrace::limits::{LimitPolicy, ShardLimits};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::describe::whole;
use crate::engine::NativeEngine;
use crate::task::{Blocking, promise};

/// What a shard takes and gives a second.
#[napi(object)]
pub struct NativeLimits {
    /// `unlimited`, `aws` or `custom`. The numbers are for `custom` only; what is missing is not limited.
    pub policy: String,
    pub write_bytes_per_second: Option<f64>,
    pub write_records_per_second: Option<f64>,
    pub read_bytes_per_second: Option<f64>,
    pub reads_per_second: Option<f64>,
    pub iterators_per_second: Option<f64>,
    pub fan_out_bytes_per_second: Option<f64>,
}

impl NativeLimits {
    /// The engine's policy.
    pub fn into_engine(self) -> Result<LimitPolicy> {
        let number = |value: Option<f64>| value.map(whole).transpose();
        match self.policy.as_str() {
            "unlimited" => Ok(LimitPolicy::Unlimited),
            "aws" => Ok(LimitPolicy::Aws),
            _ => Ok(LimitPolicy::Custom(ShardLimits {
                write_bytes_per_second: number(self.write_bytes_per_second)?,
                write_records_per_second: number(self.write_records_per_second)?,
                read_bytes_per_second: number(self.read_bytes_per_second)?,
                reads_per_second: number(self.reads_per_second)?,
                iterators_per_second: number(self.iterators_per_second)?,
                fan_out_bytes_per_second: number(self.fan_out_bytes_per_second)?,
            })),
        }
    }

    /// A policy of the engine; the numbers of `aws` are told too.
    pub fn of(policy: LimitPolicy) -> NativeLimits {
        let limits = policy.limits();
        let number = |value: Option<u64>| value.map(|value| value as f64);
        NativeLimits {
            policy: match policy {
                LimitPolicy::Unlimited => "unlimited",
                LimitPolicy::Aws => "aws",
                LimitPolicy::Custom(_) => "custom",
            }
            .to_owned(),
            write_bytes_per_second: number(limits.write_bytes_per_second),
            write_records_per_second: number(limits.write_records_per_second),
            read_bytes_per_second: number(limits.read_bytes_per_second),
            reads_per_second: number(limits.reads_per_second),
            iterators_per_second: number(limits.iterators_per_second),
            fan_out_bytes_per_second: number(limits.fan_out_bytes_per_second),
        }
    }
}

/// A capacity mode by its word.
pub fn capacity_mode(word: &str) -> CapacityMode {
    if word == "on-demand" { CapacityMode::OnDemand } else { CapacityMode::Provisioned }
}

/// The word of a capacity mode.
pub fn mode_text(mode: CapacityMode) -> &'static str {
    match mode {
        CapacityMode::OnDemand => "on-demand",
        CapacityMode::Provisioned => "provisioned",
    }
}

#[napi]
impl NativeEngine {
    /// Switches who decides how many shards a stream has: `provisioned` or `on-demand`.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_mode(&self, name: String, mode: String) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.set_mode(&name, capacity_mode(&mode)))
    }

    /// Warms an on-demand stream up for so many MiB/s, or, with 0, releases it.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_warm_throughput(&self, name: String, mib_per_second: u32) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.set_warm_throughput(&name, (mib_per_second > 0).then_some(mib_per_second)))
    }

    /// Changes what a stream's shards take and give a second.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_limits(&self, name: String, limits: NativeLimits) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.set_limits(&name, limits.into_engine()?))
    }

    /// Changes how large a stream's records can be.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_max_record_bytes(&self, name: String, max_record_bytes: u32) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.set_max_record_bytes(&name, max_record_bytes))
    }

    /// Adds tags to a stream, each a key and a value.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn tag_stream(&self, name: String, tags: Vec<NativeTag>) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.tag_stream(&name, tags.into_iter().map(|tag| (tag.key, tag.value)).collect()))
    }

    /// Removes the tags of these keys from a stream.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn untag_stream(&self, name: String, keys: Vec<String>) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.untag_stream(&name, keys.into_iter().collect::<BTreeSet<_>>()))
    }
}

/// What a stream's owner has written on it.
#[napi(object)]
pub struct NativeTag {
    pub key: String,
    pub value: String,
}
