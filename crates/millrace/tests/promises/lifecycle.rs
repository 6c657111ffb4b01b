//! Streams come and go, callers err, threads append at once: each error has its type, and nothing is lost.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use millrace::clock::ManualClock;
use millrace::format::record::{EXPLICIT_HASH_KEY, RecordHeader};
use millrace::{
    Change, Commit, Durability, Engine, Error, Kind, OpenOptions, Reader, ReaderOptions, Staged, StagedRecords,
    StartAt, Step, Stream, StreamConfig, StreamStatus, Visibility, Wake,
};

use crate::support::{START_MS, append, copy_tree, directory, drain, open, read_all, reader, unpack};

fn kind<T>(result: Result<T, Error>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

/// The error's kind and whether its message has all these parts.
fn refused<T>(result: Result<T, Error>, expected: Kind, parts: &[&str]) {
    let Err(error) = result else { unreachable!("expected {expected:?}, got no error") };
    assert_eq!(error.kind(), expected, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "expected {part:?} in {error}");
    }
}

fn engine() -> (tempfile::TempDir, Engine) {
    let directory = directory();
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    (directory, engine)
}

fn stream(engine: &Engine, name: &str) -> Stream {
    engine.create_stream(name, StreamConfig::default()).expect("a stream")
}

#[test]
fn streams_are_created_listed_described_and_deleted() {
    let (directory, engine) = engine();
    let config = StreamConfig { shards: 4, codec: Some("json".into()), ..StreamConfig::default() };
    let first = engine.create_stream("first", config.clone()).expect("a stream");
    stream(&engine, "second");
    append(&first, &[("a", b"1"), ("b", b"2")]).expect("appended");
    let names: Vec<_> = engine.list_streams().expect("open").into_iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["first", "second"]);
    let description = first.describe();
    assert_eq!((description.config, description.shards.len()), (config, 4));
    let id = description.id;
    engine.delete_stream("first").expect("deleted");
    assert_eq!(kind(engine.stream("first")), Some(Kind::StreamNotFound));
    assert_eq!(kind(append(&first, &[("a", b"3")])), Some(Kind::StreamDeleting));
    assert!(!directory.path().join(format!("streams/{id:016x}")).exists(), "the files are gone");
    let again = stream(&engine, "first");
    assert!(again.describe().id > id, "an id is never given twice");
    assert!(read_all(&again).is_empty());
    engine.close().expect("closed");
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    let streams = engine.list_streams().expect("open");
    let names: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    assert!(streams.iter().all(|stream| stream.status == StreamStatus::Active));
    engine.close().expect("closed");
}

#[test]
fn a_bad_record_is_refused_with_its_reason_and_its_whole_call_appends_nothing() {
    let (_directory, engine) = engine();
    let config = StreamConfig { max_record_bytes: 1_024, ..StreamConfig::default() };
    let stream = engine.create_stream("strict", config).expect("a stream");
    let with = |key: &str, data: &[u8]| append(&stream, &[("good", b"good"), (key, data)]);
    refused(with("", b""), Kind::InvalidKey, &["record 1", "1 to 256", "got 0"]);
    refused(with(&"k".repeat(257), b""), Kind::InvalidKey, &["got 257"]);
    refused(with(&"é".repeat(257), b""), Kind::InvalidKey, &["got 257"]);
    refused(with("k", &[0; 1_024]), Kind::RecordTooLarge, &["at most 1024", "got 1025"]);
    let staged =
        |records: &[u8], keys: &[u8], count| stream.append(Staged { records, keys, count }, None, Commit::Caller);
    let header = RecordHeader { data_bytes: 0, key_bytes: 2, flags: 0 }.encode();
    refused(staged(&header, &[0xc3, 0x28], 1), Kind::InvalidKey, &["UTF-8"]);
    let mut good = StagedRecords::default();
    good.push("key", Some(7), b"data");
    let Staged { records, keys, .. } = good.as_staged();
    for length in 0..records.len() {
        assert_eq!(kind(staged(&records[..length], keys, 1)), Some(Kind::InvalidArgument));
    }
    for length in 0..keys.len() {
        assert_eq!(kind(staged(records, &keys[..length], 1)), Some(Kind::InvalidArgument));
    }
    refused(staged(records, keys, 2), Kind::InvalidArgument, &["record 1"]);
    refused(staged(records, &[keys, b"y"].concat(), 1), Kind::InvalidArgument, &["1 record", "at (28"]);
    refused(staged(&[records, b"y"].concat(), keys, 1), Kind::InvalidArgument, &["1 record", "at (28"]);
    let mut flagged = records.to_vec();
    flagged[6] = 8 | u8::try_from(EXPLICIT_HASH_KEY).expect("a small flag");
    refused(staged(&flagged, keys, 1), Kind::InvalidArgument, &["flags", "got 9"]);
    assert!(read_all(&stream).is_empty());
    append(&stream, &[(&"é".repeat(256), b""), ("k", &[1; 1_023])]).expect("at the limits");
    assert_eq!(read_all(&stream).len(), 2);
    engine.close().expect("closed");
}

