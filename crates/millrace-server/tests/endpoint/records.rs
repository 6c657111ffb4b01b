//! Putting and getting.

use serde_json::{Value, json};

use super::client::{Ask, Endpoint, unlimited};

fn put(endpoint: &Endpoint, key: &str, data: &str) -> Value {
    endpoint.ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": key, "Data": data}))
}

#[test]
fn what_was_acknowledged_is_read_in_order_from_every_kind_of_iterator() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let entries: Vec<Value> =
        (0..3).map(|index| json!({"PartitionKey": format!("k{index}"), "Data": format!("AAA{index}")})).collect();
    let put = endpoint.ok("PutRecords", json!({"StreamName": "clicks", "Records": entries}));
    assert_eq!((&put["FailedRecordCount"], &put["EncryptionType"]), (&json!(0), &json!("NONE")));
    let numbers: Vec<&str> =
        put["Records"].as_array().expect("results").iter().filter_map(|it| it["SequenceNumber"].as_str()).collect();
    assert!(numbers.is_sorted() && numbers.len() == 3 && numbers[0].len() == 56, "{numbers:?}");
    let keys = |kind: &str, number: Option<&str>| {
        let mut body = json!({"StreamName": "clicks", "ShardId": "0", "ShardIteratorType": kind});
        if let Some(number) = number {
            body["StartingSequenceNumber"] = json!(number);
        }
        let iterator = endpoint.ok("GetShardIterator", body)["ShardIterator"].clone();
        let got = endpoint.ok("GetRecords", json!({"ShardIterator": iterator}));
        assert_eq!(got["MillisBehindLatest"], json!(0));
        let records = got["Records"].as_array().expect("records").clone();
        records.iter().map(|it| it["PartitionKey"].as_str().expect("a key").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys("TRIM_HORIZON", None), ["k0", "k1", "k2"]);
    assert_eq!(keys("AT_SEQUENCE_NUMBER", Some(numbers[1])), ["k1", "k2"]);
    assert_eq!(keys("AFTER_SEQUENCE_NUMBER", Some(numbers[1])), ["k2"]);
    assert!(keys("LATEST", None).is_empty());
    endpoint.stop();
}

#[test]
fn an_iterator_goes_on_where_the_last_one_ended() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 2);
    let latest = json!({"StreamName": "clicks", "ShardId": "shardId-000000000001", "ShardIteratorType": "LATEST"});
    let mut iterator = endpoint.ok("GetShardIterator", latest)["ShardIterator"].clone();
    let mut seen = Vec::new();
    for round in 0..4 {
        // One shard is silent half of the time, while the other one gets records.
        for index in 0..20 {
            put(&endpoint, &format!("{round}-{index}"), "AAAA");
        }
        for _ in 0..2 {
            let got = endpoint.ok("GetRecords", json!({"ShardIterator": iterator, "Limit": 7}));
            iterator = got["NextShardIterator"].clone();
            seen.extend(got["Records"].as_array().expect("records").iter().map(|it| it["PartitionKey"].clone()));
        }
    }
    while let Some(records) =
        Some(endpoint.ok("GetRecords", json!({"ShardIterator": iterator}))).filter(|it| it["Records"] != json!([]))
    {
        iterator = records["NextShardIterator"].clone();
        seen.extend(records["Records"].as_array().expect("records").iter().map(|it| it["PartitionKey"].clone()));
    }
    let whole = endpoint.iterator("clicks", "1");
    let all = endpoint.ok("GetRecords", json!({"ShardIterator": whole}));
    let all: Vec<Value> =
        all["Records"].as_array().expect("records").iter().map(|it| it["PartitionKey"].clone()).collect();
    assert!(all.len() > 20, "{}", all.len());
    assert_eq!(seen, all);
    endpoint.stop();
}

#[test]
fn an_iterator_outlives_a_restart() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    put(&endpoint, "before", "AAAA");
    let iterator = endpoint.iterator("clicks", "0");
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": iterator}));
    let next = got["NextShardIterator"].clone();
    let endpoint = Endpoint::on(endpoint.stop(), unlimited());
    put(&endpoint, "after", "AAAA");
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": next}));
    assert_eq!(got["Records"][0]["PartitionKey"], json!("after"));
    assert_eq!(got["Records"].as_array().map(Vec::len), Some(1));
    endpoint.stop();
}

#[test]
fn an_iterator_of_a_deleted_stream_is_of_no_use_with_its_successor() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let iterator = endpoint.iterator("clicks", "0");
    let missing = (
        400,
        "ResourceNotFoundException".to_owned(),
        "Shard shardId-000000000000 in stream clicks under account 000000000000 does not exist".to_owned(),
    );
    endpoint.ok("DeleteStream", json!({"StreamName": "clicks"}));
    assert_eq!(endpoint.ask("GetRecords", json!({"ShardIterator": iterator})).error(), missing);
    endpoint.create("clicks", 1);
    assert_eq!(endpoint.ask("GetRecords", json!({"ShardIterator": iterator})).error(), missing);
    endpoint.stop();
}

