//! The registered consumers of a stream.

use std::sync::Arc;

use millrace::{Consumer, Kind};
use millrace_kinesis::{ConsumerArn, ErrorName, PageToken, ServiceError, Structure, Value};

use super::{done, invalid, tags};
use crate::error::of_engine;
use crate::phases::Phase;
use crate::service::{Outcome, Service, consumer_key, not_found};
use crate::streams::{OpenStream, blocking};

/// How many consumers a page has where the caller does not say.
const PAGE: usize = 100;

/// RegisterStreamConsumer.
pub(crate) async fn register(service: &Arc<Service>, request: &Structure) -> Outcome {
    let stream = service.name_of(request)?;
    let open = service.whole_stream(stream).await?;
    let name = request.str("ConsumerName").unwrap_or_default().to_owned();
    let (key, now_ms) = (consumer_key(open.id, &name), service.clock.monotonic_ms());
    if service.consumer_phases.gone(&key, now_ms).is_some() {
        return Err(already_exists(service, &open, &name));
    }
    service.quotas.admit_creation("consumers", service.consumer_phases.creating(now_ms))?;
    let tags = tags::given(request);
    let (stream, wanted) = (open.stream.clone(), name.clone());
    let registered = blocking(move || stream.register_consumer(&wanted, tags)).await;
    let consumer = registered.map_err(|error| of_consumer(service, &open, &name, &error))?;
    service.consumer_phases.created(&key, now_ms);
    Ok(Structure::new().with("Consumer", told(service, &open, &consumer)).into())
}

/// DeregisterStreamConsumer.
pub(crate) async fn deregister(service: &Arc<Service>, request: &Structure) -> Outcome {
    let (open, consumer) = find(service, request).await?;
    admit(service, &open, &consumer)?;
    let (stream, name) = (open.stream.clone(), consumer.name.clone());
    let ended = blocking(move || stream.deregister_consumer(&name)).await;
    ended.map_err(|error| of_consumer(service, &open, &consumer.name, &error))?;
    let (key, now_ms) = (consumer_key(open.id, &consumer.name), service.clock.monotonic_ms());
    service.consumer_phases.deleted(&key, (open.id, consumer), now_ms);
    done()
}

/// DescribeStreamConsumer.
pub(crate) async fn describe(service: &Arc<Service>, request: &Structure) -> Outcome {
    let (open, consumer) = find(service, request).await?;
    let arn = service.arn(open.stream.name()).to_string();
    let told = told(service, &open, &consumer).with("StreamARN", arn);
    Ok(Structure::new().with("ConsumerDescription", told).into())
}

/// ListStreamConsumers, in the order of their registration.
pub(crate) async fn list(service: &Arc<Service>, request: &Structure) -> Outcome {
    const OPERATION: &str = "ListStreamConsumers";
    let open = service.stream_of(request).await?;
    let after = match request.str("NextToken") {
        None => None,
        Some(token) => {
            let token = PageToken::open(&service.tokens, OPERATION, token, service.now_ms())?;
            if token.stream != (open.stream.name().to_owned(), open.id) {
                return Err(invalid("Invalid NextToken."));
            }
            Some(token.after)
        }
    };
    let page = request.integer("MaxResults").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE);
    let mut consumers = open.stream.consumers().map_err(|error| service.of_stream(open.stream.name(), &error))?;
    let gone = service.consumer_phases.all_gone(service.clock.monotonic_ms());
    consumers.extend(gone.into_iter().filter(|(stream, _)| *stream == open.id).map(|(_, consumer)| consumer));
    consumers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut rest = consumers.iter().filter(|consumer| after.as_ref().is_none_or(|after| consumer.name > *after));
    let listed: Vec<&Consumer> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| listed.last()).map(|last| PageToken {
        operation: OPERATION.to_owned(),
        stream: (open.stream.name().to_owned(), open.id),
        after: last.name.clone(),
        issued_ms: service.now_ms(),
    });
    let listed = listed.into_iter().map(|consumer| told(service, &open, consumer));
    let answer = Structure::new()
        .with("Consumers", listed.collect::<Value>())
        .with_some("NextToken", next.map(|token| token.seal(&service.tokens)));
    Ok(answer.into())
}

