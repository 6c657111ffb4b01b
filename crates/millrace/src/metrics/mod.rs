//! What happens in a stream, counted all the time: flows and rates, durations, heavy keys, and what follows from them.
//!
//! It knows neither logs nor files. Time comes in with each call, in seconds of a monotonic clock, so nothing here has a
//! thread or a timer.

pub mod advice;
mod age;
pub mod flow;
pub mod keys;
pub mod latency;
pub(crate) mod meter;
pub mod published;
pub mod report;
mod sampler;
