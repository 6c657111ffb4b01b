//! One log: frames appended to a chain of segment files, published by one atomic store, made durable by one sync for
//! all that arrived meanwhile, read through maps.
//!
//! Invariants:
//! 1. `durable <= published`, both only grow, and bytes below `published` never change.
//! 2. A sequence is given at most once: it is given out of the range that its segment's synced header reserves, and
//!    ranges of segments do not overlap.
//! 3. A segment's data is synced before the data of the one behind it counts as durable.
//! 4. After a failed sync nothing more becomes durable (the log is poisoned), until it is opened again.
//! 5. A file is used again only when nobody has it open.
//!
//! The log knows frames and runs. It knows neither streams, nor hash keys, nor retention times.

mod append;
mod commit;
pub(crate) mod draft;
mod finding;
pub mod notify;
mod open;
mod prepare;
pub(crate) mod reach;
mod recover;
pub(crate) mod remains;
pub(crate) mod replay;
pub(crate) mod rewrite;
mod scan;
mod seal;
pub mod segment;
pub(crate) mod shards;
mod trim;
pub(crate) mod walk;
pub(crate) mod wish;

use std::path::PathBuf;
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::snapshot::ShardEntry;
use crate::metrics::latency::{Latencies, Latency};
use crate::sync::{Apart, Mutex, OnceLock, RwLock};
use notify::Notifier;
use prepare::Pace;
use reach::Reach;
use segment::{Segment, SegmentFile};
use wish::Wish;

pub use finding::{Finding, Meaning, Shards};
pub(crate) use open::{log_is_unused, look_through};
pub(crate) use scan::{Scan, build_index, damage_of, scan_segment};

/// What a log is made with.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// How messages call the log.
    pub name: String,
    /// Where its files stand.
    pub directory: PathBuf,
    /// The stream's number; 0 for the control log.
    pub stream: u64,
    /// The first segment's length in bytes; each later one is twice as long, up to `segment_bytes_max`.
    pub segment_bytes_first: u32,
    /// The longest segment, in bytes.
    pub segment_bytes_max: u32,
    /// A segment older than this takes no more frames, so that it can fall to the retention.
    pub segment_age_ms_max: u64,
    /// How many bytes of written, empty segments to keep ahead of the writer.
    pub prepared_bytes: u64,
    /// Store small frames through the map: quicker where nobody waits for a sync.
    pub stores_small_frames: bool,
    /// The shard map that a new log opens with.
    pub shards: Vec<ShardEntry>,
    /// All shards with lower numbers were opened, as far as is known from elsewhere.
    pub next_shard: u32,
}

impl LogConfig {
    /// The length of every segment of a [`LogConfig::plain`] log, in bytes.
    pub const PLAIN_SEGMENT_BYTES: u32 = 1 << 20;

    /// A log that nobody is in a hurry to write: segments of one length and any age, nothing prepared, no shards.
    pub fn plain(name: String, directory: PathBuf, stream: u64) -> LogConfig {
        LogConfig {
            name,
            directory,
            stream,
            segment_bytes_first: LogConfig::PLAIN_SEGMENT_BYTES,
            segment_bytes_max: LogConfig::PLAIN_SEGMENT_BYTES,
            segment_age_ms_max: u64::MAX,
            prepared_bytes: 0,
            stores_small_frames: false,
            shards: Vec::new(),
            next_shard: 0,
        }
    }
}

/// Where a log ends after a clean close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub position: Position,
    pub next_sequence: u64,
    pub last_checksum: u32,
    pub last_arrival_ms: u64,
}

/// What the log asks of the threads that serve it; answers may come late, never wrong.
pub(crate) trait Servant: Send + Sync {
    /// A segment was finished or is half full: seal, prepare.
    fn wants_upkeep(&self, stream: u64);
}

/// The part that appends, under its lock.
#[derive(Debug)]
struct Writer {
    segment: Arc<Segment>,
    file: Arc<SegmentFile>,
    offset: u32,
    capacity: u32,
    next_sequence: u64,
    reserved_until: u64,
    last_checksum: u32,
    last_arrival_ms: u64,
    // From here on the next frame is worth a waypoint.
    waypoint_at: u32,
    // From here on the next small frame asks for pages to be made ready for those behind it.
    populate_at: u32,
    // So many bytes of pages.
    populate_bytes: u32,
    // The last frame is a mark, so another mark would say nothing new.
    ends_with_mark: bool,
    // Finished files that hold bytes which no sync has covered yet, oldest first.
    unsynced: Vec<Arc<SegmentFile>>,
    // What the next segment opens with.
    shards: Arc<Vec<ShardEntry>>,
    // How often that was changed since the log was opened; what was routed before a change must not be appended after it.
    generation: u64,
    closed: bool,
}