#[test]
fn arguments_that_the_model_allows_are_refused_in_the_service_s_words() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 2);
    let number = endpoint
        .ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "0"}));
    let number = number["SequenceNumber"].clone();
    let iterator = |change: Value| {
        let mut body = json!({"StreamName": "clicks", "ShardId": "0", "ShardIteratorType": "AT_SEQUENCE_NUMBER"});
        for (name, value) in change.as_object().expect("members") {
            body[name] = value.clone();
        }
        endpoint.ask("GetShardIterator", body).error()
    };
    let argument = "InvalidArgumentException";
    for (change, name, part) in [
        (json!({}), argument, "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        (
            json!({"ShardIteratorType": "LATEST", "StartingSequenceNumber": "1"}),
            argument,
            "Request specified LATEST and also a StartingSequenceNumber.",
        ),
        (
            json!({"ShardId": "1", "StartingSequenceNumber": number}),
            argument,
            "Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a shard with \
             shardId-000000000001",
        ),
        (json!({"StartingSequenceNumber": "7"}), argument, "is invalid because it did not come from this stream."),
        (json!({"ShardIteratorType": "AT_TIMESTAMP"}), argument, "Must specify timestampInMillis parameter"),
        (
            json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 99_999_999_999_u64}),
            argument,
            "cannot be greater than the currentTimestampInMillis. timestampInMillis: 99999999999000,",
        ),
        (
            json!({"ShardId": "shardId-7"}),
            "ResourceNotFoundException",
            "Shard shardId-000000000007 in stream clicks under account 000000000000 does not exist",
        ),
        (
            json!({"ShardId": "seven"}),
            "ResourceNotFoundException",
            "Could not find shard seven in stream clicks under account 000000000000.",
        ),
    ] {
        let (status, type_of, message) = iterator(change.clone());
        assert_eq!((status, type_of.as_str()), (400, name), "{change}");
        assert!(message.contains(part), "{change}: {message}");
    }
    let put = |body: Value| endpoint.ask("PutRecords", body).error();
    let large = json!({"StreamName": "clicks", "Records": [{"PartitionKey": "k", "Data": "", "ExplicitHashKey": "9".repeat(39)}]});
    assert!(put(large).2.starts_with("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."));
    let keyless = json!({"StreamName": "clicks", "Records": [{"Data": ""}]});
    assert!(
        put(keyless)
            .2
            .contains("'records.1.member.partitionKey' failed to satisfy constraint: Member must not be null")
    );
    assert_eq!(
        put(json!({"StreamName": "gone", "Records": [{"PartitionKey": "k", "Data": ""}]})).2,
        "Stream gone under account 000000000000 not found."
    );
    let rehearsal = json!({"StreamName": "clicks", "DryRun": true, "Records": [{"PartitionKey": "k", "Data": "AAAA"}]});
    assert_eq!(put(rehearsal).1, "DryRunOperationException");
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": endpoint.iterator("clicks", "0")}));
    assert_eq!(got["Records"].as_array().map(Vec::len), Some(1), "nothing of what was refused was written");
    endpoint.stop();
}

#[test]
fn cbor_goes_both_ways_with_byte_strings_and_tagged_milliseconds() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let content_type = "application/x-amz-cbor-1.1";
    // {"StreamName": "clicks", "PartitionKey": "k", "Data": h'00ff10'}, in a map of unknown length.
    let body = b"\xbf\x6aStreamName\x66clicks\x6cPartitionKey\x61k\x64Data\x43\x00\xff\x10\xff".to_vec();
    let reply = endpoint.send(&Ask::encoded("PutRecord", content_type, body));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
    let iterator = endpoint.iterator("clicks", "0");
    let mut body = b"\xa1\x6dShardIterator\x79".to_vec();
    body.extend_from_slice(&u16::try_from(iterator.len()).expect("short").to_be_bytes());
    body.extend_from_slice(iterator.as_bytes());
    let reply = endpoint.send(&Ask::encoded("GetRecords", content_type, body));
    let has = |part: &[u8]| reply.body.windows(part.len()).any(|window| window == part);
    assert!(has(b"\x64Data\x43\x00\xff\x10"), "{:?}", reply.body);
    assert!(has(b"\x78\x1bApproximateArrivalTimestamp\xc1\x1b"), "{:?}", reply.body);
    let reply = endpoint.send(&Ask::encoded("GetRecords", content_type, b"\xa0".to_vec()));
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, Some("ValidationException")));
    assert!(reply.body.starts_with(b"\xbf\x66__type\x73ValidationException"));
    endpoint.stop();
}
