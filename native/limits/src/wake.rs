//! A bare thread-safe function: how long a wake-up of the event loop takes when it carries one number and no log.

use std::sync::Arc;
use std::thread;

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::clock::{Pace, monotonic_ns, pause};

type Callback = ThreadsafeFunction<f64, (), f64, Status, false>;

/// Wakes JavaScript through one thread-safe function and hands over the time at which it did.
/// It keeps the event loop alive until `close`.
#[napi]
pub struct Waker {
    callback: Option<Arc<Callback>>,
}

#[napi]
impl Waker {
    /// The callback gets the nanoseconds of `nowNs` at the wake-up.
    #[napi(constructor)]
    pub fn new(callback: Callback) -> Self {
        Self { callback: Some(Arc::new(callback)) }
    }

    /// Wakes from the calling thread, which is the JavaScript thread itself.
    #[napi]
    pub fn wake(&self) {
        if let Some(callback) = &self.callback {
            wake_now(callback);
        }
    }

    /// Wakes `count` times from a native thread of its own, which lets `interval_us` microseconds pass before
    /// each.
    #[napi]
    pub fn wake_from_thread(&self, pace: Pace, interval_us: u32, count: u32) {
        let Some(callback) = self.callback.clone() else {
            return;
        };
        thread::spawn(move || {
            for _ in 0..count {
                pause(pace, interval_us);
                wake_now(&callback);
            }
        });
    }

    /// Lets the event loop end. Idempotent; a thread that still wakes finishes first.
    #[napi]
    pub fn close(&mut self) {
        self.callback = None;
    }
}

fn wake_now(callback: &Callback) {
    callback.call(monotonic_ns(), ThreadsafeFunctionCallMode::NonBlocking);
}
