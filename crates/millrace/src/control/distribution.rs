//! Who decides which shard of a stream a record goes to: its partition key, or the stream.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::capacity::CapacityMode;
use crate::error::{Error, Kind, Result};

/// Who decides which shard a record goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordDistribution {
    /// Its partition key, or the hash key that its producer chose: records of one key are in order.
    #[default]
    PartitionKey,
    /// The stream, one shard after the other, whatever keys there are: no order is promised. On-demand streams alone.
    Auto,
}

/// Checks whether a stream of this mode can distribute its records so.
///
/// # Errors
/// `InvalidArgument` for a provisioned stream that is to decide itself.
pub(super) fn validate_distribution(distribution: RecordDistribution, mode: CapacityMode) -> Result<()> {
    if distribution == RecordDistribution::Auto && mode == CapacityMode::Provisioned {
        let message = "expected a stream of capacity mode on-demand to distribute records by itself, got a provisioned \
                       one; switch its mode first";
        return Err(Error::new(Kind::InvalidArgument, message));
    }
    Ok(())
}

/// Changes who decides which shard a record goes to. Records that are there stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRecordDistribution {
    /// The stream.
    pub id: u64,
    /// Who decides from now on.
    pub distribution: RecordDistribution,
}

impl Step for SetRecordDistribution {
    fn validate(&self, state: &State) -> Result<()> {
        validate_distribution(self.distribution, state.active(self.id)?.config.mode)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.distribution = self.distribution;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::{check_golden, with_stream};
    use crate::control::{Command, SetMode, StreamConfig};

    fn set(distribution: RecordDistribution) -> Command {
        SetRecordDistribution { id: 1, distribution }.into()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (set(RecordDistribution::Auto), r#"{"command":"setRecordDistribution","id":1,"distribution":"auto"}"#),
            (
                set(RecordDistribution::PartitionKey),
                r#"{"command":"setRecordDistribution","id":1,"distribution":"partitionKey"}"#,
            ),
        ]);
    }

    #[test]
    fn only_an_on_demand_stream_distributes_records_by_itself() {
        let mut state = with_stream(&[]);
        let refusal = state.validate(&set(RecordDistribution::Auto)).expect_err("it is provisioned");
        assert_eq!(refusal.kind(), Kind::InvalidArgument);
        let switch = |mode, at_ms| -> Command { SetMode { id: 1, mode, at_ms }.into() };
        state.apply(&switch(CapacityMode::OnDemand, 2)).expect("valid");
        state.apply(&set(RecordDistribution::Auto)).expect("it is on-demand");
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("restored"), state);
        state.apply(&switch(CapacityMode::Provisioned, 3)).expect("valid");
        let config = &state.stream(1).expect("created").config;
        assert_eq!(config.distribution, RecordDistribution::PartitionKey, "a provisioned stream goes by keys again");
        let config = StreamConfig { distribution: RecordDistribution::Auto, ..StreamConfig::default() };
        assert_eq!(config.validate().expect_err("it is provisioned").kind(), Kind::InvalidArgument);
    }
}
