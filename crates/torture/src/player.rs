//! What a history consists of, thing by thing: what the user of a store does, what its services do, what its clock and its
//! disk do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use millrace::clock::{Clock, ManualClock};
use millrace::shard::Shard;
use millrace::{
    Commit, Durability, Engine, Error, Kind, Placement, Position, Retention, Service, StagedRecords, Stream,
    StreamConfig,
};

use crate::disk::SimDisk;
use crate::faults::any_fault;
use crate::ledger::{Complaint, End, Intent, Ledger, check, check_error, locked, must};
use crate::state::StateOwner;
use crate::{channels, queues, room};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
/// Of a stream with so many shards, each append goes to most, and the indexes of sealed segments describe their runs.
const WIDE_SHARDS: u32 = 24;

/// Who has a store, and does with it what chance says.
pub(crate) struct Player {
    pub random: fastrand::Rng,
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub engine: Engine,
    pub streams: BTreeMap<String, Stream>,
    pub state: StateOwner,
    pub root: PathBuf,
    pub segment_bytes_max: u32,
    pub is_rough: bool,
    /// How far the wall clock is from where it should be, in milliseconds.
    pub skew_ms: i64,
}

/// Whether a life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    /// Something failed that leaves the control plane, or the store, in doubt: only another open tells.
    ToItsEnd,
}

impl Player {
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// Holds the store, just opened, against the ledger.
    pub fn examine(&mut self) -> Result<Goes, Complaint> {
        channels::deliver_to(&self.engine, &self.root, &self.disk)?;
        // The ledger is looked at by captures meanwhile: until this is through, the old one counts.
        let mut ledger = self.ledger().clone();
        match ledger.examine(&self.engine) {
            Err(complaint) => return check(complaint, &self.disk).map(|()| Goes::ToItsEnd),
            Ok(log) => self.state = StateOwner::of(log),
        }
        for name in ledger.streams.keys() {
            self.streams.insert(name.clone(), self.engine.stream(name)?);
        }
        *self.ledger() = ledger;
        Ok(Goes::On)
    }

    /// One thing that happens.
    pub fn step(&mut self) -> Result<Goes, Complaint> {
        if self.is_rough && self.random.u32(..8) == 0 {
            return Ok(self.be_rough());
        }
        match self.random.u32(..100) {
            0..31 => self.append(),
            31..34 => self.work(),
            34..39 => self.deliver(),
            39..43 => self.state.act(&self.engine, &self.disk, &self.ledger, &mut self.random),
            43..48 => self.flush(),
            48..51 => self.reshard(),
            51..60 => self.serve(Service::Committer),
            60..72 => self.serve(Service::Keeper),
            72..82 => Ok(self.let_time_pass()),
            82..86 => self.create(),
            86..88 => self.delete(),
            88..90 => self.retain(),
            90..93 => self.read(),
            93..96 => self.close_and_open(),
            _ => self.expire(),
        }
    }

    /// Takes note of what the engine shows of itself.
    pub fn observe(&mut self) {
        self.disk.tick();
        for (name, stream) in &self.streams {
            let durable = stream.durable();
            self.ledger().durable(name, durable);
        }
    }

    fn any_stream(&mut self) -> Option<(String, Stream)> {
        let chosen = self.random.choice(self.streams.iter())?;
        Some((chosen.0.clone(), chosen.1.clone()))
    }

    /// What an error means for what comes next.
    fn after<T>(&self, result: Result<T, Error>) -> Result<Goes, Complaint> {
        match result {
            Ok(_) => Ok(Goes::On),
            Err(error) => check_error(error, &self.disk).map(|()| Goes::ToItsEnd),
        }
    }

    fn append(&mut self) -> Result<Goes, Complaint> {
        let Some((name, stream)) = self.any_stream() else { return self.create() };
        let is_wide = stream.describe().config.shards == WIDE_SHARDS;
        let largest = if is_wide { 40 } else { [40, 400, 400, 9_000, 70_000][self.random.usize(..5)] };
        let count = match largest {
            _ if is_wide => self.random.usize(40..80),
            10_000.. => self.random.usize(1..=2),
            _ => self.random.usize(1..=9),
        };
        let sizes: Vec<_> = (0..count).map(|_| self.random.usize(..largest)).collect();
        let records = self.ledger().append(&name, &sizes);
        let mut staged = StagedRecords::default();
        records.iter().for_each(|(key, data)| staged.push(key, None, data));
        let mut placements: Vec<Placement> = Vec::new();
        let failed = self.disk.failed();
        match stream.append(staged.as_staged(), Some(&mut placements), Commit::Engine) {
            Ok(appended) => {
                let places: Vec<_> = placements.iter().map(|place| (place.shard, place.sequence)).collect();
                self.ledger().appended(&name, &places, appended.end)?;
                Ok(Goes::On)
            }
            // The stream is poisoned, or takes appends again once the disk does.
            Err(error) => {
                let is_over =
                    error.kind() == Kind::Poisoned || self.disk.is_about_to_fail() || self.disk.failed() > failed;
                must!(is_over, "the disk is well again, and the stream refuses an append: {error}");
                check_error(error, &self.disk).map(|()| Goes::On)
            }
        }
    }

