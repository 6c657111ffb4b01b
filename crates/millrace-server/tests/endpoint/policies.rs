//! Resource policies of streams, consumers and queues.

use serde_json::{Value, json};

use super::client::{Endpoint, unlimited};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";

fn policy(action: &str) -> String {
    let statement =
        json!({"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": action, "Resource": STREAM});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn told(endpoint: &Endpoint, arn: &str) -> Value {
    endpoint.ok("GetResourcePolicy", json!({"ResourceARN": arn}))["Policy"].clone()
}

fn refusal(endpoint: &Endpoint, operation: &str, body: Value) -> (String, String) {
    let (status, name, message) = endpoint.ask(operation, body).error();
    assert_eq!(status, 400, "{name}: {message}");
    (name, message)
}

#[test]
fn a_policy_is_told_as_it_was_put_until_it_is_deleted_and_survives_a_restart() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let mode = json!({"StreamARN": STREAM, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    endpoint.ok("UpdateStreamMode", mode);
    let registered = endpoint.ok("RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "counter"}));
    let consumer = registered["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned();
    let queue = json!({"QueueName": "work", "StreamConfigurationList": [{"StreamARN": STREAM}]});
    let queue = endpoint.ok("CreateQueue", queue)["QueueDescription"]["QueueARN"].as_str().expect("an ARN").to_owned();
    let arns = [STREAM, &consumer, &queue];
    for arn in arns {
        assert_eq!(told(&endpoint, arn), json!("{}"), "there is none yet");
        for action in ["kinesis:PutRecord", "kinesis:GetRecords"] {
            endpoint.ok("PutResourcePolicy", json!({"ResourceARN": arn, "Policy": policy(action)}));
            assert_eq!(told(&endpoint, arn), json!(policy(action)));
        }
    }
    let endpoint = Endpoint::on(endpoint.stop(), unlimited());
    for arn in arns {
        assert_eq!(told(&endpoint, arn), json!(policy("kinesis:GetRecords")));
        endpoint.ok("DeleteResourcePolicy", json!({"ResourceARN": arn}));
        assert_eq!(told(&endpoint, arn), json!("{}"));
        let second = refusal(&endpoint, "DeleteResourcePolicy", json!({"ResourceARN": arn}));
        let message = format!("No resource policy found for resource ARN {arn}.");
        assert_eq!(second, ("ResourceNotFoundException".to_owned(), message));
    }
    endpoint.stop();
}

#[test]
fn what_is_no_policy_and_what_is_no_resource_is_refused() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let put = |arn: &str, policy: &str| {
        refusal(&endpoint, "PutResourcePolicy", json!({"ResourceARN": arn, "Policy": policy}))
    };
    let long = format!("{}{}", policy("kinesis:PutRecord"), " ".repeat(20_480));
    for (policy, expected) in
        [("allow everybody", "in JSON"), ("{}", "at least one Statement"), (&long, "at most 20480 bytes")]
    {
        let (name, message) = put(STREAM, policy);
        assert_eq!(name, "InvalidArgumentException");
        assert!(message.contains(expected), "expected {expected:?} in {message:?}");
    }
    let good = policy("kinesis:PutRecord");
    for arn in [
        "arn:aws:kinesis:us-east-1:000000000000:stream/missing",
        "arn:aws:kinesis:us-east-1:000000000000:stream/clicks/consumer/nobody:1700000000",
        "arn:aws:kinesis:us-east-1:000000000000:queue/missing",
        "arn:aws:kinesis:us-east-1:123456789012:stream/clicks",
    ] {
        assert_eq!(put(arn, &good).0, "ResourceNotFoundException", "{arn}");
    }
    assert_eq!(put("clicks", &good).0, "ValidationException");
    endpoint.stop();
}
