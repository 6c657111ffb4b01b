//! Records expire by the clock that vouches for itself; disk comes back; nobody's bytes change under them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millrace::clock::{Clock, ManualClock};
use millrace::{
    Chunk, Durability, Engine, Kind, ReaderOptions, Retention, StartAt, Step, Stream, StreamConfig, Visibility,
};
use tempfile::TempDir;

use crate::support::{HOUR_MS, Record, START_MS, append, directory, drain, open, read, read_all, reader, unpack};

const DAY_MS: u64 = 24 * HOUR_MS;

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
    appended: usize,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::new(START_MS));
        let directory = directory();
        let engine = open(directory.path(), &clock);
        let stream = engine.create_stream("kept", StreamConfig::default()).expect("a stream");
        World { directory, clock, engine, stream, appended: 0 }
    }

    /// Appends a frame of `count` records of `bytes` each, and makes it durable.
    fn put(&mut self, count: usize, bytes: usize) {
        let data: Vec<_> = (0..count)
            .map(|record| {
                let mut data = format!("{} ", self.appended + record).into_bytes();
                data.resize(bytes.max(data.len()), b'.');
                data
            })
            .collect();
        let records: Vec<_> = data.iter().map(|data| ("key", data.as_slice())).collect();
        append(&self.stream, &records).expect("appended");
        self.stream.flush().expect("flushed");
        self.appended += count;
    }

    /// Lets time pass for the stream, an hour at a time, as the engine's own thread does.
    fn pass(&self, hours: u64) {
        for _ in 0..hours {
            self.clock.advance_ms(HOUR_MS);
            self.engine.expire().expect("open");
        }
    }

    fn reopen(&mut self) {
        self.engine.close().expect("closed");
        self.engine = open(self.directory.path(), &self.clock);
        self.stream = self.engine.stream("kept").expect("the stream");
    }

    fn records(&self) -> Vec<Record> {
        read_all(&self.stream)
    }

    fn files(&self, ending: &str) -> BTreeSet<String> {
        let path = self.directory.path().join("streams/0000000000000001");
        let names = std::fs::read_dir(path).expect("a directory");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(ending)).collect()
    }

    fn wait_until_sealed(&self) {
        // The engine's own thread seals what is finished; only the segment that is written to stays open.
        while self.files(".idx").len() + 1 < self.stream.describe().segments {
            std::thread::yield_now();
        }
    }
}

