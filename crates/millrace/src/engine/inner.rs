//! The part of an engine that all its handles and streams share.
//!
//! Lock order: the list of streams, then the journal, never the other way round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::state_log::OpenState;
use super::{OpenOptions, closed};
use crate::capacity::{CapacityHistory, CapacityMode};
use crate::channel::courier::Courier;
use crate::control::journal::Journal;
use crate::control::{
    CleanTail, Command, Durability, Horizon, ShardsChanged, StreamClosed, StreamConfig, StreamEntry, StreamOpened,
    StreamRemoved, StreamStatus,
};
use crate::disk::DiskFile;
use crate::environment::{Environment, Service};
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::log::{Finding, Log, LogConfig, Tail, log_is_unused};
use crate::queue::QueueInner;
use crate::service::{Committer, Keeper, Upkeep};
use crate::shard::ShardMap;
use crate::state_log::STATE_LOG_ID;
use crate::store::{Create, Store};
use crate::stream::expiry::{DEFAULT_TOLERANCE_MS, ExpiryClock};
use crate::stream::pack::Packer;
use crate::stream::{Stream, StreamInner};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, RwLock, RwLockReadGuard};

/// The first segment of a stream, in bytes; each later one is twice as long.
const SEGMENT_BYTES_FIRST: u32 = 1 << 20;
/// The oldest that a segment of a stream with unbounded retention grows, in milliseconds.
const SEGMENT_AGE_MS_MAX: u64 = 24 * 3_600_000;
/// How often the expiry clock is stored while a store is open, in milliseconds: less than what a pause tolerates.
const EXPIRY_STORED_EVERY_MS: u64 = 30 * 60_000;
/// At most so many packers are kept between appends.
const PACKERS_KEPT: usize = 8;

pub(crate) struct Inner {
    pub environment: Environment,
    pub committer: Committer,
    pub(super) directory: PathBuf,
    segment_bytes_max: u32,
    pub(super) keeper: Arc<Keeper>,
    pub courier: Courier,
    /// The file of the figures, once there are any; whether the keeper has been asked to write them.
    pub(super) figures: Mutex<Option<Arc<dyn DiskFile>>>,
    pub(super) publishing: AtomicBool,
    pub(super) journal: Mutex<Journal>,
    packers: Mutex<Vec<Packer>>,
    pub(super) streams: Mutex<BTreeMap<u64, Arc<StreamInner>>>,
    // Queues in use, by their ids.
    pub(super) queues: Mutex<BTreeMap<u64, Arc<QueueInner>>>,
    // The log of an application's state, while it is open.
    pub(super) state_log: Mutex<Option<OpenState>>,
    pub(super) warnings: Mutex<Vec<String>>,
    /// What the retention of all streams goes by.
    pub expiry: Mutex<ExpiryClock>,
    expiry_stored_ms: AtomicU64,
    pub(super) handles: AtomicUsize,
    pub(super) closed: AtomicBool,
    // Held shared by each call that may change files, so that none does once the directory is let go.
    pub(super) calls: RwLock<()>,
    // Held until the engine is closed; dropped with it.
    pub(super) store: Mutex<Option<Store>>,
}

impl Inner {
    pub(super) fn open(path: &Path, options: OpenOptions) -> Result<Arc<Inner>> {
        let OpenOptions { create, environment, segment_bytes_max } = options;
        let create = if create { Create::IfMissing } else { Create::Never };
        let store = Store::claim(path, create, &environment)?;
        let directory = store.path().to_path_buf();
        let control = directory.join("control");
        let (journal, findings) = Journal::open(&environment, &control, control_log_exists(&environment, &directory)?)?;
        let expiry = open_expiry_clock(&environment, &journal);
        let inner = Arc::new(Inner {
            committer: Committer::start(Arc::clone(&environment.clock), environment.services)?,
            keeper: Arc::new(Keeper::new(&*environment.clock)),
            courier: Courier::default(),
            journal: Mutex::new(journal),
            packers: Mutex::new(Vec::new()),
            figures: Mutex::new(None),
            publishing: AtomicBool::new(false),
            streams: Mutex::new(BTreeMap::new()),
            queues: Mutex::new(BTreeMap::new()),
            state_log: Mutex::new(None),
            warnings: Mutex::new(findings.iter().map(Finding::to_string).collect()),
            expiry: Mutex::new(expiry),
            expiry_stored_ms: AtomicU64::new(environment.clock.monotonic_ms()),
            handles: AtomicUsize::new(1),
            closed: AtomicBool::new(false),
            calls: RwLock::new(()),
            store: Mutex::new(Some(store)),
            environment,
            directory,
            segment_bytes_max,
        });
        inner.clean_up()?;
        let upkeep: Weak<Inner> = Arc::downgrade(&inner);
        inner.keeper.start(upkeep, Arc::clone(&inner.environment.clock), inner.environment.services)?;
        Ok(inner)
    }

