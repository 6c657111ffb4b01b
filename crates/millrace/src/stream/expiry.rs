//! The clock by which records expire, kept apart from the wall clock, because deletion cannot be undone.
//!
//! A wall clock that jumps a year ahead must not delete a year of records. So the expiry clock follows the
//! wall clock only as far as monotonic time vouches for it:
//!
//! * It never goes back, and never beyond the wall clock.
//! * It never runs past its *ceiling*: where it was when it opened, plus the monotonic time since, plus the
//!   tolerance. Within the ceiling it follows the wall clock at once: small corrections of the clock and short
//!   pauses between two runs of the process need nobody's consent.
//! * A wall clock beyond the ceiling, or far behind, *pauses* expiry, and the pause is reported once. Under a
//!   pause ahead, the expiry clock goes on at the speed of monotonic time: records are kept longer by the
//!   gap, not for ever. The pause ends when the wall clock comes back, or when an operator accepts it.
//!
//! This file is pure: it reads no clock, touches no file and knows no record.

use std::fmt;

/// By how many milliseconds, one hour's, the wall clock may run ahead of monotonic time without anybody's consent.
pub const DEFAULT_TOLERANCE_MS: u64 = 3_600_000;

/// A pause of expiry, as reported once when it begins. Its text names the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The wall clock is further ahead than the time that is known to have passed.
    WallAhead {
        /// How far the wall clock is ahead of the expiry clock, in milliseconds.
        gap_ms: u64,
        /// How far it might have been ahead without a pause, in milliseconds.
        accepted_ms: u64,
    },
    /// The wall clock is behind the expiry clock by more than the tolerance.
    WallBehind {
        /// How far the wall clock is behind the expiry clock, in milliseconds.
        gap_ms: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Warning::WallAhead { gap_ms, accepted_ms } => write!(
                f,
                "expiry is paused: the wall clock is {} ahead of the time that is known to have passed (expected at most {}); \
                 the clock jumped, or the store was closed for long; records are kept {} longer than their retention until {REMEDY}",
                Span(gap_ms),
                Span(accepted_ms),
                Span(gap_ms),
            ),
            Warning::WallBehind { gap_ms } => write!(
                f,
                "expiry is paused: the wall clock is {} behind the time up to which records were expired; it was set back, or was \
                 wrong before; records are kept longer than their retention until the wall clock has caught up, or until {REMEDY}",
                Span(gap_ms),
            ),
        }
    }
}

const REMEDY: &str = "the clock is accepted as right, with `acceptClock` or `millrace retention --accept-clock`";

/// See the head of this file. All times are milliseconds; wall times count from 1970.
#[derive(Debug)]
pub struct ExpiryClock {
    now_ms: u64,
    /// `now_ms` never passes this; it rises with monotonic time alone.
    ceiling_ms: u64,
    wall_ms: u64,
    monotonic_ms: u64,
    tolerance_ms: u64,
    pause: Option<Warning>,
    unreported: bool,
}

impl ExpiryClock {
    /// Goes on from `persisted_ms`, what `now_ms` gave when it was last stored; `None` begins at the wall clock.
    ///
    /// A gap up to `tolerance_ms` (see [`DEFAULT_TOLERANCE_MS`]) is caught up at once; a larger one pauses, which the
    /// first [`tick`](Self::tick) reports.
    #[must_use]
    pub fn open(persisted_ms: Option<u64>, wall_ms: u64, monotonic_ms: u64, tolerance_ms: u64) -> Self {
        let mut clock = ExpiryClock {
            now_ms: 0,
            ceiling_ms: 0,
            wall_ms,
            monotonic_ms,
            tolerance_ms,
            pause: None,
            unreported: false,
        };
        clock.start_at(persisted_ms.unwrap_or(wall_ms));
        clock.follow(wall_ms, 0);
        clock
    }

    /// Follows the wall clock as far as allowed. Returns the warning of a pause that began since the last call.
    pub fn tick(&mut self, wall_ms: u64, monotonic_ms: u64) -> Option<Warning> {
        let elapsed_ms = monotonic_ms.saturating_sub(self.monotonic_ms);
        self.monotonic_ms = self.monotonic_ms.max(monotonic_ms);
        self.follow(wall_ms, elapsed_ms);
        std::mem::take(&mut self.unreported).then_some(self.pause).flatten()
    }