/// A log that is open.
pub(crate) struct Log {
    pub(crate) config: LogConfig,
    pub(crate) environment: Environment,
    writer: Apart<Mutex<Writer>>,
    // Held by the one who syncs.
    sync: Mutex<()>,
    syncs: Mutex<Latency>,
    published: Apart<Reach>,
    durable: Apart<Reach>,
    segments: RwLock<Vec<Arc<Segment>>>,
    ahead: Mutex<prepare::Ahead>,
    notifier: Arc<Notifier>,
    poison: OnceLock<String>,
    servant: OnceLock<Arc<dyn Servant>>,
    upkeep_wanted: Wish,
    // Held by the one who seals, prepares or removes files.
    upkeep: Mutex<()>,
    // What the committer has been asked for and has not begun.
    pub(crate) sync_due: Wish,
    pub(crate) mark_due: Wish,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("name", &self.config.name).field("published", &self.published()).finish()
    }
}

impl Log {
    /// Who to ask for upkeep.
    pub fn set_servant(&self, servant: Arc<dyn Servant>) {
        let _set_once = self.servant.set(servant);
    }

    /// The end of what has been appended.
    pub fn published(&self) -> Position {
        self.published.place()
    }

    /// The end of what is certain to be on disk.
    pub fn durable(&self) -> Position {
        self.durable.place()
    }

    /// The sequence that the next record gets at least.
    pub fn next_sequence(&self) -> u64 {
        self.published.sequence()
    }

    /// The end of what has been appended with the sequence of the next record there: the two of one moment.
    pub fn end(&self) -> (Position, u64) {
        let tail = self.writer.lock().tail();
        (tail.position, tail.next_sequence)
    }

    /// All sequences below this one are on disk.
    pub fn durable_sequence(&self) -> u64 {
        self.durable.sequence()
    }

    /// Who is told when something changes.
    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.notifier
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    /// The error of a poisoned log.
    pub fn check_poison(&self) -> Result<()> {
        let Some(cause) = self.poison.get() else { return Ok(()) };
        let name = &self.config.name;
        let message = format!(
            "{name} takes no more appends after a failure ({cause}); what was durable can be read; \
             close and open the store again to go on"
        );
        Err(Error::new(Kind::Poisoned, message))
    }

    /// When the newest frame arrived, in milliseconds since 1970.
    pub fn last_arrival_ms(&self) -> u64 {
        self.writer.lock().last_arrival_ms
    }

    /// How long syncs took.
    pub fn sync_latencies(&self) -> Latencies {
        self.syncs.lock().read(self.environment.clock.monotonic_ms() / 1_000)
    }

    fn poison(&self, cause: &Error) {
        let _first_cause_stays = self.poison.set(cause.message().to_owned());
        self.notifier.notify(notify::Change::Durable);
    }

    fn ask_for_upkeep(&self) {
        if let Some(servant) = self.servant.get()
            && self.upkeep_wanted.note()
        {
            servant.wants_upkeep(self.config.stream);
        }
    }

    /// Seals what is finished, before a close.
    pub fn seal_all(&self) -> Result<()> {
        let _one_at_a_time = self.upkeep.lock();
        self.seal_finished()
    }

    /// Ends appending and upkeep, then removes the log's directory. What was appended is acknowledged before, or its
    /// appender told of the failure: nobody would sync for it afterwards.
    pub fn remove(&self) -> Result<()> {
        self.close_writer();
        let _whoever_waits_hears_of_a_failure = self.sync_all();
        let _no_file_is_made_meanwhile = self.upkeep.lock();
        let directory = &self.config.directory;
        self.environment.disk.remove_tree(directory).map_err(|error| Error::io(directory.display(), error))
    }

    /// Seals what is finished and prepares what will be needed.
    pub fn upkeep(&self) -> Result<()> {
        self.upkeep_wanted.take_up();
        let _one_at_a_time = self.upkeep.lock();
        if self.writer.lock().closed {
            return Ok(());
        }
        self.populate_ahead();
        self.prepare_ahead(Pace::Writer)?;
        self.seal_finished()
    }

    /// Prepares all the space that the stream asked for, before anybody writes.
    pub fn preallocate(&self) -> Result<()> {
        let _one_at_a_time = self.upkeep.lock();
        self.prepare_ahead(Pace::Fill)
    }
}
