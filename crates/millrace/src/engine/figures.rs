//! The figures that an open store publishes for other processes: the keeper writes them once a second while something
//! happens, and goes on until the rates of the last minute have come to rest. An idle store wakes nobody.
//!
//! An append or a read that is the first of its second tells the keeper, once; the writing never stands in its path.
//! Nothing depends on the file: it is not synced, a failure to write it is a warning, and a clean close removes it.

use std::sync::Arc;

use super::Engine;
use super::inner::Inner;
use crate::disk::Access;
use crate::environment::Services;
use crate::error::{Error, Result};
use crate::metrics::published::{METRICS, Published};
use crate::metrics::report::StreamMetrics;
use crate::stream::StreamInner;
use crate::sync::atomic::Ordering;

/// So long after something began to happen the figures are written first, in milliseconds.
const FIRST_AFTER_MS: u64 = 200;
/// So often they are written from then on, in milliseconds.
const EVERY_MS: u64 = 1_000;

impl Engine {
    /// The metrics of all streams that are in use, in the order of their creation. See [`crate::Stream::metrics`] for
    /// what they cost.
    ///
    /// # Errors
    /// `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// engine.create_stream("clicks", StreamConfig::default())?;
    /// assert_eq!(engine.metrics()?[0].stream, "clicks");
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn metrics(&self) -> Result<Vec<StreamMetrics>> {
        Ok(self.check()?.metrics_by(StreamInner::metrics))
    }

    /// The same without what is told of shards: `shards` is empty, and no shard is looked at.
    ///
    /// # Errors
    /// `Closed`.
    pub fn metrics_without_shards(&self) -> Result<Vec<StreamMetrics>> {
        Ok(self.check()?.metrics_by(StreamInner::metrics_without_shards))
    }
}

impl Inner {
    fn metrics_by(&self, of: fn(&StreamInner) -> StreamMetrics) -> Vec<StreamMetrics> {
        let streams: Vec<_> = self.streams.lock().values().cloned().collect();
        streams.iter().map(|stream| of(stream)).collect()
    }

    /// Something happens in a stream: its figures are to be published, if they are not yet.
    pub fn figures_changed(&self) {
        // Where nobody has threads, nobody looks on from another process either.
        if self.environment.services == Services::Threads && !self.publishing.swap(true, Ordering::AcqRel) {
            self.publish_after(FIRST_AFTER_MS);
        }
    }

    fn publish_after(&self, ms: u64) {
        self.keeper.publish_at(self.environment.clock.monotonic_ms() + ms);
    }

    /// Writes the figures of all streams in use, and again in a second if there is movement in them.
    pub(super) fn publish_figures(&self) {
        // Let go first: what happens while the figures are gathered asks for them again.
        self.publishing.store(false, Ordering::Release);
        let streams = self.metrics_by(StreamInner::metrics);
        let moves = streams.iter().any(is_moving);
        let since = self.store.lock().as_ref().map_or_else(String::new, |store| store.since().to_owned());
        let written_ms = self.environment.clock.wall_ms();
        let published = Published { pid: std::process::id(), since, written_ms, streams };
        if let Err(error) = self.write_figures(&published.encode()) {
            let path = self.directory.join(METRICS);
            self.warn(format!("{}; other processes see no figures", Error::io(path.display(), error).message()));
        }
        if moves {
            self.publishing.store(true, Ordering::Release);
            self.publish_after(EVERY_MS);
        }
    }

    fn write_figures(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut figures = self.figures.lock();
        let file = match &*figures {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.environment.disk.open(&self.directory.join(METRICS), Access::Create)?;
                Arc::clone(figures.insert(file))
            }
        };
        file.write_at(bytes, 0)
    }

    /// Takes the figures away: whoever looks sees that nobody has the store open.
    pub(super) fn withdraw_figures(&self) {
        if self.figures.lock().take().is_some() {
            let _stale_figures_name_a_dead_process = self.environment.disk.remove(&self.directory.join(METRICS));
        }
    }
}

fn is_moving(stream: &StreamMetrics) -> bool {
    [stream.incoming.minute, stream.outgoing.minute].iter().any(|rate| rate.records > 0.0 || rate.throttled > 0.0)
}
