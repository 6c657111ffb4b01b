//! A store that is open: its claim on the directory, the control log, the streams in use, the threads that serve them.
//!
//! One engine a directory a process: opening the same directory again gives another handle on the same engine, and
//! the last handle that is closed closes it. The last one dropped without `close` does the same, as well as it can.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use crate::control::journal::Journal;
use crate::control::{CleanTail, Command, Retention, StreamConfig, StreamEntry, StreamStatus};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::snapshot::ShardEntry;
use crate::log::{Finding, Log, LogConfig, Tail};
use crate::service::{Committer, Keeper, Upkeep};
use crate::shard::ShardMap;
use crate::store::{Create, Store};
use crate::stream::{Stream, StreamInner};

/// The first segment of a stream, in bytes; each later one is twice as long.
const SEGMENT_BYTES_FIRST: u32 = 1 << 20;
/// The longest segment, in bytes.
const SEGMENT_BYTES_MAX: u32 = 64 << 20;
/// The least that the longest segment can be, in bytes.
const SEGMENT_BYTES_LEAST: u32 = 64 << 10;
/// The oldest that a segment of a stream with unbounded retention grows, in milliseconds.
const SEGMENT_AGE_MS_MAX: u64 = 24 * 3_600_000;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Make the store where there is none. Default: true.
    pub create: bool,
    /// Time, randomness and files. Default: the operating system's.
    pub environment: Environment,
    /// How long the segments of streams may grow, in bytes: a power of two from 64 KiB to 64 MiB. Only a frame that is
    /// larger gets a larger one. Shorter segments give disk back sooner as records expire, and cost more files.
    /// Default: 64 MiB. It holds for segments that are made from now on; files that are there stay as they are.
    pub segment_bytes_max: u32,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { create: true, environment: Environment::default(), segment_bytes_max: SEGMENT_BYTES_MAX }
    }
}

impl OpenOptions {
    fn validate(&self) -> Result<()> {
        let bytes = self.segment_bytes_max;
        if bytes.is_power_of_two() && (SEGMENT_BYTES_LEAST..=SEGMENT_BYTES_MAX).contains(&bytes) {
            return Ok(());
        }
        let message = format!(
            "expected segments of at most a power of two from {SEGMENT_BYTES_LEAST} to {SEGMENT_BYTES_MAX} bytes, got {bytes}"
        );
        Err(Error::new(Kind::InvalidArgument, message))
    }
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// The name.
    pub name: String,
    /// The number, never given twice in a store.
    pub id: u64,
    /// Whether it can be used.
    pub status: StreamStatus,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its configuration.
    pub config: StreamConfig,
}

pub(crate) struct Inner {
    pub environment: Environment,
    pub committer: Committer,
    directory: PathBuf,
    segment_bytes_max: u32,
    keeper: Arc<Keeper>,
    journal: Mutex<Journal>,
    streams: Mutex<HashMap<u64, Arc<StreamInner>>>,
    warnings: Mutex<Vec<String>>,
    handles: AtomicUsize,
    closed: AtomicBool,
    // Held until the engine is closed; dropped with it.
    store: Mutex<Option<Store>>,
}

/// The engines of this process by directory. The lock is held while one is opened or closed.
static ENGINES: LazyLock<Mutex<HashMap<PathBuf, Weak<Inner>>>> = LazyLock::new(|| Mutex::new(HashMap::new()));

