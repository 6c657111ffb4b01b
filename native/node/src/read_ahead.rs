//! Pages of a segment, mapped by another thread before a reader comes to them.
//!
//! A page fault for each 64 KiB, and taking the map down again, are 40 % of a long replay. A reader that goes through a
//! large segment run by run therefore has a helper, which maps the next few MiB and, because it holds each segment a
//! little longer than the reader does, takes the map down too. All of it is advice: a reader never waits for its
//! helper, verifies everything by itself, and without one makes its page faults by itself.
//!
//! There are fewer helpers in a process than processors, and each ends when its reader is closed or at the tail.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle, available_parallelism};

use millrace::{Chunk, SegmentFile};

/// What is asked for at a time, and mapped at least ahead of the reader, in bytes.
const STRIDE_BYTES: u32 = 4 << 20;
/// What is mapped between two looks at whether the reader is still there, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// A helper starts where the rest of a segment is at least this long, in bytes: it costs some 50 µs.
const WORTH_BYTES: u32 = 2 << 20;

static HELPERS: AtomicUsize = AtomicUsize::new(0);

/// Where a reader's helper was sent. It costs nothing until a reader goes through something large.
#[derive(Default)]
pub struct ReadAhead {
    helper: Option<Helper>,
    segment: u32,
    asked: u32,
}

impl ReadAhead {
    /// Sends the helper on, now that the reader is behind this chunk.
    pub fn follow(&mut self, chunk: &Chunk) {
        let (Some(first), Some(last)) = (chunk.runs.first(), chunk.runs.last()) else { return };
        let (start, end) = (first.payload.start, last.payload.end);
        if self.segment != chunk.file.segment {
            (self.segment, self.asked) = (chunk.file.segment, end);
        }
        self.asked = self.asked.max(end);
        let far_enough = self.asked - end >= STRIDE_BYTES || self.asked >= chunk.safe_end;
        if far_enough || is_sparse(chunk, end - start) {
            return;
        }
        if self.helper.is_none() && chunk.safe_end - self.asked >= WORTH_BYTES {
            self.helper = Helper::start();
        }
        let Some(helper) = &self.helper else { return };
        let next = self.asked.saturating_add(STRIDE_BYTES).min(chunk.safe_end);
        if helper.ask(Request { file: Arc::clone(&chunk.file), range: self.asked as usize..next as usize }) {
            self.asked = next;
        }
    }

    /// Lets the helper go.
    pub fn stop(&mut self) {
        *self = ReadAhead::default();
    }
}

/// Whether less than half of the bytes that the chunk spans are the reader's: the pages ahead would be others' then.
fn is_sparse(chunk: &Chunk, span: u32) -> bool {
    let bytes: u64 = chunk.runs.iter().map(|run| u64::from(run.payload.end - run.payload.start)).sum();
    bytes < u64::from(span / 2)
}

struct Request {
    file: Arc<SegmentFile>,
    range: Range<usize>,
}

struct Helper {
    // Taken when the helper is to end, which its loop sees.
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    gone: Arc<AtomicBool>,
}

impl Helper {
    /// `None` where there are as many as the machine bears.
    fn start() -> Option<Helper> {
        let processors = available_parallelism().map_or(1, std::num::NonZero::get);
        let claimed = |helpers| (helpers + 1 < processors).then_some(helpers + 1);
        HELPERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claimed).ok()?;
        let (requests, received) = sync_channel(1);
        let gone = Arc::new(AtomicBool::new(false));
        let work = {
            let gone = Arc::clone(&gone);
            move || serve(&received, &gone)
        };
        let thread = Builder::new().name("millrace-ahead".to_owned()).spawn(work).ok();
        // From here on the value's end gives the claim back, also where there is no thread.
        Some(Helper { requests: Some(requests), thread, gone })
    }

    /// Whether the request was taken; a helper that is busy takes none.
    fn ask(&self, request: Request) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.try_send(request).is_ok())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell, and after it no file is held any more.
            let _ended = thread.join();
        }
        HELPERS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(requests: &Receiver<Request>, gone: &AtomicBool) {
    let mut last = None;
    while let Ok(request) = requests.recv() {
        let Request { file, range } = request;
        for start in range.clone().step_by(PIECE_BYTES) {
            if gone.load(Ordering::Relaxed) {
                return;
            }
            file.populate(start..range.end.min(start + PIECE_BYTES));
        }
        // Held until the next one comes: the map of a segment that the reader has left is taken down here.
        last = Some(file);
    }
    drop(last);
}
