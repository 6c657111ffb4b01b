//! CreateStream, DescribeStream and what else is about one stream.

use std::sync::Arc;

use millrace::capacity::{CapacityMode, ON_DEMAND_SHARDS};
use millrace::{Retention, StreamConfig, StreamDescription};
use millrace_kinesis::{Encryption, ErrorName, ServiceError, Structure, Value, shard_number};

use super::{capacity, done, invalid, monitoring, shards, tags};
use crate::phases::Phase;
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// How many shards DescribeStream tells where the caller does not say.
const PAGE: usize = 100;
/// The shortest retention, in hours.
const RETENTION_HOURS_MIN: i64 = 24;

/// CreateStream.
pub(crate) async fn create(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = request.str("StreamName").unwrap_or_default().to_owned();
    let mode = mode_of(request);
    let shards = match (mode, request.integer("ShardCount")) {
        (CapacityMode::OnDemand, Some(_)) => {
            return Err(invalid("ShardCount cannot be specified for a stream in ON_DEMAND mode."));
        }
        (CapacityMode::OnDemand, None) => i64::from(ON_DEMAND_SHARDS),
        (CapacityMode::Provisioned, Some(shards)) => shards,
        (CapacityMode::Provisioned, None) => {
            return Err(invalid("ShardCount is required for a stream in PROVISIONED mode."));
        }
    };
    let _turn = service.quotas.turn().await;
    admit(service, &name, mode, shards).await?;
    let shards = u32::try_from(shards).unwrap_or(u32::MAX);
    let warm = capacity::warm_wanted(service, mode, request)?;
    let record_kib = request.integer("MaxRecordSizeInKiB").and_then(|kib| u32::try_from(kib).ok());
    let default = StreamConfig::default();
    let max_record_bytes = record_kib.map_or(default.max_record_bytes, |kib| kib.saturating_mul(1_024));
    let config = StreamConfig {
        shards,
        max_record_bytes,
        durability: service.durability,
        limits: service.limits,
        mode,
        tags: tags::given(request),
        distribution: capacity::distribution_of(request),
        ..default
    };
    let (engine, wanted) = (Arc::clone(&service.engine), name.clone());
    blocking(move || engine.create_stream(&wanted, config).map(drop))
        .await
        .map_err(|error| service.of_stream(&name, &error))?;
    service.stream_phases.created(&name, service.clock.monotonic_ms());
    if let Some(mib) = warm.filter(|mib| *mib > 0) {
        capacity::warm(service, &name, mib).await?;
    }
    done()
}

/// Whether a stream may be created: the name is free, and the account may have one more.
async fn admit(service: &Service, name: &str, mode: CapacityMode, shards: i64) -> Result<(), ServiceError> {
    let now_ms = service.clock.monotonic_ms();
    if service.stream_phases.gone(name, now_ms).is_some() {
        return Err(service.already_exists(name));
    }
    let quotas = &service.quotas;
    let room = quotas.admit_creation("streams", service.stream_phases.creating(now_ms)).and_then(|()| match mode {
        CapacityMode::Provisioned => quotas.admit_shards(service, shards),
        CapacityMode::OnDemand => quotas.admit_on_demand_stream(service),
    });
    // The service looks for the name first.
    match room {
        Err(_) if service.streams.get(name).await.is_ok() => Err(service.already_exists(name)),
        room => room,
    }
}

fn mode_of(request: &Structure) -> CapacityMode {
    match request.structure("StreamModeDetails").and_then(|details| details.str("StreamMode")) {
        Some("ON_DEMAND") => CapacityMode::OnDemand,
        _ => CapacityMode::Provisioned,
    }
}

/// A mode as the service tells it.
pub(crate) fn told_mode(mode: CapacityMode) -> Structure {
    Structure::new().with("StreamMode", if mode == CapacityMode::OnDemand { "ON_DEMAND" } else { "PROVISIONED" })
}