    /// Ends deletions that a crash interrupted, and removes the files of streams whose creation was. Files that were
    /// used are set aside: the control log must have lost the stream.
    fn clean_up(&self) -> Result<()> {
        let streams = self.directory.join("streams");
        let failed = |error| Error::io(streams.display(), error);
        self.environment.disk.make_directory(&streams).map_err(failed)?;
        self.environment.disk.sync_directory(&self.directory).map_err(failed)?;
        let (known, deleting): (Vec<u64>, Vec<u64>) = {
            let journal = self.journal.lock();
            let entries = || journal.state().streams();
            let deleting = entries().filter(|entry| entry.status == StreamStatus::Deleting).map(|entry| entry.id);
            (entries().map(|entry| entry.id).collect(), deleting.collect())
        };
        for id in deleting {
            self.remove_files(id)?;
        }
        self.remove_forgotten_queues()?;
        for name in self.environment.disk.list(&streams).map_err(failed)? {
            let is_known = u64::from_str_radix(&name, 16).is_ok_and(|id| known.contains(&id));
            if is_known {
                continue;
            }
            if log_is_unused(&self.environment, &streams.join(&name))? {
                self.environment.disk.remove_tree(&streams.join(&name)).map_err(failed)?;
                continue;
            }
            let orphans = self.directory.join("orphans");
            let orphan = orphans.join(format!("{name}-{:016x}", self.environment.entropy.random()));
            self.environment.disk.make_directory(&orphans).map_err(failed)?;
            self.environment.disk.rename(&streams.join(&name), &orphan).map_err(failed)?;
            self.warn(format!(
                "the control log lost its end, and with it a stream that it does not name any more: \
                 the stream's files are kept in {}",
                orphan.display()
            ));
        }
        Ok(())
    }

    pub(super) fn remove_files(&self, id: u64) -> Result<()> {
        self.remove_queues_of(id)?;
        let directory = self.stream_directory(id);
        let failed = |error| Error::io(directory.display(), error);
        let disk = &self.environment.disk;
        disk.remove_tree(&directory).map_err(failed)?;
        // Were the files back after a loss of power, nobody would know whose they are.
        disk.sync_directory(&self.directory.join("streams")).map_err(failed)?;
        self.command(&StreamRemoved { id }.into())
    }