fn numbers(records: &[Record]) -> Vec<usize> {
    let number = |record: &Record| {
        let text = String::from_utf8(record.data.clone()).expect("text");
        text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    records.iter().map(number).collect()
}

#[test]
fn records_expire_after_their_retention_and_the_horizon_only_advances() {
    let mut world = World::new();
    let mut oldest = 0;
    for _ in 0..60 {
        world.put(3, 100);
        world.pass(1);
        let records = world.records();
        let now_ms = world.clock.wall_ms();
        assert!(records.iter().all(|record| record.arrival_ms + DAY_MS >= now_ms), "none is older than a day");
        let numbers = numbers(&records);
        assert!(numbers[0] >= oldest, "what has gone does not come back");
        oldest = numbers[0];
        assert_eq!(numbers, (oldest..world.appended).collect::<Vec<_>>(), "what is younger is there");
    }
    assert_eq!(oldest, (60 - 24) * 3, "24 hours of records are kept");
    assert!(world.stream.describe().segments <= 26, "{} segments", world.stream.describe().segments);
    assert_eq!(world.engine.warnings(), Vec::<String>::new());
    world.engine.close().expect("closed");
}

#[test]
fn no_start_reaches_a_record_before_the_horizon() {
    let mut world = World::new();
    world.put(5, 100);
    let first = world.records()[0].clone();
    let mut early = reader(&world.stream);
    world.pass(23);
    world.put(5, 100);
    world.pass(2);
    assert_eq!(numbers(&world.records()), [5, 6, 7, 8, 9]);
    for from in [
        StartAt::TrimHorizon,
        StartAt::AtSequence(first.sequence),
        StartAt::AfterSequence(first.sequence),
        StartAt::AtTimestamp(first.arrival_ms),
        StartAt::AtSequence(0),
    ] {
        for shard in [None, Some(0)] {
            assert_eq!(numbers(&read(&world.stream, shard, from).expect("readable")), [5, 6, 7, 8, 9], "{from:?}");
        }
    }
    assert_eq!(numbers(&drain(&mut early).expect("readable")), [5, 6, 7, 8, 9], "a reader that was there before");
    world.engine.close().expect("closed");
}

#[test]
fn what_has_expired_stays_expired_over_a_close_and_over_a_crash() {
    let mut world = World::new();
    world.put(5, 100);
    world.pass(23);
    world.put(5, 100);
    world.pass(2);
    let crashed = directory();
    crate::support::copy_tree(world.directory.path(), crashed.path());
    world.reopen();
    assert_eq!(numbers(&world.records()), [5, 6, 7, 8, 9]);
    world.engine.close().expect("closed");
    let engine = open(crashed.path(), &world.clock);
    let stream = engine.stream("kept").expect("the stream");
    assert_eq!(numbers(&read_all(&stream)), [5, 6, 7, 8, 9]);
    engine.close().expect("closed");
}

#[test]
fn retention_changed_at_run_time_holds_from_then_on() {
    let mut world = World::new();
    world.put(2, 100);
    world.engine.set_retention("kept", Retention::Hours(48)).expect("changed");
    world.pass(30);
    assert_eq!(numbers(&world.records()), [0, 1], "kept for two days");
    world.reopen();
    assert_eq!(world.stream.describe().config.retention, Retention::Hours(48));
    world.put(2, 100);
    world.engine.set_retention("kept", Retention::Hours(24)).expect("changed");
    world.engine.expire().expect("open");
    assert_eq!(numbers(&world.records()), [2, 3], "kept for one day");
    world.engine.set_retention("kept", Retention::Unbounded).expect("changed");
    world.pass(100);
    assert_eq!(numbers(&world.records()), [2, 3], "kept for ever; what was gone stays gone");
    let refused = world.engine.set_retention("kept", Retention::Hours(23)).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::InvalidArgument));
    world.engine.close().expect("closed");
}

#[test]
fn a_clock_that_jumps_a_year_ahead_deletes_nothing_and_is_reported_until_it_is_accepted() {
    let mut world = World::new();
    world.put(4, 100);
    world.clock.advance_wall_ms(365 * DAY_MS);
    world.engine.expire().expect("open");
    assert_eq!(numbers(&world.records()), [0, 1, 2, 3]);
    let warnings = world.engine.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("expiry is paused"), "{warnings:?}");
    assert!(world.stream.describe().expiry_is_paused);
    world.reopen();
    world.engine.expire().expect("open");
    assert_eq!(numbers(&world.records()), [0, 1, 2, 3], "nor after another open");
    assert!(world.stream.describe().expiry_is_paused);
    world.engine.accept_clock().expect("accepted");
    assert!(!world.stream.describe().expiry_is_paused);
    world.engine.expire().expect("open");
    assert_eq!(numbers(&world.records()), Vec::<usize>::new(), "a year has passed, somebody said so");
    world.put(1, 100);
    assert_eq!(numbers(&world.records()), [4]);
    world.engine.close().expect("closed");
}

#[test]
fn a_stream_that_is_made_while_the_clock_is_ahead_makes_no_other_stream_older() {
    let mut world = World::new();
    world.put(4, 100);
    world.clock.advance_wall_ms(365 * DAY_MS);
    let ahead = world.engine.create_stream("ahead", StreamConfig::default()).expect("a stream");
    append(&ahead, &[("key", b"of next year")]).expect("appended");
    for _ in 0..2 {
        world.reopen();
        world.engine.expire().expect("open");
        assert!(world.stream.describe().expiry_is_paused);
        assert_eq!(numbers(&world.records()), [0, 1, 2, 3]);
    }
    world.clock.set_wall_ms(START_MS + 60_000);
    world.engine.expire().expect("open");
    assert!(!world.stream.describe().expiry_is_paused, "the clock is right again");
    assert_eq!(numbers(&world.records()), [0, 1, 2, 3]);
    world.engine.close().expect("closed");
}

