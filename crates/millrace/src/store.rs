//! The data directory: whether it is one, of which version, and that this process alone writes in it.
//!
//! Two files answer for that. `MILLRACE` is the identity, one line of JSON, written once and durably when the store is
//! created. `LOCK` carries the claim: a lock of the kernel, held as long as the [`Store`] lives, so that it cannot
//! outlive its process; its text only tells a second claimer who the holder is.
//!
//! Invariants: nothing in the directory is decided or written before the lock is held. A first look without the lock
//! may only refuse, so that not even a lock file is left in a directory that is no store. The lock file is never
//! removed: a new one of the same name would be another lock. This file knows nothing of streams.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::clock::iso_utc;
use crate::disk::{self, Disk};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};

/// The version of the data directory that this code writes, and the newest that it reads.
pub const STORE_VERSION: u32 = 1;

const IDENTITY: &str = "MILLRACE";
const IDENTITY_IN_THE_MAKING: &str = "MILLRACE.new";
const LOCK: &str = "LOCK";
const FORMAT: &str = "millrace";
/// More than any identity or holder needs; a foreign file of these names is not read into memory whole.
const LINE_BYTES_MAX: u64 = 4_096;

/// What to do when there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Create the directory if it is missing, and a store in it if it is empty.
    IfMissing,
    /// Refuse with `NotAStore`.
    Never,
}

/// A claimed data directory. Dropping it gives the claim up.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    identity: Identity,
    since: String,
    _lock: Lock,
}

/// The text of `MILLRACE`. Further fields are left to later versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    format: String,
    version: u32,
    pub(crate) store_id: String,
    created: String,
}

impl Identity {
    fn new(created: String, random: u64) -> Identity {
        Identity { format: FORMAT.into(), version: STORE_VERSION, store_id: format!("{random:016x}"), created }
    }
}

/// The part of the identity that every version has.
#[derive(Deserialize)]
struct IdentityVersion {
    format: String,
    version: u64,
}

impl Store {
    /// Claims the data directory at `path` for this process, creating the store first if `create` says so.
    /// A new store's id comes from the environment's entropy, and its files are made through the environment's disk.
    ///
    /// # Errors
    /// * `Locked` when another process, or another `Store` of this one, holds it; the message names the holder.
    /// * `NotAStore` when there is nothing, no directory, or something else, which is then left as it was.
    /// * `FormatNewer` when a newer version wrote it.
    /// * `ReadOnly` when this process may not write there, `DiskFull` or `Io` when the operating system fails.
    pub fn claim(path: &Path, create: Create, environment: &Environment) -> Result<Store> {
        let path = directory(path, create, &*environment.disk)?;
        refuse_foreign(&path, create)?;
        refuse_unwritable(&path)?;
        // A store of a newer version, or none of ours, is left as it is, lock file included.
        read_identity(&path)?;
        let lock = Lock::exclusive(&path)?;
        let since = iso_utc(environment.clock.wall_ms());
        lock.name_holder(&since);
        let identity = match read_identity(&path)? {
            // Before anything of this version is written: from now on an older build is refused at the door.
            Some(identity) if identity.version < STORE_VERSION => {
                let identity = Identity { version: STORE_VERSION, ..identity };
                write_identity(&path, identity, &*environment.disk)?
            }
            Some(identity) => identity,
            None => {
                // The look before the lock may be out of date by now.
                refuse_foreign(&path, create)?;
                let identity = Identity::new(since.clone(), environment.entropy.random());
                write_identity(&path, identity, &*environment.disk)?
            }
        };
        Ok(Store { path, identity, since, _lock: lock })
    }

    /// The data directory: absolute, without symbolic links, so that equal paths mean the same store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Since when this process holds it, as `LOCK` says.
    #[must_use]
    pub fn since(&self) -> &str {
        &self.since
    }

    /// What tells this store from every other: 16 hexadecimal digits, random.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.identity.store_id
    }
}

/// The canonical path of the directory at `path`, which is created durably if it is missing and may be created.
fn directory(path: &Path, create: Create, disk: &dyn Disk) -> Result<PathBuf> {
    match (fs::metadata(path), create) {
        (Ok(metadata), _) if !metadata.is_dir() => {
            return Err(not_a_store(path, "a file that is no directory; give the path of a directory"));
        }
        (Ok(_), _) => {}
        (Err(error), _) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(not_a_store(path, "a path that leads through a file; correct the path"));
        }
        (Err(error), Create::IfMissing) if error.kind() == io::ErrorKind::NotFound => create_directory(path, disk)?,
        (Err(error), Create::Never) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_store(path, "nothing; correct the path, or allow the store to be created"));
        }
        (Err(error), _) => return Err(Error::io(format!("cannot look at {}", path.display()), error)),
    }
    path.canonicalize().map_err(|error| Error::io(format!("cannot resolve {}", path.display()), error))
}

