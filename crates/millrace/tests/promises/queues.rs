//! A queue hands out each record of its stream until it is acknowledged, over crashes, expiry and damage.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::clock::ManualClock;
use millrace::{
    Commit, DeadLetters, Durability, Engine, Environment, Kind, Lane, Message, Queue, QueueConfig, QueueMetrics,
    QueueOptions, QueueStart, Receive, Result, Retention, Stream, StreamConfig, Tags, Wake, verify,
};
use tempfile::TempDir;

use crate::support::{HOUR_MS, START_MS, append, copy_tree, directory, open};

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
    queue: Queue,
}

impl World {
    fn new() -> World {
        World::with(Durability::Os, QueueOptions::default())
    }

    fn with(durability: Durability, options: QueueOptions) -> World {
        let clock = Arc::new(ManualClock::new(START_MS));
        let directory = directory();
        let engine = open(directory.path(), &clock);
        let config = StreamConfig { shards: 2, durability, ..StreamConfig::default() };
        let stream = engine.create_stream("orders", config).expect("a stream");
        let queue = stream.create_queue("work", options).expect("a queue");
        World { directory, clock, engine, stream, queue }
    }

    fn put(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            append(&self.stream, &[(&format!("key {number}"), number.to_string().as_bytes())]).expect("appended");
        }
        self.stream.flush().expect("flushed");
    }

    /// The store as a process leaves it that dies now, opened again.
    fn crash(self) -> World {
        let copied = directory();
        copy_tree(self.directory.path(), copied.path());
        self.engine.close().expect("closed");
        self.open_again(copied)
    }

    fn reopen(self) -> World {
        self.engine.close().expect("closed");
        let World { directory, clock, .. } = self;
        World::opened(directory, clock)
    }

    fn open_again(self, directory: TempDir) -> World {
        World::opened(directory, self.clock)
    }

    fn opened(directory: TempDir, clock: Arc<ManualClock>) -> World {
        let engine = open(directory.path(), &clock);
        let stream = engine.stream("orders").expect("the stream");
        let queue = stream.queue("work").expect("the queue");
        World { directory, clock, engine, stream, queue }
    }

    fn receive(&self) -> Vec<Message> {
        self.queue.receive(Receive::default()).expect("received").messages
    }

    fn dead(&self) -> Vec<Message> {
        self.queue.receive(Receive { lane: Lane::DeadLetters, ..Receive::default() }).expect("received").messages
    }

    /// Receives all that is visible.
    fn receive_all(&self) -> Vec<Message> {
        std::iter::from_fn(|| Some(self.receive()).filter(|messages| !messages.is_empty())).flatten().collect()
    }

    fn acknowledge(&self, messages: &[Message]) -> Vec<Result<()>> {
        let settled = self.queue.acknowledge(&receipts(messages), Commit::Caller).expect("settled");
        self.queue.wait_acknowledged(settled.end).expect("durable");
        settled.results
    }

    fn metrics(&self) -> (u64, u64, u64, u64) {
        let QueueMetrics { visible, in_flight, dead_visible, dead_in_flight } = self.queue.metrics().expect("counted");
        (visible, in_flight, dead_visible, dead_in_flight)
    }
}

fn receipts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.receipt.as_str()).collect()
}

fn numbers(messages: &[Message]) -> Vec<usize> {
    let number = |message: &Message| String::from_utf8_lossy(message.data().expect("mapped")).parse();
    messages.iter().map(|message| number(message).expect("a number")).collect()
}

fn kinds(results: Vec<Result<()>>) -> Vec<Option<Kind>> {
    results.into_iter().map(|result| result.err().map(|error| error.kind())).collect()
}

fn from_horizon() -> QueueOptions {
    QueueOptions { start: QueueStart::TrimHorizon, ..QueueOptions::default() }
}

fn dying_after(max_receive_count: u32) -> QueueOptions {
    let dead_letters = DeadLetters::BuiltIn { max_receive_count };
    QueueOptions { config: QueueConfig { dead_letters, ..QueueConfig::default() }, ..QueueOptions::default() }
}

