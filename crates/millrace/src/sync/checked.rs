//! The locks of a model checker, under the interface of those that they stand for: no poison, a condition that borrows
//! its guard, a cell that is set once.
//!
//! Time does not pass by itself here. A wait with a timeout ends when it is notified or when [`time_passes`] is called;
//! what it means that time has passed, the waiter reads from its clock, as everybody does who waits on a condition.

#[cfg(loom)]
use loom as checker;
#[cfg(shuttle)]
use shuttle as checker;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use checker::sync::{RwLockReadGuard, atomic};
pub(crate) use checker::thread;

use atomic::{AtomicBool, Ordering};

/// A mutex without poison.
#[derive(Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

/// Holds a [`Mutex`]; empty only while a condition is waited for.
pub(crate) struct MutexGuard<'a, T>(Option<checker::sync::MutexGuard<'a, T>>);

const HELD: &str = "a guard is given up only within a wait";

impl<T> Mutex<T> {
    #[cfg_attr(shuttle, track_caller)]
    pub fn new(value: T) -> Self {
        Mutex(checker::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

/// A lock for many readers or one writer, without poison.
#[derive(Default)]
pub(crate) struct RwLock<T>(checker::sync::RwLock<T>);

impl<T> RwLock<T> {
    #[cfg_attr(shuttle, track_caller)]
    pub fn new(value: T) -> Self {
        RwLock(checker::sync::RwLock::new(value))
    }

    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> checker::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}

/// A condition. It lives on as long as a timed wait for it may have to be ended.
pub(crate) struct Condvar(Arc<checker::sync::Condvar>);

static TIMED: Lazy<Mutex<Vec<Arc<checker::sync::Condvar>>>> = Lazy::new(Mutex::default);

impl Default for Condvar {
    fn default() -> Self {
        Condvar(Arc::new(checker::sync::Condvar::new()))
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

impl Condvar {
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect(HELD);
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
        let mut timed = Lazy::force(&TIMED).lock();
        if !timed.iter().any(|known| Arc::ptr_eq(known, &self.0)) {
            timed.push(Arc::clone(&self.0));
        }
        drop(timed);
        self.wait(guard);
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Ends all waits that have a timeout, so that whoever waits looks at its clock again.
#[cfg(shuttle)]
pub fn time_passes() {
    let timed = Lazy::force(&TIMED).lock().clone();
    timed.iter().for_each(|condition| condition.notify_all());
}

/// A value that is set at most once. To see it is to see all that was done before it was set.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    is_set: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        OnceLock { is_set: AtomicBool::new(true), value: std::sync::OnceLock::from(value) }
    }
}

impl<T> OnceLock<T> {
    pub fn new() -> Self {
        OnceLock { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub fn set(&self, value: T) -> Result<(), T> {
        let outcome = self.value.set(value);
        self.is_set.store(true, Ordering::Release);
        outcome
    }

    /// Nobody else may come meanwhile; the engine calls it under a lock.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            assert!(self.set(make()).is_ok(), "one thread at a time initialises");
        }
        self.value.get().expect("set above")
    }
}

/// A static value, made anew for each execution of a model.
pub(crate) struct Lazy<T: Sync + 'static>(checker::lazy_static::Lazy<T>);

impl<T: Sync> Lazy<T> {
    #[cfg(shuttle)]
    pub const fn new(make: fn() -> T) -> Self {
        Lazy(checker::lazy_static::Lazy::new(make))
    }

    #[cfg(loom)]
    pub const fn new(make: fn() -> T) -> Self {
        Lazy(checker::lazy_static::Lazy { init: make, _p: std::marker::PhantomData })
    }

    pub fn force(this: &'static Self) -> &'static T {
        this.0.get()
    }
}
