//! One stream of an environment: appends whole batches, tells what is acknowledged, opens readers.

use std::sync::{Arc, OnceLock};

use millrace::shard::{Shard, ShardId};
use millrace::{
    Change, Commit, Error, Kind, Placement, Position, ReaderOptions, Refused, Staged, StartAt, Stream, Visibility,
};
use napi::bindgen_prelude::{AsyncTask, BigInt, Uint8Array};
use napi_derive::napi;

use crate::consumers::{ReadPlan, Source};
use crate::describe::{NativeStreamDescription, describe, whole};
use crate::error::{coded, coded_text, internal};
use crate::handles::Table;
use crate::metrics::{json, replayed, told};
use crate::notifier::{Alarm, Bell, NativeNotifier};
use crate::reader::{Delivery, NativeReader};
use crate::shards::{NativeReshard, NativeShard, NativeShardFilter, describe_shards, hash_key};
use crate::task::{Blocking, promise};

thread_local! {
    static WRITERS: Table<Writer> = const { Table::new() };
}

/// A stream that was opened. What appends stands in a table, for [`stream_append`].
#[napi]
pub struct NativeStream {
    stream: Stream,
    acknowledged: Arc<Alarm>,
    // Shared by all readers that see records at the same moment: before their sync, and after it.
    before_sync: OnceLock<Arc<Bell>>,
    after_sync: OnceLock<Arc<Bell>>,
    // Given when first asked for: a stream is opened on another thread than the table's.
    handle: OnceLock<u32>,
}

/// The hot half of a stream.
struct Writer {
    stream: Stream,
    acknowledged: Bell,
    placements: Vec<Placement>,
    // What the last append has refused, and where what it has not ends.
    refused: Vec<Refused>,
    end: Position,
    // Handed over once and not at each call, because taking a typed array apart costs as much as an append.
    staging: Option<Uint8Array>,
}

/// Where a reader starts and what it sees.
#[napi(object)]
pub struct NativeReadRequest {
    /// `horizon`, `latest`, `at`, `after` or `timestamp`.
    pub kind: String,
    /// For `at` and `after`: 56 digits.
    pub sequence: Option<String>,
    /// For `timestamp`: milliseconds since 1970.
    pub timestamp: Option<f64>,
    pub shard: Option<u32>,
    /// The shard's children too, theirs, and so on.
    pub children: bool,
    /// Under the read limits of its shard.
    pub limited: bool,
    /// Records before their sync.
    pub published: bool,
    /// Owned copies only.
    pub copy: bool,
    pub max_records: u32,
    pub max_bytes: u32,
}

/// What an append has refused.
#[napi(object)]
pub struct NativeRefusals {
    /// In the order of the records.
    pub refused: Vec<NativeRefusal>,
    /// The place up to which the others must be acknowledged.
    pub position: f64,
}

/// A record that was refused.
#[napi(object)]
pub struct NativeRefusal {
    /// Its place among the records of the append.
    pub index: u32,
    /// The error's text.
    pub error: String,
}

impl NativeStream {
    pub fn new(stream: Stream, acknowledged: Arc<Alarm>) -> Self {
        NativeStream {
            stream,
            acknowledged,
            before_sync: OnceLock::new(),
            after_sync: OnceLock::new(),
            handle: OnceLock::new(),
        }
    }

    /// The engine's handle.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for NativeStream {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.get() {
            // At the end of the thread the table may be gone already, and the writer with it.
            let _gone = WRITERS.try_with(|writers| writers.remove(*handle));
        }
    }
}

/// Appends `count` records whose headers and data stand in the first `length` bytes of `staged`, and whose keys in the
/// `key_bytes` behind. Returns the place up to which they must be acknowledged. Shards and sequences of the records are
/// written into the arrays if they are given, which have `count` elements then.
///
/// Where the limits of shards refuse some of them, the others are appended all the same: this throws then, and
/// [`stream_take_refused`] tells which they were. Whatever else it throws, none was appended.
#[napi(catch_unwind)]
pub fn stream_append(
    handle: u32,
    staged: &[u8],
    length: u32,
    key_bytes: u32,
    count: u32,
    shards: Option<&mut [u32]>,
    sequences: Option<&mut [u64]>,
) -> napi::Result<f64> {
    let batch = staged_batch(staged, length, key_bytes, count)?;
    let end = WRITERS.with(|writers| writers.with(handle, |writer| writer.append(batch, shards, sequences)))?;
    Ok(place(end))
}

