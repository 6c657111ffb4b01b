//! The promises of the tanks, against models that step from one millisecond to the next.

use proptest::prelude::*;

use super::*;

/// How long sixty days are, in milliseconds.
const SIXTY_DAYS_MS: u64 = 60 * 24 * 3_600_000;

/// A write tank as anybody would write it down: every millisecond brings its thousandths, one after the other.
struct NaiveWrites {
    rate: u64,
    base: u64,
    burst: u64,
    records_rate: u64,
    records: u64,
    at_ms: u64,
}

impl NaiveWrites {
    fn new(rate: u64, records_rate: u64) -> NaiveWrites {
        let (base, burst) = (rate * 1_000, Self::burst_max(rate));
        NaiveWrites { rate, base, burst, records_rate, records: records_rate * 1_000, at_ms: 0 }
    }

    fn burst_max(rate: u64) -> u64 {
        (10 << 20_u64).max(rate) * 1_000 - rate * 1_000
    }

    fn pass_to(&mut self, now_ms: u64) {
        while self.at_ms < now_ms {
            self.at_ms += 1;
            let filled = self.base + self.rate;
            self.base = filled.min(self.rate * 1_000);
            self.burst = (self.burst + filled - self.base).min(Self::burst_max(self.rate));
            self.records = (self.records + self.records_rate).min(self.records_rate * 1_000);
        }
    }

    /// Takes one record or leaves all as it is.
    fn admits(&mut self, bytes: u64, now_ms: u64) -> bool {
        self.pass_to(now_ms);
        let wanted = bytes * 1_000;
        let from_burst = if bytes > self.rate { wanted.min(self.burst) } else { 0 };
        if self.records < 1_000 || wanted - from_burst > self.base {
            return false;
        }
        self.records -= 1_000;
        self.burst -= from_burst;
        self.base -= wanted - from_burst;
        true
    }
}

fn limits(bytes: u64, records: u64) -> ShardLimits {
    ShardLimits {
        write_bytes_per_second: Some(bytes),
        write_records_per_second: Some(records),
        ..ShardLimits::default()
    }
}

/// Steps of time with what is written then: mostly forward, now and then back.
fn steps() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![6 => 0..400_i64, 1 => 1_000..9_000_i64, 1 => -2_000..0_i64];
    let bytes = prop_oneof![6 => 0..600_u64, 2 => 600..5_000_u64, 1 => 5_000..20_000_u64];
    proptest::collection::vec((step, bytes), 1..150)
}

