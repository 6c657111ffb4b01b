//! A look at a store that another process has open, without a claim on it: nothing is locked, nothing is written.
//!
//! What is found is judged like any bytes from outside. Whether the holder still lives is asked of the kernel, by its
//! number; where the store lies on another host's disk that says nothing, and the age of the figures has to.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rustix::process::{Pid, test_kill_process};
use serde::Serialize;

use super::lock::{Holder, named_holder};
use super::{not_a_store, read_identity};
use crate::error::{Error, Result};
use crate::metrics::published::{METRICS, PUBLISHED_BYTES_MAX, Published};

/// A file that is being written over is looked at again so often.
const TRIES: usize = 5;

/// What is seen of a store from outside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The process that has the store open, where one has.
    pub pid: Option<u32>,
    /// Since when, as `2026-01-31T23:59:59.999Z`.
    pub since: Option<String>,
    /// The figures of that process; none where nothing has happened yet since it opened the store.
    pub published: Option<Published>,
}

/// Looks at the figures that the process publishes which has the store in this directory open.
///
/// # Errors
/// `NotAStore`, `FormatNewer`; `ReadOnly` or `Io` where the directory cannot be read.
///
/// ```
/// use millrace::{Engine, OpenOptions, observe};
/// # let directory = tempfile::tempdir().unwrap();
/// let engine = Engine::open(directory.path(), OpenOptions::default())?;
/// assert_eq!(observe(directory.path())?.pid, Some(std::process::id()));
/// engine.close()?;
/// # Ok::<(), millrace::Error>(())
/// ```
pub fn observe(path: &Path) -> Result<Observed> {
    if read_identity(path)?.is_none() {
        return Err(not_a_store(path, "nothing that looks like one; correct the path"));
    }
    let Some(holder) = named_holder(path).filter(is_alive) else {
        return Ok(Observed { pid: None, since: None, published: None });
    };
    let published =
        published(path)?.filter(|published| (published.pid, &published.since) == (holder.pid, &holder.since));
    Ok(Observed { pid: Some(holder.pid), since: Some(holder.since), published })
}

fn is_alive(holder: &Holder) -> bool {
    let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else { return false };
    // A process of somebody else may not be signalled, and lives.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

fn published(path: &Path) -> Result<Option<Published>> {
    for _ in 0..TRIES {
        let file = match File::open(path.join(METRICS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => {
                opened.map_err(|error| Error::io(format!("cannot open {}", path.join(METRICS).display()), error))?
            }
        };
        let mut bytes = Vec::new();
        let read = file.take(PUBLISHED_BYTES_MAX as u64).read_to_end(&mut bytes);
        read.map_err(|error| Error::io(format!("cannot read {}", path.join(METRICS).display()), error))?;
        if let Some(published) = Published::decode(&bytes) {
            return Ok(Some(published));
        }
    }
    Ok(None)
}
