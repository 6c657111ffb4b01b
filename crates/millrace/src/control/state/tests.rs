//! The promises of the control plane's state: commands by hand, then random histories.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::control::config::{Durability, Retention, StreamConfig};
use crate::control::stream::*;
use crate::shard::STREAM_ID_MAX;

fn create(name: &str) -> Command {
    CreateStream { name: name.into(), created_ms: 1_000, config: StreamConfig::default() }.into()
}

fn after(commands: &[Command]) -> State {
    let mut state = State::new();
    for command in commands {
        state.validate(command).expect("the history is valid");
        state.apply(command).expect("a validated command applies");
    }
    state
}

fn refusal(state: &State, command: &Command) -> Kind {
    state.validate(command).expect_err("the state refuses the command").kind()
}

fn tail() -> CleanTail {
    CleanTail { segment: 1, offset: 640, next_sequence: 11, last_frame_checksum: 7, last_arrival_ms: 2_000 }
}

#[test]
fn a_created_stream_is_found_by_name_and_id() {
    let state = after(&[create("a"), create("b")]);
    assert_eq!(state.stream_named("b").expect("created"), state.stream(2).expect("created"));
    assert_eq!(state.streams().map(|entry| entry.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(state.stream_named("c").expect_err("never created").kind(), Kind::StreamNotFound);
    assert_eq!(refusal(&state, &create("a")), Kind::StreamExists);
    assert_eq!(refusal(&state, &create("a b")), Kind::InvalidArgument);
    let config = StreamConfig { shards: 0, ..StreamConfig::default() };
    let no_shards = CreateStream { name: "c".into(), created_ms: 0, config }.into();
    assert_eq!(refusal(&state, &no_shards), Kind::InvalidArgument);
}

#[test]
fn a_deleted_name_is_free_only_when_the_files_are_gone_and_its_id_is_never_given_again() {
    let mut history = vec![create("a"), DeleteStream { id: 1 }.into()];
    let state = after(&history);
    assert_eq!(state.stream_named("a").expect_err("deleted").kind(), Kind::StreamDeleting);
    let refused = [
        create("a"),
        DeleteStream { id: 1 }.into(),
        StreamOpened { id: 1 }.into(),
        StreamClosed { id: 1, tail: tail() }.into(),
        SetRetention { id: 1, retention: Retention::Unbounded }.into(),
        SetDurability { id: 1, durability: Durability::Os }.into(),
        HorizonAdvanced { id: 1, horizon: Horizon::default(), expiry_clock_ms: 0 }.into(),
    ];
    for command in refused {
        assert_eq!(refusal(&state, &command), Kind::StreamDeleting, "{command:?}");
    }
    history.extend([StreamRemoved { id: 1 }.into(), create("a")]);
    assert_eq!(after(&history).stream_named("a").expect("created again").id, 2);
}

#[test]
fn commands_for_streams_that_do_not_exist_or_are_not_deleted_are_refused() {
    let state = after(&[create("a")]);
    assert_eq!(refusal(&state, &StreamRemoved { id: 1 }.into()), Kind::InvalidArgument);
    assert_eq!(refusal(&state, &StreamRemoved { id: 2 }.into()), Kind::StreamNotFound);
    assert_eq!(refusal(&state, &DeleteStream { id: 0 }.into()), Kind::StreamNotFound);
}

#[test]
fn policies_change_within_their_limits() {
    let (retention, durability) = (Retention::Hours(168), Durability::Interval { ms: 5 });
    let state =
        after(&[create("a"), SetRetention { id: 1, retention }.into(), SetDurability { id: 1, durability }.into()]);
    let config = &state.stream(1).expect("created").config;
    assert_eq!((config.retention, config.durability), (retention, durability));
    let short = SetRetention { id: 1, retention: Retention::Hours(1) }.into();
    assert_eq!(refusal(&state, &short), Kind::InvalidArgument);
    let slow = SetDurability { id: 1, durability: Durability::Interval { ms: 60_001 } }.into();
    assert_eq!(refusal(&state, &slow), Kind::InvalidArgument);
}

#[test]
fn a_clean_tail_stands_from_close_to_open() {
    let closed = [create("a"), StreamOpened { id: 1 }.into(), StreamClosed { id: 1, tail: tail() }.into()];
    assert_eq!(after(&closed[..2]).stream(1).expect("created").clean_tail, None);
    assert_eq!(after(&closed).stream(1).expect("created").clean_tail, Some(tail()));
    let reopened = [&closed[..], &[StreamOpened { id: 1 }.into()]].concat();
    assert_eq!(after(&reopened).stream(1).expect("created").clean_tail, None);
}

#[test]
fn a_horizon_never_goes_back() {
    let horizon = Horizon { segment: 2, offset: 64, sequence: 10 };
    let state = after(&[create("a"), HorizonAdvanced { id: 1, horizon, expiry_clock_ms: 5_000 }.into()]);
    let entry = state.stream(1).expect("created");
    assert_eq!((entry.horizon, entry.expiry_clock_ms), (horizon, 5_000));
    let back = Horizon { sequence: 9, ..horizon };
    let command = HorizonAdvanced { id: 1, horizon: back, expiry_clock_ms: 6_000 }.into();
    assert_eq!(refusal(&state, &command), Kind::InvalidArgument);
}

#[test]
fn a_snapshot_has_its_golden_bytes() {
    let state = after(&[create("a"), StreamClosed { id: 1, tail: tail() }.into()]);
    let golden = r#"{"version":1,"nextStreamId":2,"streams":[{"id":1,"name":"a","createdMs":1000,"config":{"shards":1,"retention":{"hours":24},"durability":"synced","maxRecordBytes":1048576,"preallocateBytes":0,"codec":null},"status":"active","cleanTail":{"segment":1,"offset":640,"nextSequence":11,"lastFrameChecksum":7,"lastArrivalMs":2000},"horizon":{"segment":0,"offset":0,"sequence":0},"expiryClockMs":1000}]}"#;
    assert_eq!(String::from_utf8(state.to_snapshot()).expect("JSON is UTF-8"), golden);
    assert_eq!(State::from_snapshot(golden.as_bytes()).expect("golden bytes decode"), state);
}

#[test]
fn a_snapshot_that_breaks_an_invariant_is_corrupt_and_a_newer_one_is_told_apart() {
    let good = String::from_utf8(after(&[create("a"), create("b")]).to_snapshot()).expect("JSON is UTF-8");
    let damaged = [
        (r#""nextStreamId":3"#, r#""nextStreamId":2"#),
        (r#""nextStreamId":3"#, r#""nextStreamId":0"#),
        (r#""id":2"#, r#""id":1"#),
        (r#""id":1"#, r#""id":0"#),
        (r#""name":"b""#, r#""name":"a""#),
        (r#""name":"b""#, r#""name":"""#),
        (r#""shards":1"#, r#""shards":0"#),
    ];
    for (from, to) in damaged {
        assert!(good.contains(from), "{from} is in the snapshot");
        let error = State::from_snapshot(good.replace(from, to).as_bytes()).expect_err(to);
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    }
    for length in 0..good.len() {
        assert_eq!(State::from_snapshot(&good.as_bytes()[..length]).expect_err("truncated").kind(), Kind::Corrupt);
    }
    for newer in [r#"{"version":2}"#, r#"{"version":1,"nextStreamId":1,"streams":[],"consumers":[]}"#] {
        assert_eq!(State::from_snapshot(newer.as_bytes()).expect_err(newer).kind(), Kind::FormatNewer);
    }
}

#[test]
fn the_last_id_is_not_given() {
    let next = |id: u64| {
        let bytes = format!(r#"{{"version":0,"nextStreamId":{id},"streams":[]}}"#);
        State::from_snapshot(bytes.as_bytes()).expect("an empty state")
    };
    assert!(next(STREAM_ID_MAX).validate(&create("a")).is_ok());
    for id in [STREAM_ID_MAX + 1, u64::MAX] {
        assert_eq!(refusal(&next(id), &create("a")), Kind::Unsupported);
    }
}

#[test]
fn a_stream_whose_sequence_numbers_could_not_be_told_is_refused_before_it_is_created() {
    let created_at = |created_ms| {
        let config = StreamConfig::default();
        CreateStream { name: "a".into(), created_ms, config }.into()
    };
    let last_ms = (1 << 35) * 1_000 - 1;
    assert!(State::new().validate(&created_at(last_ms)).is_ok());
    assert_eq!(refusal(&State::new(), &created_at(last_ms + 1)), Kind::InvalidArgument);
    let snapshot = String::from_utf8(after(&[create("a")]).to_snapshot()).expect("JSON is UTF-8");
    let late = snapshot.replace(r#""createdMs":1000"#, r#""createdMs":18446744073709551615"#);
    assert_eq!(State::from_snapshot(late.as_bytes()).map_err(|error| error.kind()), Err(Kind::Corrupt));
}

fn any_command() -> impl Strategy<Value = Command> {
    let id = || 0..8_u64;
    let retention = prop_oneof![Just(Retention::Unbounded), (20..30_u32).prop_map(Retention::Hours)];
    let durability = prop_oneof![
        Just(Durability::Synced),
        Just(Durability::Os),
        (0..4_u32).prop_map(|ms| Durability::Interval { ms })
    ];
    let horizon =
        (0..3_u64, 0..3_u32, 0..9_u64).prop_map(|(segment, offset, sequence)| Horizon { segment, offset, sequence });
    prop_oneof![
        3 => ("[a-c]{1,1}", 0..9_u64, 0..3_u32).prop_map(|(name, created_ms, shards)| {
            CreateStream { name, created_ms, config: StreamConfig { shards, ..StreamConfig::default() } }.into()
        }),
        2 => id().prop_map(|id| DeleteStream { id }.into()),
        2 => id().prop_map(|id| StreamRemoved { id }.into()),
        1 => (id(), retention).prop_map(|(id, retention)| SetRetention { id, retention }.into()),
        1 => (id(), durability).prop_map(|(id, durability)| SetDurability { id, durability }.into()),
        1 => id().prop_map(|id| StreamOpened { id }.into()),
        1 => id().prop_map(|id| StreamClosed { id, tail: tail() }.into()),
        1 => (id(), horizon, 0..9_u64)
            .prop_map(|(id, horizon, expiry_clock_ms)| HorizonAdvanced { id, horizon, expiry_clock_ms }.into()),
    ]
}

proptest! {
    #[test]
    fn any_history_replays_to_the_same_bytes_and_no_id_is_given_twice(
        commands in proptest::collection::vec(any_command(), 0..80),
    ) {
        let (mut state, mut log, mut ids) = (State::new(), Vec::new(), BTreeSet::new());
        for command in commands {
            let before = state.clone();
            let verdict = state.validate(&command);
            let outcome = state.apply(&command);
            prop_assert_eq!(verdict.is_ok(), outcome.is_ok(), "what passes can be applied, and nothing else");
            if let Err(error) = outcome {
                prop_assert_eq!(error.kind(), Kind::Corrupt);
                prop_assert_eq!(&state, &before, "a refused command changes nothing");
                continue;
            }
            if let Command::CreateStream(CreateStream { name, .. }) = &command {
                let id = state.stream_named(name).expect("just created").id;
                prop_assert!(ids.last().is_none_or(|last| *last < id), "ids only grow");
                ids.insert(id);
            }
            for (old, new) in before.streams().filter_map(|old| Some((old, state.stream(old.id).ok()?))) {
                prop_assert!(!old.horizon.goes_back_to(&new.horizon));
            }
            log.push(command.encode());
            let restored = State::from_snapshot(&state.to_snapshot()).expect("a state's snapshot restores");
            prop_assert_eq!(&restored, &state);
        }
        let mut replayed = State::new();
        for bytes in &log {
            replayed.apply(&Command::decode(bytes).expect("what was encoded decodes")).expect("an accepted command replays");
        }
        prop_assert_eq!(replayed.to_snapshot(), state.to_snapshot());
    }
}