/// Appends records as [`stream_append`] does, from the staging buffer, for which nobody waits: all of them or none. Returns the id that this has fired in this thread, or 0: its listener must be called soon.
#[napi(catch_unwind)]
pub fn stream_submit(handle: u32, length: u32, key_bytes: u32, count: u32) -> napi::Result<u32> {
    WRITERS.with(|writers| writers.with(handle, |writer| writer.submit(length, key_bytes, count)))
}

/// The same, and returns when they are on disk: the calling thread syncs.
#[napi(catch_unwind)]
pub fn stream_submit_synced(handle: u32, length: u32, key_bytes: u32, count: u32) -> napi::Result<u32> {
    WRITERS.with(|writers| writers.with(handle, |writer| writer.submit_synced(length, key_bytes, count)))
}

/// What the last [`stream_append`] has refused, once: nothing where it failed as a whole.
#[napi(catch_unwind)]
pub fn stream_take_refused(handle: u32) -> napi::Result<NativeRefusals> {
    WRITERS.with(|writers| writers.with(handle, |writer| Ok(writer.take_refused())))
}

/// The place up to which all is acknowledged. The stream's id fires when it moves next.
#[napi(catch_unwind)]
pub fn stream_arm_acknowledged(handle: u32) -> napi::Result<f64> {
    WRITERS.with(|writers| writers.with(handle, |writer| Ok(place(writer.arm_acknowledged()))))
}

/// The batch in the bytes that JavaScript has staged.
fn staged_batch(staged: &[u8], length: u32, key_bytes: u32, count: u32) -> napi::Result<Staged<'_>> {
    let too_much = || internal("more was staged than there is");
    let (records, rest) = staged.split_at_checked(length as usize).ok_or_else(too_much)?;
    let keys = rest.get(..key_bytes as usize).ok_or_else(too_much)?;
    Ok(Staged { records, keys, count: count as usize })
}

impl Writer {
    fn append(
        &mut self,
        batch: Staged<'_>,
        shards: Option<&mut [u32]>,
        sequences: Option<&mut [u64]>,
    ) -> napi::Result<Position> {
        self.placements.clear();
        self.refused.clear();
        let placements = shards.is_some().then_some(&mut self.placements);
        let appended = self.stream.append_each(batch, placements, &mut self.refused, Commit::Engine);
        self.end = appended.map_err(|error| coded(&error))?.end;
        if let (Some(shards), Some(sequences)) = (shards, sequences) {
            let mut refused = self.refused.iter().map(|refused| refused.index).peekable();
            let places = shards.iter_mut().zip(sequences).enumerate();
            let admitted = places.filter(|(index, _)| refused.next_if_eq(index).is_none());
            for ((_, (shard, sequence)), placement) in admitted.zip(&self.placements) {
                *shard = placement.shard;
                *sequence = placement.sequence;
            }
        }
        match self.refused.first() {
            Some(first) => Err(coded(&first.error)),
            None => Ok(self.end),
        }
    }

    fn take_refused(&mut self) -> NativeRefusals {
        let refused = self.refused.drain(..).map(|refused| NativeRefusal {
            index: u32::try_from(refused.index).unwrap_or(u32::MAX),
            error: coded_text(&refused.error),
        });
        NativeRefusals { refused: refused.collect(), position: place(self.end) }
    }

    fn submit(&mut self, length: u32, key_bytes: u32, count: u32) -> napi::Result<u32> {
        let batch = staged_batch(self.staging.as_deref().unwrap_or_default(), length, key_bytes, count)?;
        self.acknowledged.alarm().keeping(|| self.stream.append(batch, None, Commit::Engine).map(|_| ()))
    }

    fn submit_synced(&mut self, length: u32, key_bytes: u32, count: u32) -> napi::Result<u32> {
        let batch = staged_batch(self.staging.as_deref().unwrap_or_default(), length, key_bytes, count)?;
        self.acknowledged.alarm().keeping(|| {
            self.stream.append(batch, None, Commit::Caller)?;
            self.stream.flush()
        })
    }

    fn arm_acknowledged(&mut self) -> Position {
        // Armed first and looked at second, so that no change falls in between.
        self.acknowledged.arm(&self.stream, Change::Durable);
        self.stream.acknowledged()
    }
}