    /// Keeps the engine from closing as long as what is returned lives: for a call that changes files.
    pub fn call(&self) -> Result<RwLockReadGuard<'_, ()>> {
        let in_flight = self.calls.read();
        self.check_open()?;
        Ok(in_flight)
    }

    /// Looks at what the control plane knows of a stream.
    pub fn look_up<R>(&self, id: u64, look: impl FnOnce(&StreamEntry) -> Result<R>) -> Result<R> {
        look(self.journal.lock().state().stream(id)?)
    }

    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Judges a command of the control plane, which nobody executes yet.
    pub fn judge(&self, command: &Command) -> Result<()> {
        self.journal.lock().state().validate(command)
    }

    /// Who decides how many shards a stream has, and what is remembered of its capacity.
    pub fn capacity_of(&self, id: u64) -> Result<(CapacityMode, CapacityHistory)> {
        let journal = self.journal.lock();
        let entry = journal.state().stream(id)?;
        Ok((entry.config.mode, entry.capacity.clone()))
    }

    /// Executes a command of the control plane.
    pub fn command(&self, command: &Command) -> Result<()> {
        self.execute(&mut self.journal.lock(), command)
    }

    /// Executes a command that takes the next id.
    pub fn command_with_id(&self, command: impl FnOnce(u64) -> Command) -> Result<()> {
        let mut journal = self.journal.lock();
        let command = command(journal.state().next_stream_id());
        self.execute(&mut journal, &command)
    }

    pub(super) fn execute(&self, journal: &mut Journal, command: &Command) -> Result<()> {
        journal.execute(command)?;
        self.committer.mark_later(&journal.log);
        Ok(())
    }

    /// A packer that an earlier append has made room in, or a new one.
    pub fn take_packer(&self) -> Packer {
        self.packers.lock().pop().unwrap_or_default()
    }

    /// Keeps a packer for the next append, whichever stream it is for.
    pub fn keep_packer(&self, packer: Packer) {
        let mut packers = self.packers.lock();
        if packers.len() < PACKERS_KEPT {
            packers.push(packer);
        }
    }

    /// Notes that a stream's own files are ahead of its last clean close.
    pub fn note_opened(&self, id: u64) -> Result<()> {
        let mut journal = self.journal.lock();
        if journal.state().stream(id)?.clean_tail.is_none() {
            return Ok(());
        }
        self.execute(&mut journal, &StreamOpened { id }.into())
    }

    pub(super) fn stream_directory(&self, id: u64) -> PathBuf {
        self.directory.join("streams").join(format!("{id:016x}"))
    }

    pub(super) fn log_config(&self, id: u64, name: &str, config: &StreamConfig, map: &ShardMap) -> LogConfig {
        let prepared = config.preallocate_bytes > 0;
        // A day's segments of a short retention fall off by and by, not all at once.
        let age = config.retention.ms().map_or(SEGMENT_AGE_MS_MAX, |ms| (ms / 24).min(SEGMENT_AGE_MS_MAX));
        LogConfig {
            name: format!("stream {name}"),
            directory: self.stream_directory(id),
            stream: id,
            segment_bytes_first: if prepared {
                self.segment_bytes_max
            } else {
                SEGMENT_BYTES_FIRST.min(self.segment_bytes_max)
            },
            segment_bytes_max: self.segment_bytes_max,
            segment_age_ms_max: age,
            prepared_bytes: config.preallocate_bytes,
            stores_small_frames: config.durability == Durability::Os,
            shards: map.entries(),
            next_shard: map.next_id(),
        }
    }

    /// Opens a stream that no one has open. What the control plane says of it is read under the lock of the list, so
    /// that neither its creation nor its deletion is half done.
    pub fn open_stream(self: &Arc<Self>, id: u64) -> Result<Stream> {
        let mut streams = self.streams.lock();
        if let Some(stream) = streams.get(&id) {
            return Ok(Stream(Arc::clone(stream)));
        }
        let mut entry = self.journal.lock().state().stream(id)?.clone();
        if entry.status == StreamStatus::Deleting {
            let message = format!("stream {} is being deleted; create it again once it is gone", entry.name);
            return Err(Error::new(Kind::StreamDeleting, message));
        }
        let created_with = ShardMap::uniform(entry.config.shards)?;
        let config = self.log_config(entry.id, &entry.name, &entry.config, &created_with);
        let config = LogConfig { next_shard: entry.next_shard(), ..config };
        let tail = clean_tail(&entry);
        let start = Position::new(u32::try_from(entry.horizon.segment).unwrap_or(u32::MAX), entry.horizon.offset);
        let (log, mut findings) = Log::open(self.environment.clone(), config, tail, start)?;
        findings.extend(log.check_opening()?);
        check_horizon(&entry, log.published())?;
        if tail.is_some_and(|tail| log.published() != tail.position) {
            // The files did not bear out the clean close: from now they are what counts.
            self.note_opened(entry.id)?;
            entry.clean_tail = None;
        }
        let map = ShardMap::from_entries(&log.shards()).map_err(|error| error.of_stream(&entry.name))?;
        self.warnings.lock().extend(findings.iter().map(Finding::to_string));
        let stream = self.assemble(&entry, log, map, findings)?;
        stream.forget_expired_shards();
        streams.insert(entry.id, Arc::clone(&stream));
        Ok(Stream(stream))
    }

    pub(super) fn assemble(
        self: &Arc<Self>,
        entry: &StreamEntry,
        log: Arc<Log>,
        map: ShardMap,
        findings: Vec<Finding>,
    ) -> Result<Arc<StreamInner>> {
        let keeper: Arc<Keeper> = Arc::clone(&self.keeper);
        log.set_servant(keeper);
        Ok(Arc::new(StreamInner::new(Arc::clone(self), entry, log, map, findings)?))
    }

    pub(super) fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        drop(self.calls.write());
        self.courier.stop();
        self.keeper.stop();
        self.committer.stop();
        self.withdraw_figures();
        let mut outcome = self.store_expiry_clock();
        outcome = outcome.and(self.close_queues()).and(self.close_state_log());
        // Streams hold the engine; letting go of them here ends the circle.
        let streams: Vec<_> = std::mem::take(&mut *self.streams.lock()).into_values().collect();
        for stream in streams {
            outcome = outcome.and(self.close_stream(&stream));
            stream.wake_all();
        }
        outcome = outcome.and(self.journal.lock().close());
        *self.store.lock() = None;
        outcome
    }

    /// Stores how far the expiry clock has come, with any one stream: the next open goes by the latest.
    fn store_expiry_clock(&self) -> Result<()> {
        self.expiry_stored_ms.store(self.environment.clock.monotonic_ms(), Ordering::Relaxed);
        let stream = self.streams.lock().values().next().cloned();
        stream.map_or(Ok(()), |stream| stream.store_expiry_clock())
    }

    /// Lets the expiry clock follow the wall clock; returns whether it is paused, and its time in milliseconds since 1970.
    pub(super) fn tick_expiry(&self) -> (bool, u64) {
        let clock = &self.environment.clock;
        let mut expiry = self.expiry.lock();
        let warning = expiry.tick(clock.wall_ms(), clock.monotonic_ms());
        let now = (expiry.is_paused(), expiry.now_ms());
        drop(expiry);
        if let Some(warning) = warning {
            self.warn(warning.to_string());
        }
        now
    }

    pub(super) fn accept_clock(&self) -> Result<()> {
        self.expiry.lock().accept(self.environment.clock.wall_ms());
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        streams.iter().try_for_each(|stream| stream.store_expiry_clock())
    }

    fn close_stream(&self, stream: &StreamInner) -> Result<()> {
        stream.log.close_writer();
        if !stream.was_opened() {
            return Ok(());
        }
        let tail = stream.log.close()?;
        stream.log.seal_all()?;
        self.note_shards(stream)?;
        let tail = CleanTail {
            segment: u64::from(tail.position.segment),
            offset: tail.position.offset,
            next_sequence: tail.next_sequence,
            last_frame_checksum: tail.last_checksum,
            last_arrival_ms: tail.last_arrival_ms,
        };
        self.command(&StreamClosed { id: stream.id, tail }.into())
    }

    /// Notes shards whose change could not be noted when it was made: a clean open goes by what is noted.
    fn note_shards(&self, stream: &StreamInner) -> Result<()> {
        let (next_shard, open_shards) = stream.shard_numbers();
        if self.journal.lock().state().stream(stream.id)?.next_shard() == next_shard {
            return Ok(());
        }
        self.command(&ShardsChanged { id: stream.id, next_shard, open_shards, scaled_ms: None }.into())
    }

    pub fn warn(&self, warning: String) {
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Does one service's part of the background work by now; returns how much there was.
    pub(super) fn serve(self: &Arc<Self>, service: Service) -> usize {
        match service {
            Service::Committer => self.committer.serve(),
            Service::Courier => self.courier.serve(self),
            Service::Keeper => {
                let upkeep: Arc<dyn Upkeep> = Arc::clone(self) as _;
                self.keeper.serve(&upkeep, &*self.environment.clock)
            }
        }
    }

    fn entries(&self) -> Vec<StreamEntry> {
        self.journal.lock().state().streams().cloned().collect()
    }
}

