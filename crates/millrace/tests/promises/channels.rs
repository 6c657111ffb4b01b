//! A channel brings each record of its stream to its bucket, once by object, over failures, restarts and crashes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

use millrace::clock::ManualClock;
use millrace::disk::OsDisk;
use millrace::{
    Bucket, ChannelConfig, ChannelOptions, Compression, Destination, DirectoryDestination, Engine, Environment, Error,
    Kind, Object, OpenOptions, RecordFormat, Result, Service, Services, Stream, StreamConfig,
};
use tempfile::TempDir;

use crate::support::{HOUR_MS, START_MS, append, copy_tree, directory};

/// What becomes of objects on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Nothing arrives.
    Storm,
    /// Objects arrive, and the word of it is lost.
    Fog,
}

/// A directory that can be made to fail.
#[derive(Debug)]
struct Harbour {
    directory: DirectoryDestination,
    weather: Mutex<Weather>,
}

impl Destination for Harbour {
    fn put(&self, object: &Object<'_>) -> Result<()> {
        let weather = *self.weather.lock().expect("no panic");
        if weather != Weather::Storm {
            self.directory.put(object)?;
        }
        if weather == Weather::Fair { Ok(()) } else { Err(Error::new(Kind::Io, "the bucket did not answer")) }
    }
}

struct World {
    directory: TempDir,
    buckets: TempDir,
    clock: Arc<ManualClock>,
    harbour: Arc<Harbour>,
    engine: Engine,
    stream: Stream,
}

fn config() -> ChannelConfig {
    let bucket = Bucket { name: "archive".to_owned(), owner: None };
    ChannelConfig {
        freshness_s: 300,
        bucket: bucket.clone(),
        key_template: None,
        format: RecordFormat::Text,
        compression: Compression::None,
        storage_class: None,
        encryption_key: None,
        dead_letters: bucket,
        dead_letter_prefix: None,
    }
}

fn options(config: ChannelConfig) -> ChannelOptions {
    ChannelOptions { config, notes: std::iter::empty().collect(), tags: std::iter::empty().collect() }
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Engine {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    let environment = Environment { clock, services: Services::Caller, ..Environment::default() };
    Engine::open(path, OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() })
        .expect("opens")
}

impl World {
    fn new() -> World {
        World::with(config())
    }

    fn with(config: ChannelConfig) -> World {
        let (directory, buckets) = (directory(), directory());
        let clock = Arc::new(ManualClock::new(START_MS));
        let engine = open(directory.path(), &clock);
        let stream = engine.create_stream("clicks", StreamConfig::default()).expect("a stream");
        append(&stream, &[("k", b"before the channel")]).expect("appended");
        stream.flush().expect("flushed");
        stream.create_channel("to-archive", options(config)).expect("a channel");
        World::sailing(directory, buckets, clock, engine)
    }

    fn sailing(directory: TempDir, buckets: TempDir, clock: Arc<ManualClock>, engine: Engine) -> World {
        let place = DirectoryDestination::new(buckets.path().join("in"), Arc::new(OsDisk));
        let harbour = Arc::new(Harbour { directory: place, weather: Mutex::new(Weather::Fair) });
        let destination: Arc<Harbour> = Arc::clone(&harbour);
        engine.deliver_channels(destination).expect("open");
        let stream = engine.stream("clicks").expect("the stream");
        World { directory, buckets, clock, harbour, engine, stream }
    }

    /// The store as a process leaves it that dies now, opened again beside the same buckets.
    fn crash(self) -> World {
        let copied = directory();
        copy_tree(self.directory.path(), copied.path());
        let World { buckets, clock, engine, directory, .. } = self;
        engine.close().expect("closed");
        drop(directory);
        let engine = open(copied.path(), &clock);
        World::sailing(copied, buckets, clock, engine)
    }

    fn reopen(self) -> World {
        let World { directory, buckets, clock, engine, .. } = self;
        engine.close().expect("closed");
        let engine = open(directory.path(), &clock);
        World::sailing(directory, buckets, clock, engine)
    }

    fn weather(&self, weather: Weather) {
        *self.harbour.weather.lock().expect("no panic") = weather;
    }

    fn put(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            append(&self.stream, &[(&format!("key {number}"), number.to_string().as_bytes())]).expect("appended");
        }
        self.stream.flush().expect("flushed");
    }

    fn after_s(&self, seconds: u64) -> usize {
        self.clock.advance_ms(seconds * 1_000);
        self.engine.serve(Service::Courier).expect("open")
    }

    /// The objects by key, in the order of their keys.
    fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        gather(&self.buckets.path().join("in"), &mut found);
        found.sort();
        found
    }

    fn lines(&self) -> Vec<String> {
        let texts = self.objects().into_iter().map(|(_, body)| String::from_utf8(body).expect("text"));
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn failure(&self) -> Option<String> {
        let reports = self.engine.list_channels().expect("open");
        reports[0].failure.as_ref().map(|failure| failure.message.clone())
    }
}

