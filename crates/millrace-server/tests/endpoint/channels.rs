//! Channels over the wire: described, changed, listed, deleted, and what they deliver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_server::{LimitPolicy, ServerOptions};
use serde_json::{Value, json};

use super::client::{Endpoint, unlimited};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
const CHANNEL: &str = "arn:aws:kinesis:us-east-1:000000000000:channel/to-s3";
const ROLE: &str = "arn:aws:iam::123456789012:role/delivery";
const BUCKET: &str = "arn:aws:s3:::archive";

pub fn request(freshness_s: u64) -> Value {
    let storage = json!({"BucketARN": BUCKET, "ExpectedBucketOwner": "123456789012", "CompressionType": "NONE"});
    json!({
        "ChannelName": "to-s3",
        "ServiceExecutionRoleARN": ROLE,
        "StreamConfigurationList": [{"StreamARN": STREAM, "RecordConfiguration": {"RecordFormatType": "JSON"}}],
        "S3DestinationConfiguration": {"DataFreshnessInSeconds": freshness_s, "StorageConfiguration": storage},
    })
}

fn endpoint() -> Endpoint {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    endpoint
}

pub fn put(endpoint: &Endpoint, data: &str) {
    endpoint.ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": "k", "Data": data}));
}

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_channel_is_described_changed_listed_and_deleted() {
    let endpoint = endpoint();
    let told = endpoint.ok("CreateChannel", request(300))["ChannelDescription"].clone();
    assert_eq!((&told["ChannelARN"], &told["ChannelStatus"]), (&json!(CHANNEL), &json!("ACTIVE")));
    assert_eq!(told["StreamConfigurationList"][0]["RecordConfiguration"], json!({"RecordFormatType": "JSON"}));
    assert_eq!(told["LoggingConfiguration"], json!({"CloudWatchLogs": {"Enabled": false}}));
    let letters = json!({"BucketARN": BUCKET, "ExpectedBucketOwner": "123456789012", "ErrorOutputPrefix": "errors/"});
    assert_eq!(told["S3DestinationConfiguration"]["DeadLetterQueueS3Configuration"], letters);
    assert_eq!(endpoint.ask("CreateChannel", request(300)).error().1, "ResourceInUseException");

    let logs = json!({"CloudWatchLogs": {"Enabled": true, "LogGroupName": "group"}});
    let change = json!({
        "ChannelARN": CHANNEL,
        "S3DestinationConfiguration": {"DataFreshnessInSeconds": 900},
        "LoggingConfiguration": logs,
    });
    endpoint.ok("UpdateChannel", change);
    let told = endpoint.ok("DescribeChannel", json!({"ChannelARN": CHANNEL}))["ChannelDescription"].clone();
    assert_eq!(told["S3DestinationConfiguration"]["DataFreshnessInSeconds"], json!(900));
    assert_eq!((&told["LoggingConfiguration"], &told["ServiceExecutionRoleARN"]), (&logs, &json!(ROLE)));

    let listed = endpoint.ok("ListChannels", json!({"StreamFilter": [{"StreamARN": STREAM}]}));
    assert_eq!(listed["ChannelSummaries"][0]["ChannelDestinationType"], json!("S3"));
    endpoint.create("others", 1);
    let others = json!({"StreamFilter": [{"StreamARN": STREAM.replace("clicks", "others")}]});
    assert_eq!(endpoint.ok("ListChannels", others)["ChannelSummaries"], json!([]));
    endpoint.ok("TagResource", json!({"ResourceARN": CHANNEL, "Tags": {"team": "data"}}));
    let tags = endpoint.ok("ListTagsForResource", json!({"ResourceARN": CHANNEL}))["Tags"].clone();
    assert_eq!(tags, json!([{"Key": "team", "Value": "data"}]));

    let refused = endpoint.ask("DeleteStream", json!({"StreamName": "clicks"}));
    assert_eq!(refused.error().1, "ResourceInUseException", "a stream with channels");
    endpoint.ok("DeleteChannel", json!({"ChannelARN": CHANNEL}));
    let gone = endpoint.ask("DescribeChannel", json!({"ChannelARN": CHANNEL})).error();
    assert_eq!(gone.2, "Channel to-s3 under account 000000000000 not found.");
    endpoint.stop();
}

