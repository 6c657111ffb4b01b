//! The channels of a stream: creating, changing, deleting them, and what waits to be delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::{Reader, ReaderOptions, StartAt, Step, Visibility};
use super::{Stream, StreamInner};
use crate::control::{ChannelConfig, CreateChannel, DeleteChannel, TagChannel, Tags, UpdateChannel};
use crate::engine::ChannelReport;
use crate::error::Result;

/// What a channel is created with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    /// Where it delivers to, and how.
    pub config: ChannelConfig,
    /// What its creator wants to be told again: at most 16 texts of 2,048 characters. The engine does not look at it.
    pub notes: BTreeMap<String, String>,
    /// What an operator notes at it.
    pub tags: Tags,
}

impl Stream {
    /// Makes a channel, durably. It delivers what arrives from now on, once [`crate::Engine::deliver_channels`] says
    /// where to. Its name has 1 to 128 of the characters `a-z A-Z 0-9 _ . -`, and no other channel of the store has it.
    ///
    /// # Errors
    /// `ChannelExists`, `LimitExceeded` (100 channels a stream), `InvalidArgument`, `StreamDeleting`, `DiskFull`,
    /// `Closed`.
    pub fn create_channel(&self, name: &str, options: ChannelOptions) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        self.0.check_usable()?;
        let ChannelOptions { config, notes, tags } = options;
        let start_sequence = self.0.visible_sequence(Visibility::Durable);
        let created_ms = engine.environment.clock.wall_ms();
        let (id, channel) = (self.0.id, name.to_owned());
        engine.command_with_id(|channel_id| {
            CreateChannel { id, channel_id, channel, created_ms, start_sequence, config, notes, tags }.into()
        })?;
        engine.courier.ring();
        Ok(())
    }

    /// All channels, in the order of their creation.
    ///
    /// # Errors
    /// `StreamDeleting`, `Closed`.
    pub fn channels(&self) -> Result<Vec<ChannelReport>> {
        self.0.check_usable()?;
        let engine = &self.0.engine;
        engine.look_up(self.0.id, |entry| Ok(engine.channel_reports(entry)))
    }

    /// Changes how old a record grows before it is delivered, in seconds: 1 to 900; and replaces the notes.
    ///
    /// # Errors
    /// `ChannelNotFound`, `InvalidArgument`, `StreamDeleting`, `Closed`.
    pub fn update_channel(&self, name: &str, freshness_s: u32, notes: BTreeMap<String, String>) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&UpdateChannel { id: self.0.id, channel: name.to_owned(), freshness_s, notes }.into())?;
        engine.courier.ring();
        Ok(())
    }

    /// Replaces the tags of a channel.
    ///
    /// # Errors
    /// `ChannelNotFound`, `InvalidArgument`, `StreamDeleting`, `Closed`.
    pub fn tag_channel(&self, name: &str, tags: Tags) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&TagChannel { id: self.0.id, channel: name.to_owned(), tags }.into())
    }

    /// Deletes a channel. Nothing that still waits is delivered, but an object that is on its way; what was delivered
    /// stays where it is.
    ///
    /// # Errors
    /// `ChannelNotFound`, `StreamDeleting`, `Closed`.
    pub fn delete_channel(&self, name: &str) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&DeleteChannel { id: self.0.id, channel: name.to_owned() }.into())?;
        engine.courier.ring();
        Ok(())
    }
}

impl StreamInner {
    /// When the first durable record from a sequence on arrived, and how many bytes of the log there are from it on;
    /// `None` where there is none.
    pub(crate) fn waiting(self: &Arc<Self>, from: u64) -> Result<Option<(u64, u64)>> {
        self.check_usable()?;
        let from = from.max(self.horizon_sequence());
        if self.visible_sequence(Visibility::Durable) <= from {
            return Ok(None);
        }
        let limit = self.visible(Visibility::Durable);
        let options = ReaderOptions { shard: None, from: StartAt::AtSequence(from), visibility: Visibility::Durable };
        let mut reader = Reader::new(Arc::clone(self), options)?;
        let Step::Chunk(chunk) = reader.next_uncounted(1, 1)? else { return Ok(None) };
        let Some(run) = chunk.runs.first() else { return Ok(None) };
        let bytes = self.log.bytes_between(self.log.position_of_sequence(run.first_sequence)?, limit);
        Ok(Some((run.arrival_ms, bytes)))
    }
}
