//! Which key the owner of a stream says that it is encrypted with. Kept and told; the engine encrypts nothing.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::error::{Error, Kind, Result};

/// The longest name of a key, in characters.
const KEY_CHARS_MAX: usize = 2_048;
/// How often a key is set, and how often it is taken away, in [`CHANGES_WITHIN_MS`].
const CHANGES_MAX: usize = 25;
/// The span in which changes are counted, in milliseconds: 24 hours.
const CHANGES_WITHIN_MS: u64 = 24 * 3_600_000;

/// When the key of a stream was set and taken away within the 24 hours before the last time, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EncryptionHistory {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    started_ms: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped_ms: Vec<u64>,
}

impl EncryptionHistory {
    /// Whether nothing was ever noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == EncryptionHistory::default()
    }

    fn check(times: &[u64], now_ms: u64) -> Result<()> {
        let lately: Vec<u64> = lately(times, now_ms).collect();
        let Some(first_ms) = lately.first().filter(|_| lately.len() >= CHANGES_MAX) else { return Ok(()) };
        let minutes = first_ms.saturating_add(CHANGES_WITHIN_MS).saturating_sub(now_ms).div_ceil(60_000);
        let message = format!(
            "expected the encryption of a stream to be started, or stopped, at most {CHANGES_MAX} times in 24 hours, got \
             another; try again in {minutes} minutes"
        );
        Err(Error::new(Kind::LimitExceeded, message))
    }
}

fn lately(times: &[u64], now_ms: u64) -> impl Iterator<Item = u64> {
    times.iter().copied().filter(move |at_ms| at_ms.saturating_add(CHANGES_WITHIN_MS) > now_ms)
}

/// Checks the name of a key: 1 to 2,048 characters.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn validate_key_id(key: &str) -> Result<()> {
    match key.chars().count() {
        1..=KEY_CHARS_MAX => Ok(()),
        chars => {
            let message = format!("expected a key's name of 1 to {KEY_CHARS_MAX} characters, got {chars}");
            Err(Error::new(Kind::InvalidArgument, message))
        }
    }
}

/// Sets the key that a stream is said to be encrypted with, or takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetEncryptionKey {
    /// The stream.
    pub id: u64,
    /// How the key is called; none takes it away.
    pub key: Option<String>,
    /// The wall clock, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Step for SetEncryptionKey {
    fn validate(&self, state: &State) -> Result<()> {
        let entry = state.active(self.id)?;
        if entry.config.encryption_key == self.key {
            let message = format!("expected another key than the stream has, got {:?} again", self.key);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        let Some(key) = &self.key else { return EncryptionHistory::check(&entry.encryption.stopped_ms, self.at_ms) };
        validate_key_id(key)?;
        EncryptionHistory::check(&entry.encryption.started_ms, self.at_ms)
    }

    fn apply(&self, state: &mut State) {
        let entry = state.valid(self.id);
        let history = &mut entry.encryption;
        let times = if self.key.is_some() { &mut history.started_ms } else { &mut history.stopped_ms };
        *times = lately(times, self.at_ms).chain([self.at_ms]).collect();
        entry.config.encryption_key.clone_from(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::Command;
    use crate::control::command::tests::{check_golden, with_stream};

    fn set(key: &str, at_ms: u64) -> Command {
        SetEncryptionKey { id: 1, key: Some(key.to_owned()), at_ms }.into()
    }

    fn unset(at_ms: u64) -> Command {
        SetEncryptionKey { id: 1, key: None, at_ms }.into()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (
                set("alias/aws/kinesis", 5),
                r#"{"command":"setEncryptionKey","id":1,"key":"alias/aws/kinesis","atMs":5}"#,
            ),
            (unset(6), r#"{"command":"setEncryptionKey","id":1,"key":null,"atMs":6}"#),
        ]);
    }

    #[test]
    fn a_key_holds_until_another_comes_or_it_is_taken_away() {
        let state = with_stream(&[set("alias/a", 5), set("alias/b", 6)]);
        assert_eq!(state.stream(1).expect("created").config.encryption_key.as_deref(), Some("alias/b"));
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("restored"), state);
        let refused = [set("alias/b", 7), set("", 7), set(&"k".repeat(2_049), 7)];
        for command in refused {
            assert_eq!(state.validate(&command).expect_err("no other key").kind(), Kind::InvalidArgument);
        }
        let state = with_stream(&[set("alias/a", 5), unset(6)]);
        assert_eq!(state.stream(1).expect("created").config.encryption_key, None);
        assert_eq!(state.validate(&unset(7)).expect_err("there is none").kind(), Kind::InvalidArgument);
        assert!(!String::from_utf8(with_stream(&[]).to_snapshot()).expect("JSON is UTF-8").contains("ncryption"));
    }

    #[test]
    fn a_key_is_set_and_taken_away_twenty_five_times_in_any_24_hours() {
        let history: Vec<Command> = (0..25).flat_map(|at_ms| [set("alias/a", at_ms), unset(at_ms)]).collect();
        let state = with_stream(&history);
        let error = state.validate(&set("alias/a", CHANGES_WITHIN_MS - 1)).expect_err("the twenty-sixth");
        assert_eq!(error.kind(), Kind::LimitExceeded);
        assert!(error.message().ends_with("in 1 minutes"), "{error}");
        state.validate(&set("alias/a", CHANGES_WITHIN_MS)).expect("24 hours after the first");
        let state = with_stream(&[history.as_slice(), &[set("alias/a", CHANGES_WITHIN_MS)]].concat());
        assert_eq!(
            state.validate(&unset(CHANGES_WITHIN_MS - 1)).expect_err("the twenty-sixth").kind(),
            Kind::LimitExceeded
        );
        state.validate(&unset(CHANGES_WITHIN_MS)).expect("24 hours after the first");
    }
}