/// Creates `path` and what is missing above it. Each new name is synced in its parent, lest a store whose records are
/// synced vanish with its directory.
fn create_directory(path: &Path, disk: &dyn Disk) -> Result<()> {
    let failed = |error| Error::io(format!("cannot create the directory {}", path.display()), error);
    let path = std::path::absolute(path).map_err(failed)?;
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    disk.make_directory(&path).map_err(failed)?;
    for parent in missing.iter().rev().filter_map(|created| created.parent()) {
        disk.sync_directory(parent).map_err(failed)?;
    }
    Ok(())
}

/// Refuses a directory that is neither a store nor, if one may be created, empty.
///
/// The listing comes first: a store in the making writes its identity before all else, so that whoever sees a
/// stream's files in the listing sees the identity afterwards.
fn refuse_foreign(path: &Path, create: Create) -> Result<()> {
    let failed = |error| Error::io(format!("cannot list {}", path.display()), error);
    let mut foreign = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if ![IDENTITY, IDENTITY_IN_THE_MAKING, LOCK].iter().any(|ours| name == *ours) {
            foreign.push(name.to_string_lossy().into_owned());
        }
    }
    if path.join(IDENTITY).try_exists().map_err(failed)? {
        return Ok(());
    }
    foreign.sort_unstable();
    match (foreign.as_slice(), create) {
        ([], Create::IfMissing) => Ok(()),
        ([], Create::Never) => {
            Err(not_a_store(path, "an empty directory; correct the path, or allow the store to be created"))
        }
        ([name], _) => {
            Err(not_a_store(path, &format!("a directory with {name:?} and no {IDENTITY} file; {ELSEWHERE}")))
        }
        ([name, others @ ..], _) => {
            let count = others.len();
            Err(not_a_store(
                path,
                &format!("a directory with {name:?}, {count} more, and no {IDENTITY} file; {ELSEWHERE}"),
            ))
        }
    }
}

const ELSEWHERE: &str = "give the path of a store, or of an empty or missing directory";

/// Asks before anything is written, because a lock file may be writable in a directory that is not.
fn refuse_unwritable(path: &Path) -> Result<()> {
    access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
        Error::io(format!("expected a directory that can be written, got {}", path.display()), errno.into())
    })
}

fn read_identity(path: &Path) -> Result<Option<Identity>> {
    let file_path = path.join(IDENTITY);
    let line = match File::open(&file_path).and_then(|file| first_line(&file)) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format!("cannot read {}", file_path.display()), error)),
    };
    decode_identity(path, &line).map(Some)
}

pub(crate) fn decode_identity(path: &Path, line: &[u8]) -> Result<Identity> {
    let malformed = |fault: String| {
        not_a_store(path, &format!("a {IDENTITY} file that is none of ours ({fault}); restore it from a backup"))
    };
    let IdentityVersion { format, version } =
        serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
    if format != FORMAT {
        return Err(malformed(format!("its format is {format:?}, not {FORMAT:?}")));
    }
    if version > u64::from(STORE_VERSION) {
        let path = path.display();
        let message = format!(
            "expected a store of version {STORE_VERSION} or older, got version {version} at {path}; upgrade Millrace"
        );
        return Err(Error::new(Kind::FormatNewer, message));
    }
    let identity: Identity = serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
    let hex_digits = identity.store_id.bytes().filter(u8::is_ascii_hexdigit).count();
    if (hex_digits, identity.store_id.len()) != (16, 16) {
        return Err(malformed(format!("its storeId is {:?}, not 16 hexadecimal digits", identity.store_id)));
    }
    Ok(identity)
}

/// Makes the directory a store, or one of another version: whole and on disk, or not at all.
fn write_identity(path: &Path, identity: Identity, disk: &dyn Disk) -> Result<Identity> {
    let failed = |error| Error::io(format!("cannot write the identity of the store in {}", path.display()), error);
    let in_the_making = path.join(IDENTITY_IN_THE_MAKING);
    let file = disk.open(&in_the_making, disk::Access::Create).map_err(failed)?;
    file.write_at(&json_line(&identity), 0).and_then(|()| file.sync()).map_err(failed)?;
    disk.rename(&in_the_making, &path.join(IDENTITY)).and_then(|()| disk.sync_directory(path)).map_err(failed)?;
    Ok(identity)
}

fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("the value holds nothing but numbers and strings");
    line.push(b'\n');
    line
}

/// What stands before the first line break. A last line without one was cut off: it is no line.
fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut bytes)?;
    bytes.truncate(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    Ok(bytes)
}

fn not_a_store(path: &Path, came: &str) -> Error {
    Error::new(Kind::NotAStore, format!("expected a Millrace store at {}, got {came}", path.display()))
}

mod copy;
mod lock;
pub(crate) mod observed;
pub(crate) use copy::{ReadStore, UnfinishedStore};
use lock::Lock;
#[cfg(fuzzing)]
pub(crate) use lock::decode_holder;

#[cfg(test)]
mod tests;
