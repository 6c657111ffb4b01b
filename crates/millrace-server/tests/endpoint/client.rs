//! A client as small as can be: one request a connection over HTTP/1.1, or HTTP/2 through hyper's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use millrace::{Engine, OpenOptions};
use millrace_server::{LimitPolicy, LogLevel, Server, ServerOptions};
use serde_json::{Value, json};

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            unreachable!("expected JSON, got {error} in {:?}", String::from_utf8_lossy(&self.body))
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error's name and message.
    pub fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("__type"), text("message") + &text("Message"))
    }
}

/// A request that was not sent yet.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A signature that is whole, for a server that looks no further.
pub const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=b";

impl Ask {
    pub fn bare(method: &'static str, path: &str) -> Ask {
        Ask { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn operation(name: &str, body: &Value) -> Ask {
        Ask::encoded(name, "application/x-amz-json-1.1", body.to_string().into_bytes())
    }

    pub fn encoded(name: &str, content_type: &str, body: Vec<u8>) -> Ask {
        let ask = Ask { body, ..Ask::bare("POST", "/") };
        ask.with("content-type", content_type)
            .with("x-amz-target", &format!("Kinesis_20131202.{name}"))
            .with("x-amz-date", "20260101T000000Z")
            .with("authorization", SIGNED)
    }

    pub fn with(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Ask {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", self.body.len());
        head.into_bytes()
    }
}

/// Sends a request on a stream and reads the answer to its end.
pub fn exchange(mut stream: impl Read + Write, ask: &Ask) -> Reply {
    stream.write_all(&ask.head()).expect("the head is sent");
    // A server that has seen enough closes before it has read everything.
    let _may_be_cut_short = stream.write_all(&ask.body).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    let _may_be_reset = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Reply {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| unreachable!("no head in {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Reply {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    }
}

/// What most tests start a server with: they call as often as they like.
pub fn unlimited() -> ServerOptions {
    ServerOptions { limits: LimitPolicy::Unlimited, ..ServerOptions::default() }
}

/// A server on a store of its own.
pub struct Endpoint {
    pub engine: Arc<Engine>,
    pub server: Option<Server>,
    pub directory: tempfile::TempDir,
}

impl Endpoint {
    pub fn start() -> Endpoint {
        Endpoint::with(unlimited())
    }

    pub fn with(options: ServerOptions) -> Endpoint {
        Endpoint::on(tempfile::tempdir().expect("a folder"), options)
    }

    pub fn on(directory: tempfile::TempDir, options: ServerOptions) -> Endpoint {
        let engine = Arc::new(Engine::open(directory.path(), OpenOptions::default()).expect("a store"));
        let options = ServerOptions { port: 0, log: LogLevel::Off, ..options };
        let server = Server::start(Arc::clone(&engine), options).expect("a server");
        Endpoint { engine, server: Some(server), directory }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("a server that runs").address()
    }

    pub fn send(&self, ask: &Ask) -> Reply {
        exchange(TcpStream::connect(self.address()).expect("a connection"), ask)
    }

    /// Asks for an operation in JSON.
    pub fn ask(&self, name: &str, body: Value) -> Reply {
        self.send(&Ask::operation(name, &body))
    }

    /// Asks for an operation that succeeds.
    pub fn ok(&self, name: &str, body: Value) -> Value {
        let reply = self.ask(name, body);
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }

    pub fn create(&self, name: &str, shards: u32) {
        self.ok("CreateStream", json!({"StreamName": name, "ShardCount": shards}));
    }

    /// An iterator at the beginning of a shard.
    pub fn iterator(&self, name: &str, shard: &str) -> String {
        let body = json!({"StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        self.ok("GetShardIterator", body)["ShardIterator"].as_str().expect("an iterator").to_owned()
    }

    /// Stops the server, closes the store, and gives its folder back.
    pub fn stop(mut self) -> tempfile::TempDir {
        self.server.take().expect("a server that runs").stop();
        self.engine.close().expect("closed");
        self.directory
    }
}