#[napi]
impl NativeStream {
    /// The stream's number for [`stream_append`] and [`stream_arm_acknowledged`].
    #[napi(catch_unwind)]
    pub fn handle(&self) -> u32 {
        let NativeStream { stream, acknowledged, handle, .. } = self;
        let writer = || Writer {
            stream: stream.clone(),
            acknowledged: Bell::new(Arc::clone(acknowledged)),
            placements: Vec::new(),
            refused: Vec::new(),
            end: Position::default(),
            staging: None,
        };
        *handle.get_or_init(|| WRITERS.with(|writers| writers.insert(writer())))
    }

    /// Sets the buffer that [`stream_submit`] takes records from.
    #[napi(catch_unwind)]
    pub fn set_staging(&self, staging: Uint8Array) -> napi::Result<()> {
        let handle = self.handle();
        WRITERS.with(|writers| {
            writers.with(handle, |writer| {
                writer.staging = Some(staging);
                Ok(())
            })
        })
    }

    /// Whether it was deleted, in whatever thread.
    #[napi(catch_unwind)]
    pub fn is_deleted(&self) -> bool {
        self.stream.is_deleted()
    }

    /// Why nothing more will be acknowledged, as an error's text; nothing while all is well.
    #[napi(catch_unwind)]
    pub fn failure(&self) -> Option<String> {
        let cause = self.stream.check_poison().err()?;
        let message = format!("these records may or may not be there after the next open: {}", cause.message());
        Some(coded_text(&Error::new(Kind::OutcomeUnknown, message)))
    }

    /// Blocks until all that was appended is on disk.
    #[napi(catch_unwind)]
    pub fn sync_now(&self) -> napi::Result<()> {
        self.stream.flush().map_err(|error| coded(&error))
    }

