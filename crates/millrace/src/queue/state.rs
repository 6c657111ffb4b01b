//! What a queue knows of the records that it has handed out: a pure state machine, driven by steps and by the time as
//! an argument. It sees sequences, never records.
//!
//! A record before `next_fresh` that is not among `records` is acknowledged, expired, or was never there. Each of the
//! others is in exactly one of four sets: in flight or visible, and either of these as a dead letter.
//!
//! ```text
//!            received                    timed out                    restored
//!   fresh ------------> in flight <-------------------> visible <----------------- dead letters,
//!                           |            received again    |   received too often ^ in flight or visible
//!                           | acknowledged                 +----------------------+     |
//!                           +--------------> gone <-------------------------------------+
//! ```
//!
//! Invariants: what is decided here (as [`Progress`]) changes nothing until it is applied, so that it can be made
//! durable in between; the same steps applied in the same order lead to the same state; that a time-out has come is no
//! step, because the time alone tells it. A receipt is in force until its record is received again, acknowledged or
//! restored. Records that were received are never more than [`RECORDS_MAX`], whatever a caller does.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Kind, Result};
use crate::format::queue::{Progress, QueueRecord, QueueSnapshot};

/// The most records of a queue that are in flight at a time (Kinesis: 120,000).
pub(crate) const IN_FLIGHT_MAX: usize = 120_000;
/// The most records that a queue keeps account of, dead letters included: as many as a snapshot in one frame holds.
pub(crate) const RECORDS_MAX: usize = 300_000;
/// The longest time that a record is hidden, in milliseconds (Kinesis: 43,200 s).
pub(crate) const HIDDEN_MS_MAX: u64 = 43_200_000;

/// Which records an operation is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// Those that are to be worked on.
    #[default]
    Records,
    /// Those that were received too often.
    DeadLetters,
}

/// How many records of a lane are in which set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub visible: usize,
    pub in_flight: usize,
}

/// What is known of a record that was received and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    nonce: u64,
    visible_at_ms: u64,
    pub first_received_ms: u64,
    pub receive_count: u32,
    lane: Lane,
}

/// The records of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sets {
    /// In flight, by the time at which they become visible.
    hidden: BTreeSet<(u64, u64)>,
    visible: BTreeSet<u64>,
}

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueState {
    next_fresh: u64,
    known: BTreeMap<u64, Known>,
    records: Sets,
    dead: Sets,
}

impl QueueState {
    /// A queue that has handed out nothing and begins at a sequence.
    pub fn new(next_fresh: u64) -> QueueState {
        QueueState { next_fresh, ..QueueState::default() }
    }

    /// Records from this sequence on have not been looked at.
    pub fn next_fresh(&self) -> u64 {
        self.next_fresh
    }

    /// What is known of a record that is not acknowledged.
    pub fn known(&self, sequence: u64) -> Option<&Known> {
        self.known.get(&sequence)
    }

    pub fn counts(&self, lane: Lane) -> Counts {
        let sets = self.sets(lane);
        Counts { visible: sets.visible.len(), in_flight: sets.hidden.len() }
    }

    /// When the next record of a lane becomes visible, if none else comes before.
    pub fn next_visible_ms(&self, lane: Lane) -> Option<u64> {
        self.sets(lane).hidden.first().map(|(visible_at_ms, _)| *visible_at_ms)
    }

    /// Lets time pass: what has timed out is visible, or a dead letter where it was received `count_max` times. The
    /// deaths are steps that are done already and still to be written down.
    pub fn pass_time(&mut self, now_ms: u64, count_max: Option<u32>) -> Vec<Progress> {
        self.dead.time_out(now_ms);
        let timed_out = self.records.time_out(now_ms);
        self.bury(timed_out.into_iter(), count_max)
    }

    /// Judges what is visible by another limit. The deaths are steps as those of [`QueueState::pass_time`].
    pub fn reconsider(&mut self, count_max: Option<u32>) -> Vec<Progress> {
        let visible = self.records.visible.clone();
        self.bury(visible.into_iter(), count_max)
    }

    fn bury(&mut self, visible: impl Iterator<Item = u64>, count_max: Option<u32>) -> Vec<Progress> {
        let Some(count_max) = count_max else { return Vec::new() };
        let worn = |sequence: &u64| self.known.get(sequence).is_some_and(|known| known.receive_count >= count_max);
        let deaths: Vec<_> = visible.filter(worn).map(|sequence| Progress::Died { sequence }).collect();
        for death in &deaths {
            self.apply(death).expect("a visible record can die");
        }
        deaths
    }

