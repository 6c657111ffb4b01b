//! The operations, a file a noun. Each takes a request that is valid by the model and answers as the service does.

pub(crate) mod account;
pub(crate) mod capacity;
pub(crate) mod channels;
pub(crate) mod consumers;
pub(crate) mod encryption;
pub(crate) mod get;
pub(crate) mod lists;
pub(crate) mod monitoring;
pub(crate) mod policies;
pub(crate) mod put;
pub(crate) mod queues;
pub(crate) mod reshard;
pub(crate) mod shards;
pub(crate) mod streams;
pub(crate) mod subscribe;
pub(crate) mod tags;

use std::sync::Arc;

use millrace::Lane;
use millrace_kinesis::{ErrorName, Format, Operation, ServiceError, Structure};

use self::queues::Settlement;
use crate::answer::Answer;
use crate::service::{Outcome, Service};

/// Finds an operation by its name. What the model has and this does not is refused by name: docs/compatibility.md lists it.
pub(crate) async fn dispatch(
    service: &Arc<Service>,
    operation: &Operation,
    format: Format,
    request: &Structure,
) -> Outcome {
    match operation.name {
        "AcknowledgeDeadLetterQueueRecords" | "AcknowledgeQueueRecords" => {
            queues::settle(service, request, Settlement::Acknowledge).await
        }
        "AddTagsToStream" => tags::add_to_stream(service, request).await,
        "CreateChannel" => channels::create(service, request).await,
        "CreateQueue" => queues::create(service, request).await,
        "CreateStream" => streams::create(service, request).await,
        "DecreaseStreamRetentionPeriod" => streams::decrease_retention(service, request).await,
        "DeleteChannel" => channels::delete(service, request).await,
        "DeleteQueue" => queues::delete(service, request).await,
        "DeleteResourcePolicy" => policies::delete(service, request).await,
        "DeleteStream" => streams::delete(service, request).await,
        "DeregisterStreamConsumer" => consumers::deregister(service, request).await,
        "DescribeChannel" => channels::describe(service, request),
        "DescribeAccountSettings" => account::describe(service),
        "DescribeLimits" => lists::describe_limits(service),
        "DescribeQueue" => queues::describe(service, request),
        "DescribeStream" => streams::describe(service, request).await,
        "DescribeStreamConsumer" => consumers::describe(service, request).await,
        "DescribeStreamSummary" => streams::describe_summary(service, request).await,
        "DisableEnhancedMonitoring" => monitoring::disable(service, request).await,
        "EnableEnhancedMonitoring" => monitoring::enable(service, request).await,
        "GetRecords" => get::get_records(service, format, request).await,
        "GetResourcePolicy" => policies::get(service, request).await,
        "GetShardIterator" => get::get_shard_iterator(service, request).await,
        "IncreaseStreamRetentionPeriod" => streams::increase_retention(service, request).await,
        "ListChannels" => channels::list(service, request),
        "ListQueues" => queues::list(service, request),
        "ListShards" => shards::list(service, request).await,
        "ListStreamConsumers" => consumers::list(service, request).await,
        "ListStreams" => lists::list_streams(service, request),
        "ListTagsForResource" => tags::list(service, request).await,
        "ListTagsForStream" => tags::list_for_stream(service, request).await,
        "MergeShards" => reshard::merge(service, request).await,
        "PutRecord" => put::put_record(service, request).await,
        "PutResourcePolicy" => policies::put(service, request).await,
        "ReceiveDeadLetterQueueRecords" => queues::receive(service, request, Lane::DeadLetters).await,
        "ReceiveQueueRecords" => queues::receive(service, request, Lane::Records).await,
        "RegisterStreamConsumer" => consumers::register(service, request).await,
        "RemoveTagsFromStream" => tags::remove_from_stream(service, request).await,
        "RestoreDeadLetterQueueRecords" => queues::settle(service, request, Settlement::Restore).await,
        "SplitShard" => reshard::split(service, request).await,
        "StartStreamEncryption" => encryption::start(service, request).await,
        "StopStreamEncryption" => encryption::stop(service, request).await,
        "SubscribeToShard" => subscribe::subscribe(service, format, request).await,
        "TagResource" => tags::tag(service, request).await,
        "UntagResource" => tags::untag(service, request).await,
        "UpdateChannel" => channels::update(service, request).await,
        "UpdateDeadLetterQueueRecordsVisibility" | "UpdateQueueRecordsVisibility" => {
            queues::settle(service, request, Settlement::Hide).await
        }
        "UpdateMaxRecordSize" => streams::update_max_record_size(service, request).await,
        "UpdateQueue" => queues::update(service, request).await,
        "UpdateAccountSettings" => account::update(service, request).await,
        "UpdateShardCount" => reshard::update_count(service, request).await,
        "UpdateStreamMode" => streams::update_mode(service, request).await,
        "UpdateStreamRecordDistributionStrategy" => capacity::update_distribution(service, request).await,
        "UpdateStreamWarmThroughput" => capacity::update_warm_throughput(service, request).await,
        name => Err(not_implemented(name)),
    }
}

/// An operation of the service that this server does not have.
fn not_implemented(operation: &str) -> ServiceError {
    let message = format!("Millrace does not support {operation} yet; docs/compatibility.md lists what it does.");
    ServiceError::new(ErrorName::InvalidArgument, message)
}

/// Ends a rehearsal: all was checked, and nothing is written.
pub(crate) fn unless_dry_run(is_dry_run: bool) -> Result<(), ServiceError> {
    if is_dry_run {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ServiceError::new(ErrorName::DryRunOperation, message));
    }
    Ok(())
}

/// An argument that is none for this resource.
pub(crate) fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorName::InvalidArgument, message)
}

/// The answer of an operation that has nothing to say.
pub(crate) fn done() -> Outcome {
    Ok(Answer::empty())
}
