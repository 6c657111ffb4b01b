//! The promises of a queue's state: by hand, then random histories against a model that keeps a list and no sets.

use proptest::prelude::*;

use super::*;

const MAX: u32 = 3;

/// A queue that has handed out records 1 to `count` at time 0, each until time 10, with its sequence as the nonce.
fn after_receiving(count: u64) -> QueueState {
    let mut state = QueueState::new(1);
    state.apply(&Progress::Advanced { from: 1, to: count + 1 }).expect("goes on");
    (1..=count).for_each(|sequence| receive(&mut state, sequence, sequence, 0, 10));
    state
}

fn receive(state: &mut QueueState, sequence: u64, nonce: u64, at_ms: u64, visible_at_ms: u64) {
    state.apply(&Progress::Received { sequence, nonce, at_ms, visible_at_ms }).expect("was looked at");
}

fn counts(state: &QueueState, lane: Lane) -> (usize, usize) {
    let Counts { visible, in_flight } = state.counts(lane);
    (visible, in_flight)
}

#[test]
fn what_is_not_acknowledged_in_time_is_visible_again_and_an_old_receipt_then_counts_until_the_next() {
    let mut state = after_receiving(2);
    assert_eq!((counts(&state, Lane::Records), state.next_visible_ms(Lane::Records)), ((0, 2), Some(10)));
    assert!(state.pass_time(9, Some(MAX)).is_empty());
    assert!(state.receivable(Lane::Records, 10).is_empty());
    assert!(state.pass_time(10, Some(MAX)).is_empty());
    assert_eq!(state.receivable(Lane::Records, 10), [1, 2]);
    assert_eq!(state.hide(1, 1, 20), None, "it is not in flight any more");
    assert_eq!(state.acknowledge(1, 1), Some(Progress::Acknowledged { sequence: 1 }));
    receive(&mut state, 1, 77, 11, 21);
    assert_eq!((state.acknowledge(1, 1), state.acknowledge(1, 0)), (None, None), "a receipt of the delivery before");
    let known = state.known(1).expect("in flight");
    assert_eq!((known.receive_count, known.first_received_ms), (2, 0));
    state.apply(&state.acknowledge(1, 77).expect("in force")).expect("was decided here");
    assert_eq!((state.acknowledge(1, 77), counts(&state, Lane::Records)), (None, (1, 0)));
}

#[test]
fn what_is_received_too_often_dies_when_its_last_time_is_out_and_lives_again_when_restored() {
    let mut state = after_receiving(1);
    for nonce in 2..=u64::from(MAX) {
        assert!(state.pass_time(10 * nonce, Some(MAX)).is_empty());
        receive(&mut state, 1, nonce, 10 * nonce, 10 * nonce + 10);
    }
    assert!(state.acknowledge(1, 3).is_some(), "its last delivery can still be acknowledged");
    assert_eq!(state.pass_time(40, Some(MAX)), [Progress::Died { sequence: 1 }]);
    assert_eq!((counts(&state, Lane::Records), counts(&state, Lane::DeadLetters)), ((0, 0), (1, 0)));
    assert_eq!(state.receivable(Lane::DeadLetters, 10), [1]);
    receive(&mut state, 1, 9, 41, 51);
    assert_eq!(state.restore(1, 3), None);
    state.apply(&state.restore(1, 9).expect("in force")).expect("was decided here");
    state.pass_time(41, Some(MAX));
    assert_eq!((counts(&state, Lane::Records), counts(&state, Lane::DeadLetters)), ((1, 0), (0, 0)));
    let known = state.known(1).expect("restored");
    assert_eq!((known.receive_count, known.first_received_ms), (0, 0));
    assert_eq!((state.acknowledge(1, 9), state.restore(1, 9)), (None, None), "its receipts ended");
}

#[test]
fn without_dead_letters_a_record_is_handed_out_for_ever_and_a_later_limit_is_held_against_what_is_visible() {
    let mut state = after_receiving(2);
    for nonce in 2..50 {
        assert!(state.pass_time(10 * nonce, None).is_empty());
        receive(&mut state, 1, nonce, 10 * nonce, 10 * nonce + 10);
    }
    state.pass_time(1_000, None);
    assert_eq!(state.reconsider(Some(2)), [Progress::Died { sequence: 1 }]);
    assert_eq!(state.receivable(Lane::Records, 10), [2]);
}

#[test]
fn what_waits_to_be_handed_out_again_comes_before_what_is_fresh_and_flights_are_limited() {
    let mut state = after_receiving(3);
    assert_eq!(state.fresh_room(0), IN_FLIGHT_MAX - 3);
    state.pass_time(10, Some(MAX));
    assert_eq!((state.fresh_room(2), state.fresh_room(3)), (0, IN_FLIGHT_MAX - 3));
    let mut full = after_receiving(IN_FLIGHT_MAX as u64);
    assert!(full.is_full() && full.fresh_room(0) == 0);
    full.pass_time(10, None);
    assert_eq!(full.receivable(Lane::Records, usize::MAX).len(), IN_FLIGHT_MAX);
}

