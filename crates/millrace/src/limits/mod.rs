//! Throughput limits of a shard: what it takes in, what it gives out, and when to try again.
//!
//! Pure arithmetic on a time that the caller passes, in milliseconds of a monotonic clock: nothing in here reads a
//! clock, and nothing knows of streams, frames or errors.
//!
//! Invariants, for every tank of this module and any window of W seconds:
//! - no more is admitted than what a full tank holds, and `rate * W`;
//! - what fits is never refused, and a refusal changes nothing;
//! - amounts are whole numbers of thousandths, so that no fraction is lost, however long it runs;
//! - a time before the latest one that was seen counts as the latest: a clock that goes back refills nothing twice.

mod bucket;
mod operations;
mod policy;
mod read;
mod write;

pub use bucket::TokenBucket;
pub use operations::{CallRate, Scope, call_rate};
pub use policy::{LimitPolicy, ShardLimits};
pub use read::{FanOutPace, ReadTank};
pub use write::{Demand, WriteTank};

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of data and keys written to a shard.
    WriteBytes,
    /// Records written to a shard.
    WriteRecords,
    /// Bytes read from a shard by all readers that share it.
    ReadBytes,
    /// Reads of a shard by all readers that share it.
    Reads,
    /// Iterators asked for on a shard.
    Iterators,
}

impl Limit {
    /// The limit's name as an error tells it; the same as the setting's in TypeScript.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Limit::WriteBytes => "writeBytesPerSecond",
            Limit::WriteRecords => "writeRecordsPerSecond",
            Limit::ReadBytes => "readBytesPerSecond",
            Limit::Reads => "readsPerSecond",
            Limit::Iterators => "iteratorsPerSecond",
        }
    }

    /// What the limit counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Limit::WriteBytes | Limit::ReadBytes => "bytes",
            Limit::WriteRecords => "records",
            Limit::Reads => "reads",
            Limit::Iterators => "iterators",
        }
    }
}

/// Why something was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that was met; where several were, the one that takes longest to give way.
    pub limit: Limit,
    /// How much a second that limit allows, in its unit.
    pub per_second: u64,
    /// By how much it was exceeded: what was asked for, less what was left at that moment, in the limit's unit.
    pub exceeded_by: u64,
    /// In how many milliseconds the same would be admitted if nobody else came first; `None` where it is more than the
    /// shard ever takes at once, and must be made smaller.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// The one of two refusals that takes longer to give way.
    fn longer(self, other: Refusal) -> Refusal {
        let wait = |refusal: &Refusal| refusal.retry_after_ms.unwrap_or(u64::MAX);
        if wait(&other) > wait(&self) { other } else { self }
    }

    /// The longer of what two tanks say.
    fn longest(former: Option<Refusal>, latter: Option<Refusal>) -> Option<Refusal> {
        match (former, latter) {
            (Some(former), Some(latter)) => Some(former.longer(latter)),
            (former, latter) => former.or(latter),
        }
    }
}

#[cfg(test)]
mod tests;
