//! Who delivers: one thread a store, one object at a time, so that all channels together hold no more than one in memory.
//!
//! A channel is idle, and a change of its stream wakes the courier; or records wait, and it is looked at again when they
//! are old enough, and once a second because they may have become an object's worth before. What fails is tried again,
//! after a second first, then after twice as long each time, up to a minute. No appender waits for any of this.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::batch::{Batch, Packed, Record};
use super::destination::{Destination, Object};
use super::template::Values;
use crate::clock::Clock;
use crate::control::{Bucket, ChannelDelivered, ChannelEntry, Compression, RecordFormat};
use crate::engine::Inner;
use crate::environment::Services;
use crate::error::{Error, Kind, Result};
use crate::format::record::Records;
use crate::log::notify::{Registration, Trigger, Wake};
use crate::service::{join, spawn};
use crate::stream::Stream;
use crate::stream::chunk::Chunk;
use crate::stream::reader::{Reader, ReaderOptions, StartAt, Step, Visibility};
use crate::sync::thread::JoinHandle;
use crate::sync::{Condvar, Mutex};

/// An object takes no more records once it has so many bytes of them, before they are compressed.
pub(crate) const OBJECT_BYTES: usize = 16 << 20;
/// How many records are taken from the log at a time.
const RECORDS_AT_ONCE: usize = 10_000;
/// How often records that wait are counted, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;
/// How long after a first failure it is tried again, and the longest that it rests, in milliseconds.
const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 60_000;

const LINES_OF_JSON: &str = "application/x-ndjson";

/// Why a channel does not deliver at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// What went wrong last.
    pub message: String,
    /// How often in a row.
    pub attempts: u32,
    /// When it began to, by the wall clock in milliseconds since 1970.
    pub since_ms: u64,
    retry_at_ms: u64,
}

/// What a channel has delivered since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Objects, those with dead letters too.
    pub objects: u64,
    /// Their bytes, as they were stored.
    pub bytes: u64,
    /// Records in objects.
    pub records: u64,
    /// Records in objects of dead letters.
    pub dead_letters: u64,
}

impl Deliveries {
    fn of(packed: &Packed) -> Deliveries {
        let objects = [&packed.body, &packed.dead_letters].into_iter().flatten();
        Deliveries {
            objects: objects.clone().count() as u64,
            bytes: objects.map(|bytes| bytes.len() as u64).sum(),
            records: packed.records,
            dead_letters: packed.buried,
        }
    }

    fn add(&mut self, more: Deliveries) {
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.records += more.records;
        self.dead_letters += more.dead_letters;
    }
}

/// What the courier and those who ring for it share.
#[derive(Default)]
struct Bell {
    slate: Mutex<Slate>,
    changed: Condvar,
}

#[derive(Default)]
struct Slate {
    rung: bool,
    stop: bool,
    destination: Option<Arc<dyn Destination>>,
    failures: BTreeMap<u64, DeliveryFailure>,
    deliveries: BTreeMap<u64, Deliveries>,
}

impl Bell {
    fn ring(&self) {
        self.slate.lock().rung = true;
        self.changed.notify_one();
    }

    fn stops(&self) -> bool {
        self.slate.lock().stop
    }
}

/// Rings once when a stream that was idle changes.
struct Watch {
    trigger: Trigger,
    bell: Arc<Bell>,
}

impl Wake for Watch {
    fn wake(&self) {
        if self.trigger.fires() {
            self.bell.ring();
        }
    }
}

/// How old a channel's first record was when it was first seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    delivered: u64,
    age_ms: u64,
    at_ms: u64,
}

/// What the courier remembers from round to round.
#[derive(Default)]
struct Memory {
    seen: BTreeMap<u64, Seen>,
    watches: BTreeMap<u64, (Arc<Watch>, Registration)>,
}

/// What came of looking at a channel.
enum Attended {
    /// Records were delivered.
    Delivered(Deliveries),
    /// There is something to do at this time of the monotonic clock.
    At(u64),
    /// Nothing waits.
    Idle,
}

/// What came of looking at all of them.
#[derive(Default)]
struct Round {
    delivered: usize,
    next_ms: Option<u64>,
}

