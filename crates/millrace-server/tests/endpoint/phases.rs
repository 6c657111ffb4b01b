//! The states that streams and consumers are told to pass through, and what is refused meanwhile.

use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace_server::{LimitPolicy, PhaseDurations, ServerOptions};
use serde_json::{Value, json};

use super::client::Endpoint;

const DURATIONS: PhaseDurations = PhaseDurations { creating_ms: 100, updating_ms: 200, deleting_ms: 300 };

/// An endpoint whose time goes on when it is told to.
struct Passing {
    endpoint: Endpoint,
    clock: Arc<ManualClock>,
}

impl Passing {
    fn start() -> Passing {
        Passing::with(LimitPolicy::Unlimited, DURATIONS)
    }

    fn with(limits: LimitPolicy, phases: PhaseDurations) -> Passing {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let options = ServerOptions { limits, phases, clock: Arc::clone(&clock) as _, ..ServerOptions::default() };
        Passing { endpoint: Endpoint::with(options), clock }
    }

    fn told(&self) -> Value {
        self.endpoint.ok("DescribeStream", json!({"StreamName": "clicks"}))["StreamDescription"].clone()
    }

    fn status(&self) -> Value {
        let summary = self.endpoint.ok("DescribeStreamSummary", json!({"StreamName": "clicks"}));
        let listed = self.endpoint.ok("ListStreams", json!({}))["StreamSummaries"][0]["StreamStatus"].clone();
        let status = summary["StreamDescriptionSummary"]["StreamStatus"].clone();
        assert_eq!((&status, &status), (&listed, &self.told()["StreamStatus"]), "all three tell the same");
        status
    }

    fn refusal(&self, operation: &str, body: Value) -> (String, String) {
        let (_, name, message) = self.endpoint.ask(operation, body).error();
        (name, message)
    }

    fn not_active(state: &str) -> (String, String) {
        let message = format!("Stream clicks under account 000000000000 not ACTIVE, instead in state {state}");
        ("ResourceInUseException".to_owned(), message)
    }

    fn not_found() -> (String, String) {
        let message = "Stream clicks under account 000000000000 not found.";
        ("ResourceNotFoundException".to_owned(), message.to_owned())
    }

    fn stop(self) {
        self.endpoint.stop();
    }
}

fn put() -> Value {
    json!({"StreamName": "clicks", "PartitionKey": "k", "Data": ""})
}

fn split() -> Value {
    json!({"StreamName": "clicks", "ShardToSplit": "0", "NewStartingHashKey": "170141183460469231731687303715884105728"})
}

