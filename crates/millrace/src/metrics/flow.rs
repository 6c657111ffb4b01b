//! What passes one way: totals for a stream and each of its shards, and rates over the last second, ten seconds and
//! minute.
//!
//! Nobody wakes up to keep the rates. Whoever adds to the totals says what second it is; at the first addition of a new
//! second the totals are kept as they were when it began. Between two such moments nothing was added, so the totals at
//! the beginning of any second are those of the next moment that was kept:
//!
//! ```text
//! second      100     101     102     103     104     105 (now)
//! additions    ..              ...                     .
//! kept         ^               ^                       ^
//! totals at the beginning of 103: those kept at 105
//! ```
//! Two rings hold the moments: one of the last seconds, and one of the last tens of seconds. A rate is the difference of
//! two moments, so it covers whole seconds, and the one that is going on is not in it yet.
//!
//! Memory: a block of eight shards is made when the first of them is touched, and costs 504 bytes a shard. Ten thousand
//! shards that are all in use cost 5 MB each way.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How many seconds are remembered one by one: the ten of a window, the one before, and the one that goes on.
const FINE: usize = 12;
/// How many tens of seconds are remembered: the six or seven of a window, and the one that goes on.
const COARSE: usize = 8;
/// How long one moment of the coarse ring holds, in seconds.
const COARSE_SECONDS: u64 = 10;
/// How many shards share a block.
const BLOCK_SHARDS: u32 = 8;

/// What has passed one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Records.
    pub records: u64,
    /// Their keys and data, in bytes.
    pub bytes: u64,
    /// What a limit refused: records on their way in, calls on their way out.
    pub throttled: u64,
}

impl Flow {
    /// So many records of so many bytes, none of them refused.
    #[must_use]
    pub fn of(records: u64, bytes: u64) -> Flow {
        Flow { records, bytes, throttled: 0 }
    }

    /// Adds what passed besides.
    pub fn add(&mut self, more: Flow) {
        self.records += more.records;
        self.bytes += more.bytes;
        self.throttled += more.throttled;
    }

    /// What was added since `earlier`.
    fn since(self, earlier: Flow) -> Flow {
        Flow {
            records: self.records - earlier.records,
            bytes: self.bytes - earlier.bytes,
            throttled: self.throttled - earlier.throttled,
        }
    }
}

/// What passes in a second, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Records a second.
    pub records: f64,
    /// Bytes of keys and data a second.
    pub bytes: f64,
    /// Refusals a second.
    pub throttled: f64,
}

/// Totals, and the rates of the last whole second, ten seconds and minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passed {
    /// Since the stream was opened.
    pub total: Flow,
    /// Over the last whole second.
    pub second: Rate,
    /// Over the last ten seconds.
    pub ten_seconds: Rate,
    /// Over the last minute: six to seven whole tens of seconds.
    pub minute: Rate,
}

/// The totals of so many shards, now and at the moments that are kept.
#[derive(Debug)]
struct Block<const N: usize> {
    now: [Flow; N],
    fine: [[Flow; N]; FINE],
    coarse: [[Flow; N]; COARSE],
}

impl<const N: usize> Default for Block<N> {
    fn default() -> Self {
        let none = [Flow::default(); N];
        Block { now: none, fine: [none; FINE], coarse: [none; COARSE] }
    }
}

impl<const N: usize> Block<N> {
    fn at(&self, moment: Moment, index: usize) -> Flow {
        match moment {
            Moment::Now => self.now[index],
            Moment::Fine(slot) => self.fine[slot][index],
            Moment::Coarse(slot) => self.coarse[slot][index],
        }
    }

    fn passed(&self, windows: &Windows, index: usize) -> Passed {
        let rate = |window: &Window| window.rate(self.at(window.until, index).since(self.at(window.from, index)));
        Passed {
            total: self.now[index],
            second: rate(&windows.second),
            ten_seconds: rate(&windows.ten_seconds),
            minute: rate(&windows.minute),
        }
    }
}

/// Where totals of a moment stand.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Now,
    Fine(usize),
    Coarse(usize),
}

/// From one moment until another.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Moment,
    until: Moment,
    seconds: u64,
}

