//! The registered consumers of a stream, and the commands of their life: registered, tagged, deregistered.
//!
//! Invariants: a name belongs to one consumer of its stream at most, and consumers and queues of a stream together are
//! never more than its limit, which they share as in Kinesis.

use serde::{Deserialize, Serialize};

use super::account::CommitmentStatus;
use super::command::Step;
use super::config::validate_name;
use super::state::State;
use super::stream::StreamEntry;
use super::tags::{Tags, validate_tags};
use crate::capacity::CapacityMode;
use crate::error::{Error, Kind, Result};
use crate::limits::LimitPolicy;

/// How many consumers and queues a stream can have.
const CONSUMERS_MAX: usize = 1_000;
/// How many it can have under the limits of AWS.
const CONSUMERS_MAX_AWS: usize = 20;
/// The same of an on-demand stream whose account has committed itself to a least throughput (On-demand Advantage).
const CONSUMERS_MAX_ADVANTAGE: usize = 50;

/// A registered consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consumer {
    /// Its name, which no other consumer of the stream has.
    pub name: String,
    /// When it was registered, in milliseconds since 1970.
    pub created_ms: u64,
    /// What an operator noted at it.
    pub tags: Tags,
    /// Its resource policy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl StreamEntry {
    /// The consumer of this name.
    ///
    /// # Errors
    /// `ConsumerNotFound`.
    pub fn consumer(&self, name: &str) -> Result<&Consumer> {
        self.named(&self.consumers, name, |consumer| &consumer.name, ("consumers", Kind::ConsumerNotFound))
    }

    /// Whether there is room for one more consumer or queue, where the account's commitment stands as it is said.
    pub(super) fn validate_room(&self, commitment: CommitmentStatus) -> Result<()> {
        let (consumers, queues) = (self.consumers.len(), self.queues.len());
        let has_advantage = self.config.mode == CapacityMode::OnDemand && commitment != CommitmentStatus::Disabled;
        let most = match self.config.limits {
            LimitPolicy::Aws if has_advantage => CONSUMERS_MAX_ADVANTAGE,
            LimitPolicy::Aws => CONSUMERS_MAX_AWS,
            LimitPolicy::Unlimited | LimitPolicy::Custom(_) => CONSUMERS_MAX,
        };
        if consumers + queues < most {
            return Ok(());
        }
        let message = format!(
            "stream {}: expected at most {most} consumers and queues together, got one more than \
             {consumers} consumers and {queues} queues; deregister or delete one",
            self.name
        );
        Err(Error::new(Kind::LimitExceeded, message))
    }

    /// Checks the consumers of an entry that may come from a damaged file.
    pub(super) fn validate_consumers(&self) -> Result<()> {
        for (index, consumer) in self.consumers.iter().enumerate() {
            validate_name("a consumer's", &consumer.name)?;
            validate_tags(&consumer.tags)?;
            if self.consumers[..index].iter().any(|other| other.name == consumer.name) {
                return Err(exists(&self.name, &consumer.name));
            }
        }
        Ok(())
    }

    pub(super) fn consumer_mut(&mut self, name: &str) -> &mut Consumer {
        let consumer = self.consumers.iter_mut().find(|consumer| consumer.name == name);
        consumer.expect("the command was validated")
    }
}

/// Registers a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterConsumer {
    /// The stream.
    pub id: u64,
    /// The name, unique among the stream's consumers.
    pub consumer: String,
    /// The wall clock at the registration, in milliseconds since 1970.
    pub created_ms: u64,
    /// What an operator notes at it.
    pub tags: Tags,
}

impl Step for RegisterConsumer {
    fn validate(&self, state: &State) -> Result<()> {
        validate_name("a consumer's", &self.consumer)?;
        validate_tags(&self.tags)?;
        let entry = state.active(self.id)?;
        if entry.consumer(&self.consumer).is_ok() {
            return Err(exists(&entry.name, &self.consumer));
        }
        entry.validate_room(state.account.commitment(self.created_ms).status)
    }

    fn apply(&self, state: &mut State) {
        let RegisterConsumer { id, consumer, created_ms, tags } = self.clone();
        state.valid(id).consumers.push(Consumer { name: consumer, created_ms, tags, policy: None });
    }
}

/// Ends the registration of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeregisterConsumer {
    /// The stream.
    pub id: u64,
    /// The consumer's name.
    pub consumer: String,
}

impl Step for DeregisterConsumer {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?.consumer(&self.consumer).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).consumers.retain(|consumer| consumer.name != self.consumer);
    }
}

/// Replaces the tags of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagConsumer {
    /// The stream.
    pub id: u64,
    /// The consumer's name.
    pub consumer: String,
    /// All its tags from now.
    pub tags: Tags,
}

impl Step for TagConsumer {
    fn validate(&self, state: &State) -> Result<()> {
        validate_tags(&self.tags)?;
        state.active(self.id)?.consumer(&self.consumer).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).consumer_mut(&self.consumer).tags = self.tags.clone();
    }
}

