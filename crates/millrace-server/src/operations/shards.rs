//! The shards of a stream: how they are told, listed, and found.

use std::sync::Arc;

use millrace::ShardFilter;
use millrace::shard::{Shard, ShardId};
use millrace_kinesis::{ErrorName, PageToken, ServiceError, Structure, Value, shard_name, shard_number};

use super::invalid;
use crate::service::{Outcome, Service, not_found};
use crate::streams::OpenStream;

/// How many shards a page has where the caller does not say.
const PAGE: usize = 1_000;

/// A shard as the service tells it.
pub(crate) fn told(open: &OpenStream, shard: &Shard) -> Structure {
    let number = shard.id.0;
    let sequences =
        Structure::new().with("StartingSequenceNumber", open.sequence_number(number, shard.opened_at.0)).with_some(
            "EndingSequenceNumber",
            shard.closed_at.map(|closed_at| open.sequence_number(number, closed_at.0.saturating_sub(1))),
        );
    Structure::new()
        .with("ShardId", shard_name(number))
        .with_some("ParentShardId", shard.parent.map(|parent| shard_name(parent.0)))
        .with_some("AdjacentParentShardId", shard.adjacent_parent.map(|parent| shard_name(parent.0)))
        .with("HashKeyRange", hash_key_range(shard))
        .with("SequenceNumberRange", sequences)
}

fn hash_key_range(shard: &Shard) -> Structure {
    Structure::new()
        .with("StartingHashKey", shard.range.start.to_string())
        .with("EndingHashKey", shard.range.end.to_string())
}

/// The number of the shard that a caller means.
pub(crate) fn named(service: &Service, open: &OpenStream, id: &str) -> Result<u32, ServiceError> {
    shard_number(id).ok_or_else(|| could_not_find(service, id, open.stream.name()))
}

/// Shards that a split or merge has made, as their parent's readers are told of them.
pub(crate) fn children(children: &[Shard]) -> Value {
    let parents = |shard: &Shard| [shard.parent, shard.adjacent_parent].into_iter().flatten();
    let told = children.iter().map(|shard| {
        Structure::new()
            .with("ShardId", shard_name(shard.id.0))
            .with("ParentShards", parents(shard).map(|parent| shard_name(parent.0)).collect::<Value>())
            .with("HashKeyRange", hash_key_range(shard))
    });
    told.collect()
}

/// What of a list of shards is asked for: which, and behind which.
struct Wanted {
    filter: ShardFilter,
    after: Option<u32>,
}

impl Wanted {
    fn of(service: &Service, open: &OpenStream, request: &Structure) -> Result<Wanted, ServiceError> {
        let start = request.str("ExclusiveStartShardId").map(|id| named(service, open, id)).transpose()?;
        let Some(filter) = request.structure("ShardFilter") else {
            return Ok(Wanted { filter: ShardFilter::default(), after: start });
        };
        let kind = filter.str("Type").unwrap_or_default();
        let time = || {
            let ms = filter.timestamp("Timestamp").and_then(|ms| u64::try_from(ms).ok());
            ms.ok_or_else(|| invalid(format!("A Timestamp is required for a ShardFilter of type {kind}.")))
        };
        let (filter, after) = match kind {
            "AFTER_SHARD_ID" => {
                let id = filter
                    .str("ShardId")
                    .ok_or_else(|| invalid("A ShardId is required for a ShardFilter of type AFTER_SHARD_ID."))?;
                let id = named(service, open, id)?;
                (ShardFilter::AfterShardId(ShardId(id)), Some(id))
            }
            "AT_TRIM_HORIZON" => (ShardFilter::AtTrimHorizon, None),
            "AT_LATEST" => (ShardFilter::AtLatest, None),
            "AT_TIMESTAMP" => (ShardFilter::AtTimestamp(time()?), None),
            "FROM_TIMESTAMP" => (ShardFilter::FromTimestamp(time()?), None),
            _ => (ShardFilter::FromTrimHorizon, None),
        };
        Ok(Wanted { filter, after: after.max(start) })
    }

