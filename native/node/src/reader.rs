//! One position in a stream that moves forward: from the engine's chunks to descriptors in a window.
//!
//! All records of one call have one source of bytes: the segment's map, as far as whole pages below the published
//! tail go, or else the caller's slab, into which they are copied. A page that JavaScript wrote into no longer shows
//! what the log appends to it, so a page that can still change is never shown. Nothing here trusts a length that
//! stands in a segment: the walk ends where the bytes are no records, and that is an error.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::format::record::Records;
use millrace::shard::Shard;
use millrace::{Chunk, Error, Kind, RunView, SegmentFile, Step, Stream, Visibility};
use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, Uint8Array};
use napi_derive::napi;

use crate::buffers::{NativeSegment, tail_buffer};
use crate::consumers::Source;
use crate::error::{coded, internal};
use crate::handles::Table;
use crate::notifier::Bell;
use crate::read_ahead::ReadAhead;
use crate::shards::{NativeShard, describe_shards};
use crate::window::{Cursor, IN_SLAB, Limits, RunHead, Slot, Window};

/// What [`reader_next`] returns when it described no record.
const AT_TAIL: i32 = -1;
const SLAB_TOO_SMALL: i32 = -2;
const END_OF_SHARD: i32 = -3;
/// Looks at the tail between two looks at the clock.
const SPINS_PER_CLOCK: u32 = 2048;

thread_local! {
    static READERS: Table<OpenReader> = const { Table::new() };
}

/// Reads a stream or one of its shards. The reader itself stands in a table, for [`reader_next`].
#[napi]
pub struct NativeReader {
    handle: u32,
    closed: Cell<bool>,
}

/// How a reader hands records over.
pub struct Delivery {
    pub shard: Option<u32>,
    pub visibility: Visibility,
    pub copy: bool,
    pub records_max: usize,
    pub bytes_max: usize,
}

struct OpenReader {
    stream: Stream,
    source: Source,
    // All records below were handed out when nothing more was there: what was fetched since may be on its way.
    passed_at_tail: u64,
    delivery: Delivery,
    bell: Arc<Bell>,
    pending: Option<Pending>,
    last_file: Option<Arc<SegmentFile>>,
    // What the shard was split or merged into, once it was read to its end.
    children: Option<Vec<Shard>>,
    ahead: ReadAhead,
    // The window and the slab.
    buffers: Option<(Uint8Array, Uint8Array)>,
}

/// A chunk of which not all records were described yet: the run to go on with, and the place in it.
struct Pending {
    chunk: Chunk,
    run: usize,
    cursor: Option<Cursor>,
}

impl NativeReader {
    pub fn new(stream: Stream, source: Source, delivery: Delivery, bell: Arc<Bell>) -> Self {
        let open = OpenReader {
            stream,
            passed_at_tail: source.reader().passed_sequence(),
            source,
            delivery,
            bell,
            pending: None,
            last_file: None,
            children: None,
            ahead: ReadAhead::default(),
            buffers: None,
        };
        NativeReader { handle: READERS.with(|readers| readers.insert(open)), closed: Cell::new(false) }
    }

    fn with<R>(&self, work: impl FnOnce(&mut OpenReader) -> napi::Result<R>) -> napi::Result<R> {
        if self.closed.get() {
            return Err(coded(&Error::new(Kind::Closed, "expected an open reader, but it was closed")));
        }
        READERS.with(|readers| readers.with(self.handle, work))
    }

    fn let_go(&self) {
        if !self.closed.replace(true) {
            // At the end of the thread the table may be gone already, and the reader with it.
            let _gone = READERS.try_with(|readers| readers.remove(self.handle));
        }
    }
}

