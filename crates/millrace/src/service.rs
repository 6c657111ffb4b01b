//! The two services of all streams of a store: the committer, which syncs, and the keeper, which prepares and seals
//! segments and lets time pass for the retention. Neither is ever in the path of an append. Each has a thread of its
//! own, or is run by whoever holds the engine, step by step.

use std::sync::{Arc, Weak};

use crate::clock::Clock;
use crate::control::Durability;
use crate::environment::Services;
use crate::error::{Error, Result};
use crate::log::{Log, Servant};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};

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
    pub fn start(clock: Arc<dyn Clock>, services: Services) -> Result<Committer> {
        let shared = Arc::new(Shared::default());
        let (for_thread, its_clock) = (Arc::clone(&shared), Arc::clone(&clock));
        let work = move || commit_loop(&for_thread, &*its_clock);
        Ok(Committer { shared, clock, thread: Mutex::new(spawn(services, "millrace-commit", work)?) })
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
        let wish = match act {
            Act::Sync => &log.sync_due,
            Act::Mark => &log.mark_due,
        };
        if !wish.note() {
            return;
        }
        self.shared.agenda.lock().due.push(Due { log: Arc::downgrade(log), at_ms, act });
        self.shared.changed.notify_one();
    }

    /// Does all that is due by now; returns how much that was.
    pub fn serve(&self) -> usize {
        let next = || self.shared.agenda.lock().take(self.clock.monotonic_ms());
        std::iter::from_fn(next).map(|due| self.shared.perform(due, &*self.clock)).count()
    }

    /// Ends the thread after what it is at.
    pub fn stop(&self) {
        self.shared.agenda.lock().stop = true;
        self.shared.changed.notify_one();
        join(&self.thread);
    }
}

impl Agenda {
    /// What is due by `now_ms`, if anything is.
    fn take(&mut self, now_ms: u64) -> Option<Due> {
        let index = self.due.iter().position(|due| due.at_ms <= now_ms)?;
        Some(self.due.remove(index))
    }
}

impl Shared {
    fn perform(&self, due: Due, clock: &dyn Clock) {
        let Some(log) = due.log.upgrade() else { return };
        match due.act {
            Act::Sync => {
                // Cleared before the sync: what is appended from now on asks for another.
                log.sync_due.take_up();
                // A failure poisons the log, and whoever waits hears of it there.
                if log.sync_all().is_ok() && log.mark_due.note() {
                    let at_ms = clock.monotonic_ms() + MARK_AFTER_MS;
                    self.agenda.lock().due.push(Due { log: due.log, at_ms, act: Act::Mark });
                }
            }
            Act::Mark => {
                log.mark_due.take_up();
                let _poisons_the_log_where_it_fails = log.mark();
            }
        }
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
                if let Some(due) = agenda.take(now_ms) {
                    break due;
                }
                match agenda.due.iter().map(|due| due.at_ms).min() {
                    Some(at_ms) => {
                        shared.changed.wait_for(&mut agenda, clock.wait_for(at_ms - now_ms));
                    }
                    None => shared.changed.wait(&mut agenda),
                }
            }
        };
        shared.perform(due, clock);
    }
}

/// What the keeper does for a store; the engine implements it.
pub(crate) trait Upkeep: Send + Sync {
    /// Prepares and seals for one stream.
    fn upkeep(&self, stream: u64);
    /// Writes the figures that other processes read.
    fn publish(&self);
    /// Lets time pass for the retention of all streams.
    fn expire(self: Arc<Self>);
    /// Lets on-demand streams follow their traffic.
    fn scale(&self);
}

#[derive(Default)]
struct Wishes {
    streams: Vec<u64>,
    expiry_at_ms: u64,
    publish_at_ms: Option<u64>,
    stop: bool,
}

/// What the keeper does in one go.
struct Round {
    streams: Vec<u64>,
    publishes: bool,
    expires: bool,
}

