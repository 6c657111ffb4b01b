//! What was told of a stream's shards, and what must be true of them because of it. A change that was answered is there
//! for ever; one that is under way, or failed, is there as a whole or not at all.

use millrace::Stream;
use millrace::shard::{HashKey, SequenceNumber, Shard, ShardId};

use crate::ledger::{Complaint, must};

/// The shards of a stream, as the engine has shown them after each change that it answered.
#[derive(Clone, Debug, Default)]
pub struct ShardLedger {
    told: Vec<Shard>,
    /// A change is under way, or nobody knows what became of it.
    pub is_in_doubt: bool,
}

impl ShardLedger {
    /// Notes what the engine shows, the change having been answered.
    pub fn note(&mut self, stream: &Stream) {
        self.told = stream.describe().shards;
        self.is_in_doubt = false;
    }

    /// Holds a place that an append was given against the shards.
    ///
    /// # Errors
    /// Where the record does not belong there.
    pub fn check_place(&self, key: &str, (shard, sequence): (u32, u64)) -> Result<(), Complaint> {
        let Some(told) = self.told.iter().find(|told| told.id == ShardId(shard)) else {
            // Of a change in doubt the shards are not known.
            must!(self.is_in_doubt, "a record is in shard {shard}, which there is not");
            return Ok(());
        };
        let hash = HashKey::of_key(key.as_bytes());
        let is_open = told.opened_at.0 <= sequence && told.closed_at.is_none_or(|closed_at| sequence < closed_at.0);
        must!(is_open, "a record at {sequence} is in shard {shard}, which is {told:?}");
        must!(told.range.contains(hash), "a record of {key} is in shard {shard}, which is {told:?}");
        Ok(())
    }

    /// The store was opened again: all shards must follow from what was told.
    ///
    /// # Errors
    /// What does not follow.
    pub fn examine(&mut self, stream: &Stream) -> Result<(), Complaint> {
        let name = stream.name();
        let there = stream.describe().shards;
        let next = self.told.last().map_or(0, |last| last.id.0 + 1);
        for told in &self.told {
            let Some(now) = there.iter().find(|now| now.id == told.id) else {
                // That its records have expired is the ledger of the records' to say: they can be read no more.
                must!(told.closed_at.is_some(), "{name}: {told:?} is gone");
                continue;
            };
            let is_closed_since = self.is_in_doubt && told.is_open() && !now.is_open();
            let as_told =
                if is_closed_since { Shard { closed_at: now.closed_at, ..told.clone() } } else { told.clone() };
            must!(*now == as_told, "{name}: {told:?} has become {now:?}");
        }
        // A stream whose creation was not answered was told of no shards.
        let is_new = next > 0 && there.iter().any(|now| now.id.0 >= next);
        must!(!is_new || self.is_in_doubt, "{name}: there are shards that nobody was told of");
        for now in &there {
            let is_ordered = now.closed_at.is_none_or(|closed_at| now.opened_at <= closed_at);
            must!(is_ordered, "{name}: {now:?} ends before it begins");
            must!(now.opened_at == SequenceNumber(0) || now.parent.is_some(), "{name}: {now:?} has no parent");
        }
        self.told = there;
        self.is_in_doubt = false;
        Ok(())
    }

    /// The shards, as last seen.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.told
    }
}
