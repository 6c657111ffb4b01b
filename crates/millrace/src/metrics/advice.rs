//! What an operator could do about the load of a stream: split the shard that is hot, spread the key that no split
//! helps, merge neighbours that are cold.
//!
//! It is pure: the same loads give the same advice. Records and bytes are weighed as one **load**: a record counts its
//! bytes, but no less than [`RECORD_LOAD`], because a shard of Kinesis takes a thousand records a second as it takes a
//! MiB. What the rules compare are shares, so they hold for streams with limits and without.

use std::fmt;

use serde::{Serialize, Serializer};

use super::flow::Rate;
use super::keys::KeyLoad;
use crate::shard::{HashKey, HashRange, ShardId};

/// What a record counts at least, in bytes.
pub const RECORD_LOAD: f64 = 1_024.0;

/// A shard is hot from so many times the mean load of the open shards on.
const HOT_TIMES_MEAN: f64 = 1.5;
/// A shard is hot from so much of what its limit admits on.
const HOT_OF_LIMIT: f64 = 0.8;
/// Below this load a second nobody minds where it goes: ten small records.
const LOAD_LEAST: f64 = 10.0 * RECORD_LOAD;
/// A key with so much of its shard's load is what makes it hot: no split takes much off it.
const ONE_KEY: f64 = 0.75;
/// A key with so much of its shard's load is worth a word.
const KEY_WORTH_A_WORD: f64 = 0.1;
/// A split point is derived from at least so many keys; with fewer the middle of the range is as good.
const KEYS_LEAST: usize = 4;
/// A shard is cold up to so many times the mean.
const COLD_TIMES_MEAN: f64 = 0.25;
/// A stream keeps at least so many shards.
const SHARDS_KEPT: usize = 2;
/// So much advice of a kind at most: whoever has followed it asks again.
const ADVICE_MAX: usize = 8;

/// What a shard takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardLoad {
    /// The shard; it is open.
    pub shard: ShardId,
    /// Its hash keys.
    pub range: HashRange,
    /// What comes in, over the last minute.
    pub minute: Rate,
    /// What comes in, over the last ten seconds.
    pub ten_seconds: Rate,
}

/// What a limit admits to each shard in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardLimit {
    /// Records a second.
    pub records: f64,
    /// Bytes of keys and data a second.
    pub bytes: f64,
}

/// What is known of a stream's load.
#[derive(Clone, Copy, Debug)]
pub struct Loads<'a> {
    /// The open shards.
    pub shards: &'a [ShardLoad],
    /// The heaviest keys of the stream, with what came of others in their places: see [`super::keys`].
    pub keys: &'a [KeyLoad],
    /// What each shard may take; none where there is no limit.
    pub limit: Option<ShardLimit>,
}

/// A key and its part of a shard's load.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HotKey {
    /// The partition key.
    pub key: String,
    /// Its hash key.
    #[serde(rename = "hashKey", serialize_with = "in_decimal")]
    pub hash: HashKey,
    /// Its part of the shard's load, 0 to 1, at least.
    pub share_of_shard: f64,
    /// Its part of the stream's load, 0 to 1, at least.
    pub share_of_stream: f64,
}

/// A shard that takes more than its part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HotShard {
    /// The shard.
    #[serde(rename = "shardId", serialize_with = "by_name")]
    pub shard: ShardId,
    /// What comes in, over the last minute; also what was refused.
    pub rate: Rate,
    /// Its part of the stream's load, 0 to 1.
    pub share: f64,
    /// How often its load is the mean of the open shards' loads.
    pub times_mean: f64,
    /// How many shards are open.
    pub shards: usize,
    /// How much of its limit it takes, 1 being all; none where there is no limit.
    pub of_limit: Option<f64>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Advice {
    /// Split a shard.
    Split {
        /// The hot shard.
        hot: HotShard,
        /// The first hash key of its second child.
        #[serde(rename = "startingHashKey", serialize_with = "in_decimal")]
        at: HashKey,
        /// The part of its load that falls to the first child, 0 to 1, as far as keys were seen; the middle of the range
        /// where too few were.
        lower_share: Option<f64>,
        /// Its heaviest key, if it is worth a word.
        heaviest: Option<HotKey>,
    },
    /// Spread a key over several, or give the shards more room: one key stays in one shard.
    SpreadKey {
        /// The hot shard.
        hot: HotShard,
        /// The key that makes it so.
        key: HotKey,
    },
    /// Merge two shards.
    Merge {
        /// The shard with the lower hash keys.
        #[serde(rename = "shardId", serialize_with = "by_name")]
        shard: ShardId,
        /// The one beside it.
        #[serde(rename = "adjacentShardId", serialize_with = "by_name")]
        adjacent: ShardId,
        /// What comes in to both, over the last minute.
        rate: Rate,
        /// Their part of the stream's load, 0 to 1.
        share: f64,
    },
}

