//! How long calls take: counts by duration, in buckets whose width is an eighth of their octave, so that a quantile is
//! at most one eighth too large and never too small.
//!
//! Quantiles are those of the last one to two minutes: two sets of buckets, and each minute the older one is emptied.
//! Counts and sums are of all time. A set costs 1.3 kB and is made with the first call that is measured.

use serde::{Deserialize, Serialize};

/// How many buckets an octave is divided into.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// The longest duration that is told apart, as a power of two of nanoseconds: more than two hours.
const OCTAVE_MAX: u32 = 42;
const BUCKETS: usize = ((OCTAVE_MAX - STEP_BITS + 2) << STEP_BITS) as usize;
/// How long calls are counted in one set, in seconds.
const WINDOW_SECONDS: u64 = 60;

/// How long the calls of one kind took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// How many calls were measured since the stream was opened.
    pub count: u64,
    /// All durations together, in nanoseconds.
    pub sum_ns: u64,
    /// Half of the calls of the last one to two minutes took no longer, in nanoseconds.
    pub p50_ns: u64,
    /// As above, of 90 in 100 calls.
    pub p90_ns: u64,
    /// As above, of 99 in 100 calls.
    pub p99_ns: u64,
    /// The longest of these calls, in nanoseconds.
    pub max_ns: u64,
}

#[derive(Clone, Debug)]
struct Counts([u32; BUCKETS]);

#[derive(Clone, Debug, Default)]
struct Set {
    counts: Option<Box<Counts>>,
    max_ns: u64,
}

/// Counts the calls of one kind by their duration.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    count: u64,
    sum_ns: u64,
    window: u64,
    present: Set,
    previous: Set,
}

impl Latency {
    /// Counts a call that took so long and ended in this second of a monotonic clock.
    pub fn record(&mut self, duration_ns: u64, second: u64) {
        self.turn(second / WINDOW_SECONDS);
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        self.present.max_ns = self.present.max_ns.max(duration_ns);
        let counts = self.present.counts.get_or_insert_with(|| Box::new(Counts([0; BUCKETS])));
        let count = &mut counts.0[bucket(duration_ns)];
        *count = count.saturating_add(1);
    }

    /// What was measured, seen in this second.
    #[must_use]
    pub fn read(&self, second: u64) -> Latencies {
        let age = (second / WINDOW_SECONDS).saturating_sub(self.window);
        let recent = [(&self.present, 1), (&self.previous, 0)];
        let sets = recent.into_iter().filter(|(_, age_max)| age <= *age_max).map(|(set, _)| set);
        let mut counts = [0_u64; BUCKETS];
        for set in sets.clone().filter_map(|set| set.counts.as_ref()) {
            counts.iter_mut().zip(set.0).for_each(|(sum, count)| *sum += u64::from(count));
        }
        let max_ns = sets.map(|set| set.max_ns).max().unwrap_or(0);
        let quantile = |hundredths: u64| quantile(&counts, hundredths).min(max_ns);
        Latencies {
            count: self.count,
            sum_ns: self.sum_ns,
            p50_ns: quantile(50),
            p90_ns: quantile(90),
            p99_ns: quantile(99),
            max_ns,
        }
    }

    fn turn(&mut self, window: u64) {
        if window <= self.window {
            return;
        }
        let mut emptied = std::mem::take(&mut self.previous);
        if window == self.window + 1 {
            self.previous = std::mem::take(&mut self.present);
        }
        // One set's memory serves for the next.
        emptied.counts = emptied.counts.or_else(|| self.present.counts.take());
        emptied.max_ns = 0;
        if let Some(counts) = &mut emptied.counts {
            counts.0.fill(0);
        }
        self.present = emptied;
        self.window = window;
    }
}

/// The bucket of a duration. The first [`STEPS`] hold one nanosecond each; then each octave has as many.
fn bucket(duration_ns: u64) -> usize {
    let bounded = duration_ns.min((1 << (OCTAVE_MAX + 1)) - 1);
    let octave = u64::BITS - 1 - (bounded | 1).leading_zeros();
    if octave < STEP_BITS {
        return usize::try_from(bounded).expect("less than the number of steps");
    }
    let step = (bounded >> (octave - STEP_BITS)) & (STEPS - 1);
    usize::try_from(u64::from(octave - STEP_BITS + 1) * STEPS + step).expect("a bucket's index is small")
}

/// The longest duration that falls into a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match octave {
        0 => step,
        _ => ((STEPS + step + 1) << (octave - 1)) - 1,
    }
}

/// So many in a hundred took no longer than this.
fn quantile(counts: &[u64; BUCKETS], hundredths: u64) -> u64 {
    let all: u64 = counts.iter().sum();
    let wanted = (all * hundredths).div_ceil(100);
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen >= wanted && seen > 0
    });
    found.map_or(0, bucket_end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut start = 0;
        for index in 0..BUCKETS {
            let end = bucket_end(index);
            assert_eq!((bucket(start), bucket(end)), (index, index), "{start} to {end}");
            start = end + 1;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_an_eighth_too_large_and_never_too_small(
            mut durations in proptest::collection::vec(0_u64..1 << 40, 1..400),
        ) {
            let mut latency = Latency::default();
            durations.iter().for_each(|duration| latency.record(*duration, 7));
            durations.sort_unstable();
            let exact = |hundredths: usize| durations[(durations.len() * hundredths).div_ceil(100) - 1];
            let read = latency.read(8);
            for (found, exact) in [(read.p50_ns, exact(50)), (read.p90_ns, exact(90)), (read.p99_ns, exact(99))] {
                prop_assert!(found >= exact && found <= exact + exact / 8, "{} for {}", found, exact);
            }
            prop_assert_eq!(read.max_ns, exact(100));
            prop_assert_eq!((read.count, read.sum_ns), (durations.len() as u64, durations.iter().sum()));
        }
    }

    #[test]
    fn quantiles_forget_what_is_two_minutes_old_and_counts_do_not() {
        let mut latency = Latency::default();
        latency.record(1_000_000, 10);
        latency.record(100, 70);
        assert_eq!(latency.read(70).max_ns, 1_000_000);
        assert_eq!(latency.read(119).max_ns, 1_000_000);
        assert_eq!(latency.read(120).max_ns, 100, "the minute before the last one is not in it any more");
        latency.record(200, 130);
        assert_eq!(latency.read(130).max_ns, 200);
        assert_eq!((latency.read(500).max_ns, latency.read(500).p99_ns), (0, 0));
        assert_eq!((latency.read(500).count, latency.read(500).sum_ns), (3, 1_000_300));
    }
}
