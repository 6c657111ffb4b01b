//! Requests over HTTP/1.1 at a pace, from native threads: what Node's own client would add to a latency below a
//! millisecond is more than what is measured.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
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
    let connections = connections as usize;
    let streams = (0..connections).map(|_| connect(&address)).collect::<Result<Vec<_>>>()?;
    // All threads run by the time that the first request is due.
    let begun = monotonic_ns() + 20e6;
    let due = |call: usize| begun + f64::from(interval_us) * 1e3 * f64::from(u32::try_from(call).unwrap_or(u32::MAX));
    let took = thread::scope(|scope| {
        let requests = &requests;
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
        Ok::<_, Error>(took)
    })?;
    Ok(Float64Array::new(took))
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
    let mut status = String::new();
    stream.read_line(&mut status)?;
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
    if status.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(Error::other(format!("expected a 200, got {}: {}", status.trim_end(), String::from_utf8_lossy(&body))))
}
