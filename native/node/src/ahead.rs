//! Appending full batches on another thread, while JavaScript stages the next one.
//!
//! A batch of some thousand records takes as long to stage as to append, so a program that only appends gets nearly
//! twice as far where there is a second core. The hop costs some microseconds, so it is for full buffers that nobody
//! waits for; all else is appended by the thread that asks.
//!
//! Invariants: a writer has one batch ahead at most, and takes its outcome before it appends again, so that its batches
//! keep their order. The bytes are copied before the call returns: no thread but JavaScript's looks at its memory. The
//! thread serves all writers of the process, one at a time (a writer that finds it busy appends by itself), and ends
//! with the last of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use millrace::{Commit, Position, Staged, Stream};

use crate::error::{coded, internal};
use crate::task::panic_text;

/// The thread that appends; it ends when nobody holds this any more.
struct Appender {
    jobs: Option<Sender<Job>>,
    is_busy: AtomicBool,
    thread: Option<JoinHandle<()>>,
}

/// A batch on its way.
struct Job {
    stream: Stream,
    bytes: Vec<u8>,
    records_bytes: usize,
    count: usize,
    appender: Weak<Appender>,
    outcome: Arc<Slot>,
}

/// Where a writer finds what became of its batch, with the memory for the next.
#[derive(Default)]
struct Slot {
    outcome: Mutex<Option<(napi::Result<Position>, Vec<u8>)>>,
    is_there: Condvar,
}

/// One writer's batches ahead.
pub struct Ahead {
    appender: Arc<Appender>,
    outcome: Arc<Slot>,
    memory: Vec<u8>,
    is_outstanding: bool,
}

impl Ahead {
    /// Nothing where the process has one core only, or no further thread can be started.
    pub fn new() -> Option<Ahead> {
        let appender = Appender::shared()?;
        Some(Ahead { appender, outcome: Arc::default(), memory: Vec::new(), is_outstanding: false })
    }

    /// Copies a batch and lets the other thread append it; `false` where that thread is busy, or has a batch of this
    /// writer whose outcome was not taken.
    pub fn start(&mut self, stream: &Stream, Staged { records, keys, count }: Staged<'_>) -> bool {
        if self.is_outstanding || self.appender.is_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut bytes = std::mem::take(&mut self.memory);
        bytes.clear();
        bytes.extend_from_slice(records);
        bytes.extend_from_slice(keys);
        let job = Job {
            stream: stream.clone(),
            bytes,
            records_bytes: records.len(),
            count,
            appender: Arc::downgrade(&self.appender),
            outcome: Arc::clone(&self.outcome),
        };
        self.is_outstanding = self.appender.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        self.is_outstanding
    }

    /// Waits for the batch that was started, and returns what became of it.
    pub fn take(&mut self) -> napi::Result<Position> {
        if !std::mem::take(&mut self.is_outstanding) {
            return Err(internal("no batch is ahead"));
        }
        let lock = self.outcome.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcome =
            self.outcome.is_there.wait_while(lock, |outcome| outcome.is_none()).unwrap_or_else(PoisonError::into_inner);
        let (appended, memory) = outcome.take().ok_or_else(|| internal("a batch ahead was lost"))?;
        self.memory = memory;
        appended
    }
}

impl Appender {
    /// The thread that serves all writers, started for the first of them.
    fn shared() -> Option<Arc<Appender>> {
        static CURRENT: Mutex<Weak<Appender>> = Mutex::new(Weak::new());
        static HAS_CORES: OnceLock<bool> = OnceLock::new();
        if !HAS_CORES.get_or_init(|| thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)) {
            return None;
        }
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(appender) = current.upgrade() {
            return Some(appender);
        }
        let (jobs, received) = channel();
        // Without another thread nothing is lost but speed.
        let thread = thread::Builder::new().name("millrace-append".into()).spawn(move || serve(&received)).ok()?;
        let appender = Arc::new(Appender { jobs: Some(jobs), is_busy: AtomicBool::new(false), thread: Some(thread) });
        *current = Arc::downgrade(&appender);
        Some(appender)
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more.
        self.jobs = None;
        let own = |thread: &JoinHandle<()>| thread.thread().id() == thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread)) {
            // It catches every panic of a job, so there is nothing to be told.
            let _ended = thread.join();
        }
    }
}

fn serve(jobs: &Receiver<Job>) {
    for Job { stream, bytes, records_bytes, count, appender, outcome } in jobs {
        let (records, keys) = bytes.split_at(records_bytes);
        let append = || stream.append(Staged { records, keys, count }, None, Commit::Engine);
        let appended = match catch_unwind(AssertUnwindSafe(append)) {
            Ok(appended) => appended.map(|appended| appended.end).map_err(|error| coded(&error)),
            Err(payload) => Err(internal(&panic_text(&*payload))),
        };
        drop(stream);
        // Free before the outcome is known, for whoever waits for it has the next batch.
        if let Some(appender) = appender.upgrade() {
            appender.is_busy.store(false, Ordering::Release);
        }
        *outcome.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some((appended, bytes));
        outcome.is_there.notify_one();
    }
}
