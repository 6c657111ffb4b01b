//! The queues of a stream, and the commands of their life: created, changed, deleted, removed. How far a queue has come
//! stands in a log of its own; here is what it is.
//!
//! Invariants: a name belongs to one queue of its stream at most; a queue's id is taken from the same numbers as the
//! streams', so that no log of the store ever had it before; where a queue began never changes.

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::config::{validate_name, within};
use super::state::State;
use super::stream::StreamEntry;
use super::tags::{Tags, validate_tags};
use crate::error::{Error, Kind, Result};
use crate::format::SEQUENCE_LIMIT;
use crate::shard::STREAM_ID_MAX;

/// What becomes of a record that is received again and again and never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DeadLetters {
    /// It becomes a dead letter of the queue.
    BuiltIn {
        /// After so many times: 1 to 1,000.
        max_receive_count: u32,
    },
    /// It is handed out until it is acknowledged or expires.
    None,
}

impl DeadLetters {
    /// After how many times a record is a dead letter; `None` where it never is.
    #[must_use]
    pub fn max_receive_count(self) -> Option<u32> {
        match self {
            DeadLetters::BuiltIn { max_receive_count } => Some(max_receive_count),
            DeadLetters::None => None,
        }
    }
}

/// What of a queue can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueConfig {
    /// How long a record that was received is not handed out again, in seconds: 0 to 43,200 (12 hours). Default: 30.
    pub visibility_timeout_s: u32,
    /// What becomes of a record that nobody acknowledges. Default: a dead letter after 6 times.
    pub dead_letters: DeadLetters,
}

impl Default for QueueConfig {
    fn default() -> Self {
        let dead_letters = DeadLetters::BuiltIn { max_receive_count: 6 };
        QueueConfig { visibility_timeout_s: 30, dead_letters }
    }
}

impl QueueConfig {
    /// The least and the most seconds that a record is not handed out again.
    pub const VISIBILITY_TIMEOUT_S: std::ops::RangeInclusive<u32> = 0..=43_200;
    /// The least and the most times that a record is received before it is a dead letter.
    pub const MAX_RECEIVE_COUNT: std::ops::RangeInclusive<u32> = 1..=1_000;

    /// Checks how long a record is to be hidden, in seconds.
    pub(crate) fn validate_timeout(seconds: u32) -> Result<()> {
        within("a visibility timeout", seconds, &Self::VISIBILITY_TIMEOUT_S, "seconds")
    }

    /// Checks every value against its limits.
    ///
    /// # Errors
    /// `InvalidArgument`, which says what was expected and what came.
    pub fn validate(self) -> Result<()> {
        Self::validate_timeout(self.visibility_timeout_s)?;
        match self.dead_letters.max_receive_count() {
            Some(count) => within("a receive count before the dead letter", count, &Self::MAX_RECEIVE_COUNT, "times"),
            None => Ok(()),
        }
    }
}

/// Where in its stream a queue begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QueueStart {
    /// With the records that arrive after its creation.
    #[default]
    Latest,
    /// With the oldest record that was kept.
    TrimHorizon,
    /// With the first record that arrived at or after this time, in milliseconds since 1970.
    AtTimestamp(u64),
}

/// What the control plane knows of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueEntry {
    /// Its id, which no other queue or stream of the store had or will have.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Where it began.
    pub start: QueueStart,
    /// The first sequence that it hands out.
    pub start_sequence: u64,
    /// How it is configured at present.
    pub config: QueueConfig,
    /// What an operator noted at it.
    pub tags: Tags,
    /// Its resource policy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl StreamEntry {
    /// The queue of this name.
    ///
    /// # Errors
    /// `QueueNotFound`.
    pub fn queue(&self, name: &str) -> Result<&QueueEntry> {
        self.named(&self.queues, name, |queue| &queue.name, ("queues", Kind::QueueNotFound))
    }

    /// Checks the queues of an entry that may come from a damaged file.
    pub(super) fn validate_queues(&self) -> Result<()> {
        for (index, queue) in self.queues.iter().enumerate() {
            validate_name("a queue's", &queue.name)?;
            validate_tags(&queue.tags)?;
            queue.config.validate()?;
            validate_identity(queue.id, queue.start_sequence)?;
            if self.queues[..index].iter().any(|other| other.name == queue.name || other.id >= queue.id) {
                return Err(exists(&self.name, &queue.name));
            }
        }
        Ok(())
    }

    pub(super) fn queue_mut(&mut self, name: &str) -> &mut QueueEntry {
        self.queues.iter_mut().find(|queue| queue.name == name).expect("the command was validated")
    }
}

/// Creates a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateQueue {
    /// The stream.
    pub id: u64,
    /// The queue's own id, which no stream or queue was given before.
    pub queue_id: u64,
    /// The name, unique among the stream's queues.
    pub queue: String,
    /// The wall clock at creation, in milliseconds since 1970.
    pub created_ms: u64,
    /// Where it begins.
    pub start: QueueStart,
    /// The first sequence that it hands out.
    pub start_sequence: u64,
    /// What it is created with.
    pub config: QueueConfig,
    /// What an operator notes at it.
    pub tags: Tags,
}

