//! Signing, for the requests that Millrace makes itself.

use std::borrow::Cow;

use hmac::Mac;
use sha2::{Digest, Sha256};

use super::parse::Signature;
use super::{ALGORITHM, CONTENT_HASH, Credential, SignedRequest, TERMINATOR, canonical, hex, hmac};
use crate::time::basic_iso;

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub struct SigningScope<'a> {
    /// The service, such as `s3`.
    pub service: &'a str,
    /// The region.
    pub region: &'a str,
}

impl Credential {
    /// The headers that sign a request with all its headers, `host` among them, at a time in milliseconds since 1970.
    ///
    /// # Panics
    /// Where the request has no header `host`.
    #[must_use]
    pub fn sign(
        &self,
        scope: SigningScope<'_>,
        request: &SignedRequest<'_>,
        now_ms: i64,
    ) -> Vec<(&'static str, String)> {
        let timestamp = basic_iso(now_ms);
        let payload_hash = hex(&Sha256::digest(request.body));
        let mut added = vec![("x-amz-date", timestamp.clone()), (CONTENT_HASH, payload_hash.clone())];
        added.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        let mut headers = request.headers.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
        let mut signed_headers: Vec<Cow<'_, str>> = headers.iter().map(|(name, _)| Cow::Borrowed(*name)).collect();
        signed_headers.sort_unstable();
        let unsigned = Signature {
            access_key: Cow::Borrowed(&self.access_key),
            date: Cow::Borrowed(&timestamp[..8]),
            region: Cow::Borrowed(scope.region),
            timestamp: Cow::Borrowed(&timestamp),
            session_token: None,
            service: Cow::Borrowed(scope.service),
            terminator: Cow::Borrowed(TERMINATOR),
            signed_headers,
            signature: Cow::Borrowed(""),
            expires_s: None,
        };
        let request = SignedRequest { headers: &headers, ..*request };
        let canonical = canonical::request(&unsigned, &request, &payload_hash).expect("a host and sorted headers");
        let (scope, names) = (unsigned.scope(), unsigned.signed_headers.join(";"));
        let to_sign = format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let mac = hmac(&self.signing_key(&unsigned, &scope)).chain_update(to_sign.as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        let access_key = &self.access_key;
        let authorization =
            format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}");
        added.push(("authorization", authorization));
        added
    }
}
