//! SubscribeToShard: records pushed as they come, for five minutes, over a stream of events.
//!
//! A subscription is a task that waits for the log's waker and for the reader of its connection, and for nothing else: an
//! event is made when the connection has taken the one before it, so a slow reader holds one event in memory and falls
//! behind in the log. At least every five seconds there is an event, which says how far the subscription has come.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use millrace::{Event, Kind, StartAt, SubscribeOptions, Subscription, Visibility};
use millrace_kinesis::{
    ErrorName, Format, IteratorPosition, RecordsAnswer, ServiceError, Structure, exception, initial_response,
};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;

use super::get::{Batch, milliseconds, start, write_chunk};
use super::{consumers, shards, unless_dry_run};
use crate::answer::Answer;
use crate::error::of_engine;
use crate::service::{Outcome, Service};
use crate::streams::OpenStream;

/// How long a subscription lives.
const LIFE: Duration = Duration::from_secs(300);
/// How old a subscription must be before another takes it over, in milliseconds.
const TAKES_OVER_AFTER_MS: u64 = 5_000;
/// The most records, and the most bytes, of an event.
const RECORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 1 << 20;
/// How many events wait for a connection to take them.
const EVENTS_AHEAD: usize = 1;
const EVENT: &str = "SubscribeToShardEvent";

/// SubscribeToShard.
pub(crate) async fn subscribe(service: &Arc<Service>, format: Format, request: &Structure) -> Outcome {
    let (open, consumer) = consumers::of_arn(service, request.str("ConsumerARN").unwrap_or_default()).await?;
    consumers::admit(service, &open, &consumer)?;
    let shard = shards::named(service, &open, request.str("ShardId").unwrap_or_default())?;
    let empty = Structure::new();
    let position = request.structure("StartingPosition").unwrap_or(&empty);
    let from = start(
        service,
        &open,
        shard,
        position.str("Type").unwrap_or_default(),
        position.str("SequenceNumber"),
        position.timestamp("Timestamp"),
        "SubscribeToShard",
    )?;
    unless_dry_run(request.is("DryRun"))?;
    let options = SubscribeOptions {
        shard: Some(shard),
        from: match from {
            IteratorPosition::TrimHorizon => StartAt::TrimHorizon,
            IteratorPosition::Sequence(sequence) => StartAt::AtSequence(sequence),
            IteratorPosition::Timestamp(ms) => StartAt::AtTimestamp(ms),
        },
        visibility: Visibility::Durable,
        takes_over_after_ms: TAKES_OVER_AFTER_MS,
    };
    let subscription = open.stream.subscribe(&consumer.name, options);
    let subscription = subscription.map_err(|error| ended(service, &open, &error))?;
    let (events, answer) = channel(EVENTS_AHEAD);
    let push = Push { service: Arc::clone(service), open, shard, format, subscription, events };
    tokio::spawn(push.run().with_current_subscriber());
    Ok(Answer::Events(answer))
}

/// A subscription that runs.
struct Push {
    service: Arc<Service>,
    open: Arc<OpenStream>,
    shard: u32,
    format: Format,
    subscription: Subscription,
    events: Sender<Bytes>,
}

impl Push {
    async fn run(mut self) {
        let service = Arc::clone(&self.service);
        service.counters.subscriptions.fetch_add(1, Ordering::Relaxed);
        let end = Instant::now() + LIFE;
        let events = self.events.clone();
        tokio::select! {
            biased;
            () = events.closed() => {}
            () = tokio::time::sleep_until(end) => {}
            () = service.stopped() => {}
            pushed = self.push() => {
                if let Err(error) = pushed {
                    let error = ended(&service, &self.open, &error);
                    let _nobody_reads_any_more = events.send(exception(self.format, &error).into()).await;
                }
            }
        }
        service.counters.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Pushes events until the shard ends, or whoever else ends the subscription.
    async fn push(&mut self) -> millrace::Result<()> {
        if self.events.send(initial_response(self.format).into()).await.is_err() {
            return Ok(());
        }
        loop {
            let event = self.next().await?;
            let message = self.message(&event)?;
            if self.events.send(message).await.is_err() || event.children.is_some() {
                return Ok(());
            }
        }
    }

    /// The next event: as soon as there are records, and in time where there are none.
    async fn next(&mut self) -> millrace::Result<Event> {
        loop {
            let idle = self.subscription.idle();
            let subscription = &mut self.subscription;
            let polled = poll_fn(|context| subscription.poll_next(context, RECORDS_MAX, BYTES_MAX));
            // Once the time is out an event is due, and the next look finds it.
            if let Ok(event) = timeout(idle, polled).await {
                return event;
            }
        }
    }

    /// An event as it goes out.
    fn message(&self, event: &Event) -> millrace::Result<Bytes> {
        let Event { records, continuation, millis_behind_latest, children } = event;
        let mut payload = RecordsAnswer::new(self.format);
        let mut batch = Batch::default();
        if let Some(chunk) = records {
            write_chunk(&self.open, chunk, &mut payload, &mut batch)?;
        }
        let counters = &self.service.counters;
        counters.records_out.fetch_add(batch.records as u64, Ordering::Relaxed);
        let rest = Structure::new().with("MillisBehindLatest", milliseconds(*millis_behind_latest));
        let rest = match children {
            None => rest.with("ContinuationSequenceNumber", self.open.sequence_number(self.shard, *continuation)),
            // Nothing goes on behind the end of a shard: clients take an event that tells both for damaged.
            Some(children) => rest.with("ChildShards", shards::children(children)),
        };
        Ok(millrace_kinesis::event(EVENT, self.format, &payload.finish(&rest)).into())
    }
}

/// Why a subscription ended or did not begin.
fn ended(service: &Service, open: &OpenStream, error: &millrace::Error) -> ServiceError {
    match error.kind() {
        Kind::SubscriptionInUse => ServiceError::new(ErrorName::ResourceInUse, error.message()),
        Kind::ConsumerNotFound => ServiceError::new(ErrorName::ResourceNotFound, error.message()),
        Kind::ShardNotFound | Kind::StreamDeleting => service.of_stream(open.stream.name(), error),
        _ => of_engine(error),
    }
}
