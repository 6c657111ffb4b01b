//! The channels of a stream, and the commands of their life: created, changed, delivered so far, deleted. A channel
//! copies the stream's records to a bucket as objects; here is what it is and how far it has come.
//!
//! Invariants: a name belongs to one channel of the store at most; a channel's id is taken from the same numbers as the
//! streams'; what it has delivered only grows; the key template of a valid configuration has no component that a file
//! system would take for a way out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::config::{validate_name, within};
use super::state::State;
use super::stream::StreamEntry;
use super::tags::{Tags, validate_tags};
use crate::channel::template::Template;
use crate::error::{Error, Kind, Result};
use crate::format::SEQUENCE_LIMIT;
use crate::shard::STREAM_ID_MAX;

/// How many channels a stream can have.
const CHANNELS_MAX: usize = 100;
/// How many notes a channel can have, and the most characters of one.
const NOTES_MAX: usize = 16;
const NOTE_CHARS_MAX: usize = 2_048;

/// What a stream's records are, and so how they stand in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordFormat {
    /// JSON, one record a line. What is no JSON is a dead letter.
    Json,
    /// Text, one record a line. What is no UTF-8 is a dead letter.
    Text,
    /// Any bytes, one record right behind the other.
    Bytes,
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// Not at all.
    None,
    /// As gzip; keys end in `.gz`.
    Gzip,
}

/// What a bucket stores objects as, where it tells classes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StorageClass {
    /// For what is read often.
    Standard,
    /// For what nobody knows how often it is read.
    IntelligentTiering,
    /// For what is hardly read, and then at once.
    GlacierIr,
}

/// A bucket, and whose it is expected to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// Its name: 3 to 63 of the characters `a-z 0-9 . _ -`.
    pub name: String,
    /// The account that it is expected to belong to; a destination that knows owners refuses another. Default: `None`.
    pub owner: Option<String>,
}

impl Bucket {
    fn validate(&self) -> Result<()> {
        let is_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if (3..=63).contains(&self.name.len()) && self.name.chars().all(is_one) {
            return Ok(());
        }
        let message =
            format!("expected a bucket's name of 3 to 63 characters from a-z, 0-9, ., _ and -, got {:?}", self.name);
        Err(Error::new(Kind::InvalidArgument, message))
    }
}

/// What a channel is created with. All but the freshness stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelConfig {
    /// How old a record grows before it is delivered, in seconds: 1 to 900. What fills an object goes at once.
    pub freshness_s: u32,
    /// Where its objects go.
    pub bucket: Bucket,
    /// How their keys are made: text with `{stream}`, `{channel}`, `{sequence}` and `{timestamp:…}`, where `yyyy`, `MM`,
    /// `dd`, `HH`, `mm` and `ss` stand for the arrival of the object's first record, in UTC. A name that no other object
    /// has is put behind it. Default: [`ChannelConfig::KEY_TEMPLATE`].
    pub key_template: Option<String>,
    /// What the records are.
    pub format: RecordFormat,
    /// How objects are compressed.
    pub compression: Compression,
    /// What the bucket stores them as. Default: what it likes.
    pub storage_class: Option<StorageClass>,
    /// The key that the bucket is to encrypt objects with; a directory does not. Default: `None`.
    pub encryption_key: Option<String>,
    /// Where records go that are not of the format.
    pub dead_letters: Bucket,
    /// What the keys of dead letters begin with. Default: `errors/`.
    pub dead_letter_prefix: Option<String>,
}

impl ChannelConfig {
    /// The least and the most seconds that a record waits.
    pub const FRESHNESS_S: std::ops::RangeInclusive<u32> = 1..=900;
    /// How keys are made where nothing else is said.
    pub const KEY_TEMPLATE: &'static str = "{stream}/{timestamp:yyyy/MM/dd/HH}/";
    /// What the keys of dead letters begin with where nothing else is said.
    pub const DEAD_LETTER_PREFIX: &'static str = "errors/";

