//! Locks, atomics and threads: the one place where the engine chooses them, so that a model checker can put its own in
//! their place. `Arc` and `Weak` are the standard library's everywhere.
//!
//! Built with `--cfg shuttle`, the whole engine runs in schedules that are chosen by a seed; with `--cfg loom`, its
//! small protocols run under every order that the memory model allows. See "Interleavings" in `docs/testing.md`.

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
