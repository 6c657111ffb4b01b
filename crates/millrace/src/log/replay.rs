//! Logs of state: commands behind the snapshot that they apply to. What the control log, the logs of queues and that of an
//! application's state need beyond a log of records: to be made whole, to be left alone where they are newer, and to be
//! replayed.

use std::path::Path;

use super::open::FIRST;
use super::{Log, LogConfig};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::frame::{RUN_OPTIONAL, RunEntry, RunKind};

/// Whether there is a log in a directory.
pub(crate) fn is_there(environment: &Environment, directory: &Path) -> Result<bool> {
    match environment.disk.list(directory) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(directory.display(), error)),
    }
}

/// Makes a log under another name, so that under its own it is whole or not there: nobody could tell a half made one
/// from a damaged one.
pub(crate) fn create_whole(environment: &Environment, config: &LogConfig) -> Result<()> {
    let directory = &config.directory;
    let failed = |error| Error::io(format!("could not make {}", directory.display()), error);
    let in_the_making = directory.with_extension("new");
    let disk = &environment.disk;
    disk.remove_tree(&in_the_making).map_err(failed)?;
    disk.remove_tree(directory).map_err(failed)?;
    Log::create(environment.clone(), LogConfig { directory: in_the_making.clone(), ..config.clone() }, 0)?
        .close_writer();
    disk.rename(&in_the_making, directory).map_err(failed)?;
    let parent = directory.parent().expect("a log stands in a store");
    disk.sync_directory(parent).map_err(failed)
}

/// Refuses a run of a kind that a newer version wrote and that may not be passed over.
pub(crate) fn refuse_newer_kind(log: &str, entry: &RunEntry) -> Result<()> {
    match entry.kind {
        RunKind::Other(kind) if entry.flags & RUN_OPTIONAL == 0 => {
            let message = format!("{log} holds a run of kind {kind}, which this build does not know; upgrade Millrace");
            Err(Error::new(Kind::FormatNewer, message))
        }
        _ => Ok(()),
    }
}

/// What a run of a log of state leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// The last of a snapshot: to a state that is whole by itself.
    ToAWholeState,
    /// Another one: on from the state before it.
    On,
}

impl Log {
    /// Visits every run with its payload, oldest first; returns where it came upon damage and stopped, if it did.
    ///
    /// A log that was trimmed begins with commands whose base is gone where the trim was interrupted. They are void, as is
    /// all that stands before a snapshot, and are passed over; without a snapshot behind them they are damage.
    pub fn replay(&self, mut visit: impl FnMut(&RunEntry, &[u8]) -> Result<Leads>) -> Result<Option<Position>> {
        let mut position = self.start();
        let mut has_base = position.segment == FIRST;
        let mut baseless = None;
        let limit = self.published();
        while let Some(located) = self.locate(position, limit)? {
            let place = Position::new(located.segment.index, located.offset);
            let Some(head) = located.file.frame(located.offset, located.end)? else { return Ok(Some(place)) };
            let frame_end = (located.offset + head.header.frame_bytes) as usize;
            let frame = located.file.map()?.bytes(located.offset as usize..frame_end);
            let Some(frame) = frame.filter(|frame| head.payloads_are_intact(frame)) else { return Ok(Some(place)) };
            for entry in (0..head.runs()).map_while(|run| head.run(run)) {
                if entry.kind == RunKind::Command && !has_base {
                    baseless.get_or_insert(place);
                    continue;
                }
                has_base |= visit(&entry, &frame[entry.payload()])? == Leads::ToAWholeState;
            }
            position = Position::new(place.segment, place.offset + head.header.padded_bytes());
        }
        Ok(baseless.filter(|_| !has_base))
    }
}
