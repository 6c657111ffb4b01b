//! The door: what comes over HTTP is looked at in the order in which the service looks, and refused in its words.
//!
//! 1. `/health` and `/metrics`, for whoever watches the server;
//! 2. browsers that ask what they may (CORS), and methods that are not the protocol's;
//! 3. the body, as long as it may be, then content type and operation;
//! 4. the signature;
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
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use millrace_kinesis::{Credential, ErrorName, Format, Operation, Schema, ServiceError, Signature, SignedRequest};
use tokio::time::Instant;

use crate::answer::{AnswerBody, refusal, with_body, xml};
use crate::body::Room;
use crate::options::Credentials;
use crate::service::{Call, Service};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const TARGET: &str = "x-amz-target";
/// What browsers may read of an answer.
const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
/// For how long browsers may remember what they may, in seconds.
const PREFLIGHT_S: &str = "172800";
const HEX: &[u8; 16] = b"0123456789abcdef";
const JSON: &str = "application/json";
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
        let mut response = match &parts.method {
            _ if is_preflight => preflight(&parts.headers),
            &Method::POST => self.post(&parts, body).await,
            _ => not_the_protocol(),
        };
        identify(response.headers_mut(), is_preflight);
        if origin {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            if !is_preflight {
                response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
            }
        }
        response
    }

    async fn post(&self, parts: &Parts, body: Incoming) -> Response<AnswerBody> {
        let content_type = text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        let format = Format::of_content_type(content_type);
        let target = Target::of(text(&parts.headers, TARGET).unwrap_or_default());
        let read = match self.room.read(body).await {
            Ok(read) => read,
            Err(error) => return refusal(&error, format.unwrap_or(Format::Json)),
        };
        if read.bytes.is_empty() {
            // The service answers in CBOR to whoever does not say JSON.
            let name =
                if target.operation().is_some() { ErrorName::Serialization } else { ErrorName::UnknownOperation };
            return refusal(&ServiceError::bare(name), format.unwrap_or(Format::Cbor));
        }
        let Some(format) = format else { return wrong_content_type(content_type, &target, &read.bytes) };
        let Some(operation) = target.operation() else {
            return refusal(&ServiceError::bare(ErrorName::UnknownOperation), format);
        };
        let started = Instant::now();
        let response = match self.signed(parts, format, operation, read.bytes.clone()).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(operation = operation.name, %error, "refused");
                refusal(&error, format)
            }
        };
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.service.counters.answered(operation.name, response.status().as_u16(), us);
        let status = response.status().as_u16();
        let (format, http) = (format.name(), &parts.version);
        tracing::debug!(operation = operation.name, status, us, format, ?http, "answered");
        response
    }

    async fn signed(
        &self,
        parts: &Parts,
        format: Format,
        operation: &'static Operation,
        body: Bytes,
    ) -> Result<Response<AnswerBody>, ServiceError> {
        self.verify(parts, &body)?;
        let encoding = parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let body = self.room.decompressed(body, encoding)?;
        let answer = self.service.call(operation, &Call { format, body }).await?;
        Ok(answer.into_response(operation, format))
    }

    /// Whether the request is signed by somebody who may call. Where anybody may, it is signed all the same, as the
    /// service wants it.
    fn verify(&self, parts: &Parts, body: &[u8]) -> Result<(), ServiceError> {
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
        credential.verify(&signature, &request, self.service.now_ms())
    }
}

/// What `X-Amz-Target` names.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    service: &'a str,
    name: &'a str,
}

impl<'a> Target<'a> {
    fn of(header: &'a str) -> Target<'a> {
        let mut parts = header.split('.');
        Target { service: parts.next().unwrap_or_default(), name: parts.next().unwrap_or_default() }
    }

    fn is_given(&self) -> bool {
        !self.service.is_empty() && !self.name.is_empty()
    }

    fn operation(&self) -> Option<&'static Operation> {
        let schema = Schema::get();
        if self.service == schema.target_prefix() { schema.operation(self.name) } else { None }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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
fn not_the_protocol() -> Response<AnswerBody> {
    const TEXT: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized\
                        </Message>\n</AccessDeniedException>\n";
    xml(StatusCode::FORBIDDEN, TEXT.to_owned())
}

/// A content type that is not one of the protocol's two. Plain JSON is refused in an envelope of its own.
fn wrong_content_type(content_type: &str, target: &Target<'_>, body: &[u8]) -> Response<AnswerBody> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
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
    if target.is_given() {
        return xml(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n".to_owned());
    }
    not_the_protocol()
}

/// The numbers by which an answer is found again: a UUID, and a longer one that the service adds.
fn identify(headers: &mut HeaderMap, is_preflight: bool) {
    let mut random = [0; 70];
    if getrandom::fill(&mut random).is_err() {
        // An answer without its numbers is of more use than none.
        return;
    }
    let (id, extended) = random.split_at_mut(16);
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let mut uuid = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        uuid.push_str(if [4, 6, 8, 10].contains(&index) { "-" } else { "" });
        uuid.extend([byte >> 4, byte & 15].map(|nibble| char::from(HEX[usize::from(nibble)])));
    }
    if let Ok(value) = HeaderValue::from_str(&uuid) {
        headers.insert(REQUEST_ID, value);
    }
    if !is_preflight && let Ok(value) = HeaderValue::from_str(&STANDARD.encode(extended)) {
        headers.insert(EXTENDED_REQUEST_ID, value);
    }
}
