//! Sealing: a finished segment is synced, then its index is written beside it. An index that exists says that the
//! whole segment is on disk.

use std::sync::Arc;

use super::Log;
use super::scan::build_index;
use super::segment::{Segment, index_path, write_whole};
use crate::error::Result;
use crate::format::{Position, index};

impl Log {
    /// Seals every finished segment that is not sealed yet, oldest first.
    pub(super) fn seal_finished(&self) -> Result<()> {
        let unsealed = |segment: &&Arc<Segment>| segment.summary().is_none();
        let waiting: Vec<_> = self.segments.read().iter().filter(unsealed).map(Arc::clone).collect();
        for segment in waiting {
            let Some(end) = segment.end() else { break };
            self.sync_to(Position::new(segment.index, end))?;
            let file = segment.open(&*self.environment.disk)?;
            let (summary, body) = build_index(&file, end)?;
            let path = index_path(&self.config.directory, segment.index);
            write_whole(&*self.environment.disk, &path, &index::encode(&summary, &body))?;
            segment.seal(summary);
        }
        Ok(())
    }
}
