//! A registered consumer has a pipe of its own: it sees each record once and in order, falls behind at nobody's cost,
//! and goes on behind the last event that it noted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use millrace::clock::ManualClock;
use millrace::limits::{LimitPolicy, ShardLimits};
use millrace::{
    Delivery, Durability, Engine, Event, Kind, Result, StartAt, Stream, StreamConfig, SubscribeOptions, Subscription,
    Tags,
};
use tempfile::TempDir;

use crate::support::{Record, START_MS, append, directory, open, unpack};

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
}

impl World {
    fn new(config: StreamConfig) -> World {
        let clock = Arc::new(ManualClock::new(START_MS));
        let directory = directory();
        let engine = open(directory.path(), &clock);
        let stream = engine.create_stream("clicks", config).expect("a stream");
        World { directory, clock, engine, stream }
    }

    fn registered(config: StreamConfig) -> World {
        let world = World::new(config);
        world.stream.register_consumer("ads", Tags::new()).expect("registered");
        world
    }

    /// Appends records, named by number, and makes them durable.
    fn put(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let data = number.to_string();
            append(&self.stream, &[(&format!("key {}", number % 50), data.as_bytes())]).expect("appended");
        }
        self.stream.flush().expect("flushed");
    }

    fn subscribe(&self, options: SubscribeOptions) -> Subscription {
        self.stream.subscribe("ads", options).expect("subscribed")
    }
}

fn os() -> StreamConfig {
    StreamConfig { durability: Durability::Os, ..StreamConfig::default() }
}

fn from(from: StartAt) -> SubscribeOptions {
    SubscribeOptions { from, ..SubscribeOptions::default() }
}

fn event(subscription: &mut Subscription, records_max: usize) -> Option<Event> {
    match subscription.next(records_max, 1 << 20).expect("an open subscription") {
        Delivery::Event(event) => Some(event),
        Delivery::Wait(_) => None,
    }
}

fn records_of(event: &Event) -> Vec<Record> {
    let mut records = Vec::new();
    event.records.iter().for_each(|chunk| unpack(chunk, &mut records));
    records
}

fn numbers(records: &[Record]) -> Vec<usize> {
    records.iter().map(|record| String::from_utf8_lossy(&record.data).parse().expect("a number")).collect()
}

/// Takes all events up to the tail; returns the numbers of the records and the last continuation.
fn drain(subscription: &mut Subscription, records_max: usize) -> (Vec<usize>, u64) {
    let (mut seen, mut continuation) = (Vec::new(), 0);
    while let Some(event) = event(subscription, records_max) {
        seen.extend(numbers(&records_of(&event)));
        continuation = event.continuation;
    }
    (seen, continuation)
}

fn refusal<T>(result: Result<T>) -> Kind {
    result.map(drop).expect_err("refused").kind()
}

#[test]
fn consumers_are_found_over_a_reopening_and_a_crash() {
    let world = World::registered(os());
    let tags = Tags::from([("team".to_owned(), "ads".to_owned())]);
    world.stream.register_consumer("audit", tags.clone()).expect("registered");
    world.clock.advance_ms(5_000);
    let late = world.stream.register_consumer("late", Tags::new()).expect("registered");
    assert_eq!(late.created_ms, START_MS + 5_000);
    assert_eq!(refusal(world.stream.register_consumer("ads", Tags::new())), Kind::ConsumerExists);
    assert_eq!(refusal(world.stream.subscribe("nobody", SubscribeOptions::default())), Kind::ConsumerNotFound);
    world.stream.deregister_consumer("late").expect("deregistered");
    // The process died: nothing is closed.
    let copied = directory();
    crate::support::copy_tree(world.directory.path(), copied.path());
    for path in [copied.path(), world.directory.path()] {
        world.engine.close().expect("closed");
        let engine = open(path, &world.clock);
        let consumers = engine.stream("clicks").expect("the stream").consumers().expect("a list");
        let names: Vec<_> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
        assert_eq!(names, ["ads", "audit"]);
        assert_eq!(consumers[1].tags, tags);
        engine.close().expect("closed");
    }
}

#[test]
fn a_subscription_sees_each_record_once_and_goes_on_behind_any_event() {
    for shard in [None, Some(0), Some(1)] {
        let world = World::registered(StreamConfig { shards: 2, ..os() });
        world.put(0..400);
        let wanted = SubscribeOptions { shard, ..from(StartAt::TrimHorizon) };
        let (all, _) = drain(&mut world.subscribe(wanted), 1_000);
        assert!(all.len() > 50 && all.is_sorted());
        // Each event is taken by a subscription of its own, which goes on behind the one before.
        let (mut seen, mut at) = (Vec::new(), StartAt::TrimHorizon);
        for records_max in (1..=9).cycle() {
            let event = event(&mut world.subscribe(SubscribeOptions { shard, ..from(at) }), records_max);
            let event = event.expect("the first event comes at once");
            at = StartAt::AfterSequence(event.continuation);
            let records = records_of(&event);
            if records.is_empty() {
                break;
            }
            seen.extend(numbers(&records));
        }
        assert_eq!(seen, all, "shard {shard:?}");
    }
}

