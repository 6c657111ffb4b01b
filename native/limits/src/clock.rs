//! The monotonic clock as a float64, which JavaScript takes without a BigInt, and the pause between two
//! stamps.

use std::thread;
use std::time::Duration;

use napi_derive::napi;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started. A float64 holds them exactly for the first 104 days of uptime, and to two
/// nanoseconds for a few hundred days more.
pub fn monotonic_ns() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "the loss is the documented resolution of this clock")]
    let (seconds, nanoseconds) = (now.tv_sec as f64, now.tv_nsec as f64);
    seconds * 1e9 + nanoseconds
}

/// How a publisher waits for its next turn.
#[napi(string_enum = "lowercase")]
#[derive(Clone, Copy)]
pub enum Pace {
    /// It sleeps, so that whatever it does next begins on a core that was idle, with cold caches.
    Sleep,
    /// It spins, as a thread does that has other work.
    Spin,
}

/// Lets `interval_us` microseconds pass.
pub fn pause(pace: Pace, interval_us: u32) {
    match pace {
        #[expect(
            clippy::disallowed_methods,
            reason = "the bench measures what real time does; there is nothing to advance"
        )]
        Pace::Sleep => thread::sleep(Duration::from_micros(interval_us.into())),
        Pace::Spin => {
            let until = monotonic_ns() + f64::from(interval_us) * 1e3;
            while monotonic_ns() < until {
                std::hint::spin_loop();
            }
        }
    }
}
