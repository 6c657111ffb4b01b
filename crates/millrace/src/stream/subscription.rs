//! A subscription: what a registered consumer reads of one shard, or of the whole stream, through a pipe of its own.
//!
//! Nothing is queued for a subscription. It is a place in the log, and each call of [`Subscription::next`] is one credit
//! for one event: a consumer that asks rarely falls behind and catches up from the log, and costs nobody memory. Who
//! waits is woken by the log: by its own waker ([`Subscription::poll_next`], for async code), or by a bell that many
//! share ([`Stream::on_change`]).
//!
//! Invariants: a consumer has one subscription of a shard at most: a newer one ends the older one, which hears of it at
//! its next call. An event's continuation names a place behind all records of the events so far, and before all others.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::chunk::Chunk;
use super::reader::{Reader, ReaderOptions, StartAt, Step, Visibility};
use super::{Stream, StreamInner};
use crate::error::{Error, Kind, Result};
use crate::log::notify::{Registration, Trigger, Wake};
use crate::shard::{Shard, ShardId};
use crate::sync::{Mutex, OnceLock};

/// An event comes at least this often, in milliseconds, with or without records (Kinesis: 5 seconds).
const EVENT_EVERY_MS: u64 = 5_000;

/// How to subscribe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The shard, or the whole stream: all shards in the order of the log, so parents before children.
    pub shard: Option<u32>,
    /// Where to start.
    pub from: StartAt,
    /// Which records to see.
    pub visibility: Visibility,
    /// How old a subscription of the same consumer and shard must be to be taken over, in milliseconds: a younger one
    /// stays, and this one is refused. Default: 0. Kinesis: 5,000.
    pub takes_over_after_ms: u64,
}

/// What a consumer is given at a time.
#[derive(Debug)]
pub struct Event {
    /// Records; none where there was nothing new for a while.
    pub records: Option<Chunk>,
    /// A subscription that starts after this sequence goes on behind this event.
    pub continuation: u64,
    /// How far behind the newest record the consumer is, in milliseconds: 0 at the tail.
    pub millis_behind_latest: u64,
    /// At the end of a closed shard, all of whose records came before: what it was split or merged into. No event that
    /// comes later says anything else.
    pub children: Option<Vec<Shard>>,
}

/// What [`Subscription::next`] came upon.
#[derive(Debug)]
pub enum Delivery {
    /// An event.
    Event(Event),
    /// Nothing for now: look again after a change of the stream, and at the latest after this long.
    Wait(Duration),
}

/// A subscription of a registered consumer; made by [`Stream::subscribe`], ended by dropping it.
pub struct Subscription {
    stream: Arc<StreamInner>,
    reader: Reader,
    slot: Arc<Slot>,
    doorbell: Arc<Doorbell>,
    registration: Option<Registration>,
    event_due_ms: u64,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What others know of a subscription.
#[derive(Debug)]
struct Slot {
    consumer: String,
    shard: Option<u32>,
    started_ms: u64,
    // Why it ended, if others ended it.
    ended: OnceLock<(Kind, String)>,
}

/// The subscriptions of a stream that are open.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, Vec<Weak<Slot>>>>);

impl Subscriptions {
    /// Enters a subscription and ends those of the same consumer that it takes over; returns whether there were any.
    fn enter(&self, slot: &Arc<Slot>, takes_over_after_ms: u64) -> Result<bool> {
        let mut open = self.0.lock();
        let slots = open.entry(slot.consumer.clone()).or_default();
        slots.retain(|other| other.strong_count() > 0);
        let overlapping: Vec<_> =
            slots.iter().filter_map(Weak::upgrade).filter(|other| other.is_open() && other.overlaps(slot)).collect();
        let age_ms = |other: &Arc<Slot>| slot.started_ms.saturating_sub(other.started_ms);
        if let Some(young) = overlapping.iter().find(|other| age_ms(other) < takes_over_after_ms) {
            let message = format!(
                "expected a subscription of {young} to be {takes_over_after_ms} ms old before another takes it over, \
                 got one of {} ms; try again later",
                age_ms(young)
            );
            return Err(Error::new(Kind::SubscriptionInUse, message));
        }
        for other in &overlapping {
            other.end(Kind::SubscriptionInUse, format!("a newer subscription of {other} has taken this one over"));
        }
        slots.push(Arc::downgrade(slot));
        Ok(!overlapping.is_empty())
    }

    /// Ends all subscriptions of a consumer that is no more.
    pub fn end_all(&self, consumer: &str) {
        let slots = self.0.lock().remove(consumer).unwrap_or_default();
        for slot in slots.iter().filter_map(Weak::upgrade) {
            slot.end(Kind::ConsumerNotFound, format!("consumer {consumer} was deregistered, and with it {slot}"));
        }
    }
}

impl Slot {
    fn overlaps(&self, other: &Slot) -> bool {
        self.shard.is_none() || other.shard.is_none() || self.shard == other.shard
    }

    fn is_open(&self) -> bool {
        self.ended.get().is_none()
    }

    fn end(&self, kind: Kind, message: String) {
        let _who_came_first_ended_it = self.ended.set((kind, message));
    }