/// What to do about these loads, the hottest shard first; nothing where all is well.
#[must_use]
pub fn advise(loads: &Loads<'_>) -> Vec<Advice> {
    let total: f64 = loads.shards.iter().map(|shard| load(shard.minute)).sum();
    if loads.shards.is_empty() || total < LOAD_LEAST {
        return Vec::new();
    }
    let mut hot: Vec<(HotShard, HashRange)> =
        loads.shards.iter().filter_map(|shard| Some((hot_shard(shard, total, loads)?, shard.range))).collect();
    hot.sort_by(|(left, _), (right, _)| right.share.total_cmp(&left.share).then(left.shard.cmp(&right.shard)));
    let mut advice: Vec<Advice> =
        hot.into_iter().take(ADVICE_MAX).map(|(hot, range)| relieve(hot, range, loads)).collect();
    advice.extend(merges(loads.shards, total));
    advice
}

/// Records and bytes a second as one load.
fn load(rate: Rate) -> f64 {
    rate.bytes.max(rate.records * RECORD_LOAD)
}

fn hot_shard(shard: &ShardLoad, total: f64, loads: &Loads<'_>) -> Option<HotShard> {
    let rate = shard.minute;
    let share = load(rate) / total;
    let times_mean = share * loads.shards.len() as f64;
    let of_limit = loads.limit.map(|limit| (rate.records / limit.records).max(rate.bytes / limit.bytes));
    let is_hot = rate.throttled > 0.0
        || (times_mean >= HOT_TIMES_MEAN && load(rate) >= LOAD_LEAST)
        || of_limit.is_some_and(|of_limit| of_limit >= HOT_OF_LIMIT);
    let shards = loads.shards.len();
    is_hot.then_some(HotShard { shard: shard.shard, rate, share, times_mean, shards, of_limit })
}

/// What to do about a hot shard.
fn relieve(hot: HotShard, range: HashRange, loads: &Loads<'_>) -> Advice {
    let mut keys: Vec<&KeyLoad> = loads.keys.iter().filter(|key| range.contains(key.hash)).collect();
    let seen: f64 = keys.iter().map(|key| key.load).sum();
    let heaviest = keys.iter().max_by(|left, right| surely(left).total_cmp(&surely(right)));
    let heaviest = heaviest.filter(|_| seen > 0.0).map(|key| HotKey {
        key: key.key.clone(),
        hash: key.hash,
        share_of_shard: surely(key) / seen,
        share_of_stream: surely(key) / seen * hot.share,
    });
    keys.sort_unstable_by_key(|key| key.hash);
    match heaviest {
        Some(key) if key.share_of_shard >= ONE_KEY || range.start.saturating_add(3) > range.end => {
            Advice::SpreadKey { hot, key }
        }
        heaviest => {
            let heaviest = heaviest.filter(|key| key.share_of_shard >= KEY_WORTH_A_WORD);
            let (at, lower_share) = split_point(&keys, range);
            Advice::Split { hot, at, lower_share, heaviest }
        }
    }
}

/// A key's load at least.
fn surely(key: &KeyLoad) -> f64 {
    key.load - key.error
}

/// The place between two keys, which come in the order of their hash keys, where the heavier side is the lightest.
fn split_point(keys: &[&KeyLoad], range: HashRange) -> (HashKey, Option<f64>) {
    let seen: f64 = keys.iter().map(|key| key.load).sum();
    let mut below = 0.0;
    let places = keys.windows(2).filter_map(|pair| {
        below += pair[0].load;
        let (first, second) = (pair[0].hash.0, pair[1].hash.0);
        // Above the first key, at most at the second: in the middle, for the keys that were not seen.
        let at = first + (second - first).div_ceil(2);
        // Kinesis admits what is greater than one plus the first hash key, and less than the last.
        let is_admitted = at > range.start.saturating_add(1) && at < range.end;
        is_admitted.then_some((at, below / seen))
    });
    let heavier = |lower: f64| lower.max(1.0 - lower);
    let best = places.min_by(|(_, left), (_, right)| heavier(*left).total_cmp(&heavier(*right)));
    let middle = range.start + (range.end - range.start).div_ceil(2);
    match best.filter(|_| keys.len() >= KEYS_LEAST) {
        Some((at, lower)) => (HashKey(at), Some(lower)),
        None => (HashKey(middle), None),
    }
}

