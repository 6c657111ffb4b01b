//! Transactions, settings, what is refused, and what is kept.

use serde_json::{Value, json};

use super::super::*;
use super::{Store, lease, lease_key, leases};
use crate::step::Step;

#[test]
fn a_transaction_is_done_whole_or_tells_why_not() {
    let mut store = Store::of_leases();
    store.ok("PutItem", json!({ "TableName": "leases", "Item": lease("a", "w", 1) }));
    let mut transaction = json!({
        "TransactItems": [
            { "Put": { "TableName": "leases", "Item": lease("b", "w", 1) } },
            { "ConditionCheck": {
                "TableName": "leases", "Key": lease_key("a"),
                "ConditionExpression": "leaseCounter = :counter",
                "ExpressionAttributeValues": { ":counter": { "N": "2" } },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            } },
        ],
        "ClientRequestToken": "token-1",
    });
    let canceled = store.refused("TransactWriteItems", transaction.clone());
    let body: Value = serde_json::from_slice(&canceled.body()).expect("JSON");
    assert_eq!(body["CancellationReasons"][0], json!({ "Code": "None" }));
    assert_eq!(body["CancellationReasons"][1]["Code"], "ConditionalCheckFailed");
    assert_eq!(body["CancellationReasons"][1]["Item"], lease("a", "w", 1));
    assert!(body["Message"].as_str().is_some_and(|message| message.ends_with("[None, ConditionalCheckFailed]")));
    assert_eq!(store.lease("b"), Value::Null);
    transaction["TransactItems"][1]["ConditionCheck"]["ExpressionAttributeValues"][":counter"] = json!({ "N": "1" });
    store.ok("TransactWriteItems", transaction.clone());
    assert_eq!(store.lease("b"), lease("b", "w", 1));
    // Under its token it is done once, and nothing else is done.
    store.ok("DeleteItem", json!({ "TableName": "leases", "Key": lease_key("b") }));
    store.ok("TransactWriteItems", transaction.clone());
    assert_eq!(store.lease("b"), Value::Null);
    transaction["TransactItems"][0]["Put"]["Item"] = lease("c", "w", 1);
    let mismatch = store.refused("TransactWriteItems", transaction.clone());
    assert_eq!(mismatch.name, ErrorName::IdempotentParameterMismatch);
    store.now_ms += 10 * 60_000;
    store.ok("TransactWriteItems", transaction);
    let twice = json!({ "TransactItems": [
        { "Delete": { "TableName": "leases", "Key": lease_key("a") } },
        { "Put": { "TableName": "leases", "Item": lease("a", "w", 1) } },
    ] });
    assert!(store.refused("TransactWriteItems", twice).message.contains("multiple operations on one item"));
    let many =
        json!({ "TransactItems": vec![json!({ "Delete": { "TableName": "leases", "Key": lease_key("a") } }); 101] });
    assert_eq!(store.refused("TransactWriteItems", many).name, ErrorName::Validation);
}

