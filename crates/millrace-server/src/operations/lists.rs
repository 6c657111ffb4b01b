//! What is asked about the account as a whole.

use std::sync::Arc;

use millrace::{StreamDescription, StreamStatus, StreamSummary};
use millrace_kinesis::{PageToken, Structure, Value};

use super::streams::told_mode;
use crate::error::of_engine;
use crate::phases::Phase;
use crate::quotas::Usage;
use crate::service::{Outcome, Service};

/// How many streams a page has where the caller does not say.
const PAGE: usize = 100;

/// ListStreams, by name.
pub(crate) fn list_streams(service: &Arc<Service>, request: &Structure) -> Outcome {
    const OPERATION: &str = "ListStreams";
    let after = match request.str("NextToken") {
        Some(token) => Some(PageToken::open(&service.tokens, OPERATION, token, service.now_ms())?.after),
        None => request.str("ExclusiveStartStreamName").map(str::to_owned),
    };
    let page = request.integer("Limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let mut streams = service.engine.list_streams().map_err(|error| of_engine(&error))?;
    let gone = service.stream_phases.all_gone(service.clock.monotonic_ms());
    streams.extend(gone.iter().map(|open| summary_of_gone(open.stream.describe())));
    streams.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut rest = streams.iter().filter(|stream| after.as_ref().is_none_or(|after| stream.name > *after));
    let listed: Vec<&StreamSummary> = rest.by_ref().take(page).collect();
    let next = rest.next().and_then(|_| listed.last()).map(|last| PageToken {
        operation: OPERATION.to_owned(),
        stream: (String::new(), 0),
        after: last.name.clone(),
        issued_ms: service.now_ms(),
    });
    let answer = Structure::new()
        .with("StreamNames", listed.iter().map(|stream| stream.name.as_str()).collect::<Value>())
        .with("HasMoreStreams", next.is_some())
        .with_some("NextToken", next.map(|token| token.seal(&service.tokens)))
        .with("StreamSummaries", listed.iter().map(|stream| summary(service, stream)).collect::<Value>());
    Ok(answer.into())
}

fn summary(service: &Service, stream: &StreamSummary) -> Structure {
    let status = match stream.status {
        StreamStatus::Active => service.phase_of(&stream.name),
        StreamStatus::Deleting => Some(Phase::Deleting),
    };
    Structure::new()
        .with("StreamName", stream.name.as_str())
        .with("StreamARN", service.arn(&stream.name).to_string())
        .with("StreamStatus", Phase::told(status))
        .with("StreamModeDetails", told_mode(stream.config.mode))
        .with("StreamCreationTimestamp", Value::Timestamp(i64::try_from(stream.created_ms).unwrap_or(i64::MAX)))
}

/// A stream that is gone and still told of, as the engine lists those that are being deleted.
fn summary_of_gone(description: StreamDescription) -> StreamSummary {
    let StreamDescription { name, id, created_ms, config, .. } = description;
    StreamSummary { name, id, status: StreamStatus::Deleting, created_ms, open_shards: 0, config }
}

/// DescribeLimits.
pub(crate) fn describe_limits(service: &Arc<Service>) -> Outcome {
    let Usage { shards, on_demand_streams } = Usage::of(service)?;
    let answer = Structure::new()
        .with("ShardLimit", service.quotas.shards())
        .with("OpenShardCount", shards)
        .with("OnDemandStreamCount", on_demand_streams)
        .with("OnDemandStreamCountLimit", service.quotas.on_demand_streams());
    Ok(answer.into())
}
