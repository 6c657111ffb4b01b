//! The promises of the control plane's state: commands by hand, then random histories.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::capacity::{CapacityMode, Rate};
use crate::control::config::{Durability, Retention, StreamConfig};
use crate::control::settings::*;
use crate::control::stream::*;
use crate::control::tags::*;
use crate::limits::{LimitPolicy, ShardLimits};
use crate::shard::STREAM_ID_MAX;

fn create(name: &str) -> Command {
    CreateStream { name: name.into(), created_ms: 1_000, expiry_clock_ms: None, config: StreamConfig::default() }.into()
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

fn tag(number: usize) -> (String, String) {
    (number.to_string(), String::new())
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
    let no_shards = CreateStream { name: "c".into(), created_ms: 0, expiry_clock_ms: None, config }.into();
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
        SetLimits { id: 1, limits: LimitPolicy::Aws }.into(),
        SetMaxRecordBytes { id: 1, max_record_bytes: 2_048 }.into(),
        SetMode { id: 1, mode: CapacityMode::OnDemand, at_ms: 0 }.into(),
        SetWarmThroughput { id: 1, mib_per_second: None }.into(),
        PeakNoted { id: 1, at_ms: 0, rate: Rate::default() }.into(),
        TagStream { id: 1, tags: [tag(1)].into() }.into(),
        UntagStream { id: 1, keys: ["1".to_owned()].into() }.into(),
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
fn settings_change_within_their_limits() {
    let custom = LimitPolicy::Custom(ShardLimits { reads_per_second: Some(9), ..ShardLimits::default() });
    let state = after(&[
        create("a"),
        SetLimits { id: 1, limits: custom }.into(),
        SetMaxRecordBytes { id: 1, max_record_bytes: 10_485_760 }.into(),
    ]);
    let config = &state.stream(1).expect("created").config;
    assert_eq!((config.limits, config.max_record_bytes), (custom, 10_485_760));
    let none = LimitPolicy::Custom(ShardLimits { reads_per_second: Some(0), ..ShardLimits::default() });
    assert_eq!(refusal(&state, &SetLimits { id: 1, limits: none }.into()), Kind::InvalidArgument);
    let large = SetMaxRecordBytes { id: 1, max_record_bytes: 10_485_761 }.into();
    assert_eq!(refusal(&state, &large), Kind::InvalidArgument);
}

#[test]
fn the_mode_is_switched_twice_in_24_hours_and_only_on_demand_is_warmed_up() {
    let to = |mode, at_ms| Command::from(SetMode { id: 1, mode, at_ms });
    let warm = |mib_per_second| Command::from(SetWarmThroughput { id: 1, mib_per_second });
    let peak = Command::from(PeakNoted { id: 1, at_ms: 5, rate: Rate { bytes_per_second: 1, records_per_second: 1 } });
    let provisioned = after(&[create("a")]);
    assert_eq!(refusal(&provisioned, &to(CapacityMode::Provisioned, 0)), Kind::InvalidArgument);
    assert_eq!(refusal(&provisioned, &warm(Some(8))), Kind::InvalidArgument);
    assert_eq!(refusal(&provisioned, &peak), Kind::InvalidArgument);
    let mut history = vec![create("a"), to(CapacityMode::OnDemand, 1), warm(Some(8)), peak];
    let on_demand = after(&history);
    assert_eq!(on_demand.stream(1).expect("created").capacity.warm_mib_per_second(), Some(8));
    assert_eq!(refusal(&on_demand, &warm(Some(0))), Kind::InvalidArgument);
    history.push(to(CapacityMode::Provisioned, 2));
    let again = after(&history);
    assert_eq!(again.stream(1).expect("created").capacity.warm_mib_per_second(), None, "released with its mode");
    assert_eq!(refusal(&again, &to(CapacityMode::OnDemand, 3)), Kind::LimitExceeded);
    history.push(to(CapacityMode::OnDemand, 24 * 3_600_000 + 1));
    after(&history);
}

#[test]
fn a_stream_has_fifty_tags_and_no_more() {
    let many: Command = TagStream { id: 1, tags: (0..50).map(tag).collect() }.into();
    let state = after(&[create("a"), many.clone(), many.clone()]);
    assert_eq!(state.stream(1).expect("created").config.tags.len(), TAGS_MAX);
    assert_eq!(refusal(&state, &TagStream { id: 1, tags: [tag(50)].into() }.into()), Kind::LimitExceeded);
    assert_eq!(refusal(&state, &TagStream { id: 1, tags: [].into() }.into()), Kind::InvalidArgument);
    assert_eq!(refusal(&state, &UntagStream { id: 1, keys: [].into() }.into()), Kind::InvalidArgument);
    let removed = UntagStream { id: 1, keys: ["7".to_owned(), "absent".to_owned()].into() }.into();
    let state = after(&[create("a"), many, removed, TagStream { id: 1, tags: [tag(50)].into() }.into()]);
    let tags = &state.stream(1).expect("created").config.tags;
    assert!(tags.len() == TAGS_MAX && !tags.contains_key("7") && tags.contains_key("50"));
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
fn what_a_stream_does_not_use_is_left_out_of_its_snapshot_and_what_it_uses_comes_back() {
    let rate = Rate { bytes_per_second: 5 << 20, records_per_second: 7 };
    let state = after(&[
        create("a"),
        SetLimits { id: 1, limits: LimitPolicy::Aws }.into(),
        SetMode { id: 1, mode: CapacityMode::OnDemand, at_ms: 9 }.into(),
        SetWarmThroughput { id: 1, mib_per_second: Some(8) }.into(),
        PeakNoted { id: 1, at_ms: 86_400_000, rate }.into(),
        TagStream { id: 1, tags: [tag(1)].into() }.into(),
    ]);
    let golden = r#""codec":null,"limits":"aws","mode":"onDemand","tags":{"1":""}},"status":"active","cleanTail":null,"horizon":{"segment":0,"offset":0,"sequence":0},"expiryClockMs":1000,"capacity":{"switchedMs":[9],"warmMibPerSecond":8,"peaks":{"1":{"bytesPerSecond":5242880,"recordsPerSecond":7}}}}]}"#;
    let snapshot = String::from_utf8(state.to_snapshot()).expect("JSON is UTF-8");
    assert!(snapshot.ends_with(golden), "{snapshot}");
    assert_eq!(State::from_snapshot(snapshot.as_bytes()).expect("golden bytes decode"), state);
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
        (r#""codec":null"#, r#""codec":null,"limits":{"custom":{"readsPerSecond":0}}"#),
        (r#""codec":null"#, r#""codec":null,"tags":{"aws:x":""}"#),
        (r#""expiryClockMs":1000"#, r#""expiryClockMs":1000,"capacity":{"warmMibPerSecond":0}"#),
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
        CreateStream { name: "a".into(), created_ms, expiry_clock_ms: None, config }.into()
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
            CreateStream { name, created_ms, expiry_clock_ms: None, config: StreamConfig { shards, ..StreamConfig::default() } }.into()
        }),
        2 => id().prop_map(|id| DeleteStream { id }.into()),
        2 => id().prop_map(|id| StreamRemoved { id }.into()),
        1 => (id(), retention).prop_map(|(id, retention)| SetRetention { id, retention }.into()),
        1 => (id(), durability).prop_map(|(id, durability)| SetDurability { id, durability }.into()),
        1 => id().prop_map(|id| StreamOpened { id }.into()),
        1 => id().prop_map(|id| StreamClosed { id, tail: tail() }.into()),
        4 => any_setting(),
        1 => (id(), horizon, 0..9_u64)
            .prop_map(|(id, horizon, expiry_clock_ms)| HorizonAdvanced { id, horizon, expiry_clock_ms }.into()),
    ]
}

fn any_setting() -> impl Strategy<Value = Command> {
    let id = || 0..8_u64;
    let limits = prop_oneof![
        Just(LimitPolicy::Unlimited),
        Just(LimitPolicy::Aws),
        proptest::option::of(0..3_u64).prop_map(|writes| {
            LimitPolicy::Custom(ShardLimits { write_records_per_second: writes, ..ShardLimits::default() })
        })
    ];
    let mode = prop_oneof![Just(CapacityMode::Provisioned), Just(CapacityMode::OnDemand)];
    let rate = (0..9_u64, 0..9_u64)
        .prop_map(|(mib, records_per_second)| Rate { bytes_per_second: mib << 20, records_per_second });
    let tags = proptest::collection::btree_map("[a-d:]{0,2}", "[a-b;]{0,1}", 0..30);
    prop_oneof![
        (id(), limits).prop_map(|(id, limits)| SetLimits { id, limits }.into()),
        (id(), 1_022..1_026_u32).prop_map(|(id, max_record_bytes)| SetMaxRecordBytes { id, max_record_bytes }.into()),
        (id(), mode, 0..200_000_000_u64).prop_map(|(id, mode, at_ms)| SetMode { id, mode, at_ms }.into()),
        (id(), proptest::option::of(0..3_u32)).prop_map(|(id, mib_per_second)| SetWarmThroughput {
            id,
            mib_per_second
        }
        .into()),
        (id(), 0..1_u64 << 40, rate).prop_map(|(id, at_ms, rate)| PeakNoted { id, at_ms, rate }.into()),
        (id(), tags).prop_map(|(id, tags)| TagStream { id, tags }.into()),
        (id(), proptest::collection::btree_set("[a-d]{0,2}", 0..9))
            .prop_map(|(id, keys)| UntagStream { id, keys }.into()),
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
                prop_assert!(new.config.validate().is_ok());
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
