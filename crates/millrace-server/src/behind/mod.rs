//! What stands behind the door: a file a service. One endpoint answers for all of them, so that a client whose services
//! have one address only finds each.
//!
//! A service takes a request by what its head says and, where its protocol wants that, by its body; it says whom a
//! signature of the request may be for, and it answers in the protocol in which it was asked. To add one: a type that
//! implements [`Asked`], a line in `Door::post` that makes it of a [`Head`], and its operations' names in [`OPERATIONS`].

mod cloudwatch;
mod dynamodb;
mod kinesis;
mod query;

pub(crate) use self::cloudwatch::take as take_for_cloudwatch;
pub(crate) use self::dynamodb::take as take_for_dynamodb;
pub(crate) use self::kinesis::take as take_for_kinesis;
pub(crate) use self::query::take as take_query;

use std::sync::Arc;

use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response};
use millrace_kinesis::ServiceError;

use crate::answer::AnswerBody;
use crate::service::Service;

const TARGET: &str = "x-amz-target";

/// The operations that are counted, by service.
pub(crate) const OPERATIONS: [fn() -> Vec<OperationName>; 4] =
    [kinesis::operations, cloudwatch::operations, dynamodb::operations, query::operations];

/// An operation of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OperationName {
    /// The service, as signatures are scoped to it.
    pub service: &'static str,
    /// The operation, as the service's model spells it.
    pub operation: &'static str,
}

/// A request that a service has taken.
pub(crate) trait Asked: Send {
    /// The services that a signature of this request may be scoped to.
    fn scopes(&self) -> &'static [&'static str];

    /// Refuses, in the protocol of the request, what the door does not let in.
    fn refused(&self, error: &ServiceError) -> Answered;

    /// Answers. The signature was verified where that is wanted, and the body is without its compression.
    fn answered(self, service: &Arc<Service>, body: Bytes) -> impl Future<Output = Answered> + Send;
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The operation that is counted; none where the request named none.
    pub operation: Option<OperationName>,
    /// The encoding of request and answer, as the log names it.
    pub format: &'static str,
    /// The answer.
    pub response: Response<AnswerBody>,
}

/// A request that a service has taken, or the refusal of one that is nobody's before its signature is looked at.
pub(crate) type Taken<A> = Result<A, Box<Response<AnswerBody>>>;

/// The head of a request, as far as it says what is asked of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The number by which the answer is found again.
    pub request_id: &'a str,
    /// The path.
    pub path: &'a str,
    /// The content type; empty where there is none.
    pub content_type: &'a str,
    /// The operation.
    pub target: Target<'a>,
}

impl<'a> Head<'a> {
    /// The head of a request that is answered with this number.
    pub fn of(parts: &'a Parts, request_id: &'a str) -> Head<'a> {
        let text = |name| text(&parts.headers, name).unwrap_or_default();
        let (content_type, target) = (text("content-type"), Target::of(text(TARGET)));
        Head { request_id, path: parts.uri.path(), content_type, target }
    }
}

/// What `X-Amz-Target` names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The service with the version of its model, such as `Kinesis_20131202`.
    pub prefix: &'a str,
    /// The operation.
    pub operation: &'a str,
}

impl<'a> Target<'a> {
    fn of(header: &'a str) -> Target<'a> {
        let mut parts = header.split('.');
        Target { prefix: parts.next().unwrap_or_default(), operation: parts.next().unwrap_or_default() }
    }

    /// Whether both are there.
    pub fn is_given(&self) -> bool {
        !self.prefix.is_empty() && !self.operation.is_empty()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
