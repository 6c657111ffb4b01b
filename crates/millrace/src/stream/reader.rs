//! Reading a shard, or the whole stream, from any place, again and again.
//!
//! A reader walks frames in the order of the log, so a shard's records come in the order of their sequences, and so do
//! the whole stream's. Each run's checksum is verified before its first record is handed out. In a sealed segment the
//! reader of one shard goes from run to run by the index and touches no other shard's bytes; where the index describes
//! the runs, it looks at their frames' heads only once a run is not what the index says.

use std::sync::Arc;

use super::StreamInner;
pub use super::chunk::Step;
use super::chunk::{Chunk, RunView};
use super::places::{Onward, Places};
pub use super::reader_options::{ReaderOptions, StartAt, Visibility};
use super::scope::{Family, Scope};
use crate::error::{Error, Kind, Result};
use crate::format::checksum::crc32c;
use crate::format::frame::{FrameHead, RUN_OPTIONAL, RunKind};
use crate::format::index::RunDetail;
use crate::format::record::{RECORD_HEADER_BYTES, Records};
use crate::format::{FRAME_ALIGNMENT, Position, u32_of};
use crate::log::walk::Located;
use crate::shard::{SequenceNumber, Shard, ShardId};

/// The size of a page of memory, in bytes.
const PAGE_BYTES: u32 = 4096;

/// Reads a stream. It belongs to one thread at a time, and any number of readers may read at once.
pub struct Reader {
    pub(super) stream: Arc<StreamInner>,
    scope: Scope,
    visibility: Visibility,
    // The frame to look at next, the run in it, and the record in that run with its offset in the payload.
    frame: Position,
    run: u32,
    record: u32,
    record_offset: usize,
    // Records below this sequence are passed over.
    from_sequence: u64,
    places: Option<Places>,
    // Where the shard ends, once it is known to be closed: no record of it stands there or behind.
    shard_end: Option<Position>,
    last_arrival_ms: u64,
    // Records below this sequence were handed out, or there are none.
    passed: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("stream", &self.stream.name).field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// What one call gathers.
struct Gathered {
    runs: Vec<RunView>,
    read: Vec<u8>,
    records_left: usize,
    bytes_left: usize,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.records_left == 0 || self.bytes_left == 0
    }
}

impl Reader {
    pub(super) fn new(stream: Arc<StreamInner>, options: ReaderOptions) -> Result<Reader> {
        if let Some(shard) = options.shard
            && stream.routes().map.get(ShardId(shard)).is_none()
        {
            let message = format!("stream {} has no shard {}", stream.name, ShardId(shard));
            return Err(Error::new(Kind::ShardNotFound, message));
        }
        let log = &stream.log;
        let (frame, from_sequence) = match options.from {
            StartAt::TrimHorizon => (log.start(), 0),
            // The place first: what became visible between the two looks is passed over by its sequence.
            StartAt::Latest => (stream.visible(options.visibility), stream.visible_sequence(options.visibility)),
            StartAt::AtSequence(sequence) => (log.position_of_sequence(sequence)?, sequence),
            StartAt::AfterSequence(sequence) => {
                let next = sequence.saturating_add(1);
                (log.position_of_sequence(next)?, next)
            }
            StartAt::AtTimestamp(arrival_ms) => {
                let now_ms = stream.engine.environment.clock.wall_ms();
                if arrival_ms > now_ms {
                    let message =
                        format!("expected a timestamp that is not in the future ({now_ms}), got {arrival_ms}");
                    return Err(Error::new(Kind::InvalidArgument, message));
                }
                (log.position_of_time(arrival_ms)?, 0)
            }
        };
        let passed = match options.from {
            StartAt::TrimHorizon => stream.horizon.read().sequence,
            StartAt::AtTimestamp(_) => stream.sequence_before(frame)?,
            StartAt::Latest | StartAt::AtSequence(_) | StartAt::AfterSequence(_) => from_sequence,
        };
        let oldest_ms = log.segments().first().map_or(0, |segment| segment.first_arrival_ms);
        Ok(Reader {
            scope: options.shard.map_or(Scope::All, Scope::One),
            visibility: options.visibility,
            frame,
            run: 0,
            record: 0,
            record_offset: 0,
            from_sequence,
            places: None,
            shard_end: None,
            last_arrival_ms: oldest_ms,
            passed,
            stream,
        })
    }

    /// The same reader for a shard and all that come after it: see [`Stream::family_reader`](super::Stream).
    pub(super) fn with_family(self) -> Reader {
        match self.scope {
            Scope::One(shard) => Reader { scope: Scope::Family(Family::of(shard)), ..self },
            Scope::All | Scope::Family(_) => self,
        }
    }

