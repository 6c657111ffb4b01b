//! The door: what comes over HTTP is looked at in the order in which the service looks, and refused in its words.
//!
//! 1. `/health` and `/metrics`, for whoever watches the server;
//! 2. browsers that ask what they may (CORS), and methods that are not the protocol's;
//! 3. the body, as long as it may be, then which service takes the request: by content type, operation and path;
//! 4. the signature, which must be for that service;
//! 5. the operation, which decodes, validates and does.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_ENCODING, HeaderName, HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use millrace_kinesis::{Credential, ErrorName, ServiceError, Signature, SignedRequest};
use tokio::time::Instant;

use crate::answer::{AnswerBody, JSON, with_body, xml};
use crate::behind::{
    Answered, Asked, Head, Taken, take_for_cloudwatch, take_for_dynamodb, take_for_kinesis, take_query,
};
use crate::body::{ReadBody, Room};
use crate::options::Credentials;
use crate::service::Service;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// What browsers may read of an answer.
const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
/// For how long browsers may remember what they may, in seconds.
const PREFLIGHT_S: &str = "172800";
const HEX: &[u8; 16] = b"0123456789abcdef";
const PROMETHEUS: &str = "text/plain; version=0.0.4";

/// What stands between the network and the service.
#[derive(Debug)]
pub(crate) struct Door {
    service: Arc<Service>,
    room: Room,
    /// By access key; none where anybody may call.
    credentials: Option<HashMap<String, Credential>>,
}

impl Door {
    pub fn new(service: Arc<Service>, room: Room, credentials: Credentials) -> Door {
        let credentials = match credentials {
            Credentials::Any => None,
            Credentials::Listed(listed) => {
                Some(listed.into_iter().map(|credential| (credential.access_key().to_owned(), credential)).collect())
            }
        };
        Door { service, room, credentials }
    }

    /// What is shared behind the door.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Answers a request.
    pub async fn enter(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::GET {
            match parts.uri.path() {
                "/health" => return with_body(StatusCode::OK, JSON, Bytes::from_static(b"{\"status\":\"ok\"}")),
                "/metrics" => {
                    let with_shards = parts.uri.query() != Some("shards=false");
                    return with_body(StatusCode::OK, PROMETHEUS, self.service.metrics(with_shards).into());
                }
                _ => {}
            }
        }
        let origin = parts.headers.contains_key(ORIGIN);
        let is_preflight = origin && parts.method == Method::OPTIONS;
        let ids = Ids::random();
        let mut response = match &parts.method {
            _ if is_preflight => preflight(&parts.headers),
            &Method::POST => self.post(&parts, ids.as_ref().map_or("", |ids| &ids.request), body).await,
            _ => not_the_protocol(),
        };
        if let Some(ids) = ids {
            ids.write(response.headers_mut(), is_preflight);
        }
        if origin {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            if !is_preflight {
                response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
            }
        }
        response
    }

    /// Finds the service that a request is for. Kinesis comes last: it takes, or refuses, what is left.
    async fn post(&self, parts: &Parts, request_id: &str, body: Incoming) -> Response<AnswerBody> {
        let head = Head::of(parts, request_id);
        let body = self.room.read(body).await;
        if let Some(asked) = take_for_cloudwatch(&head) {
            return self.ask(parts, Ok(asked), body).await;
        }
        if let Some(taken) = take_for_dynamodb(&head) {
            return self.ask(parts, taken, body).await;
        }
        if let Some(asked) = take_query(&head) {
            return self.ask(parts, Ok(asked), body).await;
        }
        self.ask(parts, take_for_kinesis(&head, &body), body).await
    }

