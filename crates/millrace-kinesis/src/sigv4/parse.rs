//! What a request says of its signature, and what it lacks.

use std::borrow::Cow;

use super::{ALGORITHM, SignedRequest};
use crate::error::{ErrorName, ServiceError};

/// The signature that a request brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Whose it is.
    pub access_key: Cow<'a, str>,
    /// The day of the credential's scope.
    pub date: Cow<'a, str>,
    /// The region of the credential's scope.
    pub region: Cow<'a, str>,
    /// When it was signed, as the request spells it.
    pub timestamp: Cow<'a, str>,
    /// The session token that came along.
    pub session_token: Option<Cow<'a, str>>,
    pub(super) service: Cow<'a, str>,
    pub(super) terminator: Cow<'a, str>,
    /// The names of the headers that are signed, in small letters.
    pub(super) signed_headers: Vec<Cow<'a, str>>,
    pub(super) signature: Cow<'a, str>,
    /// For how long a presigned request is good, in seconds; none where the signature stands in a header.
    pub(super) expires_s: Option<i64>,
}

/// The longest life of a presigned request, in seconds: a week.
const EXPIRES_S_MAX: i64 = 604_800;

impl<'a> Signature<'a> {
    /// Reads the signature of a request.
    ///
    /// # Errors
    /// `MissingAuthenticationTokenException` where there is none, `IncompleteSignatureException` where a part of it is
    /// missing, `InvalidSignatureException` where there are two.
    pub fn of(request: &SignedRequest<'a>) -> Result<Signature<'a>, ServiceError> {
        let header = request.header("authorization");
        let query = Query::of(request.query);
        match (header, query.get("X-Amz-Algorithm").is_some()) {
            (Some(_), true) => Err(ServiceError::new(
                ErrorName::InvalidSignature,
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            )),
            (None, false) => {
                Err(ServiceError::new(ErrorName::MissingAuthenticationToken, "Missing Authentication Token"))
            }
            (Some(header), false) => Signature::of_header(header, request),
            (None, true) => Signature::of_query(&query),
        }
    }

    fn of_header(header: &'a str, request: &SignedRequest<'a>) -> Result<Signature<'a>, ServiceError> {
        let parts: Vec<(&str, &str)> =
            header.split([',', ' ']).skip(1).filter_map(|part| part.trim().split_once('=')).collect();
        let part = |name: &str| parts.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let date = request.header("x-amz-date").or_else(|| request.header("date"));
        let mut lacks = String::new();
        for name in ["Credential", "Signature", "SignedHeaders"] {
            if part(name).is_none_or(str::is_empty) {
                lacks += &format!("Authorization header requires '{name}' parameter. ");
            }
        }
        if date.is_none() {
            lacks += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
        }
        let (Some(credential), Some(signature), Some(signed_headers), Some(timestamp), true) =
            (part("Credential"), part("Signature"), part("SignedHeaders"), date, lacks.is_empty())
        else {
            let shown = crate::decode::shown(header);
            return Err(incomplete(format!("{lacks}Authorization={shown}")));
        };
        if header.split(' ').next() != Some(ALGORITHM) {
            let shown = crate::decode::shown(header.split(' ').next().unwrap_or_default());
            return Err(incomplete(format!("Unsupported AWS 'algorithm': '{shown}'. ")));
        }
        let [access_key, date, region, service, terminator] = scope_of(credential)?;
        Ok(Signature {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            timestamp: timestamp.into(),
            session_token: request.header("x-amz-security-token").map(Cow::Borrowed),
            service: service.into(),
            terminator: terminator.into(),
            signed_headers: signed_headers.split(';').map(Cow::Borrowed).collect(),
            signature: signature.into(),
            expires_s: None,
        })
    }

    fn of_query(query: &Query<'a>) -> Result<Signature<'a>, ServiceError> {
        let lacks: String =
            ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"]
                .iter()
                .filter(|name| query.get(name).is_none_or(|value| value.is_empty()))
                .map(|name| format!("AWS query-string parameters must include '{name}'. "))
                .collect();
        let (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(timestamp), true) = (
            query.get("X-Amz-Algorithm"),
            query.get("X-Amz-Credential"),
            query.get("X-Amz-Signature"),
            query.get("X-Amz-SignedHeaders"),
            query.get("X-Amz-Date"),
            lacks.is_empty(),
        ) else {
            return Err(incomplete(format!("{lacks}Re-examine the query-string parameters.")));
        };
        if algorithm != ALGORITHM {
            let shown = crate::decode::shown(&algorithm);
            return Err(incomplete(format!("Unsupported AWS 'algorithm': '{shown}'. ")));
        }
        let expires = query.get("X-Amz-Expires").map_or(Some(EXPIRES_S_MAX), |text| text.parse().ok());
        let expires_s = expires.filter(|expires_s| (1..=EXPIRES_S_MAX).contains(expires_s)).ok_or_else(|| {
            incomplete(format!("X-Amz-Expires must be a number of seconds from 1 to {EXPIRES_S_MAX}. "))
        })?;
        let [access_key, date, region, service, terminator] = scope_of(&credential)?.map(str::to_owned);
        Ok(Signature {
            access_key: access_key.into(),
            date: date.into(),
            region: region.into(),
            timestamp,
            session_token: query.get("X-Amz-Security-Token"),
            service: service.into(),
            terminator: terminator.into(),
            signed_headers: signed_headers.split(';').map(|name| Cow::Owned(name.to_owned())).collect(),
            signature,
            expires_s: Some(expires_s),
        })
    }

    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }
}

fn incomplete(message: String) -> ServiceError {
    ServiceError::new(ErrorName::IncompleteSignature, message)
}

/// Access key, date, region, service and terminator. An access key may hold slashes; what follows may not.
fn scope_of(credential: &str) -> Result<[&str; 5], ServiceError> {
    let mut parts = credential.rsplitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    match (next(), next(), next(), next(), next()) {
        (Some(terminator), Some(service), Some(region), Some(date), Some(key)) => {
            Ok([key, date, region, service, terminator])
        }
        _ => {
            let shown = crate::decode::shown(credential);
            Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{shown}'."
            )))
        }
    }
}

/// The parameters of a query, decoded.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn of(query: &'a str) -> Query<'a> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), percent_decoded(value))
        });
        Query(pairs.collect())
    }

    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub(super) fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.0
    }
}

/// A text without its percent signs; what is no escape, or no UTF-8 behind it, stays as it is.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        let escape = match behind {
            [high, low, ..] if *first == b'%' => nibble(*high).zip(nibble(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &behind[2..];
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
