//! SplitShard, MergeShards and UpdateShardCount.

use std::sync::Arc;

use millrace::Kind;
use millrace::capacity::CapacityMode;
use millrace::shard::{HashKey, Shard, ShardId};
use millrace_kinesis::{ErrorName, ServiceError, Structure, shard_name};

use super::{done, invalid, shards};
use crate::service::{Outcome, Service};
use crate::streams::{OpenStream, blocking};

/// SplitShard.
pub(crate) async fn split(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let shard = open_shard(service, &open, request.str("ShardToSplit").unwrap_or_default())?;
    let text = request.str("NewStartingHashKey").unwrap_or_default();
    // What has more than 128 bits lies behind the end of every shard.
    let at = text.parse::<u128>().ok().filter(|at| *at > shard.range.start + 1 && *at < shard.range.end);
    let at = at.ok_or_else(|| {
        let (name, stream, account) = (shard.id, open.stream.name(), &service.account);
        invalid(format!(
            "NewStartingHashKey {text} used in SplitShard() on shard {name} in stream {stream} under account {account} is \
             not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
            shard.range.start, shard.range.end
        ))
    })?;
    let _turn = service.quotas.turn().await;
    if open.stream.describe().config.mode == CapacityMode::Provisioned {
        service.quotas.admit_shards(service, 1)?;
    }
    change(service, &open, move |open| open.stream.split_shard(shard.id, Some(HashKey(at))).map(drop)).await?;
    done()
}

/// MergeShards.
pub(crate) async fn merge(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let one = open_shard(service, &open, request.str("ShardToMerge").unwrap_or_default())?;
    let other = open_shard(service, &open, request.str("AdjacentShardToMerge").unwrap_or_default())?;
    let adjoin = one.range.end.checked_add(1) == Some(other.range.start)
        || other.range.end.checked_add(1) == Some(one.range.start);
    if !adjoin {
        let (stream, account) = (open.stream.name(), &service.account);
        return Err(invalid(format!(
            "Shards {} and {} in stream {stream} under account {account} are not an adjacent pair of shards eligible for \
             merging",
            one.id, other.id
        )));
    }
    change(service, &open, move |open| open.stream.merge_shards(one.id, other.id).map(drop)).await?;
    done()
}

/// UpdateShardCount.
pub(crate) async fn update_count(service: &Arc<Service>, request: &Structure) -> Outcome {
    let open = service.stream_to_change(request).await?;
    let present = open.stream.describe().shards.iter().filter(|shard| shard.is_open()).count();
    let target = request.integer("TargetShardCount").unwrap_or_default();
    let count = u32::try_from(target).unwrap_or(u32::MAX);
    let present = i64::try_from(present).unwrap_or(i64::MAX);
    let _turn = service.quotas.turn().await;
    service.quotas.admit_shards(service, target.saturating_sub(present))?;
    change(service, &open, move |open| open.stream.update_shard_count(count).map(drop)).await?;
    let name = open.stream.name();
    let answer = Structure::new()
        .with("StreamName", name)
        .with("CurrentShardCount", present)
        .with("TargetShardCount", target)
        .with("StreamARN", service.arn(name).to_string());
    Ok(answer.into())
}

/// Changes the shards of a stream, off the threads that serve: the change is on disk when it returns.
async fn change(
    service: &Service,
    open: &Arc<OpenStream>,
    work: impl FnOnce(&OpenStream) -> millrace::Result<()> + Send + 'static,
) -> Result<(), ServiceError> {
    let shared = Arc::clone(open);
    let changed = blocking(move || work(&shared)).await;
    changed.map_err(|error| match error.kind() {
        // What one call asks that the service's quotas do not allow.
        Kind::LimitExceeded => ServiceError::new(ErrorName::LimitExceeded, error.message()),
        _ => service.of_stream(open.stream.name(), &error),
    })?;
    service.updated(open.stream.name());
    Ok(())
}

/// The shard that a caller means, which must be open.
fn open_shard(service: &Service, open: &OpenStream, id: &str) -> Result<Shard, ServiceError> {
    let stream = open.stream.name();
    let number = millrace_kinesis::shard_number(id).ok_or_else(|| shards::could_not_find(service, id, stream))?;
    let shard = open.stream.describe().shards.into_iter().find(|shard| shard.id == ShardId(number));
    let shard = shard.ok_or_else(|| shards::could_not_find(service, &shard_name(number), stream))?;
    if shard.is_open() {
        return Ok(shard);
    }
    let (name, account) = (shard.id, &service.account);
    Err(invalid(format!(
        "Shard {name} in stream {stream} under account {account} has already been merged or split, and thus is not eligible \
         for merging or splitting."
    )))
}
