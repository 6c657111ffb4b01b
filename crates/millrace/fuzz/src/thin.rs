//! A disk that costs nothing to fill: blocks are promised and not reserved, and a sync has no disk to wait for. What is
//! fuzzed here is what stands in files, not what the disk does with them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace::clock::ManualClock;
use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap};
use millrace::{Entropy, Environment};
use tempfile::TempDir;

/// When the fuzzed stores are opened, in milliseconds since 1970.
pub const NOW_MS: u64 = 1_800_000_000_000;

#[derive(Debug)]
struct ThinDisk;

#[derive(Debug)]
struct ThinFile(Arc<dyn DiskFile>);

impl Disk for ThinDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ThinFile(OsDisk.open(path, access)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
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

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for ThinFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.truncate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn share(&self) -> io::Result<()> {
        self.0.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.0.claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        self.0.map(bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.0.map_private(bytes)
    }
}

/// Counts, so that the same input leads to the same files.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) | 1 << 63
    }
}

/// A clock that stands still, numbers that are the same again, and the thin disk.
pub fn environment() -> Environment {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    Environment { clock, entropy: Arc::new(Counter::default()), disk: Arc::new(ThinDisk), ..Environment::default() }
}

/// A directory of its own for a store, in memory where the machine has a place for that.
pub fn scratch() -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    let directory = directory.expect("a directory for the store");
    let store = directory.path().join("store");
    (directory, store)
}

/// Copies a store as it stands, as a crash of the machine would leave it.
pub fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory for the copy");
    for entry in std::fs::read_dir(from).expect("a store's directory") {
        let entry = entry.expect("an entry of a directory");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type of file").is_dir() {
            copy_store(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
