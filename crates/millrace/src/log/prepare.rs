//! Segments ahead of the writer: allocated, zeroed where that pays, their reservation of sequences durable.
//!
//! Zeros make small syncs twice as fast, because no extent has to be converted; but they cost the disk as much as the
//! data will. So a fresh file is zeroed where the stream asked for prepared space, or where the writer is slow enough
//! that the disk has time; and a writer that arrives early ends the zeroing. Files that retention freed are used as
//! they are: their blocks have been written, and their old frames are of another incarnation.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use super::segment::{SegmentFile, segment_path};
use crate::disk::{Access, DiskFile, write_zeros};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::record::RECORD_HEADER_BYTES;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::format::{SEGMENT_NUMBER_LIMIT, SEQUENCE_LIMIT};
use crate::sync::Condvar;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A writer that takes longer than this for a segment leaves the disk time for zeros.
const SLOW_SEGMENT_MS: u64 = 1_000;
/// A stream whose segments have grown so long is a busy one: its next segment is made as soon as one begins, because
/// the sync of its header may have to wait for all that the writer has left to the kernel.
const BUSY_SEGMENT_BYTES: u32 = 16 << 20;
/// How much is zeroed between two looks at whether the writer waits.
const ZERO_STEP_BYTES: u64 = 1 << 20;
/// At most so many freed files are kept for reuse.
const SPARES_MAX: usize = 4;

/// How much to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// What the writer will need next, and more if it leaves the disk time.
    Writer,
    /// All that the stream asked for: nobody writes yet.
    Fill,
}

/// A segment file that is ready for its first frame.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub file: Arc<SegmentFile>,
    pub reserved: Range<u64>,
}

/// What stands ready, and what the next one will be.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    ready: VecDeque<Prepared>,
    next_segment: u32,
    next_sequence: u64,
    next_bytes: u32,
    preparing: bool,
    spares: Vec<(PathBuf, u32)>,
    shared: Arc<Hurry>,
}

/// How a writer without a segment tells the preparer to come to an end.
#[derive(Debug, Default)]
struct Hurry {
    wanted: AtomicBool,
    done: Condvar,
}

/// What one new segment shall be.
struct Order {
    segment: u32,
    bytes: u32,
    reserved: Range<u64>,
    spare: Option<PathBuf>,
    zero: bool,
}

impl Ahead {
    /// Nothing ready; the next segment has this number, this length, and reserves from this sequence on.
    pub fn new(next_segment: u32, next_sequence: u64, next_bytes: u32) -> Ahead {
        Ahead { next_segment, next_sequence, next_bytes, ..Ahead::default() }
    }

    /// The next segment's sequences begin here at least.
    pub fn skip_to(&mut self, next_sequence: u64) {
        self.next_sequence = self.next_sequence.max(next_sequence);
    }

    fn order(&mut self, room: u32, bytes_max: u32, zero: bool) -> Result<Order> {
        if self.next_segment >= SEGMENT_NUMBER_LIMIT || self.next_sequence > SEQUENCE_LIMIT - u64::from(u32::MAX) {
            let (segment, sequence) = (self.next_segment, self.next_sequence);
            let message = format!("segment {segment} from sequence {sequence} on would be beyond what a log can hold");
            return Err(Error::new(Kind::Unsupported, message));
        }
        let spare = self.spares.iter().position(|(_, bytes)| *bytes >= room).map(|found| self.spares.remove(found));
        // Only a frame that is larger than a segment gets a larger one, to the next MiB.
        let planned = if room <= self.next_bytes { self.next_bytes } else { room.next_multiple_of(1 << 20) };
        let (spare, bytes) = spare.map_or((None, planned), |(path, bytes)| (Some(path), bytes));
        self.next_bytes = self.next_bytes.saturating_mul(2).min(bytes_max);
        let first = self.next_sequence;
        // A record takes more than its header, so the segment cannot hold more than this many.
        self.next_sequence = first + u64::from(bytes) / RECORD_HEADER_BYTES as u64;
        let segment = self.next_segment;
        self.next_segment += 1;
        Ok(Order { segment, bytes, reserved: first..self.next_sequence, spare, zero })
    }

    /// Whether another freed file would be kept for reuse.
    pub fn wants_spare(&self) -> bool {
        self.spares.len() < SPARES_MAX
    }

    /// Keeps a freed file for reuse.
    pub fn keep_spare(&mut self, path: PathBuf, bytes: u32) {
        self.spares.push((path, bytes));
    }

    /// Takes back a segment whose first frame could not be written, so that the next attempt writes it.
    pub fn put_back(&mut self, prepared: Prepared) {
        self.ready.push_front(prepared);
    }

    /// Takes up a segment that an earlier run prepared and did not use.
    pub fn adopt(&mut self, prepared: Prepared) {
        self.ready.push_back(prepared);
    }
}

