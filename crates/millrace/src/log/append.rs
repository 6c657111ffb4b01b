//! Appending: place the frame, write it, publish the tail. All under the append lock, by the caller's thread.

use std::sync::Arc;

use super::draft::{FrameDraft, Place};
use super::notify::Change;
use super::prepare::Prepared;
use super::segment::Segment;
use super::{Log, LogConfig, Tail, Writer};
use crate::error::{Error, Kind, Result};
use crate::format::frame::RunKind;
use crate::format::index::{WAYPOINT_BYTES, Waypoint};
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::format::snapshot::{Opening, ShardEntry};
use crate::format::{Position, u32_of};

/// The largest frame that is stored through the map, in bytes: beyond it a write costs no more.
const STORED_BYTES_MAX: usize = 2048;

/// So far ahead of small frames pages are made ready for their stores, in bytes: a fault for each page, and for each
/// page that the kernel has written out, is taken by the keeper then and not by an append. What stands ready is dirty
/// memory, so a log begins with little, and each time that half of it is used the next is twice as long, up to what a
/// writer of a thousand records a second fills within seconds.
const POPULATE_BYTES: std::ops::RangeInclusive<u32> = 16 << 10..=256 << 10;

/// How many segments are passed over for a frame that holds frames, before it is refused: more than stand prepared.
const ROLLS_MAX: usize = 16;

/// What an append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The sequence of the frame's first record.
    pub first_sequence: u64,
    /// The end of the frame: once the durable watermark is there, so is the frame.
    pub end: Position,
}

impl Log {
    /// Appends a frame and publishes it.
    pub fn append(&self, draft: &mut FrameDraft) -> Result<Appended> {
        let appended = self.append_in(draft, None)?;
        Ok(appended.expect("a frame of any generation is not refused for its own"))
    }

    /// The same for a frame of records that were routed by the shard map of this generation; `None`, and nothing is
    /// appended, where another one holds by now.
    pub fn append_routed(&self, draft: &mut FrameDraft, generation: u64) -> Result<Option<Appended>> {
        self.append_in(draft, Some(generation))
    }

    fn append_in(&self, draft: &mut FrameDraft, generation: Option<u64>) -> Result<Option<Appended>> {
        let lookalikes = draft.lookalikes();
        let mut writer = self.writer.lock();
        self.check_open(&writer)?;
        if generation.is_some_and(|generation| generation != writer.generation) {
            return Ok(None);
        }
        let first_sequence = self.append_locked(&mut writer, draft, &lookalikes)?;
        let end = Position::new(writer.file.segment, writer.offset);
        drop(writer);
        self.notifier.notify(Change::Published);
        Ok(Some(Appended { first_sequence, end }))
    }

    /// Appends a frame that changes the shard map. `changed` is told the frame's sequence and says what segments open
    /// with from now on; no frame is appended between the one and the other, and none later that was routed before.
    pub fn change_shards(
        &self,
        draft: &mut FrameDraft,
        changed: impl FnOnce(u64) -> Arc<Vec<ShardEntry>>,
    ) -> Result<Appended> {
        let lookalikes = draft.lookalikes();
        let mut writer = self.writer.lock();
        self.check_open(&writer)?;
        let first_sequence = self.append_locked(&mut writer, draft, &lookalikes)?;
        let end = Position::new(writer.file.segment, writer.offset);
        writer.shards = changed(first_sequence);
        writer.generation += 1;
        drop(writer);
        self.notifier.notify(Change::Published);
        Ok(Appended { first_sequence, end })
    }

    /// What segments open with from now on, where nothing of it concerns appends: closed shards that are forgotten.
    /// Nothing is done where a change came first, after this generation.
    pub fn forget_shards(&self, shards: Arc<Vec<ShardEntry>>, generation: u64) {
        let mut writer = self.writer.lock();
        if writer.generation == generation {
            writer.shards = shards;
        }
    }

    /// What the next segment opens with.
    pub fn shards(&self) -> Arc<Vec<ShardEntry>> {
        Arc::clone(&self.writer.lock().shards)
    }

    /// Writes and publishes a frame, in the next segment where this one cannot take it; returns its sequence.
    fn append_locked(&self, writer: &mut Writer, draft: &mut FrameDraft, lookalikes: &[u32]) -> Result<u64> {
        let arrival_ms = self.environment.clock.wall_ms().max(writer.last_arrival_ms);
        let full = draft.padded_bytes() > writer.capacity - writer.offset;
        let old = arrival_ms.saturating_sub(writer.segment.first_arrival_ms) > self.config.segment_age_ms_max;
        if full || old {
            self.roll(writer, draft.padded_bytes(), &[])?;
        }
        self.keep_frames_out(writer, draft, lookalikes)?;
        let first_sequence = writer.next_sequence;
        self.write(writer, draft, arrival_ms)?;
        Ok(first_sequence)
    }

