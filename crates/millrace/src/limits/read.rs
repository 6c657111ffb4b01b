//! What a shard gives out: to all who read it in turn, and to each registered consumer.
//!
//! A read is admitted before anybody knows how much it will find, and charged afterwards. Where it finds more than is
//! left of the second, it must be paid for whole: the shard is closed for as long as its bytes take at the shard's
//! rate. So an answer of 10 MiB at 2 MiB/s closes it for the 5 s, and one of 2 MiB for the 1 s, that the API reference
//! of GetRecords says.

use super::{Limit, Refusal, ShardLimits, TokenBucket};

/// The read side of one shard, shared by all who read it in turn.
///
/// ```
/// use millrace::limits::{Limit, ReadTank, ShardLimits};
/// let mut shard = ReadTank::new(&ShardLimits::AWS, 0);
/// assert_eq!(shard.admit(0), Ok(()));
/// shard.charge(10 << 20, 0);
/// let refusal = shard.admit(4_999).expect_err("the answer is paid for in 5 s");
/// assert_eq!((refusal.limit, refusal.retry_after_ms), (Limit::ReadBytes, Some(1)));
/// assert_eq!(shard.admit(5_000), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTank {
    bytes: Option<TokenBucket>,
    reads: Option<TokenBucket>,
    iterators: Option<TokenBucket>,
}

impl ReadTank {
    /// Full tanks.
    #[must_use]
    pub fn new(limits: &ShardLimits, now_ms: u64) -> ReadTank {
        let of = |rate: Option<u64>| rate.map(|rate| TokenBucket::new(rate, rate, now_ms));
        ReadTank {
            bytes: of(limits.read_bytes_per_second),
            reads: of(limits.reads_per_second),
            iterators: of(limits.iterators_per_second),
        }
    }

    /// Admits one read; [`ReadTank::charge`] must tell what it found. A read that is refused is not counted.
    ///
    /// # Errors
    /// The refusal: too many reads, or an earlier answer that is not paid for yet.
    pub fn admit(&mut self, now_ms: u64) -> Result<(), Refusal> {
        let in_debt = self.bytes.as_mut().and_then(|bytes| {
            bytes.refill(now_ms);
            bytes.is_overdrawn().then(|| refusal(bytes, 0, Limit::ReadBytes))
        });
        let too_many = self.reads.as_mut().and_then(|reads| {
            reads.refill(now_ms);
            (!reads.holds(1)).then(|| refusal(reads, 1, Limit::Reads))
        });
        if let Some(refusal) = Refusal::longest(in_debt, too_many) {
            return Err(refusal);
        }
        if let Some(reads) = &mut self.reads {
            reads.take(1);
        }
        Ok(())
    }

    /// Charges what a read that was admitted has found, in bytes of data and keys.
    pub fn charge(&mut self, found_bytes: u64, now_ms: u64) {
        let Some(bytes) = &mut self.bytes else { return };
        bytes.refill(now_ms);
        if !bytes.holds(found_bytes) {
            bytes.drain();
        }
        bytes.take(found_bytes);
    }

    /// Admits that an iterator is asked for.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit_iterator(&mut self, now_ms: u64) -> Result<(), Refusal> {
        let Some(iterators) = &mut self.iterators else { return Ok(()) };
        iterators.refill(now_ms);
        if !iterators.holds(1) {
            return Err(refusal(iterators, 1, Limit::Iterators));
        }
        iterators.take(1);
        Ok(())
    }
}

fn refusal(bucket: &TokenBucket, wanted: u64, limit: Limit) -> Refusal {
    Refusal {
        limit,
        per_second: bucket.per_second(),
        exceeded_by: bucket.missing(wanted),
        retry_after_ms: bucket.wait_ms(wanted),
    }
}

/// The pace at which a shard is pushed to one registered consumer. It never refuses: what comes too soon waits.
///
/// ```
/// use millrace::limits::{FanOutPace, ShardLimits};
/// let mut pace = FanOutPace::new(&ShardLimits::AWS, 0);
/// assert_eq!(pace.wait_ms(0), 0);
/// pace.sent(3 << 20, 0);
/// assert_eq!(pace.wait_ms(0), 500, "one second's worth may go at once, the rest is waited for");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanOutPace {
    bytes: Option<TokenBucket>,
}

impl FanOutPace {
    /// A consumer to whom nothing was pushed yet.
    #[must_use]
    pub fn new(limits: &ShardLimits, now_ms: u64) -> FanOutPace {
        FanOutPace { bytes: limits.fan_out_bytes_per_second.map(|rate| TokenBucket::new(rate, rate, now_ms)) }
    }

    /// In how many milliseconds the next event may be pushed, whatever its size: 0 for at once.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        self.bytes.as_mut().map_or(0, |bytes| {
            bytes.refill(now_ms);
            bytes.wait_ms(0).expect("every bucket holds nothing at times")
        })
    }

    /// Tells that an event with so many bytes of data and keys was pushed.
    pub fn sent(&mut self, event_bytes: u64, now_ms: u64) {
        if let Some(bytes) = &mut self.bytes {
            bytes.refill(now_ms);
            bytes.take(event_bytes);
        }
    }
}