/// A consumer as the service tells it.
fn told(service: &Service, open: &OpenStream, consumer: &Consumer) -> Structure {
    let arn = service.arn(open.stream.name()).consumer(&consumer.name, consumer.created_ms / 1_000);
    let created_ms = i64::try_from(consumer.created_ms).unwrap_or(i64::MAX);
    Structure::new()
        .with("ConsumerName", consumer.name.as_str())
        .with("ConsumerARN", arn)
        .with("ConsumerStatus", Phase::told(phase_of(service, open, &consumer.name)))
        .with("ConsumerCreationTimestamp", Value::Timestamp(created_ms))
}

/// The consumer that a request names: by its ARN, or by its stream's ARN and its name, or by all of them.
async fn find(service: &Service, request: &Structure) -> Result<(Arc<OpenStream>, Consumer), ServiceError> {
    if let Some(arn) = request.str("ConsumerARN") {
        let found = of_arn(service, arn).await?;
        if request.str("ConsumerName").is_some_and(|name| name != found.1.name) {
            return Err(invalid("ConsumerARN and ConsumerName do not name the same consumer."));
        }
        return Ok(found);
    }
    let (Some(stream), Some(name)) = (request.str("StreamARN"), request.str("ConsumerName")) else {
        return Err(invalid("Either ConsumerARN, or StreamARN and ConsumerName should be provided."));
    };
    let open = service.stream_named(service.stream_name(None, Some(stream))?).await?;
    let consumer = named(service, &open, name)?;
    Ok((open, consumer))
}

/// The consumer of a name, one that is `DELETING` too.
fn named(service: &Service, open: &OpenStream, name: &str) -> Result<Consumer, ServiceError> {
    let gone = service.consumer_phases.gone(&consumer_key(open.id, name), service.clock.monotonic_ms());
    match gone {
        Some((_, consumer)) => Ok(consumer),
        None => open.stream.consumer(name).map_err(|error| of_consumer(service, open, name, &error)),
    }
}

/// Whether a consumer can be used or deregistered: it has to be `ACTIVE`.
///
/// # Errors
/// `ResourceInUseException`.
pub(crate) fn admit(service: &Service, open: &OpenStream, consumer: &Consumer) -> Result<(), ServiceError> {
    let phase = phase_of(service, open, &consumer.name);
    if phase.is_none() {
        return Ok(());
    }
    let (name, stream, account, state) = (&consumer.name, open.stream.name(), &service.account, Phase::told(phase));
    let message =
        format!("Consumer {name} of stream {stream} under account {account} not ACTIVE, instead in state {state}");
    Err(ServiceError::new(ErrorName::ResourceInUse, message))
}

/// The consumer of an ARN. One that was registered at another time is another consumer.
pub(crate) async fn of_arn(service: &Service, arn: &str) -> Result<(Arc<OpenStream>, Consumer), ServiceError> {
    let parsed = ConsumerArn::parse(arn).ok_or_else(|| invalid(format!("{arn} is not the ARN of a consumer.")))?;
    if (parsed.stream.region, parsed.stream.account) != (service.region.as_str(), service.account.as_str()) {
        return Err(not_found(parsed.stream.stream, parsed.stream.account));
    }
    let open = service.stream_named(parsed.stream.stream).await?;
    let consumer = named(service, &open, parsed.name)?;
    if consumer.created_ms / 1_000 != parsed.created_s {
        return Err(no_consumer(service, &open, parsed.name));
    }
    Ok((open, consumer))
}

fn phase_of(service: &Service, open: &OpenStream, name: &str) -> Option<Phase> {
    service.consumer_phases.of(&consumer_key(open.id, name), service.clock.monotonic_ms())
}

fn already_exists(service: &Service, open: &OpenStream, name: &str) -> ServiceError {
    let (stream, account) = (open.stream.name(), &service.account);
    let message = format!("Consumer {name} of stream {stream} under account {account} already exists.");
    ServiceError::new(ErrorName::ResourceInUse, message)
}

fn no_consumer(service: &Service, open: &OpenStream, name: &str) -> ServiceError {
    let (stream, account) = (open.stream.name(), &service.account);
    let message = format!("Consumer {name} of stream {stream} under account {account} not found.");
    ServiceError::new(ErrorName::ResourceNotFound, message)
}

/// An error of the engine about a consumer, in the service's names.
fn of_consumer(service: &Service, open: &OpenStream, name: &str, error: &millrace::Error) -> ServiceError {
    let (stream, account) = (open.stream.name(), &service.account);
    match error.kind() {
        Kind::ConsumerNotFound => no_consumer(service, open, name),
        Kind::ConsumerExists => already_exists(service, open, name),
        Kind::StreamNotFound | Kind::StreamDeleting => not_found(stream, account),
        _ => of_engine(error),
    }
}