#[test]
fn the_largest_records_of_kinesis_go_through() {
    let (_directory, engine) = engine();
    let config = StreamConfig { max_record_bytes: 10 << 20, ..StreamConfig::default() };
    let stream = engine.create_stream("large", config).expect("a stream");
    let data = vec![7; (10 << 20) - 3];
    // Together they are more than a frame holds.
    append(&stream, &[("key", &data), ("key", &data)]).expect("appended");
    let records = read_all(&stream);
    assert!(records.len() == 2 && records.iter().all(|record| record.data == data));
    engine.close().expect("closed");
}

#[test]
fn unknown_streams_shards_and_bad_configurations_are_refused() {
    let (_directory, engine) = engine();
    let one = stream(&engine, "one");
    assert_eq!(kind(engine.stream("none")), Some(Kind::StreamNotFound));
    assert_eq!(kind(engine.delete_stream("none")), Some(Kind::StreamNotFound));
    assert_eq!(kind(engine.create_stream("one", StreamConfig::default())), Some(Kind::StreamExists));
    assert_eq!(kind(engine.create_stream("a/b", StreamConfig::default())), Some(Kind::InvalidArgument));
    let many = StreamConfig { shards: 10_001, ..StreamConfig::default() };
    assert_eq!(kind(engine.create_stream("many", many)), Some(Kind::InvalidArgument));
    let of = |shard, from| one.reader(ReaderOptions { shard, from, visibility: Visibility::Durable });
    assert_eq!(kind(of(Some(1), StartAt::Latest)), Some(Kind::ShardNotFound));
    assert_eq!(kind(of(None, StartAt::AtTimestamp(u64::MAX))), Some(Kind::InvalidArgument));
    for segment_bytes_max in [0, 1 << 15, (1 << 20) + 1, 1 << 27] {
        let options = OpenOptions { segment_bytes_max, ..OpenOptions::default() };
        assert_eq!(kind(Engine::open(directory().path(), options)), Some(Kind::InvalidArgument));
    }
    engine.close().expect("closed");
}

#[test]
fn a_sequence_number_of_another_stream_or_shard_is_told_from_a_malformed_one() {
    let (_directory, engine) = engine();
    let config = StreamConfig { shards: 2, ..StreamConfig::default() };
    let one = engine.create_stream("one", config.clone()).expect("a stream");
    let other = engine.create_stream("other", config).expect("a stream");
    let number = one.sequence_number(1, 42);
    assert_eq!(one.parse_sequence_number(&number, Some(1)).ok(), Some(42));
    refused(other.parse_sequence_number(&number, None), Kind::SequenceInvalid, &["another stream"]);
    refused(one.parse_sequence_number(&number, Some(0)), Kind::SequenceInvalid, &["shardId-000000000001"]);
    refused(one.parse_sequence_number(&number[1..], None), Kind::SequenceInvalid, &["56 decimal digits"]);
    refused(one.parse_sequence_number("LATEST", None), Kind::SequenceInvalid, &["56 decimal digits", "LATEST"]);
    engine.close().expect("closed");
}

