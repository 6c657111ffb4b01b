//! What all requests of a server share, and how a request finds its operation.

use std::sync::Arc;

use bytes::Bytes;
use millrace::clock::Clock;
use millrace::limits::LimitPolicy;
use millrace::{Consumer, Durability, Engine, Kind};
use millrace_kinesis::{ErrorName, Format, Operation, ServiceError, StreamArn, Structure, TokenKey, decode, validate};
use tokio::sync::watch;

use crate::answer::Answer;
use crate::counters::Counters;
use crate::custom_metrics::CustomMetrics;
use crate::error::{exceeded, of_engine};
use crate::operations;
use crate::phases::{Phase, Phases};
use crate::prometheus;
use crate::quotas::Quotas;
use crate::rates::Rates;
use crate::streams::{OpenStream, Streams};
use crate::tables::TableKeeper;

/// The result of an operation.
pub(crate) type Outcome = Result<Answer, ServiceError>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    /// The store.
    pub engine: Arc<Engine>,
    /// The streams in use.
    pub streams: Streams,
    /// What is counted.
    pub counters: Counters,
    /// The metrics that clients put.
    pub custom_metrics: CustomMetrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The key of iterators and page tokens.
    pub tokens: TokenKey,
    /// The account that ARNs name.
    pub account: String,
    /// The region that ARNs name.
    pub region: String,
    /// What streams are created with.
    pub durability: Durability,
    /// What their shards take and give a second.
    pub limits: LimitPolicy,
    /// How often operations may be called; none where calls are not counted.
    pub rates: Option<Rates>,
    /// What the account may have.
    pub quotas: Quotas,
    /// What streams pass through, by name.
    pub stream_phases: Phases<Arc<OpenStream>>,
    /// What their consumers pass through, by [`consumer_key`]; those that are gone with the number of their stream.
    pub consumer_phases: Phases<(u64, Consumer)>,
    /// The tables of leases.
    pub tables: TableKeeper,
    /// Whether the server is being stopped.
    pub stopping: watch::Receiver<bool>,
}

/// A request whose caller is known.
#[derive(Debug)]
pub(crate) struct Call {
    /// How it is encoded, and how the answer will be.
    pub format: Format,
    /// Its body, without compression.
    pub body: Bytes,
}

impl Service {
    /// Does what a request asks for.
    pub async fn call(self: &Arc<Self>, operation: &'static Operation, call: &Call) -> Outcome {
        // What carries most records has a way of its own.
        if operation.name == "PutRecords" {
            return operations::put::put_records(self, call).await;
        }
        let request = decode(operation, call.format, &call.body)?;
        validate(operation, &request)?;
        if let Some(rates) = &self.rates {
            rates.admit(operation.name, &request, self.clock.monotonic_ms())?;
        }
        operations::dispatch(self, operation, call.format, &request).await
    }

    /// What happened since the server started, what happens in the streams, and what clients put, as Prometheus reads it.
    pub fn metrics(&self, with_shards: bool) -> String {
        let mut text = self.counters.text();
        let streams = if with_shards { self.engine.metrics() } else { self.engine.metrics_without_shards() };
        // A store that is being closed has no figures left.
        prometheus::write(&streams.unwrap_or_default(), with_shards, &mut text);
        prometheus::write_channels(&self.engine.list_channels().unwrap_or_default(), &mut text);
        self.custom_metrics.write(&mut text);
        text
    }

