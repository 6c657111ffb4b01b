//! What the tests share: a directory in memory, a clock that stands still, and records as plain values.

use std::path::Path;
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::format::record::Records;
use millrace::{
    Chunk, Commit, Engine, Environment, OpenOptions, Placement, Reader, ReaderOptions, Result, StagedRecords, StartAt,
    Step, Stream, Visibility,
};
use tempfile::TempDir;

/// Where the manual clocks of the tests begin, in milliseconds since 1970.
pub const START_MS: u64 = 1_767_225_600_000;
/// An hour, in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;

/// A record as a reader gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub shard: u32,
    pub sequence: u64,
    pub arrival_ms: u64,
    pub key: String,
    pub data: Vec<u8>,
}

/// A new directory, in memory where the machine has such a file system: what these tests show needs no real disk.
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Options with a clock that the test holds and small segments.
pub fn options(clock: &Arc<ManualClock>) -> OpenOptions {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    let environment = Environment { clock, ..Environment::default() };
    OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() }
}

/// Opens a store under a clock.
pub fn open(path: &Path, clock: &Arc<ManualClock>) -> Engine {
    Engine::open(path, options(clock)).expect("the store opens")
}

/// Copies a store's files as they are: what a process that dies at this moment leaves behind.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), &target) {
            // The engine's own threads may finish a file and give it its name meanwhile.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", entry.path().display());
        }
    }
}

/// Appends records; returns where they went.
pub fn append(stream: &Stream, records: &[(&str, &[u8])]) -> Result<Vec<Placement>> {
    let mut staged = StagedRecords::default();
    for (key, data) in records {
        staged.push(key, None, data);
    }
    let mut placements = Vec::new();
    stream.append(staged.as_staged(), Some(&mut placements), Commit::Caller)?;
    Ok(placements)
}

/// Adds the records of a chunk.
pub fn unpack(chunk: &Chunk, records: &mut Vec<Record>) {
    for run in &chunk.runs {
        let before = records.len();
        for (sequence, record) in (run.first_sequence..).zip(Records::new(chunk.payload(run).expect("mapped"))) {
            records.push(Record {
                shard: run.shard,
                sequence,
                arrival_ms: run.arrival_ms,
                key: String::from_utf8(record.key.to_vec()).expect("keys are UTF-8"),
                data: record.data.to_vec(),
            });
        }
        assert_eq!(records.len() - before, run.records as usize, "a run holds as many records as it says");
    }
}

/// Reads on to the tail.
pub fn drain(reader: &mut Reader) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    while let Step::Chunk(chunk) = reader.next(1_000, 1 << 20)? {
        unpack(&chunk, &mut records);
    }
    Ok(records)
}

/// All published records of one shard or of the whole stream from a place on.
pub fn read(stream: &Stream, shard: Option<u32>, from: StartAt) -> Result<Vec<Record>> {
    drain(&mut stream.reader(ReaderOptions { shard, from, visibility: Visibility::Published })?)
}

/// All published records of the whole stream.
pub fn read_all(stream: &Stream) -> Vec<Record> {
    read(stream, None, StartAt::TrimHorizon).expect("an undamaged stream")
}

/// A reader of all that is published, from the oldest record on.
pub fn reader(stream: &Stream) -> Reader {
    let options = ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Published };
    stream.reader(options).expect("a reader")
}
