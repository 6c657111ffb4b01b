//! Every operation on the disk fails once, at every place of a short history: the error has a type, nothing that was
//! acknowledged is lost, a failed sync is never retried, and a full disk is no end.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use millrace::clock::ManualClock;
use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap};
use millrace::{Engine, Environment, Error, Kind, OpenOptions, Stream, StreamConfig};

use crate::support::{self, HOUR_MS, START_MS, append, directory, read_all};

/// What the disk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Open,
    Write,
    Sync,
    Allocate,
    Rename,
    Remove,
    SyncDirectory,
}

const OPERATIONS: [Operation; 7] = [
    Operation::Open,
    Operation::Write,
    Operation::Sync,
    Operation::Allocate,
    Operation::Rename,
    Operation::Remove,
    Operation::SyncDirectory,
];

/// How long a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    Once,
    /// From then on, until the disk is healed.
    UntilHealed,
}

/// When a disk fails, and how.
#[derive(Debug)]
struct Plan {
    operation: Operation,
    /// Counts down to the failure.
    left: AtomicUsize,
    lasts: Lasts,
    healed: AtomicBool,
    errno: i32,
    failed: AtomicBool,
    /// Files whose sync has failed.
    unsynced: Mutex<Vec<usize>>,
    retried: AtomicBool,
}

impl Plan {
    fn new(operation: Operation, at: usize, lasts: Lasts, errno: i32) -> Arc<Plan> {
        Arc::new(Plan {
            operation,
            left: AtomicUsize::new(at),
            lasts,
            healed: AtomicBool::new(false),
            errno,
            failed: AtomicBool::new(false),
            unsynced: Mutex::new(Vec::new()),
            retried: AtomicBool::new(false),
        })
    }

    fn check(&self, operation: Operation) -> io::Result<()> {
        if operation != self.operation || self.healed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let due = match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => false,
            Err(_) => self.lasts == Lasts::UntilHealed || !self.failed.load(Ordering::SeqCst),
        };
        if !due {
            return Ok(());
        }
        self.failed.store(true, Ordering::SeqCst);
        Err(io::Error::from_raw_os_error(self.errno))
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The operating system's disk, which fails as planned.
#[derive(Debug)]
struct FaultDisk {
    plan: Arc<Plan>,
    opened: AtomicUsize,
}

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn DiskFile>,
    plan: Arc<Plan>,
    id: usize,
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        // A full disk fails nobody who only reads.
        if access != Access::Read || self.plan.errno != ENOSPC {
            self.plan.check(Operation::Open)?;
        }
        let file = OsDisk.open(path, access)?;
        let id = self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(FaultFile { file, plan: Arc::clone(&self.plan), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(Operation::Rename)?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Remove)?;
        OsDisk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(directory)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Remove)?;
        OsDisk.remove_tree(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::SyncDirectory)?;
        OsDisk.sync_directory(path)
    }
}

impl DiskFile for FaultFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.plan.check(Operation::Write) {
            // What a failed write leaves behind is anybody's guess: here, half of it.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.plan.check(Operation::Write)?;
        self.file.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.plan.check(Operation::Allocate)?;
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut unsynced = self.plan.unsynced.lock().expect("no panic holds it");
        if unsynced.contains(&self.id) {
            self.plan.retried.store(true, Ordering::SeqCst);
        }
        if let Err(error) = self.plan.check(Operation::Sync) {
            unsynced.push(self.id);
            return Err(error);
        }
        drop(unsynced);
        self.file.sync()
    }

    fn share(&self) -> io::Result<()> {
        self.file.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        self.file.map(bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.file.map_private(bytes)
    }
}

fn options(plan: &Arc<Plan>, clock: &Arc<ManualClock>) -> OpenOptions {
    let disk = Arc::new(FaultDisk { plan: Arc::clone(plan), opened: AtomicUsize::new(0) });
    let base = support::options(clock);
    OpenOptions { environment: Environment { disk, ..base.environment }, ..base }
}

/// What a history's writer was told, to be held against what is there afterwards.
#[derive(Default)]
struct Told {
    created: bool,
    acknowledged: Vec<Vec<u8>>,
    sequences: Vec<u64>,
    errors: Vec<Error>,
}

impl Told {
    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }
}

