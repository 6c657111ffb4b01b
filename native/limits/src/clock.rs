//! The monotonic clock as a float64, which JavaScript takes without a BigInt, and the pause between two stamps.

use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started. A float64 holds them exactly for the first 104 days of uptime, and to two
/// nanoseconds for a few hundred days more.
pub fn monotonic_ns() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "the loss is the documented resolution of this clock")]
    let (seconds, nanoseconds) = (now.tv_sec as f64, now.tv_nsec as f64);
    seconds * 1e9 + nanoseconds
}

/// Lets the calling thread sleep, so that whatever it does next begins on a core that was idle, as in a quiet service.
pub fn pause(interval_us: u32) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the bench measures what real time does; there is nothing to advance"
    )]
    thread::sleep(Duration::from_micros(interval_us.into()));
}
