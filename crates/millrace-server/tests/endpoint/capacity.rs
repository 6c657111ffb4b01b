//! What on-demand streams alone have: warm throughput, and a distribution of records that passes over their keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Endpoint, unlimited};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";

fn on_demand(endpoint: &Endpoint) {
    let mode = json!({"StreamMode": "ON_DEMAND"});
    endpoint.ok("CreateStream", json!({"StreamName": "clicks", "StreamModeDetails": mode}));
}

fn commitment(endpoint: &Endpoint, status: &str) -> Value {
    let body = json!({"MinimumThroughputBillingCommitment": {"Status": status}});
    endpoint.ok("UpdateAccountSettings", body)["MinimumThroughputBillingCommitment"].clone()
}

fn summary(endpoint: &Endpoint) -> Value {
    endpoint.ok("DescribeStreamSummary", json!({"StreamARN": STREAM}))["StreamDescriptionSummary"].clone()
}

#[test]
fn the_commitment_of_the_account_is_kept_for_a_day_at_least() {
    let endpoint = Endpoint::start();
    let told = |endpoint: &Endpoint| {
        endpoint.ok("DescribeAccountSettings", json!({}))["MinimumThroughputBillingCommitment"].clone()
    };
    assert_eq!(told(&endpoint), json!({"Status": "DISABLED"}));
    assert_eq!(commitment(&endpoint, "DISABLED"), json!({"Status": "DISABLED"}));
    let made = commitment(&endpoint, "ENABLED");
    let ms = |name: &str| made[name].as_f64().map(|seconds| seconds * 1_000.0);
    let lasts = ms("EarliestAllowedEndAt").zip(ms("StartedAt")).map(|(end, start)| (end - start).round());
    assert_eq!((&made["Status"], lasts), (&json!("ENABLED"), Some(86_400_000.0)));
    assert_eq!(commitment(&endpoint, "ENABLED"), made, "it goes on as it was");
    let ending = commitment(&endpoint, "DISABLED");
    assert_eq!(ending["Status"], json!("ENABLED_UNTIL_EARLIEST_ALLOWED_END"));
    let endpoint = Endpoint::on(endpoint.stop(), unlimited());
    assert_eq!(told(&endpoint), ending, "it survives a restart");
    endpoint.stop();
}

#[test]
fn a_stream_is_warmed_up_in_an_account_that_has_committed_itself() {
    let endpoint = Endpoint::start();
    on_demand(&endpoint);
    let warm = |mib: u32| json!({"StreamARN": STREAM, "WarmThroughputMiBps": mib});
    let update = "UpdateStreamWarmThroughput";
    assert!(endpoint.ask(update, warm(8)).error().2.contains("MinimumThroughputBillingCommitment"));
    commitment(&endpoint, "ENABLED");
    let told = endpoint.ok(update, warm(8));
    assert_eq!(told["WarmThroughput"], json!({"TargetMiBps": 8, "CurrentMiBps": 8}));
    assert_eq!((&told["StreamName"], &told["StreamARN"]), (&json!("clicks"), &json!(STREAM)));
    assert_eq!(summary(&endpoint)["WarmThroughput"], json!({"TargetMiBps": 8, "CurrentMiBps": 8}));
    assert_eq!(endpoint.ask(update, warm(10_241)).error().1, "LimitExceededException");
    endpoint.ok(update, warm(0));
    assert!(summary(&endpoint)["WarmThroughput"].is_null(), "released");
    let mode = json!({"StreamMode": "ON_DEMAND"});
    let created = json!({"StreamName": "warm", "StreamModeDetails": mode, "WarmThroughputMiBps": 6});
    endpoint.ok("CreateStream", created);
    let described = endpoint.ok("DescribeStreamSummary", json!({"StreamName": "warm"}));
    assert_eq!(described["StreamDescriptionSummary"]["OpenShardCount"], json!(8), "none of its four was narrow enough");
    endpoint.create("own", 1);
    let provisioned = json!({"StreamName": "own", "WarmThroughputMiBps": 8});
    assert_eq!(endpoint.ask(update, provisioned).error().1, "InvalidArgumentException");
    endpoint.stop();
}

#[test]
fn a_stream_that_distributes_records_fills_its_shards_evenly_and_needs_no_keys() {
    let endpoint = Endpoint::start();
    on_demand(&endpoint);
    let entries = |count: usize, entry: Value| json!({"StreamARN": STREAM, "Records": vec![entry; count]});
    let shards = |told: &Value| {
        let mut counts = BTreeMap::new();
        for record in told["Records"].as_array().expect("results") {
            *counts.entry(record["ShardId"].as_str().expect("a shard").to_owned()).or_insert(0) += 1;
        }
        counts.into_values().collect::<Vec<usize>>()
    };
    let keyed = entries(100, json!({"PartitionKey": "k", "ExplicitHashKey": "7", "Data": "YQ=="}));
    let keyless = entries(1, json!({"Data": "YQ=="}));
    assert_eq!(shards(&endpoint.ok("PutRecords", keyed.clone())), [100]);
    assert_eq!(endpoint.ask("PutRecords", keyless.clone()).error().1, "ValidationException");
    let set = |strategy: &str| json!({"StreamARN": STREAM, "RecordDistributionStrategy": strategy});
    let update = "UpdateStreamRecordDistributionStrategy";
    assert_eq!(summary(&endpoint)["RecordDistributionStrategy"], json!("USER_PARTITION_KEY"));
    endpoint.ok(update, set("AUTO"));
    assert_eq!(summary(&endpoint)["RecordDistributionStrategy"], json!("AUTO"));
    assert_eq!(shards(&endpoint.ok("PutRecords", keyed.clone())), [25, 25, 25, 25]);
    assert_eq!(endpoint.ok("PutRecords", keyless)["FailedRecordCount"], json!(0));
    endpoint.ok("PutRecord", json!({"StreamARN": STREAM, "Data": "YQ=="}));
    endpoint.ok(update, set("USER_PARTITION_KEY"));
    assert_eq!(shards(&endpoint.ok("PutRecords", keyed)), [100]);
    endpoint.create("own", 1);
    let own = "arn:aws:kinesis:us-east-1:000000000000:stream/own";
    let refused = json!({"StreamARN": own, "RecordDistributionStrategy": "AUTO"});
    assert_eq!(endpoint.ask(update, refused).error().1, "InvalidArgumentException");
    let told = endpoint.ok("DescribeStreamSummary", json!({"StreamARN": own}));
    assert!(
        told["StreamDescriptionSummary"]["RecordDistributionStrategy"].is_null(),
        "on-demand streams alone have one"
    );
    endpoint.stop();
}
