//! The harness itself: that a seed replays its history, and that it finds what it is there to find.

use millrace_torture::crash::{self, Counts};
use millrace_torture::disk::{Failure, Fault, Operation};
use millrace_torture::faults;
use millrace_torture::history::{Moment, Script, live};

/// A disk that says it has done an operation, and has not.
fn liar(operation: Operation) -> Vec<Fault> {
    vec![Fault { operation, after: 0, times: u64::MAX, failure: Failure::Lie }]
}

fn finds(faults: &[Fault]) -> Option<String> {
    (1..40).find_map(|seed| crash::play_on(seed, faults.to_vec(), &mut Counts::default()).err())
}

#[test]
fn a_seed_plays_the_same_history_each_time() {
    for seed in 1..6 {
        let script = Script { steps: 80, captures: 5, is_rough: true, ..Script::quiet(seed) };
        let play = || live(Moment::default(), &script).expect("the engine keeps what it promises");
        let (first, second) = (play(), play());
        assert!(first.operations > 50);
        assert_eq!((first.trace, first.operations, first.failed), (second.trace, second.operations, second.failed));
        let moments = |life: &millrace_torture::history::Life| -> Vec<u64> {
            life.moments.iter().map(|moment| moment.operation).collect()
        };
        assert_eq!(moments(&first), moments(&second));
    }
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let fault = finds(&liar(Operation::Sync)).expect("what was called durable is lost");
    assert!(fault.contains("a loss of power"), "{fault}");
}

#[test]
fn a_disk_that_loses_synced_names_is_found_out() {
    let fault = finds(&liar(Operation::SyncDirectory)).expect("a name that was called durable is lost");
    assert!(fault.contains("a loss of power"), "{fault}");
}

#[test]
fn an_honest_disk_is_not_accused() {
    let mut counts = Counts::default();
    for seed in 1..4 {
        assert_eq!(crash::play(seed, &mut counts), Ok(()), "seed {seed}");
    }
    assert!(counts.images > 100 && counts.power > 50 && counts.interrupted > 50, "{counts}");
}

#[test]
fn a_sweep_lets_every_kind_of_operation_fail() {
    let mut counts = faults::Counts::default();
    assert_eq!(faults::sweep(14, &mut counts), Ok(()));
    assert!(counts.faults >= counts.lives && counts.lives > 400, "{counts}");
}