impl Step for CreateQueue {
    fn validate(&self, state: &State) -> Result<()> {
        validate_name("a queue's", &self.queue)?;
        validate_tags(&self.tags)?;
        self.config.validate()?;
        let entry = state.active(self.id)?;
        if entry.queue(&self.queue).is_ok() {
            return Err(exists(&entry.name, &self.queue));
        }
        if self.queue_id < state.next_stream_id() {
            let message =
                format!("expected an id from {}, got {}, which was given", state.next_stream_id(), self.queue_id);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        validate_identity(self.queue_id, self.start_sequence)?;
        entry.validate_room(state.account.commitment(self.created_ms).status)
    }

    fn apply(&self, state: &mut State) {
        let CreateQueue { id, queue_id, queue, created_ms, start, start_sequence, config, tags } = self.clone();
        state.skip_to(queue_id + 1);
        state.queue_owners.add(&queue, id);
        let entry =
            QueueEntry { id: queue_id, name: queue, created_ms, start, start_sequence, config, tags, policy: None };
        state.valid(id).queues.push(entry);
    }
}

/// Changes what of a queue can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateQueue {
    /// The stream.
    pub id: u64,
    /// The queue's name.
    pub queue: String,
    /// The new configuration.
    pub config: QueueConfig,
}

impl Step for UpdateQueue {
    fn validate(&self, state: &State) -> Result<()> {
        self.config.validate()?;
        state.active(self.id)?.queue(&self.queue).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).queue_mut(&self.queue).config = self.config;
    }
}

/// Replaces the tags of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagQueue {
    /// The stream.
    pub id: u64,
    /// The queue's name.
    pub queue: String,
    /// All its tags from now.
    pub tags: Tags,
}

impl Step for TagQueue {
    fn validate(&self, state: &State) -> Result<()> {
        validate_tags(&self.tags)?;
        state.active(self.id)?.queue(&self.queue).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).queue_mut(&self.queue).tags = self.tags.clone();
    }
}

/// Deletes a queue: its receipts end, its files go, and its records stay in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteQueue {
    /// The stream.
    pub id: u64,
    /// The queue's name.
    pub queue: String,
}

impl Step for DeleteQueue {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?.queue(&self.queue).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.queue_owners.remove(&self.queue, self.id);
        state.valid(self.id).queues.retain(|queue| queue.name != self.queue);
    }
}

fn validate_identity(id: u64, start_sequence: u64) -> Result<()> {
    if (1..=STREAM_ID_MAX).contains(&id) && start_sequence < SEQUENCE_LIMIT {
        return Ok(());
    }
    let message = format!(
        "expected a queue with an id of 1 to {STREAM_ID_MAX} that begins below sequence {SEQUENCE_LIMIT}, \
         got id {id} and sequence {start_sequence}"
    );
    Err(Error::new(Kind::InvalidArgument, message))
}