#[test]
fn a_clock_that_is_set_back_deletes_nothing() {
    let mut world = World::new();
    world.pass(30);
    world.put(4, 100);
    world.clock.set_wall_ms(START_MS - 365 * DAY_MS);
    world.engine.expire().expect("open");
    assert_eq!(numbers(&world.records()), [0, 1, 2, 3]);
    world.put(1, 100);
    world.pass(3);
    let records = world.records();
    assert_eq!(numbers(&records), [0, 1, 2, 3, 4]);
    assert!(records.is_sorted_by_key(|record| record.arrival_ms), "arrival times never decrease");
    world.engine.close().expect("closed");
}

#[test]
fn records_of_a_stream_that_was_made_while_the_clock_was_behind_are_kept_when_it_is_right_again() {
    let world = World::new();
    // As a machine without a battery starts, until it hears from a time server.
    world.clock.set_wall_ms(START_MS - 365 * DAY_MS);
    let stream = world.engine.create_stream("early", StreamConfig::default()).expect("a stream");
    append(&stream, &[("key", b"young")]).expect("appended");
    stream.flush().expect("flushed");
    world.clock.advance_monotonic_ms(60_000);
    world.clock.set_wall_ms(START_MS + 60_000);
    world.engine.expire().expect("open");
    assert_eq!(read_all(&stream).len(), 1, "a record of a minute ago is not a year old");
    world.engine.close().expect("closed");
}

fn inodes(path: &Path, names: &BTreeSet<String>) -> BTreeSet<u64> {
    let path = path.join("streams/0000000000000001");
    names.iter().map(|name| std::fs::metadata(path.join(name)).expect("a file").ino()).collect()
}

#[test]
fn freed_segments_are_used_again_and_their_old_frames_are_no_frames() {
    let mut world = World::new();
    // Frames of the same size at the same places, so that the old ones stand where new ones are looked for.
    for _ in 0..6 {
        world.put(8, 1_000);
        world.put(8, 1_000);
        world.pass(2);
    }
    world.wait_until_sealed();
    let old = inodes(world.directory.path(), &world.files(".seg"));
    world.pass(30);
    assert_eq!(numbers(&world.records()), Vec::<usize>::new());
    assert!(!world.files(".spare").is_empty(), "freed files wait to be used again");
    let before = world.appended;
    for _ in 0..4 {
        world.put(8, 1_000);
        world.pass(2);
    }
    let new = inodes(world.directory.path(), &world.files(".seg"));
    assert!(new.intersection(&old).count() >= 2, "freed files are used again");
    let expected: Vec<_> = (before..world.appended).collect();
    assert_eq!(numbers(&world.records()), expected);
    // Neither does recovery take what stands behind the tail for records.
    let crashed = directory();
    crate::support::copy_tree(world.directory.path(), crashed.path());
    let engine = open(crashed.path(), &world.clock);
    let stream = engine.stream("kept").expect("the stream");
    assert_eq!(numbers(&read_all(&stream)), expected);
    assert_eq!(engine.warnings(), Vec::<String>::new());
    engine.close().expect("closed");
    world.reopen();
    assert_eq!(numbers(&world.records()), expected);
    world.engine.close().expect("closed");
}

fn first_chunk(stream: &Stream) -> Chunk {
    let options = ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
    match stream.reader(options).expect("a reader").next(1_000, 1 << 20).expect("readable") {
        Step::Chunk(chunk) => chunk,
        Step::AtTail | Step::EndOfShard(_) => unreachable!("there are records"),
    }
}

fn unpacked(chunk: &Chunk) -> Vec<Record> {
    let mut records = Vec::new();
    unpack(chunk, &mut records);
    records
}

