//! What the operations answer and change: the calls of the KCL and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::step::Step;

mod more;

/// Tables, and the time of whoever calls.
struct Store {
    tables: Tables,
    now_ms: u64,
}

impl Store {
    fn new() -> Store {
        Store { tables: Tables::default(), now_ms: 1_767_225_600_000 }
    }

    /// A store with the KCL's table of leases and its index.
    fn of_leases() -> Store {
        let mut store = Store::new();
        store.ok("CreateTable", leases());
        store
    }

    fn call(&mut self, operation: &str, body: Value) -> Result<Value, ServiceError> {
        let request = Request::decode(operation, body.to_string().as_bytes())?;
        let context = Context {
            now_ms: self.now_ms,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            random: 7,
        };
        let before = self.tables.clone();
        let decision = self.tables.decide(&request, &context)?;
        assert_eq!(self.tables, before, "a decision changes nothing");
        // What is applied is what comes back from disk.
        let kept = Step::decode_all(&Step::encode_all(&decision.steps)).expect("steps come back");
        assert_eq!(kept, decision.steps);
        for step in &kept {
            self.tables.apply(step).expect("the step follows");
        }
        Ok(decision.answer)
    }

    fn ok(&mut self, operation: &str, body: Value) -> Value {
        self.call(operation, body.clone()).unwrap_or_else(|error| unreachable!("{operation} {body}: {error}"))
    }

    fn refused(&mut self, operation: &str, body: Value) -> ServiceError {
        self.call(operation, body.clone()).err().unwrap_or_else(|| unreachable!("{operation} {body} was not refused"))
    }

    fn lease(&mut self, key: &str) -> Value {
        self.ok("GetItem", json!({ "TableName": "leases", "Key": lease_key(key), "ConsistentRead": true }))["Item"]
            .take()
    }
}