fn put(stream: &Stream, number: usize, bytes: usize, told: &mut Told) {
    let mut data = format!("record {number} ").into_bytes();
    data.resize(bytes.max(data.len()), b'.');
    let appended = told.note(append(stream, &[("key", &data)]));
    let Some(placements) = appended else { return };
    told.sequences.extend(placements.iter().map(|placement| placement.sequence));
    if told.note(stream.flush()).is_some() {
        told.acknowledged.push(data);
    }
}

/// A history that touches every part: create, append, roll, seal, expire, recycle, change, close.
fn history(path: &Path, plan: &Arc<Plan>, clock: &Arc<ManualClock>, told: &mut Told) -> Option<Engine> {
    let engine = told.note(Engine::open(path, options(plan, clock)))?;
    let made = told.note(engine.create_stream("faulty", StreamConfig::default()));
    told.created = made.is_some();
    let stream = match made {
        Some(stream) => stream,
        None => told.note(engine.create_stream("faulty", StreamConfig::default()))?,
    };
    told.created = true;
    for number in 0..4 {
        put(&stream, number, 30_000, told);
    }
    clock.advance_ms(2 * HOUR_MS);
    put(&stream, 4, 100, told);
    told.note(engine.set_retention("faulty", millrace::Retention::Hours(48)));
    for number in 5..8 {
        put(&stream, number, 20_000, told);
    }
    Some(engine)
}

fn typed(errors: &[Error], what: &str) {
    let expected = [Kind::Io, Kind::DiskFull, Kind::Poisoned, Kind::OutcomeUnknown, Kind::StreamExists];
    for error in errors {
        assert!(expected.contains(&error.kind()), "{what}: {error}");
    }
}

/// What was acknowledged is there, in order, and every sequence is new.
fn nothing_is_lost(path: &Path, clock: &Arc<ManualClock>, told: &Told, what: &str) {
    let engine = Engine::open(path, support::options(clock)).unwrap_or_else(|error| unreachable!("{what}: {error}"));
    if !told.created {
        return engine.close().expect("closed");
    }
    let stream = engine.stream("faulty").unwrap_or_else(|error| unreachable!("{what}: {error}"));
    let records = read_all(&stream);
    let alarms: Vec<_> = engine.warnings().into_iter().filter(|warning| warning.contains("damaged")).collect();
    assert!(alarms.is_empty(), "{what}: {alarms:?}");
    let mut there = records.iter();
    for data in &told.acknowledged {
        assert!(there.any(|record| record.data == *data), "{what}: an acknowledged record is gone");
    }
    let next = append(&stream, &[("key", b"afterwards")]).expect("a new disk takes appends")[0].sequence;
    assert!(told.sequences.iter().all(|sequence| *sequence < next), "{what}: sequence {next} was given before");
    engine.close().expect("closed");
}

/// Fails each place of the history in turn, until there is none left to fail.
fn at_every_place(operation: Operation, errno: i32, lasts: Lasts) {
    for at in 0..500 {
        let what = format!("{operation:?} {at} fails with {errno}, {lasts:?}");
        let directory = directory();
        let clock = Arc::new(ManualClock::new(START_MS));
        let plan = Plan::new(operation, at, lasts, errno);
        let mut told = Told::default();
        let engine = history(directory.path(), &plan, &clock, &mut told);
        typed(&told.errors, &what);
        if let Some(engine) = engine {
            let closed = engine.close();
            typed(&closed.err().into_iter().collect::<Vec<_>>(), &what);
        }
        assert!(!plan.retried.load(Ordering::SeqCst), "{what}: a failed sync is retried");
        nothing_is_lost(directory.path(), &clock, &told, &what);
        if !plan.has_failed() {
            assert!(at > 0, "the history has a {operation:?}");
            assert!(told.errors.is_empty(), "{:?}", told.errors);
            return;
        }
    }
    unreachable!("the history has fewer operations than that");
}

#[test]
fn one_failure_of_any_operation_loses_nothing_that_was_acknowledged() {
    for operation in OPERATIONS {
        at_every_place(operation, EIO, Lasts::Once);
    }
}