#[test]
fn every_use_after_close_says_so() {
    let (_directory, engine) = engine();
    let stream = stream(&engine, "one");
    append(&stream, &[("a", b"1")]).expect("appended");
    let mut reader = reader(&stream);
    engine.close().expect("closed");
    engine.close().expect("closing again does nothing");
    assert_eq!(kind(engine.stream("one")), Some(Kind::Closed));
    assert_eq!(kind(engine.create_stream("two", StreamConfig::default())), Some(Kind::Closed));
    assert_eq!(kind(engine.list_streams()), Some(Kind::Closed));
    assert_eq!(kind(engine.delete_stream("one")), Some(Kind::Closed));
    assert_eq!(kind(engine.expire()), Some(Kind::Closed));
    assert_eq!(kind(append(&stream, &[("a", b"2")])), Some(Kind::Closed));
    assert_eq!(kind(stream.flush()), Some(Kind::Closed));
    assert_eq!(kind(reader.next(1, 1)), Some(Kind::Closed));
    assert_eq!(kind(stream.reader(ReaderOptions::default())), Some(Kind::Closed));
}

#[test]
fn two_handles_of_one_process_share_a_store_and_the_last_one_closes_it() {
    let (directory, first) = engine();
    let second = Engine::open(&directory.path().join("."), OpenOptions::default()).expect("opens");
    let made = stream(&first, "shared");
    let found = second.stream("shared").expect("the same store");
    append(&made, &[("a", b"1")]).expect("appended");
    assert_eq!(read_all(&found).len(), 1);
    first.close().expect("closed");
    assert_eq!(kind(first.stream("shared")), Some(Kind::Closed));
    append(&found, &[("a", b"2")]).expect("the second handle holds the store");
    drop(second);
    assert_eq!(kind(append(&found, &[("a", b"3")])), Some(Kind::Closed));
    let third = Engine::open(directory.path(), OpenOptions::default()).expect("opens again");
    assert_eq!(read_all(&third.stream("shared").expect("the stream")).len(), 2);
    third.close().expect("closed");
}

#[test]
fn a_directory_that_is_no_store_is_refused_and_left_alone() {
    let directory = directory();
    let missing = directory.path().join("missing");
    let never = || OpenOptions { create: false, ..OpenOptions::default() };
    assert_eq!(kind(Engine::open(&missing, never())), Some(Kind::NotAStore));
    assert!(!missing.exists());
    fs::write(directory.path().join("letter.txt"), "not a log").expect("written");
    refused(Engine::open(directory.path(), OpenOptions::default()), Kind::NotAStore, &["letter.txt"]);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing was added");
    let file = directory.path().join("letter.txt");
    assert_eq!(kind(Engine::open(&file, OpenOptions::default())), Some(Kind::NotAStore));
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let (directory, engine) = engine();
    engine.close().expect("closed");
    let path = directory.path().join("MILLRACE");
    let identity = fs::read_to_string(&path).expect("an identity").replace("\"version\":1", "\"version\":7");
    fs::write(&path, identity).expect("written");
    let result = Engine::open(directory.path(), OpenOptions::default());
    refused(result, Kind::FormatNewer, &["version 1 or older", "got version 7"]);
}

