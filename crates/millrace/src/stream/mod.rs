//! A stream: one log, its shards, what an acknowledgement means, and how far back it is kept.

mod append;
pub mod channels;
pub(crate) mod chunk;
mod consumers;
pub mod description;
pub(crate) mod expiry;
mod measured;
mod on_demand;
mod pace;
pub(crate) mod pack;
mod places;
mod policies;
pub mod queues;
pub mod reader;
mod reader_options;
mod replayed;
pub(crate) mod reshard;
mod retention;
mod scope;
pub(crate) mod shards;
mod single;
mod spread;
pub mod staged;
pub mod subscription;
pub(crate) mod throttle;

use std::sync::Arc;

use crate::control::{Durability, Horizon, StreamConfig, StreamEntry};
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::format::{Position, u32_of};
use crate::log::draft::FrameDraft;
use crate::log::notify::{Change, Registration, Wake};
use crate::log::{Finding, Log};
use crate::map::TailView;
use crate::metrics::meter::Meter;
use crate::shard::{SequenceCodec, SequenceNumber, ShardId, ShardMap};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Apart, Mutex, RwLock};
use on_demand::Scaler;
use spread::Spread;
use subscription::Subscriptions;
use throttle::Throttle;

/// A packer that grew beyond this is not kept for the next append, in bytes of staged records.
const PACKER_BYTES_KEPT: usize = 8 << 20;

/// Who makes an append durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The engine's committer, as the stream's durability says.
    Engine,
    /// The caller, who calls [`Stream::flush`] next.
    Caller,
}

/// What an append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The end of the appended records: acknowledged once [`Stream::acknowledged`] is there.
    pub end: Position,
}

/// A shard map, and which of those that the log has had since it was opened.
#[derive(Debug)]
struct Routes {
    map: ShardMap,
    generation: u64,
}

pub(crate) struct StreamInner {
    pub id: u64,
    pub name: String,
    pub log: Arc<Log>,
    created_ms: u64,
    config: RwLock<StreamConfig>,
    // Of the configuration, what each call reads: no lock is taken for it.
    durability: Durability,
    record_bytes_max: AtomicU32,
    is_encrypted: AtomicBool,
    throttle: Throttle,
    spread: Spread,
    // Held by the one who lets an on-demand stream follow its traffic.
    scaler: Mutex<Scaler>,
    // The frame of a record that is appended on its own, with what it was last routed by.
    single: Apart<Mutex<(FrameDraft, Arc<Routes>)>>,
    codec: SequenceCodec,
    routes: RwLock<Arc<Routes>>,
    // Held by the one who changes the shard map.
    resharding: Mutex<()>,
    pub(crate) engine: Arc<Inner>,
    horizon: RwLock<Horizon>,
    // Held by the one who moves the horizon, or stores it: in the control log it must not go back.
    expiring: Mutex<()>,
    // The control log knows that the log's own files are ahead of the last clean close.
    opened: AtomicBool,
    deleting: AtomicBool,
    findings: Vec<Finding>,
    subscriptions: Subscriptions,
    pub meter: Meter,
}

