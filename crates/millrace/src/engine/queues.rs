//! The queues of a store that are in use, and the files of those that are no more.
//!
//! Lock order: the table of queues, then the journal or a queue's own locks, never the other way round.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Engine, Inner, StreamSummary, summary_of};
use crate::control::{DeleteQueue, QueueEntry};
use crate::error::{Error, Result};
use crate::log::Finding;
use crate::queue::{Queue, QueueInner};
use crate::repair::queue_remains;
use crate::stream::Stream;
use crate::verify::verify_log;

impl Engine {
    /// All queues of all streams, each with its stream.
    ///
    /// # Errors
    /// `Closed`.
    pub fn list_queues(&self) -> Result<Vec<(StreamSummary, QueueEntry)>> {
        let inner = self.check()?;
        let journal = inner.journal.lock();
        let of = |entry| move |queue: &QueueEntry| (summary_of(entry), queue.clone());
        Ok(journal.state().streams().flat_map(|entry| entry.queues.iter().map(of(entry))).collect())
    }

    /// The queue of this name with its stream; the oldest stream's where several have one.
    ///
    /// # Errors
    /// `QueueNotFound`, `Closed`.
    pub fn queue_named(&self, name: &str) -> Result<(StreamSummary, QueueEntry)> {
        let inner = self.check()?;
        let journal = inner.journal.lock();
        let (entry, queue) = journal.state().queue_named(name)?;
        Ok((summary_of(entry), queue.clone()))
    }

    /// What is damaged in the log of a queue, whether or not it is in use.
    pub(crate) fn verify_queue(&self, entry: &QueueEntry) -> Result<Vec<Finding>> {
        let inner = self.check()?;
        let queues = inner.queues.lock();
        if let Some(queue) = queues.get(&entry.id).cloned() {
            drop(queues);
            return Ok(verify_log(queue.log(), &mut |_, _| true)?.findings);
        }
        // Nobody opens it as long as the table is locked.
        let remains = queue_remains(&inner.environment, &inner.directory, entry)?;
        remains.map_or(Ok(Vec::new()), |remains| remains.read_all())
    }
}

/// Where a queue's log stands in a store.
pub(crate) fn queue_directory(store: &Path, id: u64) -> PathBuf {
    store.join("queues").join(format!("{id:016x}"))
}

impl Inner {
    fn queue_directory(&self, id: u64) -> PathBuf {
        queue_directory(&self.directory, id)
    }

    /// Opens a queue of a stream, or gives another handle on one that is open.
    pub fn open_queue(&self, stream: &Stream, name: &str) -> Result<Queue> {
        let mut queues = self.queues.lock();
        let entry = self.look_up(stream.0.id, |entry| entry.queue(name).cloned())?;
        if let Some(queue) = queues.get(&entry.id) {
            return Ok(Queue(Arc::clone(queue)));
        }
        let directory = self.queue_directory(entry.id);
        let parent = self.directory.join("queues");
        let failed = |error| Error::io(parent.display(), error);
        self.environment.disk.make_directory(&parent).map_err(failed)?;
        self.environment.disk.sync_directory(&self.directory).map_err(failed)?;
        let (queue, lost) = QueueInner::open(stream, &entry, directory)?;
        lost.into_iter().for_each(|warning| self.warn(warning));
        queues.insert(entry.id, Arc::clone(&queue));
        Ok(Queue(queue))
    }

    /// A queue that is in use, by its id.
    pub fn queue_in_use(&self, id: u64) -> Option<Arc<QueueInner>> {
        self.queues.lock().get(&id).cloned()
    }

    /// Deletes a queue of a stream, in the control log first, then its files.
    pub fn delete_queue(&self, stream: u64, name: &str) -> Result<()> {
        let mut queues = self.queues.lock();
        let id = self.look_up(stream, |entry| Ok(entry.queue(name)?.id))?;
        self.command(&DeleteQueue { id: stream, queue: name.to_owned() }.into())?;
        let queue = queues.remove(&id);
        self.remove_queue(id, queue)
    }

    /// Ends the queues of a stream that is being deleted, and removes their files.
    pub(super) fn remove_queues_of(&self, stream: u64) -> Result<()> {
        let ids: Vec<u64> = self.look_up(stream, |entry| Ok(entry.queues.iter().map(|queue| queue.id).collect()))?;
        let mut queues = self.queues.lock();
        ids.into_iter().try_for_each(|id| self.remove_queue(id, queues.remove(&id)))
    }

    fn remove_queue(&self, id: u64, queue: Option<Arc<QueueInner>>) -> Result<()> {
        if let Some(queue) = queue {
            queue.start_deleting();
            // Its files go whether or not all of it is on disk.
            let _nobody_opens_it_again = queue.close();
        }
        let directory = self.queue_directory(id);
        self.environment.disk.remove_tree(&directory).map_err(|error| Error::io(directory.display(), error))
    }

    /// Removes the files of queues that the control log does not know, and of those in the making: what they hold is
    /// progress of a queue that nobody can ask for.
    pub(super) fn remove_forgotten_queues(&self) -> Result<()> {
        let parent = self.directory.join("queues");
        let failed = |error| Error::io(parent.display(), error);
        let disk = &self.environment.disk;
        let names = match disk.list(&parent) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(failed)?,
        };
        let known: BTreeSet<PathBuf> = {
            let journal = self.journal.lock();
            let ids = journal.state().streams().flat_map(|entry| &entry.queues).map(|queue| queue.id);
            ids.map(|id| self.queue_directory(id)).collect()
        };
        let forgotten = names.iter().map(|name| parent.join(name)).filter(|path| !known.contains(path));
        forgotten.into_iter().try_for_each(|path| disk.remove_tree(&path).map_err(failed))
    }

    /// Ends the logs of all queues.
    pub(super) fn close_queues(&self) -> Result<()> {
        let queues: Vec<_> = std::mem::take(&mut *self.queues.lock()).into_values().collect();
        queues.iter().map(|queue| queue.close()).fold(Ok(()), Result::and)
    }
}