/// Neighbours that are both cold, each shard at most once.
fn merges(shards: &[ShardLoad], total: f64) -> Vec<Advice> {
    let mut by_range: Vec<&ShardLoad> = shards.iter().collect();
    by_range.sort_unstable_by_key(|shard| shard.range.start);
    let mean = total / shards.len() as f64;
    // The ten seconds keep a shard that has just begun from being taken for cold.
    let is_cold = |shard: &ShardLoad| {
        let busiest = load(shard.minute).max(load(shard.ten_seconds));
        busiest <= mean * COLD_TIMES_MEAN && shard.minute.throttled == 0.0
    };
    let merges_max = ADVICE_MAX.min(shards.len().saturating_sub(SHARDS_KEPT));
    let mut merges = Vec::new();
    let mut rest = &by_range[..];
    while let [first, second, behind @ ..] = rest
        && merges.len() < merges_max
    {
        if !(is_cold(first) && is_cold(second)) {
            rest = &rest[1..];
            continue;
        }
        rest = behind;
        let rate = Rate {
            records: first.minute.records + second.minute.records,
            bytes: first.minute.bytes + second.minute.bytes,
            throttled: 0.0,
        };
        let share = (load(first.minute) + load(second.minute)) / total;
        merges.push(Advice::Merge { shard: first.shard, adjacent: second.shard, rate, share });
    }
    merges
}

impl Advice {
    /// The shard that it is about; of a merge, the one with the lower hash keys.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        match self {
            Advice::Split { hot, .. } | Advice::SpreadKey { hot, .. } => hot.shard,
            Advice::Merge { shard, .. } => *shard,
        }
    }
}

/// Why, and what to do, in words and with the numbers.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Advice::Split { hot, at, lower_share, heaviest } => {
                write!(f, "{hot}. Split it at hash key {}", at.0)?;
                match lower_share {
                    Some(share) => write!(f, ": about {} of its load lies below", Percent(*share))?,
                    None => write!(f, ", the middle of its range: too few of its keys were seen to say more")?,
                }
                match heaviest {
                    Some(key) => {
                        write!(f, "; its heaviest key, {:?}, is {} of it", key.key, Percent(key.share_of_shard))
                    }
                    None => Ok(()),
                }
            }
            Advice::SpreadKey { hot, key } => write!(
                f,
                "{hot}. The key {:?} alone is {} of that, and one key stays in one shard, so a split does not help: \
                 spread it over several keys ({:?} to {:?}), or give the stream a larger throughput policy",
                key.key,
                Percent(key.share_of_shard),
                format!("{}-0", key.key),
                format!("{}-7", key.key),
            ),
            Advice::Merge { shard, adjacent, share, .. } => write!(
                f,
                "{shard} and {adjacent} lie side by side and together take {} of the stream's load. \
                 Merge them: the stream needs a shard less",
                Percent(*share)
            ),
        }
    }
}

impl fmt::Display for HotShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HotShard { shard, rate, share, times_mean, shards, of_limit } = self;
        let kib = rate.bytes / 1_024.0;
        write!(
            f,
            "{shard} takes {} of the stream's load ({:.0} records and {kib:.1} KiB a second",
            Percent(*share),
            rate.records
        )?;
        if *shards > 1 {
            write!(f, ", {times_mean:.1} times the mean of {shards} shards")?;
        }
        if let Some(of_limit) = of_limit {
            write!(f, ", {} of its limit", Percent(*of_limit))?;
        }
        if rate.throttled > 0.0 {
            write!(f, "; {:.1} records a second were refused", rate.throttled)?;
        }
        write!(f, ")")
    }
}

/// A hash key in JSON: more digits than a number there can have.
fn in_decimal<S: Serializer>(hash: &HashKey, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&hash.0)
}

fn by_name<S: Serializer>(shard: &ShardId, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(shard)
}

/// A share as people read it.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = if percent < 9.95 { 1 } else { 0 };
        write!(f, "{percent:.digits$} %")
    }
}

#[cfg(test)]
mod tests;
