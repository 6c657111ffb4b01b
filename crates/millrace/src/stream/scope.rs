//! Of which shards a reader sees the records: all, one, or a family, a shard with all that came of it: its children,
//! theirs, and so on. In the order of the log parents come before their children, so whoever reads a family has one place
//! in the log as any reader has, and keeps the order of each key.

use std::collections::BTreeSet;

use super::Routes;
use crate::shard::{Shard, ShardId};

/// Of which shards a reader sees the records.
#[derive(Debug)]
pub(super) enum Scope {
    All,
    One(u32),
    Family(Family),
}

impl Scope {
    /// The one shard, where it is one.
    pub fn only(&self) -> Option<u32> {
        if let Scope::One(shard) = self { Some(*shard) } else { None }
    }

    pub fn holds(&self, shard: u32) -> bool {
        match self {
            Scope::All => true,
            Scope::One(one) => *one == shard,
            Scope::Family(family) => family.holds(shard),
        }
    }
}

/// The numbers of the shards of a family, as far as the family is known.
#[derive(Debug)]
pub(super) struct Family {
    shards: BTreeSet<u32>,
    // The map that it was looked up in.
    generation: Option<u64>,
}

impl Family {
    /// The family of this shard, nothing being known of its children yet.
    pub fn of(shard: u32) -> Family {
        Family { shards: BTreeSet::from([shard]), generation: None }
    }

    /// Takes in the children that a map knows.
    pub fn grow(&mut self, routes: &Routes) {
        if self.generation == Some(routes.generation) {
            return;
        }
        self.generation = Some(routes.generation);
        // Shards stand in the order of their numbers, and children have higher ones than their parents.
        for Shard { id: ShardId(shard), parent, adjacent_parent, .. } in routes.map.shards() {
            if [parent, adjacent_parent].into_iter().flatten().any(|parent| self.holds(parent.0)) {
                self.shards.insert(*shard);
            }
        }
    }

    pub fn holds(&self, shard: u32) -> bool {
        self.shards.contains(&shard)
    }
}
