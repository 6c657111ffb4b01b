//! How often operations may be called, where a server is limited as AWS limits: a bucket for each operation, and for each
//! stream or consumer where AWS counts those apart. What is limited by shard is the engine's part.

use std::collections::HashMap;

use millrace::limits::{CallRate, Scope, TokenBucket, call_rate};
use millrace_kinesis::{ErrorName, ServiceError, Structure};
use parking_lot::Mutex;

/// Beyond so many buckets those that are full again are let go of.
const BUCKETS_MAX: usize = 10_000;

/// The buckets of a server.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<(&'static str, String), TokenBucket>>);

impl Rates {
    /// Counts a call, at a time in milliseconds that never goes back.
    ///
    /// # Errors
    /// `LimitExceededException` where the second's calls are used up.
    pub fn admit(&self, operation: &str, request: &Structure, now_ms: u64) -> Result<(), ServiceError> {
        let Some(CallRate { operation, per_second, scope }) = call_rate(operation) else { return Ok(()) };
        let of = |names: &[&str]| names.iter().filter_map(|name| request.str(name)).collect::<Vec<_>>().join("/");
        let key = match scope {
            Scope::Shard => return Ok(()),
            Scope::Account => String::new(),
            Scope::Stream => of(&["StreamName", "StreamARN"]),
            Scope::ConsumerShard => of(&["ConsumerARN", "ShardId"]),
        };
        let mut buckets = self.0.lock();
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| {
                bucket.refill(now_ms);
                bucket.available() < bucket.capacity()
            });
        }
        let new = || TokenBucket::new(per_second, per_second, now_ms);
        let bucket = buckets.entry((operation, key)).or_insert_with(new);
        bucket.refill(now_ms);
        if bucket.holds(1) {
            bucket.take(1);
            return Ok(());
        }
        Err(ServiceError::new(ErrorName::LimitExceeded, format!("Rate exceeded for {operation}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_the_second_and_each_stream_for_itself() {
        let rates = Rates::default();
        let stream = |name: &str| Structure::new().with("StreamARN", name);
        let admitted = |operation: &str, request: &Structure, now_ms| {
            (0..30).filter(|_| rates.admit(operation, request, now_ms).is_ok()).count()
        };
        assert_eq!(admitted("DescribeStream", &stream("a"), 0), 10);
        assert_eq!(admitted("DescribeStream", &stream("b"), 0), 0, "an account's calls are counted together");
        assert_eq!(admitted("DescribeStream", &stream("b"), 500), 5);
        assert_eq!(admitted("ListStreamConsumers", &stream("a"), 0), 5);
        assert_eq!(admitted("ListStreamConsumers", &stream("b"), 0), 5, "a stream's calls are counted for themselves");
        assert_eq!(admitted("PutRecords", &stream("a"), 0), 30, "its records are limited, not its calls");
        let error = rates.admit("DescribeStream", &stream("a"), 500).expect_err("no call is left");
        assert_eq!(error.name, ErrorName::LimitExceeded);
    }
}
