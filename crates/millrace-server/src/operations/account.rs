//! DescribeAccountSettings and UpdateAccountSettings: the commitment to a least throughput, which is kept as the service
//! keeps it. Nobody is billed.

use std::sync::Arc;

use millrace::{Commitment, CommitmentStatus};
use millrace_kinesis::{Structure, Value};

use crate::error::of_engine;
use crate::service::{Outcome, Service};
use crate::streams::blocking;

/// The setting, as requests and answers call it.
const COMMITMENT: &str = "MinimumThroughputBillingCommitment";

/// DescribeAccountSettings.
pub(crate) fn describe(service: &Service) -> Outcome {
    told(service.engine.throughput_commitment())
}

/// UpdateAccountSettings. What is so already stays as it is.
pub(crate) async fn update(service: &Arc<Service>, request: &Structure) -> Outcome {
    let engine = Arc::clone(&service.engine);
    let status = request.structure(COMMITMENT).and_then(|wanted| wanted.str("Status"));
    let updated = if status == Some("ENABLED") {
        blocking(move || engine.start_throughput_commitment()).await
    } else {
        blocking(move || engine.end_throughput_commitment()).await
    };
    told(updated)
}

fn told(commitment: millrace::Result<Commitment>) -> Outcome {
    let commitment = commitment.map_err(|error| of_engine(&error))?;
    let status = match commitment.status {
        CommitmentStatus::Disabled => "DISABLED",
        CommitmentStatus::Enabled => "ENABLED",
        CommitmentStatus::EnabledUntilEarliestEnd => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
    };
    let moment = |ms: Option<u64>| ms.map(|ms| Value::Timestamp(i64::try_from(ms).unwrap_or(i64::MAX)));
    let told = Structure::new()
        .with("Status", status)
        .with_some("StartedAt", moment(commitment.started_ms))
        .with_some("EndedAt", moment(commitment.ended_ms))
        .with_some("EarliestAllowedEndAt", moment(commitment.earliest_end_ms));
    Ok(Structure::new().with(COMMITMENT, told).into())
}