#[test]
fn a_record_is_handed_out_until_it_is_acknowledged() {
    let world = World::new();
    world.put(0..25);
    let first = world.receive();
    assert_eq!(numbers(&first), (0..10).collect::<Vec<_>>());
    assert_eq!((first[3].key().expect("mapped"), first[3].receive_count), (&b"key 3"[..], 1));
    assert_eq!((first[3].arrival_ms(), first[3].first_received_ms), (START_MS, START_MS));
    assert_eq!(world.metrics(), (15, 10, 0, 0));
    assert_eq!(numbers(&world.receive_all()), (10..25).collect::<Vec<_>>());
    assert!(world.acknowledge(&first[..5]).iter().all(Result::is_ok));
    let nothing = world.queue.receive(Receive::default()).expect("received");
    assert!(nothing.messages.is_empty());
    assert_eq!(nothing.look_again.map(|wait| wait.as_millis()), Some(30_000));
    world.clock.advance_ms(30_000);
    let again = world.receive_all();
    assert_eq!(numbers(&again), (5..25).collect::<Vec<_>>());
    assert_eq!((again[0].receive_count, again[0].first_received_ms), (2, START_MS));
    assert_ne!(again[0].receipt, first[5].receipt, "each delivery has a receipt of its own");
    assert_eq!(kinds(world.acknowledge(&first[4..6])), [Some(Kind::ReceiptExpired); 2]);
    assert!(world.acknowledge(&again).iter().all(Result::is_ok));
    assert_eq!(world.metrics(), (0, 0, 0, 0));
}

#[test]
fn receipts_of_others_and_made_up_ones_settle_nothing_and_the_rest_of_the_call_goes_on() {
    let world = World::new();
    let other = world.stream.create_queue("other", from_horizon()).expect("a queue");
    world.put(0..3);
    let (own, foreign) = (world.receive(), other.receive(Receive::default()).expect("received").messages);
    assert_eq!(own[0].sequence(), foreign[0].sequence(), "a record is the same in every queue");
    let forged = format!("{}{:016x}", &own[1].receipt[..32], 1);
    let call = [own[0].receipt.as_str(), foreign[1].receipt.as_str(), &forged, "", &own[0].receipt];
    let results = world.queue.acknowledge(&call, Commit::Caller).expect("settled").results;
    let invalid = Some(Kind::ReceiptInvalid);
    assert_eq!(kinds(results), [None, invalid, Some(Kind::ReceiptExpired), invalid, Some(Kind::InvalidArgument)]);
    assert_eq!(world.metrics(), (0, 2, 0, 0));
}

