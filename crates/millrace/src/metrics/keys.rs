//! Which partition keys are heavy, in bounded memory: the Space-Saving sketch of Metwally, Agrawal and El Abbadi (2005)
//! with weights that fade.
//!
//! The sketch keeps so many keys with a load each. A key that is kept gets what it weighs added. One that is not takes
//! the place of the lightest, and that one's load with it, which is noted as the most by which the newcomer's load can
//! be too large:
//!
//! ```text
//! kept      a: 90   b: 40   c: 7          d arrives, weighing 2
//! becomes   a: 90   b: 40   d: 9 (error 7)
//! ```
//! Invariants, with `total` the load of all keys and `capacity` the number of keys that are kept:
//! - the loads kept add up to `total`;
//! - for each key that is kept, `load - error <= true load <= load`, and `error <= total / capacity`;
//! - a key whose true load is more than `total / capacity` is kept.
//!
//! So the sketch is also a sample of where load stands among the hash keys: heavy keys at their places, and the rest at
//! the places of those that came last. That is what a split point is found by.
//!
//! All loads are halved every [`HALF_LIFE_SECONDS`], exactly, so the invariants hold for loads that have been halved as
//! often: what is seen is mostly of the last two minutes. Memory: about 80 bytes a key and the key itself.

use std::collections::HashMap;

use crate::shard::HashKey;

/// After so many seconds a load counts half.
pub const HALF_LIFE_SECONDS: u64 = 60;
/// So many halvings leave nothing worth keeping.
const HALVINGS_MAX: u64 = 64;

/// A key that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyLoad {
    /// Where it stands among the hash keys.
    pub hash: HashKey,
    /// The partition key that was seen last with this hash key.
    pub key: String,
    /// Its load, at most.
    pub load: f64,
    /// By how much `load` can be too large.
    pub error: f64,
    /// Its records, at least.
    pub records: f64,
    /// Its bytes of key and data, at least.
    pub bytes: f64,
}

/// What a record adds to its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// What it counts for in the choice of the keys that are kept.
    pub load: f64,
    /// Records: more than 1 where one stands for several.
    pub records: f64,
    /// Bytes of key and data.
    pub bytes: f64,
}

#[derive(Debug)]
struct Entry {
    load: KeyLoad,
    // Where the entry stands in the heap.
    rank: usize,
}

/// The heaviest keys.
#[derive(Debug)]
pub struct KeySketch {
    capacity: usize,
    entries: Vec<Entry>,
    places: HashMap<HashKey, usize>,
    // The entries by load: each no heavier than the two that it stands above, so that the first is the lightest.
    heap: Vec<usize>,
    total: Weight,
    half_lives: u64,
}

impl KeySketch {
    /// A sketch that keeps so many keys, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> KeySketch {
        KeySketch {
            capacity: capacity.max(1),
            entries: Vec::new(),
            places: HashMap::new(),
            heap: Vec::new(),
            total: Weight { load: 0.0, records: 0.0, bytes: 0.0 },
            half_lives: 0,
        }
    }

    /// Adds a record of a key; `second` is that of a monotonic clock.
    pub fn add(&mut self, hash: HashKey, key: &[u8], weight: Weight, second: u64) {
        self.fade(second);
        self.total.add(weight);
        let place = self.places.get(&hash).copied().unwrap_or_else(|| self.take_place(hash, key));
        let entry = &mut self.entries[place];
        entry.load.load += weight.load;
        entry.load.records += weight.records;
        entry.load.bytes += weight.bytes;
        let rank = entry.rank;
        self.sift_down(rank);
    }

    /// The load of all keys.
    #[must_use]
    pub fn total(&self) -> Weight {
        self.total
    }

    /// The keys that are kept, the heaviest first.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyLoad> {
        let mut keys: Vec<KeyLoad> = self.entries.iter().map(|entry| entry.load.clone()).collect();
        keys.sort_by(|left, right| right.load.total_cmp(&left.load).then(left.hash.cmp(&right.hash)));
        keys
    }

    /// Halves all loads as often as it is due by this second.
    pub fn fade(&mut self, second: u64) {
        let half_lives = second / HALF_LIFE_SECONDS;
        if half_lives <= self.half_lives {
            return;
        }
        let halvings = half_lives - self.half_lives;
        self.half_lives = half_lives;
        if halvings >= HALVINGS_MAX {
            *self = KeySketch { half_lives, ..KeySketch::new(self.capacity) };
            return;
        }
        // Halving all leaves their order as it is, so the heap stays one.
        let factor = 0.5_f64.powi(i32::try_from(halvings).expect("fewer than 64"));
        self.total = self.total.times(factor);
        for KeyLoad { load, error, records, bytes, .. } in self.entries.iter_mut().map(|entry| &mut entry.load) {
            [load, error, records, bytes].into_iter().for_each(|amount| *amount *= factor);
        }
    }

    /// A place for a key that is not kept: a new one, or that of the lightest key.
    fn take_place(&mut self, hash: HashKey, key: &[u8]) -> usize {
        let place = if self.entries.len() < self.capacity {
            self.new_place()
        } else {
            self.places.remove(&self.entries[self.heap[0]].load.hash);
            self.heap[0]
        };
        self.places.insert(hash, place);
        let entry = &mut self.entries[place].load;
        entry.hash = hash;
        entry.key.clear();
        entry.key.push_str(&String::from_utf8_lossy(key));
        entry.error = entry.load;
        (entry.records, entry.bytes) = (0.0, 0.0);
        place
    }

    /// A place of load 0, at the top of the heap: nothing is lighter.
    fn new_place(&mut self) -> usize {
        let place = self.entries.len();
        let load = KeyLoad { hash: HashKey(0), key: String::new(), load: 0.0, error: 0.0, records: 0.0, bytes: 0.0 };
        self.entries.push(Entry { load, rank: self.heap.len() });
        self.heap.push(place);
        let mut rank = self.heap.len() - 1;
        while rank > 0 {
            let above = (rank - 1) / 2;
            self.swap(rank, above);
            rank = above;
        }
        place
    }

    fn sift_down(&mut self, mut rank: usize) {
        loop {
            let below = [2 * rank + 1, 2 * rank + 2].into_iter().filter(|rank| *rank < self.heap.len());
            let lightest = below.min_by(|left, right| self.load_at(*left).total_cmp(&self.load_at(*right)));
            let Some(lightest) = lightest.filter(|below| self.load_at(*below) < self.load_at(rank)) else { return };
            self.swap(rank, lightest);
            rank = lightest;
        }
    }

    fn load_at(&self, rank: usize) -> f64 {
        self.entries[self.heap[rank]].load.load
    }

    fn swap(&mut self, left: usize, right: usize) {
        self.heap.swap(left, right);
        self.entries[self.heap[left]].rank = left;
        self.entries[self.heap[right]].rank = right;
    }
}

impl Weight {
    fn add(&mut self, more: Weight) {
        self.load += more.load;
        self.records += more.records;
        self.bytes += more.bytes;
    }

    fn times(self, factor: f64) -> Weight {
        Weight { load: self.load * factor, records: self.records * factor, bytes: self.bytes * factor }
    }
}

#[cfg(test)]
mod tests;
