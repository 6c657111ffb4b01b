//! What is refused before an operation is asked, and what the door tells whoever watches.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_server::{Bounds, Credential, Credentials, ServerOptions, StartError};
use serde_json::json;

use super::client::{Ask, Endpoint, unlimited};

fn list() -> Ask {
    Ask::operation("ListStreams", &json!({}))
}

#[test]
fn odd_requests_get_the_odd_answers_of_the_service() {
    let endpoint = Endpoint::start();
    let denied = endpoint.send(&Ask::bare("PUT", "/"));
    assert_eq!(denied.status, 403);
    assert!(denied.text().contains("<Message>Unable to determine service/operation name to be authorized</Message>"));
    assert_eq!(endpoint.send(&Ask { body: b"{}".to_vec(), ..Ask::bare("POST", "/") }).status, 403);
    let unknown_type = list().without("content-type").with("content-type", "text/plain");
    let reply = endpoint.send(&unknown_type);
    assert_eq!((reply.status, reply.text().as_str()), (404, "<UnknownOperationException/>\n"));
    let plain = list().without("content-type").with("content-type", "application/json");
    let reply = endpoint.send(&plain);
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.text(),
        r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#
    );
    let reply = endpoint.ask("DropTable", json!({}));
    assert_eq!((reply.status, reply.text().as_str()), (400, r#"{"__type":"UnknownOperationException"}"#));
    let empty = Ask { body: Vec::new(), ..list() };
    assert_eq!(endpoint.send(&empty).text(), r#"{"__type":"SerializationException"}"#);
    let malformed = Ask { body: b"{".to_vec(), ..list() };
    assert_eq!(endpoint.send(&malformed).text(), r#"{"__type":"SerializationException"}"#);
    endpoint.stop();
}

#[test]
fn every_answer_has_its_numbers_and_its_checksum() {
    let endpoint = Endpoint::start();
    let reply = endpoint.send(&list());
    let id = reply.header("x-amzn-requestid").expect("a number").to_owned();
    assert_eq!((id.len(), id.matches('-').count()), (36, 4));
    let extended = reply.header("x-amz-id-2").expect("a longer number").len();
    assert!((64..=80).contains(&extended), "{extended}");
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &reply.body);
    assert_eq!(reply.header("x-amz-crc32"), Some(crc.to_string().as_str()));
    assert_ne!(endpoint.send(&list()).header("x-amzn-requestid"), Some(id.as_str()));
    endpoint.stop();
}

#[test]
fn browsers_are_told_what_they_may() {
    let endpoint = Endpoint::start();
    let preflight = Ask::bare("OPTIONS", "/")
        .with("origin", "http://example.com")
        .with("access-control-request-headers", "x-amz-target")
        .with("access-control-request-method", "POST");
    let reply = endpoint.send(&preflight);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-headers"), Some("x-amz-target"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("POST"));
    assert_eq!((reply.header("access-control-max-age"), reply.header("x-amz-id-2")), (Some("172800"), None));
    let reply = endpoint.send(&list().with("origin", "http://example.com"));
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("*")));
    assert!(reply.header("access-control-expose-headers").is_some_and(|names| names.contains("x-amzn-RequestId")));
    endpoint.stop();
}

#[test]
fn signatures_are_wanted_by_all_and_verified_where_there_are_credentials() {
    let unsigned = list().without("authorization");
    let open = Endpoint::start();
    assert_eq!(open.send(&list()).status, 200, "anybody may call");
    assert_eq!(open.send(&unsigned).error().1, "MissingAuthenticationTokenException");
    open.stop();
    let listed = vec![Credential::new("AKID".to_owned(), "secret".to_owned(), None)];
    let closed = Endpoint::with(ServerOptions { credentials: Credentials::Listed(listed), ..unlimited() });
    assert_eq!(closed.send(&list()).error().1, "UnrecognizedClientException");
    let known = list().without("authorization").with("authorization", &super::client::SIGNED.replace("=a/", "=AKID/"));
    let (status, name, message) = closed.send(&known).error();
    assert_eq!((status, name.as_str()), (400, "InvalidSignatureException"));
    assert!(message.starts_with("Signature expired: 20260101T000000Z is now earlier than"), "{message}");
    closed.stop();
}

#[test]
fn without_credentials_a_server_listens_on_loopback_alone() {
    let directory = tempfile::tempdir().expect("a folder");
    let engine = millrace::Engine::open(directory.path(), millrace::OpenOptions::default()).expect("a store");
    let options = ServerOptions { host: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0, ..unlimited() };
    let error = millrace_server::Server::start(std::sync::Arc::new(engine), options).expect_err("an open door");
    assert!(matches!(error, StartError::Options(_)), "{error:?}");
    assert!(error.to_string().contains("expected credentials for a server on 0.0.0.0"), "{error}");
}

#[test]
fn bodies_are_decompressed_and_bounded_before_and_after() {
    let bounds = Bounds { body_bytes: 4_096, ..Bounds::default() };
    let endpoint = Endpoint::with(ServerOptions { bounds, ..unlimited() });
    let gzip = |plain: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).expect("compressed");
        encoder.finish().expect("compressed")
    };
    let compressed = |body: Vec<u8>| Ask { body, ..list() }.with("content-encoding", "gzip");
    assert_eq!(endpoint.send(&compressed(gzip(b"{}"))).status, 200);
    assert_eq!(endpoint.send(&compressed(b"{}".to_vec())).error().1, "SerializationException");
    let bomb = endpoint.send(&compressed(gzip(&[b' '; 100_000])));
    assert_eq!((bomb.status, bomb.error().1.as_str()), (413, "RequestEntityTooLargeException"));
    let long = Ask { body: vec![b' '; 5_000], ..list() };
    assert_eq!(endpoint.send(&long).status, 413);
    let brotli = list().with("content-encoding", "br");
    assert_eq!(endpoint.send(&brotli).error().1, "SerializationException");
    endpoint.stop();
}

#[test]
fn whoever_watches_is_told_of_health_and_counts() {
    let endpoint = Endpoint::start();
    assert_eq!(endpoint.send(&Ask::bare("GET", "/health")).json(), json!({"status": "ok"}));
    endpoint.create("clicks", 1);
    endpoint.ok("PutRecord", json!({"StreamName": "clicks", "PartitionKey": "k", "Data": "AAAA"}));
    endpoint.ask("PutRecord", json!({}));
    let reply = endpoint.send(&Ask::bare("GET", "/metrics"));
    let text = reply.text();
    for line in [
        "millrace_server_records_in_total 1",
        "millrace_server_requests_total{service=\"kinesis\",operation=\"PutRecord\",outcome=\"success\"} 1",
        "millrace_server_requests_total{service=\"kinesis\",operation=\"PutRecord\",outcome=\"refused\"} 1",
        "millrace_server_connections 1",
        "# TYPE millrace_incoming_records_total counter",
        "millrace_incoming_records_total{stream=\"clicks\"} 1",
        "millrace_incoming_bytes_total{stream=\"clicks\"} 4",
        "millrace_put_record_success_total{stream=\"clicks\"} 1",
        "millrace_open_shards{stream=\"clicks\"} 1",
        "millrace_shard_incoming_records_total{stream=\"clicks\",shard=\"shardId-000000000000\"} 1",
        "millrace_sync_latency_seconds_count{stream=\"clicks\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    let of_streams = endpoint.send(&Ask::bare("GET", "/metrics?shards=false"));
    assert!(of_streams.text().contains("millrace_open_shards") && !of_streams.text().contains("shardId"));
    endpoint.stop();
}
