//! Planning a change of the shard map: a split, a merge, another number of shards. Pure: from the map, and what is asked
//! for, come the changes that the stream's log will hold; nothing else goes in.
//!
//! Each [`ShardChange`] closes open shards and opens others in their place, each of which has at most two parents, whose
//! hash keys it takes over. After each of them the open shards tile all hash keys. Changes of one plan take effect
//! together; where there are several, shards of the former ones live only to be the parents of the latter.

use super::map::{SHARDS_MAX, Shard, ShardId, ShardMap};
use super::{HashKey, HashRange, SequenceNumber};
use crate::error::{Error, Kind, Result};
use crate::format::change::{OpenedShard, ShardChange};
use crate::format::u32_of;

/// How many shards a stream lists at most, the closed ones included that readers may still read. A segment opens with
/// all of them, 64 bytes each, in a frame of at most 16 MiB.
pub const SHARDS_LISTED_MAX: usize = 200_000;

/// A map that changes would lead to, but for the sequences, which their place in the log decides.
#[derive(Clone, Debug)]
pub struct Planned {
    map: ShardMap,
    changes: Vec<ShardChange>,
}

impl ShardMap {
    /// Splits an open shard in two. The upper child begins at `at`, which Kinesis wants to be "greater than one plus the
    /// shard's StartingHashKey and less than the shard's EndingHashKey"; by default each child gets one half.
    ///
    /// # Errors
    /// [`Kind::ShardNotFound`]; [`Kind::InvalidArgument`] for a shard that is closed or too small, or a hash key outside
    /// of these bounds; [`Kind::LimitExceeded`] where the stream has too many shards.
    pub fn plan_split(&self, shard: ShardId, at: Option<HashKey>) -> Result<Planned> {
        let HashRange { start, end } = self.open_shard(shard)?.range;
        let at = at.map_or(start + (end - start) / 2 + 1, |key| key.0);
        if at.checked_sub(start).is_none_or(|above| above <= 1) || at >= end {
            let message = format!(
                "expected the new starting hash key greater than one plus {start} and less than {end}, as {shard} goes \
                 from the one to the other, got {at}"
            );
            return Err(invalid(message));
        }
        let mut plan = Planner::new(self);
        plan.replace(&[shard], &[HashRange { start, end: at - 1 }, HashRange { start: at, end }]);
        plan.finish(self)
    }

    /// Merges two open shards whose hash keys adjoin into one; `shard` becomes the parent and `adjacent` the adjacent
    /// parent.
    ///
    /// # Errors
    /// [`Kind::ShardNotFound`]; [`Kind::InvalidArgument`] for shards that are closed or do not adjoin.
    pub fn plan_merge(&self, shard: ShardId, adjacent: ShardId) -> Result<Planned> {
        let (first, second) = (self.open_shard(shard)?.range, self.open_shard(adjacent)?.range);
        let adjoin = |lower: HashRange, upper: HashRange| lower.end.checked_add(1) == Some(upper.start);
        let (start, end) = match (adjoin(first, second), adjoin(second, first)) {
            (true, _) => (first.start, second.end),
            (_, true) => (second.start, first.end),
            _ => {
                let message = format!(
                    "expected shards whose hash keys adjoin, got {shard} from {} to {} and {adjacent} from {} to {}",
                    first.start, first.end, second.start, second.end
                );
                return Err(invalid(message));
            }
        };
        let mut plan = Planner::new(self);
        plan.replace(&[shard, adjacent], &[HashRange { start, end }]);
        plan.finish(self)
    }

    /// Leads to `count` open shards of the same size. Shards that have such a range already stay as they are; each other
    /// one takes over from the one or two that held its hash keys, or, where there were more, from shards that take them
    /// over pair by pair before it.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] where `count` is not 1 to [`SHARDS_MAX`], more than double the present number or less
    /// than half of it: the rules of `UpdateShardCount`. [`Kind::LimitExceeded`] where the stream lists too many shards.
    pub fn plan_count(&self, count: u32) -> Result<Planned> {
        let open = u32_of(self.open_count());
        let bounds = open.div_ceil(2)..=open.saturating_mul(2).min(SHARDS_MAX);
        if !bounds.contains(&count) {
            let message = format!(
                "expected a number of shards from {} to {}, which is half to double of the {open} that are open, got {count}",
                bounds.start(),
                bounds.end()
            );
            return Err(invalid(message));
        }
        let mut plan = Planner::new(self);
        plan.spread(self, ShardMap::uniform(count)?.shards());
        plan.finish(self)
    }

    fn open_shard(&self, id: ShardId) -> Result<&Shard> {
        let shard = self.get(id).ok_or_else(|| {
            Error::new(
                Kind::ShardNotFound,
                format!("expected one of the stream's shards, got {id}, which it does not have"),
            )
        })?;
        if shard.is_open() {
            return Ok(shard);
        }
        Err(invalid(format!("expected an open shard, got {id}, which has been merged or split")))
    }
}

impl Planned {
    /// The changes, in their order. None: the map is as wanted.
    #[must_use]
    pub fn changes(&self) -> &[ShardChange] {
        &self.changes
    }

