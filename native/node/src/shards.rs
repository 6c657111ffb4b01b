//! Shards as plain objects, and what asks for them.

use millrace::shard::{HashKey, Shard, ShardId};
use millrace::{Error, Kind, Reshard, Result, ShardFilter, Stream};
use napi_derive::napi;

use crate::describe::whole;

/// One shard: its part of the hash key space as decimal numbers, the sequence numbers between which its records lie, and
/// where it came from.
#[napi(object)]
pub struct NativeShard {
    pub shard: u32,
    pub starting_hash_key: String,
    pub ending_hash_key: String,
    pub starting_sequence_number: String,
    /// None while it is open.
    pub ending_sequence_number: Option<String>,
    pub parent: Option<u32>,
    pub adjacent_parent: Option<u32>,
}

/// Which shards to list.
#[napi(object)]
pub struct NativeShardFilter {
    /// A type of Kinesis' `ShardFilter`, such as `AT_LATEST`.
    pub kind: String,
    /// For `AFTER_SHARD_ID`.
    pub shard: Option<u32>,
    /// For `AT_TIMESTAMP` and `FROM_TIMESTAMP`: milliseconds since 1970.
    pub timestamp: Option<f64>,
}

impl NativeShardFilter {
    pub fn into_engine(self) -> Result<ShardFilter> {
        let timestamp = || whole(self.timestamp.unwrap_or(f64::NAN));
        match self.kind.as_str() {
            "AFTER_SHARD_ID" => Ok(ShardFilter::AfterShardId(ShardId(self.shard.unwrap_or_default()))),
            "AT_TRIM_HORIZON" => Ok(ShardFilter::AtTrimHorizon),
            "FROM_TRIM_HORIZON" => Ok(ShardFilter::FromTrimHorizon),
            "AT_LATEST" => Ok(ShardFilter::AtLatest),
            "AT_TIMESTAMP" => Ok(ShardFilter::AtTimestamp(timestamp()?)),
            "FROM_TIMESTAMP" => Ok(ShardFilter::FromTimestamp(timestamp()?)),
            other => Err(Error::new(Kind::InvalidArgument, format!("expected a type of shard filter, got {other}"))),
        }
    }
}

/// A change of a stream's shards that is only thought of.
#[napi(object)]
pub struct NativeReshard {
    /// Of a split and a merge: the shard.
    pub shard: Option<u32>,
    /// Of a split: where the upper child's hash keys begin, as a decimal number.
    pub at: Option<String>,
    /// Of a merge: the other shard.
    pub adjacent: Option<u32>,
    /// How many shards there are to be; then all else is left out.
    pub count: Option<u32>,
}

impl NativeReshard {
    pub fn into_engine(self) -> Result<Reshard> {
        let shard = ShardId(self.shard.unwrap_or_default());
        if let Some(count) = self.count {
            return Ok(Reshard::Count(count));
        }
        if let Some(adjacent) = self.adjacent {
            return Ok(Reshard::Merge { shard, adjacent: ShardId(adjacent) });
        }
        Ok(Reshard::Split { shard, at: self.at.as_deref().map(hash_key).transpose()? })
    }
}

/// Shards of a stream as plain objects.
pub fn describe_shards(stream: &Stream, shards: &[Shard]) -> Vec<NativeShard> {
    let describe = |shard: &Shard| {
        let number = |sequence| stream.sequence_number(shard.id.0, sequence);
        NativeShard {
            shard: shard.id.0,
            starting_hash_key: shard.range.start.to_string(),
            ending_hash_key: shard.range.end.to_string(),
            starting_sequence_number: number(shard.opened_at.0),
            ending_sequence_number: shard.closed_at.map(|sequence| number(sequence.0)),
            parent: shard.parent.map(|id| id.0),
            adjacent_parent: shard.adjacent_parent.map(|id| id.0),
        }
    };
    shards.iter().map(describe).collect()
}

/// A hash key that came as a decimal number.
pub fn hash_key(text: &str) -> Result<HashKey> {
    let message = || format!("expected a hash key from 0 to 2^128 - 1, got {text}");
    text.parse().map(HashKey).map_err(|_| Error::new(Kind::InvalidArgument, message()))
}