/// A handle on an open store. Each handle is closed once; the last one closes the store.
pub struct Engine {
    inner: Arc<Inner>,
    closed: AtomicBool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store in a directory, or makes one. Where this process has it open already, the options of the first
    /// opening hold.
    ///
    /// # Errors
    /// `InvalidArgument` (an option outside of its limits), `Locked` (another process has it; the message names it), `NotAStore`, `FormatNewer`, `ReadOnly`, `DiskFull`,
    /// `Corrupt` (the control log is damaged), `Io`.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Engine> {
        options.validate()?;
        let mut engines = ENGINES.lock();
        if let Ok(canonical) = path.canonicalize()
            && let Some(inner) = engines.get(&canonical).and_then(Weak::upgrade)
            && !inner.closed.load(Ordering::Acquire)
        {
            inner.handles.fetch_add(1, Ordering::AcqRel);
            return Ok(Engine { inner, closed: AtomicBool::new(false) });
        }
        let inner = Inner::open(path, options)?;
        engines.retain(|_, engine| engine.strong_count() > 0);
        engines.insert(inner.directory.clone(), Arc::downgrade(&inner));
        Ok(Engine { inner, closed: AtomicBool::new(false) })
    }

    /// Makes a stream and opens it.
    ///
    /// # Errors
    /// `StreamExists`, `StreamDeleting`, `InvalidArgument`, `DiskFull`, `Closed`.
    pub fn create_stream(&self, name: &str, config: StreamConfig) -> Result<Stream> {
        let inner = self.check()?;
        let mut journal = inner.journal.lock();
        let created_ms = inner.environment.clock.wall_ms();
        let command = Command::CreateStream { name: name.to_owned(), created_ms, config: config.clone() };
        journal.state().validate(&command)?;
        let id = journal.state().next_stream_id();
        // First the files, then the command: a crash between the two leaves files that the next open removes.
        let directory = inner.stream_directory(id);
        inner.environment.disk.remove_tree(&directory).map_err(|error| Error::io(directory.display(), error))?;
        let shards = ShardMap::uniform(config.shards)?;
        let log = Log::create(inner.environment.clone(), inner.log_config(id, name, &config, &shards))?;
        journal.execute(&command)?;
        let entry = journal.state().stream(id)?.clone();
        drop(journal);
        let stream = inner.add_stream(&entry, log, shards, Vec::new())?;
        stream.0.log.upkeep()?;
        Ok(stream)
    }

    /// Opens a stream. After a crash its log is recovered here, in time bounded by its unsealed segments.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`, `Corrupt`, `DiskFull`, `Io`.
    pub fn stream(&self, name: &str) -> Result<Stream> {
        let inner = self.check()?;
        let entry = inner.journal.lock().state().stream_named(name)?.clone();
        inner.open_stream(&entry)
    }

    /// All streams by the order of their creation.
    ///
    /// # Errors
    /// `Closed`.
    pub fn list_streams(&self) -> Result<Vec<StreamSummary>> {
        let journal = self.check()?.journal.lock();
        Ok(journal.state().streams().map(summary_of).collect())
    }

    /// Deletes a stream with all its records. Appends and reads that come later get `StreamDeleting`; bytes that a
    /// reader maps stay until it lets go.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`, `Io`.
    pub fn delete_stream(&self, name: &str) -> Result<()> {
        let inner = self.check()?;
        let id = {
            let mut journal = inner.journal.lock();
            let id = journal.state().stream_named(name)?.id;
            journal.execute(&Command::DeleteStream { id })?;
            id
        };
        if let Some(stream) = inner.streams.lock().remove(&id) {
            stream.start_deleting();
            stream.log.close_writer();
        }
        inner.remove_files(id)
    }

    /// Changes how long a stream's records are kept.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `InvalidArgument`, `Closed`.
    pub fn set_retention(&self, name: &str, retention: Retention) -> Result<()> {
        let inner = self.check()?;
        let (id, config) = {
            let mut journal = inner.journal.lock();
            let id = journal.state().stream_named(name)?.id;
            journal.execute(&Command::SetRetention { id, retention })?;
            (id, journal.state().stream(id)?.config.clone())
        };
        if let Some(stream) = inner.streams.lock().get(&id) {
            stream.set_config(config);
        }
        Ok(())
    }

    /// Takes the wall clock for right after a jump or a long rest paused a stream's expiry.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`, `Io`.
    pub fn accept_clock(&self, name: &str) -> Result<()> {
        let stream = self.stream(name)?;
        stream.0.accept_clock();
        stream.0.store_expiry_clock()
    }

    /// Lets time pass for the retention of all streams at once; the engine does it once a minute by itself.
    ///
    /// # Errors
    /// `Closed`.
    pub fn expire(&self) -> Result<()> {
        Upkeep::expire(Arc::clone(self.check()?));
        Ok(())
    }

    /// What the operator should know: findings of recovery, pauses of the expiry, failures of upkeep.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.inner.warnings.lock().clone()
    }

    /// The store's identity: 16 hexadecimal digits, made at random when it was created.
    ///
    /// # Errors
    /// `Closed`.
    pub fn store_id(&self) -> Result<String> {
        let store = self.check()?.store.lock();
        store.as_ref().map(|store| store.id().to_owned()).ok_or_else(closed)
    }

    /// The store's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Closes this handle; the last one makes all streams durable, notes their ends and lets go of the directory.
    /// Calls after the first do nothing.
    ///
    /// # Errors
    /// `OutcomeUnknown` or `Io` where a stream cannot be made durable; the store is let go all the same.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let _no_one_opens_meanwhile = ENGINES.lock();
        if self.inner.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        self.inner.close()
    }

    fn check(&self) -> Result<&Arc<Inner>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        self.inner.check_open()?;
        Ok(&self.inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to hear of a failure calls `close`; recovery makes good what fails here.
        let _recovered_at_the_next_open = self.close();
    }
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the store was closed; open it again")
}