    /// Resolves when all that was appended is on disk.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn sync(&self) -> AsyncTask<Blocking<()>> {
        let stream = self.stream.clone();
        promise(move || stream.flush())
    }

    /// The 56 digits of a record.
    #[napi(catch_unwind)]
    pub fn sequence_number(&self, shard: u32, sequence: BigInt) -> String {
        self.stream.sequence_number(shard, sequence.get_u64().1)
    }

    /// The stream as it is now.
    #[napi(catch_unwind)]
    pub fn describe(&self) -> NativeStreamDescription {
        describe(&self.stream)
    }

    /// The shards that a filter lets pass.
    #[napi(catch_unwind)]
    pub fn list_shards(&self, filter: NativeShardFilter) -> napi::Result<Vec<NativeShard>> {
        let listed = filter.into_engine().and_then(|filter| self.stream.list_shards(filter));
        listed.map(|shards| describe_shards(&self.stream, &shards)).map_err(|error| coded(&error))
    }

    /// Splits a shard at a hash key, a decimal number, or in the middle. Resolves with the children.
    #[napi(ts_return_type = "Promise<Array<NativeShard>>", catch_unwind)]
    pub fn split_shard(&self, shard: u32, at: Option<String>) -> AsyncTask<Blocking<Vec<NativeShard>>> {
        self.reshard(move |stream| stream.split_shard(ShardId(shard), at.as_deref().map(hash_key).transpose()?))
    }

    /// Merges two shards whose hash keys adjoin. Resolves with the one that they become.
    #[napi(ts_return_type = "Promise<Array<NativeShard>>", catch_unwind)]
    pub fn merge_shards(&self, shard: u32, adjacent: u32) -> AsyncTask<Blocking<Vec<NativeShard>>> {
        self.reshard(move |stream| stream.merge_shards(ShardId(shard), ShardId(adjacent)))
    }

    /// Changes the number of open shards. Resolves with those that were opened.
    #[napi(ts_return_type = "Promise<Array<NativeShard>>", catch_unwind)]
    pub fn update_shard_count(&self, count: u32) -> AsyncTask<Blocking<Vec<NativeShard>>> {
        self.reshard(move |stream| stream.update_shard_count(count))
    }

    /// What a change of the shards would open; nothing is changed.
    #[napi(catch_unwind)]
    pub fn plan_reshard(&self, change: NativeReshard) -> napi::Result<Vec<NativeShard>> {
        let planned = change.into_engine().and_then(|change| self.stream.plan_reshard(change));
        planned.map(|shards| describe_shards(&self.stream, &shards)).map_err(|error| coded(&error))
    }

    /// What has happened in the stream since it was opened, as JSON.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> napi::Result<String> {
        json(&self.stream.metrics()).map_err(|error| coded(&error))
    }

    /// Both from the records of the log's last minute, as JSON.
    #[napi(ts_return_type = "Promise<string>", catch_unwind)]
    pub fn replay_metrics(&self) -> AsyncTask<Blocking<String>> {
        let stream = self.stream.clone();
        promise(move || replayed(&stream))
    }

    /// What to do about its load, as JSON.
    #[napi(catch_unwind)]
    pub fn advise(&self) -> napi::Result<String> {
        told(&self.stream.advise()).map_err(|error| coded(&error))
    }

    /// A reader. The readers of one visibility share a wake-up, whose id is the `wake_id` of the first.
    #[napi(catch_unwind)]
    pub fn open_reader(
        &self,
        request: NativeReadRequest,
        notifier: &NativeNotifier,
        wake_id: u32,
    ) -> napi::Result<NativeReader> {
        let (children, limited) = (request.children, request.limited);
        self.open(request, notifier, wake_id, |stream, ReadPlan { shard, from, visibility }| {
            let options = ReaderOptions { shard, from, visibility };
            let reader = if children { stream.family_reader(options) } else { stream.reader(options) };
            let reader = Box::new(reader?);
            Ok(if limited { Source::Limited(reader) } else { Source::Reader(reader) })
        })
    }

    /// Opens what a request to read comes to.
    pub fn open(
        &self,
        request: NativeReadRequest,
        notifier: &NativeNotifier,
        wake_id: u32,
        open: impl FnOnce(&Stream, ReadPlan) -> millrace::Result<Source>,
    ) -> napi::Result<NativeReader> {
        let visibility = if request.published { Visibility::Published } else { Visibility::Durable };
        let plan = self.start_at(&request).map(|from| ReadPlan { shard: request.shard, from, visibility });
        let source = plan.and_then(|plan| open(&self.stream, plan)).map_err(|error| coded(&error))?;
        let delivery = Delivery {
            shard: request.shard,
            visibility,
            copy: request.copy,
            records_max: request.max_records as usize,
            bytes_max: request.max_bytes as usize,
        };
        Ok(NativeReader::new(self.stream.clone(), source, delivery, self.bell(visibility, notifier, wake_id)))
    }

    /// What rings for those who see records at this moment; made with the `wake_id` of the first who asks.
    pub fn bell(&self, visibility: Visibility, notifier: &NativeNotifier, wake_id: u32) -> Arc<Bell> {
        let bell = match visibility {
            Visibility::Published => &self.before_sync,
            Visibility::Durable => &self.after_sync,
        };
        Arc::clone(bell.get_or_init(|| Arc::new(Bell::new(notifier.alarm(wake_id)))))
    }

    fn reshard(
        &self,
        change: impl FnOnce(&Stream) -> millrace::Result<Vec<Shard>> + Send + 'static,
    ) -> AsyncTask<Blocking<Vec<NativeShard>>> {
        let stream = self.stream.clone();
        promise(move || change(&stream).map(|opened| describe_shards(&stream, &opened)))
    }

    fn start_at(&self, request: &NativeReadRequest) -> millrace::Result<StartAt> {
        let sequence = || {
            let text = request.sequence.as_deref().unwrap_or_default();
            self.stream.parse_sequence_number(text, request.shard)
        };
        match request.kind.as_str() {
            "horizon" => Ok(StartAt::TrimHorizon),
            "latest" => Ok(StartAt::Latest),
            "at" => Ok(StartAt::AtSequence(sequence()?)),
            "after" => Ok(StartAt::AfterSequence(sequence()?)),
            "timestamp" => Ok(StartAt::AtTimestamp(whole(request.timestamp.unwrap_or(f64::NAN))?)),
            other => Err(Error::new(Kind::InvalidArgument, format!("expected a start position, got {other}"))),
        }
    }
}

/// A place in the log as a number that grows along it. Places are multiples of 64, so that a float64 holds them
/// exactly up to segment 2^27.
fn place(position: Position) -> f64 {
    position.pack() as f64
}
