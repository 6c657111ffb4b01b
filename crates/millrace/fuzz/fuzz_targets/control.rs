//! The bytes of the control log: a command, or a snapshot of the state.
//!
//! Holds: memory is bounded by the length of the input, an accepted command or state comes back from its own bytes,
//! and a snapshot of an accepted snapshot is its own snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::fuzzing::{Command, State};
use millrace_fuzz::{assert_judged, bounded};

fuzz_target!(|input: &[u8]| {
    match bounded(input.len(), 64, || Command::decode(input)) {
        Err(error) => assert_judged(error.kind(), &[Kind::Corrupt, Kind::FormatNewer]),
        Ok(command) => assert_eq!(Command::decode(&command.encode()).ok(), Some(command)),
    }
    match bounded(input.len(), 64, || State::from_snapshot(input)) {
        Err(error) => assert_judged(error.kind(), &[Kind::Corrupt, Kind::FormatNewer]),
        Ok(state) => {
            let snapshot = state.to_snapshot();
            let again = State::from_snapshot(&snapshot).expect("a state's own snapshot");
            assert_eq!(again.to_snapshot(), snapshot);
            assert_eq!(again, state);
        }
    }
});