fn gather(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, found);
        } else {
            found.push((path.clone(), std::fs::read(path).expect("an object")));
        }
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn records_arrive_as_an_object_once_the_oldest_is_as_old_as_the_channel_lets_it_grow() {
    let world = World::new();
    world.put(0..5);
    assert_eq!(world.after_s(299), 0);
    world.put(5..7);
    assert_eq!(world.after_s(1), 1, "the oldest is five minutes old");
    assert_eq!(world.lines(), numbers(0..7));
    let (path, _) = &world.objects()[0];
    let key = path.strip_prefix(world.buckets.path().join("in")).expect("a key").to_string_lossy().into_owned();
    assert!(key.starts_with("archive/clicks/2026/01/01/00/to-archive-"), "{key}");
    assert_eq!(world.after_s(3_600), 0, "nothing waits");
    world.put(7..8);
    assert_eq!(world.after_s(300), 1);
    assert_eq!(world.lines(), numbers(0..8));
}

#[test]
fn what_fills_an_object_does_not_wait() {
    let world = World::with(ChannelConfig { compression: Compression::Gzip, ..config() });
    let record = vec![b'x'; 1 << 20];
    for _ in 0..40 {
        append(&world.stream, &[("k", &record[..1_000_000])]).expect("appended");
    }
    world.stream.flush().expect("flushed");
    assert_eq!(world.after_s(0), 2, "two are full, the third is not");
    assert_eq!(world.after_s(300), 1);
    let bytes: usize = world.objects().iter().map(|(_, body)| body.len()).sum();
    assert!(bytes < 1 << 20, "compressed");
}

#[test]
fn a_restart_in_the_middle_loses_and_doubles_nothing() {
    let mut world = World::new();
    for round in 0..6 {
        world.put(round * 10..round * 10 + 5);
        if round % 2 == 0 {
            world.after_s(300);
        }
        world.put(round * 10 + 5..round * 10 + 10);
        world = if round % 3 == 0 { world.crash() } else { world.reopen() };
    }
    world.after_s(300);
    assert_eq!(world.lines(), numbers(0..60));
}

#[test]
fn an_object_that_arrived_unheard_of_is_written_over_and_holds_no_record_twice() {
    let world = World::new();
    world.put(0..5);
    world.weather(Weather::Fog);
    assert_eq!(world.after_s(300), 0);
    assert_eq!(world.lines(), numbers(0..5), "it arrived");
    world.put(5..9);
    let world = world.crash();
    assert_eq!(world.after_s(300), 1);
    assert_eq!(world.objects().len(), 1);
    assert_eq!(world.lines(), numbers(0..9));
}

#[test]
fn a_bucket_that_fails_is_told_blocks_no_writer_and_is_tried_again() {
    let world = World::new();
    world.weather(Weather::Storm);
    world.put(0..3);
    assert_eq!(world.after_s(300), 0);
    assert_eq!(world.failure().as_deref(), Some("the bucket did not answer"));
    world.put(3..6);
    world.weather(Weather::Fair);
    assert_eq!(world.after_s(0), 0, "it rests first");
    assert_eq!(world.after_s(1), 1);
    assert_eq!((world.failure(), world.lines()), (None, numbers(0..6)));
}

#[test]
fn a_failing_bucket_is_asked_less_and_less_often_but_once_a_minute() {
    let world = World::new();
    world.weather(Weather::Storm);
    world.put(0..1);
    world.after_s(300);
    let attempts = |world: &World| {
        world.engine.list_channels().expect("open")[0].failure.as_ref().map_or(0, |failure| failure.attempts)
    };
    for _ in 0..600 {
        world.after_s(1);
    }
    // After 1, 2, 4, 8, 16, 32 seconds, then every minute.
    assert_eq!(attempts(&world), 1 + 6 + 8);
}

#[test]
fn what_is_not_of_the_format_is_a_dead_letter() {
    let world = World::with(ChannelConfig { format: RecordFormat::Json, ..config() });
    append(&world.stream, &[("k", b"{\"a\":1}"), ("k", b"nonsense")]).expect("appended");
    world.stream.flush().expect("flushed");
    assert_eq!(world.after_s(300), 1);
    let objects = world.objects();
    let (good, letters) = (&objects[0], &objects[1]);
    assert_eq!(good.1, b"{\"a\":1}\n");
    assert!(letters.0.starts_with(world.buckets.path().join("in/archive/errors")), "{}", letters.0.display());
}

