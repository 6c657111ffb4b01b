//! Numbers from a seed: what chooses in a test, and what a store draws where its bytes shall come out the same again.

use std::sync::atomic::{AtomicU64, Ordering};

use millrace::Entropy;

/// A splitmix64: small, quick, and the same everywhere.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut word = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// One of several.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Bytes of all values.
    pub fn bytes(&self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

impl Entropy for Dice {
    fn random(&self) -> u64 {
        self.next()
    }
}

/// The seed of this run: `MILLRACE_SEED`, or always the same one.
pub fn seed() -> u64 {
    let given = std::env::var("MILLRACE_SEED").ok();
    given.map_or(1, |text| text.parse().expect("MILLRACE_SEED is a number"))
}
