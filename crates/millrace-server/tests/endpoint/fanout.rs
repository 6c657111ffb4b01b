//! Registered consumers and what is pushed to them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Ask, Endpoint};

/// A subscription as it is read from its connection.
struct Pushed {
    reader: BufReader<TcpStream>,
    left: Vec<u8>,
}

impl Pushed {
    /// Subscribes; the answer's head has come when this returns.
    fn open(endpoint: &Endpoint, body: &Value) -> Pushed {
        let mut stream = TcpStream::connect(endpoint.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        let ask = Ask::operation("SubscribeToShard", body);
        stream.write_all(&ask.head()).and_then(|()| stream.write_all(&ask.body)).expect("the request is sent");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a line") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/vnd.amazon.eventstream"), "{head}");
        Pushed { reader, left: Vec::new() }
    }

    /// The next message: its type, and its payload. None at the end of the stream.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(length) = self.left.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize)
                && self.left.len() >= length
            {
                let message: Vec<u8> = self.left.drain(..length).collect();
                return Some(parsed(&message));
            }
            let mut size = String::new();
            self.reader.read_line(&mut size).expect("the length of a piece");
            let size = usize::from_str_radix(size.trim(), 16).expect("a length");
            let mut piece = vec![0; size + 2];
            self.reader.read_exact(&mut piece).expect("a piece");
            if size == 0 {
                return None;
            }
            self.left.extend_from_slice(&piece[..size]);
        }
    }

    /// The next event that has records.
    fn records(&mut self) -> Vec<Value> {
        loop {
            let (kind, event) = self.next().expect("an event");
            assert_eq!(kind, "SubscribeToShardEvent");
            let records = event["Records"].as_array().expect("records").clone();
            if !records.is_empty() {
                return records;
            }
        }
    }
}

/// The value of the header that names the message, and the payload.
fn parsed(message: &[u8]) -> (String, Value) {
    let headers = u32::from_be_bytes(*message[4..].first_chunk().expect("a length")) as usize;
    let (headers, rest) = message[12..].split_at(headers);
    let text = String::from_utf8_lossy(headers);
    let name = [":event-type", ":exception-type"].into_iter().find_map(|name| text.split_once(name));
    let value = name.expect("a message with a name").1.as_bytes();
    let length = usize::from(u16::from_be_bytes([value[1], value[2]]));
    let payload = serde_json::from_slice(&rest[..rest.len() - 4]).expect("JSON");
    (String::from_utf8_lossy(&value[3..3 + length]).into_owned(), payload)
}

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";

fn register(endpoint: &Endpoint, name: &str) -> String {
    let registered = endpoint.ok("RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": name}));
    registered["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned()
}

fn position(arn: &str, kind: &str) -> Value {
    json!({"ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": kind}})
}

fn put(endpoint: &Endpoint, key: &str) {
    endpoint.ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": key, "Data": "AAAA"}));
}

#[test]
fn a_consumer_is_registered_once_and_found_by_each_of_its_names() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let arn = register(&endpoint, "counter");
    assert!(arn.starts_with(&format!("{STREAM}/consumer/counter:")), "{arn}");
    let again = endpoint.ask("RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "counter"}));
    assert_eq!(again.error().1, "ResourceInUseException");
    for names in [json!({"ConsumerARN": arn}), json!({"StreamARN": STREAM, "ConsumerName": "counter"})] {
        let told = endpoint.ok("DescribeStreamConsumer", names);
        assert_eq!(told["ConsumerDescription"]["ConsumerARN"], json!(arn));
        assert_eq!(told["ConsumerDescription"]["ConsumerStatus"], json!("ACTIVE"));
    }
    register(&endpoint, "auditor");
    let first = endpoint.ok("ListStreamConsumers", json!({"StreamARN": STREAM, "MaxResults": 1}));
    let next = json!({"StreamARN": STREAM, "NextToken": first["NextToken"]});
    let second = endpoint.ok("ListStreamConsumers", next);
    assert_eq!(
        (&first["Consumers"][0]["ConsumerName"], &second["Consumers"][0]["ConsumerName"]),
        (&json!("auditor"), &json!("counter"))
    );
    let summary = endpoint.ok("DescribeStreamSummary", json!({"StreamARN": STREAM}));
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], json!(2));
    let refused = endpoint.ask("DeleteStream", json!({"StreamName": "clicks"}));
    assert_eq!(refused.error().1, "ResourceInUseException", "a stream with consumers");
    endpoint.ok("DeregisterStreamConsumer", json!({"ConsumerARN": arn}));
    let gone = endpoint.ask("DescribeStreamConsumer", json!({"ConsumerARN": arn})).error();
    assert_eq!((gone.0, gone.1.as_str()), (400, "ResourceNotFoundException"));
    endpoint.ok("DeleteStream", json!({"StreamName": "clicks", "EnforceConsumerDeletion": true}));
    endpoint.stop();
}

