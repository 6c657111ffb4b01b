//! What belongs to the store as a whole, as it does to an account at AWS: the commitment to a least throughput, which the
//! warm throughput of streams asks for. Nobody is billed; the state is kept as the service keeps it.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::error::{Error, Kind, Result};

/// How long a commitment lasts at least, in milliseconds: 24 hours.
const COMMITTED_MS_MIN: u64 = 24 * 3_600_000;

/// What is kept of the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AccountSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    commitment: Option<Term>,
}

/// When a commitment was made, and when it ends, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Term {
    started_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_ms: Option<u64>,
}

impl Term {
    fn earliest_end_ms(self) -> u64 {
        self.started_ms.saturating_add(COMMITTED_MS_MIN)
    }
}

/// How the commitment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitmentStatus {
    /// There is none.
    #[default]
    Disabled,
    /// It goes on.
    Enabled,
    /// Its end was asked for within 24 hours of its beginning, and comes once those are over.
    EnabledUntilEarliestEnd,
}

/// The commitment to a least throughput at a moment. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// How it stands.
    pub status: CommitmentStatus,
    /// When the last one was made.
    pub started_ms: Option<u64>,
    /// When it ended, once it has.
    pub ended_ms: Option<u64>,
    /// Before this time it does not end, as long as it has not ended.
    pub earliest_end_ms: Option<u64>,
}

impl AccountSettings {
    /// Whether nothing was ever set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == AccountSettings::default()
    }

    /// The commitment as it stands at a time.
    #[must_use]
    pub fn commitment(&self, now_ms: u64) -> Commitment {
        let Some(term) = self.commitment else { return Commitment::default() };
        let ended_ms = term.ends_ms.filter(|end_ms| now_ms >= *end_ms);
        let status = match (ended_ms, term.ends_ms) {
            (Some(_), _) => CommitmentStatus::Disabled,
            (None, Some(_)) => CommitmentStatus::EnabledUntilEarliestEnd,
            (None, None) => CommitmentStatus::Enabled,
        };
        let earliest_end_ms = ended_ms.is_none().then(|| term.earliest_end_ms());
        Commitment { status, started_ms: Some(term.started_ms), ended_ms, earliest_end_ms }
    }
}

/// Commits to a least throughput, or takes back that the commitment is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartCommitment {
    /// The wall clock, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Step for StartCommitment {
    fn validate(&self, state: &State) -> Result<()> {
        match state.account.commitment(self.at_ms).status {
            CommitmentStatus::Enabled => Err(invalid("expected an account without a commitment, got one that has it")),
            CommitmentStatus::Disabled | CommitmentStatus::EnabledUntilEarliestEnd => Ok(()),
        }
    }

    fn apply(&self, state: &mut State) {
        let goes_on = state.account.commitment(self.at_ms).status != CommitmentStatus::Disabled;
        let running = state.account.commitment.filter(|_| goes_on);
        let started_ms = running.map_or(self.at_ms, |term| term.started_ms);
        state.account.commitment = Some(Term { started_ms, ends_ms: None });
    }
}

/// Ends the commitment: at once, or once 24 hours are over since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndCommitment {
    /// The wall clock, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Step for EndCommitment {
    fn validate(&self, state: &State) -> Result<()> {
        match state.account.commitment(self.at_ms).status {
            CommitmentStatus::Enabled => Ok(()),
            CommitmentStatus::Disabled | CommitmentStatus::EnabledUntilEarliestEnd => {
                Err(invalid("expected an account with a commitment that goes on, got one without"))
            }
        }
    }

    fn apply(&self, state: &mut State) {
        if let Some(term) = &mut state.account.commitment {
            term.ends_ms = Some(term.earliest_end_ms().max(self.at_ms));
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Command;
    use crate::control::command::tests::check_golden;

    const HOUR_MS: u64 = 3_600_000;

    fn after(commands: &[Command]) -> State {
        let mut state = State::new();
        commands.iter().for_each(|command| state.apply(command).expect("the history is valid"));
        state
    }

    fn start(at_ms: u64) -> Command {
        StartCommitment { at_ms }.into()
    }

    fn end(at_ms: u64) -> Command {
        EndCommitment { at_ms }.into()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (start(5), r#"{"command":"startCommitment","atMs":5}"#),
            (end(6), r#"{"command":"endCommitment","atMs":6}"#),
        ]);
    }

    #[test]
    fn a_commitment_lasts_a_day_at_least_and_its_end_can_be_taken_back_until_then() {
        use CommitmentStatus::{Disabled, Enabled, EnabledUntilEarliestEnd};
        let status = |state: &State, now_ms| state.account.commitment(now_ms).status;
        assert_eq!(after(&[]).account.commitment(9), Commitment::default());
        assert!(after(&[]).validate(&end(0)).is_err());
        let ending = after(&[start(0), end(HOUR_MS)]);
        assert_eq!(status(&ending, 24 * HOUR_MS - 1), EnabledUntilEarliestEnd);
        let over = ending.account.commitment(24 * HOUR_MS);
        assert_eq!((over.status, over.ended_ms, over.earliest_end_ms), (Disabled, Some(24 * HOUR_MS), None));
        assert!(ending.validate(&end(2 * HOUR_MS)).is_err() && ending.validate(&start(2 * HOUR_MS)).is_ok());
        let taken_back = after(&[start(0), end(HOUR_MS), start(2 * HOUR_MS)]);
        assert_eq!(status(&taken_back, 99 * HOUR_MS), Enabled);
        assert_eq!(taken_back.account.commitment(9).started_ms, Some(0), "it goes on from where it began");
        assert!(taken_back.validate(&start(99 * HOUR_MS)).is_err());
        let ended = after(&[start(0), end(30 * HOUR_MS)]);
        assert_eq!(ended.account.commitment(30 * HOUR_MS).ended_ms, Some(30 * HOUR_MS), "a day is over: at once");
        let again = after(&[start(0), end(30 * HOUR_MS), start(31 * HOUR_MS)]);
        assert_eq!(again.account.commitment(31 * HOUR_MS).started_ms, Some(31 * HOUR_MS));
    }

    #[test]
    fn an_account_that_has_set_nothing_leaves_no_bytes_and_others_come_back() {
        assert_eq!(after(&[]).to_snapshot(), br#"{"version":1,"nextStreamId":1,"streams":[]}"#);
        let state = after(&[start(5), end(6)]);
        let golden =
            r#"{"version":1,"nextStreamId":1,"streams":[],"account":{"commitment":{"startedMs":5,"endsMs":86400005}}}"#;
        assert_eq!(String::from_utf8(state.to_snapshot()).expect("JSON is UTF-8"), golden);
        assert_eq!(State::from_snapshot(golden.as_bytes()).expect("restored"), state);
    }
}
