//! The query protocol behind the door: CloudWatch's PutMetricData and STS' GetCallerIdentity, as a form, answered in XML.
//!
//! Which of the two services a form is for stands in its body, which may be compressed and is not looked at before the
//! signature was verified: a signature may be scoped to either.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use millrace_kinesis::ServiceError;
use millrace_neighbours::decode::Form;
use millrace_neighbours::encode::{CallerIdentity, caller_identity_xml, fault_xml, put_metric_data_xml};
use millrace_neighbours::{Fault, FaultName};

use super::cloudwatch::{self, PUT_METRIC_DATA, not_here, put_metric_data};
use super::{Answered, Asked, Head, OperationName};
use crate::answer::{AnswerBody, status, xml};
use crate::error::fault_of;
use crate::service::Service;

const FORM: &str = "application/x-www-form-urlencoded";
/// The versions of the two services' models.
const CLOUDWATCH: &str = "2010-08-01";
const STS: &str = "2011-06-15";
const STS_SERVICE: &str = "sts";
const GET_CALLER_IDENTITY: OperationName = OperationName { service: STS_SERVICE, operation: "GetCallerIdentity" };

/// The operations that no other protocol has.
pub(super) fn operations() -> Vec<OperationName> {
    vec![GET_CALLER_IDENTITY]
}

/// A request in the query protocol.
#[derive(Debug)]
pub(crate) struct QueryAsked {
    request_id: String,
}

/// Takes a request whose body is a form.
pub(crate) fn take(head: &Head<'_>) -> Option<QueryAsked> {
    let name = head.content_type.split(';').next().unwrap_or_default().trim();
    let is_form = name.eq_ignore_ascii_case(FORM) && !head.target.is_given();
    is_form.then(|| QueryAsked { request_id: head.request_id.to_owned() })
}

impl Asked for QueryAsked {
    fn scopes(&self) -> &'static [&'static str] {
        &[cloudwatch::SERVICE, STS_SERVICE]
    }

    fn refused(&self, error: &ServiceError) -> Answered {
        self.with(None, Err(fault_of(error)))
    }

    async fn answered(self, service: &Arc<Service>, body: Bytes) -> Answered {
        let form = match Form::read(&body) {
            Ok(form) => form,
            Err(fault) => return self.with(None, Err(fault)),
        };
        let operation = operation(&form);
        let answer = match operation {
            Ok(GET_CALLER_IDENTITY) => Ok(self.caller_identity(service)),
            Ok(_) => form
                .put_metric_data()
                .and_then(|given| put_metric_data(service, &given))
                .map(|()| put_metric_data_xml(&self.request_id)),
            Err(ref fault) => Err(fault.clone()),
        };
        self.with(operation.ok(), answer)
    }
}

impl QueryAsked {
    /// Whoever calls is the root user of the account: there are no others.
    fn caller_identity(&self, service: &Service) -> String {
        let account = &service.account;
        let arn = format!("arn:aws:iam::{account}:root");
        caller_identity_xml(&CallerIdentity { account, user_id: account, arn: &arn }, &self.request_id)
    }

    fn with(&self, operation: Option<OperationName>, answer: Result<String, Fault>) -> Answered {
        let (status, text) = match answer {
            Ok(text) => (StatusCode::OK, text),
            Err(fault) => {
                tracing::debug!(%fault, "refused");
                (status(fault.name.status()), fault_xml(&fault, &self.request_id))
            }
        };
        let mut response: Response<AnswerBody> = xml(status, text);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        Answered { operation, format: "query", response }
    }
}

/// Which operation of which service a form names.
fn operation(form: &Form<'_>) -> Result<OperationName, Fault> {
    let missing = |name| Fault::new(FaultName::MissingParameter, format!("The parameter {name} is required."));
    let action = form.get("Action").ok_or_else(|| missing("Action"))?;
    let version = form.get("Version").ok_or_else(|| missing("Version"))?;
    match (version, action) {
        (CLOUDWATCH, "PutMetricData") => Ok(PUT_METRIC_DATA),
        (STS, "GetCallerIdentity") => Ok(GET_CALLER_IDENTITY),
        (CLOUDWATCH, _) => Err(not_here("CloudWatch", action)),
        (STS, _) => Err(not_here("STS", action)),
        _ => {
            let message = format!("Expected version {CLOUDWATCH} of CloudWatch or {STS} of STS.");
            Err(Fault::new(FaultName::InvalidParameterValue, message))
        }
    }
}
