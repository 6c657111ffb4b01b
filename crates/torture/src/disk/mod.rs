//! A disk that can lose power and fail, under an engine that maps real files.
//!
//! What processes see lies in a real directory; beside it this disk keeps, for each file and each directory, what is
//! certain to be on the medium and what may be. A [`World`] of that is taken at any operation, in a copy that costs
//! next to nothing; a crash of the machine makes a new disk of it by chance, a crash of the process alone carries all
//! of it over.
//!
//! Names: of the changes in a directory that were not synced, a crash keeps any number of the first, each directory for
//! itself; a file that is moved between two directories is in one of them.

pub mod content;
pub mod file;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use millrace::disk::{Access, Disk, DiskFile, OsDisk};
use millrace::map::{PrivateMap, SharedMap, WritableMap};

use content::{Content, PAGE_BYTES};
pub use file::Survival;
pub use names::World;

/// What a disk is asked for that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opening a file that exists.
    Open,
    /// Making a file.
    Create,
    /// Reading bytes of a file, other than through a map.
    Read,
    /// Writing bytes, or cutting a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Reserving blocks.
    Allocate,
    /// Mapping a file.
    Map,
    /// Giving a file another name.
    Rename,
    /// Removing a file or a tree.
    Remove,
    /// Listing a directory.
    List,
    /// Syncing a directory.
    SyncDirectory,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 11] = [
        Operation::Open,
        Operation::Create,
        Operation::Read,
        Operation::Write,
        Operation::Sync,
        Operation::Allocate,
        Operation::Map,
        Operation::Rename,
        Operation::Remove,
        Operation::List,
        Operation::SyncDirectory,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// With this error number; of a write some bytes may have arrived.
    Errno(i32),
    /// A write, with this error number; but all bytes have arrived.
    Arrived(i32),
    /// Not at all, as far as it says; but a sync has brought nothing to the medium.
    Lie,
}

/// An error of the medium.
pub const EIO: i32 = 5;
/// No space is left.
pub const ENOSPC: i32 = 28;

/// A failure to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What fails.
    pub operation: Operation,
    /// How many of these operations succeed before.
    pub after: u64,
    /// How many fail then.
    pub times: u64,
    /// How they fail.
    pub failure: Failure,
}

struct State {
    world: World,
    operation: u64,
    trace: DefaultHasher,
    /// At these operations the world is taken.
    captures: BTreeSet<u64>,
    faults: Vec<Fault>,
    asked: BTreeMap<Operation, u64>,
    failed: u64,
    syncs_failed: bool,
    // Files whose sync has failed, and whether one was synced again while it was open.
    unsynced: BTreeSet<usize>,
    retried: bool,
    is_dead: bool,
    random: fastrand::Rng,
}

/// What is called with each world that is taken.
pub type OnCapture = dyn Fn(World, u64) + Send + Sync;

/// See the head of this file.
#[derive(Clone)]
pub struct SimDisk {
    root: PathBuf,
    state: Arc<Mutex<State>>,
    on_capture: Arc<OnCapture>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("root", &self.root).finish_non_exhaustive()
    }
}

