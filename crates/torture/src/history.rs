//! A random history of a store: what its user does, what its services do, what its clock does; then its end. All of it
//! follows from one seed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use millrace::clock::{Clock, ManualClock};
use millrace::shard::Shard;
use millrace::{
    Commit, Durability, Engine, Error, Kind, Placement, Position, Retention, Service, StagedRecords, Stream,
    StreamConfig,
};
use tempfile::TempDir;

use crate::disk::{Fault, Operation, SimDisk, World};
use crate::faults::any_fault;
use crate::ledger::{Complaint, End, Intent, Ledger, check, check_error, locked, must};
use crate::queues;
use crate::room;
use crate::state::StateOwner;

/// Where the clocks begin, in milliseconds since 1970.
const START_MS: u64 = 1_767_225_600_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
/// Of a stream with so many shards, each append goes to most, and the indexes of sealed segments describe their runs.
const WIDE_SHARDS: u32 = 24;

/// All that a history may go on from: what the disk holds, what was told, what time it is.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What the disk holds.
    pub world: World,
    /// What was told.
    pub ledger: Ledger,
    /// What the wall clock shows, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The operation on the disk before which it was taken.
    pub operation: u64,
    /// Whether the disk has failed in this life.
    pub has_failed: bool,
    /// Whether a sync has: nobody knows what the kernel kept of it.
    pub has_failed_to_sync: bool,
}

impl Default for Moment {
    fn default() -> Moment {
        Moment {
            world: World::default(),
            ledger: Ledger::default(),
            wall_ms: START_MS,
            operation: 0,
            has_failed: false,
            has_failed_to_sync: false,
        }
    }
}

/// How a life of a store goes.
#[derive(Clone, Debug)]
pub struct Script {
    /// What decides all that happens.
    pub seed: u64,
    /// How many things its user does.
    pub steps: usize,
    /// At how many random moments the world is taken.
    pub captures: usize,
    /// The failures that the disk is planned to have from the beginning.
    pub faults: Vec<Fault>,
    /// Whether the disk and the clock may do what they should not.
    pub is_rough: bool,
}

impl Script {
    /// A life in which nothing happens but its opening.
    #[must_use]
    pub fn quiet(seed: u64) -> Script {
        Script { seed, steps: 0, captures: 0, faults: Vec::new(), is_rough: false }
    }
}

/// What a life came to.
#[derive(Debug)]
pub struct Life {
    /// The moments that were taken.
    pub moments: Vec<Moment>,
    /// How it was when it ended, the engine still running.
    pub last: Moment,
    /// How many operations the disk was asked for.
    pub operations: u64,
    /// How often each kind of operation was asked for.
    pub asked: BTreeMap<Operation, u64>,
    /// How many operations failed as planned.
    pub failed: u64,
    /// What all operations were, in one number.
    pub trace: u64,
}

struct Player {
    random: fastrand::Rng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    ledger: Arc<Mutex<Ledger>>,
    engine: Engine,
    streams: BTreeMap<String, Stream>,
    state: StateOwner,
    root: PathBuf,
    segment_bytes_max: u32,
    is_rough: bool,
    // How far the wall clock is from where it should be, in milliseconds.
    skew_ms: i64,
    _directory: TempDir,
}

/// Whether a life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    /// Something failed that leaves the control plane, or the store, in doubt: only another open tells.
    ToItsEnd,
}

