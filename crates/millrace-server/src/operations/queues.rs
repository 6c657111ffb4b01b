//! Queues: records of a stream handed out to whoever asks, hidden for a while, and gone once acknowledged.

use std::sync::Arc;
use std::time::Duration;

use millrace::{
    Commit, DeadLetters, Kind, Lane, Message, Queue, QueueConfig, QueueEntry, QueueOptions, QueueStart, Receive,
    Settled,
};
use millrace_kinesis::{ErrorName, PageToken, ServiceError, Structure, Value};
use tokio::time::{Instant, timeout_at};

use super::{done, invalid, tags};
use crate::error::of_engine;
use crate::service::{Outcome, Service};
use crate::streams::{OpenStream, blocking};

/// How many queues a page has where the caller does not say.
const PAGE: usize = 100;
/// How long a receive waits where the caller does not say, in seconds.
const WAIT_S: u64 = 9;

/// A queue, and the stream that it is of.
struct Found {
    open: Arc<OpenStream>,
    queue: Queue,
}

/// CreateQueue.
pub(crate) async fn create(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = request.str("QueueName").unwrap_or_default().to_owned();
    let mut configured = request.structures("StreamConfigurationList");
    let (Some(configuration), None) = (configured.next(), configured.next()) else {
        return Err(invalid("StreamConfigurationList must name one stream."));
    };
    let open = service.whole_stream(service.stream_name(None, configuration.str("StreamARN"))?).await?;
    if service.engine.queue_named(&name).is_ok() {
        let message = format!("Queue {name} under account {} already exists.", service.account);
        return Err(ServiceError::new(ErrorName::ResourceInUse, message));
    }
    let options = QueueOptions {
        start: starting_position(configuration.structure("StartingPosition"))?,
        config: changed(QueueConfig::default(), request.structure("QueueAttributes"))?,
        tags: tags::given(request),
    };
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let created = blocking(move || stream.create_queue(&wanted, options).map(drop)).await;
    created.map_err(|error| of_queue(service, &name, &error))?;
    description(service, &name)
}

fn starting_position(position: Option<&Structure>) -> Result<QueueStart, ServiceError> {
    let Some(position) = position else { return Ok(QueueStart::Latest) };
    match (position.str("Type"), position.timestamp("Timestamp")) {
        (Some("TRIM_HORIZON"), None) => Ok(QueueStart::TrimHorizon),
        (Some("AT_TIMESTAMP"), Some(ms)) => Ok(QueueStart::AtTimestamp(u64::try_from(ms).unwrap_or_default())),
        (Some("AT_TIMESTAMP"), None) => Err(invalid("A Timestamp is required for a position of type AT_TIMESTAMP.")),
        (_, Some(_)) => Err(invalid("A Timestamp is allowed for a position of type AT_TIMESTAMP alone.")),
        _ => Ok(QueueStart::Latest),
    }
}

/// A configuration with what the attributes of a request change.
fn changed(config: QueueConfig, attributes: Option<&Structure>) -> Result<QueueConfig, ServiceError> {
    let Some(attributes) = attributes else { return Ok(config) };
    let number = |structure: &Structure, name: &str| structure.integer(name).and_then(|it| u32::try_from(it).ok());
    let dead_letters = match attributes.structure("DeadLetterConfiguration") {
        None => config.dead_letters,
        Some(target) => match (target.str("TargetType"), number(target, "MaxReceiveCount")) {
            (Some("NONE"), None) => DeadLetters::None,
            (Some("NONE"), Some(_)) => {
                return Err(invalid("MaxReceiveCount cannot be specified with TargetType NONE."));
            }
            (_, count) => {
                let default = QueueConfig::default().dead_letters.max_receive_count().unwrap_or_default();
                DeadLetters::BuiltIn { max_receive_count: count.unwrap_or(default) }
            }
        },
    };
    let visibility_timeout_s = number(attributes, "VisibilityTimeoutSeconds").unwrap_or(config.visibility_timeout_s);
    Ok(QueueConfig { visibility_timeout_s, dead_letters })
}

/// DescribeQueue.
pub(crate) fn describe(service: &Arc<Service>, request: &Structure) -> Outcome {
    description(service, name_of(service, request)?)
}

/// UpdateQueue.
pub(crate) async fn update(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = name_of(service, request)?.to_owned();
    let (stream, entry) = entry(service, &name)?;
    let config = changed(entry.config, request.structure("QueueAttributes"))?;
    let open = service.stream_named(&stream).await?;
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let updated = blocking(move || stream.update_queue(&wanted, config)).await;
    updated.map_err(|error| of_queue(service, &name, &error))?;
    description(service, &name)
}

/// DeleteQueue.
pub(crate) async fn delete(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = name_of(service, request)?.to_owned();
    let open = service.stream_named(&entry(service, &name)?.0).await?;
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let deleted = blocking(move || stream.delete_queue(&wanted)).await;
    deleted.map_err(|error| of_queue(service, &name, &error))?;
    done()
}

