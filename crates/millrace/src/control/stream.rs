//! What the control plane knows of each stream, and the commands of its life: created, configured, opened, closed, kept
//! back to its horizon, deleted, removed.

use serde::{Deserialize, Serialize};

use super::channel::ChannelEntry;
use super::command::Step;
use super::config::{Durability, Retention, StreamConfig, validate_name};
use super::consumer::Consumer;
use super::encryption::EncryptionHistory;
use super::queue::QueueEntry;
use super::state::State;
use crate::capacity::CapacityHistory;
use crate::error::{Error, Kind, Result};
use crate::shard::{STREAM_ID_MAX, SequenceCodec};

/// Whether a stream can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamStatus {
    /// It can be appended to and read.
    Active,
    /// It was deleted; its files are being removed, and its name is not free yet.
    Deleting,
}

/// What the control plane knows of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamEntry {
    /// Its id, which no other stream of the store had or will have.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// How it is configured at present.
    pub config: StreamConfig,
    /// Whether it can be used.
    pub status: StreamStatus,
    /// Where its log ends, if it was closed in order and not opened since; else its own files must be recovered.
    pub clean_tail: Option<CleanTail>,
    /// The first record that is returned.
    pub horizon: Horizon,
    /// The expiry clock when the horizon was last stored, in milliseconds since 1970; first the time of creation.
    pub expiry_clock_ms: u64,
    /// What is remembered of its capacity.
    #[serde(default, skip_serializing_if = "CapacityHistory::is_empty")]
    pub capacity: CapacityHistory,
    /// Its registered consumers, in the order of their registration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
    /// Its queues, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueEntry>,
    /// Its channels, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelEntry>,
    /// The number that the next shard gets, as far as a change of them was noted; 0: they were never changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub next_shard: u32,
    /// How many shards are open, as far as a change of them was noted; 0: they were never changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub open_shards: u32,
    /// When the number of shards was changed lately, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaled_ms: Vec<u64>,
    /// When its key was set and taken away lately.
    #[serde(default, skip_serializing_if = "EncryptionHistory::is_empty")]
    pub encryption: EncryptionHistory,
    /// Its resource policy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl StreamEntry {
    /// The number that the next shard gets at least.
    #[must_use]
    pub fn next_shard(&self) -> u32 {
        self.next_shard.max(self.config.shards)
    }

    /// How many shards are open.
    #[must_use]
    pub fn open_shards(&self) -> u32 {
        if self.open_shards == 0 { self.config.shards } else { self.open_shards }
    }

    /// Checks an entry that may come from a damaged file.
    pub(super) fn validate(&self) -> Result<()> {
        validate_name("a stream's", &self.name)?;
        self.config.validate()?;
        CapacityHistory::check_warm(self.capacity.warm_mib_per_second())?;
        self.validate_consumers()?;
        self.validate_queues()?;
        self.validate_policies()?;
        self.validate_channels()?;
        validate_identity(self.id, self.created_ms)
    }
}

/// Whether the stream's sequence numbers can be told outside: they carry its id and the second of its creation.
fn validate_identity(id: u64, created_ms: u64) -> Result<()> {
    SequenceCodec::new(created_ms / 1_000, id).map(drop)
}

/// Where the log of a stream that was closed in order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CleanTail {
    /// The last segment.
    pub segment: u64,
    /// The end of its last frame, in bytes from the start of the segment's file.
    pub offset: u32,
    /// The sequence after the last one given.
    pub next_sequence: u64,
    /// The checksum of the last frame, which the next frame's header repeats.
    pub last_frame_checksum: u32,
    /// The arrival time of the last record, in milliseconds since 1970; arrival times never decrease.
    pub last_arrival_ms: u64,
}

/// The trim horizon: the place of the first record that still is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Horizon {
    /// The segment that holds it.
    pub segment: u64,
    /// The offset of its frame, in bytes from the start of the segment's file.
    pub offset: u32,
    /// Its sequence.
    pub sequence: u64,
}

impl Horizon {
    /// Whether moving from `self` to `next` would bring back a record that was given up.
    #[must_use]
    pub fn goes_back_to(&self, next: &Horizon) -> bool {
        next.sequence < self.sequence || (next.segment, next.offset) < (self.segment, self.offset)
    }
}