    fn check_open(&self) -> Result<()> {
        match self.ended.get() {
            None => Ok(()),
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.shard {
            Some(shard) => write!(f, "consumer {} to {}", self.consumer, ShardId(shard)),
            None => write!(f, "consumer {} to the whole stream", self.consumer),
        }
    }
}

/// Wakes the task that polls a subscription, once each time that it found nothing.
#[derive(Default)]
struct Doorbell {
    trigger: Trigger,
    waker: Mutex<Option<Waker>>,
}

impl Wake for Doorbell {
    fn wake(&self) {
        if !self.trigger.fires() {
            return;
        }
        let waker = self.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Stream {
    /// Subscribes a registered consumer. An older subscription of the same consumer that has a shard in common ends.
    ///
    /// # Errors
    /// `ConsumerNotFound`, `SubscriptionInUse` (the older one is younger than it must be), `ShardNotFound`,
    /// `InvalidArgument` for a time in the future, `StreamDeleting`, `Closed`.
    ///
    /// ```
    /// use millrace::{Commit, Delivery, Engine, OpenOptions, StagedRecords, StreamConfig, SubscribeOptions, Tags};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let clicks = engine.create_stream("clicks", StreamConfig::default())?;
    /// clicks.register_consumer("billing", Tags::new())?;
    /// let mut subscription = clicks.subscribe("billing", SubscribeOptions::default())?;
    /// let mut staged = StagedRecords::default();
    /// staged.push("user-42", None, b"a click");
    /// clicks.append(staged.as_staged(), None, Commit::Caller)?;
    /// clicks.flush()?;
    /// let Delivery::Event(event) = subscription.next(1_000, 1 << 20)? else { panic!("there is a record") };
    /// assert_eq!(event.records.map(|chunk| chunk.runs.len()), Some(1));
    /// # drop(subscription);
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn subscribe(&self, consumer: &str, options: SubscribeOptions) -> Result<Subscription> {
        let outcome = self.open_subscription(consumer, options);
        self.0.count_subscribing(&outcome);
        outcome
    }

    fn open_subscription(&self, consumer: &str, options: SubscribeOptions) -> Result<Subscription> {
        let SubscribeOptions { shard, from, visibility, takes_over_after_ms } = options;
        let reader = self.reader(ReaderOptions { shard, from, visibility })?;
        let started_ms = self.0.engine.environment.clock.monotonic_ms();
        let slot = Arc::new(Slot { consumer: consumer.to_owned(), shard, started_ms, ended: OnceLock::new() });
        let taken_over = self.0.subscriptions.enter(&slot, takes_over_after_ms)?;
        // Looked at second: whoever deregisters the consumer meanwhile finds the subscription, or is seen here.
        self.consumer(consumer)?;
        if taken_over {
            // Whoever waits for what will not come any more looks again and is told why.
            self.0.wake_all();
        }
        Ok(Subscription {
            stream: Arc::clone(&self.0),
            reader,
            slot,
            doorbell: Arc::default(),
            registration: None,
            event_due_ms: started_ms,
        })
    }
}

impl Subscription {
    /// The next event, with at most so many records and so many bytes unless the first record alone is larger. The first
    /// one comes at once, and later ones at least every 5 seconds, with records or without.
    ///
    /// # Errors
    /// `SubscriptionInUse` once a newer subscription took this one over, `ConsumerNotFound` once the consumer was
    /// deregistered, `Corrupt` at damage, again and again until [`Subscription::skip_damage`], `Closed`,
    /// `StreamDeleting`, `Io`.
    pub fn next(&mut self, records_max: usize, bytes_max: usize) -> Result<Delivery> {
        self.slot.check_open()?;
        let step = self.reader.next_uncounted(records_max, bytes_max)?;
        let now_ms = self.stream.engine.environment.clock.monotonic_ms();
        let (records, children) = match step {
            Step::Chunk(chunk) => (Some(chunk), None),
            Step::EndOfShard(children) => (None, Some(children)),
            Step::AtTail if now_ms >= self.event_due_ms => (None, None),
            Step::AtTail => {
                let wait_ms = self.event_due_ms - now_ms;
                return Ok(Delivery::Wait(self.stream.engine.environment.clock.wait_for(wait_ms)));
            }
        };
        self.event_due_ms = now_ms + EVENT_EVERY_MS;
        let event = Event {
            records,
            continuation: self.reader.passed_sequence().saturating_sub(1),
            millis_behind_latest: self.reader.millis_behind_latest(),
            children,
        };
        self.stream.count_event(&event);
        Ok(Delivery::Event(event))
    }

    /// Like [`Subscription::next`], for async code: where there is nothing, the task's waker is called when there is.
    /// That an event is due without records ([`Subscription::idle`]) is the caller's timer to tell.
    ///
    /// # Errors
    /// As [`Subscription::next`].
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        records_max: usize,
        bytes_max: usize,
    ) -> Poll<Result<Event>> {
        if let Delivery::Event(event) = self.next(records_max, bytes_max)? {
            return Poll::Ready(Ok(event));
        }
        let Subscription { stream, reader, doorbell, .. } = self;
        let change = Stream(Arc::clone(stream)).change_of(reader.visibility());
        self.registration.get_or_insert_with(|| stream.log.notifier().register(change, Arc::clone(doorbell) as _));
        *doorbell.waker.lock() = Some(context.waker().clone());
        // Armed first and looked at second, so that no change falls in between.
        doorbell.trigger.arm();
        match self.next(records_max, bytes_max)? {
            Delivery::Event(event) => Poll::Ready(Ok(event)),
            Delivery::Wait(_) => Poll::Pending,
        }
    }

    /// The reader below: where the subscription stands.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// How long it may be until an event is due without records.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let clock = &self.stream.engine.environment.clock;
        clock.wait_for(self.event_due_ms.saturating_sub(clock.monotonic_ms()))
    }

    /// Goes on behind the damage at which [`Subscription::next`] stopped.
    ///
    /// # Errors
    /// `Io` where the segment cannot be read.
    pub fn skip_damage(&mut self) -> Result<()> {
        self.reader.skip_damage()
    }
}