    /// Splits, merges or rescales; what cannot be done is refused.
    fn reshard(&mut self) -> Result<Goes, Complaint> {
        let Some((name, stream)) = self.any_stream() else { return Ok(Goes::On) };
        let mut open: Vec<_> = stream.describe().shards.into_iter().filter(Shard::is_open).collect();
        open.sort_by_key(|shard| shard.range.start);
        let at = self.random.usize(..open.len());
        let shard = open[at].id;
        self.ledger().note(&name, |told| told.shards.is_in_doubt = true);
        let changed = match self.random.u32(..3) {
            0 if open.len() < 9 => stream.split_shard(shard, None),
            1 => stream.merge_shards(shard, open[(at + 1) % open.len()].id),
            _ => stream.update_shard_count(self.random.u32(1..8)),
        };
        match changed {
            Err(error) if ![Kind::InvalidArgument, Kind::LimitExceeded].contains(&error.kind()) => {
                self.after(Err::<(), _>(error))
            }
            Ok(_) | Err(_) => {
                self.ledger().note(&name, |told| told.shards.note(&stream));
                Ok(Goes::On)
            }
        }
    }

    fn flush(&mut self) -> Result<Goes, Complaint> {
        let Some((_, stream)) = self.any_stream() else { return Ok(Goes::On) };
        stream.flush().or_else(|error| check_error(error, &self.disk)).map(|()| Goes::On)
    }

    fn serve(&mut self, service: Service) -> Result<Goes, Complaint> {
        let served = self.engine.serve(service);
        self.after(served)
    }

    fn pass_ms(&mut self, ms: u64) {
        self.clock.advance_ms(ms);
        self.ledger().true_ms += ms;
    }

    fn let_time_pass(&mut self) -> Goes {
        let ms = match self.random.u32(..10) {
            0..4 => self.random.u64(1..100),
            4..7 => self.random.u64(1_000..2 * MINUTE_MS),
            7..9 => self.random.u64(MINUTE_MS..3 * HOUR_MS),
            _ => self.random.u64(HOUR_MS..40 * HOUR_MS),
        };
        self.pass_ms(ms);
        Goes::On
    }

    fn create(&mut self) -> Result<Goes, Complaint> {
        let name = format!("s{}", self.random.u32(..4));
        if self.streams.contains_key(&name) || self.streams.len() > 2 {
            return Ok(Goes::On);
        }
        let durability = match self.random.u32(..3) {
            0 => Durability::Synced,
            1 => Durability::Interval { ms: 20 },
            _ => Durability::Os,
        };
        let retention =
            if self.random.u32(..4) == 0 { Retention::Unbounded } else { Retention::Hours(self.random.u32(24..50)) };
        let preallocate_bytes = if self.random.u32(..6) == 0 { 1 << 18 } else { 0 };
        let config = StreamConfig {
            shards: if self.random.u32(..4) == 0 { WIDE_SHARDS } else { self.random.u32(1..5) },
            durability,
            retention,
            preallocate_bytes,
            ..StreamConfig::default()
        };
        self.ledger().intent = Some(Intent::Create(name.clone(), Box::new(config.clone())));
        let stream = match self.engine.create_stream(&name, config.clone()) {
            Ok(stream) => stream,
            Err(error) => return self.after(Err::<(), _>(error)),
        };
        self.ledger().created(&name, stream.describe().id, config);
        self.ledger().note(&name, |told| told.shards.note(&stream));
        self.streams.insert(name, stream.clone());
        let mut goes = Goes::On;
        if self.random.bool() {
            goes = self.after(queues::create(&stream, &self.ledger))?;
        }
        if goes == Goes::On && self.random.bool() {
            goes = self.after(channels::create(&stream, &self.ledger))?;
        }
        Ok(goes)
    }

    /// Somebody works on what a queue has; what was handed out before is not hidden any more.
    fn work(&mut self) -> Result<Goes, Complaint> {
        let Some((_, stream)) = self.any_stream() else { return Ok(Goes::On) };
        self.pass_ms(queues::HIDDEN_MS);
        let worked = queues::work(&stream, &self.ledger, &mut self.random);
        worked.or_else(|complaint| check(complaint, &self.disk)).map(|()| Goes::On)
    }