    /// The records of a lane that can be handed out again now, oldest first, at most so many.
    pub fn receivable(&self, lane: Lane, count_max: usize) -> Vec<u64> {
        self.sets(lane).visible.iter().take(count_max.min(self.room_in_flight(lane))).copied().collect()
    }

    /// How many records that nobody received yet may be handed out in a call that hands out `again` others: none while
    /// more wait to be handed out again, so that what a queue keeps account of stays bounded.
    pub fn fresh_room(&self, again: usize) -> usize {
        if self.records.visible.len() > again {
            return 0;
        }
        let in_flight = self.room_in_flight(Lane::Records).saturating_sub(again);
        in_flight.min(RECORDS_MAX.saturating_sub(self.known.len()))
    }

    /// Whether nothing can be handed out until somebody acknowledges: too many records are in flight, or dead.
    pub fn is_full(&self) -> bool {
        self.room_in_flight(Lane::Records) == 0 || self.known.len() >= RECORDS_MAX
    }

    fn room_in_flight(&self, lane: Lane) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.sets(lane).hidden.len())
    }

    /// Forgets records before the horizon: the stream has them no more. Time tells it too, so it is no step.
    pub fn expire(&mut self, horizon: u64) {
        while let Some((sequence, _)) = self.known.first_key_value().filter(|(sequence, _)| **sequence < horizon) {
            self.forget(*sequence);
        }
    }

    /// Forgets a record that the stream cannot give.
    pub fn forget(&mut self, sequence: u64) {
        if let Some(known) = self.known.remove(&sequence) {
            self.sets_mut(known.lane).remove(sequence, known.visible_at_ms);
        }
    }

    /// Acknowledges the record of a receipt; `None` where the receipt is no longer in force.
    pub fn acknowledge(&self, sequence: u64, nonce: u64) -> Option<Progress> {
        self.in_force(sequence, nonce).map(|_| Progress::Acknowledged { sequence })
    }

    /// Hides the record of a receipt, which must be in flight, until another time.
    pub fn hide(&self, sequence: u64, nonce: u64, visible_at_ms: u64) -> Option<Progress> {
        let known = self.in_force(sequence, nonce)?;
        let in_flight = self.sets(known.lane).hidden.contains(&(known.visible_at_ms, sequence));
        in_flight.then_some(Progress::Hidden { sequence, visible_at_ms })
    }

    /// Restores the dead letter of a receipt.
    pub fn restore(&self, sequence: u64, nonce: u64) -> Option<Progress> {
        let known = self.in_force(sequence, nonce)?;
        (known.lane == Lane::DeadLetters).then_some(Progress::Restored { sequence })
    }

    fn in_force(&self, sequence: u64, nonce: u64) -> Option<&Known> {
        self.known.get(&sequence).filter(|known| known.nonce == nonce && nonce != 0)
    }

    /// Applies a step that was decided here, or that a log holds.
    ///
    /// # Errors
    /// `Corrupt` for a step that this state could not have decided; it is then as it was.
    pub fn apply(&mut self, step: &Progress) -> Result<()> {
        match *step {
            Progress::Advanced { from, to } if from == self.next_fresh && to >= from => self.next_fresh = to,
            Progress::Received { sequence, nonce, at_ms, visible_at_ms } if sequence < self.next_fresh => {
                self.receive(sequence, nonce, at_ms, visible_at_ms);
            }
            Progress::Acknowledged { sequence } if self.known.contains_key(&sequence) => self.forget(sequence),
            Progress::Hidden { sequence, visible_at_ms } if self.known.contains_key(&sequence) => {
                self.change(sequence, |known| known.visible_at_ms = visible_at_ms);
            }
            Progress::Died { sequence } if self.lane(sequence) == Some(Lane::Records) => self.die(sequence),
            Progress::Restored { sequence } if self.lane(sequence) == Some(Lane::DeadLetters) => {
                self.change(sequence, |known| {
                    let Known { first_received_ms, .. } = *known;
                    let lane = Lane::Records;
                    *known = Known { nonce: 0, visible_at_ms: 0, first_received_ms, receive_count: 0, lane };
                });
            }
            _ => return Err(self.impossible(step)),
        }
        Ok(())
    }

    fn receive(&mut self, sequence: u64, nonce: u64, at_ms: u64, visible_at_ms: u64) {
        let fresh = || Known { nonce, visible_at_ms, first_received_ms: at_ms, receive_count: 0, lane: Lane::Records };
        self.known.entry(sequence).or_insert_with(fresh);
        self.change(sequence, |known| {
            (known.nonce, known.visible_at_ms) = (nonce, visible_at_ms);
            known.receive_count = known.receive_count.saturating_add(1);
        });
    }

    /// Changes what is known of a record, which is in flight afterwards until the time says that it is visible.
    fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Known)) {
        let known = self.known.get_mut(&sequence).expect("a step names a record that is known");
        let old = *known;
        change(known);
        let new = *known;
        self.sets_mut(old.lane).remove(sequence, old.visible_at_ms);
        self.sets_mut(new.lane).hidden.insert((new.visible_at_ms, sequence));
    }

    /// A dead letter is visible as the record was.
    fn die(&mut self, sequence: u64) {
        let known = self.known.get_mut(&sequence).expect("a step names a record that is known");
        known.lane = Lane::DeadLetters;
        let visible_at_ms = known.visible_at_ms;
        if self.records.remove(sequence, visible_at_ms) {
            self.dead.visible.insert(sequence);
        } else {
            self.dead.hidden.insert((visible_at_ms, sequence));
        }
    }

    fn lane(&self, sequence: u64) -> Option<Lane> {
        self.known.get(&sequence).map(|known| known.lane)
    }

    fn sets(&self, lane: Lane) -> &Sets {
        match lane {
            Lane::Records => &self.records,
            Lane::DeadLetters => &self.dead,
        }
    }

    fn sets_mut(&mut self, lane: Lane) -> &mut Sets {
        match lane {
            Lane::Records => &mut self.records,
            Lane::DeadLetters => &mut self.dead,
        }
    }

    fn impossible(&self, step: &Progress) -> Error {
        let message = format!("expected a step that a queue at sequence {} can make, got {step:?}", self.next_fresh);
        Error::new(Kind::Corrupt, message)
    }

    /// The state as a whole.
    pub fn snapshot(&self) -> QueueSnapshot {
        let records = self.known.iter().map(|(sequence, known)| QueueRecord {
            sequence: *sequence,
            nonce: known.nonce,
            visible_at_ms: known.visible_at_ms,
            first_received_ms: known.first_received_ms,
            receive_count: known.receive_count,
            is_dead: known.lane == Lane::DeadLetters,
        });
        QueueSnapshot { next_fresh: self.next_fresh, records: records.collect() }
    }

    /// The inverse, but for what the time tells: all records are in flight until it passes.
    pub fn restored(snapshot: &QueueSnapshot) -> QueueState {
        let mut state = QueueState::new(snapshot.next_fresh);
        for record in &snapshot.records {
            let QueueRecord { sequence, nonce, visible_at_ms, first_received_ms, receive_count, is_dead } = *record;
            let lane = if is_dead { Lane::DeadLetters } else { Lane::Records };
            state.known.insert(sequence, Known { nonce, visible_at_ms, first_received_ms, receive_count, lane });
            state.sets_mut(lane).hidden.insert((visible_at_ms, sequence));
        }
        state
    }

    /// Hides no record for longer than can be: a clock that was wrong hides none for ever.
    pub fn correct_times(&mut self, now_ms: u64) {
        let latest_ms = now_ms.saturating_add(HIDDEN_MS_MAX);
        let late: Vec<u64> = self
            .known
            .iter()
            .filter(|(_, known)| known.visible_at_ms > latest_ms)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in late {
            self.change(sequence, |known| known.visible_at_ms = latest_ms);
        }
    }
}

impl Sets {
    /// Takes a record out; returns whether it was visible.
    fn remove(&mut self, sequence: u64, visible_at_ms: u64) -> bool {
        !self.hidden.remove(&(visible_at_ms, sequence)) && self.visible.remove(&sequence)
    }

    /// Makes visible what is due; returns it.
    fn time_out(&mut self, now_ms: u64) -> Vec<u64> {
        let mut due = Vec::new();
        while let Some((_, sequence)) = self.hidden.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.hidden.pop_first();
            self.visible.insert(sequence);
            due.push(sequence);
        }
        due
    }
}

#[cfg(test)]
mod tests;
