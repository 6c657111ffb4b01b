//! What an account may have in a region. A quota is looked at and used up in one turn, so that two calls at once do not
//! both take what is left.

use millrace::capacity::CapacityMode;
use millrace::limits::LimitPolicy;
use millrace::{StreamConfig, StreamSummary};
use millrace_kinesis::{ErrorName, ServiceError};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::of_engine;
use crate::options::QuotaOptions;
use crate::service::Service;

/// The regions whose accounts have the most shards.
const LARGE_REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "eu-west-1"];
/// How many shards provisioned streams may have there, and elsewhere.
const SHARDS_LARGE: u32 = 20_000;
const SHARDS_ELSEWHERE: u32 = 1_000;
/// How many streams may scale by demand.
const ON_DEMAND_STREAMS: u32 = 50;
/// How many streams, and how many consumers, may be in creation at once.
const CREATING_MAX: usize = 5;

/// The quotas of a server.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// How many shards the provisioned streams may have together.
    shards: Quota,
    /// How many streams may scale by demand.
    on_demand_streams: Quota,
    /// Whether no more than a few things may be in creation at once.
    counts_creations: bool,
    turn: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Quota {
    /// What is told.
    most: u32,
    /// Whether more is refused.
    holds: bool,
}

/// What there is of what is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// The open shards of provisioned streams.
    pub shards: u32,
    /// The on-demand streams.
    pub on_demand_streams: u32,
}

impl Usage {
    /// What a store has.
    pub fn of(service: &Service) -> Result<Usage, ServiceError> {
        let streams = service.engine.list_streams().map_err(|error| of_engine(&error))?;
        Ok(streams.iter().fold(Usage::default(), Usage::with))
    }

    fn with(self, stream: &StreamSummary) -> Usage {
        match stream.config.mode {
            CapacityMode::Provisioned => Usage { shards: self.shards.saturating_add(stream.open_shards), ..self },
            CapacityMode::OnDemand => Usage { on_demand_streams: self.on_demand_streams.saturating_add(1), ..self },
        }
    }
}

impl Quotas {
    /// The quotas that were given, and AWS's where none were; those hold where limits are AWS's.
    pub fn new(given: QuotaOptions, region: &str, limits: &LimitPolicy) -> Quotas {
        let is_aws = *limits == LimitPolicy::Aws;
        let quota =
            |given: Option<u32>, default| Quota { most: given.unwrap_or(default), holds: given.is_some() || is_aws };
        let shards = if LARGE_REGIONS.contains(&region) { SHARDS_LARGE } else { SHARDS_ELSEWHERE };
        Quotas {
            shards: quota(given.shards, shards),
            on_demand_streams: quota(given.on_demand_streams, ON_DEMAND_STREAMS),
            counts_creations: is_aws,
            turn: Mutex::default(),
        }
    }

    /// How many shards provisioned streams may have together.
    pub fn shards(&self) -> u32 {
        self.shards.most
    }

    /// How many streams may scale by demand.
    pub fn on_demand_streams(&self) -> u32 {
        self.on_demand_streams.most
    }

    /// Waits for those who use up a quota; keep it until that is done.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Whether provisioned streams may have so many shards more.
    ///
    /// # Errors
    /// `LimitExceededException`.
    pub fn admit_shards(&self, service: &Service, more: i64) -> Result<(), ServiceError> {
        // No stream has more, whatever the account may have.
        let fits_a_stream = more <= i64::from(*StreamConfig::SHARDS.end());
        if fits_a_stream && (more <= 0 || !self.shards.holds) {
            return Ok(());
        }
        let present = Usage::of(service)?.shards;
        if fits_a_stream && i64::from(present) + more <= i64::from(self.shards.most) {
            return Ok(());
        }
        let (account, region, most) = (&service.account, &service.region, self.shards.most);
        Err(limit_exceeded(format!(
            "This request would exceed the shard limit for the account {account} in {region}. Current shard count for the \
             account: {present}. Limit: {most}. Number of additional shards that would have resulted from this request: \
             {more}. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request \
             higher limits."
        )))
    }

    /// Whether one more stream may scale by demand.
    ///
    /// # Errors
    /// `LimitExceededException`.
    pub fn admit_on_demand_stream(&self, service: &Service) -> Result<(), ServiceError> {
        let Quota { most, holds } = self.on_demand_streams;
        if !holds || Usage::of(service)?.on_demand_streams < most {
            return Ok(());
        }
        let (account, region) = (&service.account, &service.region);
        Err(limit_exceeded(format!(
            "This request would exceed the limit of {most} streams in ON_DEMAND mode for the account {account} in {region}."
        )))
    }

    /// Whether something may be created while so many others are being created.
    ///
    /// # Errors
    /// `LimitExceededException`.
    pub fn admit_creation(&self, what: &str, creating: usize) -> Result<(), ServiceError> {
        if !self.counts_creations || creating < CREATING_MAX {
            return Ok(());
        }
        Err(limit_exceeded(format!("At most {CREATING_MAX} {what} can be in state CREATING at a time.")))
    }
}

fn limit_exceeded(message: String) -> ServiceError {
    ServiceError::new(ErrorName::LimitExceeded, message)
}