    /// A payload that holds a frame of this log, with the checksum of the very place where it would stand, could be
    /// taken for that frame if the head before it were damaged. In another segment it is none: nobody can foresee the
    /// incarnation of a segment that is not made yet.
    fn keep_frames_out(&self, writer: &mut Writer, draft: &FrameDraft, lookalikes: &[u32]) -> Result<()> {
        let mut tries = 0;
        while draft.holds_a_frame(lookalikes, writer.file.incarnation, writer.offset) {
            if tries == ROLLS_MAX {
                let message =
                    format!("{}: expected records, got frames of {ROLLS_MAX} segments' own", self.config.name);
                return Err(Error::new(Kind::InvalidArgument, message));
            }
            self.roll(writer, draft.padded_bytes(), &[])?;
            tries += 1;
        }
        Ok(())
    }

    /// Goes on in a new segment, which opens with these runs behind the shard map.
    pub fn start_segment(&self, runs: &[(RunKind, Vec<u8>)]) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check_open(&writer)?;
        self.roll(&mut writer, 0, runs)
    }

    /// Appends a mark, if the last frame is none: a frame without runs that says how far the log is durable.
    pub fn append_mark(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.closed { Ok(()) } else { self.write_mark(&mut writer) }
    }

    fn write_mark(&self, writer: &mut Writer) -> Result<()> {
        if writer.ends_with_mark || self.poison.get().is_some() {
            return Ok(());
        }
        let mut mark = FrameDraft::default();
        mark.start(0, 0);
        let arrival_ms = writer.last_arrival_ms;
        if mark.padded_bytes() > writer.capacity - writer.offset {
            // No room: the segment's sealing will say the same.
            return Ok(());
        }
        self.write(writer, &mut mark, arrival_ms)
    }

    /// Ends appending; all that comes later gets `Closed`. Whoever waits for more is told to look again.
    pub fn close_writer(&self) {
        self.writer.lock().closed = true;
        self.notifier.notify(Change::Published);
        self.notifier.notify(Change::Durable);
    }

    /// Ends appending, makes all durable, and says so in the log. Returns the tail.
    pub fn close(&self) -> Result<Tail> {
        self.close_writer();
        self.sync_all()?;
        self.write_mark(&mut self.writer.lock())?;
        self.sync_all()?;
        Ok(self.writer.lock().tail())
    }

    fn check_open(&self, writer: &Writer) -> Result<()> {
        if writer.closed {
            return Err(Error::new(Kind::Closed, format!("{} was closed; open the store again", self.config.name)));
        }
        self.check_poison()
    }

    fn write(&self, writer: &mut Writer, draft: &mut FrameDraft, arrival_ms: u64) -> Result<()> {
        let next_sequence = writer.next_sequence + draft.sequences();
        assert!(next_sequence <= writer.reserved_until, "a segment reserves more sequences than it has room for");
        let place = Place {
            incarnation: writer.file.incarnation,
            offset: writer.offset,
            first_sequence: writer.next_sequence,
            arrival_ms,
            // Each of the two is true for itself, and never ahead of the disk.
            mark_sequence: self.durable.sequence(),
            mark: self.durable(),
            previous_checksum: writer.last_checksum,
        };
        let records = draft.records();
        let (bytes, checksum) = draft.place(place);
        let small = self.config.stores_small_frames && bytes.len() <= STORED_BYTES_MAX;
        let stored = small && writer.file.store(bytes, writer.offset);
        if !stored {
            writer.file.file.write_at(bytes, u64::from(writer.offset)).map_err(|error| self.write_failed(error))?;
        }
        let waypoint = Waypoint { offset: writer.offset, sequence: writer.next_sequence, arrival_ms: place.arrival_ms };
        if writer.offset >= writer.waypoint_at {
            writer.segment.note(waypoint);
            writer.waypoint_at = writer.offset + WAYPOINT_BYTES;
        }
        let wants_pages = stored && writer.offset >= writer.populate_at;
        if wants_pages {
            writer.populate_bytes = (2 * writer.populate_bytes).clamp(*POPULATE_BYTES.start(), *POPULATE_BYTES.end());
            writer.populate_at = writer.offset + writer.populate_bytes / 2;
        }
        let half = writer.capacity / 2;
        let crosses_half = writer.offset < half && writer.offset + u32_of(bytes.len()) >= half;
        writer.offset += u32_of(bytes.len());
        writer.next_sequence = next_sequence;
        writer.last_checksum = checksum;
        writer.last_arrival_ms = arrival_ms;
        writer.ends_with_mark = records == 0 && bytes.len() == crate::format::FRAME_ALIGNMENT as usize;
        self.publish(writer);
        if crosses_half || wants_pages {
            self.ask_for_upkeep();
        }
        Ok(())
    }

    /// Makes pages ready for the small frames that come next.
    pub(super) fn populate_ahead(&self) {
        let writer = self.writer.lock();
        let (file, from, bytes) = (Arc::clone(&writer.file), writer.offset, writer.populate_bytes);
        drop(writer);
        file.populate_stores(from, from.saturating_add(bytes).min(file.bytes));
    }

    fn write_failed(&self, error: std::io::Error) -> Error {
        let error = Error::io(format!("could not append to {}", self.config.name), error);
        // A full disk has kept the bytes before the tail; the next append writes over the same place. Whatever else
        // a write reports, the file is not to be trusted.
        if error.kind() != Kind::DiskFull {
            self.poison(&error);
        }
        error
    }

    fn publish(&self, writer: &Writer) {
        self.published.advance(Position::new(writer.file.segment, writer.offset), writer.next_sequence);
    }

    /// Ends the active segment and opens the next one. Nothing changes where it fails.
    fn roll(&self, writer: &mut Writer, frame_bytes: u32, runs: &[(RunKind, Vec<u8>)]) -> Result<()> {
        let previous = writer.tail();
        let mut opening = opening_frame(&writer.shards, &previous, runs);
        let prepared = self.take_prepared(SEGMENT_HEADER_BYTES + opening.padded_bytes() + frame_bytes)?;
        let mark = (self.durable(), self.durable.sequence());
        let arrival_ms = self.environment.clock.wall_ms().max(previous.last_arrival_ms);
        let fresh = open_segment(&self.config, prepared.clone(), &mut opening, &previous, arrival_ms, mark).map_err(
            |error| {
                self.ahead.lock().put_back(prepared);
                self.write_failed(error)
            },
        )?;
        writer.segment.finish(writer.offset);
        let mut unsynced = std::mem::take(&mut writer.unsynced);
        unsynced.push(Arc::clone(&writer.file));
        let (shards, generation, populate_bytes) =
            (Arc::clone(&writer.shards), writer.generation, writer.populate_bytes);
        *writer = Writer { unsynced, shards, generation, populate_bytes, ..fresh };
        self.segments.write().push(Arc::clone(&writer.segment));
        self.publish(writer);
        self.ask_for_upkeep();
        Ok(())
    }
}