/// ListQueues, by name.
pub(crate) fn list(service: &Arc<Service>, request: &Structure) -> Outcome {
    const OPERATION: &str = "ListQueues";
    let after = match request.str("NextToken") {
        Some(token) => Some(PageToken::open(&service.tokens, OPERATION, token, service.now_ms())?.after),
        None => None,
    };
    let page = request.integer("MaxResults").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE);
    let mut wanted = Vec::new();
    for filter in request.structures("StreamFilter") {
        wanted.push(service.stream_name(None, filter.str("StreamARN"))?);
    }
    let mut queues = service.engine.list_queues().map_err(|error| of_engine(&error))?;
    queues.retain(|(stream, _)| wanted.is_empty() || wanted.contains(&stream.name.as_str()));
    queues.sort_unstable_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    let mut rest = queues.iter().filter(|(_, queue)| after.as_ref().is_none_or(|after| queue.name > *after));
    let listed: Vec<_> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| listed.last()).map(|(_, last)| PageToken {
        operation: OPERATION.to_owned(),
        stream: (String::new(), 0),
        after: last.name.clone(),
        issued_ms: service.now_ms(),
    });
    let summaries = listed.into_iter().map(|(stream, queue)| {
        let of = Structure::new()
            .with("StreamARN", service.arn(&stream.name).to_string())
            .with("StreamCreationTimestamp", moment(stream.created_ms));
        common(service, queue).with("Streams", [of].into_iter().collect::<Value>())
    });
    let answer = Structure::new()
        .with("QueueSummaries", summaries.collect::<Value>())
        .with_some("NextToken", next.map(|token| token.seal(&service.tokens)));
    Ok(answer.into())
}

/// ReceiveQueueRecords and ReceiveDeadLetterQueueRecords: what is visible, or what becomes so while the caller waits.
pub(crate) async fn receive(service: &Arc<Service>, request: &Structure, lane: Lane) -> Outcome {
    let Found { open, queue } = find(service, request).await?;
    let number = |name: &str| request.integer(name).and_then(|it| u32::try_from(it).ok());
    let wanted = Receive {
        lane,
        records_max: number("Limit").map_or(*Receive::RECORDS_MAX.end(), |limit| limit as usize),
        visibility_timeout_s: number("VisibilityTimeoutSeconds"),
    };
    let wait = Duration::from_secs(number("WaitTimeSeconds").map_or(WAIT_S, u64::from));
    let end = Instant::now() + wait;
    loop {
        let mut change = std::pin::pin!(open.next_change());
        change.as_mut().enable();
        let received = queue.receive(wanted).map_err(|error| of_queue(service, &queue.name(), &error))?;
        if !received.messages.is_empty() || Instant::now() >= end || *service.stopping.borrow() {
            return records(&received.messages);
        }
        let again = received.look_again.map_or(end, |later| (Instant::now() + later).min(end));
        tokio::select! {
            _ = timeout_at(again, change) => {}
            () = service.stopped() => {}
        }
    }
}

fn records(messages: &[Message]) -> Outcome {
    let told = |message: &Message| -> millrace::Result<Structure> {
        let key = String::from_utf8_lossy(message.key()?).into_owned();
        Ok(Structure::new()
            .with("ReceiptHandle", message.receipt.as_str())
            .with("RecordId", record_id(message))
            .with("PartitionKey", key)
            .with("Data", Value::Blob(message.data()?.to_vec()))
            .with("ApproximateArrivalTimestamp", moment(message.arrival_ms()))
            .with("FirstReceiveTimestamp", moment(message.first_received_ms))
            .with("ReceiveCount", message.receive_count))
    };
    let told: millrace::Result<Vec<Structure>> = messages.iter().map(told).collect();
    let told = told.map_err(|error| of_engine(&error))?;
    Ok(Structure::new().with("QueueRecords", told.into_iter().collect::<Value>()).into())
}

/// What names a record in every queue of its stream: small letters and digits.
fn record_id(message: &Message) -> String {
    format!("{:08x}{:016x}", message.shard(), message.sequence())
}

/// What is done with each receipt of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement {
    /// AcknowledgeQueueRecords and AcknowledgeDeadLetterQueueRecords.
    Acknowledge,
    /// UpdateQueueRecordsVisibility and UpdateDeadLetterQueueRecordsVisibility.
    Hide,
    /// RestoreDeadLetterQueueRecords.
    Restore,
}

