//! Queues over the wire, and the tags of all resources.

use serde_json::{Value, json};

use super::client::Endpoint;

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
const QUEUE: &str = "arn:aws:kinesis:us-east-1:000000000000:queue/jobs";

fn queue(endpoint: &Endpoint, attributes: Value) -> Value {
    endpoint.create("clicks", 1);
    let body = json!({
        "QueueName": "jobs",
        "StreamConfigurationList": [{"StreamARN": STREAM, "StartingPosition": {"Type": "TRIM_HORIZON"}}],
        "QueueAttributes": attributes,
    });
    endpoint.ok("CreateQueue", body)["QueueDescription"].clone()
}

fn receive(endpoint: &Endpoint, operation: &str) -> Vec<Value> {
    let received = endpoint.ok(operation, json!({"QueueARN": QUEUE, "WaitTimeSeconds": 1}));
    received["QueueRecords"].as_array().expect("records").clone()
}

fn entries(records: &[Value]) -> Value {
    let entries: Vec<Value> = records.iter().map(|it| json!({"ReceiptHandle": it["ReceiptHandle"]})).collect();
    json!({"QueueARN": QUEUE, "Entries": entries})
}

#[test]
fn a_queue_is_described_changed_listed_and_deleted() {
    let endpoint = Endpoint::start();
    let told = queue(&endpoint, json!({"VisibilityTimeoutSeconds": 7}));
    assert_eq!((&told["QueueARN"], &told["QueueStatus"]), (&json!(QUEUE), &json!("ACTIVE")));
    let dead_letters = json!({"TargetType": "BUILT_IN", "MaxReceiveCount": 6});
    let attributes = json!({"VisibilityTimeoutSeconds": 7, "DeadLetterConfiguration": dead_letters});
    assert_eq!(told["QueueAttributes"], attributes);
    let twice = json!({"QueueName": "jobs", "StreamConfigurationList": [{"StreamARN": STREAM}]});
    assert_eq!(endpoint.ask("CreateQueue", twice).error().1, "ResourceInUseException");
    let change = json!({"QueueARN": QUEUE, "QueueAttributes": {"DeadLetterConfiguration": {"TargetType": "NONE"}}});
    let changed = endpoint.ok("UpdateQueue", change)["QueueDescription"]["QueueAttributes"].clone();
    assert_eq!(changed, json!({"VisibilityTimeoutSeconds": 7, "DeadLetterConfiguration": {"TargetType": "NONE"}}));
    let listed = endpoint.ok("ListQueues", json!({"StreamFilter": [{"StreamARN": STREAM}]}));
    assert_eq!(listed["QueueSummaries"][0]["Streams"][0]["StreamARN"], json!(STREAM));
    let refused = endpoint.ask("DeleteStream", json!({"StreamName": "clicks"}));
    assert_eq!(refused.error().1, "ResourceInUseException", "a stream with queues");
    endpoint.ok("DeleteQueue", json!({"QueueARN": QUEUE}));
    assert_eq!(
        endpoint.ask("DescribeQueue", json!({"QueueARN": QUEUE})).error().2,
        "Queue jobs under account 000000000000 not found."
    );
    endpoint.stop();
}

#[test]
fn records_are_received_hidden_acknowledged_and_restored() {
    let endpoint = Endpoint::start();
    queue(&endpoint, json!({"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 1}}));
    for key in ["a", "b"] {
        endpoint.ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": key, "Data": "AAAA"}));
    }
    let records = receive(&endpoint, "ReceiveQueueRecords");
    assert_eq!(records.iter().map(|it| it["PartitionKey"].clone()).collect::<Vec<_>>(), [json!("a"), json!("b")]);
    assert_eq!((&records[0]["Data"], &records[0]["ReceiveCount"]), (&json!("AAAA"), &json!(1)));
    assert!(receive(&endpoint, "ReceiveQueueRecords").is_empty(), "what is in flight is hidden");
    let settled = endpoint.ok("AcknowledgeQueueRecords", entries(&records[..1]));
    assert_eq!(settled["Successful"][0]["ReceiptHandle"], records[0]["ReceiptHandle"]);
    let again = endpoint.ok("AcknowledgeQueueRecords", entries(&records[..1]));
    assert_eq!(again["Failed"][0]["ErrorCode"], json!("InvalidArgumentException"));
    let mut hide = entries(&records[1..]);
    hide["Entries"][0]["VisibilityTimeoutSeconds"] = json!(0);
    assert_eq!(endpoint.ok("UpdateQueueRecordsVisibility", hide)["Failed"], json!([]));
    assert!(receive(&endpoint, "ReceiveQueueRecords").is_empty(), "received as often as it may be");
    let dead = receive(&endpoint, "ReceiveDeadLetterQueueRecords");
    assert_eq!(dead[0]["RecordId"], records[1]["RecordId"], "a record has one name");
    endpoint.ok("RestoreDeadLetterQueueRecords", entries(&dead));
    let restored = receive(&endpoint, "ReceiveQueueRecords");
    assert_eq!((&restored[0]["PartitionKey"], &restored[0]["ReceiveCount"]), (&json!("b"), &json!(1)));
    endpoint.stop();
}

#[test]
fn tags_are_kept_at_streams_consumers_and_queues() {
    let endpoint = Endpoint::start();
    queue(&endpoint, json!({}));
    let consumer = json!({"StreamARN": STREAM, "ConsumerName": "counter", "Tags": {"team": "data"}});
    let consumer = endpoint.ok("RegisterStreamConsumer", consumer)["Consumer"]["ConsumerARN"].clone();
    assert_eq!(
        endpoint.ok("ListTagsForResource", json!({"ResourceARN": consumer}))["Tags"],
        json!([{"Key": "team", "Value": "data"}])
    );
    for arn in [json!(STREAM), consumer, json!(QUEUE)] {
        endpoint.ok("TagResource", json!({"ResourceARN": arn, "Tags": {"b": "2", "a": "1", "team": ""}}));
        endpoint.ok("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["team", "missing"]}));
        let tags = endpoint.ok("ListTagsForResource", json!({"ResourceARN": arn}))["Tags"].clone();
        assert_eq!(tags, json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]), "{arn}");
    }
    endpoint.ok("AddTagsToStream", json!({"StreamName": "clicks", "Tags": {"c": "3"}}));
    endpoint.ok("RemoveTagsFromStream", json!({"StreamName": "clicks", "TagKeys": ["a"]}));
    let page = endpoint.ok("ListTagsForStream", json!({"StreamName": "clicks", "Limit": 1}));
    assert_eq!(page, json!({"Tags": [{"Key": "b", "Value": "2"}], "HasMoreTags": true}));
    let rest = endpoint.ok("ListTagsForStream", json!({"StreamName": "clicks", "ExclusiveStartTagKey": "b"}));
    assert_eq!(rest, json!({"Tags": [{"Key": "c", "Value": "3"}], "HasMoreTags": false}));
    let many: serde_json::Map<String, Value> = (0..51).map(|index| (format!("k{index}"), json!(""))).collect();
    let refused = endpoint.ask("AddTagsToStream", json!({"StreamName": "clicks", "Tags": many}));
    assert!(refused.error().2.contains("cannot have more than 50 tags associated with it."), "{}", refused.text());
    endpoint.stop();
}
