//! What clients of Kinesis call beside it on the same endpoint: CloudWatch's PutMetricData in its three protocols, and
//! STS' GetCallerIdentity.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_server::{Bounds, Credential, Credentials, ServerOptions};
use serde_json::json;

use super::client::{Ask, Endpoint, Reply, SIGNED, unlimited};

const MODEL: &str = "GraniteServiceVersion20100801";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fn signed(ask: Ask, service: &str) -> Ask {
    ask.with("x-amz-date", "20260101T000000Z")
        .with("authorization", &SIGNED.replace("/kinesis/", &format!("/{service}/")))
}

fn in_json(operation: &str, body: &serde_json::Value) -> Ask {
    let ask = Ask { body: body.to_string().into_bytes(), ..Ask::bare("POST", "/") };
    let ask =
        ask.with("content-type", "application/x-amz-json-1.0").with("x-amz-target", &format!("{MODEL}.{operation}"));
    signed(ask, "monitoring")
}

fn in_cbor(operation: &str, body: Vec<u8>) -> Ask {
    let ask = Ask { body, ..Ask::bare("POST", &format!("/service/{MODEL}/operation/{operation}")) };
    signed(ask.with("content-type", "application/cbor").with("smithy-protocol", "rpc-v2-cbor"), "monitoring")
}

fn in_a_form(service: &str, body: &str) -> Ask {
    signed(Ask { body: body.as_bytes().to_vec(), ..Ask::bare("POST", "/") }.with("content-type", FORM), service)
}

fn metrics(endpoint: &Endpoint) -> String {
    endpoint.send(&Ask::bare("GET", "/metrics")).text()
}

fn is_error(reply: &Reply, status: u16, code: &str, name: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(
        reply.header("x-amzn-query-error").is_some_and(|header| header.starts_with(&format!("{code};"))),
        "{reply:?}"
    );
    assert!(reply.text().contains(&format!("com.amazonaws.cloudwatch#{name}")), "{}", reply.text());
}

#[test]
fn metrics_arrive_in_each_protocol_and_are_told() {
    let endpoint = Endpoint::start();
    let body = json!({"Namespace": "App", "MetricData": [
        {"MetricName": "Clicks", "Value": 2, "Unit": "Count", "Dimensions": [{"Name": "Stream", "Value": "a\"b"}]},
    ]});
    let reply = endpoint.send(&in_json("PutMetricData", &body));
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    let cbor = b"\xbf\x69Namespace\x63App\x6aMetricData\x81\xa4\x6aMetricName\x66Clicks\x65Value\xfb\x40\x08\0\0\0\0\0\0\x64Unit\x65Count\x6aDimensions\x81\xa2\x64Name\x66Stream\x65Value\x63a\"b\xff";
    let reply = endpoint.send(&in_cbor("PutMetricData", cbor.to_vec()));
    assert_eq!((reply.status, reply.header("smithy-protocol"), reply.text().as_str()), (200, Some("rpc-v2-cbor"), ""));
    let form = "Action=PutMetricData&Version=2010-08-01&Namespace=App&MetricData.member.1.MetricName=Clicks\
                &MetricData.member.1.Unit=Count&MetricData.member.1.Dimensions.member.1.Name=Stream\
                &MetricData.member.1.Dimensions.member.1.Value=a%22b&MetricData.member.1.StatisticValues.SampleCount=2\
                &MetricData.member.1.StatisticValues.Sum=5.5&MetricData.member.1.StatisticValues.Minimum=-1\
                &MetricData.member.1.StatisticValues.Maximum=6.5";
    let reply = endpoint.send(&in_a_form("monitoring", form));
    let id = reply.header("x-amzn-requestid").expect("a number");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.text(),
        format!(
            "<PutMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ResponseMetadata>\
             <RequestId>{id}</RequestId></ResponseMetadata></PutMetricDataResponse>"
        )
    );
    let text = metrics(&endpoint);
    let labels = r#"{namespace="App",name="Clicks",unit="Count",dimensions="Stream=a\"b"}"#;
    for line in [
        format!("millrace_custom_metric_sum{labels} 10.5"),
        format!("millrace_custom_metric_count{labels} 4"),
        format!("millrace_custom_metric_min{labels} -1"),
        format!("millrace_custom_metric_max{labels} 6.5"),
        r#"millrace_server_requests_total{service="monitoring",operation="PutMetricData",outcome="success"} 3"#
            .to_owned(),
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    endpoint.stop();
}

