//! The two threads that serve all streams of a store: the committer, which syncs, and the keeper, which prepares and
//! seals segments and lets time pass for the retention. Neither is ever in the path of an append.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::control::Durability;
use crate::error::{Error, Result};
use crate::log::{Log, Servant};

/// A log that has been idle for so long gets a mark, in milliseconds.
const MARK_AFTER_MS: u64 = 50;
/// How often the retention is looked at, in milliseconds.
const EXPIRY_EVERY_MS: u64 = 60_000;

/// What the committer does to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Sync,
    Mark,
}

struct Due {
    log: Weak<Log>,
    at_ms: u64,
    act: Act,
}

#[derive(Default)]
struct Agenda {
    due: Vec<Due>,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    agenda: Mutex<Agenda>,
    changed: Condvar,
}

/// Syncs for all streams.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub fn start(clock: Arc<dyn Clock>) -> Result<Committer> {
        let shared = Arc::new(Shared::default());
        let (for_thread, its_clock) = (Arc::clone(&shared), Arc::clone(&clock));
        let thread = spawn("millrace-commit", move || commit_loop(&for_thread, &*its_clock))?;
        Ok(Committer { shared, clock, thread: Mutex::new(Some(thread)) })
    }

    /// Something was appended under this policy.
    pub fn appended(&self, log: &Arc<Log>, durability: Durability) {
        match durability {
            Durability::Synced => self.put(log, 0, Act::Sync),
            Durability::Interval { ms } => self.put(log, self.clock.monotonic_ms() + u64::from(ms), Act::Sync),
            Durability::Os => {}
        }
    }

    /// The log is durable; if it stays as it is, it gets a mark.
    pub fn mark_later(&self, log: &Arc<Log>) {
        self.put(log, self.clock.monotonic_ms() + MARK_AFTER_MS, Act::Mark);
    }

    fn put(&self, log: &Arc<Log>, at_ms: u64, act: Act) {
        let flag = match act {
            Act::Sync => &log.sync_due,
            Act::Mark => &log.mark_due,
        };
        if flag.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        self.shared.agenda.lock().due.push(Due { log: Arc::downgrade(log), at_ms, act });
        self.shared.changed.notify_one();
    }

    /// Ends the thread after what it is at.
    pub fn stop(&self) {
        self.shared.agenda.lock().stop = true;
        self.shared.changed.notify_one();
        join(&self.thread);
    }
}

fn commit_loop(shared: &Shared, clock: &dyn Clock) {
    loop {
        let due = {
            let mut agenda = shared.agenda.lock();
            loop {
                if agenda.stop {
                    return;
                }
                let now_ms = clock.monotonic_ms();
                if let Some(index) = agenda.due.iter().position(|due| due.at_ms <= now_ms) {
                    break agenda.due.remove(index);
                }
                match agenda.due.iter().map(|due| due.at_ms).min() {
                    Some(at_ms) => {
                        shared.changed.wait_for(&mut agenda, clock.wait_for(at_ms - now_ms));
                    }
                    None => shared.changed.wait(&mut agenda),
                }
            }
        };
        let Some(log) = due.log.upgrade() else { continue };
        match due.act {
            Act::Sync => {
                // Cleared before the sync: what is appended from now on asks for another.
                log.sync_due.store(false, std::sync::atomic::Ordering::Release);
                // A failure poisons the log, and whoever waits hears of it there.
                if log.sync_all().is_ok() && !log.mark_due.swap(true, std::sync::atomic::Ordering::AcqRel) {
                    let at_ms = clock.monotonic_ms() + MARK_AFTER_MS;
                    shared.agenda.lock().due.push(Due { log: due.log, at_ms, act: Act::Mark });
                }
            }
            Act::Mark => {
                log.mark_due.store(false, std::sync::atomic::Ordering::Release);
                let _poisons_the_log_where_it_fails = log.mark();
            }
        }
    }
}

/// What the keeper does for a store; the engine implements it.
pub(crate) trait Upkeep: Send + Sync {
    /// Prepares and seals for one stream.
    fn upkeep(&self, stream: u64);
    /// Lets time pass for the retention of all streams.
    fn expire(self: Arc<Self>);
}

#[derive(Default)]
struct Wishes {
    streams: Vec<u64>,
    stop: bool,
}

#[derive(Default)]
struct Bell {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

/// Prepares, seals and expires for all streams.
pub(crate) struct Keeper {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Servant for Keeper {
    fn wants_upkeep(&self, stream: u64) {
        self.bell.wishes.lock().streams.push(stream);
        self.bell.changed.notify_one();
    }
}

impl Keeper {
    pub fn new() -> Keeper {
        Keeper { bell: Arc::new(Bell::default()), thread: Mutex::new(None) }
    }

    /// Starts to serve; `upkeep` is asked as long as it lives.
    pub fn start(&self, upkeep: Weak<dyn Upkeep>, clock: Arc<dyn Clock>) -> Result<()> {
        let bell = Arc::clone(&self.bell);
        *self.thread.lock() = Some(spawn("millrace-keeper", move || keep_loop(&bell, &upkeep, &*clock))?);
        Ok(())
    }

    /// Ends the thread after what it is at.
    pub fn stop(&self) {
        self.bell.wishes.lock().stop = true;
        self.bell.changed.notify_one();
        join(&self.thread);
    }
}

fn keep_loop(bell: &Bell, upkeep: &Weak<dyn Upkeep>, clock: &dyn Clock) {
    let mut expiry_at_ms = clock.monotonic_ms() + EXPIRY_EVERY_MS;
    loop {
        let streams = {
            let mut wishes = bell.wishes.lock();
            if wishes.streams.is_empty() && !wishes.stop {
                let wait_ms = expiry_at_ms.saturating_sub(clock.monotonic_ms());
                bell.changed.wait_for(&mut wishes, clock.wait_for(wait_ms));
            }
            if wishes.stop {
                return;
            }
            std::mem::take(&mut wishes.streams)
        };
        let Some(upkeep) = upkeep.upgrade() else { return };
        streams.into_iter().for_each(|stream| upkeep.upkeep(stream));
        if clock.monotonic_ms() >= expiry_at_ms {
            upkeep.expire();
            expiry_at_ms = clock.monotonic_ms() + EXPIRY_EVERY_MS;
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(|error| Error::io(format!("could not start the thread {name}"), error))
}

fn join(thread: &Mutex<Option<JoinHandle<()>>>) {
    let Some(handle) = thread.lock().take() else { return };
    // The last handle may be dropped on the thread itself; it ends then anyway.
    if handle.thread().id() != std::thread::current().id() {
        let _a_panic_was_printed_by_its_thread = handle.join();
    }
}
