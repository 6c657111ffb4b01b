//! Which limits hold for a stream: those that AWS publishes, the caller's own numbers, or none.

use serde::{Deserialize, Serialize};

use super::TokenBucket;
use crate::error::{Error, Kind, Result};

/// The limits of a stream's shards.
///
/// ```
/// use millrace::limits::{LimitPolicy, ShardLimits};
/// let slow = ShardLimits { write_records_per_second: Some(10), ..ShardLimits::default() };
/// assert_eq!(LimitPolicy::Custom(slow).limits(), slow);
/// assert_eq!(LimitPolicy::Aws.limits().write_records_per_second, Some(1_000));
/// assert_eq!(LimitPolicy::Unlimited.limits(), ShardLimits::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitPolicy {
    /// None: a shard takes and gives what the machine can. The default of an embedded stream.
    #[default]
    Unlimited,
    /// Exactly those that AWS publishes for Kinesis Data Streams: see [`ShardLimits::AWS`].
    Aws,
    /// These.
    Custom(ShardLimits),
}

impl LimitPolicy {
    /// The numbers of the policy.
    #[must_use]
    pub fn limits(&self) -> ShardLimits {
        match self {
            LimitPolicy::Unlimited => ShardLimits::default(),
            LimitPolicy::Aws => ShardLimits::AWS,
            LimitPolicy::Custom(limits) => *limits,
        }
    }

    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// `InvalidArgument`, which says what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        self.limits().validate()
    }
}

/// What one shard allows a second; what is `None` is not limited. Each number is 1 to [`TokenBucket::TOKENS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ShardLimits {
    /// Bytes of data and keys written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_bytes_per_second: Option<u64>,
    /// Records written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_records_per_second: Option<u64>,
    /// Bytes of data and keys read by all that share the shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes_per_second: Option<u64>,
    /// Reads by all that share the shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads_per_second: Option<u64>,
    /// Iterators asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterators_per_second: Option<u64>,
    /// Bytes pushed to one registered consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out_bytes_per_second: Option<u64>,
}

impl ShardLimits {
    /// What AWS publishes for a shard: 1 MB/s with keys and 1,000 records/s in, 2 MB/s and 5 reads/s out, 5 iterators/s,
    /// and 2 MiB/s for each registered consumer. AWS says MB and MiB of the same limits by turns; here it is MiB,
    /// because a record of 1 MiB, the default limit, is taken.
    ///
    /// Source: "Quotas and limits" of the developer guide; the operations of the API reference.
    pub const AWS: ShardLimits = ShardLimits {
        write_bytes_per_second: Some(1 << 20),
        write_records_per_second: Some(1_000),
        read_bytes_per_second: Some(2 << 20),
        reads_per_second: Some(5),
        iterators_per_second: Some(5),
        fan_out_bytes_per_second: Some(2 << 20),
    };

    /// Whether nothing is limited for those who write.
    #[must_use]
    pub fn writes_are_free(&self) -> bool {
        self.write_bytes_per_second.is_none() && self.write_records_per_second.is_none()
    }

    fn validate(&self) -> Result<()> {
        let all = [
            ("writeBytesPerSecond", self.write_bytes_per_second),
            ("writeRecordsPerSecond", self.write_records_per_second),
            ("readBytesPerSecond", self.read_bytes_per_second),
            ("readsPerSecond", self.reads_per_second),
            ("iteratorsPerSecond", self.iterators_per_second),
            ("fanOutBytesPerSecond", self.fan_out_bytes_per_second),
        ];
        let allowed = 1..=TokenBucket::TOKENS_MAX;
        let outside = |(name, value): (_, Option<u64>)| Some((name, value.filter(|value| !allowed.contains(value))?));
        let Some((name, value)) = all.into_iter().find_map(outside) else { return Ok(()) };
        let most = TokenBucket::TOKENS_MAX;
        Err(Error::new(Kind::InvalidArgument, format!("{name}: expected 1 to {most} a second, or none, got {value}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_its_golden_bytes_and_comes_back_from_them() {
        let custom =
            ShardLimits { write_bytes_per_second: Some(5), reads_per_second: Some(1), ..ShardLimits::default() };
        let golden = [
            (LimitPolicy::Unlimited, r#""unlimited""#),
            (LimitPolicy::Aws, r#""aws""#),
            (LimitPolicy::Custom(custom), r#"{"custom":{"writeBytesPerSecond":5,"readsPerSecond":1}}"#),
            (LimitPolicy::Custom(ShardLimits::default()), r#"{"custom":{}}"#),
        ];
        for (policy, bytes) in golden {
            assert_eq!(serde_json::to_string(&policy).expect("JSON"), bytes);
            assert_eq!(serde_json::from_str::<LimitPolicy>(bytes).expect("golden bytes decode"), policy);
        }
        let newer = serde_json::from_str::<LimitPolicy>(r#"{"custom":{"deletesPerSecond":1}}"#);
        assert!(newer.expect_err("unknown").to_string().starts_with("unknown field"));
    }

    #[test]
    fn a_number_out_of_bounds_is_told_with_its_name() {
        for value in [0, TokenBucket::TOKENS_MAX + 1, u64::MAX] {
            let limits = ShardLimits { reads_per_second: Some(value), ..ShardLimits::AWS };
            let error = LimitPolicy::Custom(limits).validate().expect_err("out of bounds");
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().starts_with("readsPerSecond: expected 1 to 1099511627776 a second"), "{error}");
        }
        for value in [1, TokenBucket::TOKENS_MAX] {
            let limits = ShardLimits { write_bytes_per_second: Some(value), ..ShardLimits::default() };
            LimitPolicy::Custom(limits).validate().expect("within the bounds");
        }
        LimitPolicy::Aws.validate().expect("AWS's own numbers");
    }
}
