//! Who is told when a log's tail or its durable watermark moves.
//!
//! An append pays one atomic load where nobody waits. A waker must be cheap and must not call back into the log.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::map::{TailPage, TailView};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::{Condvar, Mutex, OnceLock, RwLock};

/// Something that can be woken, from any thread.
pub trait Wake: Send + Sync {
    /// Says that there is something to look at; may come more often than there is.
    fn wake(&self);
}

/// Fires once each time it was armed: what a waker is made of whose calls must not pile up in front of a busy thread.
#[derive(Debug, Default)]
pub struct Trigger(AtomicBool);

impl Trigger {
    /// Lets the next change fire. Look at the state afterwards: what changed before does not fire.
    pub fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
        // With the fence in `notify`: whoever arms sees the new value afterwards, or is seen armed.
        fence(Ordering::SeqCst);
    }

    /// Whether this change is the first since it was armed.
    #[must_use]
    pub fn fires(&self) -> bool {
        // The plain load keeps the cache line shared while nobody waits.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// What a waker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The published tail moved.
    Published,
    /// The durable watermark moved, or the log was poisoned.
    Durable,
}

type Waiters = Vec<(usize, Arc<dyn Wake>)>;

#[derive(Default)]
struct Watchers {
    count: AtomicUsize,
    waiters: RwLock<Waiters>,
}

impl Watchers {
    fn wake(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.waiters.read().iter().for_each(|(_, waiter)| waiter.wake());
        }
    }

    fn change(&self, edit: impl FnOnce(&mut Waiters)) {
        let mut waiters = self.waiters.write();
        edit(&mut waiters);
        self.count.store(waiters.len(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

/// The watchers of one log.
#[derive(Default)]
pub struct Notifier {
    published: Watchers,
    durable: Watchers,
    page: OnceLock<TailPage>,
    next_id: AtomicUsize,
    // Threads of Rust that block until the watermark moves.
    blocked: Mutex<()>,
    moved: Condvar,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Notifier {
    fn watchers(&self, change: Change) -> &Watchers {
        match change {
            Change::Published => &self.published,
            Change::Durable => &self.durable,
        }
    }

    /// Tells all who watch for `change`. The new value must be stored before.
    pub fn notify(&self, change: Change) {
        // With the fence of whoever registers, arms or makes the page: they see the new value, or are seen here.
        fence(Ordering::SeqCst);
        if let Some(page) = self.page.get() {
            match change {
                Change::Published => page.published(),
                Change::Durable => page.durable(),
            }
        }
        self.watchers(change).wake();
        if change == Change::Durable {
            drop(self.blocked.lock());
            self.moved.notify_all();
        }
    }

    /// Adds a waker; it is told until the registration is dropped.
    pub fn register(self: &Arc<Self>, change: Change, waiter: Arc<dyn Wake>) -> Registration {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.watchers(change).change(|waiters| waiters.push((id, waiter)));
        Registration { notifier: Arc::clone(self), change, id }
    }

    /// Blocks the calling thread until `done` says so; looked at after each move of the watermark.
    pub fn block_until(&self, mut done: impl FnMut() -> bool) {
        let mut guard = self.blocked.lock();
        while !done() {
            self.moved.wait(&mut guard);
        }
    }

    /// A map, at an address of its own, of the page that counts changes.
    pub fn tail_view(&self) -> Result<TailView> {
        let failed = |error| Error::io("could not make the page that pollers watch", error);
        if self.page.get().is_none() {
            // Of two that come at once one page is dropped unseen.
            let _lost = self.page.set(TailPage::new().map_err(failed)?);
        }
        // With the fence in `notify`: whoever looks at the log from now on sees what is not counted.
        fence(Ordering::SeqCst);
        self.page.get().expect("set above").view().map_err(failed)
    }
}

/// A waker's place among the watchers; it ends when dropped.
#[derive(Debug)]
pub struct Registration {
    notifier: Arc<Notifier>,
    change: Change,
    id: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.notifier.watchers(self.change).change(|waiters| waiters.retain(|(id, _)| *id != self.id));
    }
}
