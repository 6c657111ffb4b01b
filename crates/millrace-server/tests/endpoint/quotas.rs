//! What the account may have.

use millrace_server::{LimitPolicy, QuotaOptions, ServerOptions};
use serde_json::{Value, json};

use super::client::Endpoint;

fn with(shards: Option<u32>, on_demand_streams: Option<u32>, limits: LimitPolicy) -> Endpoint {
    let quotas = QuotaOptions { shards, on_demand_streams };
    Endpoint::with(ServerOptions { limits, quotas, ..ServerOptions::default() })
}

fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}")
}

fn mode(stream: &str, mode: &str) -> Value {
    json!({"StreamARN": arn(stream), "StreamModeDetails": {"StreamMode": mode}})
}

#[test]
fn provisioned_streams_have_so_many_shards_together() {
    let endpoint = with(Some(4), None, LimitPolicy::Unlimited);
    let exceeds = |operation: &str, body: Value, present: u32, more: u32| {
        let (_, name, message) = endpoint.ask(operation, body).error();
        let told = format!(
            "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count for \
             the account: {present}. Limit: 4. Number of additional shards that would have resulted from this request: \
             {more}."
        );
        assert_eq!((name.as_str(), message.starts_with(&told)), ("LimitExceededException", true), "{message}");
    };
    endpoint.create("a", 3);
    exceeds("CreateStream", json!({"StreamName": "b", "ShardCount": 2}), 3, 2);
    endpoint.create("b", 1);
    let half = "170141183460469231731687303715884105728";
    exceeds("SplitShard", json!({"StreamName": "b", "ShardToSplit": "0", "NewStartingHashKey": half}), 4, 1);
    let count = |n: u32| json!({"StreamName": "b", "TargetShardCount": n, "ScalingType": "UNIFORM_SCALING"});
    exceeds("UpdateShardCount", count(2), 4, 1);
    let limits = endpoint.ok("DescribeLimits", json!({}));
    assert_eq!((&limits["ShardLimit"], &limits["OpenShardCount"]), (&json!(4), &json!(4)));
    let (_, name, _) = endpoint.ask("CreateStream", json!({"StreamName": "a", "ShardCount": 9})).error();
    assert_eq!(name, "ResourceInUseException", "the name is looked for first");
    endpoint.ok("DeleteStream", json!({"StreamName": "a"}));
    endpoint.ok("UpdateShardCount", count(2));
    endpoint.stop();
}

#[test]
fn the_shards_of_on_demand_streams_count_once_those_are_provisioned() {
    let endpoint = with(Some(4), Some(1), LimitPolicy::Unlimited);
    let on_demand = |name: &str| json!({"StreamName": name, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    endpoint.ok("CreateStream", on_demand("a"));
    let limits = endpoint.ok("DescribeLimits", json!({}));
    assert_eq!((&limits["OpenShardCount"], &limits["OnDemandStreamCountLimit"]), (&json!(0), &json!(1)));
    assert_eq!(endpoint.ask("CreateStream", on_demand("b")).error().1, "LimitExceededException");
    endpoint.create("b", 1);
    assert_eq!(endpoint.ask("UpdateStreamMode", mode("b", "ON_DEMAND")).error().1, "LimitExceededException");
    assert_eq!(endpoint.ask("UpdateStreamMode", mode("a", "PROVISIONED")).error().1, "LimitExceededException");
    endpoint.ok("DeleteStream", json!({"StreamName": "b"}));
    endpoint.ok("UpdateStreamMode", mode("a", "PROVISIONED"));
    assert_eq!(endpoint.ok("DescribeLimits", json!({}))["OpenShardCount"], json!(4));
    endpoint.stop();
}

#[test]
fn without_numbers_of_its_own_an_account_has_those_of_its_region_where_limits_are_on() {
    for (region, most) in [("us-east-1", 20_000), ("eu-central-1", 1_000)] {
        for limits in [LimitPolicy::Aws, LimitPolicy::Unlimited] {
            let endpoint =
                Endpoint::with(ServerOptions { limits, region: region.to_owned(), ..ServerOptions::default() });
            let told = endpoint.ok("DescribeLimits", json!({}));
            assert_eq!((&told["ShardLimit"], &told["OnDemandStreamCountLimit"]), (&json!(most), &json!(50)));
            let created = endpoint.ask("CreateStream", json!({"StreamName": "wide", "ShardCount": 1_001}));
            assert_eq!(created.status == 200, region == "us-east-1" || limits == LimitPolicy::Unlimited, "{region}");
            endpoint.stop();
        }
    }
}
