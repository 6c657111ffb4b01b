use super::*;
use crate::encode;

fn read(operation: &str, format: Format, body: &[u8]) -> Result<Structure, ServiceError> {
    decode(Schema::get().operation(operation).expect("an operation of the model"), format, body)
}

fn refused(operation: &str, body: &str) -> Option<String> {
    let error = read(operation, Format::Json, body.as_bytes()).expect_err("a body of another type");
    assert_eq!(error.name, ErrorName::Serialization);
    error.message
}

#[test]
fn values_of_another_type_are_refused_in_the_recorded_words() {
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    let cases = [
        ("PutRecord", r#"{"StreamName":true}"#, "class java.lang.Boolean can not be converted to an String".to_owned()),
        ("PutRecord", r#"{"StreamName":23}"#, format!("{number} an String")),
        ("PutRecord", r#"{"StreamName":[]}"#, "Start of list found where not expected".to_owned()),
        ("PutRecord", r#"{"StreamName":{}}"#, "Start of structure or map found where not expected.".to_owned()),
        ("PutRecord", r#"{"Data":23}"#, format!("{number} a Blob")),
        (
            "PutRecord",
            r#"{"Data":"abc"}"#,
            "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3"
                .to_owned(),
        ),
        (
            "PutRecord",
            r#"{"Data":"=a=="}"#,
            "'=a==' can not be converted to a Blob: Invalid Base64 character: '='".to_owned(),
        ),
        (
            "PutRecord",
            r#"{"Data":"YWJ="}"#,
            "'YWJ=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".to_owned(),
        ),
        ("PutRecords", r#"{"Records":"a"}"#, "Expected list or null".to_owned()),
        ("PutRecords", r#"{"Records":{}}"#, "Start of structure or map found where not expected.".to_owned()),
        ("PutRecords", r#"{"Records":[1]}"#, "Expected null".to_owned()),
        ("PutRecords", r#"{"Records":[[]]}"#, "Start of list found where not expected".to_owned()),
        ("AddTagsToStream", r#"{"Tags":"a"}"#, "Expected map or null".to_owned()),
        ("CreateStream", r#"{"ShardCount":"1"}"#, "class java.lang.String can not be converted to an Integer".to_owned()),
        (
            "GetShardIterator",
            r#"{"Timestamp":"1"}"#,
            "class java.lang.String can not be converted to milliseconds since epoch".to_owned(),
        ),
        ("DeleteStream", r#"{"EnforceConsumerDeletion":"maybe"}"#, "'MAYBE' can not be converted to an Boolean".to_owned()),
    ];
    for (operation, body, expected) in cases {
        assert_eq!(refused(operation, body), Some(expected), "{body}");
    }
}

#[test]
fn a_body_that_is_not_of_its_format_is_refused_without_a_message() {
    for body in ["", "{", "[]", "null", "\"a\"", "{} {}", "{\"StreamName\":\"\u{1}\"}", "{\"a\":1,}"] {
        let message = refused("DeleteStream", body);
        let of_another_type =
            message.as_deref().is_some_and(|text| text.starts_with("Start of list") || text == "Expected null");
        assert!(message.is_none() || of_another_type, "{body}: {message:?}");
    }
    for body in [
        &b""[..],
        b"\xbf",
        b"\xa1\x61a",
        b"\xa1\x01\x01",
        b"\xff",
        b"\xa0\xa0",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let error = read("DeleteStream", Format::Cbor, body).expect_err("no request");
        assert_eq!(error.name, ErrorName::Serialization, "{body:?}");
    }
}

#[test]
fn numbers_are_cut_to_their_width() {
    let shards = |number: &str| {
        let body = format!(r#"{{"ShardCount":{number}}}"#);
        read("CreateStream", Format::Json, body.as_bytes()).expect("a number").integer("ShardCount")
    };
    assert_eq!(shards("34.56"), Some(34));
    assert_eq!(shards("100000000000"), Some(i64::from(i32::MAX)));
    assert_eq!(shards("1e300"), Some(i64::from(i32::MAX)));
    assert_eq!(shards("-99999999999999999999"), Some(i64::from(i32::MIN)));
}

#[test]
fn times_are_seconds_in_json_and_milliseconds_in_cbor() {
    let json = read("GetShardIterator", Format::Json, br#"{"Timestamp":1459799926.480}"#).expect("a time");
    assert_eq!(json.timestamp("Timestamp"), Some(1_459_799_926_480));
    let tagged = b"\xbf\x69Timestamp\xc1\x1b\x00\x00\x01\x53\xe2\xe6\xb9\x90\xff";
    let cbor = read("GetShardIterator", Format::Cbor, tagged).expect("a time");
    assert_eq!(cbor.timestamp("Timestamp"), Some(0x0153_e2e6_b990));
}

#[test]
fn unknown_members_and_nulls_are_passed_over() {
    let json = br#"{"StreamName":"a","Unknown":{"deep":[1,{"x":null}]},"StreamARN":null}"#;
    assert_eq!(read("DeleteStream", Format::Json, json), Ok(Structure::new().with("StreamName", "a")));
    let cbor = b"\xbf\x6aStreamName\x61a\x67Unknown\xbf\x61x\x9f\x01\xc1\x02\x7f\x61b\xff\xff\xff\x69StreamARN\xf6\xff";
    assert_eq!(read("DeleteStream", Format::Cbor, cbor), Ok(Structure::new().with("StreamName", "a")));
}

#[test]
fn deep_and_wide_bodies_are_refused_and_cost_no_stack() {
    let deep = [b"{\"Unknown\":".to_vec(), vec![b'['; 100_000]].concat();
    assert!(read("DeleteStream", Format::Json, &deep).is_err());
    let deep = [b"\xa1\x61a".to_vec(), vec![0x81; 100_000]].concat();
    assert!(read("DeleteStream", Format::Cbor, &deep).is_err());
    let wide = format!(r#"{{"Records":[{}]}}"#, vec!["{}"; VALUES_MAX + 1].join(","));
    assert!(refused("PutRecords", &wide).is_some_and(|message| message.contains("at most")));
    // A length that the body does not have must not be set aside.
    let liar = b"\xa1\x64Data\x5b\x00\x00\x00\xff\xff\xff\xff\xff";
    assert!(read("PutRecord", Format::Cbor, liar).is_err());
}

#[test]
fn what_was_encoded_is_read_back() {
    let entry = Structure::new()
        .with("Data", Value::Blob((0..=255).collect()))
        .with("PartitionKey", "schlüssel \"\\\u{1f600}\n");
    let request = Structure::new().with("StreamName", "a").with("Records", [entry].into_iter().collect::<Value>());
    for format in [Format::Json, Format::Cbor] {
        let body = encode(format, &Value::Structure(request.clone()));
        assert_eq!(read("PutRecords", format, &body), Ok(request.clone()), "{format:?}");
    }
}

#[test]
fn a_content_type_names_its_format() {
    assert_eq!(Format::of_content_type("application/x-amz-json-1.1; charset=utf-8"), Some(Format::Json));
    assert_eq!(Format::of_content_type("application/x-amz-cbor-1.1"), Some(Format::Cbor));
    assert_eq!(Format::of_content_type("text/plain"), None);
}