#[test]
fn a_stream_in_creation_has_no_shards_and_takes_no_records() {
    let passing = Passing::start();
    passing.endpoint.create("clicks", 2);
    assert_eq!((passing.status(), &passing.told()["Shards"]), (json!("CREATING"), &json!([])));
    assert_eq!(passing.refusal("PutRecord", put()), Passing::not_found());
    let records = json!({"StreamName": "clicks", "Records": [{"PartitionKey": "k", "Data": ""}]});
    assert_eq!(passing.refusal("PutRecords", records), Passing::not_found());
    for (operation, body) in [
        ("ListShards", json!({"StreamName": "clicks"})),
        ("SplitShard", split()),
        ("DeleteStream", json!({"StreamName": "clicks"})),
        (
            "RegisterStreamConsumer",
            json!({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks", "ConsumerName": "c"}),
        ),
    ] {
        assert_eq!(passing.refusal(operation, body), Passing::not_active("CREATING"), "{operation}");
    }
    passing.clock.advance_ms(100);
    assert_eq!(passing.status(), json!("ACTIVE"));
    assert_eq!(passing.told()["Shards"].as_array().map(Vec::len), Some(2));
    passing.endpoint.ok("PutRecord", put());
    passing.stop();
}

#[test]
fn a_stream_that_is_changed_goes_on_with_its_records_and_takes_no_other_change() {
    let passing = Passing::start();
    passing.endpoint.create("clicks", 1);
    passing.clock.advance_ms(100);
    let name = json!({"StreamName": "clicks"});
    let with = |field: &str, value: Value| {
        let mut body = name.clone();
        body[field] = value;
        body
    };
    let arn = json!("arn:aws:kinesis:us-east-1:000000000000:stream/clicks");
    let mode = |mode: &str| json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": mode}});
    let key = || json!({"StreamName": "clicks", "EncryptionType": "KMS", "KeyId": "alias/key"});
    let changes = [
        ("SplitShard", split()),
        ("UpdateShardCount", json!({"StreamName": "clicks", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"})),
        ("IncreaseStreamRetentionPeriod", with("RetentionPeriodHours", json!(48))),
        ("DecreaseStreamRetentionPeriod", with("RetentionPeriodHours", json!(24))),
        ("EnableEnhancedMonitoring", with("ShardLevelMetrics", json!(["ALL"]))),
        ("DisableEnhancedMonitoring", with("ShardLevelMetrics", json!(["ALL"]))),
        ("StartStreamEncryption", key()),
        ("StopStreamEncryption", key()),
        ("UpdateMaxRecordSize", json!({"StreamARN": arn, "MaxRecordSizeInKiB": 2_048})),
        ("UpdateStreamMode", mode("ON_DEMAND")),
    ];
    for (operation, body) in changes {
        passing.endpoint.ok(operation, body);
        assert_eq!(passing.status(), json!("UPDATING"), "{operation}");
        passing.endpoint.ok("PutRecord", put());
        passing.endpoint.ok("ListShards", name.clone());
        assert_eq!(passing.refusal("SplitShard", split()), Passing::not_active("UPDATING"), "{operation}");
        passing.clock.advance_ms(200);
        assert_eq!(passing.status(), json!("ACTIVE"), "{operation}");
    }
    passing.stop();
}

#[test]
fn a_stream_that_is_being_deleted_is_told_of_until_its_name_is_free() {
    let passing = Passing::start();
    passing.endpoint.create("clicks", 2);
    passing.clock.advance_ms(100);
    passing.endpoint.ok("DeleteStream", json!({"StreamName": "clicks"}));
    assert_eq!(passing.status(), json!("DELETING"));
    assert_eq!(passing.refusal("PutRecord", put()), Passing::not_found());
    assert_eq!(passing.refusal("DeleteStream", json!({"StreamName": "clicks"})), Passing::not_active("DELETING"));
    let again = json!({"StreamName": "clicks", "ShardCount": 1});
    let exists = "Stream clicks under account 000000000000 already exists.".to_owned();
    assert_eq!(passing.refusal("CreateStream", again.clone()), ("ResourceInUseException".to_owned(), exists));
    passing.clock.advance_ms(300);
    assert_eq!(passing.refusal("DescribeStream", json!({"StreamName": "clicks"})), Passing::not_found());
    assert_eq!(passing.endpoint.ok("ListStreams", json!({}))["StreamNames"], json!([]));
    passing.endpoint.ok("CreateStream", again);
    assert_eq!(passing.status(), json!("CREATING"));
    passing.stop();
}

#[test]
fn a_consumer_passes_through_states_too() {
    let passing = Passing::start();
    passing.endpoint.create("clicks", 1);
    passing.clock.advance_ms(100);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
    let named = json!({"StreamARN": arn, "ConsumerName": "c"});
    let status = || {
        let told = passing.endpoint.ok("DescribeStreamConsumer", named.clone())["ConsumerDescription"].clone();
        let listed = passing.endpoint.ok("ListStreamConsumers", json!({"StreamARN": arn}))["Consumers"][0].clone();
        assert_eq!(told["ConsumerStatus"], listed["ConsumerStatus"]);
        told["ConsumerStatus"].clone()
    };
    let registered = passing.endpoint.ok("RegisterStreamConsumer", named.clone())["Consumer"].clone();
    assert_eq!((&registered["ConsumerStatus"], status()), (&json!("CREATING"), json!("CREATING")));
    let subscribe = json!({
        "ConsumerARN": registered["ConsumerARN"], "ShardId": "0", "StartingPosition": {"Type": "LATEST"},
    });
    let not_active = |state: &str| {
        let message =
            format!("Consumer c of stream clicks under account 000000000000 not ACTIVE, instead in state {state}");
        ("ResourceInUseException".to_owned(), message)
    };
    assert_eq!(passing.refusal("SubscribeToShard", subscribe), not_active("CREATING"));
    assert_eq!(passing.refusal("DeregisterStreamConsumer", named.clone()), not_active("CREATING"));
    passing.clock.advance_ms(100);
    assert_eq!(status(), json!("ACTIVE"));
    passing.endpoint.ok("DeregisterStreamConsumer", named.clone());
    assert_eq!(status(), json!("DELETING"));
    assert_eq!(passing.refusal("RegisterStreamConsumer", named.clone()).0, "ResourceInUseException");
    passing.clock.advance_ms(300);
    assert_eq!(passing.refusal("DescribeStreamConsumer", named.clone()).0, "ResourceNotFoundException");
    passing.endpoint.ok("RegisterStreamConsumer", named.clone());
    passing.stop();
}

#[test]
fn five_streams_are_created_at_a_time_where_limits_are_on() {
    let passing = Passing::with(LimitPolicy::Aws, PhaseDurations { creating_ms: 2_000, ..DURATIONS });
    (0..5).for_each(|n| passing.endpoint.create(&format!("s{n}"), 1));
    // The second in which five calls may be made is over, and the streams are not there yet.
    passing.clock.advance_ms(1_999);
    let (name, message) = passing.refusal("CreateStream", json!({"StreamName": "more", "ShardCount": 1}));
    assert_eq!((name.as_str(), message.contains("CREATING")), ("LimitExceededException", true), "{message}");
    passing.clock.advance_ms(1);
    passing.endpoint.create("more", 1);
    passing.stop();
}