    /// Returns once the server is being stopped.
    pub async fn stopped(&self) {
        // A sender that is gone has stopped it too.
        let mut stopping = self.stopping.clone();
        let _stopped = stopping.wait_for(|stop| *stop).await;
    }

    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.wall_ms()).unwrap_or(i64::MAX)
    }

    /// The ARN of a stream.
    pub fn arn<'a>(&'a self, stream: &'a str) -> StreamArn<'a> {
        StreamArn { partition: "aws", region: &self.region, account: &self.account, stream }
    }

    /// The name of the stream that a request is about, by name or by ARN.
    pub fn stream_name<'r>(&self, name: Option<&'r str>, arn: Option<&'r str>) -> Result<&'r str, ServiceError> {
        let Some(arn) = arn else {
            return name.ok_or_else(|| {
                ServiceError::new(ErrorName::InvalidArgument, "Either StreamName or StreamARN should be provided.")
            });
        };
        let parsed = StreamArn::parse(arn).ok_or_else(|| {
            ServiceError::new(ErrorName::InvalidArgument, format!("{arn} is not the ARN of a stream."))
        })?;
        if name.is_some_and(|name| name != parsed.stream) {
            let message = "StreamName and StreamARN do not name the same stream.";
            return Err(ServiceError::new(ErrorName::InvalidArgument, message));
        }
        if (parsed.region, parsed.account) == (self.region.as_str(), self.account.as_str()) {
            Ok(parsed.stream)
        } else {
            Err(not_found(parsed.stream, parsed.account))
        }
    }

    /// The stream that a request is about.
    pub async fn stream_of(&self, request: &Structure) -> Result<Arc<OpenStream>, ServiceError> {
        self.stream_named(self.name_of(request)?).await
    }

    /// The stream that a request is to change: it has to be `ACTIVE`.
    pub async fn stream_to_change(&self, request: &Structure) -> Result<Arc<OpenStream>, ServiceError> {
        let name = self.name_of(request)?;
        self.admit(name, &[Phase::Creating, Phase::Updating, Phase::Deleting])?;
        self.stream_named(name).await
    }

    /// The stream of a name, which is to be there as a whole: `ACTIVE` or `UPDATING`.
    pub async fn whole_stream(&self, name: &str) -> Result<Arc<OpenStream>, ServiceError> {
        self.admit(name, &[Phase::Creating, Phase::Deleting])?;
        self.stream_named(name).await
    }

    /// The stream of a name for its records: while it is `CREATING` or `DELETING` there is none.
    pub async fn stream_with_records(&self, name: &str) -> Result<Arc<OpenStream>, ServiceError> {
        match self.phase_of(name) {
            None | Some(Phase::Updating) => self.stream_named(name).await,
            Some(Phase::Creating | Phase::Deleting) => Err(not_found(name, &self.account)),
        }
    }

    /// The stream that a request is about, to be described: one that is `DELETING` too. And what it passes through.
    pub async fn stream_to_describe(
        &self,
        request: &Structure,
    ) -> Result<(Arc<OpenStream>, Option<Phase>), ServiceError> {
        let name = self.name_of(request)?;
        let open = match self.stream_phases.gone(name, self.clock.monotonic_ms()) {
            Some(gone) => gone,
            None => self.stream_named(name).await?,
        };
        Ok((open, self.phase_of(name)))
    }

    /// The name of the stream that a request is about.
    pub fn name_of<'r>(&self, request: &'r Structure) -> Result<&'r str, ServiceError> {
        self.stream_name(request.str("StreamName"), request.str("StreamARN"))
    }

    /// What a stream passes through.
    pub fn phase_of(&self, stream: &str) -> Option<Phase> {
        self.stream_phases.of(stream, self.clock.monotonic_ms())
    }

    fn admit(&self, stream: &str, refused: &[Phase]) -> Result<(), ServiceError> {
        let phase = self.phase_of(stream).filter(|phase| refused.contains(phase));
        let Some(phase) = phase else { return Ok(()) };
        let (account, state) = (&self.account, Phase::told(Some(phase)));
        let message = format!("Stream {stream} under account {account} not ACTIVE, instead in state {state}");
        Err(ServiceError::new(ErrorName::ResourceInUse, message))
    }

    /// A stream was changed.
    pub fn updated(&self, stream: &str) {
        self.stream_phases.updated(stream, self.clock.monotonic_ms());
    }

    /// The stream of a name.
    pub async fn stream_named(&self, name: &str) -> Result<Arc<OpenStream>, ServiceError> {
        self.streams.get(name).await.map_err(|error| self.of_stream(name, &error))
    }

    /// There is a stream of this name already.
    pub fn already_exists(&self, name: &str) -> ServiceError {
        let message = format!("Stream {name} under account {} already exists.", self.account);
        ServiceError::new(ErrorName::ResourceInUse, message)
    }

    /// An error of the engine about a stream, in the service's words where it has some.
    pub fn of_stream(&self, name: &str, error: &millrace::Error) -> ServiceError {
        let account = &self.account;
        match error.kind() {
            Kind::StreamNotFound | Kind::StreamDeleting => not_found(name, account),
            Kind::StreamExists => self.already_exists(name),
            Kind::ThroughputExceeded => exceeded(account, error),
            _ => of_engine(error),
        }
    }
}

/// By what the phases of a consumer are found.
pub(crate) fn consumer_key(stream: u64, consumer: &str) -> String {
    format!("{stream}/{consumer}")
}

/// There is no stream of this name.
pub(crate) fn not_found(stream: &str, account: &str) -> ServiceError {
    ServiceError::new(ErrorName::ResourceNotFound, format!("Stream {stream} under account {account} not found."))
}
