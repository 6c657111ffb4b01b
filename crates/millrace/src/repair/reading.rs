//! A disk that is only read, and read in spite of bad sectors: what cannot be read is zeros, and is noted. Verification
//! and repair look at a store through it, so that they change nothing and stop at nothing.
//!
//! A map of a file with bad sectors would end the process at the first touch. So a file is read once from its start to
//! its end before it is mapped, and where that fails, a copy in memory is mapped in its place.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::Mutex;
use rustix::io::Errno;

use crate::disk::{Access, Disk, DiskFile};
use crate::map::{PrivateMap, SharedMap};

/// How much is read at once, in bytes.
const STEP_BYTES: usize = 1 << 20;
/// What cannot be read is told in pieces of this many bytes: a page, which disks read as a whole.
const PIECE_BYTES: usize = 4096;

/// The ranges of bytes that could not be read, by file.
type Unreadable = Arc<Mutex<BTreeMap<PathBuf, Vec<Range<u64>>>>>;

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct ReadingDisk {
    disk: Arc<dyn Disk>,
    unreadable: Unreadable,
}

impl ReadingDisk {
    pub fn new(disk: Arc<dyn Disk>) -> ReadingDisk {
        ReadingDisk { disk, unreadable: Unreadable::default() }
    }

    /// What could not be read so far below a directory, as sentences.
    pub fn complaints(&self, directory: &Path) -> Vec<String> {
        let unreadable = self.unreadable.lock();
        let below = unreadable.iter().filter(|(path, _)| path.starts_with(directory));
        let lines = below.flat_map(|(path, ranges)| {
            merged(ranges).into_iter().map(move |Range { start, end }| {
                if end == u64::MAX {
                    return format!("{} could not be read", path.display());
                }
                format!("{}: bytes {start} to {end} could not be read", path.display())
            })
        });
        lines.collect()
    }

    fn note(&self, path: &Path, range: Range<u64>) {
        self.unreadable.lock().entry(path.to_path_buf()).or_default().push(range);
    }
}

/// The ranges in order, each byte once.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether an error says that the medium is at fault. What it does not hold will not be there at the next attempt
/// either, while files that are left out for want of memory, say, would be lost for nothing.
fn is_of_the_medium(error: &io::Error) -> bool {
    const OF_THE_MEDIUM: [Errno; 6] =
        [Errno::IO, Errno::BADMSG, Errno::UCLEAN, Errno::NODATA, Errno::REMOTEIO, Errno::ILSEQ];
    error.raw_os_error().is_some_and(|code| OF_THE_MEDIUM.contains(&Errno::from_raw_os_error(code)))
}

/// A file in memory.
fn memory(name: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?)
}

fn refused() -> io::Error {
    ErrorKind::ReadOnlyFilesystem.into()
}

impl Disk for ReadingDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        if access == Access::Create {
            return Err(refused());
        }
        let file = match self.disk.open(path, Access::Read) {
            Err(error) if is_of_the_medium(&error) => {
                self.note(path, 0..u64::MAX);
                None
            }
            other => Some(other?),
        };
        Ok(Arc::new(ReadingFile { file, path: path.to_path_buf(), disk: self.clone() }))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(refused())
    }

    /// Whoever removes what an interrupted step left behind passes it over from then on; here it stays where it is.
    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// The names of a log's or a store's own files: what else stands there is nobody's.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let is_ours = |name: &String| match name.strip_suffix(".seg") {
            Some(number) => number.len() == 8 && u32::from_str_radix(number, 16).is_ok(),
            None => true,
        };
        match self.disk.list(directory) {
            Err(error) if is_of_the_medium(&error) => {
                self.note(directory, 0..u64::MAX);
                Ok(Vec::new())
            }
            names => Ok(names?.into_iter().filter(is_ours).collect()),
        }
    }

    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn remove_tree(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }
}

/// A file that is only read. Without one below it has no bytes.
#[derive(Debug)]
struct ReadingFile {
    file: Option<Arc<dyn DiskFile>>,
    path: PathBuf,
    disk: ReadingDisk,
}

impl ReadingFile {
    /// Fills the buffer; returns whether some of it could not be read, and is zeros.
    fn read(&self, file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        match file.read_at(buffer, offset) {
            Err(error) if is_of_the_medium(&error) => {}
            other => return other.map(|()| false),
        }
        if buffer.len() <= PIECE_BYTES {
            buffer.fill(0);
            self.disk.note(&self.path, offset..offset + buffer.len() as u64);
            return Ok(true);
        }
        let mut at = offset;
        for piece in buffer.chunks_mut(PIECE_BYTES) {
            self.read(file, piece, at)?;
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// Reads the first `bytes` of the file, for the sake of whether they can be.
    fn can_be_read(&self, file: &dyn DiskFile, bytes: usize) -> io::Result<bool> {
        let mut buffer = vec![0; STEP_BYTES.min(bytes)];
        let mut offset = 0;
        while offset < bytes {
            let step = STEP_BYTES.min(bytes - offset);
            if self.read(file, &mut buffer[..step], offset as u64)? {
                return Ok(false);
            }
            offset += step;
        }
        Ok(true)
    }

    /// A map in memory of `bytes`, the first `length` of which are those of the file as far as they can be read. Zeros
    /// take no room in it.
    fn map_copy(&self, file: &dyn DiskFile, length: usize, bytes: usize) -> io::Result<SharedMap> {
        let copy = std::fs::File::from(memory("millrace-copy")?);
        copy.set_len(bytes as u64)?;
        let mut buffer = vec![0; STEP_BYTES.min(length)];
        let mut offset = 0;
        while offset < length {
            let step = STEP_BYTES.min(length - offset);
            self.read(file, &mut buffer[..step], offset as u64)?;
            if buffer[..step].iter().any(|byte| *byte != 0) {
                std::os::unix::fs::FileExt::write_all_at(&copy, &buffer[..step], offset as u64)?;
            }
            offset += step;
        }
        SharedMap::new(copy.as_fd(), bytes)
    }
}

impl DiskFile for ReadingFile {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(refused())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(ErrorKind::UnexpectedEof)?;
        self.read(&**file, buffer, offset).map(|_some_is_zeros| ())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.as_ref().map_or(Ok(0), |file| file.bytes()).map(|bytes| bytes.min(u64::from(u32::MAX)))
    }

    fn truncate(&self, _bytes: u64) -> io::Result<()> {
        Err(refused())
    }

    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        Err(refused())
    }

    fn sync(&self) -> io::Result<()> {
        Err(refused())
    }

    /// The whole store is claimed while it is read: nobody uses a file of it again.
    fn share(&self) -> io::Result<()> {
        Ok(())
    }

    fn claim(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn map(&self, bytes: usize) -> io::Result<SharedMap> {
        let length = usize::try_from(self.bytes()?).map_err(|_| ErrorKind::InvalidInput)?;
        match &self.file {
            // What is mapped of an empty file is never read.
            Some(file) if length >= bytes && self.can_be_read(&**file, bytes)? => file.map(bytes),
            Some(file) => self.map_copy(&**file, length.min(bytes), bytes),
            None => {
                let empty = std::fs::File::from(memory("millrace-none")?);
                empty.set_len(bytes as u64)?;
                SharedMap::new(empty.as_fd(), bytes)
            }
        }
    }

    fn map_private(&self, _bytes: usize) -> io::Result<PrivateMap> {
        Err(refused())
    }
}