impl Window {
    fn rate(&self, passed: Flow) -> Rate {
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate; totals below 2^53 are exact")]
        let a_second = |amount: u64| amount as f64 / self.seconds as f64;
        Rate { records: a_second(passed.records), bytes: a_second(passed.bytes), throttled: a_second(passed.throttled) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    second: Window,
    ten_seconds: Window,
    minute: Window,
}

/// Totals and rates of a stream and its shards, one way.
#[derive(Debug)]
pub struct Flows {
    /// The second in which counting began.
    born: u64,
    /// The second of the last addition, or the one in which counting began.
    second: u64,
    touched: bool,
    fine: [Option<u64>; FINE],
    coarse: [Option<u64>; COARSE],
    whole: Box<Block<1>>,
    // Not by index: whoever forges a log numbers its shards as he likes.
    shards: HashMap<u32, Box<Block<{ BLOCK_SHARDS as usize }>>>,
}

impl Flows {
    /// Nothing has passed when counting begins, in this second of a monotonic clock.
    #[must_use]
    pub fn new(second: u64) -> Flows {
        let mut flows = Flows {
            born: second,
            second,
            touched: false,
            fine: [None; FINE],
            coarse: [None; COARSE],
            whole: Box::default(),
            shards: HashMap::new(),
        };
        flows.fine[slot(second, FINE)] = Some(second);
        flows.coarse[slot(second / COARSE_SECONDS, COARSE)] = Some(second);
        flows
    }

    /// Says what second it is, before anything that passed in it is added. Returns whether nothing was added in it yet.
    #[inline]
    pub fn tick(&mut self, second: u64) -> bool {
        let is_first = second > self.second || !self.touched;
        if is_first {
            self.keep(second);
        }
        is_first
    }

    /// Adds what passed through a shard.
    #[inline]
    pub fn add(&mut self, shard: u32, more: Flow) {
        let (block, index) = place(shard);
        self.shards.entry(block).or_default().now[index].add(more);
        self.whole.now[0].add(more);
    }

    /// What passed through the stream, seen in this second.
    #[must_use]
    pub fn whole(&self, second: u64) -> Passed {
        self.whole.passed(&self.windows(second), 0)
    }

    /// What passed through these shards, seen in this second, in the order in which they are named.
    #[must_use]
    pub fn shards(&self, second: u64, shards: impl IntoIterator<Item = u32>) -> Vec<Passed> {
        let windows = self.windows(second);
        let passed = |shard: u32| {
            let (block, index) = place(shard);
            Some(self.shards.get(&block)?.passed(&windows, index))
        };
        shards.into_iter().map(|shard| passed(shard).unwrap_or_default()).collect()
    }

    /// Lets go of the memory of shards that are no longer of interest; what passed through them stays in the stream's
    /// totals. Eight shards share their memory, so it goes when none of them is wanted.
    pub fn forget(&mut self, is_wanted: impl Fn(u32) -> bool) {
        self.shards.retain(|block, _| (0..BLOCK_SHARDS).any(|index| is_wanted(block * BLOCK_SHARDS + index)));
    }

    /// Keeps the totals as they are at the beginning of this second.
    #[cold]
    fn keep(&mut self, second: u64) {
        self.touched = true;
        if second <= self.second {
            return;
        }
        let fine = slot(second, FINE);
        self.fine[fine] = Some(second);
        let ten = second / COARSE_SECONDS;
        let coarse = (ten > self.second / COARSE_SECONDS).then(|| slot(ten, COARSE));
        if let Some(coarse) = coarse {
            self.coarse[coarse] = Some(second);
        }
        self.second = second;
        self.whole.fine[fine] = self.whole.now;
        for block in self.shards.values_mut() {
            block.fine[fine] = block.now;
        }
        let Some(coarse) = coarse else { return };
        self.whole.coarse[coarse] = self.whole.now;
        for block in self.shards.values_mut() {
            block.coarse[coarse] = block.now;
        }
    }

    fn windows(&self, now: u64) -> Windows {
        // Whoever asks may have read the clock before the last one who added.
        let now = now.max(self.second);
        let window = |from: u64| Window {
            from: self.moment(from),
            until: self.moment(now),
            // A stream that was opened just now is not slow, it is young.
            seconds: (now - from).min(now - self.born).max(1),
        };
        Windows {
            second: window(now.saturating_sub(1)),
            ten_seconds: window(now.saturating_sub(10)),
            minute: window(now.saturating_sub(60) / COARSE_SECONDS * COARSE_SECONDS),
        }
    }

    /// The totals at the beginning of a second: those of the first moment from there on that was kept.
    fn moment(&self, second: u64) -> Moment {
        let fine = self.fine.iter().enumerate().map(|(slot, kept)| (*kept, Moment::Fine(slot)));
        let coarse = self.coarse.iter().enumerate().map(|(slot, kept)| (*kept, Moment::Coarse(slot)));
        let kept = fine.chain(coarse).filter_map(|(kept, moment)| Some((kept?, moment)));
        let next = kept.filter(|(kept, _)| *kept >= second).min_by_key(|(kept, _)| *kept);
        next.map_or(Moment::Now, |(_, moment)| moment)
    }
}

/// In which block a shard stands, and where there.
fn place(shard: u32) -> (u32, usize) {
    (shard / BLOCK_SHARDS, (shard % BLOCK_SHARDS) as usize)
}

fn slot(count: u64, slots: usize) -> usize {
    usize::try_from(count % slots as u64).expect("less than the number of slots")
}

#[cfg(test)]
mod tests;
