//! Tags: of streams by name, and of streams, consumers, queues and channels by ARN.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace::{Kind, Tags};
use millrace_kinesis::{ServiceError, Structure, Value};

use super::{channels, consumers, done, invalid, queues};
use crate::service::{Outcome, Service};
use crate::streams::{OpenStream, blocking};

/// The most tags that a stream has, as the service has it.
const TAGS_MAX: usize = 50;

/// What has tags, and a policy.
pub(crate) enum Resource {
    Stream(Arc<OpenStream>),
    Consumer(Arc<OpenStream>, String),
    Queue(Arc<OpenStream>, String),
    Channel(Arc<OpenStream>, String),
}

/// AddTagsToStream.
pub(crate) async fn add_to_stream(service: &Arc<Service>, request: &Structure) -> Outcome {
    let resource = Resource::Stream(service.stream_of(request).await?);
    change(service, resource, &given(request), &[]).await
}

/// RemoveTagsFromStream.
pub(crate) async fn remove_from_stream(service: &Arc<Service>, request: &Structure) -> Outcome {
    let resource = Resource::Stream(service.stream_of(request).await?);
    change(service, resource, &Tags::new(), &keys(request)).await
}

/// ListTagsForStream, by key.
pub(crate) async fn list_for_stream(service: &Arc<Service>, request: &Structure) -> Outcome {
    let tags = Resource::Stream(service.stream_of(request).await?).tags(service)?;
    let after = request.str("ExclusiveStartTagKey");
    let page = request.integer("Limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS_MAX);
    let mut rest = tags.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
    let listed: Value = rest.by_ref().take(page).map(told).collect();
    let has_more = rest.next().is_some();
    Ok(Structure::new().with("Tags", listed).with("HasMoreTags", has_more).into())
}

/// TagResource.
pub(crate) async fn tag(service: &Arc<Service>, request: &Structure) -> Outcome {
    let resource = find(service, request).await?;
    change(service, resource, &given(request), &[]).await
}

/// UntagResource.
pub(crate) async fn untag(service: &Arc<Service>, request: &Structure) -> Outcome {
    let resource = find(service, request).await?;
    change(service, resource, &Tags::new(), &keys(request)).await
}

/// ListTagsForResource.
pub(crate) async fn list(service: &Arc<Service>, request: &Structure) -> Outcome {
    let tags = find(service, request).await?.tags(service)?;
    Ok(Structure::new().with("Tags", tags.iter().map(told).collect::<Value>()).into())
}

/// The tags of a request.
pub(crate) fn given(request: &Structure) -> Tags {
    request.texts("Tags").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn keys(request: &Structure) -> Vec<String> {
    request.strings("TagKeys").map(str::to_owned).collect()
}

fn told((key, value): (&String, &String)) -> Structure {
    Structure::new().with("Key", key.as_str()).with("Value", value.as_str())
}

/// The resource of an ARN.
pub(crate) async fn find(service: &Arc<Service>, request: &Structure) -> Result<Resource, ServiceError> {
    let arn = request.str("ResourceARN").unwrap_or_default();
    if arn.contains(":queue/") {
        let name = queues::name_of_arn(service, arn)?;
        let (stream, _) = queues::entry(service, name)?;
        return Ok(Resource::Queue(service.stream_named(&stream).await?, name.to_owned()));
    }
    if arn.contains(":channel/") {
        let name = channels::name_of_arn(service, arn)?;
        let stream = channels::report(service, name)?.stream.name;
        return Ok(Resource::Channel(service.stream_named(&stream).await?, name.to_owned()));
    }
    if arn.contains("/consumer/") {
        let (open, consumer) = consumers::of_arn(service, arn).await?;
        return Ok(Resource::Consumer(open, consumer.name));
    }
    Ok(Resource::Stream(service.stream_named(service.stream_name(None, Some(arn))?).await?))
}

impl Resource {
    /// The stream that it is, or is of.
    pub fn open(&self) -> &Arc<OpenStream> {
        match self {
            Resource::Stream(open)
            | Resource::Consumer(open, _)
            | Resource::Queue(open, _)
            | Resource::Channel(open, _) => open,
        }
    }

    fn tags(&self, service: &Service) -> Result<Tags, ServiceError> {
        match self {
            Resource::Stream(open) => Ok(open.stream.describe().config.tags),
            Resource::Consumer(open, name) => {
                let consumer = open.stream.consumer(name);
                consumer.map(|consumer| consumer.tags).map_err(|error| service.of_stream(open.stream.name(), &error))
            }
            Resource::Queue(_, name) => Ok(queues::entry(service, name)?.1.tags),
            Resource::Channel(_, name) => Ok(channels::report(service, name)?.channel.tags),
        }
    }
}

/// Adds tags to a resource and removes those of some keys.
async fn change(service: &Arc<Service>, resource: Resource, added: &Tags, removed: &[String]) -> Outcome {
    let stream = resource.open().stream.clone();
    let name = stream.name().to_owned();
    let changed =
        match resource {
            Resource::Stream(_) => {
                let (engine, added) = (Arc::clone(&service.engine), added.clone());
                let (keys, name): (BTreeSet<String>, String) = (removed.iter().cloned().collect(), name.clone());
                blocking(move || {
                    if keys.is_empty() { engine.tag_stream(&name, added) } else { engine.untag_stream(&name, keys) }
                })
                .await
            }
            Resource::Consumer(_, ref consumer) => {
                let (tags, consumer) = (edited(resource.tags(service)?, added, removed), consumer.clone());
                blocking(move || stream.tag_consumer(&consumer, tags)).await
            }
            Resource::Queue(_, ref queue) => {
                let (tags, queue) = (edited(resource.tags(service)?, added, removed), queue.clone());
                blocking(move || stream.tag_queue(&queue, tags)).await
            }
            Resource::Channel(_, ref channel) => {
                let (tags, channel) = (edited(resource.tags(service)?, added, removed), channel.clone());
                blocking(move || stream.tag_channel(&channel, tags)).await
            }
        };
    changed.map_err(|error| of_tags(service, &name, &error))?;
    done()
}

fn edited(mut tags: Tags, added: &Tags, removed: &[String]) -> Tags {
    tags.extend(added.clone());
    tags.retain(|key, _| !removed.contains(key));
    tags
}

/// An error of the engine about tags, in the service's words.
fn of_tags(service: &Service, stream: &str, error: &millrace::Error) -> ServiceError {
    match error.kind() {
        Kind::LimitExceeded => invalid(format!(
            "Failed to add tags to stream {stream} under account {} because a given stream cannot have more than {TAGS_MAX} \
             tags associated with it.",
            service.account
        )),
        _ => service.of_stream(stream, error),
    }
}