#[test]
fn a_step_that_lost_its_predecessor_is_refused_and_changes_nothing() {
    let mut state = after_receiving(2);
    let before = state.clone();
    let impossible = [
        Progress::Advanced { from: 4, to: 5 },
        Progress::Received { sequence: 3, nonce: 1, at_ms: 0, visible_at_ms: 0 },
        Progress::Acknowledged { sequence: 3 },
        Progress::Hidden { sequence: 3, visible_at_ms: 0 },
        Progress::Died { sequence: 3 },
        Progress::Restored { sequence: 1 },
    ];
    for step in impossible {
        assert_eq!(state.apply(&step).expect_err("impossible").kind(), Kind::Corrupt, "{step:?}");
    }
    assert_eq!(state, before);
}

#[test]
fn a_clock_that_was_far_ahead_hides_no_record_for_longer_than_can_be() {
    let mut state = after_receiving(1);
    receive(&mut state, 1, 5, 0, u64::MAX);
    state.correct_times(100);
    assert_eq!(state.next_visible_ms(Lane::Records), Some(100 + HIDDEN_MS_MAX));
}

/// What may happen to a queue. A handle is the index of one that was given out, mostly of the last ones.
#[derive(Clone, Debug)]
enum Op {
    Receive {
        lane: Lane,
        count: usize,
        hidden_ms: u64,
    },
    Acknowledge {
        handle: usize,
    },
    Hide {
        handle: usize,
        hidden_ms: u64,
    },
    Restore {
        handle: usize,
    },
    Pass {
        ms: u64,
    },
    Expire {
        sequence: u64,
    },
    Limit {
        count_max: Option<u32>,
    },
    /// The process died: what is in the log is applied to the last snapshot.
    Crash,
    Snapshot,
}

fn any_op() -> impl Strategy<Value = Op> {
    let lane = prop_oneof![3 => Just(Lane::Records), 1 => Just(Lane::DeadLetters)];
    prop_oneof![
        6 => (lane, 1..4_usize, 0..30_u64).prop_map(|(lane, count, hidden_ms)| Op::Receive { lane, count, hidden_ms }),
        3 => (0..12_usize).prop_map(|handle| Op::Acknowledge { handle }),
        2 => (0..12_usize, 0..40_u64).prop_map(|(handle, hidden_ms)| Op::Hide { handle, hidden_ms }),
        2 => (0..12_usize).prop_map(|handle| Op::Restore { handle }),
        5 => (1..30_u64).prop_map(|ms| Op::Pass { ms }),
        1 => (0..60_u64).prop_map(|sequence| Op::Expire { sequence }),
        1 => proptest::option::of(1..5_u32).prop_map(|count_max| Op::Limit { count_max }),
        1 => Just(Op::Crash),
        1 => Just(Op::Snapshot),
    ]
}

#[derive(Clone, Debug)]
struct Slow {
    sequence: u64,
    nonce: u64,
    visible_at_ms: u64,
    first_ms: u64,
    count: u32,
    dead: bool,
}

/// The same queue as a list, looked through for each question.
#[derive(Debug, Default)]
struct Model {
    list: Vec<Slow>,
    now_ms: u64,
}

impl Model {
    fn bury(&mut self, count_max: Option<u32>) {
        for record in &mut self.list {
            let visible = record.visible_at_ms <= self.now_ms;
            record.dead |= visible && count_max.is_some_and(|max| record.count >= max);
        }
    }

    fn visible(&self, lane: Lane) -> Vec<u64> {
        let visible =
            |record: &&Slow| record.visible_at_ms <= self.now_ms && record.dead == (lane == Lane::DeadLetters);
        self.list.iter().filter(visible).map(|record| record.sequence).collect()
    }

    fn of(&mut self, (sequence, nonce): (u64, u64)) -> Option<&mut Slow> {
        self.list.iter_mut().find(|record| record.sequence == sequence && record.nonce == nonce)
    }
}

struct World {
    state: QueueState,
    model: Model,
    handles: Vec<(u64, u64)>,
    count_max: Option<u32>,
    // What is durable: a snapshot and the steps since.
    snapshot: QueueSnapshot,
    log: Vec<Progress>,
}

impl World {
    fn settle(&mut self) {
        let deaths = self.state.pass_time(self.model.now_ms, self.count_max);
        self.log.extend(deaths);
        self.model.bury(self.count_max);
    }

    fn take(&mut self, step: Progress) {
        self.state.apply(&step).expect("was decided here");
        self.log.push(step);
    }

    fn handle(&self, index: usize) -> (u64, u64) {
        self.handles.len().checked_sub(index + 1).and_then(|at| self.handles.get(at)).copied().unwrap_or((0, 0))
    }