fn exists(stream: &str, name: &str) -> Error {
    let message = format!("expected an unused name, got {name:?}, a queue of stream {stream} that exists");
    Error::new(Kind::QueueExists, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::CapacityMode;
    use crate::control::command::Command;
    use crate::control::command::tests::{check_golden, create as create_stream, with_stream};
    use crate::control::settings::SetMode;
    use crate::control::{DeleteStream, StreamRemoved};

    fn create(name: &str, queue_id: u64) -> Command {
        CreateQueue {
            id: 1,
            queue_id,
            queue: name.into(),
            created_ms: 5,
            start: QueueStart::AtTimestamp(4),
            start_sequence: 9,
            config: QueueConfig::default(),
            tags: Tags::new(),
        }
        .into()
    }

    fn refusal(state: &State, command: impl Into<Command>) -> Kind {
        state.validate(&command.into()).expect_err("the state refuses the command").kind()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        let config = QueueConfig { visibility_timeout_s: 0, dead_letters: DeadLetters::None };
        check_golden(&[
            (
                create("work", 2),
                r#"{"command":"createQueue","id":1,"queueId":2,"queue":"work","createdMs":5,"start":{"atTimestamp":4},"startSequence":9,"config":{"visibilityTimeoutS":30,"deadLetters":{"builtIn":{"maxReceiveCount":6}}},"tags":{}}"#,
            ),
            (
                UpdateQueue { id: 1, queue: "work".into(), config }.into(),
                r#"{"command":"updateQueue","id":1,"queue":"work","config":{"visibilityTimeoutS":0,"deadLetters":"none"}}"#,
            ),
            (
                TagQueue { id: 1, queue: "work".into(), tags: Tags::new() }.into(),
                r#"{"command":"tagQueue","id":1,"queue":"work","tags":{}}"#,
            ),
            (DeleteQueue { id: 1, queue: "work".into() }.into(), r#"{"command":"deleteQueue","id":1,"queue":"work"}"#),
        ]);
    }

    #[test]
    fn a_queue_is_found_by_name_until_it_is_deleted_and_its_id_is_never_given_again() {
        let mut state = with_stream(&[create("a", 2), create("b", 7)]);
        assert_eq!(state.next_stream_id(), 8);
        assert_eq!(state.stream(1).expect("created").queue("b").expect("created").id, 7);
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("a state's own snapshot"), state);
        assert_eq!(refusal(&state, create("a", 8)), Kind::QueueExists);
        assert_eq!(refusal(&state, create("c", 7)), Kind::InvalidArgument);
        assert_eq!(refusal(&state, create("a/b", 8)), Kind::InvalidArgument);
        let delete = DeleteQueue { id: 1, queue: "b".into() };
        state.apply(&delete.clone().into()).expect("created");
        assert_eq!(refusal(&state, delete), Kind::QueueNotFound);
        assert_eq!(refusal(&state, create("b", 7)), Kind::InvalidArgument);
        state.apply(&create("b", 8)).expect("its name is free");
    }

    #[test]
    fn a_name_alone_finds_the_queue_of_the_oldest_stream_that_has_one() {
        let of_orders = CreateQueue {
            id: 2,
            queue_id: 3,
            queue: "work".into(),
            created_ms: 5,
            start: QueueStart::Latest,
            start_sequence: 9,
            config: QueueConfig::default(),
            tags: Tags::new(),
        };
        let mut state = with_stream(&[create_stream("orders"), of_orders.into(), create("work", 4), create("wor", 5)]);
        let found = |state: &State| state.queue_named("work").map(|(stream, queue)| (stream.id, queue.id));
        assert_eq!(found(&state).expect("both have one"), (1, 4));
        assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("a state's own snapshot"), state);
        state.apply(&DeleteQueue { id: 1, queue: "work".into() }.into()).expect("created");
        assert_eq!(found(&state).expect("the other stream has one"), (2, 3));
        state.apply(&DeleteStream { id: 2 }.into()).expect("created");
        assert_eq!(found(&state).expect("until its files are gone"), (2, 3));
        state.apply(&StreamRemoved { id: 2 }.into()).expect("deleted");
        assert_eq!(found(&state).expect_err("none has one").kind(), Kind::QueueNotFound);
    }

    #[test]
    fn what_a_queue_is_configured_with_has_the_limits_of_kinesis() {
        let state = with_stream(&[create("a", 2)]);
        let update = |visibility_timeout_s, dead_letters| {
            let config = QueueConfig { visibility_timeout_s, dead_letters };
            state.validate(&UpdateQueue { id: 1, queue: "a".into(), config }.into())
        };
        let after = |max_receive_count| DeadLetters::BuiltIn { max_receive_count };
        for (seconds, dead_letters) in [(0, after(1)), (43_200, after(1_000)), (30, DeadLetters::None)] {
            update(seconds, dead_letters).expect("within the limits");
        }
        for (seconds, dead_letters) in [(43_201, after(6)), (30, after(0)), (30, after(1_001))] {
            let error = update(seconds, dead_letters).expect_err("outside of the limits");
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        }
    }

    #[test]
    fn a_stream_with_queues_does_not_become_provisioned() {
        let to = |mode, at_ms| Command::from(SetMode { id: 1, mode, at_ms });
        let mut state = with_stream(&[create("a", 2), to(CapacityMode::OnDemand, 1)]);
        let back = to(CapacityMode::Provisioned, 2);
        assert_eq!(state.validate(&back).expect_err("it has a queue").kind(), Kind::InvalidArgument);
        state.apply(&DeleteQueue { id: 1, queue: "a".into() }.into()).expect("created");
        state.apply(&back).expect("it has none");
    }

    #[test]
    fn a_snapshot_that_breaks_an_invariant_of_queues_is_corrupt() {
        let good = String::from_utf8(with_stream(&[create("a", 2), create("b", 3)]).to_snapshot()).expect("UTF-8");
        let damaged = [
            (r#""id":3,"name":"b""#, r#""id":3,"name":"a""#),
            (r#""id":3,"name":"b""#, r#""id":2,"name":"b""#),
            (r#""id":3,"name":"b""#, r#""id":4,"name":"b""#),
            (r#""id":2,"name":"a""#, r#""id":0,"name":"a""#),
            (r#""startSequence":9"#, r#""startSequence":9223372036854775808"#),
            (r#""maxReceiveCount":6"#, r#""maxReceiveCount":0"#),
        ];
        for (from, to) in damaged {
            assert!(good.contains(from), "{from} is in the snapshot");
            let error = State::from_snapshot(good.replace(from, to).as_bytes()).expect_err(to);
            assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        }
    }
}
