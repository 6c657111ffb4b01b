//! Which records the sketch of keys looks at: all of them while they are few, and one in so many where they are not,
//! so that it costs the same in a second whatever the rate.
//!
//! The gap between two records that are looked at is random: with a fixed one, keys that come in turns would hide
//! behind each other. A record that is looked at stands for as many as the gap is long on average, so the expected load
//! of each key is its true one. A stride of `s` adds to a key with `n` records that are looked at a relative error of
//! about `1 / sqrt(n)`.

/// How many records are looked at in a second before the stride doubles: at about half a microsecond each that is 0.05 %
/// of a processor, and each doubling that follows in the same second adds no more than that.
const BUDGET: u64 = 1_024;
/// The longest stride: some four thousand million records a second.
const STRIDE_MAX: u64 = 1 << 20;

/// Chooses records by chance.
#[derive(Debug)]
pub struct Sampler {
    /// One record in so many is looked at.
    stride: u64,
    /// How many records to pass over next.
    gap: u64,
    /// What each record that is looked at next stands for.
    stands_for: u64,
    /// How many were looked at in this second, and since the stride changed last.
    taken: u64,
    /// How many records there were in this second.
    seen: u64,
    random: u64,
}

impl Sampler {
    /// A sampler that begins with every record.
    #[must_use]
    pub fn new(seed: u64) -> Sampler {
        // A generator of shifts and exclusive ors stands still at zero.
        Sampler { stride: 1, gap: 0, stands_for: 1, taken: 0, seen: 0, random: seed | 1 }
    }

    /// A new second begins: the stride becomes what the last one would have needed.
    pub fn turn(&mut self) {
        self.stride = (self.seen / BUDGET).next_power_of_two().min(STRIDE_MAX);
        (self.taken, self.seen) = (0, 0);
    }

    /// Looks at some of the next `count` records: hands over the index of each, and how many records it stands for.
    #[inline]
    pub fn pick(&mut self, count: usize, mut look: impl FnMut(usize, f64)) {
        let records = count as u64;
        self.seen += records;
        while self.gap < records {
            let index = usize::try_from(self.gap).expect("less than a count of records");
            #[expect(clippy::cast_precision_loss, reason = "a stride is at most 2^20")]
            look(index, self.stands_for as f64);
            self.take();
        }
        self.gap -= records;
    }

    /// Goes on behind the record that was looked at.
    fn take(&mut self) {
        self.taken += 1;
        if self.taken == BUDGET {
            self.taken = 0;
            self.stride = (self.stride * 2).min(STRIDE_MAX);
        }
        // Even over 1 to 2 s - 1, so `s` on average.
        self.gap += 1 + self.next_random() % (2 * self.stride - 1);
        self.stands_for = self.stride;
    }

    /// Marsaglia's xorshift: it need not be unforeseeable, only unrelated to the order of keys.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pick_all(sampler: &mut Sampler, count: usize, batch: usize) -> Vec<(usize, f64)> {
        let mut picked = Vec::new();
        for first in (0..count).step_by(batch) {
            let length = batch.min(count - first);
            sampler.pick(length, |index, stands_for| {
                assert!(index < length);
                picked.push((first + index, stands_for));
            });
        }
        picked
    }

    proptest! {
        #[test]
        fn records_are_chosen_alike_however_they_are_divided_into_batches(seed: u64, batch in 1_usize..5_000) {
            let whole = pick_all(&mut Sampler::new(seed), 20_000, 20_000);
            prop_assert_eq!(pick_all(&mut Sampler::new(seed), 20_000, batch), whole);
        }

        #[test]
        fn what_is_looked_at_stands_for_all_that_there_is(seed: u64) {
            let mut sampler = Sampler::new(seed);
            for _ in 0..3 {
                let picked = pick_all(&mut sampler, 1_000_000, 1_000);
                let stands_for: f64 = picked.iter().map(|(_, stands_for)| stands_for).sum();
                prop_assert!((stands_for / 1e6 - 1.0).abs() < 0.1, "{} for a million", stands_for);
                sampler.turn();
            }
        }
    }

    #[test]
    fn while_records_are_few_each_is_looked_at() {
        let mut sampler = Sampler::new(7);
        for _ in 0..10 {
            assert_eq!(pick_all(&mut sampler, 1_000, 10).len(), 1_000);
            sampler.turn();
        }
    }

    #[test]
    fn a_second_of_any_length_costs_a_bounded_number_of_looks() {
        let mut sampler = Sampler::new(7);
        let first = pick_all(&mut sampler, 10_000_000, 1_000).len();
        assert!(first <= 1_024 * 15, "{first} in the first second of a storm");
        sampler.turn();
        let second = pick_all(&mut sampler, 10_000_000, 1_000).len();
        assert!(second <= 1_024 * 4, "{second} in the next");
    }

    #[test]
    fn keys_that_come_in_turns_do_not_hide_behind_each_other() {
        let mut sampler = Sampler::new(7);
        let mut loads = [0.0; 64];
        for _ in 0..20 {
            for (index, stands_for) in pick_all(&mut sampler, 1_000_000, 1_000) {
                loads[index % 64] += stands_for;
            }
            sampler.turn();
        }
        for load in loads {
            let share: f64 = load / 20e6 * 64.0;
            assert!((share - 1.0).abs() < 0.2, "a key in turn gets {share} of what it should");
        }
    }
}
