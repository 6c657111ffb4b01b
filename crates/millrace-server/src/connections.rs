//! Takes connections: so many at once, each with HTTP/1.1 or HTTP/2 by its first bytes, encrypted or not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::instrument::WithSubscriber;

use crate::door::Door;
use crate::options::Bounds;

/// How long to rest after the system had no room for another connection.
const REST: Duration = Duration::from_millis(50);
/// How many requests a connection of HTTP/2 may have under way.
const STREAMS_MAX: u32 = 256;
/// How much of a body a client may send ahead, on one request and on one connection, in bytes.
const WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// How often a silent connection of HTTP/2 is asked whether anybody is there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// What takes connections.
pub(crate) struct Acceptor {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub door: Arc<Door>,
    pub bounds: Bounds,
    pub stop: watch::Receiver<bool>,
    /// How long requests that are under way may take once the server is stopped.
    pub grace: Duration,
}

impl Acceptor {
    /// Takes connections until the server is stopped, then lets what is under way finish.
    pub async fn run(mut self) {
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(self.bounds.connections));
        let server = Arc::new(self.builder());
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            let accepted = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not take a connection");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            let connection = Connection {
                server: Arc::clone(&server),
                door: Arc::clone(&self.door),
                watcher: graceful.watcher(),
                limit: Duration::from_millis(self.bounds.request_ms),
            };
            let tls = self.tls.clone();
            let connected = async move {
                let counters = &connection.door.service().counters;
                counters.connections.fetch_add(1, Ordering::Relaxed);
                let door = Arc::clone(&connection.door);
                connection.serve(stream, tls).await;
                door.service().counters.connections.fetch_sub(1, Ordering::Relaxed);
                drop(slot);
            };
            Tasks.execute(connected);
        }
        drop(self.listener);
        if timeout(self.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way when the time to stop was over");
        }
    }

    fn builder(&self) -> auto::Builder<Tasks> {
        let mut server = auto::Builder::new(Tasks);
        let limit = Duration::from_millis(self.bounds.request_ms);
        server.http1().timer(TokioTimer::new()).header_read_timeout(limit).max_buf_size(self.bounds.head_bytes);
        server
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(self.bounds.head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(limit);
        server
    }
}

/// Starts tasks that log where their starter logs: a connection's, and under HTTP/2 a request's.
#[derive(Clone, Copy, Debug)]
struct Tasks;

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future.with_current_subscriber());
    }
}

struct Connection {
    server: Arc<auto::Builder<Tasks>>,
    door: Arc<Door>,
    watcher: hyper_util::server::graceful::Watcher,
    limit: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        match tls {
            // Who connects says something soon, or is not worth a place.
            None => match timeout(self.limit, stream.readable()).await {
                Ok(Ok(())) => self.speak(stream).await,
                _ => tracing::debug!("a connection on which nothing came"),
            },
            Some(tls) => match timeout(self.limit, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                Err(_) => tracing::debug!("a handshake took too long"),
            },
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let door = self.door;
        let service = service_fn(move |request| {
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.enter(request).await) }
        });
        let connection = self.server.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