impl Wishes {
    /// What there is to do by `now_ms`, if anything is.
    fn take(&mut self, now_ms: u64) -> Option<Round> {
        let expires = now_ms >= self.expiry_at_ms;
        let publishes = self.publish_at_ms.is_some_and(|at_ms| now_ms >= at_ms);
        if self.streams.is_empty() && !expires && !publishes {
            return None;
        }
        if publishes {
            self.publish_at_ms = None;
        }
        if expires {
            self.expiry_at_ms = now_ms + EXPIRY_EVERY_MS;
        }
        Some(Round { streams: std::mem::take(&mut self.streams), publishes, expires })
    }

    /// When there is something to do at the latest.
    fn next_ms(&self) -> u64 {
        self.publish_at_ms.map_or(self.expiry_at_ms, |at_ms| at_ms.min(self.expiry_at_ms))
    }
}

impl Round {
    fn perform(self, upkeep: Arc<dyn Upkeep>) {
        self.streams.into_iter().for_each(|stream| upkeep.upkeep(stream));
        if self.publishes {
            upkeep.publish();
        }
        if self.expires {
            Arc::clone(&upkeep).expire();
            upkeep.scale();
        }
    }
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
    pub fn new(clock: &dyn Clock) -> Keeper {
        let expiry_at_ms = clock.monotonic_ms() + EXPIRY_EVERY_MS;
        let wishes = Mutex::new(Wishes { expiry_at_ms, ..Wishes::default() });
        Keeper { bell: Arc::new(Bell { wishes, ..Bell::default() }), thread: Mutex::new(None) }
    }

    /// Starts to serve; `upkeep` is asked as long as it lives.
    pub fn start(&self, upkeep: Weak<dyn Upkeep>, clock: Arc<dyn Clock>, services: Services) -> Result<()> {
        let bell = Arc::clone(&self.bell);
        *self.thread.lock() = spawn(services, "millrace-keeper", move || keep_loop(&bell, &upkeep, &*clock))?;
        Ok(())
    }

    /// Publishes at this time of the monotonic clock.
    pub fn publish_at(&self, at_ms: u64) {
        self.bell.wishes.lock().publish_at_ms = Some(at_ms);
        self.bell.changed.notify_one();
    }

    /// Does all that there is to do by now; returns in how many rounds.
    pub fn serve(&self, upkeep: &Arc<dyn Upkeep>, clock: &dyn Clock) -> usize {
        let next = || self.bell.wishes.lock().take(clock.monotonic_ms());
        std::iter::from_fn(next).map(|round| round.perform(Arc::clone(upkeep))).count()
    }

    /// Ends the thread after what it is at.
    pub fn stop(&self) {
        self.bell.wishes.lock().stop = true;
        self.bell.changed.notify_one();
        join(&self.thread);
    }
}

fn keep_loop(bell: &Bell, upkeep: &Weak<dyn Upkeep>, clock: &dyn Clock) {
    loop {
        let round = {
            let mut wishes = bell.wishes.lock();
            loop {
                if wishes.stop {
                    return;
                }
                let now_ms = clock.monotonic_ms();
                if let Some(round) = wishes.take(now_ms) {
                    break round;
                }
                let wait_ms = wishes.next_ms().saturating_sub(now_ms);
                bell.changed.wait_for(&mut wishes, clock.wait_for(wait_ms));
            }
        };
        let Some(upkeep) = upkeep.upgrade() else { return };
        round.perform(upkeep);
    }
}

/// A thread for the work, where the services have threads.
pub(crate) fn spawn(
    services: Services,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<Option<JoinHandle<()>>> {
    if services == Services::Caller {
        return Ok(None);
    }
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(Some).map_err(|error| Error::io(format!("could not start the thread {name}"), error))
}

pub(crate) fn join(of: &Mutex<Option<JoinHandle<()>>>) {
    let Some(handle) = of.lock().take() else { return };
    // The last handle may be dropped on the thread itself; it ends then anyway.
    if handle.thread().id() != thread::current().id() {
        let _a_panic_was_printed_by_its_thread = handle.join();
    }
}