    /// Takes `wall_ms` as the right time because somebody who may say so did: a pause ends, and what has expired
    /// by then may be deleted. This is the one way in which the clock may go back.
    pub fn accept(&mut self, wall_ms: u64) {
        self.start_at(wall_ms);
        self.follow(wall_ms, 0);
    }

    /// The time of expiry in milliseconds since 1970: what to store and to give to the next [`open`](Self::open).
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Records that arrived before this time (milliseconds since 1970) have outlived a retention of `retention_ms`.
    ///
    /// It stays below a wall clock that went back too, because records that arrive now carry that clock's times and
    /// would otherwise expire on arrival.
    #[must_use]
    pub fn expired_before_ms(&self, retention_ms: u64) -> u64 {
        self.now_ms.min(self.wall_ms).saturating_sub(retention_ms)
    }

    /// Whether the wall clock is not followed at present.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    fn start_at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.ceiling_ms = now_ms.saturating_add(self.tolerance_ms);
    }

    fn follow(&mut self, wall_ms: u64, elapsed_ms: u64) {
        self.wall_ms = wall_ms;
        self.ceiling_ms = self.ceiling_ms.saturating_add(elapsed_ms);
        if wall_ms > self.ceiling_ms {
            self.now_ms = self.now_ms.saturating_add(elapsed_ms);
            let (gap_ms, accepted_ms) = (wall_ms - self.now_ms, self.ceiling_ms - self.now_ms);
            return self.pause(Warning::WallAhead { gap_ms, accepted_ms });
        }
        self.now_ms = self.now_ms.max(wall_ms);
        let gap_ms = self.now_ms - wall_ms;
        if gap_ms > self.tolerance_ms {
            return self.pause(Warning::WallBehind { gap_ms });
        }
        (self.pause, self.unreported) = (None, false);
    }

    /// A pause that lasts is not a new one: only its beginning, or a change of direction, is to be reported.
    fn pause(&mut self, pause: Warning) {
        let lasts = self.pause.is_some_and(|before| std::mem::discriminant(&before) == std::mem::discriminant(&pause));
        self.unreported |= !lasts;
        self.pause = Some(pause);
    }
}

