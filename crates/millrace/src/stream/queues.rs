//! The queues of a stream: creating, changing, deleting them, and counting what waits.

use super::Stream;
use super::StreamInner;
use super::reader::Visibility;
use crate::control::{CreateQueue, QueueConfig, QueueEntry, QueueStart, TagQueue, Tags, UpdateQueue};
use crate::error::{Error, Kind, Result};
use crate::queue::Queue;

/// What a queue is created with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Where it begins; fixed from then on. Default: with what arrives from now on.
    pub start: QueueStart,
    /// What of it can be changed later.
    pub config: QueueConfig,
    /// What an operator notes at it.
    pub tags: Tags,
}

impl Stream {
    /// Makes a queue, durably, and opens it. Its name has 1 to 128 of the characters `a-z A-Z 0-9 _ . -`.
    ///
    /// # Errors
    /// `QueueExists`, `LimitExceeded` (1,000 consumers and queues a stream), `InvalidArgument`, `StreamDeleting`,
    /// `DiskFull`, `Closed`.
    pub fn create_queue(&self, name: &str, options: QueueOptions) -> Result<Queue> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        self.0.check_usable()?;
        let QueueOptions { start, config, tags } = options;
        let start_sequence = self.0.queue_start(start)?;
        let created_ms = engine.environment.clock.wall_ms();
        let (id, queue) = (self.0.id, name.to_owned());
        engine.command_with_id(|queue_id| {
            CreateQueue { id, queue_id, queue, created_ms, start, start_sequence, config, tags }.into()
        })?;
        engine.open_queue(self, name)
    }

    /// Opens a queue.
    ///
    /// # Errors
    /// `QueueNotFound`, `StreamDeleting`, `DiskFull`, `Corrupt`, `Closed`.
    pub fn queue(&self, name: &str) -> Result<Queue> {
        let _stays_open = self.0.engine.call()?;
        self.0.check_usable()?;
        self.0.engine.open_queue(self, name)
    }

    /// All queues, in the order of their creation.
    ///
    /// # Errors
    /// `StreamDeleting`, `Closed`.
    pub fn queues(&self) -> Result<Vec<QueueEntry>> {
        self.0.check_usable()?;
        self.0.engine.look_up(self.0.id, |entry| Ok(entry.queues.clone()))
    }

    /// Changes what of a queue can be changed. Records in flight keep the timeout that they were received with.
    ///
    /// # Errors
    /// `QueueNotFound`, `InvalidArgument`, `StreamDeleting`, `Closed`.
    pub fn update_queue(&self, name: &str, config: QueueConfig) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&UpdateQueue { id: self.0.id, queue: name.to_owned(), config }.into())?;
        let id = engine.look_up(self.0.id, |entry| Ok(entry.queue(name)?.id))?;
        if let Some(queue) = engine.queue_in_use(id) {
            queue.set_config(config);
        }
        Ok(())
    }

    /// Replaces the tags of a queue.
    ///
    /// # Errors
    /// `QueueNotFound`, `InvalidArgument`, `StreamDeleting`, `Closed`.
    pub fn tag_queue(&self, name: &str, tags: Tags) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&TagQueue { id: self.0.id, queue: name.to_owned(), tags }.into())
    }

    /// Deletes a queue: its receipts end, and its records stay in the stream.
    ///
    /// # Errors
    /// `QueueNotFound`, `StreamDeleting`, `Closed`, `Io`.
    pub fn delete_queue(&self, name: &str) -> Result<()> {
        let _stays_open = self.0.engine.call()?;
        self.0.check_usable()?;
        self.0.engine.delete_queue(self.0.id, name)?;
        // Whoever waits for a record looks again and is told.
        self.0.wake_all();
        Ok(())
    }
}

impl StreamInner {
    /// The first sequence that a queue hands out which begins there.
    fn queue_start(&self, start: QueueStart) -> Result<u64> {
        match start {
            QueueStart::Latest => Ok(self.visible_sequence(Visibility::Durable)),
            QueueStart::TrimHorizon => Ok(self.horizon_sequence()),
            QueueStart::AtTimestamp(arrival_ms) => {
                let now_ms = self.engine.environment.clock.wall_ms();
                if arrival_ms > now_ms {
                    let message =
                        format!("expected a timestamp that is not in the future ({now_ms}), got {arrival_ms}");
                    return Err(Error::new(Kind::InvalidArgument, message));
                }
                self.sequence_before(self.log.position_of_time(arrival_ms)?)
            }
        }
    }

    /// How many visible records there are from a sequence on; counts no further than `most`.
    pub(crate) fn count_visible(&self, from: u64, most: u64) -> Result<u64> {
        self.log.count_records(from.max(self.horizon_sequence()), self.visible(Visibility::Durable), most)
    }
}