#[test]
fn a_continuation_moves_on_over_what_other_shards_got() {
    let world = World::registered(StreamConfig { shards: 2, ..os() });
    let mut quiet = world.subscribe(SubscribeOptions { shard: Some(1), ..from(StartAt::Latest) });
    let first = event(&mut quiet, 10).expect("the first event comes at once");
    let hash_of_shard_0 = Some(0_u128);
    let mut staged = millrace::StagedRecords::default();
    (0..50).for_each(|_| staged.push("key", hash_of_shard_0, b"0"));
    world.stream.append(staged.as_staged(), None, millrace::Commit::Caller).expect("appended");
    assert!(event(&mut quiet, 10).is_none(), "there is nothing for it");
    world.clock.advance_ms(5_000);
    let later = event(&mut quiet, 10).expect("one is due after five seconds");
    assert!(later.records.is_none() && later.millis_behind_latest == 0);
    assert_eq!(later.continuation, first.continuation + 50);
    assert!(event(&mut quiet, 10).is_none());
}

#[test]
fn what_arrives_while_one_subscribes_at_the_latest_is_seen_or_lies_before_the_continuation() {
    for durability in [Durability::Os, Durability::Synced] {
        let world = World::registered(StreamConfig { durability, ..StreamConfig::default() });
        world.put(0..10);
        append(&world.stream, &[("key", b"10")]).expect("appended, and not synced");
        let mut subscription = world.subscribe(from(StartAt::Latest));
        let first = event(&mut subscription, 10).expect("the first event comes at once");
        world.put(11..13);
        let (seen, _) = drain(&mut subscription, 10);
        let (again, _) = drain(&mut world.subscribe(from(StartAt::AfterSequence(first.continuation))), 10);
        assert_eq!(seen, again);
        assert_eq!(seen, if durability == Durability::Os { vec![11, 12] } else { vec![10, 11, 12] });
    }
}

#[test]
fn a_subscription_from_a_time_can_be_gone_on_with_before_it_has_seen_anything() {
    let world = World::registered(os());
    world.put(0..5);
    world.clock.advance_ms(1_000);
    let now = from(StartAt::AtTimestamp(START_MS + 500));
    let first = event(&mut world.subscribe(now), 10).expect("the first event comes at once");
    assert!(first.records.is_none());
    world.put(5..8);
    let (seen, _) = drain(&mut world.subscribe(from(StartAt::AfterSequence(first.continuation))), 10);
    assert_eq!(seen, [5, 6, 7]);
    let (seen, _) = drain(&mut world.subscribe(now), 10);
    assert_eq!(seen, [5, 6, 7]);
}

#[test]
fn a_newer_subscription_ends_the_older_one_of_the_same_shard_and_no_other() {
    let world = World::registered(StreamConfig { shards: 2, ..os() });
    world.stream.register_consumer("audit", Tags::new()).expect("registered");
    let of = |shard| SubscribeOptions { shard, ..from(StartAt::TrimHorizon) };
    let (mut first, mut other) = (world.subscribe(of(Some(0))), world.subscribe(of(Some(1))));
    let mut audit = world.stream.subscribe("audit", of(Some(0))).expect("subscribed");
    let mut second = world.subscribe(of(Some(0)));
    let error = first.next(10, 100).expect_err("it was taken over");
    assert_eq!(error.kind(), Kind::SubscriptionInUse);
    assert!(error.message().contains("consumer ads to shardId-000000000000"), "{error}");
    for subscription in [&mut other, &mut audit, &mut second] {
        assert!(event(subscription, 10).is_some());
    }
    let mut whole = world.subscribe(of(None));
    for subscription in [&mut other, &mut second] {
        assert_eq!(refusal(subscription.next(10, 100)), Kind::SubscriptionInUse);
    }
    assert!(event(&mut audit, 10).is_some() || event(&mut whole, 10).is_some());
}

#[test]
fn a_subscription_that_is_too_young_is_not_taken_over_and_one_that_was_dropped_is_no_hindrance() {
    let world = World::registered(os());
    let patient = SubscribeOptions { takes_over_after_ms: 5_000, ..from(StartAt::TrimHorizon) };
    let mut first = world.subscribe(patient);
    world.clock.advance_ms(4_999);
    let error = world.stream.subscribe("ads", patient).expect_err("it is too young");
    assert_eq!(error.kind(), Kind::SubscriptionInUse);
    assert!(event(&mut first, 10).is_some(), "it goes on");
    world.clock.advance_ms(1);
    let second = world.subscribe(patient);
    assert_eq!(refusal(first.next(10, 100)), Kind::SubscriptionInUse);
    drop(second);
    world.subscribe(patient);
}

