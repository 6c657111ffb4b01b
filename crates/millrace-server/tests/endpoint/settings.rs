//! Settings of a stream that clients set and look at: its key, the metrics of its shards.

use serde_json::{Value, json};

use super::client::{Endpoint, unlimited};

fn summary(endpoint: &Endpoint) -> Value {
    endpoint.ok("DescribeStreamSummary", json!({"StreamName": "clicks"}))["StreamDescriptionSummary"].clone()
}

fn encryption_types(endpoint: &Endpoint) -> [Value; 3] {
    let put = |data: &str| json!({"PartitionKey": "k", "Data": data});
    let one = json!({"StreamName": "clicks", "PartitionKey": "k", "Data": ""});
    let one = endpoint.ok("PutRecord", one)["EncryptionType"].clone();
    let many = json!({"StreamName": "clicks", "Records": [put("YQ==")]});
    let many = endpoint.ok("PutRecords", many)["EncryptionType"].clone();
    let iterator = endpoint.iterator("clicks", "0");
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": iterator}))["Records"][0]["EncryptionType"].clone();
    [one, many, got]
}

#[test]
fn a_key_is_told_with_the_stream_and_its_records_until_encryption_is_stopped() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let told = |endpoint: &Endpoint| (summary(endpoint)["EncryptionType"].clone(), summary(endpoint)["KeyId"].clone());
    assert_eq!(told(&endpoint), (json!("NONE"), Value::Null));
    assert_eq!(encryption_types(&endpoint), [json!("NONE"), json!("NONE"), Value::Null]);
    let key = |key: &str| json!({"StreamName": "clicks", "EncryptionType": "KMS", "KeyId": key});
    endpoint.ok("StartStreamEncryption", key("alias/aws/kinesis"));
    endpoint.ok("StartStreamEncryption", key("alias/orders"));
    assert_eq!(told(&endpoint), (json!("KMS"), json!("alias/orders")));
    let described = &endpoint.ok("DescribeStream", json!({"StreamName": "clicks"}))["StreamDescription"];
    assert_eq!((&described["EncryptionType"], &described["KeyId"]), (&json!("KMS"), &json!("alias/orders")));
    let endpoint = Endpoint::on(endpoint.stop(), unlimited());
    assert_eq!(told(&endpoint), (json!("KMS"), json!("alias/orders")), "it survives a restart");
    assert_eq!(encryption_types(&endpoint), [json!("KMS"), json!("KMS"), json!("KMS")]);
    endpoint.ok("StopStreamEncryption", key("alias/orders"));
    endpoint.ok("StopStreamEncryption", key("alias/orders"));
    assert_eq!(told(&endpoint), (json!("NONE"), Value::Null));
    assert_eq!(encryption_types(&endpoint), [json!("NONE"), json!("NONE"), Value::Null]);
    for body in [key("orders"), json!({"StreamName": "clicks", "EncryptionType": "NONE", "KeyId": "alias/a"})] {
        assert_eq!(endpoint.ask("StartStreamEncryption", body).error().1, "InvalidArgumentException");
    }
    endpoint.stop();
}

#[test]
fn encryption_is_started_and_stopped_so_often_a_day_and_no_more() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let key = json!({"StreamName": "clicks", "EncryptionType": "KMS", "KeyId": "alias/a"});
    for _ in 0..25 {
        endpoint.ok("StartStreamEncryption", key.clone());
        endpoint.ok("StopStreamEncryption", key.clone());
    }
    assert_eq!(endpoint.ask("StartStreamEncryption", key).error().1, "LimitExceededException");
    endpoint.stop();
}

#[test]
fn metrics_of_shards_are_enabled_and_disabled_one_by_one_and_all_at_once() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let change = |operation: &str, metrics: &[&str]| {
        let told = endpoint.ok(operation, json!({"StreamName": "clicks", "ShardLevelMetrics": metrics}));
        assert_eq!(told["StreamARN"], json!("arn:aws:kinesis:us-east-1:000000000000:stream/clicks"));
        (told["CurrentShardLevelMetrics"].clone(), told["DesiredShardLevelMetrics"].clone())
    };
    let (enable, disable) = ("EnableEnhancedMonitoring", "DisableEnhancedMonitoring");
    let one = json!(["OutgoingBytes"]);
    assert_eq!(change(enable, &["OutgoingBytes"]), (json!([]), one.clone()));
    let two = json!(["IncomingBytes", "OutgoingBytes"]);
    assert_eq!(change(enable, &["IncomingBytes"]), (one, two.clone()));
    assert_eq!(summary(&endpoint)["EnhancedMonitoring"], json!([{"ShardLevelMetrics": two}]));
    let (_, all) = change(enable, &["ALL"]);
    assert_eq!(all.as_array().map(Vec::len), Some(7));
    let (current, rest) = change(disable, &["IteratorAgeMilliseconds"]);
    assert_eq!((current, rest.as_array().map(Vec::len)), (all, Some(6)));
    assert_eq!(change(disable, &["ALL"]), (rest, json!([])));
    assert_eq!(summary(&endpoint)["EnhancedMonitoring"], json!([{"ShardLevelMetrics": []}]));
    let unknown = json!({"StreamName": "clicks", "ShardLevelMetrics": ["Everything"]});
    assert_eq!(endpoint.ask(enable, unknown).error().1, "ValidationException");
    endpoint.stop();
}
