//! Reads the body of a request: so many bytes of one, so many of all at once, in so long a time.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use millrace_kinesis::{ErrorName, ServiceError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::options::Bounds;

/// The bodies that are being read or answered: their bytes are taken from here, in units of so many.
const UNIT_BYTES: usize = 1_024;

/// The room for the bodies of all requests.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    bounds: Bounds,
    units: Arc<Semaphore>,
}

/// A body, with the room that it takes until it is dropped.
#[derive(Debug)]
pub(crate) struct ReadBody {
    /// The bytes as they came: what a signature covers.
    pub bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Room {
    pub fn new(bounds: Bounds) -> Room {
        Room { bounds, units: Arc::new(Semaphore::new(bounds.bodies_bytes.div_ceil(UNIT_BYTES))) }
    }

    /// Reads a body once there is room for it.
    pub async fn read(&self, mut body: Incoming) -> Result<ReadBody, ServiceError> {
        let most = self.bounds.body_bytes;
        // Without a length it may be as long as any.
        let expected = body.size_hint().upper().map_or(Ok(most), usize::try_from).unwrap_or(usize::MAX);
        if expected > most {
            return Err(too_large(most));
        }
        let units = u32::try_from(expected.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.units).acquire_many_owned(units).await;
        let room = room.map_err(|_| ServiceError::bare(ErrorName::ServiceUnavailable))?;
        let all = async {
            let mut bytes = BytesMut::new();
            let mut first = None;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| cut_off())?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    return Err(too_large(most));
                }
                match first.take() {
                    // A body of one piece is not copied.
                    None if bytes.is_empty() => first = Some(data),
                    None => bytes.extend_from_slice(&data),
                    Some(piece) => {
                        bytes.reserve(expected.min(most));
                        bytes.extend_from_slice(&piece);
                        bytes.extend_from_slice(&data);
                    }
                }
            }
            Ok(first.unwrap_or_else(|| bytes.freeze()))
        };
        let limit = Duration::from_millis(self.bounds.request_ms);
        let bytes = tokio::time::timeout(limit, all).await.unwrap_or_else(|_| Err(too_slow(limit)))?;
        Ok(ReadBody { bytes, _room: room })
    }

    /// The body without its compression.
    pub fn decompressed(&self, bytes: Bytes, encoding: Option<&[u8]>) -> Result<Bytes, ServiceError> {
        match encoding {
            None | Some(b"identity" | b"") => Ok(bytes),
            Some(b"gzip") => {
                let most = self.bounds.body_bytes as u64;
                let mut plain = Vec::with_capacity(bytes.len() * 4);
                let read = MultiGzDecoder::new(&*bytes).take(most + 1).read_to_end(&mut plain);
                match read {
                    Ok(_) if plain.len() as u64 > most => Err(too_large(self.bounds.body_bytes)),
                    Ok(_) => Ok(plain.into()),
                    Err(_) => Err(ServiceError::bare(ErrorName::Serialization)),
                }
            }
            Some(_) => {
                Err(ServiceError::new(ErrorName::Serialization, "Expected a Content-Encoding of gzip or identity"))
            }
        }
    }
}

fn too_large(most: usize) -> ServiceError {
    ServiceError::new(ErrorName::RequestEntityTooLarge, format!("The request's body exceeds {most} bytes."))
}

fn cut_off() -> ServiceError {
    ServiceError::new(ErrorName::Serialization, "The request's body ended early.")
}

fn too_slow(limit: Duration) -> ServiceError {
    let seconds = limit.as_secs_f64();
    ServiceError::new(ErrorName::Serialization, format!("The request's body did not arrive within {seconds} s."))
}