/// Settles the receipts of a request, each for itself.
pub(crate) async fn settle(service: &Arc<Service>, request: &Structure, how: Settlement) -> Outcome {
    let Found { queue, .. } = find(service, request).await?;
    let entries: Vec<&Structure> = request.structures("Entries").collect();
    let receipts: Vec<String> =
        entries.iter().map(|entry| entry.str("ReceiptHandle").unwrap_or_default().to_owned()).collect();
    let seconds = entries.iter().map(|entry| entry.integer("VisibilityTimeoutSeconds").unwrap_or_default());
    let seconds: Vec<u32> = seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)).collect();
    let (name, texts) = (queue.name(), receipts.clone());
    // What was settled is synced in a thread that serves nobody.
    let settled = blocking(move || {
        let settled = match how {
            Settlement::Acknowledge => queue.acknowledge(&texts, Commit::Caller)?,
            Settlement::Hide => return queue.hide(&texts, &seconds),
            Settlement::Restore => queue.restore(&texts, Commit::Caller)?,
        };
        queue.wait_acknowledged(settled.end)?;
        Ok(settled)
    });
    let Settled { results, .. } = settled.await.map_err(|error| of_queue(service, &name, &error))?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (receipt, result) in receipts.into_iter().zip(results) {
        let entry = Structure::new().with("ReceiptHandle", receipt);
        match result {
            Ok(()) => successful.push(entry),
            Err(error) => {
                let error = of_queue(service, &name, &error);
                failed.push(entry.with("ErrorCode", error.name.as_str()).with_some("ErrorMessage", error.message));
            }
        }
    }
    let answer = Structure::new()
        .with("Successful", successful.into_iter().collect::<Value>())
        .with("Failed", failed.into_iter().collect::<Value>());
    Ok(answer.into())
}

/// The name of the queue that a request is about.
fn name_of<'r>(service: &Service, request: &'r Structure) -> Result<&'r str, ServiceError> {
    name_of_arn(service, request.str("QueueARN").unwrap_or_default())
}

/// The name of the queue that an ARN is of.
pub(crate) fn name_of_arn<'r>(service: &Service, arn: &'r str) -> Result<&'r str, ServiceError> {
    let prefix = format!("arn:aws:kinesis:{}:{}:queue/", service.region, service.account);
    let name = arn.strip_prefix(&prefix).filter(|name| !name.is_empty());
    name.ok_or_else(|| not_found(service, arn.rsplit('/').next().unwrap_or_default()))
}

/// The queue of a name, which must exist, and the name of its stream.
pub(crate) fn entry(service: &Service, name: &str) -> Result<(String, QueueEntry), ServiceError> {
    let found = service.engine.queue_named(name).map_err(|error| of_queue(service, name, &error))?;
    Ok((found.0.name, found.1))
}

/// The queue that a request is about, open.
async fn find(service: &Service, request: &Structure) -> Result<Found, ServiceError> {
    let name = name_of(service, request)?.to_owned();
    let open = service.stream_named(&entry(service, &name)?.0).await?;
    let (stream, wanted) = (open.stream.clone(), name.clone());
    // The first who asks may have to recover the queue's log.
    let queue = blocking(move || stream.queue(&wanted)).await;
    Ok(Found { open, queue: queue.map_err(|error| of_queue(service, &name, &error))? })
}

fn description(service: &Service, name: &str) -> Outcome {
    let (stream, queue) = entry(service, name)?;
    let position = match queue.start {
        QueueStart::Latest => Structure::new().with("Type", "LATEST"),
        QueueStart::TrimHorizon => Structure::new().with("Type", "TRIM_HORIZON"),
        QueueStart::AtTimestamp(ms) => Structure::new().with("Type", "AT_TIMESTAMP").with("Timestamp", moment(ms)),
    };
    let configuration =
        Structure::new().with("StreamARN", service.arn(&stream).to_string()).with("StartingPosition", position);
    let told = common(service, &queue)
        .with("StreamConfigurationList", [configuration].into_iter().collect::<Value>())
        .with("QueueAttributes", attributes(queue.config));
    Ok(Structure::new().with("QueueDescription", told).into())
}

fn attributes(config: QueueConfig) -> Structure {
    let dead_letters = match config.dead_letters {
        DeadLetters::None => Structure::new().with("TargetType", "NONE"),
        DeadLetters::BuiltIn { max_receive_count } => {
            Structure::new().with("TargetType", "BUILT_IN").with("MaxReceiveCount", max_receive_count)
        }
    };
    Structure::new()
        .with("VisibilityTimeoutSeconds", config.visibility_timeout_s)
        .with("DeadLetterConfiguration", dead_letters)
}

/// What the description and the list tell.
fn common(service: &Service, queue: &QueueEntry) -> Structure {
    let arn = format!("arn:aws:kinesis:{}:{}:queue/{}", service.region, service.account, queue.name);
    Structure::new()
        .with("QueueName", queue.name.as_str())
        .with("QueueARN", arn)
        .with("QueueStatus", "ACTIVE")
        .with("QueueCreationTimestamp", moment(queue.created_ms))
}

fn moment(ms: u64) -> Value {
    Value::Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn not_found(service: &Service, name: &str) -> ServiceError {
    let message = format!("Queue {name} under account {} not found.", service.account);
    ServiceError::new(ErrorName::ResourceNotFound, message)
}

/// An error of the engine about a queue, in the service's names.
fn of_queue(service: &Service, name: &str, error: &millrace::Error) -> ServiceError {
    match error.kind() {
        Kind::QueueNotFound | Kind::StreamNotFound | Kind::StreamDeleting => not_found(service, name),
        Kind::QueueExists => ServiceError::new(ErrorName::ResourceInUse, error.message()),
        Kind::ReceiptInvalid | Kind::ReceiptExpired => ServiceError::new(ErrorName::InvalidArgument, error.message()),
        _ => of_engine(error),
    }
}
