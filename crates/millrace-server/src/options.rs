//! How a server is started.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use millrace::clock::{Clock, SystemClock};
use millrace::limits::LimitPolicy;
use millrace::{Durability, StreamConfig};
use millrace_kinesis::Credential;

use crate::buckets::BucketEndpoint;
use crate::error::StartError;

/// How a server is started.
#[derive(Debug)]
pub struct ServerOptions {
    /// The address to listen on. Default: 127.0.0.1. Any other than a loopback address needs credentials.
    pub host: IpAddr,
    /// The port to listen on; 0 lets the system choose. Default: 4567.
    pub port: u16,
    /// Whether and how connections are encrypted. Default: not at all.
    pub tls: Tls,
    /// Who may call. Default: anybody.
    pub credentials: Credentials,
    /// The account that ARNs name, twelve digits. Default: 000000000000.
    pub account: String,
    /// The region that ARNs name. Default: us-east-1.
    pub region: String,
    /// What a connection and a request may take.
    pub bounds: Bounds,
    /// What the acknowledgement of a stream that is created over the wire promises. Default: `Synced`.
    pub durability: Durability,
    /// What the shards of streams that are created over the wire take and give a second, and whether calls are counted as
    /// AWS counts them. Default: as AWS publishes it.
    pub limits: LimitPolicy,
    /// How long streams and consumers are told as being created, changed or deleted. Default: not at all.
    pub phases: PhaseDurations,
    /// What the account may have. Default: what AWS gives, which is enforced where `limits` are AWS's.
    pub quotas: QuotaOptions,
    /// What is logged to standard error. Default: what went wrong, and the start and the stop.
    pub log: LogLevel,
    /// The time. Default: the system's.
    pub clock: Arc<dyn Clock>,
    /// Where channels deliver to. Default: where they do already, or else a folder of the store.
    pub buckets: Buckets,
    /// How many threads serve. Default: as many as there are processors.
    pub threads: Option<usize>,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 4567,
            tls: Tls::Off,
            credentials: Credentials::Any,
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            bounds: Bounds::default(),
            durability: StreamConfig::default().durability,
            limits: LimitPolicy::Aws,
            phases: PhaseDurations::default(),
            quotas: QuotaOptions::default(),
            log: LogLevel::Info,
            clock: Arc::new(SystemClock),
            buckets: Buckets::Store,
            threads: None,
        }
    }
}

/// Whether and how connections are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Clear text.
    #[default]
    Off,
    /// With a certificate of an authority that is made for this store, for development: see [`crate::Server::authority`].
    Development,
    /// With a certificate and its key, in PEM.
    Files {
        /// The certificate, followed by those between it and its authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// Where the buckets are that channels deliver to.
#[derive(Debug, Default)]
pub enum Buckets {
    /// Where the store delivers already, since it was opened; else in its folder `channels`, a folder a bucket.
    #[default]
    Store,
    /// In this directory, a folder a bucket.
    Directory(PathBuf),
    /// Behind an endpoint that speaks S3.
    Endpoint(BucketEndpoint),
}

/// Who may call.
#[derive(Debug, Default)]
pub enum Credentials {
    /// Anybody, with whatever signature: for development, on a loopback address alone.
    #[default]
    Any,
    /// Whoever signs with one of these.
    Listed(Vec<Credential>),
}

/// What a connection and a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest body of a request, in bytes, before and after it is decompressed. Default: 16 MiB, which is what the
    /// largest request of the service takes in base64.
    pub body_bytes: usize,
    /// The bytes of all bodies that are being read or answered at once. Default: 256 MiB.
    pub bodies_bytes: usize,
    /// The longest head of a request, in bytes. Default: 16 KiB.
    pub head_bytes: usize,
    /// How many connections there may be; more wait. Default: 4,096.
    pub connections: usize,
    /// How long a head, a handshake or a body may take, in milliseconds. Default: 30,000.
    pub request_ms: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            body_bytes: 16 << 20,
            bodies_bytes: 256 << 20,
            head_bytes: 16 << 10,
            connections: 4_096,
            request_ms: 30_000,
        }
    }
}

/// How long streams and consumers are told as being created, changed or deleted, in milliseconds each. What is asked for
/// is done at once; meanwhile what the service refuses is refused. Default: 0, which is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseDurations {
    /// `CREATING`.
    pub creating_ms: u64,
    /// `UPDATING`, which streams alone pass through.
    pub updating_ms: u64,
    /// `DELETING`.
    pub deleting_ms: u64,
}

/// What the account may have in its region. What is given is enforced whatever the limits are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaOptions {
    /// How many shards all provisioned streams may have together. Default: 20,000 in us-east-1, us-west-2 and eu-west-1,
    /// 1,000 elsewhere.
    pub shards: Option<u32>,
    /// How many streams may be on demand. Default: 50.
    pub on_demand_streams: Option<u32>,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong on the server's side.
    Error,
    /// That, and what an operator should look at.
    Warn,
    /// That, and the start and the stop.
    #[default]
    Info,
    /// That, and every request.
    Debug,
}

impl ServerOptions {
    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// [`StartError::Options`].
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        let refuse = |message: String| Err(StartError::Options(message));
        if matches!(self.credentials, Credentials::Any) && !self.host.is_loopback() {
            return refuse(format!(
                "expected credentials for a server on {}, got none; without them it listens on a loopback address alone",
                self.host
            ));
        }
        if self.account.len() != 12 || !self.account.bytes().all(|digit| digit.is_ascii_digit()) {
            return refuse(format!("expected an account of 12 digits, got {:?}", self.account));
        }
        let of_a_region = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.region.is_empty() || !self.region.chars().all(of_a_region) {
            return refuse(format!("expected a region such as us-east-1, got {:?}", self.region));
        }
        if self.threads == Some(0) {
            return refuse("expected one thread or more to serve with, got 0".to_owned());
        }
        let Bounds { body_bytes, bodies_bytes, head_bytes, connections, request_ms } = self.bounds;
        if body_bytes > bodies_bytes || head_bytes < 8_192 || connections == 0 || request_ms == 0 {
            return refuse(format!(
                "expected bounds that let a request through (all bodies at least one, a head of 8,192 bytes), got {:?}",
                self.bounds
            ));
        }
        Ok(())
    }
}