/// UpdateStreamMode.
pub(crate) async fn update_mode(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let name = open.stream.name().to_owned();
    let mode = mode_of(request);
    let warm = capacity::warm_wanted(service, mode, request)?;
    let _turn = service.quotas.turn().await;
    let present = open.stream.describe();
    match mode {
        _ if present.config.mode == mode => {}
        CapacityMode::OnDemand => service.quotas.admit_on_demand_stream(service)?,
        CapacityMode::Provisioned => service.quotas.admit_shards(service, open_shards(&present))?,
    }
    let (engine, of) = (Arc::clone(&service.engine), name.clone());
    blocking(move || engine.set_mode(&of, mode)).await.map_err(|error| service.of_stream(&name, &error))?;
    if let Some(mib) = warm {
        capacity::warm(service, &name, mib).await?;
    }
    service.updated(&name);
    done()
}

/// DeleteStream.
pub(crate) async fn delete(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let name = open.stream.name().to_owned();
    let of_stream = |error| service.of_stream(&name, &error);
    let account = &service.account;
    if !request.is("EnforceConsumerDeletion") && !open.stream.consumers().map_err(of_stream)?.is_empty() {
        return Err(in_use(format!(
            "Stream {name} under account {account} has registered consumers: deregister them, or set \
             EnforceConsumerDeletion."
        )));
    }
    if !open.stream.queues().map_err(of_stream)?.is_empty() {
        return Err(in_use(format!("Stream {name} under account {account} has queues: delete them first.")));
    }
    if !open.stream.channels().map_err(of_stream)?.is_empty() {
        return Err(in_use(format!("Stream {name} under account {account} has channels: delete them first.")));
    }
    let (engine, wanted) = (Arc::clone(&service.engine), name.clone());
    blocking(move || engine.delete_stream(&wanted)).await.map_err(|error| service.of_stream(&name, &error))?;
    service.stream_phases.deleted(&name, open, service.clock.monotonic_ms());
    done()
}

fn in_use(message: String) -> ServiceError {
    ServiceError::new(ErrorName::ResourceInUse, message)
}

/// UpdateMaxRecordSize.
pub(crate) async fn update_max_record_size(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = service.stream_to_change(request).await?.stream.name().to_owned();
    let kib = request.integer("MaxRecordSizeInKiB").and_then(|kib| u32::try_from(kib).ok()).unwrap_or(u32::MAX);
    let (engine, of) = (Arc::clone(&service.engine), name.clone());
    let set = blocking(move || engine.set_max_record_bytes(&of, kib.saturating_mul(1_024))).await;
    set.map_err(|error| service.of_stream(&name, &error))?;
    service.updated(&name);
    done()
}

