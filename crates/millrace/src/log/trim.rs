//! Trimming: whole segments before a place leave the log; their files are kept for reuse, or removed where somebody
//! still reads them.

use std::sync::Arc;

use super::Log;
use super::segment::{index_path, segment_path};
use crate::error::{Error, Result};
use crate::format::Position;

impl Log {
    /// Takes all segments that end before `horizon` out of the log, never the active one. Returns how many.
    ///
    /// The horizon is durable before this is called, so a crash in between leaves files that the next call removes.
    pub fn trim(&self, horizon: Position) -> Result<usize> {
        let _one_at_a_time = self.upkeep.lock();
        let trimmed: Vec<_> = {
            let mut segments = self.segments.write();
            let gone = |segment: &Arc<super::Segment>| segment.index < horizon.segment && segment.summary().is_some();
            let count = segments.iter().take_while(|segment| gone(segment)).count();
            segments.drain(..count).collect()
        };
        let disk = &self.environment.disk;
        let directory = &self.config.directory;
        for segment in &trimmed {
            let path = segment_path(directory, segment.index);
            let failed = |error| Error::io(format!("could not remove {}", path.display()), error);
            let file = disk.open(&path, crate::disk::Access::Read).map_err(failed)?;
            let bytes = file.bytes().map_err(failed)?;
            let spare = path.with_extension("spare");
            let bytes = u32::try_from(bytes).unwrap_or(0);
            // Whoever maps a file keeps it as it is: then only its name goes. Files that recovery cut are not whole.
            let mut ahead = self.ahead.lock();
            let wanted = bytes >= self.config.segment_bytes_max && ahead.wants_spare();
            let freed = wanted && segment.give_away(&*file, || disk.rename(&path, &spare).map_err(failed))?;
            // The claim ends before a writer can take the spare up: its own, refused, would go unnoticed.
            drop(file);
            if freed {
                ahead.keep_spare(spare, bytes);
            } else {
                disk.remove(&path).map_err(failed)?;
            }
            // The index last: alone it means nothing, while a segment without one would have to be scanned.
            disk.remove(&index_path(directory, segment.index)).map_err(failed)?;
        }
        Ok(trimmed.len())
    }
}