#[test]
fn streams_without_their_control_log_are_damage_and_no_new_store() {
    let (directory, engine) = engine();
    append(&stream(&engine, "one"), &[("a", b"1")]).expect("appended");
    engine.close().expect("closed");
    fs::remove_dir_all(directory.path().join("control")).expect("removed");
    assert_eq!(kind(Engine::open(directory.path(), OpenOptions::default())), Some(Kind::Corrupt));
    assert!(directory.path().join("streams/0000000000000001").exists(), "nothing was cleaned up");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let directory = directory();
    let path = directory.path().join("store");
    fs::create_dir(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("changed");
    // Who may do everything cannot be kept out by permissions.
    if fs::write(path.join("probe"), "").is_ok() {
        return;
    }
    assert_eq!(kind(Engine::open(&path, OpenOptions::default())), Some(Kind::ReadOnly));
}

#[test]
fn deletion_leaves_a_reader_the_bytes_that_it_holds() {
    let (_directory, engine) = engine();
    let stream = stream(&engine, "one");
    append(&stream, &[("a", b"kept")]).expect("appended");
    let mut reader = reader(&stream);
    let Ok(Step::Chunk(chunk)) = reader.next(10, 1 << 20) else { unreachable!("there is a record") };
    engine.delete_stream("one").expect("deleted");
    assert_eq!(kind(reader.next(10, 1 << 20)), Some(Kind::StreamDeleting));
    let mut records = Vec::new();
    unpack(&chunk, &mut records);
    assert_eq!(records[0].data, b"kept");
    engine.close().expect("closed");
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_a_stream_is_woken_and_told_when_it_is_deleted_or_its_store_closed() {
    let end_by_deletion: fn(&Engine) = |engine| engine.delete_stream("awaited").expect("deleted");
    let end_by_close: fn(&Engine) = |engine| engine.close().expect("closed");
    for (end, told) in [(end_by_deletion, Kind::StreamDeleting), (end_by_close, Kind::Closed)] {
        let (_directory, engine) = engine();
        let stream = stream(&engine, "awaited");
        let mut reader = reader(&stream);
        assert!(matches!(reader.next(10, 1 << 20), Ok(Step::AtTail)));
        let waiting = [Change::Published, Change::Durable].map(|change| {
            let woken = Arc::new(Woken::default());
            (change, stream.on_change(change, Arc::clone(&woken) as _), woken)
        });
        end(&engine);
        for (change, _registration, woken) in waiting {
            assert!(woken.0.load(Ordering::SeqCst) > 0, "{told:?}: who waits for {change:?} was not woken");
        }
        assert_eq!(kind(reader.next(10, 1 << 20)), Some(told));
        engine.close().expect("closed");
    }
}

fn disk_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                disk_bytes(&entry.path())
            } else {
                entry.metadata().expect("a file").blocks() * 512
            }
        })
        .sum()
}

#[test]
fn a_thousand_idle_streams_cost_less_than_two_gigabytes_of_disk() {
    let (directory, engine) = engine();
    for number in 0..1_000 {
        let made = stream(&engine, &format!("idle-{number}"));
        if number % 100 == 0 {
            append(&made, &[("a", b"1")]).expect("appended");
        }
    }
    let bytes = disk_bytes(directory.path());
    assert!(bytes < 2_000_000_000, "{bytes} bytes");
    engine.close().expect("closed");
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    assert_eq!(engine.list_streams().expect("open").len(), 1_000);
    assert_eq!(read_all(&engine.stream("idle-900").expect("the stream")).len(), 1);
    assert!(disk_bytes(directory.path()) < 2_000_000_000);
    engine.close().expect("closed");
}

/// Reads on until the writers are done and all is read.
fn follow(mut reader: Reader, done: &AtomicBool) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    loop {
        let last = done.load(Ordering::Acquire);
        for record in drain(&mut reader).expect("readable") {
            seen.push((record.sequence, format!("{}:{}", record.key, String::from_utf8(record.data).expect("text"))));
        }
        if last {
            return seen;
        }
        std::thread::yield_now();
    }
}

