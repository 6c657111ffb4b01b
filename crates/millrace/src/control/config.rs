//! What a stream is created with, and the limits within which each value must be.
//!
//! Invariant: a configuration in the state passed `validate`. The names of the fields in JSON are part of the
//! control log's format.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::distribution::{RecordDistribution, validate_distribution};
use super::encryption::validate_key_id;
use super::monitoring::ShardMetric;
use super::tags::{Tags, validate_tags};
use crate::capacity::CapacityMode;
use crate::error::{Error, Kind, Result};
use crate::limits::LimitPolicy;

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Retention {
    /// This many hours after their arrival: 24 to 8,760 (a year).
    Hours(u32),
    /// For ever.
    Unbounded,
}

impl Retention {
    /// The least and the most hours of a bounded retention.
    pub const HOURS: std::ops::RangeInclusive<u32> = 24..=8_760;

    /// The retention in milliseconds; `None` when nothing ever expires.
    #[must_use]
    pub fn ms(self) -> Option<u64> {
        match self {
            Retention::Hours(hours) => Some(u64::from(hours) * 3_600_000),
            Retention::Unbounded => None,
        }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// `InvalidArgument` for hours outside of [`Retention::HOURS`].
    pub fn validate(self) -> Result<()> {
        match self {
            Retention::Hours(hours) => within("a retention", hours, &Self::HOURS, "hours, or unbounded"),
            Retention::Unbounded => Ok(()),
        }
    }
}

/// What an acknowledged append has survived; see decision 2 of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// Acknowledged and visible after the sync of the group: survives the loss of power.
    Synced,
    /// Acknowledged when published, synced and visible later.
    Interval {
        /// The most milliseconds that may pass before the sync: 1 to 60,000.
        ms: u32,
    },
    /// Acknowledged and visible when published: survives a crash of the process, not of the machine.
    Os,
}

impl Durability {
    /// The least and the most milliseconds of an interval.
    pub const INTERVAL_MS: std::ops::RangeInclusive<u32> = 1..=60_000;

    /// Checks the limits.
    ///
    /// # Errors
    /// `InvalidArgument` for an interval outside of [`Durability::INTERVAL_MS`].
    pub fn validate(self) -> Result<()> {
        match self {
            Durability::Interval { ms } => within("a sync interval", ms, &Self::INTERVAL_MS, "ms"),
            Durability::Synced | Durability::Os => Ok(()),
        }
    }
}

/// What a stream is created with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamConfig {
    /// The number of shards at creation: 1 to 10,000. Default: 1.
    pub shards: u32,
    /// How long records are kept. Default: 24 hours.
    pub retention: Retention,
    /// What an acknowledgement promises. Default: `Synced`.
    pub durability: Durability,
    /// The most bytes of a record's data and key together: 1,024 to 10,485,760. Default: 1,048,576.
    pub max_record_bytes: u32,
    /// Bytes of disk to set aside for the stream ahead of its writer. Default: 0.
    pub preallocate_bytes: u64,
    /// How the records' data is encoded, as 1 to 64 characters that mean nothing to the engine. Default: `None`.
    pub codec: Option<String>,
    /// What its shards take and give a second. Default: unlimited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: LimitPolicy,
    /// Who decides how many shards it has. Default: its owner.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: CapacityMode,
    /// What its owner has written on it. Default: none.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The key that its owner says it is encrypted with, as 1 to 2,048 characters: told to who asks, and nothing more.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// Which metrics of its shards are told besides those of the stream. Default: none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shard_metrics: BTreeSet<ShardMetric>,
    /// Who decides which shard a record goes to. Default: its partition key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distribution: RecordDistribution,
}

/// What was added to the format is left out of it while it is not used: see `state.rs`.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for StreamConfig {
    fn default() -> Self {
        StreamConfig {
            shards: 1,
            retention: Retention::Hours(24),
            durability: Durability::Synced,
            max_record_bytes: 1_048_576,
            preallocate_bytes: 0,
            codec: None,
            limits: LimitPolicy::Unlimited,
            mode: CapacityMode::Provisioned,
            tags: Tags::new(),
            encryption_key: None,
            shard_metrics: BTreeSet::new(),
            distribution: RecordDistribution::PartitionKey,
        }
    }
}

impl StreamConfig {
    /// The least and the most shards that a stream can be created with.
    pub const SHARDS: std::ops::RangeInclusive<u32> = 1..=10_000;
    /// The least and the most that `max_record_bytes` can be.
    pub const RECORD_BYTES: std::ops::RangeInclusive<u32> = 1_024..=10_485_760;
    /// The most characters of a codec's name.
    pub const CODEC_CHARS_MAX: usize = 64;