/// DescribeStream.
pub(crate) async fn describe(service: &Arc<Service>, request: &Structure) -> Outcome {
    let (open, phase) = service.stream_to_describe(request).await?;
    let mut description = open.stream.describe();
    if phase == Some(Phase::Creating) {
        description.shards.clear();
    }
    let after = request
        .str("ExclusiveStartShardId")
        .map(|id| shard_number(id).ok_or_else(|| shards::could_not_find(service, id, &description.name)));
    let after = after.transpose()?;
    let page = request.integer("Limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let mut rest = description.shards.iter().filter(|shard| after.is_none_or(|after| shard.id.0 > after));
    let listed: Value = rest.by_ref().take(page).map(|shard| shards::told(&open, shard)).collect();
    let has_more = rest.next().is_some();
    let told = common(service, &description, phase).with("Shards", listed).with("HasMoreShards", has_more);
    Ok(Structure::new().with("StreamDescription", told).into())
}

/// DescribeStreamSummary.
pub(crate) async fn describe_summary(service: &Arc<Service>, request: &Structure) -> Outcome {
    let (open, phase) = service.stream_to_describe(request).await?;
    let description = open.stream.describe();
    let of_stream = |error| service.of_stream(&description.name, &error);
    let (registered, queues) = match phase {
        Some(Phase::Deleting) => (0, 0),
        _ => (open.stream.consumers().map_err(of_stream)?.len(), open.stream.queues().map_err(of_stream)?.len()),
    };
    let config = &description.config;
    let distribution = capacity::told_distribution(config.distribution);
    let is_on_demand = config.mode == CapacityMode::OnDemand;
    let open_shards = if phase == Some(Phase::Creating) { 0 } else { open_shards(&description) };
    let kib = config.max_record_bytes.div_ceil(1_024);
    let told = common(service, &description, phase)
        .with("OpenShardCount", open_shards)
        .with("ConsumerCount", i64::try_from(registered).unwrap_or(i64::MAX))
        .with("MaxRecordSizeInKiB", kib)
        .with("QueueCount", i64::try_from(queues).unwrap_or(i64::MAX))
        .with_some("WarmThroughput", description.warm_mib_per_second.map(|_| capacity::told_warm(&description)))
        .with_some("RecordDistributionStrategy", is_on_demand.then_some(distribution));
    Ok(Structure::new().with("StreamDescriptionSummary", told).into())
}

fn open_shards(description: &StreamDescription) -> i64 {
    let open = description.shards.iter().filter(|shard| shard.is_open()).count();
    i64::try_from(open).unwrap_or(i64::MAX)
}

/// What both descriptions tell.
fn common(service: &Service, description: &StreamDescription, phase: Option<Phase>) -> Structure {
    let config = &description.config;
    let metrics = Structure::new().with("ShardLevelMetrics", monitoring::told(&config.shard_metrics));
    let encryption = if config.encryption_key.is_some() { Encryption::Kms } else { Encryption::None };
    let created_ms = i64::try_from(description.created_ms).unwrap_or(i64::MAX);
    Structure::new()
        .with("StreamName", description.name.as_str())
        .with("StreamARN", service.arn(&description.name).to_string())
        .with("StreamStatus", Phase::told(phase))
        .with("StreamModeDetails", told_mode(config.mode))
        .with("RetentionPeriodHours", hours(config.retention))
        .with("StreamCreationTimestamp", Value::Timestamp(created_ms))
        .with("EnhancedMonitoring", [metrics].into_iter().collect::<Value>())
        .with("EncryptionType", encryption.as_str())
        .with_some("KeyId", config.encryption_key.as_deref())
}

/// A retention in hours. One without end is told as the longest that the service has.
fn hours(retention: Retention) -> i64 {
    match retention {
        Retention::Hours(hours) => i64::from(hours),
        Retention::Unbounded => i64::from(*Retention::HOURS.end()),
    }
}

/// IncreaseStreamRetentionPeriod.
pub(crate) async fn increase_retention(service: &Arc<Service>, request: &Structure) -> Outcome {
    let longest = i64::from(*Retention::HOURS.end());
    set_retention(service, request, |name, wanted, present| {
        if wanted > longest {
            return Err(format!(
                "Maximum allowed retention period is {longest} hours. Requested retention period ({wanted} hours) is too \
                 long."
            ));
        }
        if wanted < present {
            return Err(format!(
                "Requested retention period ({wanted} hours) for stream {name} can not be shorter than existing retention \
                 period ({present} hours). Use DecreaseRetentionPeriod API."
            ));
        }
        Ok(())
    })
    .await
}

/// DecreaseStreamRetentionPeriod.
pub(crate) async fn decrease_retention(service: &Arc<Service>, request: &Structure) -> Outcome {
    set_retention(service, request, |name, wanted, present| {
        if wanted > present {
            return Err(format!(
                "Requested retention period ({wanted} hours) for stream {name} can not be longer than existing retention \
                 period ({present} hours). Use IncreaseRetentionPeriod API."
            ));
        }
        Ok(())
    })
    .await
}

async fn set_retention(
    service: &Arc<Service>,
    request: &Structure,
    check: impl FnOnce(&str, i64, i64) -> Result<(), String>,
) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let name = open.stream.name().to_owned();
    let wanted = request.integer("RetentionPeriodHours").unwrap_or_default();
    if wanted < RETENTION_HOURS_MIN {
        return Err(invalid(format!(
            "Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. Requested retention period ({wanted} hours) is \
             too short."
        )));
    }
    check(&name, wanted, hours(open.stream.describe().config.retention)).map_err(invalid)?;
    let retention = Retention::Hours(u32::try_from(wanted).unwrap_or(u32::MAX));
    let (engine, of) = (Arc::clone(&service.engine), name.clone());
    blocking(move || engine.set_retention(&of, retention)).await.map_err(|error| service.of_stream(&name, &error))?;
    service.updated(&name);
    done()
}
