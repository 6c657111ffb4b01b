//! Commands of the control plane, applied in any order to any state.
//!
//! Holds: `validate` and `apply` agree, a refused command changes nothing, an id is given once, a name belongs to one
//! stream, a horizon never goes back, and after each command the snapshot stands for the state.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::fuzzing::State;
use millrace_fuzz::{Source, assert_judged, command};

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let mut state = State::new();
    let mut given = BTreeSet::new();
    while !source.is_empty() {
        let command = command(&mut source, state.next_stream_id());
        let before = state.clone();
        let verdict = state.validate(&command);
        match (verdict, state.apply(&command)) {
            (Ok(()), Ok(())) => {}
            (Err(_), Err(refusal)) => {
                assert_judged(refusal.kind(), &[Kind::Corrupt]);
                assert_eq!(state, before, "a refused command changes nothing");
            }
            (verdict, outcome) => panic!("{command:?} was judged {verdict:?} and ended in {outcome:?}"),
        }
        if state.next_stream_id() > before.next_stream_id() {
            assert!(given.insert(before.next_stream_id()), "an id is given once");
        }
        check(&before, &state);
    }
});

fn check(before: &State, state: &State) {
    let mut names = BTreeSet::new();
    for entry in state.streams() {
        assert!(names.insert(&entry.name), "a name belongs to one stream");
        assert!(entry.id < state.next_stream_id() && entry.config.validate().is_ok());
        if let Ok(former) = before.stream(entry.id) {
            assert!(!former.horizon.goes_back_to(&entry.horizon), "a horizon never goes back");
        }
    }
    let snapshot = state.to_snapshot();
    let restored = State::from_snapshot(&snapshot).expect("a state's own snapshot");
    assert_eq!(&restored, state, "a snapshot stands for the state");
}
