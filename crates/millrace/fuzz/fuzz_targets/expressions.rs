//! The text of an expression, as each kind of it, over an item with every type.
//!
//! Holds: memory is bounded by the text's length; it is refused as what no expression is, or judged; and an update leads
//! to an item that can be read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_dynamodb::{Context, ErrorName, Request, Tables};
use millrace_fuzz::bounded;
use serde_json::{Value, json};

/// An identifier of one letter is a path of some hundred bytes, in a tree of conditions.
const BYTES_A_BYTE: usize = 512;

fn context() -> Context {
    Context { now_ms: 1, region: "r".to_owned(), account: "a".to_owned(), random: 1 }
}

fn ask(tables: &mut Tables, operation: &str, body: &Value) {
    let body = body.to_string().into_bytes();
    let answer = bounded(body.len(), BYTES_A_BYTE, || Request::decode(operation, &body))
        .and_then(|request| tables.decide(&request, &context()));
    match answer {
        Ok(decision) => decision.steps.iter().for_each(|step| tables.apply(step).expect("it follows")),
        Err(error) => assert!(matches!(error.name, ErrorName::Validation | ErrorName::ConditionalCheckFailed)),
    }
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut tables = Tables::default();
    let create = json!({ "TableName": "ttt", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "k", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "k", "AttributeType": "S" }] });
    ask(&mut tables, "CreateTable", &create);
    let item = json!({ "k": { "S": "a" }, "n": { "N": "1.5" }, "b": { "B": "AQI=" }, "t": { "SS": ["a", "b"] },
        "l": { "L": [{ "N": "1" }, { "M": { "x": { "S": "y" } } }] }, "m": { "M": { "x": { "L": [{ "NULL": true }] } } } });
    ask(&mut tables, "PutItem", &json!({ "TableName": "ttt", "Item": item }));
    // Only placeholders that the text uses may be given.
    let given = |all: Value| {
        let all = all.as_object().expect("an object").clone();
        let used: serde_json::Map<String, Value> =
            all.into_iter().filter(|(name, _)| text.contains(name.as_str())).collect();
        if used.is_empty() { None } else { Some(Value::Object(used)) }
    };
    let names = given(json!({ "#n": "n", "#m": "m" }));
    let values = given(json!({ ":n": { "N": "2" }, ":s": { "S": "a" }, ":t": { "SS": ["a"] }, ":l": { "L": [] } }));
    let kinds = [
        ("UpdateItem", "ConditionExpression"),
        ("UpdateItem", "UpdateExpression"),
        ("GetItem", "ProjectionExpression"),
        ("Query", "KeyConditionExpression"),
        ("Scan", "FilterExpression"),
    ];
    for (operation, parameter) in kinds {
        let mut body = json!({ "TableName": "ttt", parameter: text });
        if matches!(operation, "UpdateItem" | "GetItem") {
            body["Key"] = json!({ "k": { "S": "a" } });
        }
        if let Some(names) = &names {
            body["ExpressionAttributeNames"] = names.clone();
        }
        if let Some(values) = values.as_ref().filter(|_| operation != "GetItem") {
            body["ExpressionAttributeValues"] = values.clone();
        }
        ask(&mut tables, operation, &body);
    }
});
