//! The two ends of a repair: a store that is only read, and a directory that is no store before all of it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Create, IDENTITY, IDENTITY_IN_THE_MAKING, Identity, LOCK, Lock, STORE_VERSION};
use super::{create_directory, directory, not_a_store, read_identity};
use super::{refuse_foreign, write_identity};
use crate::clock::{Clock, iso_utc};
use crate::disk::{Disk, OsDisk};
use crate::environment::Entropy;
use crate::error::{Error, Kind, Result};

/// What stands in a store, besides its identity and its lock.
const CONTENTS: [&str; 6] = ["control", "control.new", "streams", "queues", "tables", "orphans"];
/// What the name of a store in the making ends with.
const UNFINISHED: &str = "unfinished";

/// A store that is only read. As long as this lives, nobody can open it for writing; others may read it too.
#[derive(Debug)]
pub(crate) struct ReadStore {
    path: PathBuf,
    identity: Option<Identity>,
    _lock: Option<Lock>,
}

impl ReadStore {
    /// Claims a store for reading. Its identity may be damaged, where the rest says that it is one. Nothing is written,
    /// but for an empty lock file where there is none yet; where none can be made, nobody can hold the store either.
    ///
    /// # Errors
    /// `Locked`, `NotAStore`, `FormatNewer`, `Unsupported`, `Io`.
    pub fn claim(path: &Path) -> Result<ReadStore> {
        let path = directory(path, Create::Never, &OsDisk)?;
        let holds_logs = CONTENTS.iter().any(|name| path.join(name).is_dir());
        let identity = match read_identity(&path) {
            Err(error) if error.kind() == Kind::FormatNewer || !holds_logs => return Err(error),
            Ok(None) if !holds_logs => {
                refuse_foreign(&path, Create::Never)?;
                None
            }
            read => read.ok().flatten(),
        };
        let lock = Lock::shared(&path)?;
        Ok(ReadStore { path, identity, _lock: lock })
    }

    /// Its directory: absolute, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its identity can be read.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }
}

/// A directory beside the one that is to become a store. It gets its name when all of it is on disk; until then it has
/// another, under which the next attempt removes it.
#[derive(Debug)]
pub(crate) struct UnfinishedStore {
    path: PathBuf,
    target: PathBuf,
    _lock: Lock,
}

impl UnfinishedStore {
    /// Makes the directory `TARGET.unfinished`, empty. What an attempt that was interrupted has left there goes.
    ///
    /// # Errors
    /// `InvalidArgument` where the target cannot become a store, `Locked` where another process is at it, `NotAStore`
    /// where something else has the name, `ReadOnly`, `DiskFull`, `Io`.
    pub fn make(target: &Path, source: &Path, clock: &dyn Clock) -> Result<UnfinishedStore> {
        let target = checked_target(target, source)?;
        let mut name = target.file_name().expect("the target was checked to have a name").to_owned();
        name.push(format!(".{UNFINISHED}"));
        let path = target.with_file_name(name);
        create_directory(&path, &OsDisk)?;
        refuse_others(&path)?;
        let lock = Lock::exclusive(&path)?;
        lock.name_holder(&iso_utc(clock.wall_ms()));
        let failed = |error| Error::io(format!("cannot empty {}", path.display()), error);
        for name in entries(&path).map_err(failed)?.iter().filter(|name| *name != LOCK) {
            let path = path.join(name);
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
        }
        Ok(UnfinishedStore { path, target, _lock: lock })
    }

    /// The directory in which the store is made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it a store, with the identity of `original` where that has one, and gives it its name.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub fn finish(self, original: &ReadStore, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<()> {
        let fresh = || Identity::new(iso_utc(clock.wall_ms()), entropy.random());
        // What was copied was written anew, by this version.
        let identity = Identity { version: STORE_VERSION, ..original.identity.clone().unwrap_or_else(fresh) };
        write_identity(&self.path, identity, &OsDisk)?;
        let failed =
            |error| Error::io(format!("cannot rename {} to {}", self.path.display(), self.target.display()), error);
        fs::rename(&self.path, &self.target).map_err(failed)?;
        let parent = self.target.parent().expect("the target was checked to have a name");
        OsDisk.sync_directory(parent).map_err(failed)
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// `Io`.
    pub fn discard(self) -> Result<()> {
        fs::remove_dir_all(&self.path)
            .map_err(|error| Error::io(format!("cannot remove {}", self.path.display()), error))
    }
}

fn entries(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Nothing is removed that an attempt cannot have made.
fn refuse_others(path: &Path) -> Result<()> {
    let ours = |name: &str| CONTENTS.contains(&name) || [IDENTITY, IDENTITY_IN_THE_MAKING, LOCK].contains(&name);
    let names = entries(path).map_err(|error| Error::io(format!("cannot list {}", path.display()), error))?;
    match names.iter().find(|name| !ours(name)) {
        Some(foreign) => Err(not_a_store(path, &format!("a directory with {foreign:?}; move it away"))),
        None => Ok(()),
    }
}

/// The absolute path of a directory that is missing or empty, and can be put in place by a rename.
fn checked_target(target: &Path, source: &Path) -> Result<PathBuf> {
    let invalid = |what: &str| {
        let message = format!("expected a new or an empty directory to repair into, got {}, {what}", target.display());
        Error::new(Kind::InvalidArgument, message)
    };
    let failed = |error| Error::io(format!("cannot look at {}", target.display()), error);
    let absolute = std::path::absolute(target).map_err(failed)?;
    if absolute.file_name().is_none() {
        return Err(invalid("which has no name"));
    }
    let parent = absolute.parent().expect("a path with a name has a parent");
    let existing = absolute.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if existing.is_some_and(|existing| existing.starts_with(source)) {
        return Err(invalid("which lies in the store that is to be repaired"));
    }
    create_directory(parent, &OsDisk)?;
    let name = absolute.file_name().expect("checked above");
    let absolute = parent.canonicalize().map_err(failed)?.join(name);
    match fs::symlink_metadata(&absolute) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(absolute),
        Err(error) => Err(failed(error)),
        Ok(metadata) if !metadata.is_dir() => Err(invalid("which is no directory")),
        Ok(_) if !entries(&absolute).map_err(failed)?.is_empty() => Err(invalid("which is not empty")),
        Ok(metadata) => {
            use std::os::unix::fs::MetadataExt;
            let parent = fs::metadata(absolute.parent().expect("it has a name")).map_err(failed)?;
            if parent.dev() == metadata.dev() {
                Ok(absolute)
            } else {
                Err(invalid("where another disk is mounted; give a directory below it"))
            }
        }
    }
}
