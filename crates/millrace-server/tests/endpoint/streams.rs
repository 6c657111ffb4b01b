//! Streams, their shards and their lists.

use serde_json::{Value, json};

use super::client::Endpoint;

#[test]
fn a_stream_is_described_as_it_was_created() {
    let endpoint = Endpoint::start();
    endpoint.ok("CreateStream", json!({"StreamName": "clicks", "ShardCount": 3, "MaxRecordSizeInKiB": 2_048}));
    let told = &endpoint.ok("DescribeStream", json!({"StreamName": "clicks"}))["StreamDescription"];
    assert_eq!(told["StreamARN"], json!("arn:aws:kinesis:us-east-1:000000000000:stream/clicks"));
    assert_eq!((&told["StreamStatus"], &told["HasMoreShards"]), (&json!("ACTIVE"), &json!(false)));
    assert_eq!(told["RetentionPeriodHours"], json!(24));
    let shards = told["Shards"].as_array().expect("shards");
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0]["HashKeyRange"]["StartingHashKey"], json!("0"));
    assert_eq!(shards[2]["HashKeyRange"]["EndingHashKey"], json!("340282366920938463463374607431768211455"));
    assert!(shards[0]["SequenceNumberRange"]["EndingSequenceNumber"].is_null(), "an open shard has no end");
    let by_arn = json!({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"});
    let summary = &endpoint.ok("DescribeStreamSummary", by_arn)["StreamDescriptionSummary"];
    assert_eq!((&summary["OpenShardCount"], &summary["MaxRecordSizeInKiB"]), (&json!(3), &json!(2_048)));
    let elsewhere = json!({"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"});
    assert_eq!(
        endpoint.ask("DescribeStreamSummary", elsewhere).error().2,
        "Stream clicks under account 123456789012 not found."
    );
    assert_eq!(
        endpoint.ask("CreateStream", json!({"StreamName": "clicks", "ShardCount": 1})).error(),
        (
            400,
            "ResourceInUseException".to_owned(),
            "Stream clicks under account 000000000000 already exists.".to_owned()
        )
    );
    endpoint.stop();
}

#[test]
fn an_absurd_number_of_shards_is_refused_and_costs_nothing() {
    let endpoint = Endpoint::start();
    let reply = endpoint.ask("CreateStream", json!({"StreamName": "huge", "ShardCount": 100_000_000_000_u64}));
    let (status, name, message) = reply.error();
    assert_eq!((status, name.as_str()), (400, "LimitExceededException"));
    assert!(message.contains("would exceed the shard limit"), "{message}");
    endpoint.stop();
}

#[test]
fn lists_go_on_by_token_and_by_the_last_name() {
    let endpoint = Endpoint::start();
    for name in ["c", "a", "b", "d"] {
        endpoint.create(name, 1);
    }
    let first = endpoint.ok("ListStreams", json!({"Limit": 3}));
    assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b", "c"]), &json!(true)));
    assert_eq!(endpoint.ok("ListStreams", json!({"NextToken": first["NextToken"]}))["StreamNames"], json!(["d"]));
    let by_name = endpoint.ok("ListStreams", json!({"ExclusiveStartStreamName": "b"}));
    assert_eq!(by_name["StreamNames"], json!(["c", "d"]));
    assert!(by_name["NextToken"].is_null());
    assert_eq!(endpoint.ask("ListStreams", json!({"NextToken": "AAAA"})).error().2, "Invalid NextToken.");
    endpoint.stop();
}

#[test]
fn shards_are_listed_in_pages_that_keep_to_their_stream() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 5);
    let ids = |page: &Value| -> Vec<Value> {
        page["Shards"].as_array().expect("shards").iter().map(|shard| shard["ShardId"].clone()).collect()
    };
    let first = endpoint.ok("ListShards", json!({"StreamName": "clicks", "MaxResults": 3}));
    assert_eq!(ids(&first).len(), 3);
    let second = endpoint.ok("ListShards", json!({"NextToken": first["NextToken"]}));
    assert_eq!(ids(&second), [json!("shardId-000000000003"), json!("shardId-000000000004")]);
    assert!(second["NextToken"].is_null());
    let after = json!({"StreamName": "clicks", "ExclusiveStartShardId": "shardId-000000000003"});
    assert_eq!(ids(&endpoint.ok("ListShards", after)), [json!("shardId-000000000004")]);
    assert_eq!(endpoint.ask("ListShards", json!({})).error().2, "Either NextToken or StreamName should be provided.");
    let both = json!({"StreamName": "clicks", "NextToken": first["NextToken"]});
    assert_eq!(endpoint.ask("ListShards", both).error().2, "NextToken and StreamName cannot be provided together.");
    endpoint.ok("DeleteStream", json!({"StreamName": "clicks"}));
    endpoint.create("clicks", 5);
    let stale = endpoint.ask("ListShards", json!({"NextToken": first["NextToken"]}));
    assert_eq!(stale.error().1, "ResourceNotFoundException");
    endpoint.stop();
}

#[test]
fn a_stream_that_scales_by_demand_has_no_shard_count_of_its_own() {
    let endpoint = Endpoint::start();
    let mode = json!({"StreamMode": "ON_DEMAND"});
    endpoint.ok("CreateStream", json!({"StreamName": "clicks", "StreamModeDetails": mode}));
    let told =
        || endpoint.ok("DescribeStreamSummary", json!({"StreamName": "clicks"}))["StreamDescriptionSummary"].clone();
    assert_eq!((&told()["OpenShardCount"], &told()["StreamModeDetails"]), (&json!(4), &mode));
    assert_eq!(endpoint.ok("DescribeLimits", json!({}))["OnDemandStreamCount"], json!(1));
    let both = json!({"StreamName": "other", "StreamModeDetails": mode, "ShardCount": 1});
    assert_eq!(endpoint.ask("CreateStream", both).error().1, "InvalidArgumentException");
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
    let provisioned = json!({"StreamMode": "PROVISIONED"});
    endpoint.ok("UpdateStreamMode", json!({"StreamARN": arn, "StreamModeDetails": provisioned}));
    assert_eq!((&told()["OpenShardCount"], &told()["StreamModeDetails"]), (&json!(4), &provisioned));
    endpoint.stop();
}

#[test]
fn the_retention_goes_up_and_down_within_its_bounds() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let set = |operation: &str, hours: u32| {
        endpoint.ask(operation, json!({"StreamName": "clicks", "RetentionPeriodHours": hours}))
    };
    let (up, down) = ("IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod");
    assert_eq!(set(up, 48).status, 200);
    assert!(set(up, 47).error().2.contains("can not be shorter than existing retention period (48 hours)"));
    assert!(set(up, 8_761).error().2.contains("Maximum allowed retention period is 8760 hours."));
    assert!(set(down, 49).error().2.contains("can not be longer than existing retention period (48 hours)"));
    assert!(set(down, 23).error().2.starts_with("Minimum allowed retention period is 24 hours."));
    assert_eq!(set(down, 24).status, 200);
    let told = endpoint.ok("DescribeStreamSummary", json!({"StreamName": "clicks"}));
    assert_eq!(told["StreamDescriptionSummary"]["RetentionPeriodHours"], json!(24));
    endpoint.stop();
}