impl StreamEntry {
    /// The one of this name among those that the stream has; `plural` is what they are called.
    pub(super) fn named<'a, T>(
        &self,
        all: &'a [T],
        name: &str,
        name_of: impl Fn(&T) -> &str,
        (plural, missing): (&str, Kind),
    ) -> Result<&'a T> {
        all.iter().find(|one| name_of(one) == name).ok_or_else(|| {
            let (count, stream) = (all.len(), &self.name);
            let message = format!("expected the name of one of the {count} {plural} of stream {stream}, got {name:?}");
            Error::new(missing, message)
        })
    }
}

/// Creates a stream; its id is the state's next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateStream {
    /// The name, unique among the streams that exist.
    pub name: String,
    /// The wall clock at creation, in milliseconds since 1970.
    pub created_ms: u64,
    /// The time of expiry at that moment, where the wall clock is not to be trusted; elsewhere it is the wall clock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_clock_ms: Option<u64>,
    /// What the stream is created with.
    pub config: StreamConfig,
}

impl Step for CreateStream {
    fn validate(&self, state: &State) -> Result<()> {
        validate_name("a stream's", &self.name)?;
        self.config.validate()?;
        if let Some(id) = state.id_of(&self.name) {
            state.active(id)?;
            let message = format!("expected an unused name, got {:?}, a stream that exists", self.name);
            return Err(Error::new(Kind::StreamExists, message));
        }
        if state.next_stream_id() > STREAM_ID_MAX {
            return Err(Error::new(Kind::Unsupported, "expected an unused stream id, but all 2^40 - 1 were given"));
        }
        validate_identity(state.next_stream_id(), self.created_ms)
    }

    fn apply(&self, state: &mut State) {
        let entry = StreamEntry {
            id: state.next_stream_id(),
            name: self.name.clone(),
            created_ms: self.created_ms,
            config: self.config.clone(),
            status: StreamStatus::Active,
            clean_tail: None,
            horizon: Horizon::default(),
            expiry_clock_ms: self.expiry_clock_ms.unwrap_or(self.created_ms),
            capacity: CapacityHistory::default(),
            consumers: Vec::new(),
            queues: Vec::new(),
            channels: Vec::new(),
            next_shard: 0,
            open_shards: 0,
            scaled_ms: Vec::new(),
            encryption: EncryptionHistory::default(),
            policy: None,
        };
        state.insert(entry);
    }
}

/// Marks a stream as being deleted: from now its files may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteStream {
    /// The stream.
    pub id: u64,
}

impl Step for DeleteStream {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).status = StreamStatus::Deleting;
    }
}

/// The files of a stream being deleted are gone, and its name is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRemoved {
    /// The stream.
    pub id: u64,
}

impl Step for StreamRemoved {
    fn validate(&self, state: &State) -> Result<()> {
        let entry = state.stream(self.id)?;
        match entry.status {
            StreamStatus::Deleting => Ok(()),
            StreamStatus::Active => {
                let message = format!("expected a deleted stream to be removed, got {:?}, which is active", entry.name);
                Err(Error::new(Kind::InvalidArgument, message))
            }
        }
    }

    fn apply(&self, state: &mut State) {
        state.remove(self.id);
    }
}

/// Changes how long records are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRetention {
    /// The stream.
    pub id: u64,
    /// The new retention.
    pub retention: Retention,
}

impl Step for SetRetention {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?;
        self.retention.validate()
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.retention = self.retention;
    }
}

/// Changes what an acknowledgement promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetDurability {
    /// The stream.
    pub id: u64,
    /// The new policy.
    pub durability: Durability,
}

impl Step for SetDurability {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?;
        self.durability.validate()
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.durability = self.durability;
    }
}

/// The stream may be appended to from now: should the process die, its log must be recovered from its own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamOpened {
    /// The stream.
    pub id: u64,
}

impl Step for StreamOpened {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).clean_tail = None;
    }
}

/// The stream was closed in order, and all of it is durable: the next open need not scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamClosed {
    /// The stream.
    pub id: u64,
    /// Where its log ends.
    pub tail: CleanTail,
}

