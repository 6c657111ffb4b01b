//! A small store, ways to damage it, and what its repaired copy holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::{
    Durability, Engine, Environment, Kind, ReaderOptions, Repair, Retention, StartAt, Step, Stream, StreamConfig,
    Visibility, repair, verify,
};
use tempfile::TempDir;

use crate::support::{HOUR_MS, Record, START_MS, append, copy_tree, directory, open, options, read_all, unpack};

const SEGMENT_HEADER_BYTES: usize = 4096;
/// The directory of the stream that is damaged.
pub const STREAM: &str = "streams/0000000000000001/";

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Closed,
    Crashed,
}

/// A store's files, and the records that were in its streams.
pub struct Fixture {
    pub files: BTreeMap<String, Vec<u8>>,
    pub records: BTreeMap<String, Vec<Record>>,
}

pub fn files_of(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(root.join(below)).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                add(root, &format!("{name}/"), files);
            } else {
                files.insert(name, std::fs::read(entry.path()).expect("a file"));
            }
        }
    }
    let mut files = BTreeMap::new();
    add(root, "", &mut files);
    // Who holds the store is no part of it.
    files.remove("LOCK");
    files
}

/// A stream of three shards with a sealed segment and one that is written to, each frame with a run of every shard;
/// and one of other settings.
pub fn fixture(left: Left) -> Fixture {
    let directory = directory();
    let clock = Arc::new(ManualClock::new(START_MS));
    let engine = open(directory.path(), &clock);
    let config = StreamConfig { shards: 3, codec: Some("json".into()), ..StreamConfig::default() };
    let stream = engine.create_stream("small", config).expect("a stream");
    clock.advance_ms(5_000);
    let config =
        StreamConfig { retention: Retention::Unbounded, durability: Durability::Os, ..StreamConfig::default() };
    let other = engine.create_stream("other", config).expect("a stream");
    let put = |from: usize| {
        let texts: Vec<_> = (from..from + 9).map(|n| (format!("key-{n}"), format!("the data of record {n}"))).collect();
        let records: Vec<_> = texts.iter().map(|(key, data)| (key.as_str(), data.as_bytes())).collect();
        append(&stream, &records).expect("appended");
        stream.flush().expect("flushed");
        append(&other, &records[..1]).expect("appended");
    };
    for frame in 0..3 {
        put(frame * 9);
        clock.advance_ms(1_000);
    }
    // The first segments are too old now for what comes next.
    clock.advance_ms(2 * HOUR_MS);
    (3..6).for_each(|frame| put(frame * 9));
    while !directory.path().join(format!("{STREAM}00000001.idx")).exists() {
        std::thread::yield_now();
    }
    other.flush().expect("flushed");
    let records = [&stream, &other].map(|stream| (stream.name().to_owned(), read_all(stream))).into();
    let copy = crate::support::directory();
    copy_tree(directory.path(), copy.path());
    engine.close().expect("closed");
    let files = files_of(if left == Left::Closed { directory.path() } else { copy.path() });
    Fixture { files, records }
}

impl Fixture {
    pub fn write(&self, root: &Path) {
        for (name, bytes) in &self.files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("in the store")).expect("a directory");
            std::fs::write(path, bytes).expect("written");
        }
    }

    /// The bytes in use of a file.
    fn used(&self, file: &str) -> usize {
        let bytes = &self.files[file];
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }

    /// Damages of one file: flipped bits and truncations at a stride that meets every part.
    pub fn damages(&self, file: &str) -> Vec<Damage> {
        let is_segment = file.ends_with(".seg");
        let is_zero = |byte: &usize| is_segment && (72..SEGMENT_HEADER_BYTES).contains(byte);
        let places = (0..self.used(file)).filter(|byte| !is_zero(byte)).step_by(if is_segment { 71 } else { 53 });
        let flips = places.clone().map(|byte| Damage { file: file.to_owned(), change: Change::Flip(byte) });
        let cuts = places.step_by(5).map(|bytes| Damage { file: file.to_owned(), change: Change::Cut(bytes) });
        flips.chain(cuts).collect()
    }
}

#[derive(Clone, Debug)]
pub enum Change {
    /// A bit of this byte.
    Flip(usize),
    /// To this length.
    Cut(usize),
    /// These bytes become zeros.
    Zero(Range<usize>),
    Remove,
}

#[derive(Clone, Debug)]
pub struct Damage {
    pub file: String,
    pub change: Change,
}