proptest! {
    #[test]
    fn a_shard_takes_what_the_naive_model_takes_and_never_more_than_its_tanks_and_its_rate(
        rate in 300..3_000_u64,
        records_rate in 1..30_u64,
        steps in steps(),
    ) {
        let limits = limits(rate, records_rate);
        let (mut tank, mut naive) = (WriteTank::new(&limits, 0), NaiveWrites::new(rate, records_rate));
        let (mut now_ms, mut latest_ms, mut admitted) = (0_u64, 0, Vec::new());
        for (step, bytes) in steps {
            now_ms = now_ms.saturating_add_signed(step);
            latest_ms = latest_ms.max(now_ms);
            let before = tank;
            let verdict = tank.admit(Demand::of_record(bytes, &limits), now_ms);
            prop_assert_eq!(verdict.is_ok(), naive.admits(bytes, latest_ms), "{:?} at {}", verdict, now_ms);
            match verdict {
                Ok(()) => admitted.push((latest_ms, bytes)),
                Err(refusal) => {
                    let mut waited = before;
                    waited.refusal(Demand::default(), now_ms);
                    prop_assert_eq!(waited, tank, "a refusal takes nothing");
                    prop_assert!(refusal.exceeded_by > 0);
                }
            }
        }
        for (first, (from_ms, _)) in admitted.iter().enumerate() {
            let (mut bytes_in, mut ordinary_in) = (0, 0);
            for (index, (to_ms, bytes)) in admitted.iter().enumerate().skip(first) {
                bytes_in += bytes;
                ordinary_in += if *bytes > rate { 0 } else { *bytes };
                let came = rate * (to_ms - from_ms) / 1_000;
                prop_assert!(bytes_in <= (10 << 20_u64).max(rate) + came, "no more than both tanks and the rate");
                prop_assert!(ordinary_in <= rate + came, "ordinary records never draw on the burst tank");
                let records_in = (index - first + 1) as u64;
                prop_assert!(records_in <= records_rate + records_rate * (to_ms - from_ms) / 1_000);
            }
        }
    }

    #[test]
    fn a_refused_record_is_taken_at_the_very_millisecond_that_its_refusal_says(
        rate in 300..3_000_u64,
        records_rate in 1..30_u64,
        steps in steps(),
    ) {
        let limits = limits(rate, records_rate);
        let mut tank = WriteTank::new(&limits, 0);
        let mut now_ms = 0_u64;
        for (step, bytes) in steps {
            now_ms += step.unsigned_abs();
            let demand = Demand::of_record(bytes, &limits);
            let Err(refusal) = tank.admit(demand, now_ms) else { continue };
            let wait_ms = refusal.retry_after_ms.expect("any one record is taken some time");
            let (mut just_before, mut then) = (tank, tank);
            prop_assert!(just_before.admit(demand, now_ms + wait_ms - 1).is_err());
            prop_assert_eq!(then.admit(demand, now_ms + wait_ms), Ok(()));
        }
    }

    #[test]
    fn a_batch_fits_when_its_records_fit_one_after_the_other(
        rate in 300..3_000_u64,
        sizes in proptest::collection::vec(prop_oneof![0..900_u64, 2_000..9_000_u64], 0..12),
        waited_ms in 0..2_000_u64,
    ) {
        let limits = limits(rate, 8);
        let mut used = WriteTank::new(&limits, 0);
        used.admit(Demand::of_record(rate, &limits), 0).expect("a full tank");
        let whole = sizes.iter().fold(Demand::default(), |sum, size| sum.and(Demand::of_record(*size, &limits)));
        let (mut at_once, mut one_by_one) = (used, used);
        let each = sizes.iter().try_for_each(|size| one_by_one.admit(Demand::of_record(*size, &limits), waited_ms));
        let verdict = at_once.admit(whole, waited_ms);
        prop_assert_eq!(verdict.is_ok(), each.is_ok());
        if verdict.is_ok() && !sizes.is_empty() {
            prop_assert_eq!(at_once, one_by_one);
        }
        if let Err(Refusal { retry_after_ms: Some(wait_ms), .. }) = verdict {
            let mut then = used;
            prop_assert_eq!(then.admit(whole, waited_ms + wait_ms), Ok(()));
        }
    }

    #[test]
    fn reads_keep_to_their_calls_and_no_answer_is_given_before_the_last_one_is_paid_for(
        steps in proptest::collection::vec((0..700_u64, 0..11_u64 << 20), 1..200),
    ) {
        let mut tank = ReadTank::new(&ShardLimits::AWS, 0);
        let (mut now_ms, mut calls, mut read) = (0, Vec::new(), Vec::new());
        for (step_ms, found) in steps {
            now_ms += step_ms;
            match tank.admit(now_ms) {
                Ok(()) => {
                    tank.charge(found, now_ms);
                    calls.push(now_ms);
                    read.push((now_ms, found));
                }
                Err(refusal) => {
                    let wait_ms = refusal.retry_after_ms.expect("a read is admitted some time");
                    let (mut just_before, mut then) = (tank, tank);
                    prop_assert!(just_before.admit(now_ms + wait_ms - 1).is_err());
                    prop_assert_eq!(then.admit(now_ms + wait_ms), Ok(()));
                }
            }
        }
        for (first, from_ms) in calls.iter().enumerate() {
            for (index, to_ms) in calls.iter().enumerate().skip(first) {
                prop_assert!((index - first + 1) as u64 <= 5 + 5 * (to_ms - from_ms) / 1_000);
            }
        }
        for (first, (from_ms, _)) in read.iter().enumerate() {
            let mut before_last = 0;
            for (to_ms, found) in &read[first..] {
                // Each answer but the last is paid for when another one is given.
                prop_assert!(before_last <= (2 << 20) + (2 << 20) * (to_ms - from_ms) / 1_000);
                before_last += found;
            }
        }
    }
}

#[test]
fn the_published_limits_hold_as_they_are_published() {
    let limits = ShardLimits::AWS;
    let mut shard = WriteTank::new(&limits, 0);
    let small = Demand::of_record(100, &limits);
    let taken = (0..3_000).filter(|_| shard.admit(small, 0).is_ok()).count();
    assert_eq!(taken, 1_000, "a burst of 3,000 records");
    let refusal = shard.admit(small, 0).expect_err("the second is used up");
    assert_eq!((refusal.limit, refusal.exceeded_by, refusal.retry_after_ms), (Limit::WriteRecords, 1, Some(1)));
    let mut shard = WriteTank::new(&limits, 0);
    let kibibytes = Demand::of_record(1 << 10, &limits);
    let taken = (0..4_096).filter(|_| shard.admit(kibibytes, 0).is_ok()).count();
    assert_eq!(taken, 1_000, "4 MiB in records of 1 KiB: the records run out first");
    let mut shard = WriteTank::new(&limits, 0);
    let quarters = Demand::of_record(256 << 10, &limits);
    let taken = (0..16).filter(|_| shard.admit(quarters, 0).is_ok()).count();
    assert_eq!(taken, 4, "4 MiB in records of 256 KiB");
}