#[test]
fn pages_of_channels_hold_so_many_and_the_token_goes_on() {
    let endpoint = endpoint();
    for name in ["a", "b", "c"] {
        let mut request = request(300);
        request["ChannelName"] = json!(name);
        endpoint.ok("CreateChannel", request);
    }
    let page = endpoint.ok("ListChannels", json!({"MaxResults": 2}));
    assert_eq!(page["ChannelSummaries"].as_array().map(Vec::len), Some(2));
    let rest = endpoint.ok("ListChannels", json!({"NextToken": page["NextToken"]}));
    assert_eq!((&rest["ChannelSummaries"][0]["ChannelName"], &rest["NextToken"]), (&json!("c"), &Value::Null));
    endpoint.stop();
}

#[test]
fn what_a_channel_cannot_be_is_refused_in_words() {
    let endpoint = endpoint();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut request = request(300);
        change(&mut request);
        endpoint.ask("CreateChannel", request).error()
    };
    let without = refused(&|it| it["S3DestinationConfiguration"] = Value::Null);
    assert_eq!(without.2, "Either S3DestinationConfiguration or S3TablesDestinationConfiguration should be provided.");
    let stale = refused(&|it| it["S3DestinationConfiguration"]["DataFreshnessInSeconds"] = json!(901));
    assert_eq!(stale.2, "DataFreshnessInSeconds must be between 1 and 900.");
    let schema = refused(&|it| {
        it["StreamConfigurationList"][0]["RecordConfiguration"]["RecordFormatType"] = json!("GSR_JSON");
    });
    assert_eq!(schema.1, "InvalidArgumentException");
    let outside = refused(&|it| {
        it["S3DestinationConfiguration"]["StorageConfiguration"]["OutputKeyTemplate"] = json!("../../etc/");
    });
    assert_eq!(outside.1, "InvalidArgumentException", "a key that leads out of its bucket");
    let unknown = refused(&|it| {
        it["StreamConfigurationList"][0]["StreamARN"] = json!(STREAM.replace("clicks", "none"));
    });
    assert_eq!(unknown.1, "ResourceNotFoundException");
    endpoint.stop();
}

#[test]
fn the_limits_of_aws_hold_for_the_freshness_too() {
    let endpoint = Endpoint::with(ServerOptions { limits: LimitPolicy::Aws, ..unlimited() });
    endpoint.create("clicks", 1);
    let refused = endpoint.ask("CreateChannel", request(299)).error();
    assert_eq!(refused.2, "DataFreshnessInSeconds must be between 300 and 900.");
    endpoint.stop();
}

#[test]
fn records_come_as_objects_into_the_folder_of_the_store() {
    let endpoint = endpoint();
    endpoint.ok("CreateChannel", request(1));
    put(&endpoint, "eyJhIjoxfQ==");
    put(&endpoint, "eyJhIjoyfQ==");
    let bucket = endpoint.directory.path().join("channels/archive/clicks");
    let delivered = || -> Vec<u8> {
        let mut objects = files(&bucket);
        objects.sort();
        objects.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        objects.iter().flat_map(|path| std::fs::read(path).expect("an object")).collect()
    };
    let (rung, waiting) = std::sync::mpsc::channel::<()>();
    while delivered() != b"{\"a\":1}\n{\"a\":2}\n" {
        // Nothing tells of a file; the other end is kept, so that this only waits.
        let _a_moment_later = waiting.recv_timeout(Duration::from_millis(20));
    }
    drop(rung);
    endpoint.stop();
}