#[test]
fn settings_are_kept_and_told() {
    let mut store = Store::of_leases();
    let table = json!({ "TableName": "leases" });
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/leases";
    let status = store.ok("DescribeContinuousBackups", table.clone());
    let recovery = |status: &Value| {
        status["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"].clone()
    };
    assert_eq!(recovery(&status), "DISABLED");
    let on = json!({ "PointInTimeRecoveryEnabled": true });
    store.ok("UpdateContinuousBackups", json!({ "TableName": "leases", "PointInTimeRecoverySpecification": on }));
    assert_eq!(recovery(&store.ok("DescribeContinuousBackups", table.clone())), "ENABLED");
    let setting = json!({ "AttributeName": "expires", "Enabled": true });
    store.ok("UpdateTimeToLive", json!({ "TableName": "leases", "TimeToLiveSpecification": setting }));
    let told = store.ok("DescribeTimeToLive", table);
    assert_eq!(told["TimeToLiveDescription"], json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": "expires" }));
    let tag = json!({ "Key": "team", "Value": "a" });
    store.ok("TagResource", json!({ "ResourceArn": arn, "Tags": [tag] }));
    assert_eq!(store.ok("ListTagsOfResource", json!({ "ResourceArn": arn })), json!({ "Tags": [tag] }));
    store.ok("UntagResource", json!({ "ResourceArn": arn, "TagKeys": ["team"] }));
    assert_eq!(store.ok("ListTagsOfResource", json!({ "ResourceArn": arn })), json!({ "Tags": [] }));
    let missing = store.refused("DescribeContinuousBackups", json!({ "TableName": "nothing" }));
    assert_eq!(missing.name, ErrorName::TableNotFound);
}

#[test]
fn what_is_wrong_is_told_in_the_services_words() {
    let mut store = Store::of_leases();
    store.ok("PutItem", json!({ "TableName": "leases", "Item": lease("a", "w", 1) }));
    let long = "x".repeat(400 << 10);
    let cases = [
        ("GetItem", json!({ "Key": lease_key("a") }), "'TableName' is required"),
        ("GetItem", json!({ "TableName": "nothing", "Key": lease_key("a") }), "Requested resource not found"),
        (
            "GetItem",
            json!({ "TableName": "leases", "Key": { "other": { "S": "a" } } }),
            "The provided key element does not match the schema",
        ),
        (
            "GetItem",
            json!({ "TableName": "leases", "Key": { "leaseKey": { "N": "1" } } }),
            "The provided key element does not match the schema",
        ),
        (
            "GetItem",
            json!({ "TableName": "leases", "Key": { "leaseKey": { "S": "" } } }),
            "cannot contain an empty string value",
        ),
        (
            "GetItem",
            json!({ "TableName": "leases", "Key": { "leaseKey": { "S": "k".repeat(2_049) } } }),
            "Size of hashkey",
        ),
        (
            "PutItem",
            json!({ "TableName": "leases", "Item": { "a": { "S": "b" } } }),
            "Missing the key leaseKey in the item",
        ),
        (
            "PutItem",
            json!({ "TableName": "leases", "Item": { "leaseKey": { "S": "a" }, "x": { "S": long } } }),
            "Item size has exceeded the maximum allowed size",
        ),
        (
            "PutItem",
            json!({ "TableName": "leases", "Item": { "leaseKey": { "S": "a" }, "leaseOwner": { "N": "1" } } }),
            "Type mismatch for Index Key leaseOwner Expected: S Actual: N",
        ),
        (
            "PutItem",
            json!({ "TableName": "leases", "Item": lease("a", "w", 1), "ReturnValues": "ALL_NEW" }),
            "Return values set to invalid value",
        ),
        (
            "UpdateItem",
            json!({ "TableName": "leases", "Key": lease_key("a"), "UpdateExpression": "SET leaseKey = :v", "ExpressionAttributeValues": { ":v": { "S": "b" } } }),
            "Cannot update attribute leaseKey. This attribute is part of the key",
        ),
        (
            "UpdateItem",
            json!({ "TableName": "leases", "Key": lease_key("a"), "UpdateExpression": "REMOVE x", "Expected": { "x": { "Exists": false } } }),
            "Can not use both expression and non-expression parameters",
        ),
        (
            "UpdateItem",
            json!({ "TableName": "leases", "Key": lease_key("a"), "UpdateExpression": "REMOVE x", "ExpressionAttributeValues": { ":v": { "S": "b" } } }),
            "unused in expressions: keys: {:v}",
        ),
        (
            "UpdateItem",
            json!({ "TableName": "leases", "Key": lease_key("a"), "UpdateExpression": "SET x = :v", "ExpressionAttributeValues": { ":v": { "SS": [] } } }),
            "ExpressionAttributeValues contains invalid value",
        ),
        ("Query", json!({ "TableName": "leases" }), "Either the KeyConditions or KeyConditionExpression"),
        (
            "Query",
            json!({ "TableName": "leases", "KeyConditionExpression": "x = :v", "ExpressionAttributeValues": { ":v": { "S": "a" } } }),
            "Query condition missed key schema element: leaseKey",
        ),
        (
            "Query",
            json!({ "TableName": "leases", "IndexName": "nothing", "KeyConditionExpression": "x = :v", "ExpressionAttributeValues": { ":v": { "S": "a" } } }),
            "The table does not have the specified index: nothing",
        ),
        (
            "Query",
            json!({ "TableName": "leases", "IndexName": "LeaseOwnerToLeaseKeyIndex", "ConsistentRead": true, "KeyConditionExpression": "leaseOwner = :v", "ExpressionAttributeValues": { ":v": { "S": "a" } } }),
            "Consistent reads are not supported on global secondary indexes",
        ),
        (
            "Scan",
            json!({ "TableName": "leases", "Segment": 3, "TotalSegments": 3 }),
            "is not less than TotalSegments: 3",
        ),
        ("Scan", json!({ "TableName": "leases", "Limit": 0 }), "greater than or equal to 1"),
        ("CreateTable", json!({ "TableName": "ab" }), "between 3 and 255 characters"),
        (
            "UpdateTable",
            json!({ "TableName": "leases", "StreamSpecification": { "StreamEnabled": true } }),
            "does not support StreamSpecification",
        ),
        ("CreateBackup", json!({ "TableName": "leases" }), "does not support CreateBackup"),
    ];
    for (operation, body, part) in cases {
        let refused = store.refused(operation, body.clone());
        assert!(refused.message.contains(part), "{operation} {body}: {refused}");
    }
    let wrong_types = [
        ("GetItem", "[]"),
        ("GetItem", "{"),
        ("GetItem", ""),
        ("PutItem", r#"{"TableName":1}"#),
        ("Scan", r#"{"Limit":"1"}"#),
    ];
    for (operation, body) in wrong_types {
        assert!(
            Request::decode(operation, body.as_bytes()).is_err_and(|error| error.name == ErrorName::Serialization),
            "{body}"
        );
    }
}

#[test]
fn a_snapshot_leads_to_the_same_tables() {
    let mut store = Store::of_leases();
    for number in 0..20 {
        let mut item = lease(&format!("shard-{number}"), "w", number);
        item["padding"] = json!({ "S": "x".repeat(50_000) });
        store.ok("PutItem", json!({ "TableName": "leases", "Item": item }));
    }
    let groups = store.tables.snapshot();
    assert!(groups.len() > 1, "a large state makes several groups");
    let mut restored = Tables::default();
    groups.iter().flatten().for_each(|step| restored.apply(step).expect("it follows"));
    assert_eq!(restored, store.tables);
}

#[test]
fn steps_that_do_not_follow_are_told_and_change_nothing() {
    let mut store = Store::of_leases();
    let before = store.tables.clone();
    let steps = [
        Step::Drop { table: "nothing".to_owned() },
        Step::Put { table: "nothing".to_owned(), item: crate::Item::new() },
        Step::Put { table: "leases".to_owned(), item: crate::Item::new() },
        Step::Delete { table: "leases".to_owned(), key: crate::Item::new() },
    ];
    for step in steps {
        store.tables.apply(&step).expect_err("it does not follow");
        assert_eq!(store.tables, before);
    }
    assert_eq!(Step::decode_all(br#"{"version":2,"steps":[]}"#), Err(crate::StepsError::Newer(2)));
    assert!(matches!(Step::decode_all(br#"{"version":1,"steps":[{"x":1}]}"#), Err(crate::StepsError::Malformed(_))));
}

#[test]
fn the_key_of_a_table_is_kept_and_told() {
    let mut store = Store::new();
    let with = |encryption: Value| {
        let mut table = leases();
        table["SSESpecification"] = encryption;
        table
    };
    let own = json!({
        "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:us-east-1:000000000000:alias/aws/dynamodb",
    });
    let told = store.ok("CreateTable", with(json!({ "Enabled": true })))["TableDescription"].take();
    assert_eq!(told["SSEDescription"], own);
    let change = |encryption: Value| json!({ "TableName": "leases", "SSESpecification": encryption });
    let named = json!({ "Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "1234" });
    let told = store.ok("UpdateTable", change(named))["TableDescription"].take();
    assert_eq!(told["SSEDescription"]["KMSMasterKeyArn"], "arn:aws:kms:us-east-1:000000000000:key/1234");
    store.ok("UpdateTable", change(json!({ "Enabled": false })));
    let told = store.ok("DescribeTable", json!({ "TableName": "leases" }))["Table"].take();
    assert_eq!(told["SSEDescription"], Value::Null);
    for wrong in [
        json!({ "Enabled": true, "SSEType": "AES256" }),
        json!({ "Enabled": true, "KMSMasterKeyId": "" }),
        json!({ "Enabled": false, "KMSMasterKeyId": "1234" }),
    ] {
        assert_eq!(store.refused("UpdateTable", change(wrong.clone())).name, ErrorName::Validation, "{wrong}");
    }
}