#[test]
fn a_chunk_that_is_held_keeps_its_bytes_when_its_segment_expires() {
    let mut world = World::new();
    world.put(8, 1_000);
    let held = first_chunk(&world.stream);
    let before = unpacked(&held);
    for _ in 0..60 {
        world.pass(1);
        world.put(8, 1_000);
    }
    assert!(numbers(&world.records())[0] >= 8, "the segment has expired");
    assert_eq!(unpacked(&held), before);
    world.engine.close().expect("closed");
    assert_eq!(unpacked(&held), before, "nor does closing change them");
}

#[test]
fn a_chunk_of_a_closed_engine_keeps_its_bytes_when_the_next_one_recycles() {
    let mut world = World::new();
    world.put(8, 1_000);
    world.pass(2);
    world.put(8, 1_000);
    world.wait_until_sealed();
    let held = first_chunk(&world.stream);
    let before = unpacked(&held);
    world.reopen();
    for _ in 0..60 {
        world.pass(1);
        world.put(8, 1_000);
    }
    assert!(numbers(&world.records())[0] >= 16, "the segment has expired");
    assert_eq!(unpacked(&held), before);
    world.engine.close().expect("closed");
}

#[test]
fn records_of_a_stream_that_nobody_syncs_expire_all_the_same() {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    let config = StreamConfig { durability: Durability::Os, ..StreamConfig::default() };
    let stream = engine.create_stream("idle", config).expect("a stream");
    append(&stream, &[("key", b"old")]).expect("appended");
    for _ in 0..26 {
        clock.advance_ms(HOUR_MS);
        engine.expire().expect("open");
    }
    assert_eq!(read_all(&stream), [], "it is two hours over its time");
    engine.close().expect("closed");
}

#[test]
fn a_stream_that_is_deleted_while_records_expire_is_no_reason_for_a_warning() {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    // Looked at first, so that there is time for a deletion between the making of the list and its end.
    for number in 0..100 {
        engine.create_stream(&format!("standing-{number}"), StreamConfig::default()).expect("a stream");
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                engine.expire().expect("open");
            }
        });
        for number in 0..300 {
            let name = format!("passing-{number}");
            engine.create_stream(&name, StreamConfig::default()).expect("a stream");
            // Old enough to be looked at.
            clock.advance_ms(25 * HOUR_MS);
            (0..number).for_each(|_| std::thread::yield_now());
            engine.delete_stream(&name).expect("deleted");
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(engine.warnings(), Vec::<String>::new());
    engine.close().expect("closed");
}

#[test]
fn verify_reports_no_damage_for_segments_that_expire_while_it_reads() {
    let mut world = World::new();
    for _ in 0..8 {
        world.put(100, 1_000);
    }
    world.pass(20);
    world.put(100, 1_000);
    world.wait_until_sealed();
    let mut looks = 0;
    let verified = world.stream.verify(|_done, _total| {
        looks += 1;
        if looks == 1 {
            world.pass(5);
        }
        true
    });
    let verified = verified.expect("read to the end");
    assert!(looks > 1, "there was something left to read");
    assert_eq!(verified.findings, []);
}

#[test]
fn verify_reports_no_damage_for_a_segment_that_is_finished_while_it_reads() {
    let mut world = World::new();
    for _ in 0..5 {
        world.put(30, 1_000);
    }
    let stream = world.stream.clone();
    let mut looks = 0;
    let verified = stream.verify(|_done, _total| {
        looks += 1;
        if looks == 1 {
            (0..5).for_each(|_| world.put(30, 1_000));
            world.wait_until_sealed();
        }
        true
    });
    assert!(looks > 1, "the last segment was not the first one");
    assert_eq!(verified.expect("read to the end").findings, []);
}

#[test]
fn a_stream_of_unbounded_retention_keeps_all() {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    let config =
        StreamConfig { retention: Retention::Unbounded, durability: Durability::Os, ..StreamConfig::default() };
    let stream = engine.create_stream("ever", config).expect("a stream");
    append(&stream, &[("key", b"old")]).expect("appended");
    for _ in 0..400 {
        clock.advance_ms(DAY_MS);
        engine.expire().expect("open");
    }
    assert_eq!(read_all(&stream).len(), 1);
    engine.close().expect("closed");
}