impl Log {
    /// The next segment, with room for a first frame of `room` bytes, header included.
    pub(super) fn take_prepared(&self, room: u32) -> Result<Prepared> {
        let mut ahead = self.ahead.lock();
        loop {
            // One that is being made has its number and its sequences already: no later one may be used before it.
            while ahead.preparing && ahead.ready.is_empty() {
                let shared = Arc::clone(&ahead.shared);
                shared.wanted.store(true, Ordering::Release);
                shared.done.wait(&mut ahead);
            }
            let Some(prepared) = ahead.ready.pop_front() else { break };
            if prepared.file.bytes >= room {
                return Ok(prepared);
            }
            // Too small for a large frame: its reservation is given up, its file goes.
            let path = segment_path(&self.config.directory, prepared.file.segment);
            self.environment.disk.remove(&path).map_err(|error| Error::io(path.display(), error))?;
        }
        let order = ahead.order(room, self.config.segment_bytes_max, false)?;
        self.make(order, &AtomicBool::new(true))
    }

    /// Makes segments until what the stream needs soon stands ready, or all that it asked for.
    pub(super) fn prepare_ahead(&self, pace: Pace) -> Result<()> {
        while let Some(order) = self.next_order(pace)? {
            let hurry = Arc::clone(&self.ahead.lock().shared);
            let made = self.make(order, &hurry.wanted);
            let mut ahead = self.ahead.lock();
            ahead.preparing = false;
            hurry.wanted.store(false, Ordering::Release);
            let outcome = made.map(|prepared| ahead.ready.push_back(prepared));
            hurry.done.notify_all();
            outcome?;
        }
        Ok(())
    }

    fn next_order(&self, pace: Pace) -> Result<Option<Order>> {
        let writer = self.writer.lock();
        let started_ms = writer.segment.first_arrival_ms;
        let soon_full = writer.offset >= writer.capacity / 2 || writer.capacity >= BUSY_SEGMENT_BYTES;
        let closed = writer.closed;
        drop(writer);
        let slow =
            pace == Pace::Fill || self.environment.clock.wall_ms().saturating_sub(started_ms) > SLOW_SEGMENT_MS / 2;
        let mut ahead = self.ahead.lock();
        let ready: u64 = ahead.ready.iter().map(|prepared| u64::from(prepared.file.bytes)).sum();
        let wants_first = ahead.ready.is_empty() && soon_full;
        let wants_more = ready < self.config.prepared_bytes && (slow || ready == 0);
        if closed || ahead.preparing || !(wants_first || wants_more) {
            return Ok(None);
        }
        let zero = slow || self.config.prepared_bytes > 0;
        let order = ahead.order(0, self.config.segment_bytes_max, zero)?;
        ahead.preparing = true;
        Ok(Some(order))
    }

    fn make(&self, order: Order, hurry: &AtomicBool) -> Result<Prepared> {
        make_segment(&self.environment, &self.config.directory, self.config.stream, order, hurry)
    }
}

/// The first segment of a log, or the one that follows a recovery.
pub(super) fn make_first(
    environment: &Environment,
    config: &super::LogConfig,
    ahead: &mut Ahead,
    room: u32,
) -> Result<Prepared> {
    let order = ahead.order(room, config.segment_bytes_max, false)?;
    make_segment(environment, &config.directory, config.stream, order, &AtomicBool::new(true))
}

/// A segment of exactly this number, length and reservation.
pub(super) fn make_exactly(
    environment: &Environment,
    config: &super::LogConfig,
    segment: u32,
    bytes: u32,
    reserved: Range<u64>,
) -> Result<Prepared> {
    let order = Order { segment, bytes, reserved, spare: None, zero: false };
    make_segment(environment, &config.directory, config.stream, order, &AtomicBool::new(true))
}

fn make_segment(
    environment: &Environment,
    directory: &std::path::Path,
    stream: u64,
    order: Order,
    hurry: &AtomicBool,
) -> Result<Prepared> {
    let path = segment_path(directory, order.segment);
    let temporary = path.with_extension("tmp");
    let header = SegmentHeader {
        stream,
        segment: order.segment,
        capacity: order.bytes,
        incarnation: environment.entropy.random(),
        reserved_from: order.reserved.start,
        reserved_until: order.reserved.end,
        created_ms: environment.clock.wall_ms(),
    };
    let disk = &environment.disk;
    let made = (|| {
        let file = if let Some(spare) = &order.spare {
            disk.rename(spare, &temporary)?;
            disk.open(&temporary, Access::Write)?
        } else {
            let file = disk.open(&temporary, Access::Create)?;
            file.allocate(u64::from(order.bytes))?;
            if order.zero {
                zero(&*file, u64::from(order.bytes), hurry)?;
            }
            file
        };
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_directory(directory)?;
        Ok(file)
    })();
    let file = made.map_err(|error| {
        // What is half made must not take the room that the disk lacks. If even this fails, the next open cleans up.
        let _left_for_the_next_open = (disk.remove(&temporary), disk.remove(&path));
        Error::io(format!("could not make segment {} of {} bytes", path.display(), order.bytes), error)
    })?;
    let file = Arc::new(SegmentFile::new(order.segment, header.incarnation, file, order.bytes));
    Ok(Prepared { file, reserved: order.reserved })
}

fn zero(file: &dyn DiskFile, bytes: u64, hurry: &AtomicBool) -> std::io::Result<()> {
    let mut offset = u64::from(SEGMENT_HEADER_BYTES);
    while offset < bytes && !hurry.load(Ordering::Acquire) {
        let end = (offset + ZERO_STEP_BYTES).min(bytes);
        write_zeros(file, offset, end)?;
        offset = end;
    }
    Ok(())
}