/// Delivers for all channels of a store.
pub(crate) struct Courier {
    bell: Arc<Bell>,
    memory: Arc<Mutex<Memory>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Courier {
    fn default() -> Courier {
        Courier { bell: Arc::default(), memory: Arc::default(), thread: Mutex::new(None) }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Courier {
    /// Delivers there from now on. What failed elsewhere is tried at once.
    pub fn deliver_to(&self, inner: &Arc<Inner>, destination: Arc<dyn Destination>) -> Result<()> {
        {
            let mut slate = self.bell.slate.lock();
            slate.destination = Some(destination);
            slate.failures.clear();
        }
        self.start(inner)
    }

    /// Delivers there from now on, unless it delivers somewhere already.
    pub fn deliver_by_default(&self, inner: &Arc<Inner>, destination: Arc<dyn Destination>) -> Result<()> {
        self.bell.slate.lock().destination.get_or_insert(destination);
        self.start(inner)
    }

    /// Whether it was told where to deliver to.
    pub fn delivers(&self) -> bool {
        self.bell.slate.lock().destination.is_some()
    }

    fn start(&self, inner: &Arc<Inner>) -> Result<()> {
        self.bell.ring();
        let mut thread = self.thread.lock();
        if thread.is_none() && inner.environment.services == Services::Threads {
            let (bell, memory) = (Arc::clone(&self.bell), Arc::clone(&self.memory));
            let (weak, clock) = (Arc::downgrade(inner), Arc::clone(&inner.environment.clock));
            let work = move || run(&bell, &memory, &weak, &*clock);
            *thread = spawn(inner.environment.services, "millrace-courier", work)?;
        }
        Ok(())
    }

    /// A channel came, went or was changed.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Why a channel does not deliver, if it does not.
    pub fn failure(&self, channel: u64) -> Option<DeliveryFailure> {
        self.bell.slate.lock().failures.get(&channel).cloned()
    }

    /// What a channel has delivered.
    pub fn deliveries(&self, channel: u64) -> Deliveries {
        self.bell.slate.lock().deliveries.get(&channel).copied().unwrap_or_default()
    }

    /// Delivers all that is due by now; returns how many objects that were.
    pub fn serve(&self, inner: &Arc<Inner>) -> usize {
        let mut memory = self.memory.lock();
        let rounds = std::iter::repeat_with(|| memory.round(&self.bell, inner).delivered);
        rounds.take_while(|delivered| *delivered > 0).sum()
    }

    /// Ends the thread after the object that it is at.
    pub fn stop(&self) {
        self.bell.slate.lock().stop = true;
        self.bell.changed.notify_one();
        join(&self.thread);
    }
}

fn run(bell: &Arc<Bell>, memory: &Mutex<Memory>, inner: &Weak<Inner>, clock: &dyn Clock) {
    loop {
        let Some(engine) = inner.upgrade() else { return };
        let round = memory.lock().round(bell, &engine);
        drop(engine);
        let mut slate = bell.slate.lock();
        while !slate.stop && !slate.rung && round.delivered == 0 {
            let now_ms = clock.monotonic_ms();
            match round.next_ms {
                Some(at_ms) if at_ms <= now_ms => break,
                Some(at_ms) => {
                    bell.changed.wait_for(&mut slate, clock.wait_for(at_ms - now_ms));
                }
                None => bell.changed.wait(&mut slate),
            }
        }
        if slate.stop {
            return;
        }
        slate.rung = false;
    }
}

impl Memory {
    /// Looks at each channel once, and delivers at most one object for each.
    fn round(&mut self, bell: &Arc<Bell>, inner: &Arc<Inner>) -> Round {
        let Some(destination) = bell.slate.lock().destination.clone() else { return Round::default() };
        let channels = inner.channels();
        self.forget_others(bell, &channels);
        let mut round = Round::default();
        for (stream, channel) in &channels {
            if bell.stops() {
                break;
            }
            let clock = &inner.environment.clock;
            match self.attend(bell, inner, &*destination, *stream, channel) {
                Ok(Attended::Delivered(deliveries)) => {
                    bell.slate.lock().succeed(channel.id, deliveries);
                    round.delivered += 1;
                }
                Ok(Attended::At(at_ms)) => round.next_ms = Some(round.next_ms.map_or(at_ms, |next| next.min(at_ms))),
                Ok(Attended::Idle) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    let at_ms = bell.slate.lock().fail(channel.id, &error, &**clock);
                    round.next_ms = Some(round.next_ms.map_or(at_ms, |next| next.min(at_ms)));
                }
            }
        }
        round
    }

    fn forget_others(&mut self, bell: &Bell, channels: &[(u64, ChannelEntry)]) {
        let is_there = |id: &u64| channels.iter().any(|(_, channel)| channel.id == *id);
        self.seen.retain(|id, _| is_there(id));
        self.watches.retain(|id, _| channels.iter().any(|(stream, _)| stream == id));
        let mut slate = bell.slate.lock();
        slate.failures.retain(|id, _| is_there(id));
        slate.deliveries.retain(|id, _| is_there(id));
    }

    fn attend(
        &mut self,
        bell: &Arc<Bell>,
        inner: &Arc<Inner>,
        destination: &dyn Destination,
        stream: u64,
        channel: &ChannelEntry,
    ) -> Result<Attended> {
        let now_ms = inner.environment.clock.monotonic_ms();
        let retry_at_ms = bell.slate.lock().failures.get(&channel.id).map(|failure| failure.retry_at_ms);
        if let Some(at_ms) = retry_at_ms.filter(|at_ms| *at_ms > now_ms) {
            return Ok(Attended::At(at_ms));
        }
        let stream = inner.open_stream(stream)?;
        let mut due_ms = self.due_ms(&stream, channel, now_ms)?;
        if due_ms.is_none() {
            self.watch(bell, &stream).trigger.arm();
            due_ms = self.due_ms(&stream, channel, now_ms)?;
        }
        match due_ms {
            None => Ok(Attended::Idle),
            Some(due_ms) if due_ms > now_ms => Ok(Attended::At(due_ms.min(now_ms + LOOK_EVERY_MS))),
            Some(_) => {
                let delivered = deliver(inner, destination, &stream, channel)?;
                Ok(delivered.map_or(Attended::At(now_ms + LOOK_EVERY_MS), Attended::Delivered))
            }
        }
    }

    fn watch(&mut self, bell: &Arc<Bell>, stream: &Stream) -> &Watch {
        let (watch, _) = self.watches.entry(stream.0.id).or_insert_with(|| {
            let watch = Arc::new(Watch { trigger: Trigger::default(), bell: Arc::clone(bell) });
            let waiter: Arc<dyn Wake> = Arc::clone(&watch) as _;
            let registration = stream.on_change(stream.change_of(Visibility::Durable), waiter);
            (watch, registration)
        });
        watch
    }

    /// When the next object of a channel is due, by the monotonic clock; `None` where nothing waits.
    fn due_ms(&mut self, stream: &Stream, channel: &ChannelEntry, now_ms: u64) -> Result<Option<u64>> {
        let Some((arrival_ms, bytes)) = stream.0.waiting(channel.delivered)? else { return Ok(None) };
        if bytes >= OBJECT_BYTES as u64 {
            return Ok(Some(now_ms));
        }
        // By how long it was seen to wait, not by the wall clock, which may be set back meanwhile.
        let wall_ms = stream.0.engine.environment.clock.wall_ms();
        let age_ms = wall_ms.saturating_sub(arrival_ms);
        let first = Seen { delivered: channel.delivered, age_ms, at_ms: now_ms };
        let seen = self.seen.entry(channel.id).or_insert(first);
        if seen.delivered != channel.delivered {
            *seen = first;
        }
        let freshness_ms = u64::from(channel.config.freshness_s) * 1_000;
        Ok(Some(seen.at_ms + freshness_ms.saturating_sub(seen.age_ms)))
    }
}

impl Slate {
    fn succeed(&mut self, channel: u64, deliveries: Deliveries) {
        self.failures.remove(&channel);
        self.deliveries.entry(channel).or_default().add(deliveries);
    }

    /// Notes a failure; returns when it is to be tried again.
    fn fail(&mut self, channel: u64, error: &Error, clock: &dyn Clock) -> u64 {
        let new = || DeliveryFailure { message: String::new(), attempts: 0, since_ms: clock.wall_ms(), retry_at_ms: 0 };
        let failure = self.failures.entry(channel).or_insert_with(new);
        let rest_ms = (RETRY_MS << failure.attempts.min(6)).min(RETRY_MS_MAX);
        failure.attempts = failure.attempts.saturating_add(1);
        error.message().clone_into(&mut failure.message);
        failure.retry_at_ms = clock.monotonic_ms() + rest_ms;
        failure.retry_at_ms
    }
}

/// Whether the channel, its stream or the engine went away meanwhile.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::ChannelNotFound | Kind::StreamNotFound | Kind::StreamDeleting | Kind::Closed)
}

/// Delivers the next object of a channel: written first, then noted. `None` where there was nothing to deliver.
fn deliver(
    inner: &Inner,
    destination: &dyn Destination,
    stream: &Stream,
    channel: &ChannelEntry,
) -> Result<Option<Deliveries>> {
    // An object whose note is in doubt stays as it is: where the next open finds the note, what came later is in another.
    inner.takes_notes()?;
    let from = StartAt::AtSequence(channel.delivered);
    let mut reader = stream.reader(ReaderOptions { shard: None, from, visibility: Visibility::Durable })?;
    if stream.0.horizon_sequence() > channel.delivered {
        inner.warn(format!(
            "channel {}: records of stream {} from sequence {} on have expired before they were delivered, if there were any",
            channel.name,
            stream.name(),
            channel.delivered
        ));
    }
    let mut batch = Batch::new(channel.config.format, channel.config.compression);
    fill(&mut batch, &mut reader, stream)?;
    let sequence = reader.passed_sequence();
    if sequence <= channel.delivered {
        return Ok(None);
    }
    let mut deliveries = Deliveries::default();
    if !batch.is_empty() {
        let packed = batch.pack();
        put(destination, stream, channel, &inner.store_id()?, &packed)?;
        deliveries = Deliveries::of(&packed);
    }
    inner.command(&ChannelDelivered { id: stream.0.id, channel_id: channel.id, sequence }.into())?;
    Ok(Some(deliveries))
}

/// Reads on until the batch is full, or there is nothing more.
fn fill(batch: &mut Batch, reader: &mut Reader, stream: &Stream) -> Result<()> {
    while batch.raw_bytes() < OBJECT_BYTES {
        match reader.next_uncounted(RECORDS_AT_ONCE, OBJECT_BYTES - batch.raw_bytes()) {
            Ok(Step::Chunk(chunk)) => take(batch, &chunk, stream)?,
            Ok(Step::AtTail | Step::EndOfShard(_)) => break,
            // What stands before the damage is delivered, then the damage is told.
            Err(error) if error.kind() == Kind::Corrupt && !batch.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take(batch: &mut Batch, chunk: &Chunk, stream: &Stream) -> Result<()> {
    for run in &chunk.runs {
        let payload = chunk.payload(run)?;
        if !Records::are_all_of(payload, run.records) {
            let message = format!(
                "stream {}: expected {} records from sequence {} on, got bytes that are none",
                stream.name(),
                run.records,
                run.first_sequence
            );
            return Err(Error::new(Kind::Corrupt, message));
        }
        for (sequence, record) in (run.first_sequence..).zip(Records::new(payload)) {
            let sequence_number = || stream.sequence_number(run.shard, sequence);
            batch.push(Record {
                sequence_number: &sequence_number,
                key: record.key,
                data: record.data,
                arrival_ms: run.arrival_ms,
            });
        }
    }
    Ok(())
}

/// Writes the object and the dead letters of a batch.
fn put(
    destination: &dyn Destination,
    stream: &Stream,
    channel: &ChannelEntry,
    store: &str,
    packed: &Packed,
) -> Result<()> {
    let config = &channel.config;
    let (name, sequence, arrival_ms) = (&channel.name, channel.delivered, packed.first_arrival_ms);
    let values = Values { stream: stream.name(), channel: name, sequence, arrival_ms };
    // No other object of any store has this name, and one that is delivered again has it again.
    let file = format!("{name}-{store}-{:x}-{sequence:020}", channel.id);
    let object = |bucket: &Bucket, key: &str, body: &[u8], content_type: &'static str| {
        let (bucket, bucket_owner) = (bucket.name.as_str(), bucket.owner.as_deref());
        let (encryption_key, storage_class) = (config.encryption_key.as_deref(), config.storage_class);
        destination.put(&Object { bucket, bucket_owner, key, body, content_type, encryption_key, storage_class })
    };
    if let Some(letters) = &packed.dead_letters {
        let key = format!("{}{file}.jsonl", config.dead_letter_keys()?.fill(&values));
        object(&config.dead_letters, &key, letters, LINES_OF_JSON)?;
    }
    let Some(body) = &packed.body else { return Ok(()) };
    let (extension, content_type) = match config.format {
        RecordFormat::Json => ("jsonl", LINES_OF_JSON),
        RecordFormat::Text => ("txt", "text/plain; charset=utf-8"),
        RecordFormat::Bytes => ("bin", "application/octet-stream"),
    };
    let key = format!("{}{file}.{extension}", config.keys()?.fill(&values));
    match config.compression {
        Compression::None => object(&config.bucket, &key, body, content_type),
        Compression::Gzip => object(&config.bucket, &format!("{key}.gz"), body, "application/gzip"),
    }
}
