//! How far a log goes: a place, and the sequence that the next record there gets at least.

use crate::format::Position;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A place and a sequence that only grow. One thread at a time advances them; anybody reads them without a lock.
///
/// The two are words of their own. Between their stores a reader may see the one before the other has moved: each is
/// true for itself, because whatever makes it true has been done before either is stored.
#[derive(Debug)]
pub(crate) struct Reach {
    place: AtomicU64,
    sequence: AtomicU64,
}

impl Reach {
    pub fn new(place: Position, sequence: u64) -> Reach {
        Reach { place: AtomicU64::new(place.pack()), sequence: AtomicU64::new(sequence) }
    }

    /// Goes on to here. Who sees the new place or sequence sees what was done before this call.
    pub fn advance(&self, place: Position, sequence: u64) {
        self.sequence.store(sequence, Ordering::Release);
        self.place.store(place.pack(), Ordering::Release);
    }

    pub fn place(&self) -> Position {
        Position::unpack(self.place.load(Ordering::Acquire))
    }

    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }
}
