//! What a request says of its signature: the `Authorization` header, the query, the date, the path.
//!
//! Holds: each is refused with an error of the service, and nothing that the fuzzer makes up is taken for a signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_fuzz::{Source, bounded};
use millrace_kinesis::{Credential, ErrorName, Signature, SignedRequest};

const NOW_MS: i64 = 1_440_938_160_000;
const REFUSALS: [ErrorName; 4] = [
    ErrorName::MissingAuthenticationToken,
    ErrorName::IncompleteSignature,
    ErrorName::InvalidSignature,
    ErrorName::UnrecognizedClient,
];

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let mut text = |bytes_max| String::from_utf8_lossy(source.bytes(bytes_max)).into_owned();
    let (path, query, date, token) = (text(200), text(400), text(40), text(40));
    let header = source.rest();
    let headers: [(&str, &[u8]); 5] = [
        ("host", b"localhost"),
        ("x-amz-date", date.as_bytes()),
        ("x-amz-security-token", token.as_bytes()),
        ("x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
        ("authorization", header),
    ];
    let headers = if header.is_empty() { &headers[..4] } else { &headers[..] };
    let request = SignedRequest { method: "POST", path: &path, query: &query, headers, body: b"{}" };
    let credential = Credential::new("AKID".to_owned(), "a secret that the fuzzer does not know".to_owned(), None);
    let verified = bounded(input.len(), 64, || {
        Signature::of(&request)
            .and_then(|signature| credential.verify(&signature, &request, &["kinesis", "dynamodb"], NOW_MS))
    });
    let error = verified.expect_err("nobody signed this");
    assert!(REFUSALS.contains(&error.name), "{error}");
});
