//! Signature version 4, verified: who signed a request, when, and whether it is the request that was signed.
//!
//! A signature comes in the `Authorization` header or in the query of a presigned URL. Verifying is signing again and
//! comparing, in constant time. What a request lacks is told in the service's own words, before anything is hashed.

mod canonical;
mod parse;
mod sign;

use std::sync::Mutex;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::{ErrorName, ServiceError};
use crate::time::{basic_iso, parse_basic_iso};
pub use parse::Signature;
pub use sign::SigningScope;

/// How far the clocks of client and server may be apart, in milliseconds.
pub const SKEW_MS: i64 = 300_000;
/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// How many derived keys a credential keeps: a client signs for a few services, in one region, for a day.
const DERIVED_MAX: usize = 8;
/// What stands for the hash of a payload that is not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Where a client says what it hashed.
const CONTENT_HASH: &str = "x-amz-content-sha256";

/// A request, as far as a signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// `POST`, as a rule.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: &'a str,
    /// The headers in the order in which they came, names in small letters. `host` is among them, though HTTP/2 calls it
    /// otherwise.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body as it was sent.
    pub body: &'a [u8],
}

impl<'a> SignedRequest<'a> {
    /// The first header of this name, where it is text.
    fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(known, _)| *known == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// An access key and the secret that goes with it.
pub struct Credential {
    access_key: String,
    secret: String,
    session_token: Option<String>,
    /// The keys of the last scopes, the latest at the end: a client signs with one for a day.
    derived: Mutex<Vec<(String, [u8; 32])>>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credential {
    /// A credential; one with a session token is good with it alone.
    #[must_use]
    pub fn new(access_key: String, secret: String, session_token: Option<String>) -> Credential {
        Credential { access_key, secret, session_token, derived: Mutex::new(Vec::new()) }
    }

    /// What a signature names it by.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Whether the request is what its signature says, signed with this credential for one of these services and not too
    /// long ago.
    ///
    /// # Errors
    /// `InvalidSignatureException`, `UnrecognizedClientException` for another session token.
    pub fn verify(
        &self,
        signature: &Signature<'_>,
        request: &SignedRequest<'_>,
        services: &[&str],
        now_ms: i64,
    ) -> Result<(), ServiceError> {
        check_scope(signature, services)?;
        check_time(signature, now_ms)?;
        if self.session_token.as_deref() != signature.session_token.as_deref() {
            let message = "The security token included in the request is invalid.";
            return Err(ServiceError::new(ErrorName::UnrecognizedClient, message));
        }
        let payload_hash = payload_hash(request)?;
        let canonical = canonical::request(signature, request, &payload_hash)?;
        let scope = signature.scope();
        let to_sign =
            format!("{ALGORITHM}\n{}\n{scope}\n{}", signature.timestamp, hex(&Sha256::digest(canonical.as_bytes())));
        let expected = unhex(&signature.signature).unwrap_or([0; 32]);
        // In constant time, so that nobody finds a signature byte by byte.
        let mac = hmac(&self.signing_key(signature, &scope)).chain_update(to_sign.as_bytes());
        mac.verify_slice(&expected).map_err(|_| invalid(MISMATCH.to_owned()))
    }

    fn signing_key(&self, signature: &Signature<'_>, scope: &str) -> [u8; 32] {
        let mut derived = self.derived.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, key)) = derived.iter().find(|(known, _)| known == scope) {
            return *key;
        }
        let secret = format!("AWS4{}", self.secret);
        let parts = [&*signature.date, &*signature.region, &*signature.service, TERMINATOR];
        let first = hmac(secret.as_bytes()).chain_update(parts[0].as_bytes());
        let key: [u8; 32] = parts[1..].iter().fold(first.finalize().into_bytes().into(), |key: [u8; 32], part| {
            hmac(&key).chain_update(part.as_bytes()).finalize().into_bytes().into()
        });
        if derived.len() == DERIVED_MAX {
            derived.remove(0);
        }
        derived.push((scope.to_owned(), key));
        key
    }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

/// Holds what a signature says of itself against the services that the request may be for.
fn check_scope(signature: &Signature<'_>, services: &[&str]) -> Result<(), ServiceError> {
    let Signature { date, service, terminator, timestamp, .. } = signature;
    if !services.contains(&&**service) {
        let names = services.join("' or '");
        return Err(invalid(format!("Credential should be scoped to correct service: '{names}'. ")));
    }
    if terminator != TERMINATOR {
        let message =
            format!("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.");
        return Err(invalid(message));
    }
    let day = timestamp.get(..8).unwrap_or(timestamp);
    if day != date {
        return Err(invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != '{day}', \
             from '{timestamp}'."
        )));
    }
    Ok(())
}

fn check_time(signature: &Signature<'_>, now_ms: i64) -> Result<(), ServiceError> {
    let timestamp = &signature.timestamp;
    let Some(signed_ms) = parse_basic_iso(timestamp) else {
        let message = format!(
            "Date must be in ISO-8601 'basic format'. Got '{timestamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
        );
        return Err(ServiceError::new(ErrorName::IncompleteSignature, message));
    };
    let (now, minutes) = (basic_iso(now_ms), SKEW_MS / 60_000);
    // A presigned request says itself for how long it is good.
    let life_ms = signature.expires_s.map_or(SKEW_MS, |expires_s| expires_s.saturating_mul(1_000));
    if signed_ms.saturating_add(life_ms) < now_ms {
        let earliest = basic_iso(now_ms - life_ms);
        let minutes = life_ms / 60_000;
        return Err(invalid(format!(
            "Signature expired: {timestamp} is now earlier than {earliest} ({now} - {minutes} min.)"
        )));
    }
    if signed_ms > now_ms.saturating_add(SKEW_MS) {
        let latest = basic_iso(now_ms + SKEW_MS);
        return Err(invalid(format!(
            "Signature not yet current: {timestamp} is still later than {latest} ({now} + {minutes} min.)"
        )));
    }
    Ok(())
}

/// The hash of the payload as the client signed it.
fn payload_hash(request: &SignedRequest<'_>) -> Result<String, ServiceError> {
    let claimed = request.header(CONTENT_HASH);
    if claimed == Some(UNSIGNED_PAYLOAD) {
        return Ok(UNSIGNED_PAYLOAD.to_owned());
    }
    let hash = hex(&Sha256::digest(request.body));
    match claimed {
        Some(claimed) if claimed != hash => Err(invalid(
            "The value of the x-amz-content-sha256 header does not match the calculated hash of the body.".to_owned(),
        )),
        _ => Ok(hash),
    }
}

fn invalid(message: String) -> ServiceError {
    ServiceError::new(ErrorName::InvalidSignature, message)
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length is one")
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