#[test]
fn four_threads_append_at_once_and_a_reader_that_follows_misses_nothing() {
    const EACH: usize = 500;
    for durability in [Durability::Synced, Durability::Os] {
        let directory = directory();
        let options = OpenOptions { segment_bytes_max: 64 << 10, ..OpenOptions::default() };
        let engine = Engine::open(directory.path(), options).expect("opens");
        let config = StreamConfig { shards: 8, durability, ..StreamConfig::default() };
        let stream = engine.create_stream("busy", config).expect("a stream");
        let follower = reader(&stream);
        let done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let seen = scope.spawn(|| follow(follower, &done));
            let writers: Vec<_> = (0..4)
                .map(|thread| {
                    let stream = stream.clone();
                    scope.spawn(move || {
                        let key = format!("thread-{thread}");
                        for number in 0..EACH {
                            let data = format!("{number} {}", ".".repeat(number % 700));
                            let mut staged = StagedRecords::default();
                            staged.push(&key, None, data.as_bytes());
                            let end = stream.append(staged.as_staged(), None, Commit::Engine).expect("appended").end;
                            if number % 50 == 0 {
                                stream.wait_acknowledged(end).expect("acknowledged");
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
            done.store(true, Ordering::Release);
            seen.join().expect("no panic")
        });
        assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "in the order of their sequences");
        for thread in 0..4 {
            let prefix = format!("thread-{thread}:");
            let numbers = seen
                .iter()
                .filter_map(|(_, text)| text.strip_prefix(&prefix)?.split(' ').next()?.parse::<usize>().ok());
            assert!(numbers.eq(0..EACH), "each key's records in the order of their appends");
        }
        engine.close().expect("closed");
    }
}

#[test]
fn a_sequence_is_never_given_twice_over_crashes_under_policy_os() {
    let clock = Arc::new(ManualClock::new(START_MS));
    let mut left = directory();
    let engine = open(left.path(), &clock);
    let config = StreamConfig { durability: Durability::Os, ..StreamConfig::default() };
    let stream = engine.create_stream("os", config).expect("a stream");
    let mut highest = append(&stream, &[("a", b"0")]).expect("appended")[0].sequence;
    engine.close().expect("closed");
    for round in 1..12 {
        let engine = open(left.path(), &clock);
        let stream = engine.stream("os").expect("the stream");
        let next = directory();
        // What is appended after this the crash takes away, as one of the machine would; the control log it keeps,
        // whose commands are always on disk.
        copy_tree(&left.path().join("streams"), &next.path().join("streams"));
        for _ in 0..round {
            let sequence = append(&stream, &[("a", b"lost")]).expect("appended")[0].sequence;
            assert!(sequence > highest, "round {round}: {sequence} after {highest}");
            highest = sequence;
        }
        copy_tree(&left.path().join("control"), &next.path().join("control"));
        fs::copy(left.path().join("MILLRACE"), next.path().join("MILLRACE")).expect("copied");
        engine.close().expect("closed");
        left = next;
    }
}

#[test]
fn a_process_that_dies_while_it_creates_its_store_leaves_one_that_opens() {
    let (directory, engine) = engine();
    engine.close().expect("closed");
    // As far as each step of the creation comes.
    fs::rename(directory.path().join("control"), directory.path().join("control.new")).expect("renamed");
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    assert!(engine.list_streams().expect("open").is_empty());
    engine.close().expect("closed");
}

#[test]
fn a_stream_that_is_opened_while_it_is_created_is_one_stream() {
    let (_directory, engine) = engine();
    for round in 0..60 {
        let name = format!("raced-{round}");
        std::thread::scope(|scope| {
            let creator = scope.spawn(|| {
                let stream = engine.create_stream(&name, StreamConfig::default()).expect("created");
                append(&stream, &[("a", b"by its creator")]).expect("appended");
            });
            let opener = scope.spawn(|| {
                let stream = loop {
                    match engine.stream(&name) {
                        Err(error) if error.kind() == Kind::StreamNotFound => std::thread::yield_now(),
                        other => break other.expect("opened"),
                    }
                };
                append(&stream, &[("b", b"by its opener")]).expect("appended");
            });
            creator.join().expect("no panic");
            opener.join().expect("no panic");
        });
        let stream = engine.stream(&name).expect("the stream");
        assert_eq!(read_all(&stream).len(), 2, "round {round}");
        assert!(stream.describe().findings.is_empty(), "round {round}: nobody recovered a log in use");
    }
    engine.close().expect("closed");
}