/// Opens a store as its last end has left it, holds it against what was told, and lives on as the script says.
///
/// # Errors
/// What the engine has broken.
pub fn live(from: Moment, script: &Script) -> Result<Life, Complaint> {
    let directory = room::directory();
    let root = directory.path().canonicalize().expect("a directory");
    let clock = Arc::new(ManualClock::new(from.wall_ms));
    let ledger = Arc::new(Mutex::new(from.ledger));
    let moments = Arc::new(Mutex::new(Vec::new()));
    let on_capture = {
        let (clock, ledger, moments) = (Arc::clone(&clock), Arc::clone(&ledger), Arc::clone(&moments));
        move |world, operation| {
            let ledger = locked(&ledger).clone();
            let wall_ms = clock.wall_ms();
            let moment = Moment { world, ledger, wall_ms, operation, has_failed: false, has_failed_to_sync: false };
            moments.lock().expect("no panic holds it").push(moment);
        }
    };
    let mut random = fastrand::Rng::with_seed(script.seed);
    let disk = SimDisk::new(&root, from.world, random.u64(..), Arc::new(on_capture)).expect("memory to lay it out in");
    for _ in 0..script.captures {
        // Many early ones: opening, and what follows it, has the most to lose.
        let reach = [12, 40, 200, 600][random.usize(..4)];
        disk.capture_after(random.u64(1..reach));
    }
    script.faults.iter().for_each(|fault| disk.plan(*fault));
    let segment_bytes_max = 64 << random.u32(10..12);
    let opened = room::open(&disk, &root, &clock, random.u64(..), segment_bytes_max);
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            check_error(error, &disk)?;
            let ledger = locked(&ledger).clone();
            return Ok(finish(&disk, ledger, &clock, &moments));
        }
    };
    let mut player = Player {
        random,
        disk,
        clock,
        ledger,
        engine,
        streams: BTreeMap::new(),
        state: StateOwner::default(),
        root,
        segment_bytes_max,
        is_rough: script.is_rough,
        skew_ms: 0,
        _directory: directory,
    };
    let mut goes = player.examine()?;
    for _ in 0..script.steps {
        if goes == Goes::ToItsEnd {
            break;
        }
        goes = player.step()?;
        player.observe();
    }
    must!(!player.disk.has_retried_a_sync(), "a sync that failed was tried again");
    let ledger = player.ledger().clone();
    let life = finish(&player.disk, ledger, &player.clock, &moments);
    player.disk.kill();
    Ok(life)
}

fn finish(disk: &SimDisk, ledger: Ledger, clock: &ManualClock, moments: &Mutex<Vec<Moment>>) -> Life {
    let (failed, has_failed_to_sync) = (disk.failed(), disk.has_failed_to_sync());
    let has_failed = failed > 0;
    let mut moments = std::mem::take(&mut *moments.lock().expect("no panic holds it"));
    for moment in &mut moments {
        (moment.has_failed, moment.has_failed_to_sync) = (has_failed, has_failed_to_sync);
    }
    let operation = disk.operations();
    let wall_ms = clock.wall_ms();
    let last = Moment { world: disk.world(), ledger, wall_ms, operation, has_failed, has_failed_to_sync };
    let asked = Operation::ALL.into_iter().map(|operation| (operation, disk.asked(operation))).collect();
    Life { moments, last, operations: operation, asked, failed, trace: disk.trace() }
}

impl Player {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// Holds the store, just opened, against the ledger.
    fn examine(&mut self) -> Result<Goes, Complaint> {
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
    fn step(&mut self) -> Result<Goes, Complaint> {
        if self.is_rough && self.random.u32(..8) == 0 {
            return Ok(self.be_rough());
        }
        match self.random.u32(..100) {
            0..31 => self.append(),
            31..34 => self.work(),
            34..40 => self.state.act(&self.engine, &self.disk, &self.ledger, &mut self.random),
            40..48 => self.flush(),
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
    fn observe(&mut self) {
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
        if let Some(told) = self.ledger().streams.get_mut(&name) {
            told.shards.is_in_doubt = true;
        }
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
                if let Some(told) = self.ledger().streams.get_mut(&name) {
                    told.shards.note(&stream);
                }
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
        let created = self.engine.create_stream(&name, config.clone());
        if let Ok(stream) = &created {
            self.ledger().created(&name, stream.describe().id, config);
            if let Some(told) = self.ledger().streams.get_mut(&name) {
                told.shards.note(stream);
            }
            self.streams.insert(name, stream.clone());
        }
        if let Ok(stream) = &created
            && self.random.bool()
        {
            return self.after(queues::create(stream, &self.ledger));
        }
        self.after(created)
    }

    /// Somebody works on what a queue has; what was handed out before is not hidden any more.
    fn work(&mut self) -> Result<Goes, Complaint> {
        let Some((_, stream)) = self.any_stream() else { return Ok(Goes::On) };
        self.pass_ms(queues::HIDDEN_MS);
        let worked = queues::work(&stream, &self.ledger, &mut self.random);
        worked.or_else(|complaint| check(complaint, &self.disk)).map(|()| Goes::On)
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
