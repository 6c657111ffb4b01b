//! What models share: a clock that a model moves, a disk that knows what was synced, and readers that wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Counter, Ordering};

use millrace::clock::ManualClock;
use millrace::format::record::Records;
use millrace::{
    Chunk, Commit, Engine, Entropy, Environment, OpenOptions, Position, Reader, ReaderOptions, Registration, Result,
    Services, StagedRecords, StartAt, Step, Stream, Visibility, Wake,
};
use shuttle::sync::{Condvar, Mutex};
use tempfile::TempDir;

use crate::disk::WatchedDisk;

/// Where the clock of a model begins, in milliseconds since 1970.
pub const START_MS: u64 = 1_767_225_600_000;

/// A directory in memory, where the machine has such a file system.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Numbers that are the same in each execution.
#[derive(Debug, Default)]
struct Counted(Counter);

impl Entropy for Counted {
    fn random(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// One execution's machine.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<ManualClock>,
    pub disk: WatchedDisk,
    entropy: Arc<dyn Entropy>,
    path: PathBuf,
}

impl World {
    /// An empty machine.
    pub fn new(path: &Path) -> World {
        if path.exists() {
            std::fs::remove_dir_all(path).expect("the execution before has ended");
        }
        World {
            clock: Arc::new(ManualClock::new(START_MS)),
            disk: WatchedDisk::default(),
            entropy: Arc::new(Counted::default()),
            path: path.to_path_buf(),
        }
    }

    /// The same machine with a disk that may be changed again.
    pub fn again(&self) -> World {
        World { disk: WatchedDisk::default(), ..self.clone() }
    }

    /// Opens the store, with the engine's own threads.
    pub fn open(&self) -> Result<Engine> {
        let environment = Environment {
            clock: Arc::clone(&self.clock) as _,
            disk: Arc::new(self.disk.clone()),
            entropy: Arc::clone(&self.entropy),
            services: Services::Threads,
            ..Environment::default()
        };
        Engine::open(&self.path, OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() })
    }

    /// Time passes, and whoever waits for it looks at the clock.
    pub fn advance_ms(&self, ms: u64) {
        self.clock.advance_ms(ms);
        millrace::time_passes();
    }

    /// Fails if not all of a stream's log before `end` was covered by a sync that began after it was written.
    pub fn assert_synced(&self, stream: &Stream, end: Position) {
        let directory = self.path.join("streams").join(format!("{:016x}", stream.describe().id));
        self.disk.assert_synced(&directory.join(format!("{:08x}.seg", end.segment)), end.offset);
    }
}

/// Appends one record; returns where it ends.
pub fn append(stream: &Stream, key: &str, data: &[u8], commit: Commit) -> Result<Position> {
    let mut staged = StagedRecords::default();
    staged.push(key, None, data);
    stream.append(staged.as_staged(), None, commit).map(|appended| appended.end)
}

/// A record as a reader gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub shard: u32,
    pub sequence: u64,
    pub data: Vec<u8>,
}

/// The records of a chunk.
pub fn unpack(chunk: &Chunk) -> Vec<Record> {
    let records = |run: &millrace::RunView| {
        let payload = chunk.payload(run).expect("mapped");
        let data: Vec<_> = Records::new(payload).map(|record| record.data.to_vec()).collect();
        (run.shard, run.first_sequence, data)
    };
    let mut all = Vec::new();
    for (shard, first, data) in chunk.runs.iter().map(records) {
        all.extend((first..).zip(data).map(|(sequence, data)| Record { shard, sequence, data }));
    }
    all
}

/// A bell that a thread waits for, as an event loop does.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(&self) {
        *self.rung.lock().expect("no panic holds it") = true;
        self.changed.notify_one();
    }
}

impl Bell {
    pub fn wait(&self) {
        let mut rung = self.rung.lock().expect("no panic holds it");
        while !*rung {
            rung = self.changed.wait(rung).expect("no panic holds it");
        }
        *rung = false;
    }
}

/// A reader that waits at the tail until it is woken.
pub struct Follower {
    reader: Reader,
    bell: Arc<Bell>,
    _registration: Registration,
}

impl Follower {
    pub fn new(stream: &Stream, shard: Option<u32>, visibility: Visibility) -> Result<Follower> {
        let reader = stream.reader(ReaderOptions { shard, from: StartAt::TrimHorizon, visibility })?;
        let bell = Arc::new(Bell::default());
        let registration = stream.on_change(stream.change_of(visibility), Arc::clone(&bell) as _);
        Ok(Follower { reader, bell, _registration: registration })
    }

    /// The next chunk; waits for one.
    pub fn next(&mut self) -> Result<Chunk> {
        loop {
            if let Step::Chunk(chunk) = self.reader.next(100, 1 << 20)? {
                return Ok(chunk);
            }
            self.bell.wait();
        }
    }

    /// So many records; waits for them.
    pub fn take(&mut self, count: usize, mut look: impl FnMut(&Chunk)) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        while records.len() < count {
            let chunk = self.next()?;
            look(&chunk);
            records.extend(unpack(&chunk));
        }
        Ok(records)
    }
}

/// Fails if the records of a shard do not come in the order of their sequences.
pub fn assert_ordered(records: &[Record]) {
    for pair in records.windows(2) {
        assert!(pair[0].sequence < pair[1].sequence, "{:?} came before {:?}", pair[0], pair[1]);
    }
}