    /// Checks every value against its limits.
    ///
    /// # Errors
    /// `InvalidArgument`, which says what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        Self::validate_freshness(self.freshness_s)?;
        self.bucket.validate()?;
        self.dead_letters.validate()?;
        self.keys()?;
        self.dead_letter_keys().map(drop)
    }

    fn validate_freshness(seconds: u32) -> Result<()> {
        within("a freshness", seconds, &Self::FRESHNESS_S, "seconds")
    }

    /// How the keys of objects are made.
    pub(crate) fn keys(&self) -> Result<Template> {
        Template::parse(self.key_template.as_deref().unwrap_or(Self::KEY_TEMPLATE))
    }

    /// How the keys of dead letters are made.
    pub(crate) fn dead_letter_keys(&self) -> Result<Template> {
        Template::parse(self.dead_letter_prefix.as_deref().unwrap_or(Self::DEAD_LETTER_PREFIX))
    }
}

/// What the control plane knows of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelEntry {
    /// Its id, which no other channel, queue or stream of the store had or will have.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// How it is configured at present.
    pub config: ChannelConfig,
    /// What its creator wants to be told again. The engine does not look at it.
    pub notes: BTreeMap<String, String>,
    /// What an operator noted at it.
    pub tags: Tags,
    /// All records below this sequence that it is to deliver are in objects.
    pub delivered: u64,
}

impl StreamEntry {
    /// The channel of this name.
    ///
    /// # Errors
    /// `ChannelNotFound`.
    pub fn channel(&self, name: &str) -> Result<&ChannelEntry> {
        self.named(&self.channels, name, |channel| &channel.name, ("channels", Kind::ChannelNotFound))
    }

    /// Checks the channels of an entry that may come from a damaged file.
    pub(super) fn validate_channels(&self) -> Result<()> {
        for (index, channel) in self.channels.iter().enumerate() {
            validate_name("a channel's", &channel.name)?;
            validate_tags(&channel.tags)?;
            validate_notes(&channel.notes)?;
            channel.config.validate()?;
            validate_identity(channel.id, channel.delivered)?;
            if self.channels[..index].iter().any(|other| other.name == channel.name || other.id >= channel.id) {
                return Err(exists(&self.name, &channel.name));
            }
        }
        Ok(())
    }

    fn channel_mut(&mut self, name: &str) -> &mut ChannelEntry {
        self.channels.iter_mut().find(|channel| channel.name == name).expect("the command was validated")
    }
}

/// Creates a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateChannel {
    /// The stream.
    pub id: u64,
    /// The channel's own id, which no stream, queue or channel was given before.
    pub channel_id: u64,
    /// The name, unique among all channels.
    pub channel: String,
    /// The wall clock at creation, in milliseconds since 1970.
    pub created_ms: u64,
    /// The first sequence that it delivers.
    pub start_sequence: u64,
    /// What it is created with.
    pub config: ChannelConfig,
    /// What its creator wants to be told again.
    pub notes: BTreeMap<String, String>,
    /// What an operator notes at it.
    pub tags: Tags,
}

impl Step for CreateChannel {
    fn validate(&self, state: &State) -> Result<()> {
        validate_name("a channel's", &self.channel)?;
        validate_tags(&self.tags)?;
        validate_notes(&self.notes)?;
        self.config.validate()?;
        let entry = state.active(self.id)?;
        if let Ok((owner, _)) = state.channel_named(&self.channel) {
            return Err(exists(&owner.name, &self.channel));
        }
        if entry.channels.len() >= CHANNELS_MAX {
            let message = format!("stream {}: expected at most {CHANNELS_MAX} channels, got one more", entry.name);
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        if self.channel_id < state.next_stream_id() {
            let message =
                format!("expected an id from {}, got {}, which was given", state.next_stream_id(), self.channel_id);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        validate_identity(self.channel_id, self.start_sequence)
    }

    fn apply(&self, state: &mut State) {
        let CreateChannel { id, channel_id, channel, created_ms, start_sequence, config, notes, tags } = self.clone();
        state.skip_to(channel_id + 1);
        state.channel_owners.add(&channel, id);
        let entry =
            ChannelEntry { id: channel_id, name: channel, created_ms, config, notes, tags, delivered: start_sequence };
        state.valid(id).channels.push(entry);
    }
}

/// Changes what of a channel can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateChannel {
    /// The stream.
    pub id: u64,
    /// The channel's name.
    pub channel: String,
    /// How old a record grows before it is delivered, in seconds.
    pub freshness_s: u32,
    /// All that its creator wants to be told again.
    pub notes: BTreeMap<String, String>,
}

impl Step for UpdateChannel {
    fn validate(&self, state: &State) -> Result<()> {
        ChannelConfig::validate_freshness(self.freshness_s)?;
        validate_notes(&self.notes)?;
        state.active(self.id)?.channel(&self.channel).map(drop)
    }