    /// Channels are delivered; or twice, so long after what failed or came last that all of it is due.
    fn deliver(&mut self) -> Result<Goes, Complaint> {
        let Some((_, stream)) = self.any_stream() else { return Ok(Goes::On) };
        let all_is_due = self.random.bool();
        if self.random.u32(..3) == 0 {
            // A delivery is a dozen operations among thousands.
            self.disk.capture_after(self.random.u64(1..30));
        }
        if all_is_due {
            if let Err(error) = stream.flush() {
                return check_error(error, &self.disk).map(|()| Goes::On);
            }
            self.pass_ms(channels::REST_MS);
            self.engine.serve(Service::Courier)?;
            self.pass_ms(channels::REST_MS);
        }
        self.engine.serve(Service::Courier)?;
        let checked = channels::check(&stream, &self.root, &self.ledger, all_is_due && self.disk.failed() == 0);
        checked.or_else(|complaint| check(complaint, &self.disk)).map(|()| Goes::On)
    }

    fn delete(&mut self) -> Result<Goes, Complaint> {
        let Some((name, _)) = self.any_stream() else { return Ok(Goes::On) };
        self.streams.remove(&name);
        self.ledger().intent = Some(Intent::Delete(name.clone()));
        let deleted = self.engine.delete_stream(&name);
        if deleted.is_ok() {
            self.ledger().intent_is_done();
        }
        self.after(deleted)
    }

    fn retain(&mut self) -> Result<Goes, Complaint> {
        let Some((name, _)) = self.any_stream() else { return Ok(Goes::On) };
        let retention = Retention::Hours(self.random.u32(24..60));
        self.ledger().intent = Some(Intent::Retain(name.clone(), retention));
        let changed = self.engine.set_retention(&name, retention);
        if changed.is_ok() {
            self.ledger().intent_is_done();
        }
        self.after(changed)
    }

    fn expire(&mut self) -> Result<Goes, Complaint> {
        let expired = self.engine.expire();
        self.after(expired)
    }

    fn read(&mut self) -> Result<Goes, Complaint> {
        let Some((_, stream)) = self.any_stream() else { return Ok(Goes::On) };
        let mut ledger = self.ledger().clone();
        match ledger.examine_records(&stream, End::Orderly) {
            Err(complaint) => return check(complaint, &self.disk).map(|()| Goes::ToItsEnd),
            Ok(()) => *self.ledger() = ledger,
        }
        Ok(Goes::On)
    }

    fn close_and_open(&mut self) -> Result<Goes, Complaint> {
        self.streams.clear();
        // Half of the applications let go of it first.
        let state = std::mem::take(&mut self.state);
        let state = self.random.bool().then_some(state);
        if let Err(error) = self.engine.close() {
            return self.after(Err::<(), _>(error));
        }
        let names: Vec<_> = self.ledger().streams.keys().cloned().collect();
        drop(state);
        if self.disk.has_failed_to_sync() {
            // It was the log of the state that was let go of, and nobody was told.
            return Ok(Goes::ToItsEnd);
        }
        // A close makes all durable.
        self.ledger().state.all_is_durable();
        names.iter().for_each(|name| self.ledger().durable(name, Position::new(u32::MAX, u32::MAX)));
        if self.disk.failed() > 0 {
            // What was refused may stand there in pieces, behind where the log was closed.
            self.ledger().end = End::Torn;
        }
        let pause_ms = self.random.u64(..2 * HOUR_MS);
        self.pass_ms(pause_ms);
        let seed = self.random.u64(..);
        match room::open(&self.disk, &self.root, &self.clock, seed, self.segment_bytes_max) {
            Ok(engine) => self.engine = engine,
            Err(error) => return self.after(Err::<(), _>(error)),
        }
        self.examine()
    }

    /// The clock jumps, or the disk is about to fail.
    fn be_rough(&mut self) -> Goes {
        match self.random.u32(..4) {
            0 if self.skew_ms == 0 => self.jump(),
            0 | 1 => self.jump_back(),
            2 => self.disk.plan(any_fault(&mut self.random)),
            _ => self.disk.heal(),
        }
        Goes::On
    }

    fn jump(&mut self) {
        self.ledger().clock_has_jumped = true;
        let reach = [10 * MINUTE_MS, 20 * HOUR_MS, YEAR_MS][self.random.usize(..3)];
        let far = i64::try_from(self.random.u64(1..reach)).expect("less than a year");
        self.skew_ms = if self.random.bool() { far } else { -far };
        self.clock.set_wall_ms(self.clock.wall_ms().saturating_add_signed(self.skew_ms));
    }

    fn jump_back(&mut self) {
        self.clock.set_wall_ms(self.clock.wall_ms().saturating_add_signed(-self.skew_ms));
        self.skew_ms = 0;
    }
}
