//! The canonical form of a request: the one text that client and server hash, however the request was spelt.

use super::parse::{Query, Signature};
use super::{SignedRequest, invalid};
use crate::error::ServiceError;

/// What HTTP/2 calls the host, and what some clients sign it as.
const AUTHORITY: &str = ":authority";

/// The canonical request, as far as the signature covers it.
pub(super) fn request(
    signature: &Signature<'_>,
    request: &SignedRequest<'_>,
    payload_hash: &str,
) -> Result<String, ServiceError> {
    let mut text = String::with_capacity(1_024);
    text.push_str(request.method);
    text.push('\n');
    match &*signature.service {
        "s3" => text.push_str(request.path),
        _ => push_path(request.path, &mut text),
    }
    text.push('\n');
    push_query(request.query, &mut text);
    text.push('\n');
    push_headers(signature, request, &mut text)?;
    text.push('\n');
    text.push_str(&signature.signed_headers.join(";"));
    text.push('\n');
    text.push_str(payload_hash);
    Ok(text)
}

/// The path with its dots resolved and escaped once more, as all services but S3 have it.
fn push_path(path: &str, text: &mut String) {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    for part in &parts {
        text.push('/');
        push_escaped(part, text);
    }
    if parts.is_empty() || path.ends_with('/') {
        text.push('/');
    }
}

fn push_query(query: &str, text: &mut String) {
    let query = Query::of(query);
    let mut pairs: Vec<(String, String)> = query
        .pairs()
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        text.push_str(if index > 0 { "&" } else { "" });
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
}

/// The signed headers with their values, in the order in which the signature names them, which is sorted.
fn push_headers(signature: &Signature<'_>, request: &SignedRequest<'_>, text: &mut String) -> Result<(), ServiceError> {
    if !signature.signed_headers.iter().any(|name| name == "host" || name == AUTHORITY) {
        return Err(invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned()));
    }
    if !signature.signed_headers.is_sorted() {
        let names = signature.signed_headers.join(";");
        return Err(invalid(format!("SignedHeaders must be sorted, got '{}'.", crate::decode::shown(&names))));
    }
    for name in &signature.signed_headers {
        text.push_str(name);
        text.push(':');
        let name = if name == AUTHORITY { "host" } else { name };
        let values = request.headers.iter().filter(|(known, _)| *known == name);
        for (index, (_, value)) in values.enumerate() {
            text.push_str(if index > 0 { "," } else { "" });
            push_collapsed(&String::from_utf8_lossy(value), text);
        }
        text.push('\n');
    }
    Ok(())
}

/// A value without blanks at its ends, and with one where it has several.
fn push_collapsed(value: &str, text: &mut String) {
    for (index, word) in value.split_ascii_whitespace().enumerate() {
        text.push_str(if index > 0 { " " } else { "" });
        text.push_str(word);
    }
}

fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    push_escaped(part, &mut text);
    text
}

fn push_escaped(part: &str, text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}
