//! Kinesis over HTTP on an open store. Nothing of it runs, and no thread is started, unless a server is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use millrace::{Error, Kind, Result};
use millrace_server::{
    BucketEndpoint, Buckets, Credential, Credentials, LogLevel, PhaseDurations, QuotaOptions, Server, ServerOptions,
    Tls,
};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::describe::durability;
use crate::engine::NativeEngine;
use crate::settings::NativeLimits;
use crate::task::{Blocking, promise};

/// An access key and its secret.
#[napi(object)]
pub struct NativeCredential {
    /// What a signature names it by.
    pub access_key_id: String,
    /// What a signature is made with.
    pub secret_access_key: String,
    /// What has to come along with each request.
    pub session_token: Option<String>,
}

impl NativeCredential {
    fn into_server(self) -> Credential {
        Credential::new(self.access_key_id, self.secret_access_key, self.session_token)
    }
}

/// Where buckets are: in a directory, or behind an endpoint.
#[napi(object)]
pub struct NativeBuckets {
    /// A directory in which each bucket is a folder.
    pub directory: Option<String>,
    /// An endpoint that speaks S3.
    pub endpoint: Option<String>,
    /// The region that requests to it are signed for.
    pub region: Option<String>,
    /// Who signs them.
    pub credential: Option<NativeCredential>,
}

impl NativeBuckets {
    /// As the server takes them.
    pub fn into_server(self) -> Result<Buckets> {
        match (self.directory, self.endpoint) {
            (Some(directory), None) => Ok(Buckets::Directory(PathBuf::from(directory))),
            (None, Some(url)) => Ok(Buckets::Endpoint(BucketEndpoint {
                url,
                region: self.region.unwrap_or_else(|| ServerOptions::default().region),
                credential: self.credential.map(NativeCredential::into_server),
            })),
            _ => Err(invalid("channels: expected a directory or an endpoint".to_owned())),
        }
    }
}

/// How to start a server. What is absent has the default of `millrace-server`.
#[napi(object)]
pub struct NativeServerOptions {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// Whether connections are encrypted with a certificate of the store's own authority.
    pub development_tls: bool,
    /// The file of the certificate to encrypt with, in PEM.
    pub certificate: Option<String>,
    /// The file of its key.
    pub key: Option<String>,
    /// Who may call; absent is anybody.
    pub credentials: Option<Vec<NativeCredential>>,
    /// The account that ARNs name.
    pub account: Option<String>,
    /// The region that ARNs name.
    pub region: Option<String>,
    /// The durability of streams that are created over the wire: `synced`, `interval` or `os`.
    pub durability: String,
    /// For `interval` only.
    pub interval_ms: u32,
    /// What the shards of such streams take and give a second, and whether calls are counted as AWS counts them.
    pub limits: NativeLimits,
    /// For how long what was created is told as `CREATING`, in milliseconds.
    pub creating_ms: u32,
    /// For how long a stream that was changed is told as `UPDATING`, in milliseconds.
    pub updating_ms: u32,
    /// For how long what was deleted is told as `DELETING`, in milliseconds.
    pub deleting_ms: u32,
    /// How many shards provisioned streams may have together; absent is AWS's quota.
    pub shard_limit: Option<u32>,
    /// How many streams may be on demand; absent is AWS's quota.
    pub on_demand_stream_limit: Option<u32>,
    /// Where the buckets are that channels deliver to; absent is where they do already, or else a folder of the store.
    pub channels: Option<NativeBuckets>,
    /// What is logged: `off`, `error`, `warn`, `info` or `debug`.
    pub log: String,
    /// How many threads serve.
    pub threads: Option<u32>,
}

impl NativeServerOptions {
    fn into_server(self) -> Result<ServerOptions> {
        let default = ServerOptions::default();
        let host = self.host.parse().map_err(|_| {
            invalid(format!("host: expected an IP address such as 127.0.0.1 or ::1, got {:?}", self.host))
        })?;
        Ok(ServerOptions {
            host,
            port: self.port,
            tls: tls(self.development_tls, self.certificate, self.key)?,
            credentials: self.credentials.map_or(Credentials::Any, |listed| {
                Credentials::Listed(listed.into_iter().map(NativeCredential::into_server).collect())
            }),
            account: self.account.unwrap_or(default.account),
            region: self.region.unwrap_or(default.region),
            durability: durability(&self.durability, self.interval_ms)?,
            limits: self.limits.into_engine()?,
            phases: PhaseDurations {
                creating_ms: self.creating_ms.into(),
                updating_ms: self.updating_ms.into(),
                deleting_ms: self.deleting_ms.into(),
            },
            quotas: QuotaOptions { shards: self.shard_limit, on_demand_streams: self.on_demand_stream_limit },
            buckets: self.channels.map_or(Ok(default.buckets), NativeBuckets::into_server)?,
            log: log_level(&self.log)?,
            threads: self.threads.map(|threads| threads as usize),
            ..default
        })
    }
}

fn tls(development: bool, certificate: Option<String>, key: Option<String>) -> Result<Tls> {
    match (development, certificate.map(PathBuf::from), key.map(PathBuf::from)) {
        (false, None, None) => Ok(Tls::Off),
        (true, None, None) => Ok(Tls::Development),
        (_, Some(certificate), Some(key)) => Ok(Tls::Files { certificate, key }),
        _ => Err(invalid("tls: expected a certificate and its key, got one of the two".to_owned())),
    }
}

fn log_level(name: &str) -> Result<LogLevel> {
    match name {
        "off" => Ok(LogLevel::Off),
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        other => Err(invalid(format!("log: expected off, error, warn, info or debug, got {other:?}"))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

/// A server that runs.
#[napi]
pub struct NativeServer {
    server: Arc<Mutex<Option<Server>>>,
    host: String,
    port: u16,
    authority: Option<String>,
}

#[napi]
impl NativeServer {
    /// Starts to serve the streams of a store, which must stay open until the server has stopped.
    #[napi(ts_return_type = "Promise<NativeServer>", catch_unwind)]
    pub fn start(engine: &NativeEngine, options: NativeServerOptions) -> AsyncTask<Blocking<NativeServer>> {
        let engine = engine.share();
        promise(move || {
            let server = Server::start(engine, options.into_server()?)?;
            Ok(NativeServer {
                host: server.address().ip().to_string(),
                port: server.address().port(),
                authority: server.authority().map(|path| path.display().to_string()),
                server: Arc::new(Mutex::new(Some(server))),
            })
        })
    }

    /// The address that it listens on.
    #[napi(getter, catch_unwind)]
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// The port that it listens on.
    #[napi(getter, catch_unwind)]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate that clients have to trust, where the server made its own authority.
    #[napi(getter, catch_unwind)]
    pub fn authority(&self) -> Option<String> {
        self.authority.clone()
    }

    /// Takes no more connections and lets what is under way finish. Calls after the first do nothing.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn stop(&self) -> AsyncTask<Blocking<()>> {
        let server = Arc::clone(&self.server);
        promise(move || {
            let running = server.lock().unwrap_or_else(PoisonError::into_inner).take();
            running.into_iter().for_each(Server::stop);
            Ok(())
        })
    }
}
