//! Shards: where a partition key belongs ([`HashKey`], [`ShardMap`]), and how a record's place in its stream is
//! called outside ([`SequenceCodec`]).
//!
//! Everything here is a pure function of its arguments. Architecture Invariant: this module knows neither files nor
//! streams nor clocks, so that a cluster, the verifier and the wire protocol can use it as it is.

mod hash;
mod map;
mod plan;
mod sequence;

pub use hash::{HashKey, KeySpan, hash_all};
pub use map::{HashRange, SHARDS_MAX, Shard, ShardId, ShardMap};
pub use plan::{Planned, SHARDS_LISTED_MAX};
pub(crate) use sequence::STREAM_ID_MAX;
pub use sequence::{SEQUENCE_DIGITS, SequenceCodec, SequenceNumber};

use crate::format::snapshot::ShardEntry;

impl From<&Shard> for ShardEntry {
    fn from(shard: &Shard) -> Self {
        Self {
            shard: shard.id.0,
            start: shard.range.start,
            end: shard.range.end,
            parents: [shard.parent, shard.adjacent_parent].map(|parent| parent.map(|id| id.0)),
            opened_at: shard.opened_at.0,
            closed_at: shard.closed_at.map(|sequence| sequence.0),
        }
    }
}

impl From<&ShardEntry> for Shard {
    fn from(entry: &ShardEntry) -> Self {
        let [parent, adjacent_parent] = entry.parents.map(|parent| parent.map(ShardId));
        Self {
            id: ShardId(entry.shard),
            range: HashRange { start: entry.start, end: entry.end },
            parent,
            adjacent_parent,
            opened_at: SequenceNumber(entry.opened_at),
            closed_at: entry.closed_at.map(SequenceNumber),
        }
    }
}
