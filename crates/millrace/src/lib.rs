//! Millrace: a durable, sharded, replayable stream engine that lives inside a process.
//!
//! An [`Engine`] is an open store: a directory of streams. A [`Stream`] is one segmented log whose shards are indexes
//! over it. Records are staged in [`StagedRecords`], appended in batches with [`Stream::append`], and read with a
//! [`Reader`] without a copy, straight from the mapped segments.
//!
//! Architecture Invariant: this crate has no async runtime, no network, and knows nothing of Node.

mod channel;
mod control;
mod engine;
mod environment;
mod error;
mod log;
#[cfg(all(test, loom))]
mod models;
mod queue;
mod repair;
mod service;
mod state_log;
mod store;
mod stream;
mod sync;
mod verify;

pub mod capacity;
pub mod clock;
pub mod disk;
pub mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod map;
pub mod metrics;
pub mod shard;

pub use channel::courier::{Deliveries, DeliveryFailure};
pub use channel::{Destination, DirectoryDestination, Object};
pub use control::{
    Bucket, ChannelConfig, ChannelEntry, Commitment, CommitmentStatus, Compression, Consumer, DeadLetters, Durability,
    PolicyHolder, QueueConfig, QueueEntry, QueueStart, RecordDistribution, RecordFormat, Retention, ShardMetric,
    StorageClass, StreamConfig, StreamStatus, Tags,
};
pub use engine::settings::Monitored;
pub use engine::{ChannelReport, Engine, OpenOptions, StreamSummary};
pub use environment::{Entropy, Environment, Service, Services, SystemEntropy};
pub use error::{Error, Kind, Result, ThroughputExceeded};
pub use format::Position;
pub use log::notify::{Change, Registration, Trigger, Wake};
pub use log::segment::{SegmentFile, SegmentHold, SegmentView};
pub use log::{Finding, Meaning, Shards};
pub use queue::{Lane, Message, Queue, QueueMetrics, Receive, Received, Settled};
pub use repair::{Damage, Repair, RepairedStream, repair};
pub use state_log::{StateLog, StatePart};
pub use store::observed::{Observed, observe};
pub use stream::channels::ChannelOptions;
pub use stream::chunk::{Chunk, RunView};
pub use stream::description::StreamDescription;
pub use stream::pack::Placement;
pub use stream::queues::QueueOptions;
pub use stream::reader::{Reader, ReaderOptions, StartAt, Step, Visibility};
pub use stream::reshard::Reshard;
pub use stream::shards::ShardFilter;
pub use stream::staged::{Staged, StagedRecords};
pub use stream::subscription::{Delivery, Event, SubscribeOptions, Subscription};
pub use stream::throttle::Refused;
pub use stream::{Appended, Commit, Stream};
#[cfg(shuttle)]
pub use sync::checked::time_passes;
pub use verify::{StoreVerification, Verification, verify};
