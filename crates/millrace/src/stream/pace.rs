//! The pace at which a subscription is pushed, shard by shard: 2 MiB a second under `aws`, none without limits. What
//! comes too soon waits, in the log.

use std::collections::BTreeMap;

use super::chunk::RunView;
use crate::limits::{FanOutPace, ShardLimits};

/// What of each shard was pushed to a subscription.
#[derive(Debug, Default)]
pub(super) struct Paces {
    limits: ShardLimits,
    by_shard: BTreeMap<u32, FanOutPace>,
}

impl Paces {
    /// In how many milliseconds the next event may be pushed; a subscription of the whole stream goes at the pace of the
    /// shard of which it was given most.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.by_shard.values_mut().map(|pace| pace.wait_ms(now_ms)).max().unwrap_or(0)
    }

    /// These runs were pushed, under these limits: other ones than before begin anew.
    pub fn sent(&mut self, runs: &[RunView], limits: ShardLimits, now_ms: u64) {
        if limits != self.limits {
            *self = Paces { limits, by_shard: BTreeMap::new() };
        }
        if limits.fan_out_bytes_per_second.is_none() {
            return;
        }
        for run in runs {
            let pace = self.by_shard.entry(run.shard).or_insert_with(|| FanOutPace::new(&limits, now_ms));
            pace.sent(run.flow().bytes, now_ms);
        }
    }
}
