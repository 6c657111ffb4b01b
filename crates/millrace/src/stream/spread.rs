//! Records of a stream that decides itself where they go: one shard after the other, whatever keys they have.
//!
//! Each record gets a hash key of the shard whose turn it is, in the place of the one that its producer may have chosen,
//! and goes the way of all records from there. The hash keys of a shard are spread over all of its range, so that halves
//! of it that a split makes are filled evenly too. A stream that goes by partition keys pays for one look at one word.

use super::staged::{Staged, StagedRecords};
use crate::control::{RecordDistribution, StreamConfig};
use crate::shard::{HashKey, ShardMap};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Spread {
    is_on: AtomicBool,
    next: AtomicU64,
}

impl Spread {
    pub fn new(config: &StreamConfig) -> Spread {
        Spread { is_on: AtomicBool::new(is_on(config)), next: AtomicU64::new(0) }
    }

    pub fn set(&self, config: &StreamConfig) {
        self.is_on.store(is_on(config), Ordering::Relaxed);
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// The batch with a hash key for each record.
    pub fn over(&self, batch: Staged<'_>, map: &ShardMap) -> StagedRecords {
        let mut turn = self.next.fetch_add(batch.count as u64, Ordering::Relaxed);
        batch.with_hash_keys(|| {
            let key = key_of_turn(turn, map);
            turn = turn.wrapping_add(1);
            key
        })
    }
}

fn is_on(config: &StreamConfig) -> bool {
    config.distribution == RecordDistribution::Auto
}

/// A hash key of the shard whose turn it is.
fn key_of_turn(turn: u64, map: &ShardMap) -> HashKey {
    let open = map.open_ids();
    let shards = open.len() as u64;
    // The remainder is below a length, so it fits an index.
    let shard = usize::try_from(turn % shards).ok().and_then(|index| map.get(*open.get(index)?));
    let range = shard.expect("an open shard is one of the map").range;
    let wide = u128::from(turn / shards).reverse_bits();
    let width = range.end - range.start;
    // A range of all hash keys has one more than its width can say.
    HashKey(range.start + width.checked_add(1).map_or(wide, |width| wide % width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::{EXPLICIT_HASH_KEY, RecordHeader};

    #[test]
    fn every_shard_has_its_turn_and_so_have_both_halves_of_it() {
        for shards in [1, 3, 8] {
            let map = ShardMap::uniform(shards).expect("a map");
            let keys: Vec<HashKey> = (0..u64::from(shards) * 64).map(|turn| key_of_turn(turn, &map)).collect();
            for shard in map.shards() {
                let middle = shard.range.start + (shard.range.end - shard.range.start) / 2;
                let of_shard = || keys.iter().filter(|key| shard.range.contains(**key));
                assert_eq!(of_shard().count(), 64, "{} of {shards}", shard.id);
                let lower = of_shard().filter(|key| key.0 <= middle).count();
                assert!((24..=40).contains(&lower), "{lower} of 64 in the lower half of {} of {shards}", shard.id);
            }
        }
    }

    #[test]
    fn a_batch_is_what_it_was_but_for_its_hash_keys() {
        let spread = Spread::new(&StreamConfig::default());
        let map = ShardMap::uniform(2).expect("a map");
        let mut staged = StagedRecords::default();
        staged.push("a", None, b"one");
        staged.push("b", Some(7), b"");
        staged.push("c", None, b"three");
        let mut expected = StagedRecords::default();
        for (turn, (key, data)) in (0..).zip([("a", &b"one"[..]), ("b", b""), ("c", b"three")]) {
            expected.push(key, Some(key_of_turn(turn, &map).0), data);
        }
        let over = spread.over(staged.as_staged(), &map);
        let (over, expected) = (over.as_staged(), expected.as_staged());
        assert_eq!((over.records, over.keys, over.count), (expected.records, expected.keys, 3));
    }

    #[test]
    fn bytes_that_are_no_record_are_left_for_the_append_to_refuse() {
        let spread = Spread::new(&StreamConfig::default());
        let map = ShardMap::uniform(2).expect("a map");
        let long = RecordHeader { data_bytes: u32::MAX, key_bytes: 1, flags: EXPLICIT_HASH_KEY }.encode();
        let unknown = RecordHeader { data_bytes: 0, key_bytes: 1, flags: 2 }.encode();
        for records in [&b"short"[..], &long, &unknown] {
            let over = spread.over(Staged { records, keys: b"k", count: 1 }, &map);
            assert_eq!(over.as_staged().records, records);
        }
    }
}
