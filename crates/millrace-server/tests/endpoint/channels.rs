//! Channels over the wire: described, changed, listed, deleted, and what they deliver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_server::{BucketEndpoint, Buckets, Credential, LimitPolicy, ServerOptions};
use serde_json::{Value, json};

use super::client::{Ask, Endpoint, unlimited};
use super::stand_in::StandIn;

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

/// A server whose channels deliver to an endpoint.
fn delivering_to(url: String) -> Endpoint {
    let credential = Credential::new("AKID".to_owned(), "secret".to_owned(), None);
    let endpoint = BucketEndpoint { url, region: "eu-west-1".to_owned(), credential: Some(credential) };
    let endpoint = Endpoint::with(ServerOptions { buckets: Buckets::Endpoint(endpoint), ..unlimited() });
    endpoint.create("clicks", 1);
    endpoint
}

#[test]
fn records_come_as_signed_objects_to_an_endpoint_that_speaks_s3() {
    let bucket = StandIn::start();
    let endpoint = delivering_to(bucket.url());
    let mut request = request(1);
    request["S3DestinationConfiguration"]["StorageConfiguration"]["OutputKeyTemplate"] = json!("dt={timestamp:yyyy}/");
    request["S3DestinationConfiguration"]["StorageConfiguration"]["StorageClass"] = json!("GLACIER_IR");
    request["EncryptionConfiguration"] = json!({"EncryptionType": "KMS", "KeyId": "alias/objects"});
    endpoint.ok("CreateChannel", request);
    put(&endpoint, "eyJhIjoxfQ==");
    let object = bucket.next();
    assert_eq!(object.body, b"{\"a\":1}\n");
    assert!(object.path.starts_with("/archive/dt%3D20") && object.path.ends_with(".jsonl"), "{}", object.path);
    assert_eq!(object.header("x-amz-storage-class"), Some("GLACIER_IR"));
    assert_eq!(object.header("x-amz-expected-bucket-owner"), Some("123456789012"));
    assert_eq!(object.header("x-amz-server-side-encryption-aws-kms-key-id"), Some("alias/objects"));
    let signature = object.header("authorization").expect("a signature");
    assert!(signature.contains("Credential=AKID/") && signature.contains("/eu-west-1/s3/aws4_request"), "{signature}");
    endpoint.stop();
}

#[test]
fn an_endpoint_that_refuses_is_told_and_gets_the_same_object_again() {
    let bucket = StandIn::start();
    bucket.refuse(true);
    let endpoint = delivering_to(bucket.url());
    endpoint.ok("CreateChannel", request(1));
    put(&endpoint, "eyJhIjoxfQ==");
    let refused = bucket.next();
    let mut second = bucket.next();
    assert_eq!((&refused.path, &refused.body), (&second.path, &second.body));
    // The second attempt was made because the first had been noted.
    let told = endpoint.ok("DescribeChannel", json!({"ChannelARN": CHANNEL}))["ChannelDescription"].clone();
    let reason = told["ChannelStatusReason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("503") && reason.contains("SlowDown"), "{reason}");
    let figure = |name: &str| {
        let text = endpoint.send(&Ask::bare("GET", "/metrics")).text();
        let line = format!("millrace_channel_{name}{{stream=\"clicks\",channel=\"to-s3\"}} ");
        let value = text.lines().find_map(|known| known.strip_prefix(&line)).map(str::to_owned);
        value.unwrap_or_else(|| unreachable!("{line} in\n{text}"))
    };
    assert_ne!(figure("failed_attempts"), "0");
    assert_eq!(figure("objects_total"), "0");
    bucket.refuse(false);
    while second.refused {
        second = bucket.next();
    }
    assert_eq!((&refused.path, &refused.body), (&second.path, &second.body));
    // Its channel has noted it once that is told.
    while figure("objects_total") == "0" {
        std::thread::yield_now();
    }
    let figures =
        ["objects_total", "records_total", "bytes_total", "dead_letters_total", "failed_attempts"].map(figure);
    assert_eq!(figures, ["1", "1", &second.body.len().to_string(), "0", "0"]);
    endpoint.stop();
}

#[test]
fn an_endpoint_that_is_none_is_refused_at_the_start() {
    for url in ["archive", "ftp://localhost", "http://localhost:9000/archive"] {
        let endpoint = BucketEndpoint { url: url.to_owned(), region: "eu-west-1".to_owned(), credential: None };
        let options = ServerOptions { port: 0, buckets: Buckets::Endpoint(endpoint), ..unlimited() };
        let directory = tempfile::tempdir().expect("a folder");
        let engine = millrace::Engine::open(directory.path(), millrace::OpenOptions::default()).expect("a store");
        let refused = millrace_server::Server::start(std::sync::Arc::new(engine), options).expect_err(url);
        assert!(refused.to_string().contains("for the buckets, got"), "{refused}");
    }
}