fn summary_of(entry: &StreamEntry) -> StreamSummary {
    StreamSummary {
        name: entry.name.clone(),
        id: entry.id,
        status: entry.status,
        created_ms: entry.created_ms,
        config: entry.config.clone(),
    }
}

impl Inner {
    fn open(path: &Path, options: OpenOptions) -> Result<Arc<Inner>> {
        let OpenOptions { create, environment, segment_bytes_max } = options;
        let create = if create { Create::IfMissing } else { Create::Never };
        let store = Store::claim(path, create, &*environment.clock, &*environment.entropy)?;
        let directory = store.path().to_path_buf();
        let control = directory.join("control");
        let exists = environment.disk.list(&control).is_ok_and(|names| names.iter().any(|name| name.ends_with(".seg")));
        let (journal, findings) = Journal::open(&environment, &control, exists)?;
        let inner = Arc::new(Inner {
            committer: Committer::start(Arc::clone(&environment.clock))?,
            keeper: Arc::new(Keeper::new()),
            journal: Mutex::new(journal),
            streams: Mutex::new(HashMap::new()),
            warnings: Mutex::new(findings.iter().map(Finding::to_string).collect()),
            handles: AtomicUsize::new(1),
            closed: AtomicBool::new(false),
            store: Mutex::new(Some(store)),
            environment,
            directory,
            segment_bytes_max,
        });
        inner.clean_up()?;
        let upkeep: Weak<Inner> = Arc::downgrade(&inner);
        inner.keeper.start(upkeep, Arc::clone(&inner.environment.clock))?;
        Ok(inner)
    }

