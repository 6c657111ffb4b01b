//! How connections come: HTTP/1.1 and HTTP/2 on one port, encrypted or not, whether or not the client says which.

use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_server::{ServerOptions, Tls};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

use super::client::{Ask, Endpoint, SIGNED, exchange, unlimited};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Sends requests over one connection of HTTP/2, at once.
async fn over_http2<S>(stream: S, count: usize) -> Vec<Value>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let requests = (0..count).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = Request::post("http://localhost/")
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", "Kinesis_20131202.ListStreams")
                .header("x-amz-date", "20260101T000000Z")
                .header("authorization", SIGNED)
                .body(Full::new(Bytes::from_static(b"{}")))
                .expect("a request");
            let reply = sender.send_request(request).await.expect("an answer");
            assert_eq!(reply.status(), 200);
            let body = reply.into_body().collect().await.expect("a body").to_bytes();
            serde_json::from_slice(&body).expect("JSON")
        }
    });
    let tasks: Vec<_> = requests.map(tokio::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("answered"));
    }
    answers
}

fn trusting(endpoint: &Endpoint, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let authority = endpoint.server.as_ref().and_then(|server| server.authority()).expect("an authority");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

#[test]
fn http2_with_prior_knowledge_comes_on_the_same_port_as_http1() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let answers = runtime().block_on(async {
        let stream = tokio::net::TcpStream::connect(endpoint.address()).await.expect("a connection");
        over_http2(stream, 50).await
    });
    assert!(answers.iter().all(|answer| answer["StreamNames"] == json!(["clicks"])));
    assert_eq!(endpoint.ok("ListStreams", json!({}))["StreamNames"], json!(["clicks"]));
    endpoint.stop();
}

#[test]
fn encrypted_http2_comes_with_and_without_alpn() {
    let endpoint = Endpoint::with(ServerOptions { tls: Tls::Development, ..unlimited() });
    for protocols in [&[&b"h2"[..]][..], &[]] {
        let connector = TlsConnector::from(trusting(&endpoint, protocols));
        let answers = runtime().block_on(async {
            let stream = tokio::net::TcpStream::connect(endpoint.address()).await.expect("a connection");
            let name = ServerName::try_from("localhost").expect("a name");
            over_http2(connector.connect(name, stream).await.expect("a handshake"), 3).await
        });
        assert_eq!(answers.len(), 3, "{protocols:?}");
    }
    endpoint.stop();
}

#[test]
fn encrypted_http1_comes_by_name_and_by_address() {
    let endpoint = Endpoint::with(ServerOptions { tls: Tls::Development, ..unlimited() });
    for name in ["localhost", "127.0.0.1"] {
        let name = ServerName::try_from(name).expect("a name");
        let connection = ClientConnection::new(trusting(&endpoint, &[b"http/1.1"]), name).expect("a client");
        let stream = TcpStream::connect(endpoint.address()).expect("a connection");
        let reply = exchange(StreamOwned::new(connection, stream), &Ask::operation("ListStreams", &json!({})));
        assert_eq!(reply.status, 200);
    }
    endpoint.stop();
}

#[test]
fn the_development_authority_stays_the_same_over_a_restart() {
    let options = || ServerOptions { tls: Tls::Development, ..unlimited() };
    let pem = |endpoint: &Endpoint| {
        let path = endpoint.server.as_ref().and_then(|server| server.authority()).expect("an authority").to_owned();
        std::fs::read_to_string(path).expect("a certificate")
    };
    let endpoint = Endpoint::with(options());
    let before = pem(&endpoint);
    let endpoint = Endpoint::on(endpoint.stop(), options());
    assert_eq!(pem(&endpoint), before);
    endpoint.stop();
}

#[test]
fn a_server_that_stops_finishes_what_is_under_way() {
    let endpoint = Endpoint::start();
    endpoint.create("clicks", 1);
    let address = endpoint.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let body = json!({"StreamName": "clicks", "PartitionKey": "k", "Data": "AAAA"});
                let mut acknowledged = 0;
                while let Ok(stream) = TcpStream::connect(address) {
                    let ask = Ask::operation("PutRecord", &body);
                    let reply = std::panic::catch_unwind(|| exchange(stream, &ask));
                    match reply {
                        Ok(reply) => {
                            assert_eq!(reply.status, 200, "{}", reply.text());
                            acknowledged += 1;
                        }
                        // Taken by the system after the server stopped to take: nothing was sent back.
                        Err(_) => break,
                    }
                    if acknowledged == 200 {
                        break;
                    }
                }
                acknowledged
            })
        })
        .collect();
    while endpoint.ok("GetRecords", json!({"ShardIterator": endpoint.iterator("clicks", "0")}))["Records"] == json!([])
    {
        std::thread::yield_now();
    }
    let directory = endpoint.stop();
    let acknowledged: usize = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    let endpoint = Endpoint::on(directory, unlimited());
    let got = endpoint.ok("GetRecords", json!({"ShardIterator": endpoint.iterator("clicks", "0")}));
    assert!(got["Records"].as_array().map_or(0, Vec::len) >= acknowledged, "an acknowledged record is missing");
    endpoint.stop();
}
