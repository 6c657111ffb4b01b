//! The state of the control plane: the streams that exist, and the next id. What a command does to it stands in the
//! file of the command's noun; here it is held together, stored and restored.
//!
//! What is added to a snapshot is a field with a default that is left out while it has it (`serde(default,
//! skip_serializing_if)`): older snapshots are read, states that do not use it keep their bytes, and an older version
//! refuses what it does not know.
//!
//! Invariants: a name belongs to one stream at most, the indexes of names say exactly what the streams say, every
//! configuration is valid, and every id is below the next one, which only grows: no id is given twice, so that the
//! files of a removed stream are never taken for those of its successor. All maps are ordered: equal states have
//! equal snapshots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::account::AccountSettings;
use super::channel::ChannelEntry;
use super::command::{Command, undecodable};
use super::queue::QueueEntry;
use super::stream::{StreamEntry, StreamStatus};
use crate::error::{Error, Kind, Result};

/// The version of the snapshots that this code writes and the newest that it reads.
const SNAPSHOT_VERSION: u32 = 1;

/// The whole state. See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    next_stream_id: u64,
    streams: BTreeMap<u64, StreamEntry>,
    ids_by_name: BTreeMap<String, u64>,
    /// The streams that have a queue of a name.
    pub(super) queue_owners: Owners,
    /// The stream that has the channel of a name.
    pub(super) channel_owners: Owners,
    /// What belongs to the store as a whole.
    pub(crate) account: AccountSettings,
}

/// Which streams have something of a name, by name and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners(BTreeSet<(String, u64)>);

impl Owners {
    /// The oldest stream that has something of this name.
    fn of(&self, name: &str) -> Option<u64> {
        let (found, id) = self.0.range((name.to_owned(), 0)..).next()?;
        (found == name).then_some(*id)
    }

    pub fn add(&mut self, name: &str, id: u64) {
        self.0.insert((name.to_owned(), id));
    }

    pub fn remove(&mut self, name: &str, id: u64) {
        self.0.remove(&(name.to_owned(), id));
    }
}

/// A state as JSON. The indexes of names are derived, so they are not stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Snapshot<'a> {
    version: u32,
    next_stream_id: u64,
    streams: Vec<std::borrow::Cow<'a, StreamEntry>>,
    #[serde(default, skip_serializing_if = "AccountSettings::is_empty")]
    account: AccountSettings,
}

/// What every version's snapshot says about itself.
#[derive(Deserialize)]
struct SnapshotVersion {
    version: u32,
}

impl Default for State {
    fn default() -> Self {
        State {
            next_stream_id: 1,
            streams: BTreeMap::new(),
            ids_by_name: BTreeMap::new(),
            queue_owners: Owners::default(),
            channel_owners: Owners::default(),
            account: AccountSettings::default(),
        }
    }
}

impl State {
    /// The state before the first command: no stream, and 1 as the next id.
    #[must_use]
    pub fn new() -> Self {
        State::default()
    }

    /// The id that the next created stream gets.
    #[must_use]
    pub fn next_stream_id(&self) -> u64 {
        self.next_stream_id
    }

    /// Gives no id below this one any more.
    pub(super) fn skip_to(&mut self, id: u64) {
        self.next_stream_id = self.next_stream_id.max(id);
    }

    /// A state of these streams, in the order of their ids, and of this account.
    ///
    /// # Errors
    /// `Corrupt` where they break an invariant.
    pub(super) fn of(next_stream_id: u64, streams: Vec<StreamEntry>, account: AccountSettings) -> Result<State> {
        let mut state = State { next_stream_id, account, ..State::default() };
        streams.into_iter().try_for_each(|entry| state.restore(entry))?;
        Ok(state)
    }