    /// The shard, where it reads one and not what comes after it.
    pub(super) fn only_shard(&self) -> Option<u32> {
        self.scope.only()
    }

    /// The next records, at most so many, and so many bytes unless the first record alone is larger. The stream's meter
    /// does not hear of it.
    pub(crate) fn next_uncounted(&mut self, records_max: usize, bytes_max: usize) -> Result<Step> {
        self.stream.check_usable()?;
        self.skip_trimmed();
        let log = Arc::clone(&self.stream.log);
        let published = log.published();
        let limit = self.stream.visible(self.visibility);
        // Behind the limit: who appended to a shard before it knew a map that had the shard.
        if let Scope::Family(family) = &mut self.scope {
            family.grow(&self.stream.routes());
        }
        let mut gathered = Gathered {
            runs: Vec::new(),
            read: Vec::new(),
            records_left: records_max.max(1),
            bytes_left: bytes_max.max(1),
        };
        loop {
            if let Some(children) = self.end_of_shard()? {
                return Ok(Step::EndOfShard(children));
            }
            let Some(located) = log.locate(self.frame, limit)? else { return Ok(Step::AtTail) };
            self.go_to(Position::new(located.segment.index, located.offset));
            self.passed = self.passed.max(located.segment.first_sequence);
            if !self.gather(&located, &mut gathered)? {
                continue;
            }
            let same = located.file.segment == published.segment;
            let safe_end = if same { published.offset / PAGE_BYTES * PAGE_BYTES } else { located.file.file_bytes() };
            let chunk = Chunk { file: located.file, runs: gathered.runs, safe_end, read: gathered.read };
            self.last_arrival_ms = chunk.runs.last().map_or(self.last_arrival_ms, |run| run.arrival_ms);
            return Ok(Step::Chunk(chunk));
        }
    }

    /// The children of the reader's shard, once it is closed and read to its end.
    fn end_of_shard(&mut self) -> Result<Option<Vec<Shard>>> {
        let Scope::One(shard) = self.scope else { return Ok(None) };
        let id = ShardId(shard);
        if self.shard_end.is_none() {
            self.shard_end = match self.stream.routes.read().map.get(id) {
                Some(shard) => shard.closed_at,
                // All of it has expired, so the horizon, where this reader is at least, lies behind its end.
                None => Some(SequenceNumber(0)),
            }
            .map(|closed_at| self.stream.log.position_behind(closed_at.0))
            .transpose()?;
        }
        let has_ended = self.shard_end.is_some_and(|end| self.frame >= end);
        Ok(has_ended.then(|| self.stream.routes().map.children(id).cloned().collect()))
    }

    /// Which records it sees.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// Whether [`Reader::next`] would find something to look at.
    #[must_use]
    pub fn is_at_tail(&self) -> bool {
        self.frame >= self.stream.visible(self.visibility)
    }

    /// All records of this reader below this sequence were handed out, or there are none: a reader that starts here goes
    /// on where this one stands. It moves on where nothing was written for this reader, too.
    #[must_use]
    pub fn passed_sequence(&self) -> u64 {
        self.passed
    }

    /// How far behind the newest record this reader is, in milliseconds: 0 at the tail.
    #[must_use]
    pub fn millis_behind_latest(&self) -> u64 {
        if self.is_at_tail() {
            return 0;
        }
        self.stream.engine.environment.clock.wall_ms().saturating_sub(self.last_arrival_ms)
    }

    /// Goes on behind the damage at which [`Reader::next`] stopped: at the next run or frame that is intact.
    ///
    /// # Errors
    /// `Io` where the segment cannot be read.
    pub fn skip_damage(&mut self) -> Result<()> {
        let limit = self.stream.visible(self.visibility);
        let Some(located) = self.stream.log.locate(self.frame, limit)? else { return Ok(()) };
        if located.file.frame(located.offset, located.end)?.is_some() {
            self.go_to_run(self.run + 1);
            return Ok(());
        }
        let mut offset = located.offset + FRAME_ALIGNMENT;
        while offset < located.end && located.file.frame(offset, located.end)?.is_none() {
            offset += FRAME_ALIGNMENT;
        }
        self.go_to(Position::new(located.segment.index, offset));
        Ok(())
    }

    fn skip_trimmed(&mut self) {
        let horizon = *self.stream.horizon.read();
        let horizon = Position::new(u32::try_from(horizon.segment).unwrap_or(u32::MAX), horizon.offset);
        if self.frame < horizon {
            self.go_to(horizon);
        }
    }

    fn go_to(&mut self, frame: Position) {
        if frame != self.frame {
            self.frame = frame;
            self.go_to_run(0);
        }
    }