/// A stream of a store; cheap to clone, usable from any thread.
///
/// ```
/// use millrace::{Commit, Engine, OpenOptions, StagedRecords, StreamConfig};
/// use millrace::{ReaderOptions, StartAt, Step};
/// # let directory = tempfile::tempdir().unwrap();
/// let engine = Engine::open(directory.path(), OpenOptions::default())?;
/// let clicks = engine.create_stream("clicks", StreamConfig { shards: 4, ..StreamConfig::default() })?;
/// let mut staged = StagedRecords::default();
/// staged.push("user-42", None, b"a click");
/// clicks.append(staged.as_staged(), None, Commit::Caller)?;
/// clicks.flush()?;
/// let mut reader = clicks.reader(ReaderOptions { from: StartAt::TrimHorizon, ..ReaderOptions::default() })?;
/// assert!(matches!(reader.next(1_000, 1 << 20)?, Step::Chunk(_)));
/// assert!(matches!(reader.next(1_000, 1 << 20)?, Step::AtTail));
/// engine.close()?;
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone)]
pub struct Stream(pub(crate) Arc<StreamInner>);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.0.name).field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl StreamInner {
    pub fn new(
        engine: Arc<Inner>,
        entry: &StreamEntry,
        log: Arc<Log>,
        map: ShardMap,
        findings: Vec<Finding>,
    ) -> Result<StreamInner> {
        let routes = Arc::new(Routes { map, generation: 0 });
        Ok(StreamInner {
            id: entry.id,
            name: entry.name.clone(),
            log,
            created_ms: entry.created_ms,
            durability: entry.config.durability,
            record_bytes_max: AtomicU32::new(entry.config.max_record_bytes),
            is_encrypted: AtomicBool::new(entry.config.encryption_key.is_some()),
            throttle: Throttle::new(&entry.config),
            spread: Spread::new(&entry.config),
            scaler: Mutex::default(),
            single: Apart(Mutex::new((FrameDraft::default(), Arc::clone(&routes)))),
            config: RwLock::new(entry.config.clone()),
            codec: SequenceCodec::new(entry.created_ms / 1_000, entry.id)?,
            routes: RwLock::new(routes),
            resharding: Mutex::new(()),
            // Which records are looked at need not be secret, and a run that is repeated looks at the same ones.
            meter: Meter::new(Arc::clone(&engine.environment.clock), entry.created_ms ^ entry.id.rotate_left(48))
                .counting(engine.environment.meters),
            engine,
            horizon: RwLock::new(entry.horizon),
            expiring: Mutex::new(()),
            opened: AtomicBool::new(entry.clean_tail.is_none()),
            deleting: AtomicBool::new(false),
            findings,
            subscriptions: Subscriptions::default(),
        })
    }

    pub fn set_config(&self, config: StreamConfig) {
        let mut present = self.config.write();
        self.record_bytes_max.store(config.max_record_bytes, Ordering::Relaxed);
        self.is_encrypted.store(config.encryption_key.is_some(), Ordering::Relaxed);
        self.spread.set(&config);
        if (present.limits, present.mode) != (config.limits, config.mode) {
            self.throttle.set(&config);
        }
        *present = config;
    }

    fn record_bytes_max(&self) -> u32 {
        self.record_bytes_max.load(Ordering::Relaxed)
    }

    /// Whether the control log has to be told of a clean end.
    pub fn was_opened(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    pub fn start_deleting(&self) {
        self.deleting.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Wakes whoever waits for something that will not come any more, so that each looks again and is told why.
    pub fn wake_all(&self) {
        self.log.notifier().notify(Change::Published);
        self.log.notifier().notify(Change::Durable);
    }

    pub(crate) fn check_usable(&self) -> Result<()> {
        if self.deleting.load(Ordering::Acquire) {
            let message = format!("stream {} is being deleted; create it again once it is gone", self.name);
            return Err(Error::new(Kind::StreamDeleting, message));
        }
        self.engine.check_open()
    }

    /// The number that the next shard gets, and how many are open.
    pub fn shard_numbers(&self) -> (u32, u32) {
        let map = &self.routes.read().map;
        (map.next_id(), u32_of(map.open_count()))
    }

    /// The shard map that holds at present.
    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read())
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether readers of this visibility see what is on disk only.
    fn waits_for_disk(&self, visibility: reader::Visibility) -> bool {
        visibility == reader::Visibility::Durable && self.durability() != Durability::Os
    }

    /// Where readers must stop.
    fn visible(&self, visibility: reader::Visibility) -> Position {
        if self.waits_for_disk(visibility) { self.log.durable() } else { self.log.published() }
    }

    /// The sequence of the next record there, or of a later one.
    fn visible_sequence(&self, visibility: reader::Visibility) -> u64 {
        if self.waits_for_disk(visibility) { self.log.durable_sequence() } else { self.log.next_sequence() }
    }
}

impl Stream {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it was deleted: then it is of no more use, though one of its name may have been created since.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.0.deleting.load(Ordering::Acquire)
    }

    /// Whether it decides itself which shard a record goes to: see
    /// [`Engine::set_record_distribution`](crate::Engine::set_record_distribution).
    #[must_use]
    pub fn distributes_records(&self) -> bool {
        self.0.spread.is_on()
    }

