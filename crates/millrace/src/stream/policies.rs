//! The resource policies of a stream, its consumers and its queues: kept for whoever asks, evaluated by nobody.

use super::Stream;
use crate::control::{PolicyHolder, SetPolicy};
use crate::error::Result;

impl Stream {
    /// The resource policy of the stream, or of one of its consumers or queues, as it was given; `None` where there is
    /// none.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `QueueNotFound`, `StreamDeleting`, `Closed`.
    pub fn policy(&self, holder: &PolicyHolder) -> Result<Option<String>> {
        self.0.check_usable()?;
        self.0.engine.look_up(self.0.id, |entry| Ok(entry.policy_of(holder)?.cloned()))
    }

    /// Attaches a resource policy to the stream, or to one of its consumers or queues, durably, or takes it away. Returns
    /// the one that was there before. A policy is a document of IAM in JSON, of at most 20,480 bytes, each of whose
    /// statements says an effect, a principal and an action. It is kept and not evaluated.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `QueueNotFound`, `InvalidArgument`, `LimitExceeded` (4 MiB of policies a store),
    /// `StreamDeleting`, `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, PolicyHolder, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:GetRecords"}}"#;
    /// clicks.set_policy(PolicyHolder::Stream, Some(policy.to_owned()))?;
    /// assert_eq!(clicks.policy(&PolicyHolder::Stream)?.as_deref(), Some(policy));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn set_policy(&self, holder: PolicyHolder, policy: Option<String>) -> Result<Option<String>> {
        let engine = &self.0.engine;
        let _stays_open = engine.call()?;
        let id = self.0.id;
        engine.change_seen(id, |entry| {
            let before = entry.policy_of(&holder)?.cloned();
            Ok((before, Some(SetPolicy { id, holder, policy }.into())))
        })
    }
}
