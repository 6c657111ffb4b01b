//! The log of a queue: a snapshot, and steps behind it.
//!
//! Holds: memory is bounded by the length of the input, an accepted snapshot and accepted steps come back from their own
//! bytes, a step that does not follow is refused and changes nothing, and the state after steps has a snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::format::queue::{Progress, QueueSnapshot};
use millrace::fuzzing::replay_queue;
use millrace_fuzz::{assert_judged, bounded};

fuzz_target!(|input: &[u8]| {
    if let Some(snapshot) = bounded(input.len(), 64, || QueueSnapshot::decode(input)) {
        assert_eq!(snapshot.encode(), input);
        assert_eq!(replay_queue(&snapshot, &[]).expect("no step is refused"), snapshot);
    }
    // Steps stand behind a snapshot whose end the first byte tells.
    let Some((end, rest)) = input.split_first() else { return };
    let (head, tail) = rest.split_at(rest.len().min(usize::from(*end)));
    let Some(steps) = bounded(tail.len(), 64, || Progress::decode_all(tail)) else { return };
    let mut again = Vec::new();
    steps.iter().for_each(|step| step.encode(&mut again));
    assert_eq!(again, tail);
    let snapshot = QueueSnapshot::decode(head).unwrap_or_default();
    match replay_queue(&snapshot, &steps) {
        Err(error) => assert_judged(error.kind(), &[Kind::Corrupt]),
        Ok(state) => assert_eq!(QueueSnapshot::decode(&state.encode()), Some(state)),
    }
});
