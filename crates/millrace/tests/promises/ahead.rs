//! Segments that are made ahead of the writer, and a writer that cannot use them: the order of the log holds.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use millrace::clock::ManualClock;
use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::{Durability, Engine, Environment, OpenOptions, Retention, StreamConfig};

use crate::support::{START_MS, append, directory, read_all};

/// Nothing here takes so long, unless it is stuck.
const STUCK: Duration = Duration::from_secs(20);

/// What a disk does about the next segment that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// The next file that is made is held up.
    Armed,
    /// It is held up until some file is removed.
    Holding,
}

/// The operating system's disk, on which the making of a file takes until another one is removed.
#[derive(Debug)]
struct GatedDisk {
    gate: Mutex<Gate>,
    moved: Condvar,
}

impl GatedDisk {
    fn set(&self, from: Gate, to: Gate) {
        let mut gate = self.gate.lock().expect("no panic");
        if *gate == from {
            *gate = to;
            self.moved.notify_all();
        }
    }

    fn wait_while(&self, state: Gate) {
        let gate = self.gate.lock().expect("no panic");
        let (gate, timeout) = self.moved.wait_timeout_while(gate, STUCK, |gate| *gate == state).expect("no panic");
        drop(gate);
        assert!(!timeout.timed_out(), "stuck at {state:?}");
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        if access == Access::Create && path.extension().is_some_and(|extension| extension == "tmp") {
            self.set(Gate::Armed, Gate::Holding);
            self.wait_while(Gate::Holding);
        }
        OsDisk.open(path, access)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.set(Gate::Holding, Gate::Open);
        OsDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(directory)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_tree(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_directory(path)
    }
}

#[test]
fn sequences_grow_when_a_frame_is_too_large_for_what_stands_ready_while_another_segment_is_made() {
    let directory = directory();
    let clock = Arc::new(ManualClock::new(START_MS));
    let disk = Arc::new(GatedDisk { gate: Mutex::new(Gate::Open), moved: Condvar::new() });
    let environment =
        Environment { clock: Arc::clone(&clock) as _, disk: Arc::clone(&disk) as _, ..Environment::default() };
    let options = OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() };
    let engine = Engine::open(directory.path(), options).expect("opens");
    // Two segments stand ready.
    let config = StreamConfig {
        preallocate_bytes: 128 << 10,
        durability: Durability::Os,
        retention: Retention::Unbounded,
        ..StreamConfig::default()
    };
    let stream = engine.create_stream("ahead", config).expect("a stream");
    let mut written = Vec::new();
    let mut put =
        |bytes: usize| written.push(append(&stream, &[("key", &vec![7; bytes])]).expect("appended")[0].sequence);
    // The third one goes into the first of the two. A writer that is slow gets the next one made when that is half full.
    (0..3).for_each(|_| put(20 << 10));
    clock.advance_ms(10_000);
    disk.set(Gate::Open, Gate::Armed);
    put(10 << 10);
    disk.wait_while(Gate::Armed);
    // Too large for the other one, which is removed; only then does the making of the third go on.
    put(100 << 10);
    // Until the large one's segment is full, and the next one begins.
    (0..20).for_each(|_| put(50 << 10));
    assert!(written.is_sorted(), "a sequence went back: {written:?}");
    let read: Vec<_> = read_all(&stream).into_iter().map(|record| record.sequence).collect();
    assert_eq!(read, written);
    engine.close().expect("closed");
}
