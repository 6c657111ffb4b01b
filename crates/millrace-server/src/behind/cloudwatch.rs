//! CloudWatch behind the door: PutMetricData, in JSON and in `rpc-v2-cbor`. Its query protocol is `query.rs`' matter.
//!
//! Newer clients speak CBOR to it, those before them JSON, and the KPL and older ones the query protocol.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use millrace_kinesis::ServiceError;
use millrace_neighbours::{Fault, FaultName, Metric, PutMetricData, decode, encode};

use super::{Answered, Asked, Head, OperationName};
use crate::answer::{AnswerBody, JSON_1_0, status, with_body};
use crate::error::fault_of;
use crate::service::Service;

/// As signatures are scoped to it.
pub(super) const SERVICE: &str = "monitoring";
/// What stands before the operation in `X-Amz-Target`, and in the path.
const MODEL: &str = "GraniteServiceVersion20100801";
pub(super) const PUT_METRIC_DATA: OperationName = OperationName { service: SERVICE, operation: "PutMetricData" };

/// All operations.
pub(super) fn operations() -> Vec<OperationName> {
    vec![PUT_METRIC_DATA]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Json,
    RpcV2Cbor,
}

/// A request for CloudWatch.
#[derive(Debug)]
pub(crate) struct CloudWatchAsked {
    protocol: Protocol,
    operation: String,
}

/// Takes a request whose target or path names CloudWatch.
pub(crate) fn take(head: &Head<'_>) -> Option<CloudWatchAsked> {
    let of_path = head.path.strip_prefix("/service/").and_then(|rest| rest.split_once("/operation/"));
    let (protocol, operation) = match of_path {
        Some((MODEL, operation)) => (Protocol::RpcV2Cbor, operation),
        _ if head.target.prefix == MODEL => (Protocol::Json, head.target.operation),
        _ => return None,
    };
    Some(CloudWatchAsked { protocol, operation: operation.to_owned() })
}

impl Asked for CloudWatchAsked {
    fn scopes(&self) -> &'static [&'static str] {
        &[SERVICE]
    }

    fn refused(&self, error: &ServiceError) -> Answered {
        self.with(self.fault(&fault_of(error)))
    }

    async fn answered(self, service: &Arc<Service>, body: Bytes) -> Answered {
        let done = self.check_operation().and_then(|()| match self.protocol {
            Protocol::Json => decode::json(&body),
            Protocol::RpcV2Cbor => decode::cbor(&body),
        });
        match done.and_then(|given| put_metric_data(service, &given)) {
            Ok(()) => self.with(self.nothing()),
            Err(fault) => self.with(self.fault(&fault)),
        }
    }
}

impl CloudWatchAsked {
    fn check_operation(&self) -> Result<(), Fault> {
        if self.operation == PUT_METRIC_DATA.operation { Ok(()) } else { Err(not_here("CloudWatch", &self.operation)) }
    }

    fn with(&self, response: Response<AnswerBody>) -> Answered {
        let operation = self.check_operation().is_ok().then_some(PUT_METRIC_DATA);
        let format = match self.protocol {
            Protocol::Json => "JSON 1.0",
            Protocol::RpcV2Cbor => "rpc-v2-cbor",
        };
        Answered { operation, format, response }
    }

    /// The answer to PutMetricData has no output.
    fn nothing(&self) -> Response<AnswerBody> {
        match self.protocol {
            Protocol::Json => with_body(StatusCode::OK, JSON_1_0, Bytes::new()),
            Protocol::RpcV2Cbor => rpc_v2_cbor(Response::new(AnswerBody::Whole(None))),
        }
    }

    fn fault(&self, fault: &Fault) -> Response<AnswerBody> {
        tracing::debug!(operation = self.operation, %fault, "refused");
        let status = status(fault.name.status());
        let mut response = match self.protocol {
            Protocol::Json => with_body(status, JSON_1_0, encode::fault_json(fault).into()),
            Protocol::RpcV2Cbor => rpc_v2_cbor(with_body(status, "application/cbor", encode::fault_cbor(fault).into())),
        };
        // By which clients that once spoke the query protocol know the error's name of that time.
        let whose = if status.is_server_error() { "Receiver" } else { "Sender" };
        if let Ok(value) = HeaderValue::from_str(&format!("{};{whose}", fault.name.code())) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
        response
    }
}

/// Keeps what a request gives.
pub(super) fn put_metric_data(service: &Service, given: &PutMetricData) -> Result<(), Fault> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double for ages")]
    let now_s = service.now_ms() as f64 / 1_000.0;
    let (namespace, metrics) = Metric::all_of(given, now_s)?;
    service.custom_metrics.put(namespace, &metrics);
    Ok(())
}

/// The service has such an operation, or none; this server does not do it.
pub(super) fn not_here(service: &str, operation: &str) -> Fault {
    let operation: String = operation.chars().take(128).collect();
    let message = format!("Millrace does not do the operation {operation} of {service}.");
    Fault::new(FaultName::UnknownOperation, message)
}

fn rpc_v2_cbor(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    response.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    response
}
