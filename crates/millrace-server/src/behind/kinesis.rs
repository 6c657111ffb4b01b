//! Kinesis behind the door. It takes whatever no other service has taken, so what is nobody's is refused in its words.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use millrace_kinesis::{ErrorName, Format, Operation, Schema, ServiceError};

use super::{Answered, Asked, Head, OperationName, Taken, Target};
use crate::answer::{AnswerBody, JSON, refusal, with_body, xml};
use crate::body::ReadBody;
use crate::door::not_the_protocol;
use crate::service::{Call, Service};

const SERVICE: &str = "kinesis";

/// A request for an operation of Kinesis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KinesisAsked {
    format: Format,
    operation: &'static Operation,
}

/// All operations.
pub(super) fn operations() -> Vec<OperationName> {
    Schema::get().operations().into_iter().map(name).collect()
}

/// Takes a request: it has a body, one of the two content types, and names an operation. The service looks in this order.
/// Where the body could not be read, nothing else is said.
pub(crate) fn take(head: &Head<'_>, body: &Result<ReadBody, ServiceError>) -> Taken<KinesisAsked> {
    let format = Format::of_content_type(head.content_type);
    let unreadable = |error| Box::new(refusal(error, format.unwrap_or(Format::Json)));
    let body = &*body.as_ref().map_err(unreadable)?.bytes;
    let operation = operation(&head.target);
    if body.is_empty() {
        // The service answers in CBOR to whoever does not say JSON.
        let name = if operation.is_some() { ErrorName::Serialization } else { ErrorName::UnknownOperation };
        return Err(Box::new(refusal(&ServiceError::bare(name), format.unwrap_or(Format::Cbor))));
    }
    let Some(format) = format else { return Err(Box::new(wrong_content_type(head, body))) };
    let unknown = || Box::new(refusal(&ServiceError::bare(ErrorName::UnknownOperation), format));
    Ok(KinesisAsked { format, operation: operation.ok_or_else(unknown)? })
}

impl Asked for KinesisAsked {
    fn scopes(&self) -> &'static [&'static str] {
        &[SERVICE]
    }

    fn refused(&self, error: &ServiceError) -> Answered {
        tracing::debug!(operation = self.operation.name, %error, "refused");
        self.with(refusal(error, self.format))
    }

    async fn answered(self, service: &Arc<Service>, body: Bytes) -> Answered {
        let KinesisAsked { format, operation } = self;
        match service.call(operation, &Call { format, body }).await {
            Ok(answer) => self.with(answer.into_response(operation, format)),
            Err(error) => self.refused(&error),
        }
    }
}

impl KinesisAsked {
    fn with(&self, response: Response<AnswerBody>) -> Answered {
        Answered { operation: Some(name(self.operation)), format: self.format.name(), response }
    }
}

fn operation(target: &Target<'_>) -> Option<&'static Operation> {
    let schema = Schema::get();
    if target.prefix == schema.target_prefix() { schema.operation(target.operation) } else { None }
}

fn name(operation: &Operation) -> OperationName {
    OperationName { service: SERVICE, operation: operation.name }
}

/// A content type that is not one of the protocol's two. Plain JSON is refused in an envelope of its own.
fn wrong_content_type(head: &Head<'_>, body: &[u8]) -> Response<AnswerBody> {
    let name = head.content_type.split(';').next().unwrap_or_default().trim();
    if name == JSON {
        let is_document = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        let (status, name) = match is_document {
            true => (StatusCode::NOT_FOUND, ErrorName::UnknownOperation),
            false => (StatusCode::BAD_REQUEST, ErrorName::Serialization),
        };
        let name = name.as_str();
        let text = format!("{{\"Output\":{{\"__type\":\"com.amazon.coral.service#{name}\"}},\"Version\":\"1.0\"}}");
        return with_body(status, JSON, text.into());
    }
    if head.target.is_given() {
        return xml(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n".to_owned());
    }
    not_the_protocol()
}