#[test]
fn a_disk_that_fails_for_good_loses_nothing_that_was_acknowledged() {
    for operation in [Operation::Write, Operation::Sync, Operation::Allocate] {
        at_every_place(operation, EIO, Lasts::UntilHealed);
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    for operation in [Operation::Open, Operation::Write, Operation::Allocate, Operation::Rename] {
        at_every_place(operation, ENOSPC, Lasts::Once);
        at_every_place(operation, ENOSPC, Lasts::UntilHealed);
    }
}

/// A stream with one acknowledged record on a disk that will fail all operations of a kind from now on.
fn with_a_disk_that_fails(path: &Path, operation: Operation, errno: i32) -> (Engine, Stream, Arc<Plan>) {
    let clock = Arc::new(ManualClock::new(START_MS));
    let plan = Plan::new(operation, 0, Lasts::UntilHealed, errno);
    plan.healed.store(true, Ordering::SeqCst);
    let engine = Engine::open(path, options(&plan, &clock)).expect("a healthy disk");
    let stream = engine.create_stream("one", StreamConfig::default()).expect("a stream");
    append(&stream, &[("key", b"before")]).expect("appended");
    stream.flush().expect("flushed");
    plan.healed.store(false, Ordering::SeqCst);
    (engine, stream, plan)
}

fn texts(stream: &Stream) -> Vec<String> {
    read_all(stream).into_iter().map(|record| String::from_utf8(record.data).expect("text")).collect()
}

#[test]
fn a_failed_sync_poisons_the_stream_and_reads_go_on() {
    let directory = directory();
    let (engine, stream, plan) = with_a_disk_that_fails(directory.path(), Operation::Sync, EIO);
    append(&stream, &[("key", b"in doubt")]).expect("appended");
    assert_eq!(stream.flush().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
    plan.healed.store(true, Ordering::SeqCst);
    // The disk works again, but what it holds of the failed sync nobody knows.
    assert_eq!(stream.flush().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
    let refused = append(&stream, &[("key", b"after")]).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(Kind::Poisoned));
    assert_eq!(stream.check_poison().map_err(|error| error.kind()), Err(Kind::Poisoned));
    assert!(stream.durable() < stream.published(), "nothing more is acknowledged");
    assert!(!plan.retried.load(Ordering::SeqCst));
    assert_eq!(texts(&stream)[0], "before");
    assert_eq!(engine.close().map_err(|error| error.kind()), Err(Kind::OutcomeUnknown));
}

#[test]
fn a_full_disk_leaves_the_stream_usable_when_there_is_room_again() {
    for operation in [Operation::Write, Operation::Allocate] {
        let directory = directory();
        let (engine, stream, plan) = with_a_disk_that_fails(directory.path(), operation, ENOSPC);
        // Enough for a new segment, which needs an allocation.
        let large = vec![b'x'; 70_000];
        for _ in 0..3 {
            let full = append(&stream, &[("key", &large)]).map_err(|error| error.kind());
            assert_eq!(full.err(), Some(Kind::DiskFull), "{operation:?}");
        }
        assert_eq!(texts(&stream), ["before"]);
        plan.healed.store(true, Ordering::SeqCst);
        append(&stream, &[("key", &large)]).expect("there is room");
        append(&stream, &[("key", b"after")]).expect("there is room");
        stream.flush().expect("flushed");
        assert_eq!(read_all(&stream).len(), 3);
        engine.close().expect("closed");
        let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
        assert_eq!(read_all(&engine.stream("one").expect("the stream")).len(), 3);
        engine.close().expect("closed");
    }
}

#[test]
fn a_failed_write_poisons_the_stream_and_keeps_what_was_durable() {
    let directory = directory();
    let (engine, stream, plan) = with_a_disk_that_fails(directory.path(), Operation::Write, EIO);
    let failed = append(&stream, &[("key", b"torn")]).map_err(|error| error.kind());
    assert_eq!(failed.err(), Some(Kind::Io));
    plan.healed.store(true, Ordering::SeqCst);
    let refused = append(&stream, &[("key", b"after")]).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(Kind::Poisoned));
    assert_eq!(texts(&stream), ["before"]);
    engine.close().expect("all that was published is durable");
    let engine = Engine::open(directory.path(), OpenOptions::default()).expect("opens");
    let stream = engine.stream("one").expect("the stream");
    assert_eq!(texts(&stream), ["before"]);
    append(&stream, &[("key", b"after")]).expect("an open after the failure takes appends");
    engine.close().expect("closed");
}