    /// Lets in a request that a service has taken, and counts what it is answered with. One whose body could not be read
    /// is refused in the words of that service, and not counted.
    async fn ask<A: Asked>(
        &self,
        parts: &Parts,
        taken: Taken<A>,
        body: Result<ReadBody, ServiceError>,
    ) -> Response<AnswerBody> {
        let asked = match taken {
            Ok(asked) => asked,
            Err(response) => return *response,
        };
        let read = match body {
            Ok(read) => read,
            Err(error) => return asked.refused(&error).response,
        };
        let started = Instant::now();
        let Answered { operation, format, response } = match self.let_in(parts, asked.scopes(), read.bytes.clone()) {
            Ok(body) => asked.answered(&self.service, body).await,
            Err(error) => asked.refused(&error),
        };
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let Some(name) = operation else { return response };
        let status = response.status().as_u16();
        self.service.counters.answered(name, status, us);
        let (service, operation, http) = (name.service, name.operation, &parts.version);
        tracing::debug!(service, operation, status, us, format, ?http, "answered");
        response
    }

    /// The body without its compression, of a request that is signed for one of these services.
    fn let_in(&self, parts: &Parts, scopes: &[&str], body: Bytes) -> Result<Bytes, ServiceError> {
        self.verify(parts, scopes, &body)?;
        let encoding = parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        self.room.decompressed(body, encoding)
    }

    /// Whether the request is signed by somebody who may call. Where anybody may, it is signed all the same, as the
    /// service wants it.
    fn verify(&self, parts: &Parts, scopes: &[&str], body: &[u8]) -> Result<(), ServiceError> {
        let mut headers: Vec<(&str, &[u8])> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // HTTP/2 names the host otherwise, and clients sign it as `host`.
        if !parts.headers.contains_key("host")
            && let Some(authority) = parts.uri.authority()
        {
            headers.push(("host", authority.as_str().as_bytes()));
        }
        let request = SignedRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
            body,
        };
        let signature = Signature::of(&request)?;
        let Some(credentials) = &self.credentials else { return Ok(()) };
        let credential = credentials.get(&*signature.access_key).ok_or_else(|| {
            let message = "The security token included in the request is invalid.";
            ServiceError::new(ErrorName::UnrecognizedClient, message)
        })?;
        credential.verify(&signature, &request, scopes, self.service.now_ms())
    }
}

/// What a browser may do: everything.
fn preflight(headers: &HeaderMap) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(None));
    let asked = [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ];
    for (question, reply) in asked {
        if let Some(value) = headers.get(question) {
            response.headers_mut().insert(reply, value.clone());
        }
    }
    response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_S));
    response
}

/// Whoever does not post gets what the service gives before it knows its own name.
pub(crate) fn not_the_protocol() -> Response<AnswerBody> {
    const TEXT: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized\
                        </Message>\n</AccessDeniedException>\n";
    xml(StatusCode::FORBIDDEN, TEXT.to_owned())
}

/// The numbers by which an answer is found again: a UUID, and a longer one that the service adds.
struct Ids {
    request: String,
    extended: String,
}

impl Ids {
    /// None where there is no randomness: an answer without its numbers is of more use than none.
    fn random() -> Option<Ids> {
        let mut random = [0; 70];
        getrandom::fill(&mut random).ok()?;
        let (id, extended) = random.split_at_mut(16);
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        let mut request = String::with_capacity(36);
        for (index, byte) in id.iter().enumerate() {
            request.push_str(if [4, 6, 8, 10].contains(&index) { "-" } else { "" });
            request.extend([byte >> 4, byte & 15].map(|nibble| char::from(HEX[usize::from(nibble)])));
        }
        Some(Ids { request, extended: STANDARD.encode(extended) })
    }

    fn write(&self, headers: &mut HeaderMap, is_preflight: bool) {
        if let Ok(value) = HeaderValue::from_str(&self.request) {
            headers.insert(REQUEST_ID, value);
        }
        if !is_preflight && let Ok(value) = HeaderValue::from_str(&self.extended) {
            headers.insert(EXTENDED_REQUEST_ID, value);
        }
    }
}
