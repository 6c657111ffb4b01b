//! Time comes in here, and nowhere else: the engine asks a [`Clock`], so that sixty days of retention run
//! in a test in milliseconds and a wall clock that jumps can be staged.
//!
//! Invariant: `SystemClock` is the only code that reads the machine's clocks; `ScaledClock` asks it. This file knows
//! nothing of streams; what a jump of the wall clock means is decided in `stream/expiry.rs`.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};

/// The engine's source of time.
pub trait Clock: Send + Sync + Debug {
    /// The wall clock, in milliseconds since 1970-01-01T00:00:00Z. It may jump either way.
    fn wall_ms(&self) -> u64;

    /// Milliseconds since some fixed moment of this clock's own. It never goes back; only differences mean something.
    fn monotonic_ms(&self) -> u64;

    /// The same in nanoseconds, as exactly as the clock can tell: for durations.
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ms().saturating_mul(1_000_000)
    }

    /// How long a thread waits until `ms` milliseconds of monotonic time have passed by this clock.
    fn wait_for(&self, ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}

/// The machine's clocks. Monotonic time begins, for the whole process, when it is first asked for.
///
/// Time that the machine spends suspended does not count as monotonic time on Linux.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's wall clock")]
    fn wall_ms(&self) -> u64 {
        // A wall clock before 1970 reads as 0: it is wrong, and the expiry clock treats it as one that jumped back.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(SystemClock::monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(SystemClock::monotonic().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's monotonic clock")]
    fn monotonic() -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }
}

/// A clock whose time runs faster than the machine's, wall and monotonic alike, so that days of retention pass while a
/// test looks on. For tests only: a store that has lived under it holds arrival times of the future.
///
/// Its wall shows the machine's time at the moment when the process first made such a clock, and is `factor` times as
/// fast from then on. So a store that is closed and opened again in one process finds no gap; another process begins
/// at the machine's time again.
///
/// ```
/// use millrace::clock::{Clock, ScaledClock};
/// let clock = ScaledClock::new(3_600)?;
/// assert_eq!(clock.wait_for(3_600_000).as_millis(), 1_000, "an hour passes in a second");
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScaledClock {
    factor: u32,
    begun: Begun,
}

/// When a process first made a scaled clock, by the machine's clocks.
#[derive(Clone, Copy, Debug)]
struct Begun {
    wall_ms: u64,
    monotonic: Duration,
}

impl ScaledClock {
    /// How much faster than the machine's a clock can be.
    pub const FACTOR: std::ops::RangeInclusive<u32> = 1..=1_000_000;