    /// Whether its owner has set a key that it is said to be encrypted with: see
    /// [`Engine::set_encryption_key`](crate::Engine::set_encryption_key).
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.is_encrypted.load(Ordering::Relaxed)
    }

    /// All before this place is acknowledged under the stream's durability.
    #[must_use]
    pub fn acknowledged(&self) -> Position {
        match self.0.durability() {
            Durability::Synced => self.0.log.durable(),
            Durability::Interval { .. } | Durability::Os => self.0.log.published(),
        }
    }

    /// The end of what has been appended.
    #[must_use]
    pub fn published(&self) -> Position {
        self.0.log.published()
    }

    /// The end of what is on disk.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.0.log.durable()
    }

    /// Returns once all that was appended before the call is on disk, whatever the policy. Syncs in the calling
    /// thread, unless another is at it.
    ///
    /// # Errors
    /// `OutcomeUnknown` where the sync fails; the stream is poisoned then.
    pub fn flush(&self) -> Result<()> {
        self.0.engine.check_open()?;
        self.0.log.sync_all()?;
        self.0.engine.committer.mark_later(&self.0.log);
        Ok(())
    }

    /// Blocks until all before `end` is acknowledged.
    ///
    /// # Errors
    /// `OutcomeUnknown` where the sync fails.
    pub fn wait_acknowledged(&self, end: Position) -> Result<()> {
        match self.0.durability() {
            Durability::Synced => self.0.log.wait_durable(end),
            Durability::Interval { .. } | Durability::Os => Ok(()),
        }
    }

    /// The error of a stream that takes no more appends.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn check_poison(&self) -> Result<()> {
        self.0.log.check_poison()
    }

    /// Wakes `waiter` after each change of a kind, until the registration is dropped.
    #[must_use]
    pub fn on_change(&self, change: Change, waiter: Arc<dyn Wake>) -> Registration {
        self.0.log.notifier().register(change, waiter)
    }

    /// What readers of this visibility wait for.
    #[must_use]
    pub fn change_of(&self, visibility: reader::Visibility) -> Change {
        if self.0.waits_for_disk(visibility) { Change::Durable } else { Change::Published }
    }

    /// A map, at an address of its own, of the page that counts changes: see [`TailPage`](crate::map::TailPage).
    ///
    /// # Errors
    /// `Io` where the system has no memory for it.
    pub fn tail_view(&self) -> Result<TailView> {
        self.0.log.notifier().tail_view()
    }

    /// How a record's place is called outside: 56 digits.
    #[must_use]
    pub fn sequence_number(&self, shard: u32, sequence: u64) -> String {
        self.0.codec.encode(ShardId(shard), SequenceNumber(sequence))
    }

    /// The inverse of [`Stream::sequence_number`]; where `shard` is given, the number must be of that shard.
    ///
    /// # Errors
    /// `SequenceInvalid`.
    pub fn parse_sequence_number(&self, text: &str, shard: Option<u32>) -> Result<u64> {
        let sequence = match shard {
            Some(shard) => self.0.codec.decode_for_shard(text, ShardId(shard))?,
            None => self.0.codec.decode(text)?.1,
        };
        Ok(sequence.0)
    }

    /// A reader of one shard or of the whole stream.
    ///
    /// # Errors
    /// `ShardNotFound`, `InvalidArgument` for a time in the future, `StreamDeleting`, `Closed`.
    pub fn reader(&self, options: reader::ReaderOptions) -> Result<reader::Reader> {
        self.0.check_usable()?;
        reader::Reader::new(Arc::clone(&self.0), options)
    }

    /// A reader of one shard and all that come of it by splits and merges: its children's records follow its own, theirs
    /// follow them, and it never comes to an end. Of a child of two parents it sees all records, also those whose keys
    /// belonged to the other parent.
    ///
    /// # Errors
    /// As for [`reader`](Self::reader).
    ///
    /// ```
    /// use millrace::shard::ShardId;
    /// use millrace::{Commit, Engine, OpenOptions, ReaderOptions, StagedRecords, StartAt, Step, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// clicks.split_shard(ShardId(0), None)?;
    /// let mut staged = StagedRecords::default();
    /// staged.push("user-42", None, b"a click");
    /// clicks.append(staged.as_staged(), None, Commit::Caller)?;
    /// clicks.flush()?;
    /// let options = ReaderOptions { shard: Some(0), from: StartAt::TrimHorizon, ..ReaderOptions::default() };
    /// assert!(matches!(clicks.reader(options)?.next(1_000, 1 << 20)?, Step::EndOfShard(_)));
    /// assert!(matches!(clicks.family_reader(options)?.next(1_000, 1 << 20)?, Step::Chunk(_)));
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn family_reader(&self, options: reader::ReaderOptions) -> Result<reader::Reader> {
        self.reader(options).map(reader::Reader::with_family)
    }
}
