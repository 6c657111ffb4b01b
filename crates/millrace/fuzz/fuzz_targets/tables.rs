//! Requests of DynamoDB, one a line behind a byte that chooses the operation, on tables with an index.
//!
//! Holds: memory is bounded by the input's length; a request is refused or decided, and a decision changes nothing; its
//! steps come back from their bytes and follow on the state; the state after all of them is what its snapshot leads to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_dynamodb::{Context, OPERATIONS, Request, Step, Tables};
use millrace_fuzz::bounded;

/// A value of three bytes of JSON, `{},`, is one of some forty in memory, in a list that may have grown.
const BYTES_A_BYTE: usize = 160;

const CREATE: &str = r#"{"TableName":"ttt","BillingMode":"PAY_PER_REQUEST",
    "KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"r","KeyType":"RANGE"}],
    "AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"r","AttributeType":"N"},
        {"AttributeName":"o","AttributeType":"S"}],
    "GlobalSecondaryIndexes":[{"IndexName":"iii","KeySchema":[{"AttributeName":"o","KeyType":"HASH"}],
        "Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}}]}"#;

fuzz_target!(|input: &[u8]| {
    let mut tables = Tables::default();
    ask(&mut tables, "CreateTable", CREATE.as_bytes());
    assert_eq!(tables.iter().count(), 1);
    for line in input.split(|byte| *byte == b'\n').take(16) {
        let Some((choice, body)) = line.split_first() else { continue };
        ask(&mut tables, OPERATIONS[usize::from(*choice) % OPERATIONS.len()], body);
    }
    let mut restored = Tables::default();
    for step in tables.snapshot().iter().flatten() {
        restored.apply(step).expect("a snapshot's steps follow");
    }
    assert_eq!(restored, tables);
});

fn ask(tables: &mut Tables, operation: &str, body: &[u8]) {
    let Ok(request) = bounded(body.len(), BYTES_A_BYTE, || Request::decode(operation, body)) else { return };
    let context = Context { now_ms: 1, region: "r".to_owned(), account: "a".to_owned(), random: 1 };
    let before = tables.clone();
    let decided = tables.decide(&request, &context);
    assert_eq!(*tables, before);
    let Ok(decision) = decided else { return };
    let steps = Step::decode_all(&Step::encode_all(&decision.steps)).expect("steps come back");
    assert_eq!(steps, decision.steps);
    steps.iter().for_each(|step| tables.apply(step).expect("a decided step follows"));
}
