//! What a stream's keeper sees of it from minute to minute: averages over five minutes, of the stream and of each shard.
//!
//! It lives in memory. After a restart it takes five minutes until it knows an average again, and a day until it knows
//! that a shard is quiet; what must outlive a restart stands in the history.

use std::collections::{BTreeMap, VecDeque};

use super::Rate;
use crate::shard::{HashRange, ShardId};

/// What an average is taken over, in milliseconds.
const WINDOW_MS: u64 = 5 * 60_000;
/// How long two shards must have been quiet until they may be merged, in milliseconds.
pub(super) const QUIET_MS: u64 = 24 * 3_600_000;
/// How long a shard is left alone that splitting did not help, in milliseconds.
const LEFT_ALONE_MS: u64 = 24 * 3_600_000;
/// How often a peak is noted at most, in milliseconds.
const NOTE_EVERY_MS: u64 = 15 * 60_000;
/// How often shards are merged at most, in milliseconds.
const MERGE_EVERY_MS: u64 = 3_600_000;
/// After so many splits that took nothing off a shard, it is left alone. Two hot keys of one shard are told apart by
/// fewer, but for one time in 256.
const VAIN_SPLITS_MAX: u32 = 8;
/// A shard that has so much of its parent's load, in percent, was split in vain.
const IN_VAIN_PERCENT: u64 = 90;

/// What an open shard has taken in since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLoad {
    /// The shard.
    pub shard: ShardId,
    /// Its hash keys.
    pub range: HashRange,
    /// The shard that it was split off, or the two that it was merged of.
    pub parents: [Option<ShardId>; 2],
    /// Bytes of data and keys.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Watch {
    stream: Window,
    pub(super) shards: BTreeMap<ShardId, ShardWatch>,
    // The highest average since a peak was noted last.
    latest: Rate,
    since_note_ms: u64,
    since_merge_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct ShardWatch {
    pub range: HashRange,
    window: Window,
    pub quiet_ms: u64,
    // What the shard that it was split off had, until its own average is known.
    parent_load: Option<u64>,
    vain_splits: u32,
    // How long ago the last split was found to be in vain.
    since_vain_ms: u64,
}

/// The latest looks, at least five minutes of them where there are so many.
#[derive(Clone, Debug, Default)]
struct Window {
    looks: VecDeque<Look>,
    sum: Look,
}

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    ms: u64,
    bytes: u64,
    records: u64,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            stream: Window::default(),
            shards: BTreeMap::new(),
            latest: Rate::default(),
            since_note_ms: NOTE_EVERY_MS,
            since_merge_ms: 0,
        }
    }
}

impl Watch {
    /// Takes in what each open shard of the stream got in the `elapsed_ms` since the last look, by monotonic time.
    pub fn observe(&mut self, elapsed_ms: u64, loads: &[ShardLoad]) {
        let total = |of: fn(&ShardLoad) -> u64| loads.iter().map(of).fold(0_u64, u64::saturating_add);
        let look = Look { ms: elapsed_ms, bytes: total(|load| load.bytes), records: total(|load| load.records) };
        self.stream.add(look);
        self.latest = self.stream.rate().map_or(self.latest, |rate| self.latest.max(rate));
        self.since_note_ms = self.since_note_ms.saturating_add(elapsed_ms);
        self.since_merge_ms = self.since_merge_ms.saturating_add(elapsed_ms);
        // Those that are not among the loads were closed, and are of use to their children only.
        let mut former = std::mem::take(&mut self.shards);
        for load in loads {
            let known = former.remove(&load.shard);
            let parents = || load.parents.map(|parent| former.get(&parent?));
            let mut shard = known.unwrap_or_else(|| ShardWatch::born(load, parents()));
            shard.observe(Look { ms: elapsed_ms, bytes: load.bytes, records: load.records });
            self.shards.insert(load.shard, shard);
        }
    }

    /// The average of the stream over the last five minutes, once it is known.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.stream.rate()
    }

    /// The highest average since a peak was noted last.
    #[must_use]
    pub fn latest_peak(&self) -> Rate {
        self.latest
    }

    /// Whether a peak may be noted again.
    #[must_use]
    pub fn may_note(&self) -> bool {
        self.since_note_ms >= NOTE_EVERY_MS
    }

    /// The latest peak was noted.
    pub fn noted(&mut self) {
        self.latest = self.stream.rate().unwrap_or_default();
        self.since_note_ms = 0;
    }

    pub(super) fn may_merge(&self) -> bool {
        self.since_merge_ms >= MERGE_EVERY_MS
    }

    pub(super) fn merged(&mut self) {
        self.since_merge_ms = 0;
    }
}

impl ShardWatch {
    /// A shard goes on where those before it ended: the child of a split tells what the split was good for, and two
    /// that were merged were quiet.
    fn born(load: &ShardLoad, parents: [Option<&ShardWatch>; 2]) -> ShardWatch {
        let fresh = ShardWatch {
            range: load.range,
            window: Window::default(),
            quiet_ms: 0,
            parent_load: None,
            vain_splits: 0,
            since_vain_ms: 0,
        };
        match parents {
            [Some(parent), None] => ShardWatch {
                parent_load: parent.window.rate().map(Rate::load),
                vain_splits: parent.vain_splits,
                since_vain_ms: parent.since_vain_ms,
                ..fresh
            },
            [Some(lower), Some(upper)] => ShardWatch { quiet_ms: lower.quiet_ms.min(upper.quiet_ms), ..fresh },
            [None, _] => fresh,
        }
    }

    fn observe(&mut self, look: Look) {
        self.window.add(look);
        self.since_vain_ms = self.since_vain_ms.saturating_add(look.ms);
        let Some(rate) = self.window.rate() else { return };
        self.quiet_ms = if rate.is_quiet() { self.quiet_ms.saturating_add(look.ms) } else { 0 };
        // The first average that is known tells what the split was good for.
        if let Some(parent_load) = self.parent_load.take() {
            let in_vain = rate.load().saturating_mul(100) >= parent_load.saturating_mul(IN_VAIN_PERCENT);
            (self.vain_splits, self.since_vain_ms) = if in_vain { (self.vain_splits + 1, 0) } else { (0, 0) };
        }
    }

    /// Whether it takes in more than half of what it can, and a split may help.
    pub(super) fn wants_split(&self) -> bool {
        let left_alone = self.vain_splits >= VAIN_SPLITS_MAX && self.since_vain_ms < LEFT_ALONE_MS;
        self.window.rate().is_some_and(Rate::is_hot) && !left_alone
    }
}

impl Window {
    fn add(&mut self, look: Look) {
        self.looks.push_back(look);
        self.sum = self.sum.and(look);
        while let Some(first) = self.looks.front().filter(|first| self.sum.ms - first.ms >= WINDOW_MS) {
            self.sum = self.sum.without(*first);
            self.looks.pop_front();
        }
    }

    /// The average, once it is one over five minutes.
    fn rate(&self) -> Option<Rate> {
        let a_second = |sum: u64| sum.saturating_mul(1_000) / self.sum.ms;
        let known = self.sum.ms >= WINDOW_MS;
        known.then(|| Rate {
            bytes_per_second: a_second(self.sum.bytes),
            records_per_second: a_second(self.sum.records),
        })
    }
}

impl Look {
    fn and(self, other: Look) -> Look {
        self.with(other, u64::saturating_add)
    }

    fn without(self, other: Look) -> Look {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Look, of: fn(u64, u64) -> u64) -> Look {
        Look { ms: of(self.ms, other.ms), bytes: of(self.bytes, other.bytes), records: of(self.records, other.records) }
    }
}
