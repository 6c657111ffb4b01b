//! The registered consumers of a stream: who may subscribe.

use super::Stream;
use crate::control::{Consumer, DeregisterConsumer, RegisterConsumer, TagConsumer, Tags};
use crate::error::Result;

impl Stream {
    /// Registers a consumer, durably. Its name has 1 to 128 of the characters `a-z A-Z 0-9 _ . -`.
    ///
    /// # Errors
    /// `ConsumerExists`, `LimitExceeded` (1,000 consumers and queues a stream), `InvalidArgument`, `StreamDeleting`,
    /// `Closed`.
    pub fn register_consumer(&self, name: &str, tags: Tags) -> Result<Consumer> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        let created_ms = engine.environment.clock.wall_ms();
        engine.command(&RegisterConsumer { id: self.0.id, consumer: name.to_owned(), created_ms, tags }.into())?;
        self.consumer(name)
    }

    /// The consumer of this name.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `StreamDeleting`, `Closed`.
    pub fn consumer(&self, name: &str) -> Result<Consumer> {
        self.0.check_usable()?;
        self.0.engine.look_up(self.0.id, |entry| entry.consumer(name).cloned())
    }

    /// All registered consumers, in the order of their registration.
    ///
    /// # Errors
    /// `StreamDeleting`, `Closed`.
    pub fn consumers(&self) -> Result<Vec<Consumer>> {
        self.0.check_usable()?;
        self.0.engine.look_up(self.0.id, |entry| Ok(entry.consumers.clone()))
    }

    /// Ends the registration of a consumer, and its subscriptions with it.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `StreamDeleting`, `Closed`.
    pub fn deregister_consumer(&self, name: &str) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&DeregisterConsumer { id: self.0.id, consumer: name.to_owned() }.into())?;
        self.0.subscriptions.end_all(name);
        self.0.wake_all();
        Ok(())
    }

    /// Replaces the tags of a consumer.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `InvalidArgument`, `StreamDeleting`, `Closed`.
    pub fn tag_consumer(&self, name: &str, tags: Tags) -> Result<()> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        engine.command(&TagConsumer { id: self.0.id, consumer: name.to_owned(), tags }.into())
    }
}
