//! How often each operation of the API may be called, as data for whoever answers it over the wire.
//!
//! The numbers are AWS's own: the documentation of the operations in the service model of 2013-12-02, and "Quotas and
//! limits" of the developer guide. An operation that is not here has no published rate.

/// Whose calls a rate counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of an account.
    Account,
    /// Those that name the same stream.
    Stream,
    /// Those that name the same shard.
    Shard,
    /// Those of one registered consumer that name the same shard.
    ConsumerShard,
}

/// How often an operation may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRate {
    /// The operation, as the service model names it.
    pub operation: &'static str,
    /// Calls a second. The bucket for it holds one second's worth: `TokenBucket::new(rate, rate, now)`.
    pub per_second: u64,
    /// Whose calls are counted together.
    pub scope: Scope,
}

/// The published rate of an operation, if there is one.
///
/// ```
/// use millrace::limits::{Scope, call_rate};
/// let rate = call_rate("DescribeStream").expect("it has one");
/// assert_eq!((rate.per_second, rate.scope), (10, Scope::Account));
/// assert!(call_rate("PutRecords").is_none(), "its records are limited, not its calls");
/// ```
#[must_use]
pub fn call_rate(operation: &str) -> Option<CallRate> {
    let index = RATES.binary_search_by(|rate| rate.operation.cmp(operation)).ok()?;
    RATES.get(index).copied()
}

const fn rate(operation: &'static str, per_second: u64, scope: Scope) -> CallRate {
    CallRate { operation, per_second, scope }
}

/// In the order of their names, for the search.
const RATES: [CallRate; 32] = [
    rate("AddTagsToStream", 5, Scope::Account),
    rate("CreateChannel", 5, Scope::Account),
    rate("CreateStream", 5, Scope::Account),
    rate("DecreaseStreamRetentionPeriod", 5, Scope::Account),
    rate("DeleteChannel", 5, Scope::Account),
    rate("DeleteStream", 5, Scope::Account),
    rate("DeregisterStreamConsumer", 5, Scope::Stream),
    rate("DescribeAccountSettings", 5, Scope::Account),
    rate("DescribeChannel", 5, Scope::Account),
    rate("DescribeLimits", 1, Scope::Account),
    rate("DescribeStream", 10, Scope::Account),
    rate("DescribeStreamConsumer", 20, Scope::Stream),
    rate("DescribeStreamSummary", 20, Scope::Account),
    rate("DisableEnhancedMonitoring", 5, Scope::Account),
    rate("EnableEnhancedMonitoring", 5, Scope::Account),
    rate("GetRecords", 5, Scope::Shard),
    rate("GetShardIterator", 5, Scope::Shard),
    rate("IncreaseStreamRetentionPeriod", 5, Scope::Account),
    rate("ListChannels", 5, Scope::Account),
    rate("ListShards", 1_000, Scope::Stream),
    rate("ListStreamConsumers", 5, Scope::Stream),
    rate("ListStreams", 5, Scope::Account),
    rate("ListTagsForStream", 5, Scope::Account),
    rate("MergeShards", 5, Scope::Account),
    rate("RegisterStreamConsumer", 5, Scope::Account),
    rate("RemoveTagsFromStream", 5, Scope::Account),
    rate("SplitShard", 5, Scope::Account),
    rate("SubscribeToShard", 1, Scope::ConsumerShard),
    rate("UpdateAccountSettings", 5, Scope::Account),
    rate("UpdateChannel", 5, Scope::Account),
    rate("UpdateShardCount", 10, Scope::Account),
    rate("UpdateStreamWarmThroughput", 5, Scope::Account),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_row_is_found() {
        assert!(RATES.is_sorted_by(|former, latter| former.operation < latter.operation));
        for row in RATES {
            assert_eq!(call_rate(row.operation), Some(row));
        }
        assert_eq!(call_rate("GetRecord"), None);
        assert_eq!(call_rate(""), None);
    }
}