/// Whether the store has a control log. Streams without one are damage, and no reason to begin anew.
fn control_log_exists(environment: &Environment, directory: &Path) -> Result<bool> {
    let holds = |name: &str, what: fn(&String) -> bool| match environment.disk.list(&directory.join(name)) {
        Ok(names) => Ok(names.iter().any(what)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(directory.join(name).display(), error)),
    };
    let exists = holds("control", |name| name.ends_with(".seg"))?;
    if !exists && holds("streams", |_| true)? {
        let message = format!(
            "{} holds streams and no control log; restore it from a copy, or save the streams with millrace repair",
            directory.display()
        );
        return Err(Error::new(Kind::Corrupt, message));
    }
    Ok(exists)
}

/// One clock serves all streams. It goes on from the latest time that any stream stored.
fn open_expiry_clock(environment: &Environment, journal: &Journal) -> ExpiryClock {
    let stored_ms = journal.state().streams().map(|entry| entry.expiry_clock_ms).max();
    let clock = &environment.clock;
    ExpiryClock::open(stored_ms, clock.wall_ms(), clock.monotonic_ms(), DEFAULT_TOLERANCE_MS)
}

/// A horizon is a place of the log. One behind its end would hide all that is appended from now on.
fn check_horizon(entry: &StreamEntry, end: Position) -> Result<()> {
    let Horizon { segment, offset, .. } = entry.horizon;
    if u32::try_from(segment).is_ok_and(|segment| Position::new(segment, offset) <= end) {
        return Ok(());
    }
    let message = format!(
        "stream {}: expected its oldest record before the end of its log, {end}, got segment {segment} offset {offset}; \
         restore the files of the stream, or the whole store, from a copy",
        entry.name
    );
    Err(Error::new(Kind::Corrupt, message))
}