impl Writer {
    pub(super) fn tail(&self) -> Tail {
        Tail {
            position: Position::new(self.file.segment, self.offset),
            next_sequence: self.next_sequence,
            last_checksum: self.last_checksum,
            last_arrival_ms: self.last_arrival_ms,
        }
    }
}

/// The frame that a segment opens with.
pub(super) fn opening_frame(shards: &[ShardEntry], previous: &Tail, runs: &[(RunKind, Vec<u8>)]) -> FrameDraft {
    let opening =
        Opening { previous_end: previous.position, previous_checksum: previous.last_checksum, shards: shards.to_vec() };
    let mut all = vec![(RunKind::Opening, opening.encode())];
    all.extend_from_slice(runs);
    FrameDraft::of_state(&all)
}

/// Writes the opening frame into a prepared file; returns a writer that stands behind it. `mark` is what is durable.
pub(super) fn open_segment(
    config: &LogConfig,
    prepared: Prepared,
    opening: &mut FrameDraft,
    previous: &Tail,
    arrival_ms: u64,
    mark: (Position, u64),
) -> std::io::Result<Writer> {
    let Prepared { file, reserved } = prepared;
    let place = Place {
        incarnation: file.incarnation,
        offset: SEGMENT_HEADER_BYTES,
        first_sequence: reserved.start,
        arrival_ms,
        mark: mark.0,
        mark_sequence: mark.1,
        previous_checksum: previous.last_checksum,
    };
    let (bytes, last_checksum) = opening.place(place);
    file.file.write_at(bytes, u64::from(SEGMENT_HEADER_BYTES))?;
    let offset = SEGMENT_HEADER_BYTES + u32_of(bytes.len());
    let waypoint = Waypoint { offset: SEGMENT_HEADER_BYTES, sequence: reserved.start, arrival_ms };
    Ok(Writer {
        segment: Arc::new(Segment::active(&config.directory, &file, waypoint)),
        capacity: file.bytes,
        file,
        offset,
        next_sequence: reserved.start,
        reserved_until: reserved.end,
        last_checksum,
        last_arrival_ms: arrival_ms,
        waypoint_at: SEGMENT_HEADER_BYTES + WAYPOINT_BYTES,
        populate_at: 0,
        populate_bytes: 0,
        ends_with_mark: false,
        unsynced: Vec::new(),
        shards: Arc::default(),
        generation: 0,
        closed: false,
    })
}
