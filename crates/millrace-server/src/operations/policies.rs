//! Resource policies of streams, consumers and queues: kept and told, and evaluated by nobody.

use std::sync::Arc;

use millrace::{Kind, PolicyHolder};
use millrace_kinesis::{ErrorName, ServiceError, Structure};

use super::tags::{Resource, find};
use super::{done, invalid};
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// PutResourcePolicy.
pub(crate) async fn put(service: &Arc<Service>, request: &Structure) -> Outcome {
    set(service, request, request.str("Policy").map(str::to_owned)).await?;
    done()
}

/// GetResourcePolicy: an empty document where there is none.
pub(crate) async fn get(service: &Arc<Service>, request: &Structure) -> Outcome {
    let resource = find(service, request).await?;
    let policy = resource.open().stream.policy(&holder(&resource)?);
    let policy = policy.map_err(|error| of_policy(service, &resource, request, &error))?;
    Ok(Structure::new().with("Policy", policy.unwrap_or_else(|| "{}".to_owned())).into())
}

/// DeleteResourcePolicy: an error where there is none.
pub(crate) async fn delete(service: &Arc<Service>, request: &Structure) -> Outcome {
    if set(service, request, None).await?.is_some() {
        return done();
    }
    let arn = request.str("ResourceARN").unwrap_or_default();
    let message = format!("No resource policy found for resource ARN {arn}.");
    Err(ServiceError::new(ErrorName::ResourceNotFound, message))
}

/// Sets the policy of a resource, or takes it away; returns the one before.
async fn set(
    service: &Arc<Service>,
    request: &Structure,
    policy: Option<String>,
) -> Result<Option<String>, ServiceError> {
    let resource = find(service, request).await?;
    let (stream, holder) = (resource.open().stream.clone(), holder(&resource)?);
    let before = blocking(move || stream.set_policy(holder, policy)).await;
    before.map_err(|error| of_policy(service, &resource, request, &error))
}

fn holder(resource: &Resource) -> Result<PolicyHolder, ServiceError> {
    match resource {
        Resource::Stream(_) => Ok(PolicyHolder::Stream),
        Resource::Consumer(_, name) => Ok(PolicyHolder::Consumer(name.clone())),
        Resource::Queue(_, name) => Ok(PolicyHolder::Queue(name.clone())),
        Resource::Channel(..) => {
            Err(invalid("A channel has no resource policy; a stream, a consumer or a queue may have one."))
        }
    }
}

/// An error of the engine about a policy, in the service's names.
fn of_policy(service: &Service, resource: &Resource, request: &Structure, error: &millrace::Error) -> ServiceError {
    match error.kind() {
        // It was there when it was looked for, and is gone since.
        Kind::ConsumerNotFound | Kind::QueueNotFound => {
            let arn = request.str("ResourceARN").unwrap_or_default();
            ServiceError::new(ErrorName::ResourceNotFound, format!("Resource {arn} not found."))
        }
        _ => service.of_stream(resource.open().stream.name(), error),
    }
}
