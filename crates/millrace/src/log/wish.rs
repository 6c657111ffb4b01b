//! A wish for background work: noted any number of times, carried out once for all who noted it before.

use crate::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody has been asked and has not begun.
#[derive(Debug, Default)]
pub(crate) struct Wish(AtomicBool);

impl Wish {
    /// Notes the wish, after what it is for was done. Returns whether it is new: then somebody must be told.
    pub fn note(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Takes the wish up, before it is carried out: what is noted from now on is a new one.
    ///
    /// An exchange and no store: whoever noted it last is thereby seen with what it has done. Behind a store the look
    /// at the log might come before the store is seen, so that an append finds the wish noted and the sync does not
    /// find the append.
    pub fn take_up(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}
