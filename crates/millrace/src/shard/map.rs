//! The shard map: which hash keys belong to which shard, and what became of each shard.
//!
//! Invariants, checked whenever a map is made:
//! - shards stand in the order of their ids, which are never given twice;
//! - the ranges of the open shards tile `[0, 2^128)`: every hash key belongs to exactly one open shard.
//!
//! Closed shards stay in the map with the sequence at which they were closed, and their children name them as
//! parents, so that a reader can read parents first. This file knows neither how a map is stored nor who changes it.

use std::fmt;
use std::str::FromStr;

use super::{HashKey, SequenceNumber};
use crate::error::{Error, Kind, Result};
use crate::format::snapshot::ShardEntry;

/// How many shards of which nothing is known any more are listed.
const UNKNOWN_MAX: usize = 10_000;

/// How many shards a stream can be created with.
pub const SHARDS_MAX: u32 = 10_000;

/// Which shard of its stream. Ids count up from 0 and are never given twice.
///
/// Outside it is Kinesis' name of the shard, of which exactly this form is read back:
///
/// ```
/// use millrace::shard::ShardId;
/// assert_eq!(ShardId(7).to_string(), "shardId-000000000007");
/// assert_eq!("shardId-000000000007".parse::<ShardId>()?, ShardId(7));
/// assert!("shardId-7".parse::<ShardId>().is_err());
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// What a shard's name begins with.
const NAME_PREFIX: &str = "shardId-";
/// How many digits follow the prefix.
const NAME_DIGITS: usize = 12;

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME_PREFIX}{:0NAME_DIGITS$}", self.0)
    }
}

impl FromStr for ShardId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        parse_name(name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            let message = format!(
                "expected a shard's name, {NAME_PREFIX} and {NAME_DIGITS} digits of a value up to {}, got {shown:?}",
                u32::MAX
            );
            Error::new(Kind::InvalidArgument, message)
        })
    }
}

fn parse_name(name: &str) -> Option<ShardId> {
    let digits = name.strip_prefix(NAME_PREFIX)?;
    let well_formed = digits.len() == NAME_DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    if well_formed { digits.parse().ok().map(ShardId) } else { None }
}

/// The hash keys of one shard, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    /// The first hash key that belongs to the shard.
    pub start: u128,
    /// The last hash key that belongs to the shard.
    pub end: u128,
}

impl HashRange {
    /// Whether `key` lies in this range.
    #[must_use]
    pub fn contains(self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key.0)
    }
}

/// One shard of a stream, open or closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id, unique in the stream for ever.
    pub id: ShardId,
    /// The hash keys that belong to it while it is open.
    pub range: HashRange,
    /// The shard that was split, or the first of the two that were merged, to make this one.
    pub parent: Option<ShardId>,
    /// The second of the two shards that were merged to make this one.
    pub adjacent_parent: Option<ShardId>,
    /// The first sequence number that this shard could hold.
    pub opened_at: SequenceNumber,
    /// The first sequence number that this shard could no longer hold; none while it is open.
    pub closed_at: Option<SequenceNumber>,
}

impl Shard {
    /// Whether records can still be appended to it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }
}

/// All shards of a stream and the way from a hash key to the open one that it belongs to.
///
/// ```
/// use millrace::shard::{HashKey, ShardId, ShardMap};
/// let map = ShardMap::uniform(4)?;
/// assert_eq!(map.route(HashKey(0)), ShardId(0));
/// assert_eq!(map.route(HashKey(u128::MAX)), ShardId(3));
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ShardMap {
    shards: Vec<Shard>,
    router: Router,
}

