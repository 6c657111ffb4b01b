//! Buckets behind an endpoint that speaks S3: one `PUT` an object, signed, over a connection of its own.
//!
//! An object comes every few minutes, so nothing is kept between two. The courier's thread waits for each; the runtime that
//! it waits in is its own, so that delivery outlives a server that is stopped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use millrace::clock::Clock;
use millrace::{Destination, Error, Kind, Object, Result, StorageClass};
use millrace_kinesis::{Credential, SignedRequest, SigningScope};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::error::StartError;
use crate::tls;

/// How long an object may take to be stored.
const PUT_LIMIT: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a refusal is told, in characters.
const REFUSAL_CHARACTERS_MAX: usize = 500;

/// Where an endpoint with buckets is, and who may write there.
#[derive(Debug)]
pub struct BucketEndpoint {
    /// `http://HOST:PORT` or `https://HOST`. A bucket is the first part of the path.
    pub url: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Who signs; requests without one are not signed.
    pub credential: Option<Credential>,
}

/// The buckets of an endpoint.
pub(crate) struct S3 {
    scheme: &'static str,
    host: String,
    port: u16,
    authority: String,
    region: String,
    credential: Option<Credential>,
    tls: Option<TlsConnector>,
    clock: Arc<dyn Clock>,
    runtime: Runtime,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl S3 {
    /// The buckets of an endpoint, which is not asked before the first object comes.
    pub fn new(endpoint: BucketEndpoint, clock: Arc<dyn Clock>) -> std::result::Result<S3, StartError> {
        let BucketEndpoint { url, region, credential } = endpoint;
        let refused = || {
            StartError::Options(format!("expected http://HOST:PORT or https://HOST:PORT for the buckets, got {url:?}"))
        };
        let uri: Uri = url.parse().map_err(|_| refused())?;
        let (scheme, port, tls) = match uri.scheme_str() {
            Some("http") => ("http", 80, None),
            Some("https") => ("https", 443, Some(TlsConnector::from(tls::client()?))),
            _ => return Err(refused()),
        };
        let authority = uri.authority().filter(|_| matches!(uri.path(), "" | "/")).ok_or_else(refused)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(S3 {
            scheme,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: authority.as_str().to_owned(),
            region,
            credential,
            tls,
            clock,
            runtime: runtime.map_err(|error| StartError::Io("cannot wait for buckets".to_owned(), error))?,
        })
    }

    fn request(&self, object: &Object<'_>) -> std::result::Result<Request<Full<Bytes>>, hyper::http::Error> {
        let path = format!("/{}/{}", object.bucket, escaped(object.key));
        let mut headers: Vec<(&str, String)> =
            vec![(HOST.as_str(), self.authority.clone()), (CONTENT_TYPE.as_str(), object.content_type.to_owned())];
        if let Some(class) = object.storage_class {
            headers.push(("x-amz-storage-class", storage_class(class).to_owned()));
        }
        if let Some(owner) = object.bucket_owner {
            headers.push(("x-amz-expected-bucket-owner", owner.to_owned()));
        }
        if let Some(key) = object.encryption_key {
            headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
            headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.to_owned()));
        }
        if let Some(credential) = &self.credential {
            let signed: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let request = SignedRequest { method: "PUT", path: &path, query: "", headers: &signed, body: object.body };
            let scope = SigningScope { service: "s3", region: &self.region };
            let now_ms = i64::try_from(self.clock.wall_ms()).unwrap_or(i64::MAX);
            headers.extend(credential.sign(scope, &request, now_ms));
        }
        let builder =
            headers.into_iter().fold(Request::builder(), |builder, (name, value)| builder.header(name, value));
        builder.method(Method::PUT).uri(path).body(Full::from(Bytes::copy_from_slice(object.body)))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> std::io::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let Some(tls) = &self.tls else { return exchange(stream, request).await };
        let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
        exchange(tls.connect(name, stream).await?, request).await
    }
}

impl Destination for S3 {
    fn put(&self, object: &Object<'_>) -> Result<()> {
        let what =
            || format!("could not store {}/{} at {}://{}", object.bucket, object.key, self.scheme, self.authority);
        let failed = |why: String| Error::new(Kind::Io, format!("{}: {why}", what()));
        let request = self.request(object).map_err(|error| failed(error.to_string()))?;
        let answer = self.runtime.block_on(async { timeout(PUT_LIMIT, self.send(request)).await });
        let answer = answer.map_err(|_| failed(format!("no answer within {} s", PUT_LIMIT.as_secs())))?;
        let (status, body) = answer.map_err(|error| failed(error.to_string()))?;
        if status.is_success() {
            return Ok(());
        }
        let text: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_CHARACTERS_MAX).collect();
        Err(failed(format!("expected a success, got {status} {text}")))
    }
}

/// Sends a request on a connection and reads the answer.
async fn exchange<T>(io: T, request: Request<Full<Bytes>>) -> std::io::Result<(StatusCode, Bytes)>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = std::io::Error::other::<hyper::Error>;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(failed)?;
    let talking = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(std::io::Error::other)?;
    talking.abort();
    Ok((status, body.to_bytes()))
}

fn storage_class(class: StorageClass) -> &'static str {
    match class {
        StorageClass::Standard => "STANDARD",
        StorageClass::IntelligentTiering => "INTELLIGENT_TIERING",
        StorageClass::GlacierIr => "GLACIER_IR",
    }
}

/// A key as it stands in a path, and in what is signed.
fn escaped(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}
