//! A server that runs: its threads, its address, and how it is stopped.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millrace::Engine;
use millrace::limits::LimitPolicy;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use crate::body::Room;
use crate::connections::Acceptor;
use crate::counters::Counters;
use crate::custom_metrics::CustomMetrics;
use crate::door::Door;
use crate::error::StartError;
use crate::keys::token_key;
use crate::options::{Credentials, ServerOptions, Tls};
use crate::phases::Phases;
use crate::quotas::Quotas;
use crate::rates::Rates;
use crate::service::Service;
use crate::streams::Streams;
use crate::tables::{TableKeeper, TableNames};
use crate::{delivery, log, tls};

/// How long requests that are under way may take once the server is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// A server that runs until it is stopped or dropped.
///
/// ```
/// use std::sync::Arc;
/// use millrace::{Engine, OpenOptions};
/// use millrace_server::{LogLevel, Server, ServerOptions};
/// # let directory = tempfile::tempdir().unwrap();
/// let engine = Arc::new(Engine::open(directory.path(), OpenOptions::default())?);
/// let options = ServerOptions { port: 0, log: LogLevel::Off, ..ServerOptions::default() };
/// let server = Server::start(Arc::clone(&engine), options)?;
/// assert!(server.address().ip().is_loopback());
/// server.stop();
/// engine.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    authority: Option<PathBuf>,
    stop: watch::Sender<bool>,
    running: Option<(Runtime, JoinHandle<()>)>,
    log: Dispatch,
}

impl Server {
    /// Starts to listen. The engine must not be closed before the server is stopped.
    ///
    /// # Errors
    /// [`StartError`], which says what is wrong with the options, the address, a file or the store.
    pub fn start(engine: Arc<Engine>, options: ServerOptions) -> Result<Server, StartError> {
        options.validate()?;
        let wanted = SocketAddr::new(options.host, options.port);
        let failed = |error| StartError::Io(format!("cannot listen on {wanted}"), error);
        let listener = TcpListener::bind(wanted).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (encryption, authority) = match &options.tls {
            Tls::Off => (None, None),
            Tls::Files { certificate, key } => (Some(tls::with_files(certificate, key)?), None),
            Tls::Development => {
                let (config, authority) = tls::with_authority(engine.directory(), options.host)?;
                (Some(config), Some(authority.path))
            }
        };
        let (stop, stopping) = watch::channel(false);
        let log = log::dispatch(options.log);
        let anybody = matches!(options.credentials, Credentials::Any);
        let names = TableNames { region: options.region.clone(), account: options.account.clone() };
        let tables = TableKeeper::new(Arc::clone(&engine), Arc::clone(&options.clock), names);
        let service = Arc::new(Service {
            streams: Streams::new(Arc::clone(&engine)),
            counters: Counters::default(),
            custom_metrics: CustomMetrics::default(),
            clock: options.clock,
            tokens: token_key(engine.directory())?,
            quotas: Quotas::new(options.quotas, &options.region, &options.limits),
            stream_phases: Phases::new(options.phases),
            consumer_phases: Phases::new(options.phases),
            account: options.account,
            region: options.region,
            durability: options.durability,
            limits: options.limits,
            rates: (options.limits == LimitPolicy::Aws).then(Rates::default),
            tables,
            stopping: stopping.clone(),
            engine,
        });
        delivery::begin(&service.engine, options.buckets, Arc::clone(&service.clock), log.clone())?;
        let runtime = runtime(options.threads)?;
        runtime.block_on(service.tables.open_if_there().with_subscriber(log.clone()));
        let listener = {
            let _in_the_runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let acceptor = Acceptor {
            listener,
            tls: encryption.map(TlsAcceptor::from),
            door: Arc::new(Door::new(service, Room::new(options.bounds), options.credentials)),
            bounds: options.bounds,
            stop: stopping,
            grace: GRACE,
        };
        let serving = runtime.spawn(acceptor.run().with_subscriber(log.clone()));
        let server = Server { address, authority, stop, running: Some((runtime, serving)), log };
        server.announce(anybody);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the certificate that clients have to trust, in PEM, where the server made its own authority.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Takes no more connections, lets requests that are under way finish for up to ten seconds, then ends.
    pub fn stop(mut self) {
        let Some((runtime, serving)) = self.running.take() else { return };
        self.stop.send_replace(true);
        // The acceptor ends within its grace; a panic in it was told by its thread.
        let _ended = runtime.block_on(serving);
        runtime.shutdown_timeout(Duration::from_secs(1));
        tracing::dispatcher::with_default(&self.log, || tracing::info!(address = %self.address, "stopped"));
    }

    fn announce(&self, anybody: bool) {
        tracing::dispatcher::with_default(&self.log, || {
            tracing::info!(address = %self.address, tls = self.authority.is_some(), "listening");
            if anybody {
                tracing::warn!(
                    "signatures are not verified: anybody on this machine may call; give credentials otherwise"
                );
            }
        });
    }
}

impl Drop for Server {
    /// Ends at once: whoever wants requests to finish stops it.
    fn drop(&mut self) {
        if let Some((runtime, _)) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(threads: Option<usize>) -> Result<Runtime, StartError> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.thread_name("millrace-serve").enable_all().build();
    runtime.map_err(|error| StartError::Io("cannot start the threads of the server".to_owned(), error))
}
