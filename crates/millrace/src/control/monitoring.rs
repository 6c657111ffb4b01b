//! Which metrics of its shards the owner of a stream wants to see, besides those of the stream as a whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::error::{Error, Kind, Result};

/// A metric that is told shard by shard, as CloudWatch calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ShardMetric {
    /// Bytes of data and keys that were put.
    IncomingBytes,
    /// Records that were put.
    IncomingRecords,
    /// Bytes of data and keys that were handed out.
    OutgoingBytes,
    /// Records that were handed out.
    OutgoingRecords,
    /// Records that were refused because the shard's limits had no room.
    WriteProvisionedThroughputExceeded,
    /// Reads that were refused because the shard's limits had no room.
    ReadProvisionedThroughputExceeded,
    /// How old the last record was that was handed out.
    IteratorAgeMilliseconds,
}

impl ShardMetric {
    /// All of them, in the order in which the service lists them.
    pub const ALL: [ShardMetric; 7] = [
        ShardMetric::IncomingBytes,
        ShardMetric::IncomingRecords,
        ShardMetric::OutgoingBytes,
        ShardMetric::OutgoingRecords,
        ShardMetric::WriteProvisionedThroughputExceeded,
        ShardMetric::ReadProvisionedThroughputExceeded,
        ShardMetric::IteratorAgeMilliseconds,
    ];

    /// Its name in CloudWatch.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ShardMetric::IncomingBytes => "IncomingBytes",
            ShardMetric::IncomingRecords => "IncomingRecords",
            ShardMetric::OutgoingBytes => "OutgoingBytes",
            ShardMetric::OutgoingRecords => "OutgoingRecords",
            ShardMetric::WriteProvisionedThroughputExceeded => "WriteProvisionedThroughputExceeded",
            ShardMetric::ReadProvisionedThroughputExceeded => "ReadProvisionedThroughputExceeded",
            ShardMetric::IteratorAgeMilliseconds => "IteratorAgeMilliseconds",
        }
    }
}

/// Sets which metrics of its shards a stream tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetShardMetrics {
    /// The stream.
    pub id: u64,
    /// All of them from now on.
    pub metrics: BTreeSet<ShardMetric>,
}

impl Step for SetShardMetrics {
    fn validate(&self, state: &State) -> Result<()> {
        if state.active(self.id)?.config.shard_metrics == self.metrics {
            let message = format!("expected other metrics than the stream has, got {:?} again", self.metrics);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        Ok(())
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.shard_metrics.clone_from(&self.metrics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Command;
    use crate::control::command::tests::{check_golden, with_stream};

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (
                SetShardMetrics { id: 1, metrics: ShardMetric::ALL.into() }.into(),
                r#"{"command":"setShardMetrics","id":1,"metrics":["incomingBytes","incomingRecords","outgoingBytes","outgoingRecords","writeProvisionedThroughputExceeded","readProvisionedThroughputExceeded","iteratorAgeMilliseconds"]}"#,
            ),
            (
                SetShardMetrics { id: 1, metrics: BTreeSet::new() }.into(),
                r#"{"command":"setShardMetrics","id":1,"metrics":[]}"#,
            ),
        ]);
    }

    #[test]
    fn metrics_are_kept_until_others_are_set() {
        let mut state = with_stream(&[]);
        let before = state.to_snapshot();
        let set = |metrics: &[ShardMetric]| -> Command {
            SetShardMetrics { id: 1, metrics: metrics.iter().copied().collect() }.into()
        };
        assert_eq!(state.validate(&set(&[])).expect_err("it has none").kind(), Kind::InvalidArgument);
        state.apply(&set(&[ShardMetric::OutgoingBytes])).expect("valid");
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("restored"), state);
        state.apply(&set(&[])).expect("valid");
        assert_eq!(state.to_snapshot(), before, "what is not used leaves no bytes");
    }
}
