//! The part of DynamoDB that lease tables need, behind the door. It takes whatever names an operation of DynamoDB; what
//! Millrace has none of is refused by name.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use millrace_dynamodb::{OPERATIONS, Request, ServiceError};
use serde_json::{Value, json};

use super::{Answered, Asked, Head, OperationName, Taken};
use crate::answer::{AnswerBody, JSON_1_0, status, with_body};
use crate::service::Service;

const SERVICE: &str = "dynamodb";
const TARGET_PREFIX: &str = "DynamoDB_20120810";

/// A request for an operation of DynamoDB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DynamoDbAsked {
    operation: &'static str,
}

/// All operations.
pub(super) fn operations() -> Vec<OperationName> {
    OPERATIONS.iter().map(|operation| name(operation)).collect()
}

/// Takes a request that names an operation of DynamoDB.
pub(crate) fn take(head: &Head<'_>) -> Option<Taken<DynamoDbAsked>> {
    if head.target.prefix != TARGET_PREFIX {
        return None;
    }
    let known = OPERATIONS.iter().find(|operation| **operation == head.target.operation);
    Some(match known {
        Some(operation) => Ok(DynamoDbAsked { operation }),
        None => Err(Box::new(refusal(&Request::unknown(head.target.operation)))),
    })
}

impl Asked for DynamoDbAsked {
    fn scopes(&self) -> &'static [&'static str] {
        &[SERVICE]
    }

    fn refused(&self, error: &millrace_kinesis::ServiceError) -> Answered {
        tracing::debug!(operation = self.operation, %error, "refused");
        let kind = error.name.as_str();
        let mut body = json!({ "__type": format!("com.amazon.coral.service#{kind}") });
        if let Some(message) = &error.message {
            body["message"] = Value::from(message.as_str());
        }
        let status = status(error.name.status());
        self.with(with_body(status, JSON_1_0, body.to_string().into()))
    }

    async fn answered(self, service: &Arc<Service>, body: Bytes) -> Answered {
        let answer = match Request::decode(self.operation, &body) {
            Ok(request) => service.tables.call(request).await,
            Err(error) => Err(error),
        };
        self.with(match answer {
            Ok(answer) => with_body(StatusCode::OK, JSON_1_0, answer.to_string().into()),
            Err(error) => {
                tracing::debug!(operation = self.operation, %error, "refused");
                refusal(&error)
            }
        })
    }
}

impl DynamoDbAsked {
    fn with(self, response: Response<AnswerBody>) -> Answered {
        Answered { operation: Some(name(self.operation)), format: "json", response }
    }
}

fn name(operation: &'static str) -> OperationName {
    OperationName { service: SERVICE, operation }
}

fn refusal(error: &ServiceError) -> Response<AnswerBody> {
    let status = status(error.name.status());
    let mut response = with_body(status, JSON_1_0, error.body().into());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error.name.as_str()));
    response
}