/// Where the log of a stream ended when it was closed in order.
pub(crate) fn clean_tail(entry: &StreamEntry) -> Option<Tail> {
    let tail = entry.clean_tail?;
    Some(Tail {
        position: Position::new(u32::try_from(tail.segment).ok()?, tail.offset),
        next_sequence: tail.next_sequence,
        last_checksum: tail.last_frame_checksum,
        last_arrival_ms: tail.last_arrival_ms,
    })
}

/// The streams hold the engine and the keeper's thread asks it weakly, so it lives as long as a handle or a stream.
impl Upkeep for Inner {
    fn upkeep(&self, stream: u64) {
        if stream == STATE_LOG_ID {
            return self.keep_state_log();
        }
        let Some(stream) = self.streams.lock().get(&stream).cloned() else { return };
        if let Err(error) = stream.log.upkeep() {
            self.warn(format!("stream {}: {}", stream.name, error.message()));
        }
    }

    fn scale(&self) {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        for stream in streams.into_iter().map(Stream) {
            match stream.scale() {
                Err(error) if matches!(error.kind(), Kind::StreamNotFound | Kind::StreamDeleting | Kind::Closed) => {}
                Err(error) => self.warn(format!("stream {}: {}", stream.name(), error.message())),
                Ok(_) => {}
            }
        }
    }

    fn publish(&self) {
        self.publish_figures();
    }

    fn expire(self: Arc<Self>) {
        self.tick_expiry();
        let clock = &self.environment.clock;
        let due_ms = self.expiry_stored_ms.load(Ordering::Relaxed) + EXPIRY_STORED_EVERY_MS;
        if clock.monotonic_ms() >= due_ms
            && let Err(error) = self.store_expiry_clock()
        {
            self.warn(error.message().to_owned());
        }
        let now_ms = self.environment.clock.wall_ms();
        for entry in self.entries() {
            // A stream that is younger than its retention has nothing to lose, and need not be opened for it.
            let young =
                entry.config.retention.ms().is_none_or(|kept_ms| entry.created_ms.saturating_add(kept_ms) > now_ms);
            if young || entry.status == StreamStatus::Deleting {
                continue;
            }
            match self.open_stream(entry.id).and_then(|stream| stream.0.expire()) {
                // It was deleted since the list was made.
                Err(error) if matches!(error.kind(), Kind::StreamNotFound | Kind::StreamDeleting) => {}
                Err(error) => self.warn(format!("stream {}: {}", entry.name, error.message())),
                Ok(()) => {}
            }
        }
    }
}
