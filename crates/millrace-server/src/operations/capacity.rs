//! What on-demand streams alone have: a throughput that they are warmed up for, and a distribution of records that passes
//! over their keys.

use std::sync::Arc;

use millrace::capacity::CapacityMode;
use millrace::{CommitmentStatus, RecordDistribution, StreamDescription};
use millrace_kinesis::{ErrorName, ServiceError, Structure};

use super::{done, invalid};
use crate::error::of_engine;
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// The most that a stream is warmed up for, in MiB/s, as the service has it by default.
const WARM_MIB_MAX: i64 = 10_240;

/// UpdateStreamWarmThroughput. The stream has the shards for it when this is answered.
pub(crate) async fn update_warm_throughput(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let name = open.stream.name().to_owned();
    let mode = open.stream.describe().config.mode;
    let wanted = warm_wanted(service, mode, request)?.unwrap_or_default();
    warm(service, &name, wanted).await?;
    service.updated(&name);
    let answer = Structure::new()
        .with("StreamARN", service.arn(&name).to_string())
        .with("StreamName", name.as_str())
        .with("WarmThroughput", told_warm(&open.stream.describe()));
    Ok(answer.into())
}

/// What a request wants a stream of a mode to be warmed up for, in MiB/s, if it says so.
pub(crate) fn warm_wanted(
    service: &Service,
    mode: CapacityMode,
    request: &Structure,
) -> Result<Option<i64>, ServiceError> {
    let Some(wanted) = request.integer("WarmThroughputMiBps") else { return Ok(None) };
    if mode == CapacityMode::Provisioned {
        return Err(invalid("Warm throughput is only supported for a stream in ON_DEMAND mode."));
    }
    let commitment = service.engine.throughput_commitment().map_err(|error| of_engine(&error))?;
    if commitment.status == CommitmentStatus::Disabled {
        return Err(invalid(
            "Warm throughput is only supported in an account that has MinimumThroughputBillingCommitment enabled.",
        ));
    }
    if wanted > WARM_MIB_MAX {
        let message = format!("Warm throughput of {wanted} MiBps exceeds the limit of {WARM_MIB_MAX} MiBps.");
        return Err(ServiceError::new(ErrorName::LimitExceeded, message));
    }
    Ok(Some(wanted))
}

/// Warms a stream up for so many MiB/s, or, with 0, releases it.
pub(crate) async fn warm(service: &Arc<Service>, name: &str, mib_per_second: i64) -> Result<(), ServiceError> {
    let (engine, of) = (Arc::clone(&service.engine), name.to_owned());
    let mib_per_second = u32::try_from(mib_per_second).ok().filter(|mib| *mib > 0);
    let warmed = blocking(move || engine.set_warm_throughput(&of, mib_per_second)).await;
    warmed.map_err(|error| service.of_stream(name, &error))
}

/// The warm throughput of a stream: what it is warmed up for, and what its open shards take.
pub(crate) fn told_warm(description: &StreamDescription) -> Structure {
    let open = description.shards.iter().filter(|shard| shard.is_open()).count();
    Structure::new()
        .with("TargetMiBps", description.warm_mib_per_second.unwrap_or_default())
        .with("CurrentMiBps", i64::try_from(open).unwrap_or(i64::MAX))
}

/// UpdateStreamRecordDistributionStrategy.
pub(crate) async fn update_distribution(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = service.stream_to_change(request).await?.stream.name().to_owned();
    let (engine, of, distribution) = (Arc::clone(&service.engine), name.clone(), distribution_of(request));
    let set = blocking(move || engine.set_record_distribution(&of, distribution)).await;
    set.map_err(|error| service.of_stream(&name, &error))?;
    service.updated(&name);
    done()
}

/// Who decides which shard a record goes to, as a request has it.
pub(crate) fn distribution_of(request: &Structure) -> RecordDistribution {
    match request.str("RecordDistributionStrategy") {
        Some("AUTO") => RecordDistribution::Auto,
        _ => RecordDistribution::PartitionKey,
    }
}

/// The same as the service tells it.
pub(crate) fn told_distribution(distribution: RecordDistribution) -> &'static str {
    match distribution {
        RecordDistribution::Auto => "AUTO",
        RecordDistribution::PartitionKey => "USER_PARTITION_KEY",
    }
}