impl ShardMap {
    /// The map of a new stream: `count` open shards of the same size, with ids from 0.
    ///
    /// Each holds `floor(2^128 / count)` hash keys and the last one also what remains. The emulator Kinesalite divides in
    /// this way, and the stream of three shards that the AWS command line's reference shows agrees with it.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] when `count` is not 1 to [`SHARDS_MAX`].
    pub fn uniform(count: u32) -> Result<Self> {
        if !(1..=SHARDS_MAX).contains(&count) {
            let message = format!("expected a number of shards from 1 to {SHARDS_MAX}, got {count}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        Self::from_shards((0..count).map(|index| uniform_shard(index, count)).collect())
    }

    /// The map of shards that were stored.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when they break an invariant of shard maps: ids that do not ascend, or open shards whose
    /// ranges do not tile `[0, 2^128)`.
    pub fn from_shards(shards: Vec<Shard>) -> Result<Self> {
        let descent = shards.windows(2).find(|pair| pair[0].id >= pair[1].id);
        if let Some([former, latter]) = descent {
            let message = format!("expected shards in the order of their ids, got {} before {}", former.id, latter.id);
            return Err(Error::new(Kind::Corrupt, message));
        }
        let mut open: Vec<&Shard> = shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.range.start);
        check_tiling(&open)?;
        let router = Router::new(&open);
        Ok(ShardMap { shards, router })
    }

    /// The open shard that `key` belongs to.
    #[must_use]
    #[inline]
    pub fn route(&self, key: HashKey) -> ShardId {
        self.router.ids[self.router.route(key)]
    }

    /// Where among the open shards, in the order of their ranges, the one stands that `key` belongs to: below
    /// [`open_count`](Self::open_count), however high the ids have become.
    #[must_use]
    #[inline]
    pub fn route_to(&self, key: HashKey) -> usize {
        self.router.route(key)
    }

    /// The open shards in the order of their ranges.
    #[must_use]
    pub fn open_ids(&self) -> &[ShardId] {
        &self.router.ids
    }

    /// The open shard, where there is only one: each hash key belongs to it.
    #[must_use]
    pub fn only_open(&self) -> Option<ShardId> {
        let [only] = self.router.ids[..] else { return None };
        Some(only)
    }

    /// All shards, open and closed, in the order of their ids.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The map of shards as the log holds them.
    ///
    /// # Errors
    /// As for [`from_shards`](Self::from_shards).
    pub fn from_entries(entries: &[ShardEntry]) -> Result<Self> {
        Self::from_shards(entries.iter().map(Shard::from).collect())
    }

    /// All shards as the log holds them.
    #[must_use]
    pub fn entries(&self) -> Vec<ShardEntry> {
        self.shards.iter().map(ShardEntry::from).collect()
    }

    /// The open shards in the order of their ranges.
    pub fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.router.ids.iter().filter_map(|id| self.get(*id))
    }

    /// The shards that took over from this one, in the order of their ids; none while it is open.
    pub fn children(&self, id: ShardId) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| [shard.parent, shard.adjacent_parent].contains(&Some(id)))
    }

    /// The number of the shard that is opened next.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        // Whatever closes the last one opens a later one, so it is always there.
        self.shards.last().map_or(0, |last| last.id.0.saturating_add(1))
    }

    /// The map without the closed shards all of whose records lie before this sequence, the oldest that is kept.
    #[must_use]
    pub fn without_expired(&self, oldest: SequenceNumber) -> Option<Self> {
        let is_expired = |shard: &Shard| shard.closed_at.is_some_and(|closed_at| closed_at < oldest);
        if !self.shards.iter().any(is_expired) {
            return None;
        }
        let shards = self.shards.iter().filter(|shard| !is_expired(shard)).cloned().collect();
        Some(ShardMap { shards, router: self.router.clone() })
    }

    /// The map with as many new open shards of the same size, whose ids begin at `next`, in place of all that were open:
    /// for a stream of which nobody knows any more how the open ones came about. Ids between are listed as shards that
    /// were closed, too.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] where no id is left.
    pub fn made_anew(&self, next: ShardId, at: SequenceNumber) -> Result<Self> {
        let closed = |shard: Shard| Shard { closed_at: shard.closed_at.or(Some(at)), ..shard };
        let mut shards: Vec<Shard> = self.shards.iter().cloned().map(closed).collect();
        let unknown = |id| closed(Shard { id: ShardId(id), ..uniform_shard(0, 1) });
        shards.extend((self.next_id()..next.0).rev().take(UNKNOWN_MAX).rev().map(unknown));
        let count = u32::try_from(self.open_count()).unwrap_or(SHARDS_MAX);
        for index in 0..count {
            let id = next.0.checked_add(index).filter(|id| *id < u32::MAX);
            let id = id.ok_or_else(|| Error::new(Kind::Corrupt, "no number of a shard is left"))?;
            shards.push(Shard { id: ShardId(id), opened_at: SequenceNumber(at.0 + 1), ..uniform_shard(index, count) });
        }
        Self::from_shards(shards)
    }

    pub(super) fn shard_mut(&mut self, id: ShardId) -> &mut Shard {
        let index = self.shards.binary_search_by_key(&id, |shard| shard.id).expect("one of the map's own shards");
        &mut self.shards[index]
    }

    /// The shard of this id, if the map has it.
    #[must_use]
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        let index = self.shards.binary_search_by_key(&id, |shard| shard.id).ok()?;
        Some(&self.shards[index])
    }

    /// How many shards are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.router.ids.len()
    }
}

