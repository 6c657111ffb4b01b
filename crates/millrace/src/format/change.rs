//! A change of the shard map: the payload of a run of kind 3. It says which shards are closed and which are opened; where
//! the run stands says when: each run of changes has a sequence of its own, at which the ones close and behind which the
//! others open.

use super::snapshot::{NONE, ShardEntry};
use super::{Cursor, u32_of};

/// A shard that a change opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedShard {
    /// Its number: one more than the last that was given.
    pub shard: u32,
    /// The first hash key of its range.
    pub start: u128,
    /// The last hash key of its range.
    pub end: u128,
    /// The shards that held its range before; the change closes them.
    pub parents: [Option<u32>; 2],
}

/// What one run of changes does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardChange {
    /// The shards that it closes, by number.
    pub closed: Vec<u32>,
    /// The shards that it opens, by number.
    pub opened: Vec<OpenedShard>,
}

/// Why a change does not fit the shards that it meets: one before it is missing, or it is none of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The shard that could not be closed or opened.
    pub shard: u32,
}

const HEAD_BYTES: usize = 16;
const CLOSED_BYTES: usize = 4;
const OPENED_BYTES: usize = 48;

impl ShardChange {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let ShardChange { closed, opened } = self;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + closed.len() * CLOSED_BYTES + opened.len() * OPENED_BYTES);
        bytes.extend_from_slice(&u32_of(closed.len()).to_le_bytes());
        bytes.extend_from_slice(&u32_of(opened.len()).to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for shard in closed {
            bytes.extend_from_slice(&shard.to_le_bytes());
        }
        for OpenedShard { shard, start, end, parents } in opened {
            bytes.extend_from_slice(&start.to_le_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
            bytes.extend_from_slice(&shard.to_le_bytes());
            for parent in parents {
                bytes.extend_from_slice(&parent.unwrap_or(NONE).to_le_bytes());
            }
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes
    }

    /// The inverse; `None` where the bytes are no change.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<ShardChange> {
        let mut cursor = Cursor(bytes);
        let (closed, opened) = (cursor.u32()? as usize, cursor.u32()? as usize);
        let expected = closed.checked_mul(CLOSED_BYTES)?.checked_add(opened.checked_mul(OPENED_BYTES)?)?;
        if cursor.u64()? != 0 || cursor.0.len() != expected {
            return None;
        }
        let closed = (0..closed).map(|_| cursor.u32()).collect::<Option<Vec<_>>>()?;
        let opened = (0..opened).map(|_| OpenedShard::decode(&mut cursor)).collect::<Option<Vec<_>>>()?;
        Some(ShardChange { closed, opened })
    }

    /// Does the change to shards in the order of their numbers, as a run of this sequence. Where it does not fit they
    /// are left half changed, and are of no use any more.
    ///
    /// # Errors
    /// [`Misfit`] where it closes what is not open, opens another number than the next one, or names a parent that it
    /// does not close.
    pub fn apply(&self, shards: &mut Vec<ShardEntry>, sequence: u64) -> Result<(), Misfit> {
        for &shard in &self.closed {
            let found = shards.binary_search_by_key(&shard, |entry| entry.shard).ok();
            let entry = found.and_then(|at| shards.get_mut(at)).filter(|entry| entry.closed_at.is_none());
            entry.ok_or(Misfit { shard })?.closed_at = Some(sequence);
        }
        for &OpenedShard { shard, start, end, parents } in &self.opened {
            let is_closed_here = |parent: &u32| {
                let found = shards.binary_search_by_key(parent, |entry| entry.shard).ok();
                found.and_then(|at| shards.get(at)).is_some_and(|entry| entry.closed_at == Some(sequence))
            };
            let orphan = !parents.iter().flatten().all(is_closed_here);
            if shard != next_shard(shards) || shard == NONE || orphan {
                return Err(Misfit { shard });
            }
            shards.push(ShardEntry { shard, start, end, parents, opened_at: sequence + 1, closed_at: None });
        }
        Ok(())
    }
}

/// The number that the next shard gets: whatever closes the last one opens a later one, so that the last one given is
/// always among the shards.
#[must_use]
pub fn next_shard(shards: &[ShardEntry]) -> u32 {
    shards.last().map_or(0, |last| last.shard.saturating_add(1))
}

impl OpenedShard {
    fn decode(cursor: &mut Cursor<'_>) -> Option<OpenedShard> {
        let (start, end, shard) = (cursor.u128()?, cursor.u128()?, cursor.u32()?);
        let parents = [cursor.u32()?, cursor.u32()?].map(|parent| (parent != NONE).then_some(parent));
        (cursor.u32()? == 0).then_some(OpenedShard { shard, start, end, parents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> ShardChange {
        let half = u128::MAX >> 1;
        let parents = [Some(0), None];
        ShardChange {
            closed: vec![0],
            opened: vec![
                OpenedShard { shard: 1, start: 0, end: half, parents },
                OpenedShard { shard: 2, start: half + 1, end: u128::MAX, parents },
            ],
        }
    }

    fn whole() -> Vec<ShardEntry> {
        vec![ShardEntry { shard: 0, start: 0, end: u128::MAX, parents: [None; 2], opened_at: 0, closed_at: None }]
    }

    #[test]
    fn a_change_has_its_golden_bytes_and_rejects_every_truncation() {
        let bytes = split().encode();
        let mut golden = vec![1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        golden.extend_from_slice(&[0; 16]);
        golden.extend_from_slice(&[255; 15]);
        golden.extend_from_slice(&[127, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
        golden.extend_from_slice(&[0; 15]);
        golden.push(128);
        golden.extend_from_slice(&[255; 16]);
        golden.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
        assert_eq!(bytes, golden);
        assert_eq!(ShardChange::decode(&bytes), Some(split()));
        for length in 0..bytes.len() {
            assert_eq!(ShardChange::decode(&bytes[..length]), None, "length {length}");
        }
    }

    #[test]
    fn reserved_bytes_in_use_and_counts_beyond_the_bytes_are_no_change() {
        for at in [8, 15, 20 + 44, 20 + 48 + 47] {
            let mut bytes = split().encode();
            bytes[at] = 1;
            assert_eq!(ShardChange::decode(&bytes), None, "byte {at}");
        }
        let mut bytes = split().encode();
        bytes[..8].fill(255);
        assert_eq!(ShardChange::decode(&bytes), None);
    }

    #[test]
    fn what_a_change_closes_ends_at_its_sequence_and_what_it_opens_begins_behind_it() {
        let mut shards = whole();
        split().apply(&mut shards, 7).expect("it fits");
        assert_eq!(shards[0].closed_at, Some(7));
        assert_eq!(shards[1..].iter().map(|shard| shard.opened_at).collect::<Vec<_>>(), [8, 8]);
        assert_eq!(next_shard(&shards), 3);
    }

    #[test]
    fn a_change_that_does_not_fit_is_told_apart() {
        let misfits: [fn(&mut ShardChange); 4] = [
            |change| change.closed = vec![9],
            |change| change.closed = vec![0, 0],
            |change| change.opened[0].shard = 2,
            |change| change.opened[1].parents[1] = Some(5),
        ];
        for (index, misfit) in misfits.into_iter().enumerate() {
            let mut change = split();
            misfit(&mut change);
            assert!(change.apply(&mut whole(), 7).is_err(), "misfit {index}");
        }
    }
}