    fn go_to_run(&mut self, run: u32) {
        self.run = run;
        self.record = 0;
        self.record_offset = 0;
    }

    /// Gathers from one segment. Returns whether there is something to hand out.
    fn gather(&mut self, located: &Located, gathered: &mut Gathered) -> Result<bool> {
        self.load_places(located);
        let end = located.end;
        while self.frame.offset < end && !gathered.is_full() {
            match self.jump(end) {
                Onward::Frame => {}
                Onward::Run(detail) => match self.gather_described(located, detail, gathered)? {
                    Some(true) => continue,
                    Some(false) => break,
                    // Its frame tells what is damaged.
                    None => {}
                },
                Onward::End => break,
            }
            let Some(head) = located.file.frame(self.frame.offset, end)? else {
                return self.damaged_frame(gathered);
            };
            let frame_end = self.frame.offset + head.header.padded_bytes();
            if !self.gather_frame(located, &head, gathered)? {
                break;
            }
            self.passed = self.passed.max(head.next_sequence);
            self.go_to(Position::new(self.frame.segment, frame_end));
        }
        Ok(!gathered.runs.is_empty())
    }

    /// In a sealed segment: goes on to the next run of the reader's shard before `end`.
    fn jump(&mut self, end: u32) -> Onward {
        let Some(places) = &self.places else { return Onward::Frame };
        if self.run > 0 && places.is_damaged(self.frame.offset) {
            return Onward::Frame;
        }
        let next = places.next(self.frame.offset, self.run);
        let Some((place, detail)) = next.filter(|(place, _)| place.frame < end) else {
            self.go_to(Position::new(self.frame.segment, end));
            return Onward::End;
        };
        self.go_to(Position::new(self.frame.segment, place.frame));
        if place.run != self.run {
            self.go_to_run(place.run);
        }
        detail.map_or(Onward::Frame, Onward::Run)
    }

    fn load_places(&mut self, located: &Located) {
        let segment = &located.segment;
        let Some(shard) = self.scope.only().filter(|_| segment.summary().is_some()) else {
            self.places = None;
            return;
        };
        if self.places.as_ref().is_none_or(|places| places.segment != segment.index) {
            // An index that is damaged, or that the retention takes away at this moment, is done without: the segment,
            // which is open, is walked frame by frame.
            self.places = Places::read(segment, &*self.stream.engine.environment.disk, shard).ok();
        }
    }

    /// Gathers a run that the index describes; `false` where some of it is left, `None` where it is not what the index
    /// says.
    fn gather_described(
        &mut self,
        located: &Located,
        detail: RunDetail,
        gathered: &mut Gathered,
    ) -> Result<Option<bool>> {
        let run = RunView {
            shard: self.scope.only().unwrap_or_default(),
            first_sequence: detail.first_sequence,
            records: detail.records,
            arrival_ms: detail.arrival_ms,
            payload: detail.payload..detail.payload + detail.payload_bytes,
            read_at: None,
        };
        let is_read = self.places.as_ref().is_some_and(|places| places.are_read(detail.payload_bytes));
        if run.payload.end > located.file.file_bytes() {
            return Ok(None);
        }
        let known = gathered.runs.len();
        let mut copy = Vec::new();
        let payload = if is_read {
            copy.resize(detail.payload_bytes as usize, 0);
            let read = located.file.file.read_at(&mut copy, detail.payload.into());
            read.map_err(|error| Error::io(format!("could not read {}", self.frame), error))?;
            &copy
        } else {
            let range = run.payload.start as usize..run.payload.end as usize;
            located.file.map()?.bytes(range).unwrap_or_default()
        };
        // What was read at an earlier call was other memory.
        if (is_read || self.record == 0) && crc32c(payload) != detail.checksum {
            self.from_sequence = self.from_sequence.max(detail.first_sequence + u64::from(self.record));
            self.go_to_run(self.run);
            return Ok(None);
        }
        let done = self.gather_run(&run, payload, gathered);
        if let Some(taken) = gathered.runs.get_mut(known).filter(|_| is_read) {
            taken.read_at = Some(gathered.read.len());
            let start = taken.payload.start - run.payload.start;
            gathered.read.extend_from_slice(&payload[start as usize..][..taken.payload.len()]);
        }
        if done == Some(true) {
            self.go_to_run(self.run + 1);
        }
        Ok(done)
    }

