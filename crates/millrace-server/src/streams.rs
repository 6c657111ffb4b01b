//! The streams that are in use, so that a request costs no look into the control log, and those who wait for a change of
//! theirs.

use std::collections::HashMap;
use std::sync::Arc;

use millrace::shard::{SEQUENCE_DIGITS, SequenceCodec, SequenceNumber, ShardId};
use millrace::{Change, Engine, Error, Kind, Position, Registration, Result, Stream, Wake};
use millrace_kinesis::Encryption;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A stream that is open.
#[derive(Debug)]
pub(crate) struct OpenStream {
    /// The stream.
    pub stream: Stream,
    /// Its number.
    pub id: u64,
    codec: SequenceCodec,
    moved: Arc<Moved>,
    _registrations: [Registration; 2],
}

/// Tells those who wait that something was published or became durable.
#[derive(Debug, Default)]
struct Moved(Notify);

impl Wake for Moved {
    fn wake(&self) {
        self.0.notify_waiters();
    }
}

impl OpenStream {
    fn new(stream: Stream) -> Result<OpenStream> {
        let description = stream.describe();
        let codec = SequenceCodec::new(description.created_ms / 1_000, description.id)?;
        let moved = Arc::new(Moved::default());
        let registrations =
            [Change::Published, Change::Durable].map(|change| stream.on_change(change, Arc::clone(&moved) as _));
        Ok(OpenStream { stream, id: description.id, codec, moved, _registrations: registrations })
    }

    /// How its records are said to be encrypted.
    pub fn encryption(&self) -> Encryption {
        if self.stream.is_encrypted() { Encryption::Kms } else { Encryption::None }
    }

    /// Writes the sequence number of a record.
    pub fn write_sequence_number<'d>(
        &self,
        shard: u32,
        sequence: u64,
        digits: &'d mut [u8; SEQUENCE_DIGITS],
    ) -> &'d str {
        self.codec.write_into(ShardId(shard), SequenceNumber(sequence), digits);
        std::str::from_utf8(digits).expect("decimal digits are UTF-8")
    }

    /// The sequence number of a record.
    pub fn sequence_number(&self, shard: u32, sequence: u64) -> String {
        self.codec.encode(ShardId(shard), SequenceNumber(sequence))
    }

    /// The shard that a sequence number of this stream names.
    pub fn shard_of_number(&self, number: &str) -> Option<u32> {
        self.codec.decode(number).ok().map(|(shard, _)| shard.0)
    }

    /// The next change. Enable it first and look second, so that no change falls in between.
    pub fn next_change(&self) -> Notified<'_> {
        self.moved.0.notified()
    }

    /// Returns once all before `end` is acknowledged. No thread waits for it.
    pub async fn acknowledged(&self, end: Position) -> Result<()> {
        loop {
            let mut change = std::pin::pin!(self.next_change());
            change.as_mut().enable();
            if self.stream.acknowledged() >= end {
                return Ok(());
            }
            self.stream.check_poison().map_err(|error| {
                let message = format!("the append may or may not be there after the next open: {}", error.message());
                Error::new(Kind::OutcomeUnknown, message)
            })?;
            if self.stream.is_deleted() {
                let message = format!("stream {} was deleted meanwhile", self.stream.name());
                return Err(Error::new(Kind::StreamDeleting, message));
            }
            change.await;
        }
    }
}

/// The streams that were asked for, by name.
#[derive(Debug)]
pub(crate) struct Streams {
    engine: Arc<Engine>,
    open: RwLock<HashMap<String, Arc<OpenStream>>>,
}

impl Streams {
    pub fn new(engine: Arc<Engine>) -> Streams {
        Streams { engine, open: RwLock::default() }
    }

    /// The stream of this name. The first who asks opens it, off the threads that serve: it may have to be recovered.
    pub async fn get(&self, name: &str) -> Result<Arc<OpenStream>> {
        if let Some(open) = self.open.read().get(name)
            && !open.stream.is_deleted()
        {
            return Ok(Arc::clone(open));
        }
        let (engine, wanted) = (Arc::clone(&self.engine), name.to_owned());
        let opened = blocking(move || OpenStream::new(engine.stream(&wanted)?)).await?;
        let opened = Arc::new(opened);
        let mut open = self.open.write();
        // Names that were deleted since are let go of, so that the table holds no more than there are streams.
        open.retain(|_, stream| !stream.stream.is_deleted());
        open.insert(name.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }
}

/// Does what may block on a thread that serves nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal, format!("a call of the engine did not end: {error}"))),
    }
}
