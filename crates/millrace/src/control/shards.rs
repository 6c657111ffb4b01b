//! What the control plane notes of a stream's shards: how many were opened at least, and when their number was changed.
//! Which shards there are, the stream's own log says; were a change lost there, this would tell.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::error::{Error, Kind, Result};

/// How often the number of shards can be changed within [`SCALINGS_WITHIN_MS`]: a quota of `UpdateShardCount`.
const SCALINGS_MAX: usize = 10;
/// The time for which changes of the number are counted, in milliseconds: 24 hours.
const SCALINGS_WITHIN_MS: u64 = 24 * 3_600_000;

/// The shards of a stream were changed: the change is on disk, in the stream's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShardsChanged {
    /// The stream.
    pub id: u64,
    /// The number that the next shard gets; all lower ones were given.
    pub next_shard: u32,
    /// How many are open.
    pub open_shards: u32,
    /// When their number was changed by `UpdateShardCount`, in milliseconds since 1970; `None` for a split or merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled_ms: Option<u64>,
}

impl Step for ShardsChanged {
    fn validate(&self, state: &State) -> Result<()> {
        let entry = state.active(self.id)?;
        let least = entry.next_shard();
        if self.next_shard < least {
            let message = format!("expected {least} or more as the number of the next shard, got {}", self.next_shard);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        let Some(now_ms) = self.scaled_ms else { return Ok(()) };
        let lately: Vec<u64> = lately(&entry.scaled_ms, now_ms).collect();
        let Some(&oldest_ms) = lately.first().filter(|_| lately.len() >= SCALINGS_MAX) else { return Ok(()) };
        let wait_s = (oldest_ms + SCALINGS_WITHIN_MS).saturating_sub(now_ms).div_ceil(1_000);
        let message = format!(
            "expected the number of shards to be changed at most {SCALINGS_MAX} times within 24 hours; the next change is \
             possible in {wait_s} s, a split or a merge at once"
        );
        Err(Error::new(Kind::LimitExceeded, message))
    }

    fn apply(&self, state: &mut State) {
        let entry = state.valid(self.id);
        (entry.next_shard, entry.open_shards) = (self.next_shard, self.open_shards);
        if let Some(now_ms) = self.scaled_ms {
            entry.scaled_ms = lately(&entry.scaled_ms, now_ms).chain([now_ms]).collect();
        }
    }
}

/// The changes that still count.
fn lately(scaled_ms: &[u64], now_ms: u64) -> impl Iterator<Item = u64> {
    scaled_ms.iter().copied().filter(move |at_ms| at_ms.saturating_add(SCALINGS_WITHIN_MS) > now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::check_golden;
    use crate::control::{Command, CreateStream, StreamConfig};

    fn created() -> State {
        let config = StreamConfig { shards: 4, ..StreamConfig::default() };
        applied(State::new(), CreateStream { name: "a".into(), created_ms: 0, expiry_clock_ms: None, config })
    }

    fn applied(mut state: State, command: impl Into<Command>) -> State {
        state.apply(&command.into()).expect("it applies");
        state
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (
                ShardsChanged { id: 1, next_shard: 6, open_shards: 5, scaled_ms: None }.into(),
                r#"{"command":"shardsChanged","id":1,"nextShard":6,"openShards":5}"#,
            ),
            (
                ShardsChanged { id: 1, next_shard: 6, open_shards: 5, scaled_ms: Some(7) }.into(),
                r#"{"command":"shardsChanged","id":1,"nextShard":6,"openShards":5,"scaledMs":7}"#,
            ),
        ]);
    }

    #[test]
    fn numbers_of_shards_only_grow_from_those_of_the_creation() {
        let changed = |next_shard| ShardsChanged { id: 1, next_shard, open_shards: 3, scaled_ms: None }.into();
        let state = created();
        assert_eq!(state.validate(&changed(3)).expect_err("below").kind(), Kind::InvalidArgument);
        assert!(state.validate(&changed(4)).is_ok());
        assert_eq!(state.stream(1).expect("created").open_shards(), 4);
        let state = applied(state, changed(6));
        let entry = state.stream(1).expect("created");
        assert_eq!((entry.next_shard(), entry.open_shards()), (6, 3));
        assert_eq!(state.validate(&changed(5)).expect_err("below").kind(), Kind::InvalidArgument);
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("restored"), state);
    }

    #[test]
    fn the_number_changes_ten_times_in_any_24_hours() {
        let scaled = |at_ms| ShardsChanged { id: 1, next_shard: 4, open_shards: 4, scaled_ms: Some(at_ms) }.into();
        let state = (0..10).fold(created(), |state, hour| applied(state, scaled(hour * 3_600_000)));
        let refusal = state.validate(&scaled(SCALINGS_WITHIN_MS - 1)).expect_err("the eleventh");
        assert_eq!(refusal.kind(), Kind::LimitExceeded);
        assert!(refusal.message().contains("in 1 s"), "{refusal}");
        let state = applied(state, scaled(SCALINGS_WITHIN_MS));
        assert_eq!(state.stream(1).expect("created").scaled_ms.len(), 10, "what does not count is forgotten");
        assert_eq!(state.validate(&scaled(SCALINGS_WITHIN_MS)).expect_err("again").kind(), Kind::LimitExceeded);
        let split = ShardsChanged { id: 1, next_shard: 6, open_shards: 5, scaled_ms: None }.into();
        assert!(state.validate(&split).is_ok(), "a split is no change of the number");
    }
}
