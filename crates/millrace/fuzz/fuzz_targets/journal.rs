//! A whole store whose control log says what the fuzzer likes, under right checksums: any commands in any order, any
//! snapshots, any JSON, in forged frames and segments. It is opened, each stream that it names is used, and it is
//! opened again.
//!
//! Holds: as for `recovery`; and a store that opens says after the next opening what it said before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::format::frame::{RUN_OPTIONAL, RunKind};
use millrace::fuzzing::State;
use millrace_fuzz::{Chain, Files, Run, Source, command, drive_store};

const SEGMENTS_MAX: u32 = 3;

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let mut chain = Chain::new(0);
    let mut state = State::new();
    let count = 1 + source.below(SEGMENTS_MAX);
    let mut control = Vec::new();
    for _ in 0..count {
        let snapshot = source.one_in(3).then(|| Run::of_state(RunKind::State, state.to_snapshot()));
        let segment = chain.segment(&mut source, &[], snapshot.into_iter().collect(), |source| {
            (source.byte() % 8 != 0).then(|| frame(source, &mut state))
        });
        control.push(segment);
    }
    drive_store(&mut source, &Files { control, ..Files::default() });
});

fn frame(source: &mut Source<'_>, state: &mut State) -> Vec<Run> {
    let runs = source.byte() % 8;
    // Mostly one command, as the engine writes it.
    let runs = if runs < 6 { 1 } else { runs - 6 };
    (0..runs).map(|_| run(source, state)).collect()
}

fn run(source: &mut Source<'_>, state: &mut State) -> Run {
    match source.byte() % 32 {
        1 => Run::of_state(RunKind::Command, source.bytes(200).to_vec()),
        2 => Run::of_state(RunKind::State, source.bytes(200).to_vec()),
        3 => Run::of_state(RunKind::State, state.to_snapshot()),
        4 => Run::of_state(RunKind::from_byte(source.byte()), source.bytes(80).to_vec()),
        5 => Run { flags: RUN_OPTIONAL, ..Run::of_state(RunKind::from_byte(source.byte()), Vec::new()) },
        6 => Run { records: source.number_32(1), ..Run::of_state(RunKind::Command, Vec::new()) },
        trick => {
            // Mostly one that the state takes, so that the log is replayed to its end.
            let mut command = command(source, state.next_stream_id());
            for _ in 0..8 {
                if trick < 10 || state.validate(&command).is_ok() {
                    break;
                }
                command = millrace_fuzz::command(source, state.next_stream_id());
            }
            // Where it is refused, that is what the engine shall notice.
            let _refused = state.apply(&command);
            Run::of_state(RunKind::Command, command.encode())
        }
    }
}
