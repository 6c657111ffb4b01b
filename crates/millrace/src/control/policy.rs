//! Resource policies: who else may do what with a stream, one of its consumers or one of its queues, as a document of IAM.
//! The engine keeps them and evaluates none.
//!
//! Invariant: what is kept is a document that names principals and actions, of bounded size; so is the sum of all, because
//! they share a snapshot with everything else.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use super::stream::StreamEntry;
use crate::error::{Error, Kind, Result};

/// The longest policy, in bytes. AWS publishes no number for Kinesis; this is what most of its services take.
const POLICY_BYTES_MAX: usize = 20_480;
/// The most bytes of all policies of a store: a snapshot of the state, which holds them, has to fit into a frame.
const POLICIES_BYTES_MAX: usize = 4 << 20;

/// What a resource policy is attached to: a stream, or one of its consumers or queues by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PolicyHolder {
    /// The stream itself.
    Stream,
    /// The registered consumer of this name.
    Consumer(String),
    /// The queue of this name.
    Queue(String),
}

/// Checks a policy: JSON of at most 20,480 bytes, an object whose statements say an effect, a principal and an action
/// each, by the names of IAM.
///
/// # Errors
/// `InvalidArgument`, which says what was expected and what came.
pub(super) fn validate_policy(policy: &str) -> Result<()> {
    if policy.len() > POLICY_BYTES_MAX {
        let bytes = policy.len();
        return Err(invalid(format!("expected a policy of at most {POLICY_BYTES_MAX} bytes, got {bytes}")));
    }
    let document: serde_json::Value =
        serde_json::from_str(policy).map_err(|error| invalid(format!("expected a policy in JSON, got {error}")))?;
    let statements = match document.get("Statement") {
        Some(serde_json::Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ serde_json::Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err(invalid("expected a policy with at least one Statement, got one without".to_owned())),
    };
    statements.iter().try_for_each(validate_statement)
}

fn validate_statement(statement: &serde_json::Value) -> Result<()> {
    let has = |names: [&str; 2]| names.iter().any(|name| statement.get(name).is_some());
    let effect = statement.get("Effect").and_then(serde_json::Value::as_str);
    let fault = if !matches!(effect, Some("Allow" | "Deny")) {
        "an Effect of Allow or Deny"
    } else if !has(["Principal", "NotPrincipal"]) {
        "a Principal"
    } else if !has(["Action", "NotAction"]) {
        "an Action"
    } else {
        return Ok(());
    };
    Err(invalid(format!("expected {fault} in every Statement of a policy, got one without")))
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

impl StreamEntry {
    /// The policy of the stream, or of one of its consumers or queues, if there is one.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `QueueNotFound`.
    pub fn policy_of(&self, holder: &PolicyHolder) -> Result<Option<&String>> {
        let policy = match holder {
            PolicyHolder::Stream => &self.policy,
            PolicyHolder::Consumer(name) => &self.consumer(name)?.policy,
            PolicyHolder::Queue(name) => &self.queue(name)?.policy,
        };
        Ok(policy.as_ref())
    }

    /// Checks the policies of an entry that may come from a damaged file.
    pub(super) fn validate_policies(&self) -> Result<()> {
        self.policies().try_for_each(|policy| validate_policy(policy))
    }

    fn policies(&self) -> impl Iterator<Item = &String> {
        let consumers = self.consumers.iter().filter_map(|consumer| consumer.policy.as_ref());
        let queues = self.queues.iter().filter_map(|queue| queue.policy.as_ref());
        self.policy.iter().chain(consumers).chain(queues)
    }
}

/// Attaches a policy to a stream, or to one of its consumers or queues, instead of the one that it has, or takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetPolicy {
    /// The stream.
    pub id: u64,
    /// What it is attached to.
    pub holder: PolicyHolder,
    /// The document, as it was given; none takes it away.
    pub policy: Option<String>,
}

impl Step for SetPolicy {
    fn validate(&self, state: &State) -> Result<()> {
        let present = state.active(self.id)?.policy_of(&self.holder)?.map_or(0, String::len);
        let Some(policy) = &self.policy else { return Ok(()) };
        validate_policy(policy)?;
        let all: usize = state.streams().flat_map(StreamEntry::policies).map(String::len).sum();
        if all - present + policy.len() > POLICIES_BYTES_MAX {
            let message = format!(
                "expected at most {POLICIES_BYTES_MAX} bytes of policies in a store, got {all} and a policy of {} more; \
                 delete some first",
                policy.len()
            );
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        Ok(())
    }

    fn apply(&self, state: &mut State) {
        let entry = state.valid(self.id);
        let held = match &self.holder {
            PolicyHolder::Stream => &mut entry.policy,
            PolicyHolder::Consumer(name) => &mut entry.consumer_mut(name).policy,
            PolicyHolder::Queue(name) => &mut entry.queue_mut(name).policy,
        };
        held.clone_from(&self.policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::Command;
    use crate::control::command::tests::{check_golden, create};
    use crate::control::{DeregisterConsumer, RegisterConsumer, Tags};

    const POLICY: &str = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:*"}]}"#;

    fn set(id: u64, holder: PolicyHolder, policy: &str) -> Command {
        SetPolicy { id, holder, policy: Some(policy.to_owned()) }.into()
    }

    fn ads() -> PolicyHolder {
        PolicyHolder::Consumer("ads".into())
    }

    fn register() -> Command {
        RegisterConsumer { id: 1, consumer: "ads".into(), created_ms: 5, tags: Tags::new() }.into()
    }

    fn with_streams(names: &[&str]) -> State {
        let mut state = State::new();
        for name in names {
            state.apply(&create(name)).expect("the history is valid");
        }
        state
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (set(1, PolicyHolder::Stream, "{}"), r#"{"command":"setPolicy","id":1,"holder":"stream","policy":"{}"}"#),
            (
                SetPolicy { id: 1, holder: ads(), policy: None }.into(),
                r#"{"command":"setPolicy","id":1,"holder":{"consumer":"ads"},"policy":null}"#,
            ),
            (
                SetPolicy { id: 1, holder: PolicyHolder::Queue("q".into()), policy: None }.into(),
                r#"{"command":"setPolicy","id":1,"holder":{"queue":"q"},"policy":null}"#,
            ),
        ]);
    }

    #[test]
    fn a_policy_is_kept_as_it_came_until_it_is_taken_away_and_goes_with_its_holder() {
        let mut state = with_streams(&["clicks"]);
        let before = state.to_snapshot();
        let missing = state.validate(&set(1, ads(), POLICY)).expect_err("nobody is registered");
        assert_eq!(missing.kind(), Kind::ConsumerNotFound);
        let spaced = format!(" {POLICY}\n");
        for command in [register(), set(1, PolicyHolder::Stream, &spaced), set(1, ads(), POLICY)] {
            state.apply(&command).expect("valid");
        }
        let restored = State::from_snapshot(&state.to_snapshot()).expect("a state's own snapshot");
        assert_eq!(restored, state);
        let policy = |state: &State, of| state.stream(1).expect("created").policy_of(&of).expect("there").cloned();
        assert_eq!(policy(&state, PolicyHolder::Stream), Some(spaced));
        assert_eq!(policy(&state, ads()), Some(POLICY.to_owned()));
        let again = [
            DeregisterConsumer { id: 1, consumer: "ads".into() }.into(),
            register(),
            SetPolicy { id: 1, holder: PolicyHolder::Stream, policy: None }.into(),
        ];
        again.iter().for_each(|command| state.apply(command).expect("valid"));
        assert_eq!(policy(&state, ads()), None, "a consumer that is registered anew begins without");
        state.apply(&DeregisterConsumer { id: 1, consumer: "ads".into() }.into()).expect("valid");
        assert_eq!(state.to_snapshot(), before, "what is not used leaves no bytes");
    }

    #[test]
    fn what_is_no_policy_is_refused_with_what_was_expected() {
        let long = format!("{POLICY}{}", " ".repeat(POLICY_BYTES_MAX));
        let refused = [
            ("", "expected a policy in JSON"),
            ("not JSON", "expected a policy in JSON"),
            ("[]", "at least one Statement"),
            (r#"{"Statement":[]}"#, "at least one Statement"),
            (r#"{"Statement":["all"]}"#, "an Effect of Allow or Deny"),
            (r#"{"Statement":{"Effect":"Maybe","Principal":"*","Action":"*"}}"#, "an Effect of Allow or Deny"),
            (r#"{"Statement":{"Effect":"Deny","Action":"*"}}"#, "a Principal"),
            (r#"{"Statement":{"Effect":"Deny","NotPrincipal":"*"}}"#, "an Action"),
            (&long, "at most 20480 bytes, got 20"),
            (&"[".repeat(5_000), "expected a policy in JSON"),
        ];
        for (policy, expected) in refused {
            let error = validate_policy(policy).expect_err(expected);
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().contains(expected), "expected {expected:?} in {:?}", error.message());
        }
        validate_policy(POLICY).expect("a policy");
    }

    #[test]
    fn all_policies_of_a_store_together_stay_bounded() {
        let names: Vec<String> = (0..=POLICIES_BYTES_MAX / POLICY_BYTES_MAX).map(|index| index.to_string()).collect();
        let mut state = with_streams(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let long = format!("{POLICY}{}", " ".repeat(POLICY_BYTES_MAX - POLICY.len()));
        let most = u64::try_from(POLICIES_BYTES_MAX / POLICY_BYTES_MAX).expect("small");
        for id in 1..=most {
            state.apply(&set(id, PolicyHolder::Stream, &long)).expect("within the bound");
        }
        state.validate(&set(1, PolicyHolder::Stream, &long)).expect("one instead of another");
        let error = state.validate(&set(most + 1, PolicyHolder::Stream, &long)).expect_err("one more");
        assert_eq!(error.kind(), Kind::LimitExceeded);
    }

    #[test]
    fn a_snapshot_with_what_is_no_policy_is_corrupt() {
        let mut state = with_streams(&["clicks"]);
        state.apply(&set(1, PolicyHolder::Stream, POLICY)).expect("valid");
        let text = String::from_utf8(state.to_snapshot()).expect("JSON is UTF-8");
        let error = State::from_snapshot(text.replace("Allow", "Maybe").as_bytes()).expect_err("no effect");
        assert_eq!(error.kind(), Kind::Corrupt);
    }
}
