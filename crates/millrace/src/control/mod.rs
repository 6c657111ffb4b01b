//! The control plane: what streams there are, and how each is configured, as a deterministic state machine fed
//! by a log of commands (decision 6 of the design).
//!
//! A command is first judged against the state that it meets ([`State::validate`]), then made durable in the control
//! log, then applied ([`State::apply`]). Whoever applies the same commands in the same order has the same state, byte
//! for byte; a snapshot stands for all the commands before it.
//!
//! Invariant: nothing in here reads a clock, a file or randomness. Times and identities come in commands. It must
//! not know how the log stores its bytes, nor what a stream's own log holds.

mod account;
mod channel;
mod command;
mod config;
mod consumer;
mod distribution;
mod encryption;
pub(crate) mod journal;
mod monitoring;
mod policy;
mod queue;
pub(crate) mod rescue;
mod settings;
mod shards;
mod state;
mod stream;
mod tags;

pub use account::{AccountSettings, Commitment, CommitmentStatus, EndCommitment, StartCommitment};
pub use channel::{
    Bucket, ChannelConfig, ChannelDelivered, ChannelEntry, Compression, CreateChannel, DeleteChannel, RecordFormat,
    StorageClass, TagChannel, UpdateChannel,
};
pub use command::Command;
pub use config::{Durability, Retention, StreamConfig};
pub use consumer::{Consumer, DeregisterConsumer, RegisterConsumer, TagConsumer};
pub use distribution::{RecordDistribution, SetRecordDistribution};
pub use encryption::{EncryptionHistory, SetEncryptionKey};
pub use monitoring::{SetShardMetrics, ShardMetric};
pub use policy::{PolicyHolder, SetPolicy};
pub use queue::{CreateQueue, DeadLetters, DeleteQueue, QueueConfig, QueueEntry, QueueStart, TagQueue, UpdateQueue};
pub use settings::{PeakNoted, SetLimits, SetMaxRecordBytes, SetMode, SetWarmThroughput};
pub use shards::ShardsChanged;
pub use stream::{
    CleanTail, CreateStream, DeleteStream, Horizon, HorizonAdvanced, SetRetention, StreamClosed, StreamEntry,
    StreamOpened, StreamRemoved, StreamStatus,
};
pub use tags::{TagStream, Tags, UntagStream};
#[cfg(fuzzing)]
pub use {state::State, stream::SetDurability};
