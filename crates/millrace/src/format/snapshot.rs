//! The opening snapshot: the payload of the first run of every segment. It says where the log came from and holds
//! the shard map, so that trimming older segments loses neither. Producers join in a later version.

use super::{Cursor, Position};

/// One shard of the map, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// The shard's number.
    pub shard: u32,
    /// The first hash key of its range.
    pub start: u128,
    /// The last hash key of its range.
    pub end: u128,
    /// The parent, and for a merge the other one.
    pub parents: [Option<u32>; 2],
    /// The sequence at which it opened.
    pub opened_at: u64,
    /// The sequence at which it closed, if it did.
    pub closed_at: Option<u64>,
}

/// What a segment opens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Where the segment before ends; the default for a log's first one.
    pub previous_end: Position,
    /// The checksum of the last frame before; 0 for a log's first segment.
    pub previous_checksum: u32,
    /// All shards, by number.
    pub shards: Vec<ShardEntry>,
}

/// No shard. The number is never given.
pub(super) const NONE: u32 = u32::MAX;
const STILL_OPEN: u64 = u64::MAX;
const HEAD_BYTES: usize = 24;
const SHARD_BYTES: usize = 64;

impl Opening {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.shards.len() * SHARD_BYTES);
        bytes.extend_from_slice(&self.previous_end.pack().to_le_bytes());
        bytes.extend_from_slice(&self.previous_checksum.to_le_bytes());
        bytes.extend_from_slice(&super::u32_of(self.shards.len()).to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for shard in &self.shards {
            bytes.extend_from_slice(&shard.start.to_le_bytes());
            bytes.extend_from_slice(&shard.end.to_le_bytes());
            bytes.extend_from_slice(&shard.shard.to_le_bytes());
            for parent in shard.parents {
                bytes.extend_from_slice(&parent.unwrap_or(NONE).to_le_bytes());
            }
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&shard.opened_at.to_le_bytes());
            bytes.extend_from_slice(&shard.closed_at.unwrap_or(STILL_OPEN).to_le_bytes());
        }
        bytes
    }

    /// The inverse; `None` where the bytes are no snapshot.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Opening> {
        let mut cursor = Cursor(bytes);
        let previous_end = Position::unpack(cursor.u64()?);
        let previous_checksum = cursor.u32()?;
        let count = cursor.u32()? as usize;
        if cursor.u64()? != 0 || cursor.0.len() != count.checked_mul(SHARD_BYTES)? {
            return None;
        }
        let shards = (0..count).map(|_| ShardEntry::decode(&mut cursor)).collect::<Option<Vec<_>>>()?;
        Some(Opening { previous_end, previous_checksum, shards })
    }
}

impl ShardEntry {
    fn decode(cursor: &mut Cursor<'_>) -> Option<ShardEntry> {
        let (start, end, shard) = (cursor.u128()?, cursor.u128()?, cursor.u32()?);
        let parents = [cursor.u32()?, cursor.u32()?].map(|parent| (parent != NONE).then_some(parent));
        let reserved = cursor.u32()?;
        let (opened_at, closed_at) = (cursor.u64()?, cursor.u64()?);
        let closed_at = (closed_at != STILL_OPEN).then_some(closed_at);
        (reserved == 0).then_some(ShardEntry { shard, start, end, parents, opened_at, closed_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_round_trips_and_rejects_every_truncation() {
        let shard = |shard, start, end| ShardEntry {
            shard,
            start,
            end,
            parents: [None, Some(0)],
            opened_at: 1,
            closed_at: None,
        };
        let opening = Opening {
            previous_end: Position::new(3, 640),
            previous_checksum: 17,
            shards: vec![shard(0, 0, u128::MAX >> 1), shard(1, (u128::MAX >> 1) + 1, u128::MAX)],
        };
        let bytes = opening.encode();
        assert_eq!(Opening::decode(&bytes), Some(opening));
        for length in 0..bytes.len() {
            assert_eq!(Opening::decode(&bytes[..length]), None, "length {length}");
        }
    }
}