#[test]
fn a_consumer_that_is_deregistered_is_told_and_so_is_one_whose_stream_or_store_goes() {
    let world = World::registered(os());
    let mut subscription = world.subscribe(from(StartAt::Latest));
    world.stream.deregister_consumer("ads").expect("deregistered");
    assert_eq!(refusal(subscription.next(10, 100)), Kind::ConsumerNotFound);
    world.stream.register_consumer("ads", Tags::new()).expect("its name is free");
    assert_eq!(refusal(subscription.next(10, 100)), Kind::ConsumerNotFound, "it is not that consumer's");
    let mut subscription = world.subscribe(from(StartAt::Latest));
    world.engine.delete_stream("clicks").expect("deleted");
    assert_eq!(refusal(subscription.next(10, 100)), Kind::StreamDeleting);
    assert_eq!(refusal(world.stream.subscribe("ads", SubscribeOptions::default())), Kind::StreamDeleting);
    world.engine.close().expect("closed");
    assert_eq!(refusal(world.stream.consumers()), Kind::StreamDeleting);
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_polls_is_woken_once_for_what_it_found_missing() {
    let world = World::registered(os());
    let mut subscription = world.subscribe(from(StartAt::Latest));
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut context = Context::from_waker(&waker);
    let mut poll = || match subscription.poll_next(&mut context, 10, 1 << 20) {
        Poll::Ready(event) => Some(event.map(|event| numbers(&records_of(&event)))),
        Poll::Pending => None,
    };
    assert!(poll().expect("the first event").expect("open").is_empty());
    world.put(0..1);
    assert_eq!(counter.0.load(Ordering::SeqCst), 0, "nobody waited");
    assert_eq!(poll().expect("a record").expect("open"), [0]);
    assert!(poll().is_none());
    world.put(1..4);
    assert_eq!(counter.0.load(Ordering::SeqCst), 1, "three appends, one task");
    assert_eq!(poll().expect("records").expect("open"), [1, 2, 3]);
    assert!(poll().is_none());
    let _newer = world.subscribe(from(StartAt::Latest));
    assert_eq!(counter.0.load(Ordering::SeqCst), 2, "who was taken over is woken");
    assert_eq!(poll().expect("an end").map_err(|error| error.kind()), Err(Kind::SubscriptionInUse));
}

#[test]
fn a_slow_consumer_catches_up_from_the_log_while_fifty_others_keep_up() {
    let world = World::registered(os());
    let names: Vec<String> = (0..50).map(|index| format!("consumer-{index}")).collect();
    let mut quick: Vec<Subscription> = names
        .iter()
        .map(|name| {
            world.stream.register_consumer(name, Tags::new()).expect("registered");
            world.stream.subscribe(name, from(StartAt::Latest)).expect("subscribed")
        })
        .collect();
    let mut slow = world.subscribe(from(StartAt::Latest));
    let mut seen = vec![0; quick.len()];
    for round in 0..40 {
        world.put(round * 100..round * 100 + 100);
        for (subscription, seen) in quick.iter_mut().zip(&mut seen) {
            let (numbers, _) = drain(subscription, 64);
            assert!(numbers.iter().copied().eq(*seen..*seen + 100));
            *seen += numbers.len();
        }
    }
    let first = event(&mut slow, 1).expect("there are 4,000 records");
    world.clock.advance_ms(250);
    assert_eq!(numbers(&records_of(&first)), [0]);
    let second = event(&mut slow, 1).expect("more");
    assert_eq!(second.millis_behind_latest, 250);
    assert_eq!(drain(&mut slow, 1_000).0.len(), 3_998);
}

#[test]
fn a_consumer_is_pushed_a_shard_no_faster_than_the_limits_say_and_no_other_waits_for_it() {
    const RATE: u64 = 2 << 20;
    let fan_out = ShardLimits { fan_out_bytes_per_second: Some(RATE), ..ShardLimits::default() };
    let world = World::registered(StreamConfig { limits: LimitPolicy::Custom(fan_out), ..os() });
    world.stream.register_consumer("audit", Tags::new()).expect("registered");
    let data = vec![b'7'; 1_021];
    let records: Vec<_> = (0..6 << 10).map(|_| ("key", &data[..])).collect();
    append(&world.stream, &records).expect("appended");
    let mut subscription = world.subscribe(from(StartAt::TrimHorizon));
    let mut audit = world.stream.subscribe("audit", from(StartAt::TrimHorizon)).expect("subscribed");
    let (mut pushed, mut waited_ms) = (0_u64, 0_u64);
    while pushed < 6 << 20 {
        match subscription.next(10_000, 256 << 10).expect("open") {
            Delivery::Event(event) => pushed += records_of(&event).len() as u64 * 1_024,
            Delivery::Wait(wait) => {
                let wait_ms = u64::try_from(wait.as_millis()).expect("short");
                world.clock.advance_ms(wait_ms);
                waited_ms += wait_ms;
            }
        }
        assert!(pushed <= RATE + (256 << 10) + RATE * waited_ms / 1_000, "{pushed} bytes in {waited_ms} ms");
    }
    assert!((1_700..=2_100).contains(&waited_ms), "{waited_ms} ms for the 4 MiB beyond the first second's worth");
    assert!(event(&mut audit, 10_000).is_some(), "a consumer's pace is its own");
}
