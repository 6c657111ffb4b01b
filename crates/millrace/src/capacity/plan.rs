//! From what is needed and what was seen to the steps of this minute.
//!
//! A shard is judged by its own traffic and by its width: `needed` shards of the same width take the stream's load if
//! it is spread evenly, so no shard may be wider than that part of all hash keys.

use super::watch::{QUIET_MS, ShardWatch};
use super::{ON_DEMAND_SHARDS, Watch};
use crate::shard::{HashKey, HashRange, SHARDS_MAX, ShardId};

/// One change of the shard map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Split a shard.
    Split {
        /// The shard.
        shard: ShardId,
        /// The first hash key of the upper child.
        at: HashKey,
    },
    /// Merge two shards that touch.
    Merge {
        /// The lower one.
        shard: ShardId,
        /// The one behind it.
        adjacent: ShardId,
    },
}

impl Watch {
    /// The steps that the stream needs now, for as many shards of the same width as [`CapacityHistory::shards_needed`]
    /// says: each shard is part of one step at most, so they can be carried out in any order. Those that are not carried
    /// out come again in the next minute.
    ///
    /// [`CapacityHistory::shards_needed`]: super::CapacityHistory::shards_needed
    #[must_use]
    pub fn plan(&mut self, needed: u32) -> Vec<Step> {
        let splits = self.splits(needed);
        if !splits.is_empty() || !self.may_merge() {
            return splits;
        }
        let merges = self.merges(needed.max(ON_DEMAND_SHARDS));
        if !merges.is_empty() {
            self.merged();
        }
        merges
    }

    /// Where not all can be split, the hot ones go first, then the widest.
    fn splits(&self, needed: u32) -> Vec<Step> {
        let (open, most) = (self.shards.len(), SHARDS_MAX as usize);
        let is_wide = |shard: &ShardWatch| width(shard.range) > part(needed);
        let mut wanted: Vec<_> =
            self.shards.iter().filter(|(_, shard)| shard.wants_split() || is_wide(shard)).collect();
        wanted.sort_by_key(|(_, shard)| (!shard.wants_split(), u128::MAX - width(shard.range)));
        let split = |(id, shard): (&ShardId, &ShardWatch)| Some(Step::Split { shard: *id, at: middle(shard.range)? });
        wanted.into_iter().filter_map(split).take(most.saturating_sub(open)).collect()
    }

    /// The narrowest pairs go first, so that what was split last is merged first.
    fn merges(&self, needed: u32) -> Vec<Step> {
        let mut row: Vec<_> = self.shards.iter().collect();
        row.sort_by_key(|(_, shard)| shard.range.start);
        let mut pairs: Vec<_> = row
            .windows(2)
            .filter_map(|pair| {
                let [(lower, former), (upper, latter)] = pair else { return None };
                let both = HashRange { start: former.range.start, end: latter.range.end };
                let quiet = former.quiet_ms >= QUIET_MS && latter.quiet_ms >= QUIET_MS;
                (quiet && width(both) <= part(needed)).then_some((width(both), **lower, **upper))
            })
            .collect();
        pairs.sort_unstable();
        let mut taken = std::collections::BTreeSet::new();
        let free = pairs.into_iter().filter(|(_, lower, upper)| {
            let both_are_free = !taken.contains(lower) && !taken.contains(upper);
            if both_are_free {
                taken.extend([*lower, *upper]);
            }
            both_are_free
        });
        free.map(|(_, shard, adjacent)| Step::Merge { shard, adjacent }).collect()
    }
}

/// How many hash keys there are in a range, less one: the whole of it is one more than can be counted.
fn width(range: HashRange) -> u128 {
    range.end - range.start
}

/// The width of the widest of so many even parts of all hash keys: the last one has what remains.
fn part(parts: u32) -> u128 {
    let parts = u128::from(parts.max(1));
    (u128::MAX / parts).saturating_add(parts)
}

/// Where the upper half of a range begins; `None` where it is too narrow to be split by the rule of Kinesis, that the
/// key is greater than the first one plus one and less than the last one.
fn middle(range: HashRange) -> Option<HashKey> {
    (width(range) >= 4).then(|| HashKey(range.start + width(range) / 2 + 1))
}
