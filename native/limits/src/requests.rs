//! Requests over HTTP/1.1 at a pace, from native threads: what Node's own client would add to a latency below a
//! millisecond is more than what is measured.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;

use crate::clock::monotonic_ns;

/// No answer takes longer than this, in seconds.
const ANSWER_SECONDS_MAX: u64 = 30;

/// Sends whole requests to `address` (host:port) over so many connections, request i over connection i modulo their
/// number, one every `interval_us` microseconds over all of them. Returns the nanoseconds from the time at which each
/// was due to the end of its answer, so that one that is late makes those behind it on its connection late too. Fails
/// where an answer is not a 200.
#[napi]
pub fn paced_requests(
    address: String,
    requests: Vec<String>,
    connections: u32,
    interval_us: u32,
) -> napi::Result<Float64Array> {
    let streams = (0..connections).map(|_| connect(&address)).collect::<Result<Vec<_>>>()?;
    Ok(Float64Array::new(send(streams, &requests, interval_us)?))
}

/// Like `paced_requests`, to a server that does the least that one can that answers once something is durable: a
/// thread a connection, which appends `bytes_per_append` to a file for each request, waits for an fdatasync that covers
/// it, shared with whoever waits too, and answers.
#[napi]
pub fn paced_synced_exchanges(
    path: String,
    bytes_per_append: u32,
    requests: Vec<String>,
    connections: u32,
    interval_us: u32,
) -> napi::Result<Float64Array> {
    let file = OpenOptions::new().write(true).open(path)?;
    let block = vec![0x77; bytes_per_append as usize];
    let journal = Journal { file, appended: Mutex::default(), synced: Mutex::default() };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?.to_string();
    let ends = (0..connections)
        .map(|_| {
            let asking = connect(&address)?;
            let (answering, _) = listener.accept()?;
            answering.set_nodelay(true)?;
            Ok((asking, answering))
        })
        .collect::<Result<Vec<_>>>()?;
    let (asking, answering): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let took = thread::scope(|scope| {
        for stream in answering {
            let (journal, block) = (&journal, &block);
            // One that fails closes its connection, and who asked fails by that.
            scope.spawn(move || answer(stream, journal, block));
        }
        send(asking, &requests, interval_us)
    })?;
    Ok(Float64Array::new(took))
}

/// A file that many append to, and sync for each other.
struct Journal {
    file: File,
    /// The end of what is written, and of what is durable, in bytes.
    appended: Mutex<u64>,
    synced: Mutex<u64>,
}

impl Journal {
    /// Returns once the block is durable.
    fn append(&self, block: &[u8]) -> Result<()> {
        let end = {
            let mut appended = lock(&self.appended);
            self.file.write_all_at(block, *appended)?;
            *appended += block.len() as u64;
            *appended
        };
        let mut synced = lock(&self.synced);
        if *synced < end {
            let covered = *lock(&self.appended);
            self.file.sync_data()?;
            *synced = covered;
        }
        Ok(())
    }
}

/// No thread panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers requests until the other end closes.
fn answer(stream: TcpStream, journal: &Journal, block: &[u8]) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while read_message(&mut stream).is_ok() {
        journal.append(block)?;
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
    }
    Ok(())
}

/// Sends requests when they are due, each connection by a thread of its own.
fn send(streams: Vec<TcpStream>, requests: &[String], interval_us: u32) -> Result<Vec<f64>> {
    let connections = streams.len();
    // All threads run by the time that the first request is due.
    let begun = monotonic_ns() + 20e6;
    let due = |call: usize| begun + f64::from(interval_us) * 1e3 * f64::from(u32::try_from(call).unwrap_or(u32::MAX));
    thread::scope(|scope| {
        let threads: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(connection, stream)| {
                scope.spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let mine = requests.iter().enumerate().skip(connection).step_by(connections);
                    mine.map(|(call, request)| {
                        wait_until(due(call));
                        exchange(&mut stream, request)?;
                        Ok((call, monotonic_ns() - due(call)))
                    })
                    .collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut took = vec![0.0; requests.len()];
        for thread in threads {
            let each = thread.join().map_err(|_| Error::other("a connection's thread ended early"))??;
            each.into_iter().for_each(|(call, ns)| took[call] = ns);
        }
        Ok(took)
    })
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))?;
    Ok(stream)
}

fn wait_until(due_ns: f64) {
    let left_ns = due_ns - monotonic_ns();
    if left_ns > 0.0 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the bench measures what real time does; there is nothing to advance"
        )]
        thread::sleep(Duration::from_secs_f64(left_ns / 1e9));
    }
}

/// Sends a request and reads its answer to the end.
fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Result<()> {
    stream.get_mut().write_all(request.as_bytes())?;
    let (status, body) = read_message(stream)?;
    if status.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(Error::other(format!("expected a 200, got {}: {}", status.trim_end(), String::from_utf8_lossy(&body))))
}

/// Reads a request or an answer of HTTP/1.1: its first line and its body.
fn read_message(stream: &mut BufReader<TcpStream>) -> Result<(String, Vec<u8>)> {
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let mut bytes = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            bytes = value.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}
