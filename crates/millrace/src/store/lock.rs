//! The claim on a data directory: a lock of the kernel on its `LOCK` file.
//!
//! Invariants: whoever writes holds the lock alone, whoever only reads shares it. It is given up by unlocking, because
//! closing alone would leave it to a child that this process is just starting, until that has become another program.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{LOCK, first_line, json_line};
use crate::error::{Error, Kind, Result};

/// A held lock. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where unlocking fails, closing does what it can.
        let _closing_follows = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock of the directory for a writer, without waiting.
    pub fn exclusive(directory: &Path) -> Result<Lock> {
        let file = open(directory, true).map_err(|error| cannot_open(directory, error))?;
        Lock::take(directory, file, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes a reader's share of it, without waiting. `None` where there is no lock file and none can be made: then
    /// nobody can hold the directory either.
    pub fn shared(directory: &Path) -> Result<Option<Lock>> {
        let file = match open(directory, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match open(directory, true) {
                Err(error) if is_unwritable(&error) => return Ok(None),
                made => made,
            },
            found => found,
        };
        let file = file.map_err(|error| cannot_open(directory, error))?;
        Lock::take(directory, file, FlockOperation::NonBlockingLockShared).map(Some)
    }

    fn take(directory: &Path, file: File, operation: FlockOperation) -> Result<Lock> {
        let path = directory.join(LOCK);
        match flock(&file, operation) {
            Ok(()) => Ok(Lock(file)),
            Err(Errno::WOULDBLOCK) => Err(locked(directory, &file)),
            Err(errno @ (Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK)) => {
                let message = format!("expected a file system that can lock files, got {errno} for {}", path.display());
                Err(Error::new(Kind::Unsupported, message))
            }
            Err(errno) => Err(Error::io(format!("cannot lock {}", path.display()), errno.into())),
        }
    }

    /// Writes who holds the lock. Written over the old text and cut only then, so that a reader finds a whole line.
    ///
    /// The lock does the protecting, so a failure is no reason to refuse: a store on a full disk must open, or
    /// nothing could be freed. What would be left of another holder's name is removed.
    pub fn name_holder(&self, since: &str) {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let line = json_line(&Holder { pid: std::process::id(), host, since: since.to_owned() });
        let written = self.0.write_all_at(&line, 0).and_then(|()| self.0.set_len(line.len() as u64));
        if written.is_err() {
            // If this fails too, the old text stays; it is a courtesy, and there is nobody to tell.
            let _ = self.0.set_len(0);
        }
    }
}

/// The text of `LOCK`: who holds the directory.
#[derive(Serialize, Deserialize)]
pub(crate) struct Holder {
    pub pid: u32,
    pub host: String,
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { pid, host, since } = self;
        write!(f, "process {pid} on {host} since {since}")
    }
}

pub(crate) fn decode_holder(line: &[u8]) -> Option<Holder> {
    serde_json::from_slice(line).ok()
}

/// Whom `LOCK` names; it may be long gone.
pub(super) fn named_holder(directory: &Path) -> Option<Holder> {
    let file = open(directory, false).ok()?;
    decode_holder(&first_line(&file).ok()?)
}

/// Opens the lock file, for a writer making it where it is missing.
/// Never truncated: until the lock is ours, the text is the holder's.
fn open(directory: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).create(write).truncate(false).open(directory.join(LOCK))
}

fn is_unwritable(error: &io::Error) -> bool {
    [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem].contains(&error.kind())
}

fn cannot_open(directory: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot open {}", directory.join(LOCK).display()), error)
}

fn locked(directory: &Path, file: &File) -> Error {
    let store = directory.display();
    let holder = first_line(file).ok().and_then(|line| decode_holder(&line));
    let holder =
        holder.map_or_else(|| "a process that has not yet written its name".to_owned(), |holder| holder.to_string());
    Error::new(Kind::Locked, format!("{store} is held by {holder}; close it, or open another directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a starting child holds, until it has become another program, is a duplicate of the descriptor.
    #[test]
    fn a_lock_that_was_given_up_is_free_though_a_starting_child_still_has_its_descriptor() {
        let directory = tempfile::tempdir().expect("a directory");
        for take in [|path: &Path| Lock::shared(path).map(|lock| lock.expect("made")), Lock::exclusive] {
            let lock = take(directory.path()).expect("free");
            let _in_the_child = lock.0.try_clone().expect("a duplicate");
            assert_eq!(Lock::exclusive(directory.path()).expect_err("held").kind(), Kind::Locked);
            drop(lock);
            Lock::exclusive(directory.path()).expect("given up");
        }
    }
}