impl Drop for NativeReader {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Describes the next records in the reader's window and returns how many; or -1 at the tail; or -2 when the slab has
/// no room for the next record (the window's header tells how much it takes); or -3 at the end of a shard. With `arm`, the reader's id fires when it
/// is at the tail now and there is more later. Not to be called once the reader is closed.
#[napi(catch_unwind)]
pub fn reader_next(handle: u32, arm: bool) -> napi::Result<i32> {
    READERS.with(|readers| readers.with(handle, |open| open.next(arm)))
}

/// Like [`reader_next`], but looks for at most so many microseconds until there are records: the quickest way to see
/// them. It blocks the calling thread meanwhile.
#[napi(catch_unwind)]
pub fn reader_poll_for(handle: u32, microseconds: u32) -> napi::Result<i32> {
    READERS.with(|readers| readers.with(handle, |open| open.poll_for(Duration::from_micros(microseconds.into()))))
}

#[napi]
impl NativeReader {
    /// The reader's number for [`reader_next`].
    #[napi(getter, catch_unwind)]
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Sets the buffers that [`reader_next`] writes to. They are handed over once and not at each call, because taking
    /// a typed array apart costs more than describing a record.
    #[napi(catch_unwind)]
    pub fn set_buffers(&self, window: Uint8Array, slab: Uint8Array) -> napi::Result<()> {
        self.with(|open| {
            open.buffers = Some((window, slab));
            Ok(())
        })
    }

    /// What the reader's shard was split or merged into, once it was read to its end.
    #[napi(catch_unwind)]
    pub fn child_shards(&self) -> napi::Result<Option<Vec<NativeShard>>> {
        self.with(|open| Ok(open.children.as_deref().map(|children| describe_shards(&open.stream, children))))
    }

    /// Goes on behind the damage at which [`reader_next`] stopped.
    #[napi(catch_unwind)]
    pub fn skip_damage(&self) -> napi::Result<()> {
        self.with(|open| open.source.skip_damage().map_err(|error| coded(&error)))
    }

    /// The sequence number behind which the reader stood when it was last at the tail or an end, or else began. It moves
    /// on where nothing was written for this reader, too.
    #[napi(catch_unwind)]
    pub fn continuation(&self) -> napi::Result<String> {
        self.with(|open| {
            let shard = open.delivery.shard.unwrap_or(0);
            Ok(open.stream.sequence_number(shard, open.passed_at_tail.saturating_sub(1)))
        })
    }

    /// After how many milliseconds to look again though no wake-up came: limits may let more pass then.
    #[napi(catch_unwind)]
    pub fn wait_ms(&self) -> napi::Result<f64> {
        self.with(|open| Ok(open.source.wait_ms()))
    }

    /// Holds the segment that the last descriptors point into.
    #[napi(catch_unwind)]
    pub fn hold_segment(&self, env: Env) -> napi::Result<NativeSegment> {
        let file = self.with(|open| Ok(open.last_file.clone()))?;
        NativeSegment::new(env, file.ok_or_else(|| internal("no segment was read yet"))?.hold())
    }

    /// The page of counters that move when there is something new; see [`NativeReader::tail_word`].
    #[napi(catch_unwind)]
    pub fn map_tail<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        let view = self.with(|open| open.stream.tail_view().map_err(|error| coded(&error)))?;
        tail_buffer(env, view)
    }

    /// Which 32-bit word of the page counts what this reader sees.
    #[napi(catch_unwind)]
    pub fn tail_word(&self) -> napi::Result<u32> {
        self.with(|open| {
            Ok(match open.stream.change_of(open.delivery.visibility) {
                millrace::Change::Published => 0,
                millrace::Change::Durable => 1,
            })
        })
    }

    /// Lets go of files and wake-ups. Buffers that were handed out stay.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.let_go();
    }
}

impl OpenReader {
    fn poll_for(&mut self, duration: Duration) -> napi::Result<i32> {
        #[expect(clippy::disallowed_methods, reason = "the caller asked to spin for so much of the machine's time")]
        let now = Instant::now;
        let until = now() + duration;
        loop {
            // Each look at the clock is a whole look at the stream too, which also notices that it was closed.
            let outcome = self.next(false)?;
            if outcome != AT_TAIL || now() >= until {
                return Ok(outcome);
            }
            for _ in 0..SPINS_PER_CLOCK {
                if !self.source.reader().is_at_tail() {
                    break;
                }
            }
        }
    }