#[test]
fn after_a_large_record_ordinary_ones_pass_at_the_full_rate_and_the_next_large_one_waits() {
    let limits = ShardLimits::AWS;
    let largest = Demand::of_record(10 << 20, &limits);
    let mut shard = WriteTank::new(&limits, 0);
    assert_eq!(shard.admit(largest, 0), Ok(()));
    let ordinary = Demand::of_record(512 << 10, &limits);
    let refusal = shard.admit(ordinary, 0).expect_err("the tank is empty");
    assert_eq!(refusal.retry_after_ms, Some(500));
    for half_second in 1..40 {
        assert_eq!(shard.admit(ordinary, half_second * 500), Ok(()), "the base refills at once");
    }
    let refusal = shard.admit(largest, 20_000).expect_err("a shard that is busy all the time saves up nothing");
    assert_eq!(refusal.limit, Limit::WriteBytes);
    assert_eq!(refusal.retry_after_ms, Some(9_500));
    assert_eq!(shard.admit(largest, 29_500), Ok(()), "10 s of rest fill both tanks");
}

#[test]
fn a_batch_that_is_more_than_a_shard_ever_takes_is_told_apart() {
    let limits = ShardLimits::AWS;
    let mut shard = WriteTank::new(&limits, 0);
    let too_many = Demand { records: 1_001, bytes: 0, large_bytes: 0 };
    let refusal = shard.admit(too_many, 0).expect_err("more than a second's worth");
    assert_eq!((refusal.limit, refusal.exceeded_by, refusal.retry_after_ms), (Limit::WriteRecords, 1, None));
    let too_large = Demand { records: 2, bytes: 0, large_bytes: (10 << 20) + 1 };
    assert_eq!(shard.admit(too_large, 0).map_err(|refusal| refusal.retry_after_ms), Err(None));
}

#[test]
fn reads_are_refused_for_the_time_that_the_api_reference_says() {
    let mut shard = ReadTank::new(&ShardLimits::AWS, 0);
    let taken = (0..16).filter(|_| shard.admit(0).is_ok()).count();
    assert_eq!(taken, 5, "16 reads in a second");
    assert_eq!(
        shard.admit(0).map_err(|refusal| (refusal.limit, refusal.retry_after_ms)),
        Err((Limit::Reads, Some(200)))
    );
    assert!(shard.admit(199).is_err() && shard.admit(200).is_ok());
    let mut shard = ReadTank::new(&ShardLimits::AWS, 0);
    assert_eq!((shard.admit(0), shard.admit(0)), (Ok(()), Ok(())));
    shard.charge(1, 0);
    shard.charge(2 << 20, 0);
    assert!(shard.admit(999).is_err(), "more than was left of the second costs its whole length");
    assert!(shard.admit(1_000).is_ok());
    let iterators = (0..16).filter(|_| shard.admit_iterator(0).is_ok()).count();
    assert_eq!(iterators, 5);
}

#[test]
fn nothing_is_lost_or_gained_in_sixty_days() {
    // A rate and steps that have no common factor with a second.
    let rate = 7_919;
    let mut bucket = TokenBucket::new(rate, rate, 0);
    bucket.take(rate);
    let (mut now_ms, mut taken) = (0, rate);
    while now_ms < SIXTY_DAYS_MS {
        now_ms += 331;
        bucket.refill(now_ms);
        let available = bucket.available();
        bucket.take(available);
        taken += available;
    }
    assert_eq!(taken, rate + rate * now_ms / 1_000, "to the token");
}

#[test]
fn no_number_overflows_at_the_ends_of_their_ranges() {
    let most = TokenBucket::TOKENS_MAX;
    let mut bucket = TokenBucket::new(most, most, 0);
    bucket.take(u64::MAX);
    assert!(bucket.is_overdrawn() && bucket.missing(most) > most);
    bucket.refill(u64::MAX);
    bucket.refill(0);
    assert_eq!(bucket.wait_ms(u64::MAX), None);
    let limits = limits(most, most);
    let mut shard = WriteTank::new(&limits, u64::MAX);
    let all =
        Demand { records: u64::MAX, bytes: u64::MAX, large_bytes: u64::MAX }.and(Demand::of_record(u64::MAX, &limits));
    assert_eq!(shard.admit(all, 0).map_err(|refusal| refusal.retry_after_ms), Err(None));
    assert_eq!(WriteTank::new(&ShardLimits::default(), 0).admit(all, 0), Ok(()), "nothing is limited");
    let mut reads = ReadTank::new(&ShardLimits::default(), 0);
    reads.charge(u64::MAX, 0);
    assert_eq!((reads.admit(0), reads.admit_iterator(0)), (Ok(()), Ok(())));
    let mut pace = FanOutPace::new(&ShardLimits::default(), 0);
    pace.sent(u64::MAX, 0);
    assert_eq!(pace.wait_ms(0), 0);
}

#[test]
fn a_consumer_is_pushed_to_at_its_rate_over_any_time() {
    let mut pace = FanOutPace::new(&ShardLimits::AWS, 0);
    let (mut now_ms, mut sent) = (0, 0);
    while now_ms < 60_000 {
        now_ms += pace.wait_ms(now_ms);
        pace.sent(700_001, now_ms);
        sent += 700_001;
    }
    let allowed = (2 << 20) * (now_ms + 1_000) / 1_000;
    assert!(sent <= allowed + 700_001 && sent + 700_001 >= allowed, "{sent} of {allowed}");
}