impl SimDisk {
    /// The disk `world`, whose files are laid into `root`, an empty directory. Chance comes from `seed`.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn new(root: &Path, world: World, seed: u64, on_capture: Arc<OnCapture>) -> io::Result<SimDisk> {
        world.lay_out(root)?;
        let state = State {
            world,
            operation: 0,
            trace: DefaultHasher::new(),
            captures: BTreeSet::new(),
            faults: Vec::new(),
            asked: BTreeMap::new(),
            failed: 0,
            syncs_failed: false,
            unsynced: BTreeSet::new(),
            retried: false,
            is_dead: false,
            random: fastrand::Rng::with_seed(seed),
        };
        Ok(SimDisk { root: root.to_path_buf(), state: Arc::new(Mutex::new(state)), on_capture })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic holds it")
    }

    /// Takes the world at this many operations from now.
    pub fn capture_after(&self, operations: u64) {
        let mut state = self.state();
        let at = state.operation + operations;
        state.captures.insert(at);
    }

    /// Lets operations fail from now on.
    pub fn plan(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Ends all failures to come.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// The machine is gone: nothing that is done from now on leads anywhere.
    pub fn kill(&self) {
        self.state().is_dead = true;
    }

    /// How many operations were asked for.
    pub fn operations(&self) -> u64 {
        self.state().operation
    }

    /// How often it was asked for an operation of this kind.
    pub fn asked(&self, operation: Operation) -> u64 {
        self.state().asked.get(&operation).copied().unwrap_or(0)
    }

    /// Whether another failure is to come.
    pub fn is_about_to_fail(&self) -> bool {
        self.state().faults.iter().any(|fault| fault.times > 0)
    }

    /// How many operations failed as planned.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }

    /// Whether a sync has failed: what processes see may differ from what the disk holds from then on.
    pub fn has_failed_to_sync(&self) -> bool {
        self.state().syncs_failed
    }

    /// Whether a file was synced again after its sync had failed, without having been opened again.
    pub fn has_retried_a_sync(&self) -> bool {
        self.state().retried
    }

    /// What all operations were, in one number: equal histories have equal traces.
    pub fn trace(&self) -> u64 {
        self.state().trace.finish()
    }

    /// The world as it is.
    pub fn world(&self) -> World {
        let mut state = self.state();
        self.look_at_maps(&mut state);
        state.world.clone()
    }

    /// Something happened that is no operation on the disk, such as a store into mapped memory.
    pub fn tick(&self) {
        let _a_dead_machine_has_no_more_moments = self.begin("tick", &self.root.clone(), &[]);
    }

    /// Counts an operation, and takes the world before it where that is due.
    fn begin(&self, what: &str, path: &Path, bytes: &[u8]) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.look_at_maps(&mut state);
        state.operation += 1;
        (what, path.strip_prefix(&self.root).unwrap_or(path), bytes).hash(&mut state.trace);
        let now = state.operation;
        if state.captures.remove(&now) {
            let world = state.world.clone();
            drop(state);
            (self.on_capture)(world, now);
            state = self.state();
        }
        Ok(state)
    }

    /// Finds out what was stored through writable maps since the last look.
    fn look_at_maps(&self, state: &mut State) {
        let operation = state.operation;
        for (path, file) in state.world.mapped_files() {
            let Ok(now) = std::fs::read(self.root.join(path)) else { continue };
            for (page, bytes) in now.chunks(PAGE_BYTES).enumerate() {
                if !file.visible.page_is(page, bytes) {
                    file.write(operation, bytes, page * PAGE_BYTES);
                }
            }
        }
    }

    fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl State {
    /// Whether an operation is to fail now, and how.
    fn fault(&mut self, operation: Operation) -> Option<Failure> {
        *self.asked.entry(operation).or_default() += 1;
        for fault in self.faults.iter_mut().filter(|fault| fault.operation == operation && fault.times > 0) {
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times -= 1;
            self.failed += u64::from(fault.failure != Failure::Lie);
            return Some(fault.failure);
        }
        None
    }

    /// The lie that would be told now of an operation.
    fn lie_about(&self, operation: Operation) -> Option<&Fault> {
        let due = |fault: &&Fault| fault.operation == operation && fault.after == 0 && fault.times > 0;
        self.faults.iter().find(due).filter(|fault| fault.failure == Failure::Lie)
    }

    fn check(&mut self, operation: Operation) -> io::Result<()> {
        match self.fault(operation) {
            None => Ok(()),
            Some(Failure::Errno(errno) | Failure::Arrived(errno)) => Err(io::Error::from_raw_os_error(errno)),
            // What a lie means is decided where it is told.
            Some(Failure::Lie) => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.begin("open", path, &[u8::from(access == Access::Create)])?;
        state.check(if access == Access::Create { Operation::Create } else { Operation::Open })?;
        let file = OsDisk.open(path, access)?;
        let operation = state.operation;
        let node = state.world.open(self.relative(path), access == Access::Create, operation);
        // The kernel tells each open file of a failed sync once; one that is opened afterwards knows nothing of it.
        state.unsynced.remove(&node);
        Ok(Arc::new(SimFile { file, disk: self.clone(), node, path: path.to_path_buf() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin("rename", from, self.relative(to).as_os_str().as_encoded_bytes())?;
        state.check(Operation::Rename)?;
        OsDisk.rename(from, to)?;
        let (from, to) = (self.relative(from), self.relative(to));
        state.world.rename(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin("remove", path, &[])?;
        state.check(Operation::Remove)?;
        OsDisk.remove(path)?;
        state.world.remove(self.relative(path));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.begin("list", directory, &[])?;
        state.check(Operation::List)?;
        drop(state);
        let mut names = OsDisk.list(directory)?;
        // The order of a real directory is not the same from run to run.
        names.sort_unstable();
        Ok(names)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin("make directory", path, &[])?;
        OsDisk.make_directory(path)?;
        state.world.make_directory(self.relative(path));
        Ok(())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin("remove tree", path, &[])?;
        state.check(Operation::Remove)?;
        OsDisk.remove_tree(path)?;
        state.world.remove_tree(self.relative(path));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin("sync directory", path, &[])?;
        let is_true = state.lie_about(Operation::SyncDirectory).is_none();
        state.check(Operation::SyncDirectory)?;
        if is_true && path.starts_with(&self.root) {
            state.world.sync_directory(self.relative(path));
        }
        Ok(())
    }
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
struct SimFile {
    file: Arc<dyn DiskFile>,
    disk: SimDisk,
    node: usize,
    path: PathBuf,
}

fn usize_of(offset: u64) -> usize {
    usize::try_from(offset).expect("64 bits")
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.begin("write", &self.path, bytes)?;
        // What a failed write leaves behind is anybody's guess: here, some of it.
        let (written, failed) = match state.fault(Operation::Write) {
            Some(Failure::Errno(errno)) => {
                (&bytes[..state.random.usize(..=bytes.len())], Err(io::Error::from_raw_os_error(errno)))
            }
            Some(Failure::Arrived(errno)) => (bytes, Err(io::Error::from_raw_os_error(errno))),
            Some(Failure::Lie) | None => (bytes, Ok(())),
        };
        self.file.write_at(written, offset)?;
        let operation = state.operation;
        state.world.file(self.node).write(operation, written, usize_of(offset));
        failed
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.begin("read", &self.path, &[])?;
        state.check(Operation::Read)?;
        drop(state);
        self.file.read_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.begin("truncate", &self.path, &bytes.to_le_bytes())?;
        state.check(Operation::Write)?;
        self.file.truncate(bytes)?;
        let operation = state.operation;
        state.world.file(self.node).resize(operation, usize_of(bytes));
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.begin("allocate", &self.path, &bytes.to_le_bytes())?;
        state.check(Operation::Allocate)?;
        self.file.allocate(bytes)?;
        let operation = state.operation;
        let file = state.world.file(self.node);
        let len = usize_of(bytes).max(file.visible.length());
        file.resize(operation, len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.begin("sync", &self.path, &[])?;
        if state.unsynced.contains(&self.node) {
            state.retried = true;
        }
        let is_true = state.lie_about(Operation::Sync).is_none();
        let checked = state.check(Operation::Sync);
        if !is_true {
            return checked;
        }
        if checked.is_err() {
            state.syncs_failed = true;
            state.unsynced.insert(self.node);
            let mut random = state.random.fork();
            state.world.file(self.node).fail_to_sync(&mut random);
            return checked;
        }
        state.world.file(self.node).sync();
        Ok(())
    }

    fn share(&self) -> io::Result<()> {
        self.file.share()
    }

    fn claim(&self) -> io::Result<bool> {
        self.file.claim()
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        let mut state = self.disk.begin("map", &self.path, &[])?;
        state.check(Operation::Map)?;
        drop(state);
        self.file.map(bytes)
    }

    fn map_writable(&self, bytes: usize) -> io::Result<WritableMap> {
        let mut state = self.disk.begin("map writable", &self.path, &[])?;
        let map = self.file.map_writable(bytes)?;
        state.world.note_map(self.node);
        Ok(map)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        self.file.map_private(bytes)
    }
}

/// Writes a file's content, its zeros as a hole.
fn write_sparse(path: &Path, content: &Content) -> io::Result<()> {
    let file = std::fs::File::create(path)?;
    for (page, bytes) in content.pages() {
        file.write_all_at(bytes, (page * PAGE_BYTES) as u64)?;
    }
    file.set_len(content.length() as u64)
}