    /// Gathers the frame's runs; `false` where the call is full before the frame is done.
    fn gather_frame(&mut self, located: &Located, head: &FrameHead<'_>, gathered: &mut Gathered) -> Result<bool> {
        while self.run < head.runs() {
            let next = head.next_of(self.run, self.scope.only());
            if next > self.run {
                self.go_to_run(next);
                continue;
            }
            let Some(entry) = head.run(self.run) else { return self.damaged_run(head, gathered) };
            match entry.kind {
                RunKind::Records if self.scope.holds(entry.shard) => {}
                RunKind::Other(kind) if entry.flags & RUN_OPTIONAL == 0 => {
                    let message = format!("{}: a run of kind {kind}, which this build does not know", self.frame);
                    return Err(Error::new(Kind::FormatNewer, message));
                }
                _ => {
                    self.go_to_run(self.run + 1);
                    continue;
                }
            }
            if gathered.is_full() {
                return Ok(false);
            }
            let start = self.frame.offset + entry.payload_offset;
            let range = start as usize..(start + entry.payload_bytes) as usize;
            let payload = located.file.map()?.bytes(range).unwrap_or_default();
            let fresh = self.record == 0;
            if fresh && crc32c(payload) != entry.checksum {
                return self.damaged_run(head, gathered);
            }
            let run = RunView {
                shard: entry.shard,
                first_sequence: head.header.first_sequence + u64::from(entry.sequence_delta),
                records: entry.records,
                arrival_ms: head.header.arrival_ms,
                payload: start..start + entry.payload_bytes,
                read_at: None,
            };
            let Some(done) = self.gather_run(&run, payload, gathered) else {
                return self.damaged_run(head, gathered);
            };
            if !done {
                return Ok(false);
            }
            self.go_to_run(self.run + 1);
        }
        Ok(true)
    }

    /// Takes what fits of a run; `false` where some of it is left, `None` where its bytes are not so many records.
    fn gather_run(&mut self, run: &RunView, payload: &[u8], gathered: &mut Gathered) -> Option<bool> {
        let mut records = Records::from_offset(payload, self.record_offset);
        while self.record < run.records && run.first_sequence + u64::from(self.record) < self.from_sequence {
            records.next()?;
            self.record += 1;
        }
        self.record_offset = records.offset();
        let (from, from_offset) = (self.record, records.offset());
        let rest = (run.records - from) as usize;
        let rest_bytes = payload.len() - from_offset;
        if rest > rest_bytes / RECORD_HEADER_BYTES {
            return None;
        }
        if rest <= gathered.records_left && rest_bytes <= gathered.bytes_left {
            self.record = run.records;
            self.record_offset = payload.len();
        } else {
            self.take_some(run, &mut records, from_offset, gathered)?;
        }
        let taken = self.record - from;
        if taken > 0 {
            self.passed = run.first_sequence + u64::from(self.record);
            gathered.records_left -= taken as usize;
            gathered.bytes_left = gathered.bytes_left.saturating_sub(self.record_offset - from_offset);
            let start = run.payload.start;
            gathered.runs.push(RunView {
                first_sequence: run.first_sequence + u64::from(from),
                records: taken,
                payload: start + u32_of(from_offset)..start + u32_of(self.record_offset),
                ..*run
            });
        }
        Some(self.record == run.records)
    }

    fn take_some(
        &mut self,
        run: &RunView,
        records: &mut Records<'_>,
        from_offset: usize,
        gathered: &mut Gathered,
    ) -> Option<()> {
        let from = self.record;
        while self.record < run.records && ((self.record - from) as usize) < gathered.records_left {
            records.next()?;
            let over = records.offset() - from_offset > gathered.bytes_left;
            if over && (self.record > from || !gathered.runs.is_empty()) {
                gathered.bytes_left = 0;
                break;
            }
            self.record += 1;
            self.record_offset = records.offset();
        }
        Some(())
    }

    fn damaged_frame(&self, gathered: &Gathered) -> Result<bool> {
        if !gathered.runs.is_empty() {
            return Ok(true);
        }
        let message = format!(
            "stream {}: expected a frame at {}, found damaged bytes; records may be missing here",
            self.stream.name, self.frame
        );
        Err(Error::new(Kind::Corrupt, message))
    }

    fn damaged_run(&self, head: &FrameHead<'_>, gathered: &Gathered) -> Result<bool> {
        if !gathered.runs.is_empty() {
            // What was gathered goes out first; the next call comes upon the damage again.
            return Ok(false);
        }
        let first = head.header.first_sequence;
        let (first, last) = head.run(self.run).map_or((first, first + u64::from(head.header.records)), |entry| {
            let first = first + u64::from(entry.sequence_delta);
            (first, first + u64::from(entry.records))
        });
        let shard = ShardId(head.shard_of(self.run).unwrap_or(0));
        let message = format!(
            "stream {}: the records of {shard} with sequences from {first} below {last} at {} are damaged",
            self.stream.name, self.frame
        );
        Err(Error::new(Kind::Corrupt, message))
    }
}
