//! Settings of a stream that its owner may change at any time: its limits, the size of its records, and who decides how
//! many shards it has.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::config::{StreamConfig, within};
use super::distribution::RecordDistribution;
use super::state::State;
use crate::capacity::{CapacityHistory, CapacityMode, Rate};
use crate::error::{Error, Kind, Result};
use crate::limits::LimitPolicy;

/// Changes what the stream's shards take and give a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLimits {
    /// The stream.
    pub id: u64,
    /// The new policy.
    pub limits: LimitPolicy,
}

impl Step for SetLimits {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?;
        self.limits.validate()
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.limits = self.limits;
    }
}

/// Changes how large a record can be. Those that are larger and stand in the stream already stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetMaxRecordBytes {
    /// The stream.
    pub id: u64,
    /// The most bytes of data and key together.
    pub max_record_bytes: u32,
}

impl Step for SetMaxRecordBytes {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?;
        within("the limit of a record's size", self.max_record_bytes, &StreamConfig::RECORD_BYTES, "bytes")
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.max_record_bytes = self.max_record_bytes;
    }
}

/// Switches who decides how many shards the stream has. It keeps those that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetMode {
    /// The stream.
    pub id: u64,
    /// The new mode.
    pub mode: CapacityMode,
    /// The wall clock, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Step for SetMode {
    fn validate(&self, state: &State) -> Result<()> {
        let entry = state.active(self.id)?;
        if entry.config.mode == self.mode {
            let message = format!("expected another capacity mode than the stream has, got {:?} again", self.mode);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        let (queues, channels) = (entry.queues.len(), entry.channels.len());
        if self.mode == CapacityMode::Provisioned && queues + channels > 0 {
            let message = format!(
                "expected a stream without queues and channels to become provisioned, got one with {queues} queues and \
                 {channels} channels; delete them first"
            );
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        entry.capacity.check_switch(self.at_ms)
    }

    fn apply(&self, state: &mut State) {
        let entry = state.valid(self.id);
        entry.config.mode = self.mode;
        if self.mode == CapacityMode::Provisioned {
            // Its owner's keys decide again: only an on-demand stream decides itself.
            entry.config.distribution = RecordDistribution::PartitionKey;
        }
        entry.capacity.switch(self.at_ms);
    }
}

/// Warms an on-demand stream up for a throughput before it comes, or releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetWarmThroughput {
    /// The stream.
    pub id: u64,
    /// In MiB/s written; none releases.
    pub mib_per_second: Option<u32>,
}

impl Step for SetWarmThroughput {
    fn validate(&self, state: &State) -> Result<()> {
        on_demand(state, self.id)?;
        CapacityHistory::check_warm(self.mib_per_second)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).capacity.warm(self.mib_per_second);
    }
}

/// Notes what an on-demand stream has taken in for some minutes: its capacity goes by the highest of thirty days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeakNoted {
    /// The stream.
    pub id: u64,
    /// The wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it took in.
    pub rate: Rate,
}

impl Step for PeakNoted {
    fn validate(&self, state: &State) -> Result<()> {
        on_demand(state, self.id)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).capacity.note_peak(self.at_ms, self.rate);
    }
}

fn on_demand(state: &State, id: u64) -> Result<()> {
    match state.active(id)?.config.mode {
        CapacityMode::OnDemand => Ok(()),
        CapacityMode::Provisioned => {
            let message = "expected a stream of capacity mode on-demand, got a provisioned one; switch its mode first";
            Err(Error::new(Kind::InvalidArgument, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::check_golden;

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        let rate = Rate { bytes_per_second: 3, records_per_second: 4 };
        check_golden(&[
            (SetLimits { id: 1, limits: LimitPolicy::Aws }.into(), r#"{"command":"setLimits","id":1,"limits":"aws"}"#),
            (
                SetMaxRecordBytes { id: 1, max_record_bytes: 10_485_760 }.into(),
                r#"{"command":"setMaxRecordBytes","id":1,"maxRecordBytes":10485760}"#,
            ),
            (
                SetMode { id: 1, mode: CapacityMode::OnDemand, at_ms: 2 }.into(),
                r#"{"command":"setMode","id":1,"mode":"onDemand","atMs":2}"#,
            ),
            (
                SetWarmThroughput { id: 1, mib_per_second: Some(200) }.into(),
                r#"{"command":"setWarmThroughput","id":1,"mibPerSecond":200}"#,
            ),
            (
                SetWarmThroughput { id: 1, mib_per_second: None }.into(),
                r#"{"command":"setWarmThroughput","id":1,"mibPerSecond":null}"#,
            ),
            (
                PeakNoted { id: 1, at_ms: 2, rate }.into(),
                r#"{"command":"peakNoted","id":1,"atMs":2,"rate":{"bytesPerSecond":3,"recordsPerSecond":4}}"#,
            ),
        ]);
    }
}
