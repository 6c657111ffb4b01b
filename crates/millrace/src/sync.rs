//! Locks, atomics and threads: the one place where the engine chooses them, so that a model checker can put its own in
//! their place. `Arc` and `Weak` are the standard library's everywhere.
//!
//! Built with `--cfg shuttle`, the whole engine runs in schedules that are chosen by a seed; with `--cfg loom`, its
//! small protocols run under every order that the memory model allows. See "Interleavings" in `docs/testing.md`.

/// A value on cache lines of its own: what one thread writes all the time must not slow down who reads or locks what
/// stands beside it. Processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Apart<T>(pub T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(not(any(loom, shuttle)))]
mod machine {
    pub(crate) use std::sync::{LazyLock as Lazy, OnceLock, atomic};
    pub(crate) use std::thread;

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};
}
#[cfg(not(any(loom, shuttle)))]
pub(crate) use machine::*;

#[cfg(any(loom, shuttle))]
pub(crate) mod checked;
#[cfg(any(loom, shuttle))]
pub(crate) use checked::*;
