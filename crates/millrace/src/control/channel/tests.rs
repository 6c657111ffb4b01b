use super::*;
use crate::capacity::CapacityMode;
use crate::control::command::Command;
use crate::control::command::tests::{check_golden, create as create_stream, with_stream};
use crate::control::settings::SetMode;

fn config() -> ChannelConfig {
    ChannelConfig {
        freshness_s: 300,
        bucket: Bucket { name: "archive".into(), owner: Some("123456789012".into()) },
        key_template: None,
        format: RecordFormat::Json,
        compression: Compression::Gzip,
        storage_class: None,
        encryption_key: None,
        dead_letters: Bucket { name: "lost".into(), owner: None },
        dead_letter_prefix: None,
    }
}

fn create(name: &str, id: u64, channel_id: u64) -> Command {
    let notes = BTreeMap::from([("role".to_owned(), "writer".to_owned())]);
    let (channel, tags) = (name.to_owned(), Tags::new());
    CreateChannel { id, channel_id, channel, created_ms: 5, start_sequence: 9, config: config(), notes, tags }.into()
}

fn refusal(state: &State, command: impl Into<Command>) -> Kind {
    state.validate(&command.into()).expect_err("the state refuses the command").kind()
}

#[test]
fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
    let channel = || "a".to_owned();
    check_golden(&[
        (
            create("a", 1, 2),
            r#"{"command":"createChannel","id":1,"channelId":2,"channel":"a","createdMs":5,"startSequence":9,"config":{"freshnessS":300,"bucket":{"name":"archive","owner":"123456789012"},"keyTemplate":null,"format":"json","compression":"gzip","storageClass":null,"encryptionKey":null,"deadLetters":{"name":"lost","owner":null},"deadLetterPrefix":null},"notes":{"role":"writer"},"tags":{}}"#,
        ),
        (
            UpdateChannel { id: 1, channel: channel(), freshness_s: 900, notes: BTreeMap::new() }.into(),
            r#"{"command":"updateChannel","id":1,"channel":"a","freshnessS":900,"notes":{}}"#,
        ),
        (
            TagChannel { id: 1, channel: channel(), tags: Tags::new() }.into(),
            r#"{"command":"tagChannel","id":1,"channel":"a","tags":{}}"#,
        ),
        (
            ChannelDelivered { id: 1, channel_id: 2, sequence: 10 }.into(),
            r#"{"command":"channelDelivered","id":1,"channelId":2,"sequence":10}"#,
        ),
        (DeleteChannel { id: 1, channel: channel() }.into(), r#"{"command":"deleteChannel","id":1,"channel":"a"}"#),
    ]);
}

#[test]
fn a_channel_has_its_name_alone_and_its_id_is_never_given_again() {
    let mut state = with_stream(&[create_stream("orders"), create("a", 1, 3)]);
    assert_eq!(state.next_stream_id(), 4);
    assert_eq!(State::from_snapshot(&state.to_snapshot()).expect("a state's own snapshot"), state);
    assert_eq!(refusal(&state, create("a", 2, 4)), Kind::ChannelExists, "another stream's channels count");
    assert_eq!(refusal(&state, create("b", 1, 3)), Kind::InvalidArgument);
    let delete = DeleteChannel { id: 1, channel: "a".into() };
    state.apply(&delete.clone().into()).expect("created");
    assert_eq!(refusal(&state, delete), Kind::ChannelNotFound);
    assert_eq!(state.channel_named("a").expect_err("deleted").kind(), Kind::ChannelNotFound);
    state.apply(&create("a", 2, 4)).expect("its name is free");
    let (stream, channel) = state.channel_named("a").expect("created");
    assert_eq!((stream.id, channel.id), (2, 4));
}

#[test]
fn what_was_delivered_never_goes_back_and_is_noted_for_that_channel_alone() {
    let delivered = |channel_id, sequence| ChannelDelivered { id: 1, channel_id, sequence };
    let mut state = with_stream(&[create("a", 1, 2)]);
    state.apply(&delivered(2, 20).into()).expect("further on");
    assert_eq!(state.stream(1).expect("created").channel("a").expect("created").delivered, 20);
    assert_eq!(refusal(&state, delivered(2, 19)), Kind::InvalidArgument);
    assert_eq!(refusal(&state, delivered(2, SEQUENCE_LIMIT)), Kind::InvalidArgument);
    state.apply(&DeleteChannel { id: 1, channel: "a".into() }.into()).expect("created");
    state.apply(&create("a", 1, 3)).expect("its name is free");
    assert_eq!(refusal(&state, delivered(2, 30)), Kind::ChannelNotFound);
}

#[test]
fn every_value_of_a_configuration_has_its_limits() {
    let refused = |change: fn(&mut ChannelConfig)| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().expect_err("outside of the limits").kind(), Kind::InvalidArgument);
    };
    refused(|config| config.freshness_s = 0);
    refused(|config| config.freshness_s = 901);
    refused(|config| config.bucket.name = "no".into());
    refused(|config| config.bucket.name = "../up".into());
    refused(|config| config.dead_letters.name = "Upper".into());
    refused(|config| config.key_template = Some("../{stream}".into()));
    refused(|config| config.dead_letter_prefix = Some("/".into()));
    config().validate().expect("within the limits");
}

#[test]
fn a_stream_with_channels_does_not_become_provisioned() {
    let to = |mode, at_ms| Command::from(SetMode { id: 1, mode, at_ms });
    let mut state = with_stream(&[create("a", 1, 2), to(CapacityMode::OnDemand, 1)]);
    assert_eq!(refusal(&state, to(CapacityMode::Provisioned, 2)), Kind::InvalidArgument);
    state.apply(&DeleteChannel { id: 1, channel: "a".into() }.into()).expect("created");
    state.apply(&to(CapacityMode::Provisioned, 2)).expect("it has none");
}

#[test]
fn a_snapshot_that_breaks_an_invariant_of_channels_is_corrupt() {
    let good = String::from_utf8(with_stream(&[create("a", 1, 2), create("b", 1, 3)]).to_snapshot()).expect("UTF-8");
    let damaged = [
        (r#""id":3,"name":"b""#, r#""id":3,"name":"a""#),
        (r#""id":3,"name":"b""#, r#""id":2,"name":"b""#),
        (r#""id":3,"name":"b""#, r#""id":4,"name":"b""#),
        (r#""delivered":9"#, r#""delivered":9223372036854775808"#),
        (r#""freshnessS":300"#, r#""freshnessS":0"#),
        (r#""keyTemplate":null"#, r#""keyTemplate":"../x""#),
    ];
    for (from, to) in damaged {
        assert!(good.contains(from), "{from} is in the snapshot");
        let error = State::from_snapshot(good.replace(from, to).as_bytes()).expect_err(to);
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    }
}