    /// All streams, those being deleted too, in the order of their creation.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &StreamEntry> {
        self.streams.values()
    }

    /// The stream with this id, in whatever status.
    ///
    /// # Errors
    /// `StreamNotFound`.
    pub fn stream(&self, id: u64) -> Result<&StreamEntry> {
        self.streams.get(&id).ok_or_else(|| Error::new(Kind::StreamNotFound, format!("no stream has the id {id}")))
    }

    /// The stream with this name, if it can be used.
    ///
    /// # Errors
    /// `StreamNotFound`, or `StreamDeleting`.
    pub fn stream_named(&self, name: &str) -> Result<&StreamEntry> {
        let Some(id) = self.ids_by_name.get(name) else {
            let count = self.streams.len();
            let message = format!("expected the name of one of the {count} streams of this store, got {name:?}");
            return Err(Error::new(Kind::StreamNotFound, message));
        };
        self.active(*id)
    }

    /// The oldest stream with a queue of this name, in whatever status, and the queue.
    ///
    /// # Errors
    /// `QueueNotFound`.
    pub fn queue_named(&self, name: &str) -> Result<(&StreamEntry, &QueueEntry)> {
        let owner = self.queue_owners.of(name).ok_or_else(|| unknown("queue", name, Kind::QueueNotFound))?;
        let entry = self.stream(owner)?;
        Ok((entry, entry.queue(name)?))
    }

    /// The stream with the channel of this name, in whatever status, and the channel.
    ///
    /// # Errors
    /// `ChannelNotFound`.
    pub fn channel_named(&self, name: &str) -> Result<(&StreamEntry, &ChannelEntry)> {
        let owner = self.channel_owners.of(name).ok_or_else(|| unknown("channel", name, Kind::ChannelNotFound))?;
        let entry = self.stream(owner)?;
        Ok((entry, entry.channel(name)?))
    }

    /// Judges a command against this state, before it is made durable. What passes can be applied.
    ///
    /// # Errors
    /// `StreamExists`, `StreamNotFound`, `StreamDeleting`, `Unsupported` when no id is left, `LimitExceeded` for a mode switched too
    /// often or too many tags, or `InvalidArgument` for a value outside of its limits, a horizon that goes back, or the
    /// removal of a stream that was not deleted.
    pub fn validate(&self, command: &Command) -> Result<()> {
        command.step().validate(self)
    }

    /// Applies a command. A validated command always succeeds; the result is for the replay of a log.
    ///
    /// # Errors
    /// `Corrupt` for a command that `validate` refuses; the state is then as it was.
    pub fn apply(&mut self, command: &Command) -> Result<()> {
        self.validate(command).map_err(|refusal| {
            Error::new(Kind::Corrupt, format!("the control log holds a command that its state refuses: {refusal}"))
        })?;
        command.step().apply(self);
        Ok(())
    }

    /// The bytes that stand for all the commands applied so far. Equal states give equal bytes.
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        let streams = self.streams.values().map(std::borrow::Cow::Borrowed).collect();
        let snapshot =
            Snapshot { version: SNAPSHOT_VERSION, next_stream_id: self.next_stream_id, streams, account: self.account };
        serde_json::to_vec(&snapshot).expect("a state holds nothing but numbers, strings and their structures")
    }

    /// The state that `bytes` of [`to_snapshot`](Self::to_snapshot) stand for.
    ///
    /// # Errors
    /// `FormatNewer` for a snapshot of a newer version, `Corrupt` for bytes that are none or break an invariant.
    pub fn from_snapshot(bytes: &[u8]) -> Result<State> {
        let what = "a snapshot of the control log";
        let SnapshotVersion { version } = serde_json::from_slice(bytes).map_err(|error| undecodable(what, &error))?;
        if version > SNAPSHOT_VERSION {
            let message = format!(
                "expected {what} of version {SNAPSHOT_VERSION} or older, got version {version}; upgrade Millrace"
            );
            return Err(Error::new(Kind::FormatNewer, message));
        }
        let snapshot: Snapshot<'_> = serde_json::from_slice(bytes).map_err(|error| undecodable(what, &error))?;
        if snapshot.next_stream_id == 0 {
            return Err(damaged("expected a next stream id from 1, got 0"));
        }
        let (next_stream_id, account) = (snapshot.next_stream_id, snapshot.account);
        let mut state = State { next_stream_id, account, ..State::default() };
        for entry in snapshot.streams {
            state.restore(entry.into_owned())?;
        }
        Ok(state)
    }

    /// The id of the stream with this name, in whatever status.
    pub(super) fn id_of(&self, name: &str) -> Option<u64> {
        self.ids_by_name.get(name).copied()
    }

    /// The stream with this id, if it can be used.
    pub(super) fn active(&self, id: u64) -> Result<&StreamEntry> {
        let entry = self.stream(id)?;
        match entry.status {
            StreamStatus::Active => Ok(entry),
            StreamStatus::Deleting => Err(deleting(&entry.name)),
        }
    }

    /// The stream that a valid command names, to be changed. Its id and name stay.
    pub(super) fn valid(&mut self, id: u64) -> &mut StreamEntry {
        self.streams.get_mut(&id).expect("the command was validated")
    }

    /// Takes in a stream whose id has not been given yet.
    pub(super) fn insert(&mut self, entry: StreamEntry) {
        self.next_stream_id = self.next_stream_id.max(entry.id + 1);
        self.ids_by_name.insert(entry.name.clone(), entry.id);
        entry.queues.iter().for_each(|queue| self.queue_owners.add(&queue.name, entry.id));
        entry.channels.iter().for_each(|channel| self.channel_owners.add(&channel.name, entry.id));
        self.streams.insert(entry.id, entry);
    }

    /// Removes the stream that a valid command names.
    pub(super) fn remove(&mut self, id: u64) {
        let entry = self.streams.remove(&id).expect("the command was validated");
        self.ids_by_name.remove(&entry.name);
        entry.queues.iter().for_each(|queue| self.queue_owners.remove(&queue.name, id));
        entry.channels.iter().for_each(|channel| self.channel_owners.remove(&channel.name, id));
    }

    /// Takes in an entry of a snapshot, which may come from a damaged file.
    fn restore(&mut self, entry: StreamEntry) -> Result<()> {
        let ids = self.streams.last_key_value().map_or(1, |(last, _)| last + 1)..self.next_stream_id;
        let fault = if !ids.contains(&entry.id) {
            format!("expected a stream's id from {} to below {}, got {}", ids.start, ids.end, entry.id)
        } else if self.ids_by_name.contains_key(&entry.name) {
            format!("expected each name once, got {:?} twice", entry.name)
        } else if let Some(queue) = entry.queues.iter().find(|queue| queue.id >= ids.end) {
            format!("expected a queue's id below {}, got {}", ids.end, queue.id)
        } else if let Some(channel) = entry.channels.iter().find(|channel| channel.id >= ids.end) {
            format!("expected a channel's id below {}, got {}", ids.end, channel.id)
        } else if let Err(refusal) = entry.validate() {
            refusal.to_string()
        } else {
            self.insert(entry);
            return Ok(());
        };
        Err(damaged(&fault))
    }
}

fn unknown(noun: &str, name: &str, kind: Kind) -> Error {
    Error::new(kind, format!("expected the name of a {noun} of this store, got {name:?}"))
}

fn damaged(fault: &str) -> Error {
    Error::new(Kind::Corrupt, format!("a snapshot of the control log is damaged: {fault}"))
}

fn deleting(name: &str) -> Error {
    Error::new(
        Kind::StreamDeleting,
        format!("the stream {name:?} is being deleted; its name is free when its files are gone"),
    )
}

#[cfg(test)]
mod tests;
