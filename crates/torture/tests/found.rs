//! What the campaigns have found, each as the shortest history that shows it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::format::record::Records;
use millrace::{
    Commit, Durability, Engine, Kind, ReaderOptions, Result, StartAt, Step, Stream, StreamConfig, Visibility,
    stage_record,
};
use millrace_torture::disk::{EIO, ENOSPC, Failure, Fault, Operation, SimDisk, Survival, World};
use millrace_torture::room;
use tempfile::TempDir;

/// A store on a simulated disk.
struct Store {
    disk: SimDisk,
    engine: Engine,
    _directory: TempDir,
}

fn open(world: World) -> Store {
    let directory = room::directory();
    let root: PathBuf = directory.path().canonicalize().expect("a directory");
    let disk = SimDisk::new(&root, world, 1, Arc::new(|_, _| {})).expect("memory");
    let clock = Arc::new(ManualClock::new(1_767_225_600_000));
    let engine = room::open(&disk, Path::new(&root), &clock, 1, 64 << 10).expect("opens");
    Store { disk, engine, _directory: directory }
}

impl Store {
    fn create(&self, durability: Durability) -> Stream {
        self.engine.create_stream("one", StreamConfig { durability, ..StreamConfig::default() }).expect("a stream")
    }

    /// The operation fails next time, once.
    fn next_fails(&self, operation: Operation, failure: Failure) {
        self.disk.plan(Fault { operation, after: 0, times: 1, failure });
    }

    /// The process is killed; its machine goes on.
    fn killed(self) -> Store {
        let world = self.disk.world().without_process(false);
        self.disk.kill();
        open(world)
    }

    /// The power fails, and nothing is left but what was synced.
    fn without_power(self) -> Store {
        let world = self.disk.world().without_power(Survival::Nothing, &mut fastrand::Rng::with_seed(1));
        self.disk.kill();
        open(world)
    }
}

fn append(stream: &Stream, text: &str, bytes: usize) -> Result<()> {
    let mut staged = Vec::new();
    let mut data = text.as_bytes().to_vec();
    data.resize(bytes.max(data.len()), b' ');
    stage_record(&mut staged, "key", None, &data);
    stream.append(&staged, 1, None, Commit::Caller).map(drop)
}

/// The texts of all records.
fn texts(stream: &Stream) -> Vec<String> {
    let options = ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Published };
    let mut reader = stream.reader(options).expect("a reader");
    let mut texts = Vec::new();
    while let Step::Chunk(chunk) = reader.next(100, 1 << 20).expect("readable") {
        for run in &chunk.runs {
            let records = Records::new(chunk.payload(run).expect("mapped"));
            texts.extend(records.map(|record| String::from_utf8_lossy(record.data).trim_end().to_owned()));
        }
    }
    texts
}

#[test]
fn a_stream_that_was_deleted_does_not_come_back_when_the_power_fails() {
    let store = open(World::default());
    let stream = store.create(Durability::Synced);
    append(&stream, "kept", 0).expect("appended");
    stream.flush().expect("flushed");
    drop(stream);
    store.engine.delete_stream("one").expect("deleted");
    let store = store.without_power();
    assert_eq!(store.engine.warnings(), Vec::<String>::new(), "nothing is left that nobody knows");
    assert_eq!(store.engine.list_streams().expect("a list"), []);
}

#[test]
fn a_frame_that_a_full_disk_has_refused_does_not_cut_off_those_behind_it() {
    let store = open(World::default());
    let stream = store.create(Durability::Os);
    append(&stream, "first", 0).expect("appended");
    store.next_fails(Operation::Write, Failure::Arrived(ENOSPC));
    let refused = append(&stream, "refused", 5_000).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::DiskFull));
    // Too large for what is left of the segment, so the log goes on in the next one.
    append(&stream, "large", 62_000).expect("the disk has room again");
    append(&stream, "last", 0).expect("appended");
    let store = store.killed();
    let stream = store.engine.stream("one").expect("the stream");
    assert_eq!(texts(&stream), ["first", "large", "last"]);
    assert_eq!(store.engine.warnings(), Vec::<String>::new());
}

#[test]
fn an_opening_that_a_full_disk_has_refused_does_not_end_the_segment_before_it() {
    let store = open(World::default());
    let stream = store.create(Durability::Os);
    append(&stream, "first", 3_000).expect("appended");
    // Of the next segment the header is written, then its opening.
    store.disk.plan(Fault { operation: Operation::Write, after: 1, times: 1, failure: Failure::Arrived(ENOSPC) });
    let refused = append(&stream, "large", 62_000).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::DiskFull));
    append(&stream, "small", 3_000).expect("there is room in the segment before");
    let store = store.killed();
    assert_eq!(texts(&store.engine.stream("one").expect("the stream")), ["first", "small"]);
}

#[test]
fn an_index_that_cannot_be_read_is_not_called_damaged() {
    let store = open(World::default());
    let stream = store.create(Durability::Synced);
    for _ in 0..3 {
        append(&stream, "large", 40_000).expect("appended");
    }
    store.engine.serve(millrace::Service::Keeper).expect("seals");
    drop(texts(&stream));
    store.disk.plan(Fault { operation: Operation::Read, after: 0, times: 1, failure: Failure::Errno(EIO) });
    let verified = stream.verify(|_, _| true).map_err(|error| error.kind());
    assert_eq!(verified.map(|verification| verification.findings), Err(Kind::Io));
    assert!(stream.verify(|_, _| true).expect("readable").findings.is_empty());
}