    /// A clock that is `factor` times as fast as the machine's: 1 to 1,000,000.
    ///
    /// # Errors
    /// `InvalidArgument` for another factor.
    pub fn new(factor: u32) -> Result<ScaledClock> {
        static BEGUN: OnceLock<Begun> = OnceLock::new();
        if !Self::FACTOR.contains(&factor) {
            let (least, most) = Self::FACTOR.into_inner();
            let message = format!("expected a clock that is {least} to {most} times as fast, got {factor}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        let now = || Begun { wall_ms: SystemClock.wall_ms(), monotonic: SystemClock::monotonic() };
        Ok(ScaledClock { factor, begun: *BEGUN.get_or_init(now) })
    }
}

impl Clock for ScaledClock {
    fn wall_ms(&self) -> u64 {
        self.begun.wall_ms.saturating_add(self.monotonic_ms())
    }

    fn monotonic_ms(&self) -> u64 {
        // Nanoseconds are multiplied: a fast clock made of whole milliseconds would go by jumps of minutes.
        let elapsed = SystemClock::monotonic().saturating_sub(self.begun.monotonic);
        let scaled_ms = elapsed.as_nanos().saturating_mul(u128::from(self.factor)) / 1_000_000;
        u64::try_from(scaled_ms).unwrap_or(u64::MAX)
    }

    fn wait_for(&self, ms: u64) -> Duration {
        // Rounded up, so that whoever waited so long finds the time passed.
        Duration::from_millis(ms) / self.factor + Duration::from_nanos(1)
    }
}

/// A clock that stands still until it is told otherwise, for tests of the engine and of its users.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock whose wall shows `wall_ms` (milliseconds since 1970) and whose monotonic time is 0.
    #[must_use]
    pub fn new(wall_ms: u64) -> Self {
        ManualClock { wall_ms: AtomicU64::new(wall_ms), monotonic_ms: AtomicU64::new(0) }
    }

    /// Lets `ms` milliseconds pass, as they do when nothing is wrong: on both clocks.
    pub fn advance_ms(&self, ms: u64) {
        self.advance_wall_ms(ms);
        self.advance_monotonic_ms(ms);
    }

    /// Sets the wall clock to `wall_ms`, milliseconds since 1970; forward or back.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }

    /// Moves only the wall clock forward, by `ms` milliseconds.
    pub fn advance_wall_ms(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the monotonic clock to `monotonic_ms`; an earlier value than the present one is left aside,
    /// because a monotonic clock never goes back.
    pub fn set_monotonic_ms(&self, monotonic_ms: u64) {
        self.monotonic_ms.fetch_max(monotonic_ms, Ordering::SeqCst);
    }

    /// Moves only the monotonic clock forward, by `ms` milliseconds.
    pub fn advance_monotonic_ms(&self, ms: u64) {
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// `wall_ms` (milliseconds since 1970) as people and other programs read it: `2026-01-31T23:59:59.999Z`.
///
/// Years past 9999 get more than four digits.
#[must_use]
pub fn iso_utc(wall_ms: u64) -> String {
    let (seconds, ms) = (wall_ms / 1_000, wall_ms % 1_000);
    let (year, month, day) = date_of(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a count of days since 1970-01-01 in the Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is the last one of a year and months have a
/// regular pattern of lengths (153 days in five months); an era is the 400 years after which the pattern repeats.
fn date_of(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, year_ends) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + year_ends, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_knows_this_century_and_never_goes_back() {
        let clock = SystemClock;
        assert!(clock.wall_ms() > 1_577_836_800_000, "expected a time after 2020, got {}", clock.wall_ms());
        let first = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= first);
    }

    #[test]
    fn a_scaled_clock_lets_both_hands_run_faster_from_the_time_at_which_the_process_began_to() {
        let (slow, fast) = (ScaledClock::new(1).expect("in range"), ScaledClock::new(1_000_000).expect("in range"));
        // Both hands are read apart, so each bound holds on one side: the later reading is the larger one.
        let before_ms = slow.monotonic_ms();
        let fast_ms = fast.monotonic_ms();
        let after_ms = slow.monotonic_ms() + 1;
        assert!((before_ms * 1_000_000..=after_ms * 1_000_000).contains(&fast_ms), "{before_ms} {fast_ms} {after_ms}");
        assert_eq!(
            slow.begun.wall_ms, fast.begun.wall_ms,
            "a clock that is made later goes on with the first one's time"
        );
        let (monotonic_ms, wall_ms) = (fast.monotonic_ms(), fast.wall_ms());
        assert!(wall_ms >= slow.begun.wall_ms + monotonic_ms && wall_ms <= slow.begun.wall_ms + fast.monotonic_ms());
    }

    #[test]
    fn whoever_waits_as_long_as_a_scaled_clock_says_finds_the_time_passed() {
        for factor in [1, 7, 3_600, 999_983, 1_000_000] {
            let wait = ScaledClock::new(factor).expect("in range").wait_for(60_000);
            assert!(wait.as_nanos() * u128::from(factor) >= 60_000_000_000, "{factor}: {wait:?}");
            assert!(wait <= Duration::from_millis(60_000) / factor + Duration::from_nanos(1));
        }
        assert_eq!(SystemClock.wait_for(60_000), Duration::from_secs(60));
    }

    #[test]
    fn a_clock_that_would_stand_still_or_run_away_is_refused() {
        for factor in [0, 1_000_001, u32::MAX] {
            let error = ScaledClock::new(factor).expect_err("out of range");
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().contains(&format!("got {factor}")), "{error}");
        }
    }

    #[test]
    fn a_manual_clock_moves_each_hand_alone_and_both_together() {
        let clock = ManualClock::new(1_000);
        clock.advance_ms(5);
        clock.advance_wall_ms(10);
        clock.advance_monotonic_ms(20);
        assert_eq!((clock.wall_ms(), clock.monotonic_ms()), (1_015, 25));
        clock.set_wall_ms(3);
        clock.set_monotonic_ms(24);
        assert_eq!((clock.wall_ms(), clock.monotonic_ms()), (3, 25), "the wall may go back, monotonic time may not");
        clock.set_monotonic_ms(26);
        assert_eq!(clock.monotonic_ms(), 26);
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        let golden = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, expected) in golden {
            assert_eq!(iso_utc(ms), expected);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_day_before() {
        let mut previous = date_of(0);
        for day in 1..292_194 {
            let (year, month, day_of_month) = date_of(day);
            let next_day = (year, month, day_of_month) == (previous.0, previous.1, previous.2 + 1);
            let next_month = (year, month, day_of_month) == (previous.0, previous.1 + 1, 1);
            let next_year = (year, month, day_of_month) == (previous.0 + 1, 1, 1) && previous.1 == 12;
            assert!(next_day || (next_month && previous.2 >= 28) || next_year, "{previous:?} then day {day}");
            previous = (year, month, day_of_month);
        }
        assert_eq!(previous, (2769, 12, 31));
    }

    #[test]
    fn the_last_expressible_moment_is_formatted() {
        assert!(iso_utc(u64::MAX).ends_with('Z'));
    }
}
