//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: which metrics of its shards a stream tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace::{Engine, Monitored, ShardMetric};
use millrace_kinesis::{Structure, Value};

use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// What means every metric.
const ALL: &str = "ALL";

/// EnableEnhancedMonitoring.
pub(crate) async fn enable(service: &Arc<Service>, request: &Structure) -> Outcome {
    change(service, request, Engine::enable_shard_metrics).await
}

/// DisableEnhancedMonitoring.
pub(crate) async fn disable(service: &Arc<Service>, request: &Structure) -> Outcome {
    change(service, request, Engine::disable_shard_metrics).await
}

/// How the engine changes the metrics of a stream.
type Change = fn(&Engine, &str, &BTreeSet<ShardMetric>) -> millrace::Result<Monitored>;

async fn change(service: &Arc<Service>, request: &Structure, change: Change) -> Outcome {
    let name = service.stream_to_change(request).await?.stream.name().to_owned();
    let (engine, of, metrics) = (Arc::clone(&service.engine), name.clone(), named(request));
    let changed = blocking(move || change(&engine, &of, &metrics)).await;
    let Monitored { before, after } = changed.map_err(|error| service.of_stream(&name, &error))?;
    service.updated(&name);
    let answer = Structure::new()
        .with("StreamName", name.as_str())
        .with("CurrentShardLevelMetrics", told(&before))
        .with("DesiredShardLevelMetrics", told(&after))
        .with("StreamARN", service.arn(&name).to_string());
    Ok(answer.into())
}

/// The metrics that a request names.
fn named(request: &Structure) -> BTreeSet<ShardMetric> {
    let names: Vec<&str> = request.strings("ShardLevelMetrics").collect();
    let is_named = |metric: &ShardMetric| names.iter().any(|name| *name == ALL || *name == metric.name());
    ShardMetric::ALL.into_iter().filter(is_named).collect()
}

/// Metrics as the service tells them: each by its name, also where all of them were asked for at once.
pub(crate) fn told(metrics: &BTreeSet<ShardMetric>) -> Value {
    metrics.iter().map(|metric| metric.name()).collect()
}
