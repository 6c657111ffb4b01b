use super::*;
use crate::{Format, decode};

fn refused(operation: &str, request: &str) -> String {
    let operation = Schema::get().operation(operation).expect("an operation of the model");
    let request = decode(operation, Format::Json, request.as_bytes()).expect("values of the right types");
    let error = validate(operation, &request).expect_err("a request that breaks a constraint");
    assert_eq!(error.name, ErrorName::Validation);
    error.message.expect("a validation says what is wrong")
}

#[test]
fn constraints_are_told_in_the_recorded_words_and_order() {
    assert_eq!(
        refused("PutRecord", r#"{"PartitionKey":"","ExplicitHashKey":"x","StreamName":"a b"}"#),
        "4 validation errors detected: \
         Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value 'x' at 'explicitHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         ^(0|([1-9]\\d{0,38}))$; \
         Value null at 'data' failed to satisfy constraint: Member must not be null; \
         Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [a-zA-Z0-9_.-]+"
    );
    assert_eq!(
        refused("GetShardIterator", r#"{"ShardId":"","ShardIteratorType":"NEVER","StreamName":"a"}"#),
        "3 validation errors detected: \
         Value '' at 'shardId' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [a-zA-Z0-9_.-]+; \
         Value '' at 'shardId' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value 'NEVER' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: \
         [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
    );
}

#[test]
fn members_of_a_list_are_named_by_their_place() {
    assert_eq!(
        refused("PutRecords", r#"{"Records":[{"Data":"","PartitionKey":"a"},{"PartitionKey":""}],"StreamName":"a"}"#),
        "2 validation errors detected: \
         Value '' at 'records.2.member.partitionKey' failed to satisfy constraint: Member must have length greater than \
         or equal to 1; \
         Value null at 'records.2.member.data' failed to satisfy constraint: Member must not be null"
    );
    assert_eq!(
        refused("PutRecords", r#"{"Records":[],"StreamName":"a"}"#),
        "1 validation error detected: \
         Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1"
    );
}

#[test]
fn strings_in_lists_and_maps_are_told_of_together() {
    assert_eq!(
        refused("RemoveTagsFromStream", r#"{"TagKeys":["a",""],"StreamName":"a"}"#),
        "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal \
         to 1]"
    );
    let long = "v".repeat(257);
    let request = format!(r#"{{"Tags":{{"":"{long}"}},"StreamName":"a"}}"#);
    assert_eq!(
        refused("AddTagsToStream", &request),
        format!(
            "2 validation errors detected: \
             Value '{{={long}}}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must \
             have length less than or equal to 128, Member must have length greater than or equal to 1]; \
             Value '{{={long}}}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must \
             have length less than or equal to 256, Member must have length greater than or equal to 0]"
        )
    );
}

#[test]
fn no_more_than_ten_are_listed() {
    let records = vec![r#"{"Data":""}"#.replace("\"Data\":\"\"", "\"PartitionKey\":\"\""); 20].join(",");
    let message = refused("PutRecords", &format!(r#"{{"Records":[{records}],"StreamName":"a"}}"#));
    assert!(message.starts_with("10 validation errors detected: "), "{message}");
    assert_eq!(message.matches("; ").count(), 9);
}

#[test]
fn a_message_is_bounded_however_long_the_value() {
    let message = refused("GetRecords", &format!(r#"{{"ShardIterator":"{}"}}"#, "x".repeat(1 << 20)));
    assert!(message.len() < 2_000 && message.contains("less than or equal to 512"), "{}", message.len());
}

#[test]
fn an_answer_is_held_against_the_model() {
    let operation = Schema::get().operation("GetShardIterator").expect("an operation of the model");
    assert_eq!(conforms(operation, &Structure::new().with("ShardIterator", "AAAA")), None);
    let unknown = conforms(operation, &Structure::new().with("Iterator", "AAAA")).expect("a member of no model");
    assert!(unknown.contains("no member Iterator"), "{unknown}");
    let wrong = conforms(operation, &Structure::new().with("ShardIterator", 1_u32)).expect("a wrong type");
    assert!(wrong.contains("expected String"), "{wrong}");
    let empty = Schema::get().operation("DeleteStream").expect("an operation of the model");
    assert!(conforms(empty, &Structure::new().with("StreamName", "a")).is_some());
}