    /// What a token says that this server gave.
    fn of_token(text: &str) -> Option<Wanted> {
        let mut parts = text.split(' ');
        let (after, kind, argument) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.parse().ok()?);
        let filter = match kind {
            "horizon" => ShardFilter::AtTrimHorizon,
            "latest" => ShardFilter::AtLatest,
            "at" => ShardFilter::AtTimestamp(argument),
            "from" => ShardFilter::FromTimestamp(argument),
            _ => ShardFilter::FromTrimHorizon,
        };
        Some(Wanted { filter, after: Some(after) })
    }

    /// What a token says of the rest behind a shard.
    fn token(&self, after: u32) -> String {
        match self.filter {
            ShardFilter::AtTrimHorizon => format!("{after} horizon 0"),
            ShardFilter::AtLatest => format!("{after} latest 0"),
            ShardFilter::AtTimestamp(ms) => format!("{after} at {ms}"),
            ShardFilter::FromTimestamp(ms) => format!("{after} from {ms}"),
            ShardFilter::FromTrimHorizon | ShardFilter::AfterShardId(_) => format!("{after} all 0"),
        }
    }
}

/// ListShards.
pub(crate) async fn list(service: &Arc<Service>, request: &Structure) -> Outcome {
    const OPERATION: &str = "ListShards";
    let token = request.str("NextToken");
    let names_stream = request.str("StreamName").is_some() || request.str("StreamARN").is_some();
    let (open, wanted) = match (token, names_stream) {
        (None, false) => return Err(invalid("Either NextToken or StreamName should be provided.")),
        (Some(_), true) => return Err(invalid("NextToken and StreamName cannot be provided together.")),
        (None, true) => {
            let name = service.name_of(request)?;
            let open = service.whole_stream(name).await?;
            let wanted = Wanted::of(service, &open, request)?;
            (open, wanted)
        }
        (Some(token), false) => {
            let token = PageToken::open(&service.tokens, OPERATION, token, service.now_ms())?;
            let (name, id) = &token.stream;
            let open = service.whole_stream(name).await?;
            if open.id != *id {
                return Err(not_found(name, &service.account));
            }
            (open, Wanted::of_token(&token.after).ok_or_else(|| invalid("Invalid NextToken."))?)
        }
    };
    let page = request.integer("MaxResults").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE);
    let shards = open.stream.list_shards(wanted.filter);
    let shards = shards.map_err(|error| service.of_stream(open.stream.name(), &error))?;
    let mut rest = shards.iter().filter(|shard| wanted.after.is_none_or(|after| shard.id.0 > after));
    let listed: Vec<&Shard> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| listed.last()).map(|last| PageToken {
        operation: OPERATION.to_owned(),
        stream: (open.stream.name().to_owned(), open.id),
        after: wanted.token(last.id.0),
        issued_ms: service.now_ms(),
    });
    let answer = Structure::new()
        .with("Shards", listed.iter().map(|shard| told(&open, shard)).collect::<Value>())
        .with_some("NextToken", next.map(|token| token.seal(&service.tokens)));
    Ok(answer.into())
}

/// A text that names no shard at all.
pub(crate) fn could_not_find(service: &Service, shard: &str, stream: &str) -> ServiceError {
    let account = &service.account;
    let message = format!("Could not find shard {shard} in stream {stream} under account {account}.");
    ServiceError::new(ErrorName::ResourceNotFound, message)
}

/// A shard that the stream does not have.
pub(crate) fn does_not_exist(service: &Service, shard: u32, stream: &str) -> ServiceError {
    let (shard, account) = (shard_name(shard), &service.account);
    let message = format!("Shard {shard} in stream {stream} under account {account} does not exist");
    ServiceError::new(ErrorName::ResourceNotFound, message)
}