    /// Ends deletions that a crash interrupted, and removes the files of streams whose creation was.
    fn clean_up(&self) -> Result<()> {
        let streams = self.directory.join("streams");
        let failed = |error| Error::io(streams.display(), error);
        self.environment.disk.make_directory(&streams).map_err(failed)?;
        let (known, deleting): (Vec<u64>, Vec<u64>) = {
            let journal = self.journal.lock();
            let entries = || journal.state().streams();
            let deleting = entries().filter(|entry| entry.status == StreamStatus::Deleting).map(|entry| entry.id);
            (entries().map(|entry| entry.id).collect(), deleting.collect())
        };
        for id in deleting {
            self.remove_files(id)?;
        }
        for name in self.environment.disk.list(&streams).map_err(failed)? {
            let is_known = u64::from_str_radix(&name, 16).is_ok_and(|id| known.contains(&id));
            if !is_known {
                self.environment.disk.remove_tree(&streams.join(&name)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn remove_files(&self, id: u64) -> Result<()> {
        let directory = self.stream_directory(id);
        self.environment.disk.remove_tree(&directory).map_err(|error| Error::io(directory.display(), error))?;
        self.command(&Command::StreamRemoved { id })
    }

    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Executes a command of the control plane.
    pub fn command(&self, command: &Command) -> Result<()> {
        self.journal.lock().execute(command)
    }

    /// Notes that a stream's own files are ahead of its last clean close.
    pub fn note_opened(&self, id: u64) -> Result<()> {
        let mut journal = self.journal.lock();
        if journal.state().stream(id)?.clean_tail.is_none() {
            return Ok(());
        }
        journal.execute(&Command::StreamOpened { id })
    }

    fn stream_directory(&self, id: u64) -> PathBuf {
        self.directory.join("streams").join(format!("{id:016x}"))
    }

    fn log_config(&self, id: u64, name: &str, config: &StreamConfig, map: &ShardMap) -> LogConfig {
        let prepared = config.preallocate_bytes > 0;
        // A day's segments of a short retention fall off by and by, not all at once.
        let age = config.retention.ms().map_or(SEGMENT_AGE_MS_MAX, |ms| (ms / 24).min(SEGMENT_AGE_MS_MAX));
        LogConfig {
            name: format!("stream {name}"),
            directory: self.stream_directory(id),
            stream: id,
            segment_bytes_first: if prepared { self.segment_bytes_max } else { SEGMENT_BYTES_FIRST.min(self.segment_bytes_max) },
            segment_bytes_max: self.segment_bytes_max,
            segment_age_ms_max: age,
            prepared_bytes: config.preallocate_bytes,
            shards: map.shards().iter().map(ShardEntry::from).collect(),
        }
    }

    fn open_stream(self: &Arc<Self>, entry: &StreamEntry) -> Result<Stream> {
        let mut streams = self.streams.lock();
        if let Some(stream) = streams.get(&entry.id) {
            return Ok(Stream(Arc::clone(stream)));
        }
        if entry.status == StreamStatus::Deleting {
            let message = format!("stream {} is being deleted; create it again once it is gone", entry.name);
            return Err(Error::new(Kind::StreamDeleting, message));
        }
        let map = ShardMap::uniform(entry.config.shards)?;
        let config = self.log_config(entry.id, &entry.name, &entry.config, &map);
        let (log, findings) = Log::open(self.environment.clone(), config, clean_tail(entry))?;
        log.check_opening()?;
        let mut entry = entry.clone();
        if entry.clean_tail.is_some() && log.published() != clean_tail(&entry).map_or(log.published(), |t| t.position) {
            // The files did not bear out the clean close: from now they are what counts.
            self.note_opened(entry.id)?;
            entry.clean_tail = None;
        }
        self.warnings.lock().extend(findings.iter().map(Finding::to_string));
        let stream = self.assemble(&entry, log, map, findings)?;
        streams.insert(entry.id, Arc::clone(&stream));
        Ok(Stream(stream))
    }

    fn add_stream(
        self: &Arc<Self>,
        entry: &StreamEntry,
        log: Arc<Log>,
        map: ShardMap,
        findings: Vec<Finding>,
    ) -> Result<Stream> {
        let stream = self.assemble(entry, log, map, findings)?;
        self.streams.lock().insert(entry.id, Arc::clone(&stream));
        Ok(Stream(stream))
    }

    fn assemble(
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

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.keeper.stop();
        self.committer.stop();
        // Streams hold the engine; letting go of them here ends the circle.
        let streams: Vec<_> = self.streams.lock().drain().map(|(_, stream)| stream).collect();
        let mut outcome = Ok(());
        for stream in streams {
            outcome = outcome.and(self.close_stream(&stream));
        }
        outcome = outcome.and(self.journal.lock().close());
        *self.store.lock() = None;
        outcome
    }

    fn close_stream(&self, stream: &StreamInner) -> Result<()> {
        stream.store_expiry_clock()?;
        if !stream.was_opened() {
            stream.log.close_writer();
            return Ok(());
        }
        stream.log.sync_all()?;
        stream.log.mark()?;
        let tail = stream.log.close_writer();
        stream.log.seal_all()?;
        let tail = CleanTail {
            segment: u64::from(tail.position.segment),
            offset: tail.position.offset,
            next_sequence: tail.next_sequence,
            last_frame_checksum: tail.last_checksum,
            last_arrival_ms: tail.last_arrival_ms,
        };
        self.command(&Command::StreamClosed { id: stream.id, tail })
    }

    fn warn(&self, warning: String) {
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn entries(&self) -> Vec<StreamEntry> {
        self.journal.lock().state().streams().cloned().collect()
    }
}

fn clean_tail(entry: &StreamEntry) -> Option<Tail> {
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
        let Some(stream) = self.streams.lock().get(&stream).cloned() else { return };
        if let Err(error) = stream.log.upkeep() {
            self.warn(format!("stream {}: {}", stream.name, error.message()));
        }
    }

    fn expire(self: Arc<Self>) {
        let now_ms = self.environment.clock.wall_ms();
        for entry in self.entries() {
            // A stream that is younger than its retention has nothing to lose, and need not be opened for it.
            let young = entry.config.retention.ms().is_none_or(|kept_ms| entry.created_ms + kept_ms > now_ms);
            if young || entry.status == StreamStatus::Deleting {
                continue;
            }
            match self.open_stream(&entry).and_then(|stream| stream.0.expire()) {
                Ok(warning) => warning.into_iter().for_each(|warning| self.warn(warning)),
                Err(error) => self.warn(format!("stream {}: {}", entry.name, error.message())),
            }
        }
    }
}
