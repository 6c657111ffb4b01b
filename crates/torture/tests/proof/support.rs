//! A store on a simulated disk, to be broken step by step.

use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::format::record::Records;
use millrace::{
    Commit, Durability, Engine, ReaderOptions, Result, StagedRecords, StartAt, Step, Stream, StreamConfig, Visibility,
};
use millrace_torture::disk::{Failure, Fault, Operation, SimDisk, Survival, World};
use millrace_torture::room;
use tempfile::TempDir;

/// A store on a simulated disk.
pub struct Store {
    pub disk: SimDisk,
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    _directory: TempDir,
}

/// Opens what a disk holds.
pub fn open(world: World) -> Store {
    open_by(world, 1)
}

/// The same with another chance of what the disk keeps where it fails.
pub fn open_by(world: World, seed: u64) -> Store {
    let directory = room::directory();
    let root = directory.path().canonicalize().expect("a directory");
    let disk = SimDisk::new(&root, world, seed, Arc::new(|_, _| {})).expect("memory");
    let clock = Arc::new(ManualClock::new(1_767_225_600_000));
    let engine = room::open(&disk, &root, &clock, 1, 64 << 10).expect("opens");
    Store { disk, engine, clock, _directory: directory }
}

impl Store {
    /// A stream with one shard.
    pub fn create(&self, durability: Durability) -> Stream {
        self.engine.create_stream("one", StreamConfig { durability, ..StreamConfig::default() }).expect("a stream")
    }

    /// The operation fails the next times.
    pub fn next_fail(&self, operation: Operation, times: u64, failure: Failure) {
        self.disk.plan(Fault { operation, after: 0, times, failure });
    }

    /// The process is killed; its machine goes on.
    pub fn killed(self) -> Store {
        let world = self.disk.world().without_process(false);
        self.disk.kill();
        open(world)
    }

    /// The power fails, and nothing is left but what was synced.
    pub fn without_power(self) -> Store {
        let world = self.disk.world().without_power(Survival::Nothing, &mut fastrand::Rng::with_seed(1));
        self.disk.kill();
        open(world)
    }
}

/// Appends a record of a text, filled up with blanks to so many bytes.
pub fn append(stream: &Stream, text: &str, bytes: usize) -> Result<()> {
    let mut staged = StagedRecords::default();
    let mut data = text.as_bytes().to_vec();
    data.resize(bytes.max(data.len()), b' ');
    staged.push("key", None, &data);
    stream.append(staged.as_staged(), None, Commit::Caller).map(drop)
}

/// The texts of all records.
pub fn texts(stream: &Stream) -> Vec<String> {
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