/// Milliseconds in the largest unit of which there are two at least.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds")];
        match units.into_iter().find(|(unit_ms, _)| self.0 >= 2 * unit_ms) {
            Some((unit_ms, name)) => write!(f, "{} {name}", self.0 / unit_ms),
            None => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const START: u64 = 1_767_225_600_000;

    fn opened() -> ExpiryClock {
        ExpiryClock::open(Some(START), START, 0, DEFAULT_TOLERANCE_MS)
    }

    #[test]
    fn sixty_days_of_normal_ticks_follow_the_wall() {
        let mut clock = opened();
        for minute in 1..=60 * 24 * 60 {
            // The two clocks are read one after the other, and corrected a little: they differ by a few milliseconds.
            let wall = START + minute * 60_000 + minute % 7;
            assert_eq!(clock.tick(wall, minute * 60_000 + minute % 3), None);
            assert_eq!(clock.now_ms(), wall);
        }
        assert_eq!(clock.expired_before_ms(7 * DAY), START + 53 * DAY + 60 * 24 * 60 % 7);
    }

    #[test]
    fn a_forward_jump_of_a_year_deletes_nothing_and_is_reported_once() {
        let mut clock = opened();
        let before = clock.expired_before_ms(DAY);
        let warning = clock.tick(START + 365 * DAY, 0).expect("a jump of a year must be reported");
        assert_eq!(warning, Warning::WallAhead { gap_ms: 365 * DAY, accepted_ms: HOUR });
        assert!(clock.is_paused());
        assert_eq!(clock.expired_before_ms(DAY), before);
        for hours in 1..=48 {
            assert_eq!(clock.tick(START + 365 * DAY + hours * HOUR, hours * HOUR), None, "one pause, one warning");
            assert_eq!(clock.now_ms(), START + hours * HOUR, "a paused clock runs at the speed of monotonic time");
        }
        let text = warning.to_string();
        for part in ["365 days", "60 minutes", "kept", "longer", "acceptClock", "millrace retention --accept-clock"] {
            assert!(text.contains(part), "expected {part:?} in {text:?}");
        }
    }

    #[test]
    fn a_backward_jump_deletes_nothing_and_never_decreases() {
        let mut clock = opened();
        let before = clock.expired_before_ms(DAY);
        assert_eq!(clock.tick(START - 365 * DAY, 60_000), Some(Warning::WallBehind { gap_ms: 365 * DAY }));
        assert_eq!(clock.now_ms(), START);
        assert!(clock.expired_before_ms(DAY) <= before);
        assert_eq!(clock.tick(START + 120_000, 120_000), None, "the clock is right again");
        assert!(!clock.is_paused());
        assert_eq!(clock.now_ms(), START + 120_000);
    }

    #[test]
    fn records_do_not_expire_on_arrival_after_a_clock_that_was_far_ahead_is_corrected() {
        let clock = ExpiryClock::open(Some(START + 3650 * DAY), START, 0, DEFAULT_TOLERANCE_MS);
        assert!(clock.is_paused());
        assert_eq!(clock.expired_before_ms(DAY), START - DAY);
    }

    #[test]
    fn a_short_gap_at_open_is_caught_up_and_a_long_one_pauses() {
        let mut short = ExpiryClock::open(Some(START), START + HOUR, 5, HOUR);
        assert_eq!((short.now_ms(), short.is_paused()), (START + HOUR, false));
        assert_eq!(short.tick(START + HOUR, 5), None);

        let mut long = ExpiryClock::open(Some(START), START + HOUR + 1, 5, HOUR);
        assert_eq!((long.now_ms(), long.is_paused()), (START, true));
        assert!(long.tick(START + HOUR + 1, 5).is_some(), "the first tick reports the gap found at open");
        assert_eq!(long.tick(START + HOUR + 2, 6), None);

        let new = ExpiryClock::open(None, START, 5, HOUR);
        assert_eq!((new.now_ms(), new.is_paused()), (START, false));
    }

    #[test]
    fn accepting_the_clock_ends_the_pause_and_the_next_pause_is_reported_again() {
        let mut clock = opened();
        assert!(clock.tick(START + 30 * DAY, 0).is_some());
        clock.accept(START + 30 * DAY);
        assert_eq!((clock.now_ms(), clock.is_paused()), (START + 30 * DAY, false));
        assert_eq!(clock.tick(START + 30 * DAY + 10, 10), None);
        assert!(clock.tick(START + 60 * DAY, 20).is_some());
        clock.accept(START);
        assert_eq!((clock.now_ms(), clock.is_paused()), (START, false), "an accepted clock may be an earlier one");
    }

    #[test]
    fn time_that_monotonic_time_vouches_for_is_caught_up_after_a_clock_was_slow() {
        let mut clock = opened();
        assert!(clock.tick(START - 2 * HOUR, 0).is_some());
        assert_eq!(clock.tick(START + 3 * HOUR, 5 * HOUR), None);
        assert_eq!(clock.tick(START + 5 * HOUR, 5 * HOUR), None, "five hours did pass");
        assert_eq!(clock.now_ms(), START + 5 * HOUR);
    }

    fn step() -> impl Strategy<Value = (i64, u64)> {
        let year = 365 * 86_400_000_i64;
        let wall = prop_oneof![0..120_000_i64, -120_000..120_000_i64, -10_800_000..10_800_000_i64, -year..year];
        (wall, prop_oneof![0..120_000_u64, 0..10_800_000_u64])
    }

    proptest! {
        #[test]
        fn now_never_decreases_nor_exceeds_the_wall_nor_outruns_monotonic_time(
            persisted in proptest::option::of(START - 2 * HOUR..START + 2 * HOUR),
            tolerance in 0..2 * HOUR,
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let begun = persisted.unwrap_or(START);
            let mut clock = ExpiryClock::open(persisted, START, 0, tolerance);
            let (mut wall, mut monotonic, mut highest_wall, mut was_paused) = (START, 0, START.max(begun), false);
            for (wall_step, elapsed) in steps {
                let before = clock.now_ms();
                wall = wall.saturating_add_signed(wall_step);
                monotonic += elapsed;
                highest_wall = highest_wall.max(wall);
                let warning = clock.tick(wall, monotonic);
                prop_assert!(clock.now_ms() >= before);
                prop_assert!(clock.now_ms() <= highest_wall);
                prop_assert!(clock.now_ms() <= begun + monotonic + tolerance);
                prop_assert!(clock.expired_before_ms(DAY) <= wall.saturating_sub(DAY));
                prop_assert!(warning.is_none() || clock.is_paused());
                prop_assert!(was_paused || warning.is_some() == clock.is_paused(), "each pause is reported when it begins");
                was_paused = clock.is_paused();
            }
        }
    }
}
