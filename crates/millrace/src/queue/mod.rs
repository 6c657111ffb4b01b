//! Queues: records of a stream handed out one consumer at a time, each until it is acknowledged.
//!
//! A queue is a reader of its stream that remembers, for each record that it handed out, until when it is hidden and
//! how often it was received. The records stay in the stream's log, where other queues and readers see them, and where
//! they expire; a queue copies none. What it remembers is a pure state (`state`), driven by the time as an argument;
//! each step of it is in the queue's own log (`log`) before the caller hears of it.
//!
//! ```text
//!   Queue: receive, acknowledge, hide, restore
//!     |  reading: where the records stand          receipt: what a caller shows
//!     |  log: steps, made durable ---> state: which record is in flight, visible, dead
//! ```
//!
//! Invariants: a record is handed out at least once, whatever crashes; an acknowledgement is as durable as the stream's
//! policy says an append is, before its caller hears of it. Receive counts and visibility are not waited for: after a
//! loss of power a queue may have forgotten the last tenth of a second of them, after a crash of the process none.

mod delivery;
pub(crate) mod log;
mod reading;
mod receipt;
mod receive;
pub(crate) mod state;

use std::sync::Arc;

use crate::control::{Durability, QueueConfig, QueueEntry};
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::queue::Progress;
use crate::log::Log;
use crate::log::notify::{Registration, Wake};
use crate::stream::reader::Visibility;
use crate::stream::{Commit, Stream};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
pub use delivery::{Message, QueueMetrics, Receive, Received, Settled};
use log::QueueLog;
use reading::Source;
use receipt::Receipt;
pub use state::Lane;
use state::QueueState;

/// What nobody waits for is on disk after so many milliseconds.
const PROGRESS_SYNCED_AFTER_MS: u32 = 100;
/// At most so many waiting records are counted (Kinesis: 1,000,000).
const VISIBLE_COUNTED_MAX: u64 = 1_000_000;

/// The part that changes.
struct Core {
    config: QueueConfig,
    state: QueueState,
    log: QueueLog,
    source: Source,
}

pub(crate) struct QueueInner {
    id: u64,
    name: String,
    stream: Stream,
    log: Arc<Log>,
    // A queue's time goes by the monotonic clock from the wall's time at its opening: it does not jump.
    opened_wall_ms: u64,
    opened_monotonic_ms: u64,
    deleted: AtomicBool,
    core: Mutex<Core>,
}