#[test]
fn records_are_pushed_as_they_come_and_a_continuation_goes_on_behind_them() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let (one, other) = (register(&endpoint, "one"), register(&endpoint, "other"));
    put(&endpoint, "before");
    let mut pushed = Pushed::open(&endpoint, &position(&one, "TRIM_HORIZON"));
    assert_eq!(pushed.next(), Some(("initial-response".to_owned(), json!({}))));
    let (kind, event) = pushed.next().expect("an event");
    assert_eq!((kind.as_str(), &event["Records"][0]["PartitionKey"]), ("SubscribeToShardEvent", &json!("before")));
    assert_eq!(event["MillisBehindLatest"], json!(0));
    put(&endpoint, "after");
    assert_eq!(pushed.records()[0]["PartitionKey"], json!("after"));
    let mut from = position(&other, "AFTER_SEQUENCE_NUMBER");
    from["StartingPosition"]["SequenceNumber"] = event["ContinuationSequenceNumber"].clone();
    let mut later = Pushed::open(&endpoint, &from);
    later.next();
    assert_eq!(later.records()[0]["PartitionKey"], json!("after"));
    drop((pushed, later));
    endpoint.stop();
}

/// The Kinesis Client Library, Flink and Beam take a missing continuation for the end, and refuse an event that has both.
#[test]
fn the_event_at_the_end_of_a_shard_has_its_children_and_no_continuation() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let arn = register(&endpoint, "counter");
    put(&endpoint, "last");
    let middle = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "clicks", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": middle});
    endpoint.ok("SplitShard", split);
    let mut pushed = Pushed::open(&endpoint, &position(&arn, "TRIM_HORIZON"));
    let events: Vec<Value> = std::iter::from_fn(|| pushed.next()).skip(1).map(|(_, event)| event).collect();
    let (end, before) = events.split_last().expect("an event at the end");
    assert_eq!(end["ChildShards"].as_array().map(Vec::len), Some(2), "{end}");
    assert_eq!(end.get("ContinuationSequenceNumber"), None, "{end}");
    for event in before {
        assert!(event["ContinuationSequenceNumber"].is_string() && event.get("ChildShards").is_none(), "{event}");
    }
    endpoint.stop();
}

#[test]
fn a_second_subscription_is_refused_while_the_first_is_young() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let arn = register(&endpoint, "counter");
    let pushed = Pushed::open(&endpoint, &position(&arn, "LATEST"));
    let second = endpoint.ask("SubscribeToShard", position(&arn, "LATEST"));
    assert_eq!(second.error().1, "ResourceInUseException");
    let unknown = endpoint.ask("SubscribeToShard", position(&arn.replace("counter", "nobody"), "LATEST"));
    assert_eq!(unknown.error().1, "ResourceNotFoundException");
    drop(pushed);
    endpoint.stop();
}

#[test]
fn a_subscription_is_told_that_its_consumer_or_its_server_is_gone() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let (one, other) = (register(&endpoint, "one"), register(&endpoint, "other"));
    let mut deregistered = Pushed::open(&endpoint, &position(&one, "LATEST"));
    let mut stopped = Pushed::open(&endpoint, &position(&other, "LATEST"));
    for pushed in [&mut deregistered, &mut stopped] {
        assert_eq!(pushed.next().map(|(name, _)| name).as_deref(), Some("initial-response"));
        assert_eq!(pushed.next().map(|(name, _)| name).as_deref(), Some("SubscribeToShardEvent"));
    }
    endpoint.ok("DeregisterStreamConsumer", json!({"ConsumerARN": one}));
    assert_eq!(deregistered.next().map(|(name, _)| name).as_deref(), Some("ResourceNotFoundException"));
    assert_eq!(deregistered.next(), None);
    endpoint.stop();
    assert_eq!(stopped.next(), None, "a server that stops ends its subscriptions");
}