impl Step for StreamClosed {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).clean_tail = Some(self.tail);
    }
}

/// Records before the horizon are not returned any more. A horizon never goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HorizonAdvanced {
    /// The stream.
    pub id: u64,
    /// The first record that still is returned.
    pub horizon: Horizon,
    /// The expiry clock that decided so, in milliseconds since 1970.
    pub expiry_clock_ms: u64,
}

impl Step for HorizonAdvanced {
    fn validate(&self, state: &State) -> Result<()> {
        let (old, new) = (state.active(self.id)?.horizon, self.horizon);
        if old.goes_back_to(&new) {
            let message = format!("expected a trim horizon at or after {old:?}, got {new:?}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        Ok(())
    }

    fn apply(&self, state: &mut State) {
        let entry = state.valid(self.id);
        (entry.horizon, entry.expiry_clock_ms) = (self.horizon, self.expiry_clock_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::check_golden;

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        let config = StreamConfig { codec: Some("json".into()), ..StreamConfig::default() };
        let tail = CleanTail {
            segment: 7,
            offset: 4_096,
            next_sequence: u64::MAX,
            last_frame_checksum: u32::MAX,
            last_arrival_ms: 1_767_225_600_000,
        };
        let horizon = Horizon { segment: 3, offset: 128, sequence: 99 };
        let all = [
            (
                CreateStream { name: "clicks".into(), created_ms: 5, expiry_clock_ms: None, config: config.clone() }
                    .into(),
                r#"{"command":"createStream","name":"clicks","createdMs":5,"config":{"shards":1,"retention":{"hours":24},"durability":"synced","maxRecordBytes":1048576,"preallocateBytes":0,"codec":"json"}}"#,
            ),
            (
                CreateStream { name: "clicks".into(), created_ms: 5, expiry_clock_ms: Some(3), config }.into(),
                r#"{"command":"createStream","name":"clicks","createdMs":5,"expiryClockMs":3,"config":{"shards":1,"retention":{"hours":24},"durability":"synced","maxRecordBytes":1048576,"preallocateBytes":0,"codec":"json"}}"#,
            ),
            (DeleteStream { id: 1 }.into(), r#"{"command":"deleteStream","id":1}"#),
            (StreamRemoved { id: 1 }.into(), r#"{"command":"streamRemoved","id":1}"#),
            (
                SetRetention { id: 1, retention: Retention::Unbounded }.into(),
                r#"{"command":"setRetention","id":1,"retention":"unbounded"}"#,
            ),
            (
                SetDurability { id: 1, durability: Durability::Interval { ms: 20 } }.into(),
                r#"{"command":"setDurability","id":1,"durability":{"interval":{"ms":20}}}"#,
            ),
            (StreamOpened { id: 1 }.into(), r#"{"command":"streamOpened","id":1}"#),
            (
                StreamClosed { id: 1, tail }.into(),
                r#"{"command":"streamClosed","id":1,"tail":{"segment":7,"offset":4096,"nextSequence":18446744073709551615,"lastFrameChecksum":4294967295,"lastArrivalMs":1767225600000}}"#,
            ),
            (
                HorizonAdvanced { id: 1, horizon, expiry_clock_ms: 12 }.into(),
                r#"{"command":"horizonAdvanced","id":1,"horizon":{"segment":3,"offset":128,"sequence":99},"expiryClockMs":12}"#,
            ),
        ];
        check_golden(&all);
    }

    #[test]
    fn a_horizon_goes_back_by_sequence_or_by_place() {
        let here = Horizon { segment: 2, offset: 64, sequence: 10 };
        assert!(!here.goes_back_to(&here));
        assert!(!here.goes_back_to(&Horizon { segment: 3, offset: 0, sequence: 10 }));
        assert!(here.goes_back_to(&Horizon { segment: 3, offset: 0, sequence: 9 }));
        assert!(here.goes_back_to(&Horizon { segment: 2, offset: 0, sequence: 10 }));
        assert!(here.goes_back_to(&Horizon { segment: 1, offset: 128, sequence: 11 }));
    }
}
