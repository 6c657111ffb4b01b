//! Receiving: what is visible again, then what nobody received yet, noted in the log before it is handed out.

use super::delivery::{Message, Receive, Received};
use super::reading::Found;
use super::receipt::Receipt;
use super::state::{IN_FLIGHT_MAX, Lane, RECORDS_MAX};
use super::{Core, Queue};
use crate::error::{Error, Kind, Result};
use crate::format::queue::Progress;

impl Core {
    pub(super) fn receive(&mut self, queue: &Queue, request: &Receive, now_ms: u64) -> Result<Received> {
        let mut damage = Vec::new();
        let again = self.state.receivable(request.lane, request.records_max);
        let mut found = self.source.again(&again, &mut damage)?;
        // What the stream cannot give any more will not come back.
        for sequence in again.iter().filter(|sequence| !found.iter().any(|record| record.sequence == **sequence)) {
            self.state.forget(*sequence);
        }
        let mut steps = Vec::new();
        if request.lane == Lane::Records {
            let room = self.state.fresh_room(found.len()).min(request.records_max - found.len());
            self.take_fresh(room, &mut found, &mut steps, &mut damage)?;
        }
        damage.iter().for_each(|error| self.source.stream().0.engine.warn(format!("queue {}: {error}", queue.0.name)));
        let hidden_s = request.visibility_timeout_s.unwrap_or(self.config.visibility_timeout_s);
        let visible_at_ms = now_ms + u64::from(hidden_s) * 1_000;
        let entropy = &self.source.stream().0.engine.environment.entropy;
        let nonces: Vec<u64> = found.iter().map(|_| entropy.random().max(1)).collect();
        for (record, nonce) in found.iter().zip(&nonces) {
            // The queue's clock does not follow the wall's, and nothing is received before it has arrived.
            let at_ms = now_ms.max(record.arrival_ms);
            steps.push(Progress::Received { sequence: record.sequence, nonce: *nonce, at_ms, visible_at_ms });
        }
        if found.is_empty() {
            return self.nothing(queue, request.lane, now_ms);
        }
        if let Err(error) = self.log.append(&mut self.state, &steps) {
            self.source.rewind();
            return Err(error);
        }
        let messages = found.into_iter().zip(nonces).map(|(record, nonce)| self.message(queue, record, nonce));
        Ok(Received { messages: messages.collect(), look_again: None })
    }

    fn take_fresh(
        &mut self,
        room: usize,
        found: &mut Vec<Found>,
        steps: &mut Vec<Progress>,
        damage: &mut Vec<Error>,
    ) -> Result<()> {
        if room == 0 {
            return Ok(());
        }
        let from = self.state.next_fresh();
        let (fresh, to) = self.source.fresh(from, room, damage)?;
        if !fresh.is_empty() {
            steps.push(Progress::Advanced { from, to });
            found.extend(fresh);
        }
        Ok(())
    }

    fn nothing(&self, queue: &Queue, lane: Lane, now_ms: u64) -> Result<Received> {
        if lane == Lane::Records && self.state.is_full() {
            let message = format!(
                "queue {}: expected fewer than {IN_FLIGHT_MAX} records in flight and {RECORDS_MAX} received and not \
                 acknowledged, dead letters included; acknowledge some, or wait until they are visible again",
                queue.0.name
            );
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        let clock = &self.source.stream().0.engine.environment.clock;
        let look_again = self.state.next_visible_ms(lane).map(|at_ms| clock.wait_for(at_ms.saturating_sub(now_ms)));
        Ok(Received { messages: Vec::new(), look_again })
    }

    fn message(&self, queue: &Queue, found: Found, nonce: u64) -> Message {
        let known = self.state.known(found.sequence).expect("it was received just now");
        let receipt = Receipt { queue: queue.0.id, sequence: found.sequence, nonce }.to_string();
        Message { receipt, first_received_ms: known.first_received_ms, receive_count: known.receive_count, found }
    }
}