fn exists(stream: &str, name: &str) -> Error {
    let message = format!("expected an unused name, got {name:?}, a consumer of stream {stream} that exists");
    Error::new(Kind::ConsumerExists, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::Command;
    use crate::control::command::tests::{check_golden, with_stream};
    use crate::control::{DeleteStream, SetLimits, SetMode, StartCommitment};

    fn tags() -> Tags {
        Tags::from([("team".into(), "ads".into())])
    }

    fn register(name: &str) -> Command {
        RegisterConsumer { id: 1, consumer: name.into(), created_ms: 5, tags: Tags::new() }.into()
    }

    fn refusal(state: &State, command: impl Into<Command>) -> Kind {
        state.validate(&command.into()).expect_err("the state refuses the command").kind()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        let consumer = || "ads".to_owned();
        check_golden(&[
            (
                RegisterConsumer { id: 1, consumer: consumer(), created_ms: 5, tags: tags() }.into(),
                r#"{"command":"registerConsumer","id":1,"consumer":"ads","createdMs":5,"tags":{"team":"ads"}}"#,
            ),
            (
                TagConsumer { id: 1, consumer: consumer(), tags: tags() }.into(),
                r#"{"command":"tagConsumer","id":1,"consumer":"ads","tags":{"team":"ads"}}"#,
            ),
            (
                DeregisterConsumer { id: 1, consumer: consumer() }.into(),
                r#"{"command":"deregisterConsumer","id":1,"consumer":"ads"}"#,
            ),
        ]);
    }

    #[test]
    fn a_consumer_is_found_by_name_until_it_is_deregistered() {
        let tag = TagConsumer { id: 1, consumer: "a".into(), tags: tags() }.into();
        let mut state = with_stream(&[register("a"), register("b"), tag]);
        let entry = state.stream(1).expect("created");
        assert_eq!(entry.consumer("a").expect("registered").tags, tags());
        assert_eq!(entry.consumer("c").expect_err("never registered").kind(), Kind::ConsumerNotFound);
        assert_eq!(refusal(&state, register("a")), Kind::ConsumerExists);
        assert_eq!(refusal(&state, register("a/b")), Kind::InvalidArgument);
        let restored = State::from_snapshot(&state.to_snapshot()).expect("a state's own snapshot");
        assert_eq!(restored, state);
        let deregister = DeregisterConsumer { id: 1, consumer: "a".into() };
        state.apply(&deregister.clone().into()).expect("registered");
        assert_eq!(refusal(&state, deregister), Kind::ConsumerNotFound);
        assert_eq!(refusal(&state, TagConsumer { id: 1, consumer: "a".into(), tags: tags() }), Kind::ConsumerNotFound);
        state.apply(&register("a")).expect("its name is free");
    }

    #[test]
    fn a_stream_without_consumers_keeps_the_bytes_that_it_had_before_there_were_any() {
        let text = String::from_utf8(with_stream(&[]).to_snapshot()).expect("JSON is UTF-8");
        assert!(!text.contains("consumers") && !text.contains("queues"), "{text}");
        let registered = [register("a"), DeregisterConsumer { id: 1, consumer: "a".into() }.into()];
        assert_eq!(with_stream(&registered).to_snapshot(), text.as_bytes());
    }

    #[test]
    fn a_stream_has_so_many_consumers_and_no_more() {
        let all: Vec<_> = (0..CONSUMERS_MAX).map(|index| register(&index.to_string())).collect();
        assert_eq!(refusal(&with_stream(&all), register("more")), Kind::LimitExceeded);
        assert!(with_stream(&all[1..]).validate(&register("more")).is_ok());
        let few = all[..CONSUMERS_MAX_AWS].iter().cloned();
        let limited = std::iter::once(SetLimits { id: 1, limits: LimitPolicy::Aws }.into()).chain(few);
        assert_eq!(refusal(&with_stream(&limited.collect::<Vec<_>>()), register("more")), Kind::LimitExceeded);
    }

    #[test]
    fn an_on_demand_stream_of_a_committed_account_has_fifty() {
        let all: Vec<_> = (0..CONSUMERS_MAX_ADVANTAGE).map(|index| register(&index.to_string())).collect();
        let limited = Command::from(SetLimits { id: 1, limits: LimitPolicy::Aws });
        let on_demand = Command::from(SetMode { id: 1, mode: CapacityMode::OnDemand, at_ms: 0 });
        let committed = Command::from(StartCommitment { at_ms: 0 });
        let after = |first: &[&Command], consumers: &[Command]| {
            with_stream(&first.iter().copied().chain(consumers).cloned().collect::<Vec<_>>())
        };
        let advantage = [&limited, &on_demand, &committed];
        assert!(after(&advantage, &all[1..]).validate(&register("more")).is_ok());
        assert_eq!(refusal(&after(&advantage, &all), register("more")), Kind::LimitExceeded);
        for without in [[&limited, &on_demand], [&limited, &committed]] {
            let state = after(&without, &all[..CONSUMERS_MAX_AWS]);
            assert_eq!(refusal(&state, register("more")), Kind::LimitExceeded);
        }
    }

    #[test]
    fn a_stream_that_is_being_deleted_registers_nobody() {
        let state = with_stream(&[register("a"), DeleteStream { id: 1 }.into()]);
        assert_eq!(refusal(&state, register("b")), Kind::StreamDeleting);
        assert_eq!(refusal(&state, DeregisterConsumer { id: 1, consumer: "a".into() }), Kind::StreamDeleting);
    }

    #[test]
    fn a_snapshot_that_names_a_consumer_twice_or_wrongly_is_corrupt() {
        let good =
            String::from_utf8(with_stream(&[register("a"), register("b")]).to_snapshot()).expect("JSON is UTF-8");
        for (from, to) in [(r#""name":"b""#, r#""name":"a""#), (r#""name":"b""#, r#""name":"""#)] {
            assert!(good.contains(from), "{from} is in the snapshot");
            let error = State::from_snapshot(good.replace(from, to).as_bytes()).expect_err(to);
            assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        }
    }
}
