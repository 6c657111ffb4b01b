//! What a shard takes in: bytes and records a second, with a tank for large records.
//!
//! Ordinary records draw on a bucket that holds what one second brings. A record of more than that, a large one, could
//! never pass it; for those stands a second tank, filled by nothing but what runs over from the first. Together they
//! hold 10 MiB (or one second's worth, where that is more), the largest record that there is:
//!
//! ```text
//!   rate ──► [ base: one second's worth ] ──runs over──► [ burst: up to 10 MiB in all ]
//!                │            ▲                                  │
//!         ordinary records    └──────── the rest ──────── large records
//! ```
//!
//! A large record takes from the burst tank first and its rest from the base. So after one of 10 MiB ordinary records
//! pass again as the base refills, at the full rate and at once; over any time the shard takes no more than its rate and
//! what stood in the tanks at the start; and a shard that is busy all the time saves up nothing for large records. That is
//! what AWS says of large records ("a tank that refills at a steady rate", averages unchanged) made exact; AWS
//! publishes no numbers for its tank.

use super::bucket::{parts, thousandths_missing};
use super::{Limit, Refusal, ShardLimits, TokenBucket};

/// What both tanks hold together at least, in bytes: the largest record that a stream can allow.
const LARGEST_RECORD_BYTES: u64 = 10 << 20;

/// What somebody wants to write to one shard at once: a record, or all that a batch has for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// How many records.
    pub records: u64,
    /// Bytes of data and keys of the ordinary ones.
    pub bytes: u64,
    /// Bytes of data and keys of the large ones.
    pub large_bytes: u64,
}

impl Demand {
    /// What one record needs, of so many bytes of data and key, at a shard with these limits.
    #[must_use]
    pub fn of_record(bytes: u64, limits: &ShardLimits) -> Demand {
        match limits.write_bytes_per_second {
            Some(base) if bytes > base => Demand { records: 1, bytes: 0, large_bytes: bytes },
            _ => Demand { records: 1, bytes, large_bytes: 0 },
        }
    }

    /// What both together need.
    #[must_use]
    pub fn and(self, other: Demand) -> Demand {
        Demand {
            records: self.records.saturating_add(other.records),
            bytes: self.bytes.saturating_add(other.bytes),
            large_bytes: self.large_bytes.saturating_add(other.large_bytes),
        }
    }
}

/// The write side of one shard.
///
/// ```
/// use millrace::limits::{Demand, Limit, ShardLimits, WriteTank};
/// let limits = ShardLimits::AWS;
/// let mut shard = WriteTank::new(&limits, 0);
/// let mebibyte = Demand::of_record(1 << 20, &limits);
/// assert_eq!(shard.admit(mebibyte, 0), Ok(()));
/// let refusal = shard.admit(mebibyte, 250).expect_err("a quarter of it has come by now");
/// assert_eq!((refusal.limit, refusal.exceeded_by, refusal.retry_after_ms), (Limit::WriteBytes, 3 << 18, Some(750)));
/// assert_eq!(shard.admit(mebibyte, 1_000), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTank {
    bytes: Option<Bytes>,
    records: Option<TokenBucket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    base: TokenBucket,
    // It gains nothing by itself.
    burst: TokenBucket,
}

impl WriteTank {
    /// Full tanks.
    #[must_use]
    pub fn new(limits: &ShardLimits, now_ms: u64) -> WriteTank {
        WriteTank {
            bytes: limits.write_bytes_per_second.map(|rate| Bytes {
                base: TokenBucket::new(rate, rate, now_ms),
                burst: TokenBucket::new(0, LARGEST_RECORD_BYTES.saturating_sub(rate), now_ms),
            }),
            records: limits.write_records_per_second.map(|rate| TokenBucket::new(rate, rate, now_ms)),
        }
    }

    /// Takes all that is wanted, or nothing.
    ///
    /// # Errors
    /// The refusal, whose time to try again is exact as long as nobody else comes first.
    pub fn admit(&mut self, demand: Demand, now_ms: u64) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(demand, now_ms) {
            return Err(refusal);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.take(demand);
        }
        if let Some(records) = &mut self.records {
            records.take(demand.records);
        }
        Ok(())
    }

    /// Why so much would not be admitted, if it would not; it lets time pass, and takes nothing.
    pub fn refusal(&mut self, demand: Demand, now_ms: u64) -> Option<Refusal> {
        let by_bytes = self.bytes.as_mut().and_then(|bytes| {
            bytes.refill(now_ms);
            bytes.refusal(demand)
        });
        let by_records = self.records.as_mut().and_then(|records| {
            records.refill(now_ms);
            (!records.holds(demand.records)).then(|| Refusal {
                limit: Limit::WriteRecords,
                per_second: records.per_second(),
                exceeded_by: records.missing(demand.records),
                retry_after_ms: records.wait_ms(demand.records),
            })
        });
        Refusal::longest(by_bytes, by_records)
    }
}

impl Bytes {
    fn refill(&mut self, now_ms: u64) {
        let ran_over = self.base.refill(now_ms);
        self.burst.fill(ran_over);
    }

    /// In one moment the order of the records does not matter: the ordinary ones must find room in the base, and all of
    /// them in both tanks together.
    fn refusal(&self, demand: Demand) -> Option<Refusal> {
        let (base, burst) = (&self.base, &self.burst);
        let all = demand.bytes.saturating_add(demand.large_bytes);
        let missing = thousandths_missing(base.level(), parts(demand.bytes))
            .max(thousandths_missing(base.level().saturating_add(burst.level()), parts(all)));
        if missing == 0 {
            return None;
        }
        let ever = demand.bytes <= base.capacity() && all <= base.capacity() + burst.capacity();
        Some(Refusal {
            limit: Limit::WriteBytes,
            per_second: base.per_second(),
            exceeded_by: missing.div_ceil(1_000),
            retry_after_ms: ever.then(|| base.ms_for(missing)),
        })
    }

    fn take(&mut self, demand: Demand) {
        let large = parts(demand.large_bytes);
        let from_burst = large.min(self.burst.level());
        self.burst.take_parts(from_burst);
        self.base.take_parts(parts(demand.bytes) + (large - from_burst));
    }
}
