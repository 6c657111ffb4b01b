//! What a request is answered with: a body that is there, or events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use millrace_kinesis::{
    EVENT_STREAM_CONTENT_TYPE, Format, Operation, ServiceError, Structure, Value, conforms, encode,
};
use tokio::sync::mpsc::Receiver;

/// The checksum of an answer's body, as clients of AWS check it.
const CRC32: &str = "x-amz-crc32";

/// The content type of plain JSON.
pub(crate) const JSON: &str = "application/json";
/// That of the AWS JSON protocol in the version of services other than Kinesis.
pub(crate) const JSON_1_0: &str = "application/x-amz-json-1.0";

/// The status of an error by its number.
pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A body on its way out.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// All of it; gone once it was handed out.
    Whole(Option<Bytes>),
    /// Messages as they come, until nobody sends any more.
    Events(Receiver<Bytes>),
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> AnswerBody {
        AnswerBody::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            AnswerBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            AnswerBody::Events(events) => events.poll_recv(context).map(|event| event.map(|it| Ok(Frame::data(it)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, AnswerBody::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            AnswerBody::Events(_) => SizeHint::default(),
        }
    }
}

/// What an operation that succeeded answers with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A document; none where the model has no output.
    Document(Option<Structure>),
    /// A body that is encoded already.
    Encoded(Vec<u8>),
    /// A stream of events.
    Events(Receiver<Bytes>),
}

impl From<Structure> for Answer {
    fn from(document: Structure) -> Answer {
        Answer::Document(Some(document))
    }
}

impl Answer {
    /// The answer of an operation that has nothing to say.
    pub fn empty() -> Answer {
        Answer::Document(None)
    }

    /// The answer over HTTP.
    pub fn into_response(self, operation: &Operation, format: Format) -> Response<AnswerBody> {
        let body = match self {
            Answer::Document(None) => Bytes::new(),
            Answer::Document(Some(document)) => {
                debug_assert_eq!(conforms(operation, &document), None);
                encode(format, &Value::Structure(document)).into()
            }
            Answer::Encoded(bytes) => bytes.into(),
            Answer::Events(events) => {
                let mut response = Response::new(AnswerBody::Events(events));
                let content_type = HeaderValue::from_static(EVENT_STREAM_CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                return response;
            }
        };
        with_body(StatusCode::OK, format.content_type(), body)
    }
}

/// An error over HTTP.
pub(crate) fn refusal(error: &ServiceError, format: Format) -> Response<AnswerBody> {
    let status = status(error.name.status());
    let mut response = with_body(status, format.content_type(), error.body(format).into());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(error.name.as_str()));
    response
}

/// An answer with a body and its checksum.
pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body);
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CRC32, HeaderValue::from(crc));
    response
}

/// An answer in XML, which the service gives to whoever does not speak its protocol.
pub(crate) fn xml(status: StatusCode, text: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