/// A queue on a stream; cheap to clone, usable from any thread.
///
/// ```
/// use millrace::{Commit, Engine, OpenOptions, QueueOptions, Receive, StagedRecords, StreamConfig};
/// # let directory = tempfile::tempdir().unwrap();
/// let engine = Engine::open(directory.path(), OpenOptions::default())?;
/// let orders = engine.create_stream("orders", StreamConfig::default())?;
/// let queue = orders.create_queue("shipping", QueueOptions::default())?;
/// let mut staged = StagedRecords::default();
/// staged.push("order-1", None, b"two books");
/// orders.append(staged.as_staged(), None, Commit::Caller)?;
/// orders.flush()?;
/// let received = queue.receive(Receive::default())?;
/// assert_eq!(received.messages[0].data()?, b"two books");
/// let settled = queue.acknowledge(&[&received.messages[0].receipt], Commit::Caller)?;
/// queue.wait_acknowledged(settled.end)?;
/// assert!(queue.receive(Receive::default())?.messages.is_empty());
/// engine.close()?;
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone)]
pub struct Queue(pub(crate) Arc<QueueInner>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("name", &self.0.name).field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl QueueInner {
    /// Opens a queue of a stream; tells what of its progress was lost, if anything was.
    pub fn open(
        stream: &Stream,
        entry: &QueueEntry,
        directory: std::path::PathBuf,
    ) -> Result<(Arc<QueueInner>, Option<String>)> {
        let environment = &stream.0.engine.environment;
        let name = format!("{} of stream {}", entry.name, stream.name());
        let (log, mut state, lost) = QueueLog::open(environment, (entry.id, &name, directory), entry.start_sequence)?;
        let opened_wall_ms = environment.clock.wall_ms();
        state.correct_times(opened_wall_ms);
        let source = Source::new(stream.clone());
        let inner = QueueInner {
            id: entry.id,
            name,
            stream: stream.clone(),
            log: Arc::clone(&log.log),
            opened_wall_ms,
            opened_monotonic_ms: environment.clock.monotonic_ms(),
            deleted: AtomicBool::new(false),
            core: Mutex::new(Core { config: entry.config, state, log, source }),
        };
        inner.set_config(entry.config);
        Ok((Arc::new(inner), lost))
    }

    pub fn set_config(&self, config: QueueConfig) {
        let mut core = self.core.lock();
        core.config = config;
        let Core { state, log, .. } = &mut *core;
        log.owe(state.reconsider(config.dead_letters.max_receive_count()));
    }

    /// Ends the queue: whoever uses it is told that it is no more.
    pub fn start_deleting(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Where its progress stands.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Ends the log with all that was done; nothing more is appended to it.
    pub fn close(&self) -> Result<()> {
        let mut core = self.core.lock();
        let Core { state, log, .. } = &mut *core;
        log.append(state, &[])?;
        log.log.close().map(drop)
    }

    fn check_usable(&self) -> Result<()> {
        if self.deleted.load(Ordering::Acquire) {
            return Err(Error::new(Kind::QueueNotFound, format!("queue {} was deleted", self.name)));
        }
        self.stream.0.check_usable()
    }

    fn now_ms(&self) -> u64 {
        let passed_ms = self.stream.0.engine.environment.clock.monotonic_ms() - self.opened_monotonic_ms;
        self.opened_wall_ms + passed_ms
    }

    /// Does `work` on the state as the time has made it; returns with it the time.
    fn work<R>(&self, work: impl FnOnce(&mut Core, u64) -> Result<R>) -> Result<R> {
        self.check_usable()?;
        let horizon = self.stream.0.horizon_sequence();
        let mut core = self.core.lock();
        let now_ms = self.now_ms();
        let Core { config, state, log, .. } = &mut *core;
        state.expire(horizon);
        log.owe(state.pass_time(now_ms, config.dead_letters.max_receive_count()));
        work(&mut core, now_ms)
    }

    /// Lets the committer make durable what was appended and nobody waits for.
    fn commit_later(&self) {
        let engine = &self.stream.0.engine;
        let durability = match self.stream.0.durability() {
            Durability::Synced => Durability::Interval { ms: PROGRESS_SYNCED_AFTER_MS },
            other => other,
        };
        engine.committer.appended(&self.log, durability);
    }
}

impl Queue {
    /// The name.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name.clone()
    }

    /// Hands out records that are visible: first those that were received before, then those that were not. It does not
    /// wait: who found nothing looks again when the stream changes ([`Queue::on_change`]), and after `look_again`.
    ///
    /// # Errors
    /// `InvalidArgument`, `LimitExceeded` where 120,000 records are in flight, or 300,000 kept account of, and nothing is
    /// visible; `QueueNotFound` once the queue was deleted; `DiskFull`, `Poisoned`, `StreamDeleting`, `Closed`, `Io`.
    pub fn receive(&self, request: Receive) -> Result<Received> {
        request.validate()?;
        let received = self.0.work(|core, now_ms| core.receive(self, &request, now_ms))?;
        if !received.messages.is_empty() {
            self.0.commit_later();
        }
        Ok(received)
    }

    /// Acknowledges deliveries: their records are not handed out again. A delivery can be acknowledged as long as its
    /// record was not received again, whether or not its time is out, and as a dead letter too.
    ///
    /// # Errors
    /// For all receipts at once: `QueueNotFound`, `DiskFull`, `Poisoned`, `StreamDeleting`, `Closed`. What is wrong with
    /// one is in its result.
    pub fn acknowledge<R: AsRef<str>>(&self, receipts: &[R], commit: Commit) -> Result<Settled> {
        let settled =
            self.settle(receipts, |state, receipt, _, _| state.acknowledge(receipt.sequence, receipt.nonce))?;
        self.commit(commit);
        Ok(settled)
    }

    /// Changes for how many seconds from now the records of deliveries are hidden: 0 to 43,200; with 0 they are visible
    /// at once. They must be in flight.
    ///
    /// # Errors
    /// As [`Queue::acknowledge`], and `InvalidArgument` for other seconds.
    pub fn hide<R: AsRef<str>>(&self, receipts: &[R], seconds: &[u32]) -> Result<Settled> {
        seconds.iter().try_for_each(|seconds| QueueConfig::validate_timeout(*seconds))?;
        let settled = self.settle(receipts, |state, receipt, index, now_ms| {
            let seconds = seconds.get(index).copied().unwrap_or_default();
            state.hide(receipt.sequence, receipt.nonce, now_ms + u64::from(seconds) * 1_000)
        })?;
        self.0.commit_later();
        // Some may be visible sooner than those who wait believe.
        self.0.stream.0.wake_all();
        Ok(settled)
    }

    /// Makes dead letters records like any other again, received no time yet.
    ///
    /// # Errors
    /// As [`Queue::acknowledge`].
    pub fn restore<R: AsRef<str>>(&self, receipts: &[R], commit: Commit) -> Result<Settled> {
        let settled = self.settle(receipts, |state, receipt, _, _| state.restore(receipt.sequence, receipt.nonce))?;
        self.commit(commit);
        self.0.stream.0.wake_all();
        Ok(settled)
    }

    /// Returns once what was settled is as durable as the stream's policy promises; syncs in the calling thread.
    ///
    /// # Errors
    /// `OutcomeUnknown` where the sync fails.
    pub fn wait_acknowledged(&self, end: Position) -> Result<()> {
        match self.0.stream.0.durability() {
            Durability::Synced => self.0.log.sync_to(end),
            Durability::Interval { .. } | Durability::Os => Ok(()),
        }
    }

    /// Wakes `waiter` after each change that may make a record visible, until the registration is dropped. That a
    /// time-out comes is no change.
    #[must_use]
    pub fn on_change(&self, waiter: Arc<dyn Wake>) -> Registration {
        self.0.stream.on_change(self.0.stream.change_of(Visibility::Durable), waiter)
    }

    /// How many records the queue has. Those that nobody received yet are counted in the log, which takes a while where
    /// they are many.
    ///
    /// # Errors
    /// `QueueNotFound`, `StreamDeleting`, `Closed`, `Io`.
    pub fn metrics(&self) -> Result<QueueMetrics> {
        let (next_fresh, records, dead) = self.0.work(|core, _| {
            let counts = |lane| core.state.counts(lane);
            Ok((core.state.next_fresh(), counts(Lane::Records), counts(Lane::DeadLetters)))
        })?;
        let again = records.visible as u64;
        let fresh = self.0.stream.0.count_visible(next_fresh, VISIBLE_COUNTED_MAX.saturating_sub(again))?;
        Ok(QueueMetrics {
            visible: (again + fresh).min(VISIBLE_COUNTED_MAX),
            in_flight: records.in_flight as u64,
            dead_visible: dead.visible as u64,
            dead_in_flight: dead.in_flight as u64,
        })
    }

    fn commit(&self, commit: Commit) {
        if commit == Commit::Engine {
            self.0.stream.0.engine.committer.appended(&self.0.log, self.0.stream.0.durability());
        }
    }

    /// Decides a step for each receipt that is in force, and takes all of them.
    fn settle<R: AsRef<str>>(
        &self,
        receipts: &[R],
        decide: impl Fn(&QueueState, Receipt, usize, u64) -> Option<Progress>,
    ) -> Result<Settled> {
        self.0.work(|core, now_ms| {
            let (mut steps, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
            let mut results = Vec::with_capacity(receipts.len());
            for (index, text) in receipts.iter().enumerate() {
                let decided = self.parse(text.as_ref()).and_then(|receipt| {
                    if !seen.insert(receipt.sequence) {
                        let message = "expected each record once in a call, got this one before";
                        return Err(Error::new(Kind::InvalidArgument, message));
                    }
                    decide(&core.state, receipt, index, now_ms).ok_or_else(|| self.expired())
                });
                results.push(decided.map(|step| steps.push(step)));
            }
            let end = core.log.append(&mut core.state, &steps)?;
            Ok(Settled { results, end })
        })
    }

    fn parse(&self, text: &str) -> Result<Receipt> {
        let receipt: Receipt = text.parse()?;
        if receipt.queue == self.0.id {
            return Ok(receipt);
        }
        let message = format!("expected a receipt of queue {}, got one of another queue", self.0.name);
        Err(Error::new(Kind::ReceiptInvalid, message))
    }

    fn expired(&self) -> Error {
        let message = format!(
            "queue {}: this receipt is not in force: its record was acknowledged, received again, restored or has \
             expired, or it is not in flight, or no dead letter",
            self.0.name
        );
        Error::new(Kind::ReceiptExpired, message)
    }
}