#[test]
fn a_changed_freshness_holds_at_once_and_over_a_restart() {
    let world = World::new();
    world.put(0..1);
    assert_eq!(world.after_s(60), 0);
    world.stream.update_channel("to-archive", 60, std::iter::empty().collect()).expect("changed");
    assert_eq!(world.after_s(0), 1);
    let world = world.crash();
    world.put(1..2);
    assert_eq!(world.after_s(60), 1);
}

#[test]
fn a_deleted_channel_delivers_no_more_and_one_of_its_name_begins_anew() {
    let world = World::new();
    world.put(0..3);
    world.stream.delete_channel("to-archive").expect("there");
    assert_eq!(world.after_s(300), 0);
    assert_eq!(world.stream.delete_channel("to-archive").expect_err("gone").kind(), Kind::ChannelNotFound);
    world.stream.create_channel("to-archive", options(config())).expect("its name is free");
    let world = world.crash();
    world.put(3..5);
    assert_eq!(world.after_s(300), 1);
    assert_eq!(world.lines(), numbers(3..5));
}

#[test]
fn a_store_that_nobody_delivers_for_keeps_its_channels_where_they_stand() {
    let world = World::new();
    world.put(0..3);
    let World { directory, buckets, clock, engine, .. } = world;
    engine.close().expect("closed");
    clock.advance_ms(HOUR_MS);
    let engine = open(directory.path(), &clock);
    assert_eq!(engine.serve(Service::Courier).expect("open"), 0);
    let world = World::sailing(directory, buckets, clock, engine);
    assert_eq!(world.after_s(0), 1);
    assert_eq!(world.lines(), numbers(0..3));
}

#[test]
fn the_engines_own_thread_is_woken_by_a_record() {
    let (directory, buckets) = (directory(), directory());
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    let stream = engine.create_stream("clicks", StreamConfig::default()).expect("a stream");
    stream.create_channel("soon", options(ChannelConfig { freshness_s: 1, ..config() })).expect("a channel");
    let (told, heard) = std::sync::mpsc::channel();
    #[derive(Debug)]
    struct Tells(DirectoryDestination, Mutex<std::sync::mpsc::Sender<()>>);
    impl Destination for Tells {
        fn put(&self, object: &Object<'_>) -> Result<()> {
            self.0.put(object)?;
            self.1.lock().expect("no panic").send(()).map_err(|_| Error::new(Kind::Io, "nobody listens"))
        }
    }
    let place = DirectoryDestination::new(buckets.path().to_path_buf(), Arc::new(OsDisk));
    engine.deliver_channels(Arc::new(Tells(place, Mutex::new(told)))).expect("open");
    append(&stream, &[("k", b"a record")]).expect("appended");
    stream.flush().expect("flushed");
    heard.recv().expect("an object arrives");
    engine.close().expect("closed");
}

#[test]
fn a_default_place_is_taken_where_nobody_named_one_and_leaves_the_one_that_was() {
    let world = World::new();
    let default = directory();
    let by_default = || Arc::new(DirectoryDestination::new(default.path().to_path_buf(), Arc::new(OsDisk)));
    world.engine.deliver_channels_by_default(by_default()).expect("open");
    world.put(0..3);
    assert_eq!(world.after_s(HOUR_MS / 1_000), 1);
    assert_eq!(world.lines(), numbers(0..3));
    let World { directory, clock, engine, .. } = world;
    engine.close().expect("closed");
    let engine = open(directory.path(), &clock);
    let stream = engine.stream("clicks").expect("the stream");
    let delivers = || stream.channels().expect("open").iter().all(|channel| channel.delivers);
    assert!(!delivers(), "nobody said where to");
    engine.deliver_channels_by_default(by_default()).expect("open");
    assert!(delivers());
    append(&stream, &[("k", b"3")]).expect("appended");
    stream.flush().expect("flushed");
    clock.advance_ms(HOUR_MS);
    assert_eq!(engine.serve(Service::Courier).expect("open"), 1);
    assert!(default.path().join("archive").is_dir(), "a bucket of the default place");
}

#[test]
fn what_failed_in_one_place_is_delivered_to_the_next_at_once() {
    let world = World::new();
    world.weather(Weather::Storm);
    world.put(0..3);
    assert_eq!(world.after_s(HOUR_MS / 1_000), 0);
    assert!(world.stream.channels().expect("open")[0].failure.is_some());
    let other = directory();
    let place = DirectoryDestination::new(other.path().to_path_buf(), Arc::new(OsDisk));
    world.engine.deliver_channels(Arc::new(place)).expect("open");
    assert_eq!(world.after_s(0), 1);
    assert!(other.path().join("archive").is_dir(), "a bucket of the other place");
    assert_eq!(world.stream.channels().expect("open")[0].failure, None);
}
