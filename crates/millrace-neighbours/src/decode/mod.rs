//! From bytes to what a request gives, in each of the three protocols.

mod form;

pub use form::Form;

use crate::fault::{Fault, FaultName};
use crate::input::PutMetricData;

/// The longest body of PutMetricData without compression, in bytes: the service's megabyte.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How deep what is passed over may be nested.
const DEPTH_MAX: usize = 64;

/// PutMetricData in JSON.
///
/// # Errors
/// `SerializationException`, `RequestEntityTooLargeException`.
///
/// ```
/// use millrace_neighbours::decode;
/// let given = decode::json(br#"{"Namespace":"App","MetricData":[{"MetricName":"Clicks","Value":1}]}"#)?;
/// assert_eq!(given.namespace.as_deref(), Some("App"));
/// # Ok::<(), millrace_neighbours::Fault>(())
/// ```
pub fn json(body: &[u8]) -> Result<PutMetricData, Fault> {
    check_length(body)?;
    serde_json::from_slice(body).map_err(|error| malformed(&error))
}

/// PutMetricData in CBOR, as the protocol `rpc-v2-cbor` has it: moments in seconds.
///
/// # Errors
/// `SerializationException`, `RequestEntityTooLargeException`.
pub fn cbor(body: &[u8]) -> Result<PutMetricData, Fault> {
    check_length(body)?;
    let mut left = body;
    let given = ciborium::de::from_reader_with_recursion_limit(&mut left, DEPTH_MAX).map_err(|error| match error {
        // Where it stands is of no use to whoever sees no bytes.
        ciborium::de::Error::Semantic(_, message) => malformed(&message),
        _ => malformed(&"the body is not CBOR"),
    })?;
    if left.is_empty() { Ok(given) } else { Err(malformed(&"the body goes on behind its end")) }
}

fn check_length(body: &[u8]) -> Result<(), Fault> {
    if body.len() <= BODY_BYTES_MAX {
        return Ok(());
    }
    let message = format!("Expected a body of at most {BODY_BYTES_MAX} bytes, got {}", body.len());
    Err(Fault::new(FaultName::RequestTooLarge, message))
}

fn malformed(what: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultName::Malformed, what.to_string())
}

#[cfg(test)]
mod tests;