#[test]
fn what_is_wrong_is_told_in_the_protocol_of_the_request() {
    let endpoint = Endpoint::start();
    let nameless = json!({"MetricData": [{"MetricName": "a", "Value": 1}]});
    let missing = ("MissingParameter", "MissingRequiredParameterException");
    is_error(&endpoint.send(&in_json("PutMetricData", &nameless)), 400, missing.0, missing.1);
    is_error(&endpoint.send(&in_cbor("PutMetricData", b"\xa0".to_vec())), 400, missing.0, missing.1);
    is_error(
        &endpoint.send(&in_cbor("PutMetricData", b"\x01".to_vec())),
        400,
        "MalformedInput",
        "SerializationException",
    );
    let unknown = endpoint.send(&in_json("GetMetricData", &json!({})));
    is_error(&unknown, 400, "InvalidAction", "UnknownOperationException");
    assert!(unknown.text().contains("does not do the operation GetMetricData of CloudWatch"), "{}", unknown.text());
    is_error(
        &endpoint.send(&in_cbor("ListMetrics", b"\xa0".to_vec())),
        400,
        "InvalidAction",
        "UnknownOperationException",
    );
    for (body, code) in [
        ("Action=PutMetricData&Version=2010-08-01", "MissingParameter"),
        ("Action=PutMetricData", "MissingParameter"),
        ("Action=PutMetricData&Version=2010-08-01&Namespace=App&MetricData.member.1.Value=x", "InvalidParameterValue"),
        ("Action=ListMetrics&Version=2010-08-01", "InvalidAction"),
        ("Action=AssumeRole&Version=2011-06-15", "InvalidAction"),
        ("Action=ListQueues&Version=2012-11-05", "InvalidParameterValue"),
    ] {
        let reply = endpoint.send(&in_a_form("monitoring", body));
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.text().contains(&format!("<Type>Sender</Type><Code>{code}</Code>")), "{body}: {}", reply.text());
    }
    assert!(!metrics(&endpoint).contains("millrace_custom_metric"), "nothing was put");
    endpoint.stop();
}

#[test]
fn a_signature_is_wanted_by_each_and_must_be_for_it() {
    let listed = vec![Credential::new("AKID".to_owned(), "secret".to_owned(), None)];
    let bounds = Bounds { body_bytes: 4_096, ..Bounds::default() };
    let closed = Endpoint::with(ServerOptions { credentials: Credentials::Listed(listed), bounds, ..unlimited() });
    let identity = "Action=GetCallerIdentity&Version=2011-06-15";
    let known = |ask: Ask, service: &str| {
        signed(ask.without("authorization").without("x-amz-date"), service)
            .without("authorization")
            .with("authorization", &SIGNED.replace("/kinesis/", &format!("/{service}/")).replace("=a/", "=AKID/"))
    };
    let (form, json, cbor) =
        (in_a_form("sts", identity), in_json("PutMetricData", &json!({})), in_cbor("PutMetricData", b"\xa0".to_vec()));
    let unsigned = closed.send(&form.clone().without("authorization"));
    assert_eq!(unsigned.status, 403);
    assert!(unsigned.text().contains("<Code>MissingAuthenticationToken</Code>"), "{}", unsigned.text());
    assert!(closed.send(&form).text().contains("<Code>InvalidClientTokenId</Code>"));
    is_error(&closed.send(&json), 403, "InvalidClientTokenId", "UnrecognizedClientException");
    for ask in [form, json.clone(), cbor.clone()] {
        let text = closed.send(&known(ask, "kinesis")).text();
        assert!(text.contains("Credential should be scoped to correct service: "), "{text}");
    }
    is_error(&closed.send(&known(cbor, "monitoring")), 403, "SignatureDoesNotMatch", "InvalidSignatureException");
    let long = Ask { body: vec![b' '; 5_000], ..json };
    is_error(&closed.send(&long), 413, "RequestEntityTooLarge", "RequestEntityTooLargeException");
    closed.stop();
}

#[test]
fn a_body_that_is_too_long_is_refused_in_the_words_of_the_service_that_it_is_for() {
    let bounds = Bounds { body_bytes: 4_096, ..Bounds::default() };
    let endpoint = Endpoint::with(ServerOptions { bounds, ..unlimited() });
    let refusal = |ask: Ask| {
        let reply = endpoint.send(&Ask { body: vec![b' '; 5_000], ..ask });
        assert_eq!(reply.status, 413, "{}", reply.text());
        reply
    };
    let of_dynamodb = Ask::operation("PutItem", &json!({})).without("x-amz-target");
    let of_dynamodb = of_dynamodb.with("x-amz-target", "DynamoDB_20120810.PutItem");
    let told = refusal(of_dynamodb).text();
    assert!(told.contains("\"com.amazon.coral.service#RequestEntityTooLargeException\""), "{told}");
    let told = refusal(in_a_form("sts", "")).text();
    assert!(told.contains("<Code>RequestEntityTooLarge</Code>"), "{told}");
    is_error(
        &refusal(in_json("PutMetricData", &json!({}))),
        413,
        "RequestEntityTooLarge",
        "RequestEntityTooLargeException",
    );
    assert_eq!(refusal(Ask::operation("ListStreams", &json!({}))).error().1, "RequestEntityTooLargeException");
    endpoint.stop();
}

#[test]
fn whoever_calls_is_told_who_that_is() {
    let endpoint = Endpoint::with(ServerOptions { account: "123456789012".to_owned(), ..unlimited() });
    let reply = endpoint.send(&in_a_form("sts", "Action=GetCallerIdentity&Version=2011-06-15"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/xml")));
    let text = reply.text();
    assert!(text.contains(
        "<Arn>arn:aws:iam::123456789012:root</Arn><UserId>123456789012</UserId><Account>123456789012</Account>"
    ));
    endpoint.stop();
}

#[test]
fn bodies_may_be_compressed() {
    let endpoint = Endpoint::start();
    let plain = "Action=PutMetricData&Version=2010-08-01&Namespace=App&MetricData.member.1.MetricName=a&MetricData.member.1.Value=1";
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain.as_bytes()).expect("compressed");
    let body = encoder.finish().expect("compressed");
    let ask = Ask { body, ..in_a_form("monitoring", "") }.with("content-encoding", "gzip");
    assert_eq!(endpoint.send(&ask).status, 200);
    assert!(metrics(&endpoint).contains("millrace_custom_metric_series 1\n"));
    endpoint.stop();
}
