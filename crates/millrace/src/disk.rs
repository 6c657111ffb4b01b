//! Files, as the engine needs them: one trait for a directory tree and one for an open file, so that a test can stand
//! between the engine and the disk. Nothing here knows what is in the files.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

use crate::map::{PrivateMap, SharedMap, WritableMap};

/// The magic numbers of ext4, xfs and tmpfs: a store into an allocated block of theirs does not fail for want of space.
const STORES_KEEP_BLOCKS: [i64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read; it must exist.
    Read,
    /// To be read and written; it must exist.
    Write,
    /// To be read and written; it is made, or emptied where it exists.
    Create,
}

/// A tree of files.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, over one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and those above it; it may exist.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it; it may be missing.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all bytes at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills the buffer from an offset; a file that ends before is `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// The length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it by a hole.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Reserves disk blocks for the first `bytes` of the file, and makes it that long.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Returns once all data written so far is on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Says that this open file is in use, until it is closed: nobody can claim it meanwhile.
    fn share(&self) -> io::Result<()>;
    /// Claims the file for this open file alone; `false` where it is in use elsewhere, in any process.
    fn claim(&self) -> io::Result<bool>;
    /// Maps the first `bytes`, shared and read-only.
    fn map(&self, bytes: usize) -> io::Result<SharedMap>;
    /// Maps the first `bytes`, shared and writable, where the file system is known to keep allocated blocks for stores;
    /// elsewhere, and by default, it is refused as unsupported.
    fn map_writable(&self, _bytes: usize) -> io::Result<WritableMap> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Maps the first `bytes`, private and writable.
    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let write = access != Access::Read;
        let create = access == Access::Create;
        let file = OpenOptions::new().read(true).write(write).create(create).truncate(create).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // A file system without allocation gets its blocks by writing zeros behind the present end.
            Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(self, self.bytes()?, bytes),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn share(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockShared)?)
    }

    fn claim(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        SharedMap::new(self.0.as_fd(), bytes)
    }

    fn map_writable(&self, bytes: usize) -> io::Result<WritableMap> {
        if !STORES_KEEP_BLOCKS.contains(&rustix::fs::fstatfs(&self.0)?.f_type) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        WritableMap::new(self.0.as_fd(), bytes)
    }

    fn map_private(&self, bytes: usize) -> io::Result<PrivateMap> {
        PrivateMap::new(self.0.as_fd(), bytes)
    }
}

/// Writes zeros from `start` to `end`, a MiB at a time.
pub fn write_zeros(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 1 << 20];
    let mut offset = start;
    while offset < end {
        let step = (end - offset).min(ZEROS.len() as u64);
        let step_bytes = usize::try_from(step).map_or(ZEROS.len(), |step| step);
        file.write_at(&ZEROS[..step_bytes], offset)?;
        offset += step;
    }
    Ok(())
}