    fn next(&mut self, arm: bool) -> napi::Result<i32> {
        let Some((mut window, mut slab)) = self.buffers.take() else { return Err(internal("no buffers were set")) };
        let outcome = self.next_into(&mut window, &mut slab, arm);
        self.buffers = Some((window, slab));
        outcome
    }

    fn next_into(&mut self, window: &mut Uint8Array, slab: &mut Uint8Array, arm: bool) -> napi::Result<i32> {
        // SAFETY: JavaScript does not run during this call, and `src/reader.ts` owns the two buffers, which do not
        // overlap and are never detached.
        let window = unsafe { window.as_mut() };
        // SAFETY: as above.
        let slab = unsafe { slab.as_mut() };
        let mut window = Window::new(window)?;
        if self.pending.is_none() && !self.fetch(arm).map_err(|error| coded(&error))? {
            return Ok(if self.children.is_some() { END_OF_SHARD } else { AT_TAIL });
        }
        self.describe(&mut window, slab)
    }

    /// Fetches a chunk; `false` at the tail and at the end. Arms first and looks again, so that no change falls in between.
    fn fetch(&mut self, arm: bool) -> millrace::Result<bool> {
        let look_is_counted = matches!(self.source, Source::Limited(_));
        if look_is_counted && arm {
            self.bell.arm(&self.stream, self.stream.change_of(self.delivery.visibility));
            return self.fetch_once();
        }
        if self.fetch_once()? {
            return Ok(true);
        }
        if !arm || self.children.is_some() {
            return Ok(false);
        }
        self.bell.arm(&self.stream, self.stream.change_of(self.delivery.visibility));
        self.fetch_once()
    }

    fn fetch_once(&mut self) -> millrace::Result<bool> {
        match self.source.next(self.delivery.records_max, self.delivery.bytes_max)? {
            Step::Chunk(chunk) => {
                self.pending = Some(Pending { chunk, run: 0, cursor: None });
                Ok(true)
            }
            Step::AtTail => {
                self.passed_at_tail = self.source.reader().passed_sequence();
                self.ahead.stop();
                Ok(false)
            }
            Step::EndOfShard(children) => {
                self.passed_at_tail = self.source.reader().passed_sequence();
                self.ahead.stop();
                self.children = Some(children);
                Ok(false)
            }
        }
    }

    /// Describes records of the pending chunk, as long as they have one source.
    fn describe(&mut self, window: &mut Window<'_>, slab: &mut [u8]) -> napi::Result<i32> {
        let Some(pending) = &mut self.pending else { return Ok(AT_TAIL) };
        let copy_all = self.delivery.copy;
        let Some(first) = pending.chunk.runs.get(pending.run) else {
            // The chunk's last run was damaged, and told so at the call before.
            self.pending = None;
            return Ok(0);
        };
        let copying = copy_all || !pending.chunk.is_shown_in_place(first);
        let mut slab = copying.then(|| Slab::new(slab, window.get(Slot::SlabUsed)));
        let mut count = 0;
        while let Some(run) = pending.chunk.runs.get(pending.run) {
            if copying != (copy_all || !pending.chunk.is_shown_in_place(run)) || !window.has_room() {
                break;
            }
            let payload = pending.chunk.payload(run).map_err(|error| coded(&error))?;
            let mut cursor = pending.cursor.unwrap_or(Cursor { offset: 0, sequence: run.first_sequence });
            let described = describe_run(window, run, payload, &mut cursor, slab.as_mut());
            count += described;
            // The run's count and its bytes must come to their ends together.
            let left = records_left(run, &cursor);
            let done = left == 0 && cursor.offset == payload.len();
            if !done && described == 0 {
                let wanted = wanted_bytes(payload, &cursor, copying && left > 0);
                if let (0, Some(wanted)) = (count, wanted) {
                    window.set(Slot::SlabWanted, wanted);
                    return Ok(SLAB_TOO_SMALL);
                }
                if count == 0 {
                    let error = corrupt(run);
                    pending.run += 1;
                    pending.cursor = None;
                    return Err(error);
                }
                break;
            }
            pending.run += usize::from(done);
            pending.cursor = (!done).then_some(cursor);
        }
        window.set(Slot::Segment, if copying { IN_SLAB } else { pending.chunk.file.segment });
        if let Some(slab) = slab {
            window.set(Slot::SlabUsed, slab.used);
        }
        self.finish(window);
        i32::try_from(count).map_err(|_| internal("a window of too many records"))
    }