    /// After these changes, the number of the shard that is opened next, and how many are open.
    #[must_use]
    pub fn numbers(&self) -> (u32, u32) {
        (self.map.next_id(), u32_of(self.map.open_count()))
    }

    /// The map, once the changes stand in the log, the first of them at this sequence and each further one at the next.
    #[must_use]
    pub fn at(self, first: SequenceNumber) -> ShardMap {
        let Planned { mut map, changes } = self;
        for (sequence, change) in (first.0..).zip(&changes) {
            for shard in &change.closed {
                map.shard_mut(ShardId(*shard)).closed_at = Some(SequenceNumber(sequence));
            }
            for opened in &change.opened {
                map.shard_mut(ShardId(opened.shard)).opened_at = SequenceNumber(sequence + 1);
            }
        }
        map
    }
}

/// Changes in the making.
struct Planner {
    changes: Vec<ShardChange>,
    next: u32,
}

/// Hash keys that belong to one open shard, all of its or some.
#[derive(Clone, Copy)]
struct Piece {
    range: HashRange,
    shard: u32,
    is_whole: bool,
}

impl Planner {
    fn new(map: &ShardMap) -> Planner {
        Planner { changes: Vec::new(), next: map.next_id() }
    }

    /// One change that opens these ranges in place of these shards.
    fn replace(&mut self, shards: &[ShardId], ranges: &[HashRange]) {
        let parents = [shards.first(), shards.get(1)].map(|parent| parent.map(|id| id.0));
        let opened = ranges.iter().map(|range| self.open(*range, parents)).collect();
        self.changes.push(ShardChange { closed: shards.iter().map(|id| id.0).collect(), opened });
    }

    /// Changes until the open shards have these ranges, which tile all hash keys as those of the map do.
    fn spread(&mut self, map: &ShardMap, ranges: &[Shard]) {
        let mut unequal: Vec<Vec<Piece>> = pieces(map, ranges);
        unequal.retain(|pieces| !matches!(pieces[..], [Piece { is_whole: true, .. }]));
        while !unequal.is_empty() {
            let mut change = ShardChange::default();
            for pieces in &mut unequal {
                *pieces = pieces.chunks(2).map(|pair| self.join(pair, &mut change)).collect();
            }
            // The parts of one shard stand side by side.
            change.closed.dedup();
            self.changes.push(change);
            unequal.retain(|pieces| pieces.len() > 1);
        }
    }

    /// Opens a shard in place of one piece or two that adjoin; a whole shard on its own stays as it is.
    fn join(&mut self, pair: &[Piece], change: &mut ShardChange) -> Piece {
        let (first, last) = (pair[0], pair[pair.len() - 1]);
        if pair.len() == 1 && first.is_whole {
            return first;
        }
        let range = HashRange { start: first.range.start, end: last.range.end };
        change.closed.extend(pair.iter().map(|piece| piece.shard));
        let opened = self.open(range, [Some(first.shard), pair.get(1).map(|piece| piece.shard)]);
        change.opened.push(opened);
        Piece { range, shard: opened.shard, is_whole: true }
    }

    fn open(&mut self, HashRange { start, end }: HashRange, parents: [Option<u32>; 2]) -> OpenedShard {
        let shard = self.next;
        // That numbers have run out is found when the plan is finished.
        self.next = self.next.saturating_add(1);
        OpenedShard { shard, start, end, parents }
    }

    fn finish(self, map: &ShardMap) -> Result<Planned> {
        if self.next == u32::MAX {
            return Err(Error::new(
                Kind::Unsupported,
                "expected a number for each new shard, but all 2^32 - 1 were given",
            ));
        }
        let mut entries = map.entries();
        for (sequence, change) in (0..).zip(&self.changes) {
            change.apply(&mut entries, sequence).expect("the planner knows the map");
        }
        let planned = ShardMap::from_entries(&entries)?;
        let (open, listed) = (planned.open_count(), planned.shards().len());
        if open > SHARDS_MAX as usize || listed > SHARDS_LISTED_MAX {
            let message = format!(
                "expected at most {SHARDS_MAX} open shards and {SHARDS_LISTED_MAX} with the closed ones that can still be \
                 read, got {open} and {listed}; merge shards, or wait until the retention of closed ones has passed"
            );
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        Ok(Planned { map: planned, changes: self.changes })
    }
}

/// What of the open shards each of these ranges holds, in order.
fn pieces(map: &ShardMap, ranges: &[Shard]) -> Vec<Vec<Piece>> {
    let mut open = map.open_shards().peekable();
    let mut all = Vec::new();
    for HashRange { start, end } in ranges.iter().map(|shard| shard.range) {
        let mut pieces = Vec::new();
        while let Some(shard) = open.peek() {
            let range = HashRange { start: shard.range.start.max(start), end: shard.range.end.min(end) };
            pieces.push(Piece { range, shard: shard.id.0, is_whole: range == shard.range });
            // What goes on behind this range is looked at for the next one again.
            if shard.range.end > end || open.next().is_some_and(|shard| shard.range.end == end) {
                break;
            }
        }
        all.push(pieces);
    }
    all
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

#[cfg(test)]
mod tests;
