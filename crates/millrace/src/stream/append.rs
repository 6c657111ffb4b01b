//! The way of records into a stream: checked, routed, admitted, laid out in frames, appended. No lock is held until the
//! frame is whole.

use std::sync::Arc;

use super::measured::flow_of;
use super::pack::{Packer, Placement};
use super::single::Single;
use super::staged::{Staged, StagedRecords};
use super::throttle::Refused;
use super::{Appended, Commit, PACKER_BYTES_KEPT, Routes, Stream, single};
use crate::error::Result;
use crate::format::Position;
use crate::metrics::flow::Flow;
use crate::metrics::meter::Seen;
use crate::sync::atomic::Ordering;

impl Stream {
    /// Appends a batch of records, all or (where a record is bad, or a shard's limits do not allow its part) none of
    /// them, those of more than 16 MiB a frame after
    /// the other: should the disk be full for a later frame, those before it stay. Where `placements` is given, the
    /// place of each record is appended to it in their order.
    ///
    /// # Errors
    /// `InvalidKey`, `RecordTooLarge`, `InvalidArgument`, `ThroughputExceeded`, `DiskFull`, `StreamDeleting`, `Closed`,
    /// `Poisoned`.
    pub fn append(
        &self,
        batch: Staged<'_>,
        placements: Option<&mut Vec<Placement>>,
        commit: Commit,
    ) -> Result<Appended> {
        self.append_admitted(batch, placements, None, commit)
    }

    /// Appends those records of a batch that the limits of their shards allow, as PutRecords does: one after the other in
    /// their order, each for itself. The others are appended to `refused`. Placements are of those that were admitted.
    ///
    /// # Errors
    /// As for [`Stream::append`], but for `ThroughputExceeded`.
    ///
    /// ```
    /// use millrace::limits::LimitPolicy;
    /// use millrace::{Commit, Engine, OpenOptions, StagedRecords, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let config = StreamConfig { limits: LimitPolicy::Aws, ..StreamConfig::default() };
    /// let clicks = engine.create_stream("clicks", config)?;
    /// let mut staged = StagedRecords::default();
    /// (0..1_500).for_each(|_| staged.push("user-42", None, b"a click"));
    /// let mut refused = Vec::new();
    /// clicks.append_each(staged.as_staged(), None, &mut refused, Commit::Engine)?;
    /// assert_eq!((refused.len(), refused[0].index), (500, 1_000));
    /// assert_eq!(refused[0].error.code(), "ERR_MILLRACE_THROUGHPUT_EXCEEDED");
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn append_each(
        &self,
        batch: Staged<'_>,
        placements: Option<&mut Vec<Placement>>,
        refused: &mut Vec<Refused>,
        commit: Commit,
    ) -> Result<Appended> {
        self.append_admitted(batch, placements, Some(refused), commit)
    }

    fn append_admitted(
        &self,
        batch: Staged<'_>,
        placements: Option<&mut Vec<Placement>>,
        refused: Option<&mut Vec<Refused>>,
        commit: Commit,
    ) -> Result<Appended> {
        self.0.check_usable()?;
        let spread = self.0.spread.is_on().then(|| self.0.spread.over(batch, &self.0.routes().map));
        let batch = spread.as_ref().map_or(batch, StagedRecords::as_staged);
        // The first append since the opening goes the long way: it may have to tell the control log.
        let end = if batch.count == 1 && batch.bytes() <= single::SINGLE_BYTES_MAX && self.0.was_opened() {
            self.append_single(batch, placements, refused)
        } else {
            self.append_packed(batch, placements, refused)
        };
        if commit == Commit::Engine {
            // Where a later frame was refused, those before it are in the log and become durable all the same.
            self.0.engine.committer.appended(&self.0.log, self.0.durability());
        }
        Ok(Appended { end: end? })
    }

    /// Appends one record in a frame of its own.
    fn append_single(
        &self,
        batch: Staged<'_>,
        placements: Option<&mut Vec<Placement>>,
        refused: Option<&mut Vec<Refused>>,
    ) -> Result<Position> {
        let (begun, mut passed) = (self.0.meter.begin(), Flow::default());
        let written = self.write_single(batch, refused, &mut passed.throttled);
        let Ok(Some((single, sequence, end))) = written else {
            self.0.meter.put_ended(1, passed, begun);
            return written.map(|_| self.0.log.published());
        };
        let Single { shard, bytes, .. } = single;
        let seen = || Seen { hash: single.hash(batch.keys), key: batch.keys, bytes };
        if self.0.meter.appended_one(shard.0, bytes, begun, seen) {
            self.0.engine.figures_changed();
        }
        if let Some(placements) = placements {
            placements.push(Placement { shard: shard.0, sequence });
        }
        Ok(end)
    }