fn uniform_shard(index: u32, count: u32) -> Shard {
    let (at, count_wide) = (u128::from(index), u128::from(count));
    // One less than the size, because the size of an only shard, 2^128, does not fit: (2^128 - n) / n = 2^128 / n - 1.
    let size_less_one = (u128::MAX - (count_wide - 1)) / count_wide;
    let start = at * size_less_one + at;
    let end = if index + 1 == count { u128::MAX } else { start + size_less_one };
    Shard {
        id: ShardId(index),
        range: HashRange { start, end },
        parent: None,
        adjacent_parent: None,
        opened_at: SequenceNumber(0),
        closed_at: None,
    }
}

/// Checks that the ranges, in the order of their starts, cover all hash keys once.
fn check_tiling(open: &[&Shard]) -> Result<()> {
    let mut covered_to: Option<u128> = None;
    for shard in open {
        let expected_start = covered_to.map_or(Some(0), |end| end.checked_add(1));
        let HashRange { start, end } = shard.range;
        if Some(start) != expected_start || end < start {
            let begin =
                expected_start.map_or_else(|| "none, all hash keys are covered".to_owned(), |key| key.to_string());
            let message =
                format!("expected an open shard that begins at {begin}, got {} from {start} to {end}", shard.id);
            return Err(Error::new(Kind::Corrupt, message));
        }
        covered_to = Some(end);
    }
    if covered_to == Some(u128::MAX) {
        return Ok(());
    }
    let reached = covered_to.map_or_else(|| "no open shard".to_owned(), |end| format!("them to end at {end}"));
    Err(Error::new(Kind::Corrupt, format!("expected open shards up to hash key {}, got {reached}", u128::MAX)))
}

/// Finds the range of a hash key: a table over the key's top bits names the first range that could hold it,
/// and from there it is a step, rarely two, to the right one.
///
/// The table has at least as many slots as there are ranges, so that in a uniform map a slot touches at most two.
#[derive(Clone, Debug)]
struct Router {
    /// The last hash key of each open range, ascending. The last one is `u128::MAX`, so that each search ends.
    ends: Vec<u128>,
    /// The shard of each range.
    ids: Vec<ShardId>,
    /// For each value of the top bits, the index of the range that holds the lowest hash key with these bits.
    first: Vec<u32>,
    /// How many of the top 16 bits the table does not use.
    unused_bits: u32,
}

/// How many bits of a hash key the table can use at most.
const TOP_BITS: u32 = u16::BITS;

impl Router {
    /// A router over ranges that tile all hash keys, in their order.
    fn new(open: &[&Shard]) -> Self {
        let ends: Vec<u128> = open.iter().map(|shard| shard.range.end).collect();
        let table_bits = ends.len().next_power_of_two().trailing_zeros().min(TOP_BITS);
        let first = (0..1_u128 << table_bits)
            .map(|slot| slot.checked_shl(u128::BITS - table_bits).unwrap_or(0))
            .map(|lowest| ends.partition_point(|end| *end < lowest))
            .map(|index| u32::try_from(index).expect("there are no more ranges than ids of 32 bits"))
            .collect();
        Router { ids: open.iter().map(|shard| shard.id).collect(), ends, first, unused_bits: TOP_BITS - table_bits }
    }

    #[inline]
    fn route(&self, key: HashKey) -> usize {
        let top = u16::try_from(key.0 >> (u128::BITS - TOP_BITS)).expect("shifted to 16 bits");
        let slot = usize::from(top) >> self.unused_bits;
        let mut index = usize::try_from(self.first[slot]).expect("made from a usize");
        // Of the keys in a slot of two ranges about half take this step, at random: as a branch it would be
        // mispredicted, as an addition it cannot be. (7 ns a key became 3.)
        index += usize::from(self.ends[index] < key.0);
        while self.ends[index] < key.0 {
            index += 1;
        }
        index
    }
}

#[cfg(test)]
mod tests;
