//! Shards that are split, merged and counted anew, and how their readers come to their children.

use serde_json::{Value, json};

use super::client::Endpoint;

const HALF: &str = "170141183460469231731687303715884105728";

fn ids(endpoint: &Endpoint, body: Value) -> Vec<Value> {
    let listed = endpoint.ok("ListShards", body);
    listed["Shards"].as_array().expect("shards").iter().map(|shard| shard["ShardId"].clone()).collect()
}

fn put(endpoint: &Endpoint, key: &str, hash_key: &str) {
    let body = json!({"StreamName": "clicks", "PartitionKey": key, "Data": "", "ExplicitHashKey": hash_key});
    endpoint.ok("PutRecord", body);
}

#[test]
fn a_reader_comes_to_the_end_of_a_split_shard_and_is_told_its_children() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    put(&endpoint, "before", "0");
    let split = json!({"StreamName": "clicks", "ShardToSplit": "0", "NewStartingHashKey": HALF});
    endpoint.ok("SplitShard", split.clone());
    put(&endpoint, "after", HALF);
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": endpoint.iterator("clicks", "0"), "Limit": 1}));
    assert_eq!(got["Records"][0]["PartitionKey"], json!("before"));
    let end = endpoint.ok("GetRecords", json!({"ShardIterator": got["NextShardIterator"]}));
    assert_eq!((&end["Records"], &end["NextShardIterator"]), (&json!([]), &Value::Null));
    let children = end["ChildShards"].as_array().expect("children");
    assert_eq!(children.len(), 2);
    assert_eq!(children[1]["HashKeyRange"]["StartingHashKey"], json!(HALF));
    assert_eq!(children[1]["ParentShards"], json!(["shardId-000000000000"]));
    let child = endpoint.iterator("clicks", children[1]["ShardId"].as_str().expect("a name"));
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": child}));
    assert_eq!(got["Records"][0]["PartitionKey"], json!("after"));
    assert!(endpoint.ask("SplitShard", split).error().2.contains("has already been merged or split"));
    let told = endpoint.ok("DescribeStream", json!({"StreamName": "clicks"}));
    let parent = &told["StreamDescription"]["Shards"][0];
    assert!(parent["SequenceNumberRange"]["EndingSequenceNumber"].is_string(), "a closed shard has an end");
    endpoint.stop();
}

#[test]
fn shards_are_filtered_merged_and_counted_anew() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 2);
    let merge = json!({"StreamName": "clicks", "ShardToMerge": "1", "AdjacentShardToMerge": "0"});
    endpoint.ok("MergeShards", merge);
    let of = |filter: Value| ids(&endpoint, json!({"StreamName": "clicks", "ShardFilter": filter}));
    let name = |number: u32| json!(format!("shardId-{number:012}"));
    assert_eq!(of(json!({"Type": "AT_LATEST"})), [name(2)]);
    assert_eq!(of(json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000000"})), [name(1), name(2)]);
    assert_eq!(of(json!({"Type": "FROM_TRIM_HORIZON"})).len(), 3);
    let first = endpoint.ok("ListShards", json!({"StreamName": "clicks", "MaxResults": 1}));
    assert_eq!(ids(&endpoint, json!({"NextToken": first["NextToken"]})), [name(1), name(2)]);
    let changed = json!({"StreamName": "clicks", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"});
    let changed = endpoint.ok("UpdateShardCount", changed);
    assert_eq!((&changed["CurrentShardCount"], &changed["TargetShardCount"]), (&json!(1), &json!(2)));
    assert_eq!(of(json!({"Type": "AT_LATEST"})), [name(3), name(4)]);
    let summary = endpoint.ok("DescribeStreamSummary", json!({"StreamName": "clicks"}));
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], json!(2));
    endpoint.stop();
}

#[test]
fn what_cannot_be_split_or_merged_is_refused_in_the_service_s_words() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 3);
    let refused = |operation: &str, change: Value| {
        let mut body = json!({"StreamName": "clicks"});
        for (name, value) in change.as_object().expect("members") {
            body[name] = value.clone();
        }
        let (status, name, message) = endpoint.ask(operation, body).error();
        assert_eq!(status, 400, "{name}");
        (name, message)
    };
    let (name, message) = refused("SplitShard", json!({"ShardToSplit": "0", "NewStartingHashKey": "1"}));
    assert_eq!(name, "InvalidArgumentException");
    assert!(
        message.contains("is not both greater than one plus the shard's StartingHashKey 0 and less than"),
        "{message}"
    );
    let (name, message) = refused("MergeShards", json!({"ShardToMerge": "0", "AdjacentShardToMerge": "2"}));
    assert_eq!(name, "InvalidArgumentException");
    assert!(message.ends_with("are not an adjacent pair of shards eligible for merging"), "{message}");
    let (name, message) = refused("SplitShard", json!({"ShardToSplit": "9", "NewStartingHashKey": "1"}));
    assert_eq!(name, "ResourceNotFoundException");
    assert!(message.starts_with("Could not find shard shardId-000000000009 in stream clicks"), "{message}");
    let count = json!({"TargetShardCount": 7, "ScalingType": "UNIFORM_SCALING"});
    assert_eq!(refused("UpdateShardCount", count).0, "InvalidArgumentException");
    endpoint.stop();
}