    /// Writes the frame of one record; returns its sequence and its end too, or nothing where it was refused.
    fn write_single(
        &self,
        batch: Staged<'_>,
        refused: Option<&mut Vec<Refused>>,
        throttled: &mut u64,
    ) -> Result<Option<(Single, u64, Position)>> {
        let mut single = self.0.single.lock();
        let (draft, routes) = &mut *single;
        let mut loaded = single::load(draft, batch, self.0.record_bytes_max(), &routes.map)?;
        if !self.0.admit_single(loaded, refused, throttled)? {
            return Ok(None);
        }
        loop {
            if let Some(appended) = self.0.log.append_routed(draft, routes.generation)? {
                return Ok(Some((loaded, appended.first_sequence, appended.end)));
            }
            *routes = self.0.routes();
            loaded = single::load(draft, batch, self.0.record_bytes_max(), &routes.map)?;
        }
    }

    /// Appends any number of records, grouped by shard.
    fn append_packed(
        &self,
        batch: Staged<'_>,
        placements: Option<&mut Vec<Placement>>,
        refused: Option<&mut Vec<Refused>>,
    ) -> Result<Position> {
        let (begun, mut passed) = (self.0.meter.begin(), Flow::default());
        let mut packer = self.0.engine.take_packer();
        let routes = self.0.routes();
        let end = packer
            .load(batch, self.0.record_bytes_max(), &routes.map)
            .and_then(|()| self.0.admit_packed(&mut packer, &routes.map, refused, &mut passed.throttled))
            .and_then(|()| self.note_opened())
            .and_then(|()| self.append_frames(&mut packer, routes, batch, placements, &mut passed));
        self.0.meter.put_ended(batch.count, passed, begun);
        if batch.bytes() <= PACKER_BYTES_KEPT {
            self.0.engine.keep_packer(packer);
        }
        end
    }

    /// Appends what the packer was loaded with; returns the end of the last frame, and adds to `passed` what is appended.
    /// Where the shard map changes in between, the frames that are in the log stay, and the rest is routed again.
    fn append_frames(
        &self,
        packer: &mut Packer,
        mut routes: Arc<Routes>,
        batch: Staged<'_>,
        mut placements: Option<&mut Vec<Placement>>,
        passed: &mut Flow,
    ) -> Result<Position> {
        let mut end = self.0.log.published();
        loop {
            let (first, known) = (packer.done(), placements.as_deref().map_or(0, Vec::len));
            if !packer.next_frame(batch, &routes.map, placements.as_deref_mut()) {
                return Ok(end);
            }
            let Some(appended) = self.0.log.append_routed(&mut packer.draft, routes.generation)? else {
                if let Some(placements) = placements.as_deref_mut() {
                    placements.truncate(known);
                }
                routes = self.0.routes();
                packer.route_again(&routes.map);
                continue;
            };
            for placement in placements.as_deref_mut().map_or(&mut [][..], |all| &mut all[known..]) {
                placement.sequence += appended.first_sequence;
            }
            end = appended.end;
            self.count_frame(packer, batch, first, passed);
        }
    }

    /// Tells the meter of the frame that the packer made last, of the records from `first` on.
    fn count_frame(&self, packer: &Packer, batch: Staged<'_>, first: usize, passed: &mut Flow) {
        let runs = packer.draft.runs().iter().map(|run| (run.shard, flow_of(run.records, run.payload_bytes)));
        let records = packer.done() - first;
        if self.0.meter.appended(records, runs.clone(), |index| packer.record(batch, first + index)) {
            self.0.engine.figures_changed();
        }
        runs.for_each(|(_, flow)| passed.add(flow));
    }

    /// The first append after an open is noted in the control log, so that a crash is told from a clean close.
    pub(super) fn note_opened(&self) -> Result<()> {
        if self.0.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        self.0.engine.note_opened(self.0.id)?;
        self.0.opened.store(true, Ordering::Release);
        Ok(())
    }
}