fn leases() -> Value {
    json!({
        "TableName": "leases",
        "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
        "AttributeDefinitions": [
            { "AttributeName": "leaseKey", "AttributeType": "S" },
            { "AttributeName": "leaseOwner", "AttributeType": "S" },
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [{
            "IndexName": "LeaseOwnerToLeaseKeyIndex",
            "KeySchema": [
                { "AttributeName": "leaseOwner", "KeyType": "HASH" },
                { "AttributeName": "leaseKey", "KeyType": "RANGE" },
            ],
            "Projection": { "ProjectionType": "KEYS_ONLY" },
        }],
    })
}

fn lease_key(key: &str) -> Value {
    json!({ "leaseKey": { "S": key } })
}

fn lease(key: &str, owner: &str, counter: u64) -> Value {
    json!({ "leaseKey": { "S": key }, "leaseOwner": { "S": owner }, "leaseCounter": { "N": counter.to_string() } })
}

/// A renewal as the KCL says it, in the way from before expressions.
fn renewal(key: &str, counter: u64) -> Value {
    json!({
        "TableName": "leases",
        "Key": lease_key(key),
        "Expected": { "leaseCounter": { "Value": { "N": counter.to_string() } } },
        "AttributeUpdates": {
            "leaseCounter": { "Value": { "N": (counter + 1).to_string() }, "Action": "PUT" },
        },
    })
}

#[test]
fn the_kcl_makes_takes_renews_evicts_and_deletes_a_lease() {
    let mut store = Store::of_leases();
    let created = json!({
        "TableName": "leases",
        "Item": { "leaseKey": { "S": "shard-0" }, "leaseCounter": { "N": "0" }, "checkpoint": { "S": "TRIM_HORIZON" } },
        "Expected": { "leaseKey": { "Exists": false } },
    });
    store.ok("PutItem", created.clone());
    assert_eq!(store.refused("PutItem", created).name, ErrorName::ConditionalCheckFailed);
    let taken = json!({
        "TableName": "leases",
        "Key": lease_key("shard-0"),
        "Expected": { "leaseCounter": { "Value": { "N": "0" } }, "leaseOwner": { "Exists": false } },
        "AttributeUpdates": {
            "leaseOwner": { "Value": { "S": "worker-1" }, "Action": "PUT" },
            "ownerSwitchesSinceCheckpoint": { "Value": { "N": "1" }, "Action": "ADD" },
            "leaseCounter": { "Value": { "N": "1" }, "Action": "PUT" },
        },
        "ReturnValues": "ALL_NEW",
    });
    let answer = store.ok("UpdateItem", taken.clone());
    assert_eq!(answer["Attributes"]["ownerSwitchesSinceCheckpoint"], json!({ "N": "1" }));
    assert_eq!(store.refused("UpdateItem", taken).message, "The conditional request failed");
    store.ok("UpdateItem", renewal("shard-0", 1));
    assert_eq!(store.refused("UpdateItem", renewal("shard-0", 1)).name, ErrorName::ConditionalCheckFailed);
    assert_eq!(store.lease("shard-0")["leaseCounter"], json!({ "N": "2" }));
    let owned = json!({
        "TableName": "leases",
        "IndexName": "LeaseOwnerToLeaseKeyIndex",
        "KeyConditionExpression": "leaseOwner = :owner",
        "ExpressionAttributeValues": { ":owner": { "S": "worker-1" } },
    });
    let found = store.ok("Query", owned.clone());
    assert_eq!(found["Items"], json!([{ "leaseKey": { "S": "shard-0" }, "leaseOwner": { "S": "worker-1" } }]));
    let evicted = json!({
        "TableName": "leases",
        "Key": lease_key("shard-0"),
        "Expected": { "leaseOwner": { "Value": { "S": "worker-1" } } },
        "AttributeUpdates": { "leaseOwner": { "Action": "DELETE" } },
    });
    store.ok("UpdateItem", evicted);
    assert_eq!(store.ok("Query", owned)["Count"], json!(0));
    store.ok("DeleteItem", json!({ "TableName": "leases", "Key": lease_key("shard-0") }));
    assert_eq!(store.lease("shard-0"), Value::Null);
}

#[test]
fn a_failed_condition_gives_the_item_where_that_was_asked_for() {
    let mut store = Store::of_leases();
    store.ok("PutItem", json!({ "TableName": "leases", "Item": lease("a", "w", 1) }));
    let mut update = json!({
        "TableName": "leases",
        "Key": lease_key("a"),
        "UpdateExpression": "SET leaseCounter = leaseCounter + :one",
        "ConditionExpression": "leaseOwner = :other",
        "ExpressionAttributeValues": { ":one": { "N": "1" }, ":other": { "S": "x" } },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    let body: Value = serde_json::from_slice(&store.refused("UpdateItem", update.clone()).body()).expect("JSON");
    assert_eq!(body["Item"], lease("a", "w", 1));
    assert_eq!(body["__type"], "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException");
    update["ExpressionAttributeValues"][":other"] = json!({ "S": "w" });
    update["ReturnValues"] = json!("UPDATED_NEW");
    assert_eq!(store.ok("UpdateItem", update)["Attributes"], json!({ "leaseCounter": { "N": "2" } }));
}

#[test]
fn tables_are_described_as_they_were_made_and_changed() {
    let mut store = Store::of_leases();
    let table = store.ok("DescribeTable", json!({ "TableName": "leases" }))["Table"].take();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["TableArn"], "arn:aws:dynamodb:us-east-1:000000000000:table/leases");
    assert_eq!(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["GlobalSecondaryIndexes"][0]["IndexStatus"], "ACTIVE");
    assert_eq!(store.refused("CreateTable", leases()).name, ErrorName::ResourceInUse);
    let dropped = json!([{ "Delete": { "IndexName": "LeaseOwnerToLeaseKeyIndex" } }]);
    store.ok("UpdateTable", json!({ "TableName": "leases", "GlobalSecondaryIndexUpdates": dropped }));
    for key in ["b", "a"] {
        store.ok("PutItem", json!({ "TableName": "leases", "Item": lease(key, "w", 1) }));
    }
    let mut update = leases();
    let index = update["GlobalSecondaryIndexes"][0].take();
    let update = json!({
        "TableName": "leases",
        "AttributeDefinitions": update["AttributeDefinitions"],
        "GlobalSecondaryIndexUpdates": [{ "Create": index }],
        "DeletionProtectionEnabled": true,
    });
    // An index that comes later holds what is there.
    let described = store.ok("UpdateTable", update);
    assert_eq!(described["TableDescription"]["GlobalSecondaryIndexes"][0]["ItemCount"], 2);
    assert!(store.refused("DeleteTable", json!({ "TableName": "leases" })).message.contains("protected"));
    store.ok("UpdateTable", json!({ "TableName": "leases", "DeletionProtectionEnabled": false }));
    let throughput = json!({ "ReadCapacityUnits": 10, "WriteCapacityUnits": 5 });
    let provisioned =
        json!({ "TableName": "leases", "BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput });
    let told = store.ok("UpdateTable", provisioned)["TableDescription"]["ProvisionedThroughput"].take();
    assert_eq!(told["ReadCapacityUnits"], 10);
    assert_eq!(
        store.ok("DeleteTable", json!({ "TableName": "leases" }))["TableDescription"]["TableStatus"],
        "DELETING"
    );
    assert_eq!(store.refused("DescribeTable", json!({ "TableName": "leases" })).name, ErrorName::ResourceNotFound);
    assert_eq!(store.ok("ListTables", json!({})), json!({ "TableNames": [] }));
}

#[test]
fn scans_come_in_pages_and_segments_that_hold_every_item_once() {
    let mut store = Store::of_leases();
    for number in 0..50 {
        store
            .ok("PutItem", json!({ "TableName": "leases", "Item": lease(&format!("shard-{number:02}"), "w", number) }));
    }
    let keys = |items: &Value| -> Vec<String> {
        let items = items.as_array().expect("items").iter();
        items.map(|item| item["leaseKey"]["S"].as_str().expect("a key").to_owned()).collect()
    };
    let mut seen = Vec::new();
    for segment in 0..3 {
        let mut scan = json!({ "TableName": "leases", "Segment": segment, "TotalSegments": 3, "Limit": 4 });
        loop {
            let page = store.ok("Scan", scan.clone());
            seen.extend(keys(&page["Items"]));
            let Some(last) = page.get("LastEvaluatedKey") else { break };
            scan["ExclusiveStartKey"] = last.clone();
        }
    }
    seen.sort();
    assert_eq!(seen, (0..50).map(|number| format!("shard-{number:02}")).collect::<Vec<_>>());
    let filtered = json!({
        "TableName": "leases",
        "FilterExpression": "leaseCounter BETWEEN :low AND :high",
        "ExpressionAttributeValues": { ":low": { "N": "3" }, ":high": { "N": "5" } },
        "Select": "COUNT",
    });
    assert_eq!(store.ok("Scan", filtered), json!({ "Count": 3, "ScannedCount": 50 }));
    let limited = store.ok("Scan", json!({ "TableName": "leases", "Limit": 1 }));
    assert_eq!(
        (keys(&limited["Items"]), &limited["LastEvaluatedKey"]),
        (vec!["shard-00".to_owned()], &lease_key("shard-00"))
    );
}

#[test]
fn queries_read_a_range_of_a_partition_in_either_direction() {
    let mut store = Store::new();
    store.ok(
        "CreateTable",
        json!({
            "TableName": "events",
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }, { "AttributeName": "sent", "KeyType": "RANGE" }],
            "AttributeDefinitions": [
                { "AttributeName": "id", "AttributeType": "S" }, { "AttributeName": "sent", "AttributeType": "N" },
            ],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    for (id, at) in [("a", -2), ("a", 1), ("a", 9), ("a", 10), ("b", 5)] {
        store.ok(
            "PutItem",
            json!({ "TableName": "events", "Item": { "id": { "S": id }, "sent": { "N": at.to_string() } } }),
        );
    }
    let mut found = |condition: &str, more: Value| -> Vec<String> {
        let mut query = json!({ "TableName": "events", "KeyConditionExpression": condition,
            "ExpressionAttributeValues": { ":id": { "S": "a" } } });
        for (name, value) in more.as_object().expect("an object") {
            match value.as_object().filter(|_| name == "ExpressionAttributeValues") {
                Some(values) => {
                    values.iter().for_each(|(name, value)| query["ExpressionAttributeValues"][name] = value.clone())
                }
                None => query[name] = value.clone(),
            }
        }
        let items = store.ok("Query", query)["Items"].take();
        items
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["sent"]["N"].as_str().expect("a number").to_owned())
            .collect()
    };
    let values = json!({ ":low": { "N": "1" }, ":high": { "N": "9" } });
    assert_eq!(found("id = :id", json!({})), ["-2", "1", "9", "10"]);
    assert_eq!(found("id = :id", json!({ "ScanIndexForward": false })), ["10", "9", "1", "-2"]);
    assert_eq!(
        found("id = :id AND sent BETWEEN :low AND :high", json!({ "ExpressionAttributeValues": values })),
        ["1", "9"]
    );
    let low = json!({ ":low": { "N": "1" } });
    assert_eq!(found(":low < sent AND id = :id", json!({ "ExpressionAttributeValues": low })), ["9", "10"]);
    let start = json!({ "id": { "S": "a" }, "sent": { "N": "9" } });
    assert_eq!(found("id = :id", json!({ "ExclusiveStartKey": start })), ["10"]);
    assert_eq!(found("id = :id", json!({ "ExclusiveStartKey": start, "ScanIndexForward": false })), ["1", "-2"]);
}

#[test]
fn batches_read_and_write_many_items() {
    let mut store = Store::of_leases();
    let puts: Vec<Value> =
        ["a", "b"].iter().map(|key| json!({ "PutRequest": { "Item": lease(key, "w", 1) } })).collect();
    assert_eq!(
        store.ok("BatchWriteItem", json!({ "RequestItems": { "leases": puts } })),
        json!({ "UnprocessedItems": {} })
    );
    let keys = json!([lease_key("a"), lease_key("nothing")]);
    let read = store.ok("BatchGetItem", json!({ "RequestItems": { "leases": { "Keys": keys } } }));
    assert_eq!(read, json!({ "Responses": { "leases": [lease("a", "w", 1)] }, "UnprocessedKeys": {} }));
    let twice = json!({ "RequestItems": { "leases": [puts[0], puts[0]] } });
    assert!(store.refused("BatchWriteItem", twice).message.contains("duplicates"));
}
