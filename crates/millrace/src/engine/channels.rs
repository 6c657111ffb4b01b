//! The channels of a store, and where they deliver to.

use std::sync::Arc;

use super::{Engine, Inner, StreamSummary, closed, summary_of};
use crate::channel::Destination;
use crate::channel::courier::{Deliveries, DeliveryFailure};
use crate::control::{ChannelEntry, StreamEntry, StreamStatus};
use crate::error::Result;

/// A channel in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelReport {
    /// Its stream.
    pub stream: StreamSummary,
    /// The channel.
    pub channel: ChannelEntry,
    /// Whether the engine was told where to deliver to, since it was opened.
    pub delivers: bool,
    /// Why it does not deliver, where it tried and failed; it goes on trying.
    pub failure: Option<DeliveryFailure>,
    /// What it has delivered since the store was opened.
    pub deliveries: Deliveries,
}

impl Engine {
    /// All channels of all streams.
    ///
    /// # Errors
    /// `Closed`.
    pub fn list_channels(&self) -> Result<Vec<ChannelReport>> {
        let inner = self.check()?;
        let journal = inner.journal.lock();
        Ok(journal.state().streams().flat_map(|entry| inner.channel_reports(entry)).collect())
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// `ChannelNotFound`, `Closed`.
    pub fn channel_named(&self, name: &str) -> Result<ChannelReport> {
        let inner = self.check()?;
        let journal = inner.journal.lock();
        let (entry, channel) = journal.state().channel_named(name)?;
        Ok(inner.report_of(entry, channel))
    }

    /// Delivers the records of all channels there, in a thread of the engine's own, until the engine is closed or told
    /// otherwise. Until it is called for the first time, nothing is delivered and nothing is lost: channels go on where
    /// they stand. What is delivered is synced there before it counts; an object that a crash interrupts is delivered
    /// again under its key.
    ///
    /// # Errors
    /// `Closed`, `Io` where no thread can be had.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use millrace::disk::OsDisk;
    /// use millrace::{Bucket, ChannelConfig, ChannelOptions, Commit, Compression, DirectoryDestination, RecordFormat};
    /// use millrace::{Engine, Environment, OpenOptions, Service, Services, StagedRecords, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let buckets = tempfile::tempdir().unwrap();
    /// let environment = Environment { services: Services::Caller, ..Environment::default() };
    /// let engine = Engine::open(directory.path(), OpenOptions { environment, ..OpenOptions::default() })?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// let bucket = Bucket { name: "archive".to_owned(), owner: None };
    /// let config = ChannelConfig {
    ///     freshness_s: 300,
    ///     bucket: bucket.clone(),
    ///     key_template: None,
    ///     format: RecordFormat::Json,
    ///     compression: Compression::None,
    ///     storage_class: None,
    ///     encryption_key: None,
    ///     dead_letters: bucket,
    ///     dead_letter_prefix: None,
    /// };
    /// clicks.create_channel("to-archive", ChannelOptions { config, notes: Default::default(), tags: Default::default() })?;
    /// engine.deliver_channels(Arc::new(DirectoryDestination::new(buckets.path().into(), Arc::new(OsDisk))))?;
    /// let mut staged = StagedRecords::default();
    /// staged.push("user-42", None, br#"{"click":1}"#);
    /// clicks.append(staged.as_staged(), None, Commit::Caller)?;
    /// clicks.flush()?;
    /// assert_eq!(engine.serve(Service::Courier)?, 0, "it is not five minutes old");
    /// engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn deliver_channels(&self, destination: Arc<dyn Destination>) -> Result<()> {
        let inner = self.check()?;
        inner.courier.deliver_to(&inner, destination)
    }

    /// As [`Engine::deliver_channels`], but where the engine delivers already, it goes on as before.
    ///
    /// # Errors
    /// `Closed`, `Io` where no thread can be had.
    pub fn deliver_channels_by_default(&self, destination: Arc<dyn Destination>) -> Result<()> {
        let inner = self.check()?;
        inner.courier.deliver_by_default(&inner, destination)
    }
}

impl Inner {
    /// The channels of streams that can be used, each with its stream's number.
    pub fn channels(&self) -> Vec<(u64, ChannelEntry)> {
        let journal = self.journal.lock();
        let usable = journal.state().streams().filter(|entry| entry.status == StreamStatus::Active);
        usable.flat_map(|entry| entry.channels.iter().map(|channel| (entry.id, channel.clone()))).collect()
    }

    /// The channels of a stream, as they are told.
    pub fn channel_reports(&self, entry: &StreamEntry) -> Vec<ChannelReport> {
        entry.channels.iter().map(|channel| self.report_of(entry, channel)).collect()
    }

    fn report_of(&self, entry: &StreamEntry, channel: &ChannelEntry) -> ChannelReport {
        ChannelReport {
            stream: summary_of(entry),
            channel: channel.clone(),
            delivers: self.courier.delivers(),
            failure: self.courier.failure(channel.id),
            deliveries: self.courier.deliveries(channel.id),
        }
    }

    /// Whether it can be noted how far a channel has come.
    ///
    /// # Errors
    /// `Poisoned`: one has failed, and nobody knows whether the next open finds it.
    pub fn takes_notes(&self) -> Result<()> {
        self.journal.lock().log.check_poison()
    }

    /// The store's identity.
    pub fn store_id(&self) -> Result<String> {
        self.store.lock().as_ref().map(|store| store.id().to_owned()).ok_or_else(closed)
    }
}