    /// Checks every value against its limits.
    ///
    /// # Errors
    /// `InvalidArgument`, which says what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        within("a stream", self.shards, &Self::SHARDS, "shards")?;
        within("the limit of a record's size", self.max_record_bytes, &Self::RECORD_BYTES, "bytes")?;
        self.retention.validate()?;
        self.durability.validate()?;
        self.limits.validate()?;
        validate_tags(&self.tags)?;
        validate_distribution(self.distribution, self.mode)?;
        self.encryption_key.as_deref().map_or(Ok(()), validate_key_id)?;
        let Some(codec) = &self.codec else { return Ok(()) };
        match codec.chars().count() {
            1..=Self::CODEC_CHARS_MAX => Ok(()),
            chars => Err(invalid(format!(
                "expected a codec's name of 1 to {} characters, got {chars}",
                Self::CODEC_CHARS_MAX
            ))),
        }
    }
}

/// Checks a name against the rule of Kinesis, which is one for streams, consumers and queues: 1 to 128 of the
/// characters `a-z A-Z 0-9 _ . -`. Messages call it `whose` name.
///
/// # Errors
/// `InvalidArgument`, which says what was expected and what came.
pub fn validate_name(whose: &str, name: &str) -> Result<()> {
    const RULE: &str = "1 to 128 characters from a-z, A-Z, 0-9, _, . and -";
    let stray = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.-".contains(*c)));
    match (stray, name.chars().count()) {
        (Some(stray), _) => Err(invalid(format!("expected {whose} name of {RULE}, got one with {stray:?}"))),
        (None, 1..=128) => Ok(()),
        (None, chars) => Err(invalid(format!("expected {whose} name of {RULE}, got {chars} characters"))),
    }
}

pub(super) fn within(what: &str, came: u32, expected: &std::ops::RangeInclusive<u32>, unit: &str) -> Result<()> {
    if expected.contains(&came) {
        return Ok(());
    }
    Err(invalid(format!("expected {what} of {} to {} {unit}, got {came}", expected.start(), expected.end())))
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut StreamConfig)) -> Result<()> {
        let mut config = StreamConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn every_limit_holds_at_both_ends() {
        for shards in [1, 10_000] {
            with(|c| c.shards = shards).expect("within the limits");
        }
        for bytes in [1_024, 10_485_760] {
            with(|c| c.max_record_bytes = bytes).expect("within the limits");
        }
        for retention in [Retention::Hours(24), Retention::Hours(8_760), Retention::Unbounded] {
            with(|c| c.retention = retention).expect("within the limits");
        }
        for durability in [Durability::Os, Durability::Interval { ms: 1 }, Durability::Interval { ms: 60_000 }] {
            with(|c| c.durability = durability).expect("within the limits");
        }
        for codec in ["j".to_owned(), "é".repeat(64)] {
            with(|c| c.codec = Some(codec)).expect("within the limits");
        }
    }

    #[test]
    fn a_value_past_a_limit_is_told_with_what_was_expected_and_what_came() {
        let refused = [
            (with(|c| c.shards = 0), "1 to 10000 shards, got 0"),
            (with(|c| c.shards = 10_001), "1 to 10000 shards, got 10001"),
            (with(|c| c.max_record_bytes = 1_023), "1024 to 10485760 bytes, got 1023"),
            (with(|c| c.max_record_bytes = 10_485_761), "1024 to 10485760 bytes, got 10485761"),
            (with(|c| c.retention = Retention::Hours(23)), "24 to 8760 hours, or unbounded, got 23"),
            (with(|c| c.retention = Retention::Hours(8_761)), "24 to 8760 hours, or unbounded, got 8761"),
            (with(|c| c.durability = Durability::Interval { ms: 0 }), "1 to 60000 ms, got 0"),
            (with(|c| c.durability = Durability::Interval { ms: 60_001 }), "1 to 60000 ms, got 60001"),
            (with(|c| c.codec = Some(String::new())), "1 to 64 characters, got 0"),
            (with(|c| c.codec = Some("x".repeat(65))), "1 to 64 characters, got 65"),
            (validate_name("a stream's", ""), "1 to 128 characters from a-z, A-Z, 0-9, _, . and -, got 0 characters"),
            (validate_name("a stream's", &"n".repeat(129)), "got 129 characters"),
            (validate_name("a stream's", "a/b"), "got one with '/'"),
            (validate_name("a stream's", "naïve"), "got one with 'ï'"),
        ];
        for (result, expected) in refused {
            let error = result.expect_err(expected);
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().contains(expected), "expected {expected:?} in {:?}", error.message());
        }
    }

    #[test]
    fn names_of_kinesis_are_names_here() {
        for name in ["a", "Clicks_2026.v1-eu", &"n".repeat(128)] {
            validate_name("a stream's", name).expect("a name that Kinesis allows");
        }
    }

    #[test]
    fn a_retention_knows_its_milliseconds() {
        assert_eq!(Retention::Hours(24).ms(), Some(86_400_000));
        assert_eq!(Retention::Unbounded.ms(), None);
    }
}
