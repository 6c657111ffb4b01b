//! What a server takes that is limited as AWS limits.

use millrace_server::{LimitPolicy, ServerOptions};
use serde_json::{Value, json};

use super::client::Endpoint;

fn limited() -> Endpoint {
    Endpoint::with(ServerOptions { limits: LimitPolicy::Aws, ..ServerOptions::default() })
}

#[test]
fn records_beyond_a_shard_s_second_are_refused_one_by_one() {
    let endpoint = limited();
    endpoint.create("clicks", 1);
    let entries: Vec<Value> = (0..500).map(|_| json!({"PartitionKey": "k", "Data": ""})).collect();
    let put = || endpoint.ok("PutRecords", json!({"StreamName": "clicks", "Records": entries}));
    let failed: Vec<Value> = (0..3).map(|_| put()["FailedRecordCount"].clone()).collect();
    assert_eq!(failed[0], json!(0));
    assert!(failed[2].as_u64().is_some_and(|count| count > 0), "{failed:?}");
    let last = put();
    let refused = last["Records"].as_array().expect("results").iter().find(|it| it["ErrorCode"].is_string());
    assert_eq!(
        refused,
        Some(&json!({
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream clicks under account 000000000000.",
        }))
    );
    endpoint.stop();
}

#[test]
fn reads_and_calls_beyond_their_second_are_refused() {
    let endpoint = limited();
    endpoint.create("clicks", 1);
    let iterator = endpoint.iterator("clicks", "0");
    let names = |operation: &str, body: &Value| -> Vec<String> {
        let replies = (0..12).map(|_| endpoint.ask(operation, body.clone()));
        replies.filter(|reply| reply.status == 400).map(|reply| reply.error().1).collect()
    };
    let reads = names("GetRecords", &json!({"ShardIterator": iterator}));
    assert!(reads.len() >= 4 && reads.iter().all(|name| name == "ProvisionedThroughputExceededException"), "{reads:?}");
    let lists = names("ListStreams", &json!({}));
    assert!(lists.len() >= 4 && lists.iter().all(|name| name == "LimitExceededException"), "{lists:?}");
    endpoint.stop();
}