    fn finish(&mut self, window: &mut Window<'_>) {
        // Who has records left of a chunk that reaches the tail is not there yet.
        let left = self.pending.as_ref().is_some_and(|pending| pending.run < pending.chunk.runs.len());
        let behind = self.source.reader().millis_behind_latest().max(u64::from(left));
        window.set(Slot::MillisBehind, u32::try_from(behind).unwrap_or(u32::MAX));
        let Some(pending) = &self.pending else { return };
        self.last_file = Some(Arc::clone(&pending.chunk.file));
        if pending.run == pending.chunk.runs.len() {
            self.ahead.follow(&pending.chunk);
            self.pending = None;
        }
    }
}

/// Owned bytes of JavaScript, filled from the front.
struct Slab<'a> {
    bytes: &'a mut [u8],
    used: u32,
}

impl<'a> Slab<'a> {
    fn new(bytes: &'a mut [u8], used: u32) -> Self {
        Slab { bytes, used }
    }

    fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.used as usize)
    }

    fn push(&mut self, piece: &[u8]) {
        let start = self.used as usize;
        self.bytes[start..start + piece.len()].copy_from_slice(piece);
        self.used = self.used.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
    }
}

/// Describes what fits of one run, and copies it if there is a slab.
fn describe_run(
    window: &mut Window<'_>,
    run: &RunView,
    payload: &[u8],
    cursor: &mut Cursor,
    slab: Option<&mut Slab<'_>>,
) -> usize {
    let head = RunHead { shard: run.shard, arrival_ms: run.arrival_ms };
    let records = records_left(run, cursor);
    let Some(slab) = slab else {
        let limits = Limits { base: run.payload.start, bytes: payload.len(), records };
        return window.describe(head, payload, cursor, limits);
    };
    let start = cursor.offset;
    // Offsets wrap around on purpose: the base stands before the slab when the walk starts inside of a run.
    let base = slab.used.wrapping_sub(u32::try_from(start).unwrap_or(u32::MAX));
    let count = window.describe(head, payload, cursor, Limits { base, bytes: slab.room(), records });
    slab.push(&payload[start..cursor.offset]);
    count
}

/// How many records of a run are not described yet.
fn records_left(run: &RunView, cursor: &Cursor) -> usize {
    let described = usize::try_from(cursor.sequence - run.first_sequence).unwrap_or(usize::MAX);
    (run.records as usize).saturating_sub(described)
}

/// The bytes that the next record takes in a slab, if it is one.
fn wanted_bytes(payload: &[u8], cursor: &Cursor, copying: bool) -> Option<u32> {
    let mut records = Records::from_offset(payload, cursor.offset);
    let _record = copying.then(|| records.next()).flatten()?;
    u32::try_from(records.offset() - cursor.offset).ok()
}

fn corrupt(run: &RunView) -> napi::Error {
    let message = format!(
        "expected {} records from sequence {} of shard {} at offset {}, found bytes that are none",
        run.records, run.first_sequence, run.shard, run.payload.start
    );
    coded(&Error::new(Kind::Corrupt, message))
}
