//! Doors for the fuzz targets (`crates/millrace/fuzz`) to decoders that nobody else may call. Only a build with
//! `--cfg fuzzing` has this module, so nothing here is part of the API.

use crate::error::Result;
use crate::format::Position;
use crate::format::queue::{Progress, QueueSnapshot};
use crate::log::draft::Place;
use crate::metrics::published::{self, Published};
use crate::queue::state::QueueState;
use crate::shard::ShardMap;
use crate::store;
use crate::stream::pack::{Packer, Placement};
use crate::stream::staged::Staged;

pub use crate::control::{
    ChannelDelivered, CleanTail, Command, CreateChannel, CreateQueue, CreateStream, DeleteChannel, DeleteQueue,
    DeleteStream, DeregisterConsumer, EndCommitment, Horizon, HorizonAdvanced, PeakNoted, RegisterConsumer,
    SetDurability, SetEncryptionKey, SetLimits, SetMaxRecordBytes, SetMode, SetPolicy, SetRecordDistribution,
    SetRetention, SetShardMetrics, SetWarmThroughput, StartCommitment, State, StreamClosed, StreamOpened,
    StreamRemoved, TagChannel, TagConsumer, TagQueue, TagStream, UntagStream, UpdateChannel, UpdateQueue,
};

/// The state of a queue that a log leads to: a snapshot, and steps behind it.
pub fn replay_queue(snapshot: &QueueSnapshot, steps: &[Progress]) -> Result<QueueSnapshot> {
    let mut state = QueueState::restored(snapshot);
    for step in steps {
        let before = state.clone();
        if let Err(error) = state.apply(step) {
            assert_eq!(state, before, "a refused step changes nothing");
            return Err(error);
        }
    }
    Ok(state.snapshot())
}

/// The id in a line of `MILLRACE`.
pub fn decode_identity(line: &[u8]) -> Result<String> {
    store::decode_identity("fuzzing".as_ref(), line).map(|identity| identity.store_id)
}

/// The figures in the bytes of `METRICS`.
#[must_use]
pub fn decode_published(bytes: &[u8]) -> Option<Published> {
    Published::decode(bytes)
}

/// The bytes of figures.
#[must_use]
pub fn encode_published(published: &Published) -> Vec<u8> {
    published.encode()
}

/// A text behind the header that fits it.
#[must_use]
pub fn frame_published(json: &[u8]) -> Vec<u8> {
    published::framed(json)
}

/// What a line of `LOCK` tells of the holder.
#[must_use]
pub fn decode_holder(line: &[u8]) -> Option<String> {
    store::decode_holder(line).map(|holder| holder.to_string())
}

/// The frames that staged records are packed into, as if each stood at offset 4,096 of incarnation 1.
pub fn pack(
    staged: Staged<'_>,
    bytes_max: u32,
    map: &ShardMap,
    placements: &mut Vec<Placement>,
) -> Result<Vec<Vec<u8>>> {
    let mut packer = Packer::default();
    packer.load(staged, bytes_max, map)?;
    let mut frames = Vec::new();
    let mut first_sequence = 1;
    loop {
        let known = placements.len();
        if !packer.next_frame(staged, map, Some(placements)) {
            return Ok(frames);
        }
        placements[known..].iter_mut().for_each(|placement| placement.sequence += first_sequence);
        let mark = Position::default();
        let (incarnation, offset, arrival_ms, mark_sequence, previous_checksum) = (1, 4_096, 0, 0, 0);
        let place = Place { incarnation, offset, first_sequence, arrival_ms, mark, mark_sequence, previous_checksum };
        first_sequence += u64::from(packer.draft.records());
        frames.push(packer.draft.place(place).0.to_vec());
    }
}
