//! Capacity modes: who decides how many shards a stream has, its owner (provisioned) or its traffic (on-demand).
//!
//! Pure: [`CapacityHistory`] is what the control log keeps of a stream, [`Watch`] is what its keeper sees from minute to
//! minute, and from both follow [`Step`]s, splits and merges that somebody else carries out. Time, rates and shards are
//! arguments; nothing in here reads a clock or knows of logs.
//!
//! Rules of on-demand, each with its source in `docs/capacity.md`:
//! - a shard that takes in more than 500 KB/s or 500 records/s, on average over five minutes, is split at its middle;
//! - so at any time the stream can take twice the highest average of the last thirty days, and what it is warmed up
//!   for: shards that are too wide for that are split too, from minute to minute, until they are not;
//! - what thirty days did not need is merged again, shard by shard, after a day in which both halves were quiet;
//! - a hot key is not singled out: eight splits in a row that take nothing off a shard are taken for one key, and the
//!   shard is left alone for a day.
//!
//! Invariant: no step leaves a stream with less than it needs for twice its peak, and no traffic makes it split and
//! merge by turns: merging takes a day in which both shards together stay a fifth below what splits one.

mod history;
mod plan;
mod watch;

use serde::{Deserialize, Serialize};

pub use history::CapacityHistory;
pub use plan::Step;
pub use watch::{ShardLoad, Watch};

/// Who decides how many shards a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CapacityMode {
    /// Its owner, by splitting and merging.
    #[default]
    Provisioned,
    /// Its traffic: the engine splits and merges.
    OnDemand,
}

/// How many shards an on-demand stream is created with, and the fewest that it is merged to.
pub const ON_DEMAND_SHARDS: u32 = 4;

/// Bytes and records a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// Bytes of data and keys.
    pub bytes_per_second: u64,
    /// Records.
    pub records_per_second: u64,
}

impl Rate {
    /// What one shard takes in: see [`ShardLimits::AWS`](crate::limits::ShardLimits::AWS).
    const OF_A_SHARD: Rate = Rate { bytes_per_second: 1 << 20, records_per_second: 1_000 };
    /// A shard that takes in more is split.
    const HOT: Rate = Rate { bytes_per_second: 500_000, records_per_second: 500 };
    /// Two shards that take in less may be merged: together they stay a fifth below hot.
    const QUIET: Rate = Rate { bytes_per_second: 200_000, records_per_second: 200 };

    /// The higher of both, for bytes and for records.
    #[must_use]
    pub fn max(self, other: Rate) -> Rate {
        Rate {
            bytes_per_second: self.bytes_per_second.max(other.bytes_per_second),
            records_per_second: self.records_per_second.max(other.records_per_second),
        }
    }

    /// How many shards take in twice as much, if it is spread evenly.
    #[must_use]
    pub fn shards_for_twice(self) -> u32 {
        let of = |rate: u64, shard: u64| rate.saturating_mul(2).div_ceil(shard);
        let Rate { bytes_per_second, records_per_second } = Rate::OF_A_SHARD;
        let shards = of(self.bytes_per_second, bytes_per_second).max(of(self.records_per_second, records_per_second));
        u32::try_from(shards).unwrap_or(u32::MAX)
    }

    fn is_hot(self) -> bool {
        let Rate { bytes_per_second, records_per_second } = Rate::HOT;
        self.bytes_per_second > bytes_per_second || self.records_per_second > records_per_second
    }

    fn is_quiet(self) -> bool {
        let Rate { bytes_per_second, records_per_second } = Rate::QUIET;
        self.bytes_per_second < bytes_per_second && self.records_per_second < records_per_second
    }

    /// How much of a shard it takes, in thousandths.
    fn load(self) -> u64 {
        let Rate { bytes_per_second, .. } = Rate::OF_A_SHARD;
        (self.bytes_per_second.saturating_mul(1_000) / bytes_per_second).max(self.records_per_second)
    }
}

#[cfg(test)]
mod tests;