    fn apply(&self, state: &mut State) {
        let channel = state.valid(self.id).channel_mut(&self.channel);
        channel.config.freshness_s = self.freshness_s;
        channel.notes = self.notes.clone();
    }
}

/// Replaces the tags of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagChannel {
    /// The stream.
    pub id: u64,
    /// The channel's name.
    pub channel: String,
    /// All its tags from now.
    pub tags: Tags,
}

impl Step for TagChannel {
    fn validate(&self, state: &State) -> Result<()> {
        validate_tags(&self.tags)?;
        state.active(self.id)?.channel(&self.channel).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).channel_mut(&self.channel).tags = self.tags.clone();
    }
}

/// The records of a channel below a sequence are in objects. It never goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelDelivered {
    /// The stream.
    pub id: u64,
    /// The channel's id: one of the same name that came later is another.
    pub channel_id: u64,
    /// The first sequence that is to be delivered next.
    pub sequence: u64,
}

impl Step for ChannelDelivered {
    fn validate(&self, state: &State) -> Result<()> {
        let entry = state.active(self.id)?;
        let Some(channel) = entry.channels.iter().find(|channel| channel.id == self.channel_id) else {
            let message = format!("stream {}: no channel has the id {}", entry.name, self.channel_id);
            return Err(Error::new(Kind::ChannelNotFound, message));
        };
        validate_identity(channel.id, self.sequence)?;
        if self.sequence < channel.delivered {
            let message = format!(
                "channel {}: expected a delivery up to sequence {} or later, got {}",
                channel.name, channel.delivered, self.sequence
            );
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        Ok(())
    }

    fn apply(&self, state: &mut State) {
        let channels = &mut state.valid(self.id).channels;
        let channel = channels.iter_mut().find(|channel| channel.id == self.channel_id);
        channel.expect("the command was validated").delivered = self.sequence;
    }
}

/// Deletes a channel. What it delivered stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteChannel {
    /// The stream.
    pub id: u64,
    /// The channel's name.
    pub channel: String,
}

impl Step for DeleteChannel {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?.channel(&self.channel).map(drop)
    }

    fn apply(&self, state: &mut State) {
        state.channel_owners.remove(&self.channel, self.id);
        state.valid(self.id).channels.retain(|channel| channel.name != self.channel);
    }
}

fn validate_notes(notes: &BTreeMap<String, String>) -> Result<()> {
    let is_short = |text: &String| text.chars().count() <= NOTE_CHARS_MAX;
    if notes.len() <= NOTES_MAX && notes.iter().all(|(key, value)| is_short(key) && is_short(value)) {
        return Ok(());
    }
    let message = format!("expected at most {NOTES_MAX} notes of {NOTE_CHARS_MAX} characters, got more or longer ones");
    Err(Error::new(Kind::InvalidArgument, message))
}

fn validate_identity(id: u64, sequence: u64) -> Result<()> {
    if (1..=STREAM_ID_MAX).contains(&id) && sequence < SEQUENCE_LIMIT {
        return Ok(());
    }
    let message = format!(
        "expected a channel with an id of 1 to {STREAM_ID_MAX} and a sequence below {SEQUENCE_LIMIT}, \
         got id {id} and sequence {sequence}"
    );
    Err(Error::new(Kind::InvalidArgument, message))
}

fn exists(stream: &str, name: &str) -> Error {
    let message = format!("expected an unused name, got {name:?}, a channel of stream {stream} that exists");
    Error::new(Kind::ChannelExists, message)
}

#[cfg(test)]
mod tests;
