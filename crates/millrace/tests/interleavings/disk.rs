//! A disk that watches what is asked of it.
//!
//! It is the operating system's, with a chance for other threads before each operation. It knows which writes a sync
//! has covered that began after them, fails syncs when it is told to, and says so at once when a file is in use that
//! nobody can see is in use, or when a store is changed that was let go.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap, WritableMap};
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const EIO: i32 = 5;

/// What was written to a file: by its offset each write's length, and whether it is synced.
type Writes = BTreeMap<u64, (u64, bool)>;

#[derive(Debug)]
struct State {
    turn: AtomicU64,
    syncs_fail: AtomicBool,
    released: AtomicBool,
    // By inode. Never held while another thread may run.
    written: StdMutex<HashMap<u64, Writes>>,
}

impl State {
    /// Lets other threads go first.
    fn pause(&self) {
        self.turn.load(Ordering::SeqCst);
    }

    fn change(&self, what: &str, path: &Path) {
        self.pause();
        assert!(!self.released.load(Ordering::SeqCst), "{what} {} after the store was let go", path.display());
    }

    fn written<R>(&self, work: impl FnOnce(&mut HashMap<u64, Writes>) -> R) -> R {
        work(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct WatchedDisk(Arc<State>);

impl Default for WatchedDisk {
    fn default() -> WatchedDisk {
        WatchedDisk(Arc::new(State {
            turn: AtomicU64::new(0),
            syncs_fail: AtomicBool::new(false),
            released: AtomicBool::new(false),
            written: StdMutex::default(),
        }))
    }
}

impl WatchedDisk {
    /// From now on each sync fails.
    pub fn fail_syncs(&self) {
        self.0.syncs_fail.store(true, Ordering::SeqCst);
    }

    /// From now on nobody may change anything.
    pub fn release(&self) {
        self.0.released.store(true, Ordering::SeqCst);
    }

    /// Fails if a write before `end` was not covered by a sync that began after it.
    pub fn assert_synced(&self, path: &Path, end: u32) {
        let inode = std::fs::metadata(path).expect("a file of the log").ino();
        self.0.written(|written| {
            for (offset, (bytes, synced)) in written.entry(inode).or_default().range(..u64::from(end)) {
                let name = path.display();
                assert!(synced, "{bytes} bytes at {offset} of {name} are taken for durable up to {end}, and are not");
            }
        });
    }
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.0.pause();
        if access != Access::Read {
            self.0.change("opened for writing", path);
        }
        let file = OsDisk.open(path, access)?;
        let inode = std::fs::metadata(path)?.ino();
        if access == Access::Create {
            self.0.written(|written| written.remove(&inode));
        }
        let path = path.to_path_buf();
        Ok(Arc::new(WatchedFile { file: Some(file), inode, path, state: Arc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change("renamed", from);
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.change("removed", path);
        OsDisk.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.pause();
        let mut names = OsDisk.list(directory)?;
        // In an order that is the same in each execution.
        names.sort_unstable();
        Ok(names)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.0.change("made", path);
        OsDisk.make_directory(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.0.change("removed", path);
        OsDisk.remove_tree(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.0.pause();
        OsDisk.sync_directory(path)
    }
}

#[derive(Debug)]
struct WatchedFile {
    // Empty only while it is dropped.
    file: Option<Arc<dyn DiskFile>>,
    inode: u64,
    path: PathBuf,
    state: Arc<State>,
}

impl WatchedFile {
    fn file(&self) -> &dyn DiskFile {
        &**self.file.as_ref().expect("open until it is dropped")
    }
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        // Whoever lets go of a lock and closes a file next is not alone in between.
        if !std::thread::panicking() {
            self.state.pause();
        }
        self.file = None;
    }
}

impl DiskFile for WatchedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state.change("wrote to", &self.path);
        self.file().write_at(bytes, offset)?;
        let write = (bytes.len() as u64, false);
        self.state.written(|written| written.entry(self.inode).or_default().insert(offset, write));
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.state.pause();
        self.file().read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file().bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.state.change("cut", &self.path);
        self.file().truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.state.change("allocated", &self.path);
        // A hole does as well here, and costs a model no memory.
        self.file().truncate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let begun = self.state.written(|written| written.entry(self.inode).or_default().clone());
        self.state.pause();
        if self.state.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.state.written(|written| {
            let writes = written.entry(self.inode).or_default();
            for offset in begun.keys() {
                writes.entry(*offset).and_modify(|(_, synced)| *synced = true);
            }
        });
        Ok(())
    }

    fn share(&self) -> io::Result<()> {
        let shared = self.file().share();
        assert!(shared.is_ok(), "{} is in use and nobody can see it: {shared:?}", self.path.display());
        shared
    }

    fn claim(&self) -> io::Result<bool> {
        self.state.pause();
        self.file().claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        self.file().map(bytes)
    }

    fn map_writable(&self, bytes: usize) -> io::Result<WritableMap> {
        self.file().map_writable(bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.file().map_private(bytes)
    }
}