    fn receive(&mut self, lane: Lane, count: usize, hidden_ms: u64) {
        let now_ms = self.model.now_ms;
        let mut given = self.state.receivable(lane, count);
        let fresh = if lane == Lane::Records { self.state.fresh_room(given.len()).min(count - given.len()) } else { 0 };
        if fresh > 0 {
            // Every third sequence of the stream is one that was never given to a record.
            let from = self.state.next_fresh();
            let found: Vec<u64> = (from..).filter(|sequence| sequence % 3 != 0).take(fresh).collect();
            self.take(Progress::Advanced { from, to: found[fresh - 1] + 1 });
            given.extend(found);
        }
        for sequence in given {
            let nonce = self.handles.len() as u64 + 1;
            let visible_at_ms = now_ms + hidden_ms;
            self.take(Progress::Received { sequence, nonce, at_ms: now_ms, visible_at_ms });
            match self.model.list.iter_mut().find(|record| record.sequence == sequence) {
                Some(record) => {
                    (record.nonce, record.visible_at_ms, record.count) = (nonce, visible_at_ms, record.count + 1);
                }
                None => {
                    let first_ms = now_ms;
                    self.model.list.push(Slow { sequence, nonce, visible_at_ms, first_ms, count: 1, dead: false });
                    self.model.list.sort_by_key(|record| record.sequence);
                }
            }
            self.handles.push((sequence, nonce));
        }
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Receive { lane, count, hidden_ms } => self.receive(lane, count, hidden_ms),
            Op::Acknowledge { handle } => {
                let (sequence, nonce) = self.handle(handle);
                let step = self.state.acknowledge(sequence, nonce);
                assert_eq!(step.is_some(), self.model.of((sequence, nonce)).is_some());
                self.model.list.retain(|record| (record.sequence, record.nonce) != (sequence, nonce));
                step.into_iter().for_each(|step| self.take(step));
            }
            Op::Hide { handle, hidden_ms } => {
                let (sequence, nonce) = self.handle(handle);
                let now_ms = self.model.now_ms;
                let step = self.state.hide(sequence, nonce, now_ms + hidden_ms);
                let record = self.model.of((sequence, nonce)).filter(|record| record.visible_at_ms > now_ms);
                assert_eq!(step.is_some(), record.is_some());
                record.into_iter().for_each(|record| record.visible_at_ms = now_ms + hidden_ms);
                step.into_iter().for_each(|step| self.take(step));
            }
            Op::Restore { handle } => {
                let (sequence, nonce) = self.handle(handle);
                let step = self.state.restore(sequence, nonce);
                let record = self.model.of((sequence, nonce)).filter(|record| record.dead);
                assert_eq!(step.is_some(), record.is_some());
                if let Some(record) = record {
                    (record.nonce, record.visible_at_ms, record.count, record.dead) = (0, 0, 0, false);
                }
                step.into_iter().for_each(|step| self.take(step));
            }
            Op::Pass { ms } => self.model.now_ms += ms,
            Op::Expire { sequence } => {
                self.state.expire(sequence);
                self.model.list.retain(|record| record.sequence >= sequence);
            }
            Op::Limit { count_max } => {
                self.count_max = count_max;
                let deaths = self.state.reconsider(count_max);
                self.log.extend(deaths);
            }
            Op::Crash => {
                let decoded = QueueSnapshot::decode(&self.snapshot.encode()).expect("a state's own snapshot");
                let mut replayed = QueueState::restored(&decoded);
                let mut bytes = Vec::new();
                self.log.iter().for_each(|step| step.encode(&mut bytes));
                for step in Progress::decode_all(&bytes).expect("steps") {
                    replayed.apply(&step).expect("was applied before");
                }
                // Expiry is told by the stream, not by the log.
                let kept: Vec<u64> = self.model.list.iter().map(|record| record.sequence).collect();
                let gone: Vec<u64> =
                    replayed.known.keys().copied().filter(|sequence| !kept.contains(sequence)).collect();
                gone.into_iter().for_each(|sequence| replayed.forget(sequence));
                assert!(replayed.pass_time(self.model.now_ms, self.count_max).is_empty(), "deaths are in the log");
                assert_eq!(replayed, self.state);
                self.state = replayed;
            }
            Op::Snapshot => (self.snapshot, self.log) = (self.state.snapshot(), Vec::new()),
        }
    }

    fn check(&self) {
        for lane in [Lane::Records, Lane::DeadLetters] {
            let visible = self.model.visible(lane);
            assert_eq!(self.state.receivable(lane, usize::MAX), visible);
            let in_lane = self.model.list.iter().filter(|record| record.dead == (lane == Lane::DeadLetters));
            assert_eq!(
                self.state.counts(lane),
                Counts { visible: visible.len(), in_flight: in_lane.count() - visible.len() }
            );
        }
        for record in &self.model.list {
            let known = self.state.known(record.sequence).expect("the model has it");
            assert_eq!((known.receive_count, known.first_received_ms), (record.count, record.first_ms));
        }
        assert_eq!(self.state.known.len(), self.model.list.len());
    }
}

proptest! {
    #[test]
    fn any_history_does_what_a_list_would_and_replays_to_the_same_state(ops in proptest::collection::vec(any_op(), 0..120)) {
        let mut world = World {
            state: QueueState::new(1),
            model: Model { now_ms: 1, ..Model::default() },
            handles: Vec::new(),
            count_max: Some(MAX),
            snapshot: QueueState::new(1).snapshot(),
            log: Vec::new(),
        };
        for op in &ops {
            world.perform(op);
            world.settle();
            world.check();
        }
    }
}
