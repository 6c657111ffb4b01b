//! A stand-in for a bucket's endpoint: takes whatever is put, and hands it on to the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What was put.
#[derive(Debug)]
pub struct Put {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub refused: bool,
}

impl Put {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An endpoint on a port of its own, for as long as the test's process lives.
pub struct StandIn {
    address: SocketAddr,
    refuses: Arc<AtomicBool>,
    puts: Receiver<Put>,
}

impl StandIn {
    pub fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let refuses = Arc::new(AtomicBool::new(false));
        let (told, puts) = channel();
        let flag = Arc::clone(&refuses);
        std::thread::spawn(move || {
            let streams = listener.incoming().map_while(Result::ok);
            streams.map_while(|stream| answer(stream, &flag, &told)).for_each(drop);
        });
        StandIn { address, refuses, puts }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// The next object that comes.
    pub fn next(&self) -> Put {
        self.puts.recv().expect("the endpoint is there")
    }
}

/// Answers one request; `None` once nobody listens any more.
fn answer(mut stream: TcpStream, refuses: &AtomicBool, told: &Sender<Put>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.strip_prefix("PUT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    let lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).ok()?;
    let refused = refuses.load(Ordering::SeqCst);
    let refusal = "<Error><Code>SlowDown</Code></Error>";
    let reply = if refused {
        format!("HTTP/1.1 503 Slow Down\r\ncontent-length: {}\r\n\r\n{refusal}", refusal.len())
    } else {
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
    };
    stream.write_all(reply.as_bytes()).ok()?;
    told.send(Put { path, headers, body, refused }).ok()
}