#[test]
fn a_delivery_is_hidden_for_longer_or_shorter_and_only_while_it_is_in_flight() {
    let world = World::new();
    world.put(0..2);
    let messages = world.receive();
    let settled = world.queue.hide(&receipts(&messages), &[60, 0]).expect("settled");
    assert!(settled.results.iter().all(Result::is_ok));
    assert_eq!(numbers(&world.receive()), [1], "it is visible at once");
    world.clock.advance_ms(59_999);
    assert!(!numbers(&world.receive()).contains(&0));
    world.clock.advance_ms(1);
    assert_eq!(
        kinds(world.queue.hide(&receipts(&messages[..1]), &[60]).expect("settled").results),
        [Some(Kind::ReceiptExpired)]
    );
    assert!(numbers(&world.receive()).contains(&0));
    let error = world.queue.hide(&receipts(&messages), &[1, 43_201]).expect_err("too long");
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[test]
fn a_record_that_nobody_can_work_on_dies_and_is_restored() {
    let world = World::with(Durability::Os, dying_after(2));
    world.put(0..2);
    for count in 1..=2 {
        let messages = world.receive();
        assert_eq!((numbers(&messages), messages[0].receive_count), (vec![0, 1], count));
        world.clock.advance_ms(30_000);
    }
    assert!(world.receive().is_empty());
    assert_eq!(world.metrics(), (0, 0, 2, 0));
    let dead = world.dead();
    assert_eq!((numbers(&dead), dead[0].first_received_ms), (vec![0, 1], START_MS));
    assert_eq!(world.metrics(), (0, 0, 0, 2));
    let restored = world.queue.restore(&receipts(&dead[..1]), Commit::Engine).expect("settled");
    assert!(restored.results[0].is_ok() && world.acknowledge(&dead[1..])[0].is_ok());
    let messages = world.receive();
    assert_eq!((numbers(&messages), messages[0].receive_count), (vec![0], 1));
    assert_eq!(world.metrics(), (0, 1, 0, 0));
}

#[test]
fn a_queue_begins_where_it_was_told_to_and_nowhere_else() {
    let world = World::new();
    world.put(0..3);
    world.clock.advance_ms(1_000);
    world.put(3..6);
    let begun = |name: &str, start| {
        let queue =
            world.stream.create_queue(name, QueueOptions { start, ..QueueOptions::default() }).expect("a queue");
        move || numbers(&queue.receive(Receive::default()).expect("received").messages)
    };
    let horizon = begun("horizon", QueueStart::TrimHorizon);
    let timed = begun("timed", QueueStart::AtTimestamp(START_MS + 1));
    let latest = begun("latest", QueueStart::Latest);
    world.put(6..7);
    assert_eq!(horizon(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(timed(), [3, 4, 5, 6]);
    assert_eq!(latest(), [6]);
    let future = QueueOptions { start: QueueStart::AtTimestamp(START_MS + 2_000), ..QueueOptions::default() };
    assert_eq!(world.stream.create_queue("future", future).expect_err("not yet").kind(), Kind::InvalidArgument);
    assert_eq!(world.stream.create_queue("latest", from_horizon()).expect_err("twice").kind(), Kind::QueueExists);
    assert_eq!(world.stream.queue("nobody").expect_err("never").kind(), Kind::QueueNotFound);
}

#[test]
fn what_is_in_flight_acknowledged_or_dead_is_so_after_a_crash_and_after_a_close() {
    for durability in [Durability::Synced, Durability::Os] {
        let mut world = World::with(durability, dying_after(2));
        world.put(0..30);
        let first = world.receive();
        world.acknowledge(&first[..5]);
        world.clock.advance_ms(30_000);
        let second = world.receive();
        assert_eq!(numbers(&second), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        world.clock.advance_ms(20_000);
        for round in 0..2 {
            world = if round == 0 { world.crash() } else { world.reopen() };
            assert_eq!(world.metrics(), (15, 10, 0, 0), "round {round}");
        }
        assert!(world.acknowledge(&second[..1])[0].is_ok(), "a receipt outlives the process");
        world.clock.advance_ms(10_000);
        assert_eq!(world.metrics(), (20, 0, 4, 0), "received twice: dead; received once: visible");
        world = world.crash();
        assert_eq!(world.metrics(), (20, 0, 4, 0));
        assert_eq!(numbers(&world.receive_all()), (10..30).collect::<Vec<_>>());
        assert_eq!(numbers(&world.dead()), [6, 7, 8, 9]);
    }
}

#[test]
fn progress_outlives_compactions_and_the_log_stays_short() {
    let mut world = World::new();
    world.put(0..40_000);
    let mut acknowledged = 0;
    let mut open_ones = Vec::new();
    while acknowledged < 36_000 {
        let messages = world.receive();
        world.acknowledge(&messages[..9]);
        acknowledged += 9;
        open_ones.extend(numbers(&messages[9..]));
    }
    let files = std::fs::read_dir(queue_directory(world.directory.path())).expect("a directory").count();
    assert!(files <= 4, "{files} files hold what is left of 4 MB of steps");
    world = world.crash();
    assert_eq!(world.metrics(), (0, 4_000, 0, 0));
    world.clock.advance_ms(30_000);
    assert_eq!(numbers(&world.receive_all()), open_ones);
}

fn queue_directory(store: &Path) -> std::path::PathBuf {
    let queues = std::fs::read_dir(store.join("queues")).expect("a directory");
    queues.map(|entry| entry.expect("an entry").path()).next().expect("a queue")
}

#[test]
fn damage_to_the_log_of_a_queue_loses_no_record() {
    // Under `os` the damage is taken for a torn tail, under `synced` the log knows that it had more.
    for durability in [Durability::Os, Durability::Synced] {
        let world = World::with(durability, QueueOptions::default());
        world.put(0..30);
        world.acknowledge(&world.receive());
        world.receive();
        world.acknowledge(&world.receive());
        world.acknowledge(&[]);
        let copied = directory();
        copy_tree(world.directory.path(), copied.path());
        let damages = || {
            let verified = verify(copied.path(), &Environment::default(), |_, _| true).expect("verified");
            verified.damages.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(damages(), Vec::<String>::new(), "{durability:?}");
        // The delivery of the second ten is damaged, and what stands behind it is whole.
        damage_delivery(&queue_directory(copied.path()), 1);
        assert!(damages().iter().any(|damage| damage.starts_with("queue work: ")), "{durability:?}: {:?}", damages());
        let world = world.open_again(copied);
        let warnings = world.engine.warnings();
        assert!(warnings.iter().any(|warning| warning.contains("queue work")), "{durability:?}: {warnings:?}");
        assert_eq!(numbers(&world.receive_all()), (10..30).collect::<Vec<_>>());
        let world = world.crash();
        assert!(world.receive_all().is_empty(), "what was behind the damage is not taken for progress later");
    }
}

/// Damages a delivery of fresh records in the log of a queue: a step that advances it, and one of a record behind that.
fn damage_delivery(log: &Path, index: usize) {
    let (advanced, received) = (1_u64.to_le_bytes(), 2_u64.to_le_bytes());
    let damaged = std::fs::read_dir(log).expect("a directory").any(|file| {
        let path = file.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            return false;
        }
        let bytes = std::fs::read(&path).expect("read");
        let is_delivery = |at: &usize| bytes[*at..].starts_with(&advanced) && bytes[*at + 24..].starts_with(&received);
        let deliveries: Vec<usize> = (4_096..bytes.len().max(4_128) - 32).step_by(8).filter(is_delivery).collect();
        let Some(at) = deliveries.get(index) else { return false };
        // In place, for the file may be in use.
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opened");
        file.write_all_at(&[bytes[at + 8] ^ 1], *at as u64 + 8).expect("written");
        true
    });
    assert!(damaged, "expected {} deliveries in {}", index + 1, log.display());
}

#[test]
fn the_logs_of_queues_are_verified_while_they_are_in_use_and_while_they_are_not() {
    let world = World::with(Durability::Synced, QueueOptions::default());
    world.put(0..5);
    world.acknowledge(&world.receive());
    let verified = |world: &World| verify(world.directory.path(), &Environment::default(), |_, _| true);
    assert_eq!(verified(&world).expect("verified").damages, []);
    let log = queue_directory(world.directory.path());
    damage_delivery(&log, 0);
    let told = |damages: Vec<millrace::Damage>| damages.iter().any(|damage| damage.place == "queue work");
    assert!(told(verified(&world).expect("verified in use").damages));
    let copied = directory();
    copy_tree(world.directory.path(), copied.path());
    let engine = open(copied.path(), &world.clock);
    let unused = verify(copied.path(), &Environment::default(), |_, _| true).expect("verified while the store is open");
    assert!(told(unused.damages));
    engine.close().expect("closed");
}

#[test]
fn a_queue_whose_files_are_gone_begins_again() {
    let world = World::new();
    world.put(0..5);
    let messages = world.receive();
    world.acknowledge(&messages);
    world.engine.close().expect("closed");
    std::fs::remove_dir_all(queue_directory(world.directory.path())).expect("removed");
    let World { directory, clock, .. } = world;
    assert_eq!(numbers(&World::opened(directory, clock).receive_all()), [0, 1, 2, 3, 4]);
}

#[test]
fn records_expire_with_the_stream_wherever_they_are() {
    let world = World::with(Durability::Os, dying_after(1));
    world.put(0..15);
    let messages = world.receive();
    world.clock.advance_ms(30_000);
    assert_eq!(world.metrics(), (5, 0, 10, 0));
    world.clock.advance_ms(23 * HOUR_MS);
    world.put(15..20);
    world.receive();
    for _ in 0..2 {
        world.clock.advance_ms(HOUR_MS);
        world.engine.expire().expect("open");
    }
    world.engine.set_retention("orders", Retention::Hours(24)).expect("set");
    assert_eq!(numbers(&world.receive_all()), [] as [usize; 0]);
    assert_eq!(world.metrics().0, 0);
    assert_eq!(kinds(world.acknowledge(&messages[..1])), [Some(Kind::ReceiptExpired)]);
}

#[test]
fn a_deleted_queue_gives_nothing_and_its_records_stay() {
    let world = World::new();
    world.put(0..3);
    let messages = world.receive();
    let files = queue_directory(world.directory.path());
    world.stream.delete_queue("work").expect("deleted");
    assert!(!files.exists());
    assert_eq!(world.queue.receive(Receive::default()).expect_err("deleted").kind(), Kind::QueueNotFound);
    let settled = world.queue.acknowledge(&receipts(&messages), Commit::Engine);
    assert_eq!(settled.expect_err("deleted").kind(), Kind::QueueNotFound);
    assert_eq!(world.stream.delete_queue("work").expect_err("deleted").kind(), Kind::QueueNotFound);
    let again = world.stream.create_queue("work", from_horizon()).expect("its name is free");
    let found = again.receive(Receive::default()).expect("received").messages;
    assert_eq!(numbers(&found), [0, 1, 2]);
    let old = again.acknowledge(&receipts(&messages), Commit::Engine).expect("settled").results;
    assert_eq!(kinds(old), [Some(Kind::ReceiptInvalid); 3]);
    world.engine.delete_stream("orders").expect("deleted");
    assert_eq!(std::fs::read_dir(files.parent().expect("queues")).expect("a directory").count(), 0);
    assert_eq!(again.receive(Receive::default()).expect_err("deleted").kind(), Kind::QueueNotFound);
}

#[test]
fn files_of_queues_that_nobody_knows_are_removed_by_the_next_open() {
    let world = World::new();
    let known = queue_directory(world.directory.path());
    world.engine.close().expect("closed");
    for name in ["0000000000000077", "0000000000000078.new"] {
        copy_tree(&known, &known.with_file_name(name));
    }
    let world = World::opened(world.directory, world.clock);
    let left: Vec<_> = std::fs::read_dir(known.parent().expect("queues")).expect("a directory").collect();
    assert_eq!(left.len(), 1);
    world.engine.close().expect("closed");
}

#[test]
fn a_change_of_the_configuration_holds_for_what_comes_and_over_a_reopening() {
    let world = World::new();
    world.put(0..1);
    let config = QueueConfig { visibility_timeout_s: 5, dead_letters: DeadLetters::BuiltIn { max_receive_count: 2 } };
    world.receive();
    world.stream.update_queue("work", config).expect("changed");
    world.clock.advance_ms(29_999);
    assert!(world.receive().is_empty(), "what is in flight keeps its timeout");
    world.clock.advance_ms(1);
    assert_eq!(world.receive().len(), 1);
    let world = world.reopen();
    world.clock.advance_ms(5_000);
    assert_eq!(world.metrics(), (0, 0, 1, 0));
    assert_eq!(world.stream.queues().expect("a list")[0].config, config);
    world.stream.tag_queue("work", Tags::from([("team".into(), "ads".into())])).expect("tagged");
    assert_eq!(world.stream.queues().expect("a list")[0].tags.len(), 1);
}

#[test]
fn what_is_asked_for_beyond_the_limits_is_refused() {
    let world = World::new();
    for records_max in [0, 11] {
        let error = world.queue.receive(Receive { records_max, ..Receive::default() }).expect_err("refused");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
    let long = Receive { visibility_timeout_s: Some(43_201), ..Receive::default() };
    assert_eq!(world.queue.receive(long).expect_err("refused").kind(), Kind::InvalidArgument);
    let config = QueueConfig { visibility_timeout_s: 43_201, ..QueueConfig::default() };
    assert_eq!(world.stream.update_queue("work", config).expect_err("refused").kind(), Kind::InvalidArgument);
}

#[test]
fn who_waits_for_a_record_is_woken_by_whatever_may_make_one_visible() {
    struct Counter(AtomicUsize);
    impl Wake for Counter {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let world = World::with(Durability::Os, dying_after(1));
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let _registration = world.queue.on_change(Arc::clone(&counter) as _);
    let woken = || counter.0.swap(0, Ordering::SeqCst) > 0;
    world.put(0..1);
    assert!(woken(), "by an append");
    let messages = world.receive();
    world.queue.hide(&receipts(&messages), &[0]).expect("settled");
    assert!(woken(), "by a delivery that is given back");
    world.queue.restore(&receipts(&world.dead()), Commit::Engine).expect("settled");
    assert!(woken(), "by a dead letter that is restored");
    world.stream.delete_queue("work").expect("deleted");
    assert!(woken(), "by the queue's end");
}

#[test]
fn a_repaired_copy_has_the_queues_and_says_that_they_begin_again() {
    let world = World::new();
    world.put(0..5);
    world.acknowledge(&world.receive());
    world.stream.register_consumer("ads", Tags::new()).expect("registered");
    world.engine.close().expect("closed");
    let copied = directory();
    let target = copied.path().join("copy");
    let repair = millrace::repair(world.directory.path(), &target, &Environment::default(), |_, _| true);
    let repair = repair.expect("repaired").expect("not stopped");
    let damages: Vec<String> = repair.damages.iter().map(ToString::to_string).collect();
    assert_eq!(damages, ["orders: queue work begins again where it began"]);
    let engine = open(&target, &world.clock);
    let stream = engine.stream("orders").expect("the stream");
    assert_eq!(stream.consumers().expect("a list").len(), 1);
    let messages = stream.queue("work").expect("the queue").receive(Receive::default()).expect("received").messages;
    assert_eq!(numbers(&messages), [0, 1, 2, 3, 4]);
}
