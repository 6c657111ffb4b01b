//! Locks, atomics and threads: the one place where the engine chooses them, so that a model checker can put its own in
//! their place. `Arc`, `Weak` and `OnceLock` are the standard library's everywhere.

pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
