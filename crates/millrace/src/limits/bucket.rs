//! A bucket of tokens that fills up at a steady rate and holds no more than its capacity.
//!
//! It counts thousandths of a token, because at a rate of so many tokens a second exactly as many thousandths come in a
//! millisecond: no fraction is ever rounded.

/// How many thousandths a token has.
const PARTS: i64 = 1_000;

/// A bucket of tokens. It starts full, may be overdrawn where its owner allows that, and refills over time.
///
/// ```
/// use millrace::limits::TokenBucket;
/// let mut bucket = TokenBucket::new(10, 20, 0);
/// bucket.take(20);
/// bucket.refill(500);
/// assert_eq!((bucket.available(), bucket.wait_ms(10)), (5, Some(500)));
/// assert_eq!(bucket.wait_ms(21), None, "it never holds so many");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    per_second: u64,
    capacity: u64,
    // In thousandths of a token; below 0 while the bucket is overdrawn.
    level: i64,
    // The latest time seen, in milliseconds.
    at_ms: u64,
}

impl TokenBucket {
    /// The most that a rate or a capacity can be: at this size the arithmetic has room to spare.
    pub const TOKENS_MAX: u64 = 1 << 40;

    /// A full bucket that gains `per_second` tokens a second and holds `capacity` at most, each no more than
    /// [`TokenBucket::TOKENS_MAX`].
    #[must_use]
    pub fn new(per_second: u64, capacity: u64, now_ms: u64) -> TokenBucket {
        assert!(per_second <= Self::TOKENS_MAX && capacity <= Self::TOKENS_MAX, "rates and capacities are bounded");
        TokenBucket { per_second, capacity, level: parts(capacity), at_ms: now_ms }
    }

    /// How many tokens it gains a second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        self.per_second
    }

    /// How many tokens it holds at most.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Lets time pass up to `now_ms`; returns how many thousandths ran over, for whom they may still be of use.
    pub fn refill(&mut self, now_ms: u64) -> u64 {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.fill(self.per_second.saturating_mul(elapsed_ms))
    }

    /// Adds thousandths from elsewhere; returns how many ran over.
    pub fn fill(&mut self, thousandths: u64) -> u64 {
        let room = parts(self.capacity).abs_diff(self.level);
        let taken = thousandths.min(room);
        self.level = self.level.saturating_add_unsigned(taken);
        thousandths - taken
    }

    /// How many whole tokens there are.
    #[must_use]
    pub fn available(&self) -> u64 {
        u64::try_from(self.level / PARTS).unwrap_or(0)
    }

    /// Whether so many tokens are there.
    #[must_use]
    pub fn holds(&self, tokens: u64) -> bool {
        self.level >= parts(tokens)
    }

    /// Whether more was taken than there was.
    #[must_use]
    pub fn is_overdrawn(&self) -> bool {
        self.level < 0
    }

    /// How many tokens are missing until it holds so many, rounded up.
    #[must_use]
    pub fn missing(&self, tokens: u64) -> u64 {
        thousandths_missing(self.level, parts(tokens)).div_ceil(PARTS.unsigned_abs())
    }

    /// In how many milliseconds it will hold so many; `None` where it never does.
    #[must_use]
    pub fn wait_ms(&self, tokens: u64) -> Option<u64> {
        (tokens <= self.capacity).then(|| self.ms_for(thousandths_missing(self.level, parts(tokens))))
    }

    /// Takes tokens, and overdraws the bucket where they are not there.
    pub fn take(&mut self, tokens: u64) {
        self.take_parts(parts(tokens));
    }

    /// Takes thousandths of tokens.
    pub(super) fn take_parts(&mut self, thousandths: i64) {
        self.level = self.level.saturating_sub(thousandths);
    }

    /// Lets go of what there is; a bucket that is overdrawn stays as it is.
    pub fn drain(&mut self) {
        self.level = self.level.min(0);
    }

    /// How long it takes to gain so many thousandths, in milliseconds, rounded up.
    pub(super) fn ms_for(&self, thousandths: u64) -> u64 {
        match (thousandths, self.per_second) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            (thousandths, per_second) => thousandths.div_ceil(per_second),
        }
    }

    /// What is there, in thousandths; below 0 while it is overdrawn.
    pub(super) fn level(&self) -> i64 {
        self.level
    }
}

/// Tokens in thousandths, as many as can be counted.
pub(super) fn parts(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(PARTS)
}

/// What is missing at this level, in thousandths, until so much is there.
pub(super) fn thousandths_missing(level: i64, wanted: i64) -> u64 {
    if level >= wanted { 0 } else { level.abs_diff(wanted) }
}
