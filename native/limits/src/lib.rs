//! The physical limits that the bench measures beside the engine, in the same process and the same run.
//!
//! Each export does one bare thing and nothing else: it knows no stream, no frame and no durability policy.
//! The normal build never compiles this crate; `npm run bench` does.

mod clock;
mod disk;
mod handover;
mod memory;
mod page;
mod requests;
mod wake;

use napi_derive::napi;

/// Does nothing: what remains of the time is the crossing of a synchronous napi-rs call.
#[napi]
pub fn empty_call() {}

/// Nanoseconds of the monotonic clock, the same in every thread of the machine.
///
/// One call costs less than `process.hrtime.bigint()` and allocates no BigInt, so that stamping disturbs a latency of
/// a microsecond as little as possible.
#[napi]
pub fn now_ns() -> f64 {
    clock::monotonic_ns()
}