impl Damage {
    pub fn apply(&self, root: &Path) {
        let path = root.join(&self.file);
        if matches!(self.change, Change::Remove) {
            return std::fs::remove_file(path).expect("removed");
        }
        let mut bytes = std::fs::read(&path).expect("a file");
        match &self.change {
            Change::Flip(byte) => bytes[*byte] ^= 1 << (byte % 8),
            Change::Cut(length) => bytes.truncate(*length),
            Change::Zero(range) => bytes[range.clone()].fill(0),
            Change::Remove => {}
        }
        std::fs::write(path, bytes).expect("written");
    }

    /// Whether it hits a segment's header, which a reader needs and repair can do without.
    pub fn is_of_a_header(&self) -> bool {
        self.file.ends_with(".seg") && matches!(self.change, Change::Flip(byte) if byte < SEGMENT_HEADER_BYTES)
    }
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START_MS + 10 * HOUR_MS))
}

pub fn environment() -> Environment {
    let clock: Arc<ManualClock> = clock();
    Environment { clock, ..Environment::default() }
}

/// All that is durable of a stream, over all damage.
pub fn read_over(stream: &Stream) -> Vec<Record> {
    let options = ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
    let mut reader = stream.reader(options).expect("a reader");
    let mut records = Vec::new();
    loop {
        match reader.next(7, 1 << 20) {
            Ok(Step::Chunk(chunk)) => unpack(&chunk, &mut records),
            Ok(Step::AtTail | Step::EndOfShard(_)) => return records,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
                reader.skip_damage().expect("skipped");
            }
        }
    }
}

/// What the store itself still gives to readers, by stream; nothing of what cannot be opened.
pub fn readable(root: &Path) -> BTreeMap<String, Vec<Record>> {
    let Ok(engine) = Engine::open(root, options(&clock())) else { return BTreeMap::new() };
    let mut records = BTreeMap::new();
    for summary in engine.list_streams().expect("open") {
        if let Ok(stream) = engine.stream(&summary.name) {
            records.insert(summary.name, read_over(&stream));
        }
    }
    engine.close().expect("closed");
    records
}

/// A store, its copy, and what the repair said.
pub struct Repaired {
    _directory: TempDir,
    pub copy: PathBuf,
    pub repair: Repair,
}

pub fn repaired(fixture: &Fixture, damage: impl Fn(&Path)) -> Repaired {
    let directory = directory();
    let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
    fixture.write(&store);
    damage(&store);
    let before = files_of(&store);
    let repair = repair(&store, &copy, &environment(), |_, _| true).expect("repaired").expect("not stopped");
    assert!(files_of(&store) == before, "the store is as it was");
    Repaired { _directory: directory, copy, repair }
}

impl Repaired {
    /// Opens the copy, which must be a store that nobody would call repaired; returns its records.
    pub fn judge(&self, fixture: &Fixture) -> BTreeMap<String, Vec<Record>> {
        let verified = verify(&self.copy, &environment(), |_, _| true).expect("verified");
        assert_eq!(verified.damages, [], "the copy verifies");
        let engine = open(&self.copy, &clock());
        let mut records = BTreeMap::new();
        for summary in engine.list_streams().expect("open") {
            let stream = engine.stream(&summary.name).expect("a stream");
            let read = read_all(&stream);
            assert!(read.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "in order");
            let told = self.repair.streams.iter().find(|told| told.name == summary.name).expect("reported");
            assert_eq!((told.id, told.records), (summary.id, read.len() as u64));
            let mut of_shards: Vec<_> = (0..summary.config.shards)
                .flat_map(|shard| crate::support::read(&stream, Some(shard), StartAt::TrimHorizon).expect("readable"))
                .collect();
            of_shards.sort_by_key(|record| record.sequence);
            assert_eq!(of_shards, read, "every shard");
            let placement = append(&stream, &[("later", b"more")]).expect("appended")[0];
            // A stream without its name is told by what it holds.
            let written = fixture.records.get(&summary.name).or_else(|| {
                fixture.records.values().find(|written| read.iter().all(|record| written.contains(record)))
            });
            let given = written.and_then(|written| written.last()).expect("records").sequence;
            assert!(placement.sequence > given, "sequence {} is given again", placement.sequence);
            records.insert(summary.name, read);
        }
        assert_eq!(engine.warnings(), Vec::<String>::new(), "nothing to complain about");
        engine.close().expect("closed");
        records
    }

    pub fn messages(&self) -> Vec<String> {
        self.repair.damages.iter().map(ToString::to_string).collect()
    }
}
