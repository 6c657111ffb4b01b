//! A store that is open: its claim on the directory, the control log, the streams in use, the threads that serve them.
//!
//! One engine a directory a process: opening the same directory again gives another handle on the same engine, and
//! the last handle that is closed closes it. The last one dropped without `close` does the same, as well as it can.

mod account;
mod channels;
mod figures;
mod inner;
mod queues;
pub mod settings;
mod state_log;

use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::control::{CreateStream, DeleteStream, StreamConfig, StreamEntry, StreamStatus};
use crate::environment::{Environment, Service};
use crate::error::{Error, Kind, Result};
use crate::log::Log;
use crate::service::Upkeep;
use crate::shard::ShardMap;
use crate::stream::Stream;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Lazy, Mutex, RwLockReadGuard};
pub use channels::ChannelReport;
pub(crate) use inner::{Inner, clean_tail};
pub(crate) use queues::queue_directory;
pub(crate) use state_log::state_directory;

/// The longest segment, in bytes.
const SEGMENT_BYTES_MAX: u32 = 64 << 20;
/// The least that the longest segment can be, in bytes.
const SEGMENT_BYTES_LEAST: u32 = 64 << 10;

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
    /// How many shards are open.
    pub open_shards: u32,
    /// Its configuration.
    pub config: StreamConfig,
}

/// The engines of this process by directory. The lock is held while one is opened or closed.
static ENGINES: Lazy<Mutex<HashMap<PathBuf, Weak<Inner>>>> = Lazy::new(|| Mutex::new(HashMap::new()));

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
        let mut engines = Lazy::force(&ENGINES).lock();
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
        // Held until the stream is in the list: whoever opened it sooner would recover the files of a log in use.
        let mut streams = inner.streams.lock();
        let mut journal = inner.journal.lock();
        let created_ms = inner.environment.clock.wall_ms();
        // A wall clock that is ahead must not vouch for the time of expiry of all streams, as a creation does elsewhere.
        let (expiry_is_paused, expiry_ms) = inner.tick_expiry();
        let expiry_clock_ms = expiry_is_paused.then_some(expiry_ms);
        let command =
            CreateStream { name: name.to_owned(), created_ms, expiry_clock_ms, config: config.clone() }.into();
        journal.state().validate(&command)?;
        let id = journal.state().next_stream_id();
        // First the files, then the command: a crash between the two leaves files that the next open removes.
        let directory = inner.stream_directory(id);
        inner.environment.disk.remove_tree(&directory).map_err(|error| Error::io(directory.display(), error))?;
        let shards = ShardMap::uniform(config.shards)?;
        let log_config = inner.log_config(id, name, &config, &shards);
        // Where the clock has been set back, records that arrive by it would be old once it is right again.
        let log = Log::create(inner.environment.clone(), log_config, expiry_ms)?;
        inner.execute(&mut journal, &command)?;
        let entry = journal.state().stream(id)?.clone();
        drop(journal);
        let stream = inner.assemble(&entry, log, shards, Vec::new())?;
        streams.insert(id, Arc::clone(&stream));
        drop(streams);
        stream.log.preallocate()?;
        Ok(Stream(stream))
    }

    /// Opens a stream. After a crash its log is recovered here, in time bounded by its unsealed segments.
    ///
    /// # Errors
    /// `StreamNotFound`, `StreamDeleting`, `Closed`, `Corrupt`, `DiskFull`, `Io`.
    pub fn stream(&self, name: &str) -> Result<Stream> {
        let inner = self.check()?;
        let id = inner.journal.lock().state().stream_named(name)?.id;
        inner.open_stream(id)
    }

    /// All streams by the order of their creation.
    ///
    /// # Errors
    /// `Closed`.
    pub fn list_streams(&self) -> Result<Vec<StreamSummary>> {
        let inner = self.check()?;
        let journal = inner.journal.lock();
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
            inner.execute(&mut journal, &DeleteStream { id }.into())?;
            id
        };
        if let Some(stream) = inner.streams.lock().remove(&id) {
            stream.start_deleting();
            stream.log.remove()?;
        }
        inner.remove_files(id)
    }

    /// Takes the wall clock for right after a jump or a long rest paused the expiry of records.
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn accept_clock(&self) -> Result<()> {
        self.check()?.accept_clock()
    }

    /// Lets time pass for the retention of all streams at once; the engine does it once a minute by itself.
    ///
    /// # Errors
    /// `Closed`.
    pub fn expire(&self) -> Result<()> {
        let call = self.check()?;
        Upkeep::expire(Arc::clone(call.inner));
        Ok(())
    }

    /// Does what one of the engine's services has to do by now, in the calling thread, and returns how many steps that
    /// were. Of use where the environment says [`crate::Services::Caller`]; otherwise the engine's threads do it.
    ///
    /// # Errors
    /// `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, Environment, OpenOptions, Service, Services};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let environment = Environment { services: Services::Caller, ..Environment::default() };
    /// let engine = Engine::open(directory.path(), OpenOptions { environment, ..OpenOptions::default() })?;
    /// assert_eq!(engine.serve(Service::Keeper)?, 0);
    /// engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn serve(&self, service: Service) -> Result<usize> {
        Ok(self.check()?.serve(service))
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
        self.check()?.store_id()
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
        let _no_one_opens_meanwhile = Lazy::force(&ENGINES).lock();
        if self.inner.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        self.inner.close()
    }

    fn check(&self) -> Result<Call<'_>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        Ok(Call { inner: &self.inner, _in_flight: self.inner.call()? })
    }
}

/// A call into an engine that stays open until the call has ended.
struct Call<'a> {
    inner: &'a Arc<Inner>,
    _in_flight: RwLockReadGuard<'a, ()>,
}

impl Deref for Call<'_> {
    type Target = Arc<Inner>;

    fn deref(&self) -> &Arc<Inner> {
        self.inner
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
        open_shards: entry.open_shards(),
        config: entry.config.clone(),
    }
}
