use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as a client would send it.
#[derive(Clone, Debug)]
struct Sent {
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn new() -> Sent {
        Sent {
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![
                ("host".to_owned(), "localhost:4567".to_owned()),
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target".to_owned(), "Kinesis_20131202.ListStreams".to_owned()),
            ],
            body: b"{}".to_vec(),
        }
    }

    fn verify(&self, credential: &Credential, now_ms: i64) -> Result<(), ServiceError> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let request =
            SignedRequest { method: "POST", path: &self.path, query: &self.query, headers: &headers, body: &self.body };
        let signature = Signature::of(&request)?;
        credential.verify(&signature, &request, &["kinesis"], now_ms)
    }

    /// Signed by the SDK's own library.
    fn signed(mut self, location: SignatureLocation, checksum: PayloadChecksumKind, token: Option<&str>) -> Sent {
        let identity = Credentials::new("AKID", SECRET, token.map(str::to_owned), None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = location;
        settings.payload_checksum_kind = checksum;
        if location == SignatureLocation::QueryParams {
            settings.expires_in = Some(Duration::from_secs(900));
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW_MS).expect("after 1970"));
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("kinesis")
            .time(at)
            .settings(settings)
            .build()
            .expect("all parameters are set");
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let uri = format!("http://localhost:4567{}{query}", self.path);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(&self.body)).expect("a request");
        let (instructions, _) = sign(request, &params.into()).expect("a signature").into_parts();
        let (headers, added) = instructions.into_parts();
        for header in headers {
            self.headers.push((header.name().to_owned(), header.value().to_owned()));
        }
        for (name, value) in added {
            let joint = if self.query.is_empty() { "" } else { "&" };
            self.query += &format!("{joint}{name}={}", escaped_for_query(&value));
        }
        self
    }

    fn in_header(self) -> Sent {
        self.signed(SignatureLocation::Headers, PayloadChecksumKind::NoHeader, None)
    }
}

fn escaped_for_query(value: &str) -> String {
    value
        .bytes()
        .map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        })
        .collect()
}

fn credential() -> Credential {
    Credential::new("AKID".to_owned(), SECRET.to_owned(), None)
}

fn message(result: Result<(), ServiceError>) -> (ErrorName, String) {
    let error = result.expect_err("a request that is refused");
    (error.name, error.message.unwrap_or_default())
}

#[test]
fn what_the_sdk_signs_is_verified() {
    let sent = Sent::new().in_header();
    sent.verify(&credential(), NOW_MS).expect("the request that was signed");
    sent.verify(&credential(), NOW_MS + SKEW_MS).expect("just in time");
    let hashed = Sent::new().signed(SignatureLocation::Headers, PayloadChecksumKind::XAmzSha256, None);
    hashed.verify(&credential(), NOW_MS).expect("a request with the hash of its body");
    let presigned = Sent::new().signed(SignatureLocation::QueryParams, PayloadChecksumKind::NoHeader, None);
    presigned.verify(&credential(), NOW_MS + 899_000).expect("a presigned request");
    assert!(presigned.verify(&credential(), NOW_MS + 901_000).is_err(), "it says itself for how long it is good");
}

#[test]
fn a_session_token_must_be_the_one_of_its_key() {
    let sent = Sent::new().signed(SignatureLocation::Headers, PayloadChecksumKind::NoHeader, Some("token"));
    let with = |token: Option<&str>| Credential::new("AKID".to_owned(), SECRET.to_owned(), token.map(str::to_owned));
    sent.verify(&with(Some("token")), NOW_MS).expect("the token that was given out");
    assert_eq!(message(sent.verify(&with(Some("other")), NOW_MS)).0, ErrorName::UnrecognizedClient);
    assert_eq!(message(sent.verify(&with(None), NOW_MS)).0, ErrorName::UnrecognizedClient);
}

#[test]
fn a_signature_is_good_for_the_services_that_were_asked_for_alone() {
    let sent = Sent::new().in_header();
    let headers: Vec<(&str, &[u8])> =
        sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: &sent.body };
    let (credential, signature) = (credential(), Signature::of(&request).expect("a signature"));
    // Again and again, so that keys of other scopes come and go between.
    for round in 0..2 * DERIVED_MAX {
        let other = Signature { region: format!("region-{round}").into(), ..signature.clone() };
        assert!(credential.verify(&other, &request, &["kinesis"], NOW_MS).is_err(), "{round}");
        credential.verify(&signature, &request, &["sts", "kinesis"], NOW_MS).expect("one of the two");
    }
    assert_eq!(
        message(credential.verify(&signature, &request, &["monitoring", "sts"], NOW_MS)).1,
        "Credential should be scoped to correct service: 'monitoring' or 'sts'. "
    );
    assert!(credential.derived.lock().expect("no panic").len() <= DERIVED_MAX);
}

#[test]
fn what_was_changed_behind_the_signature_is_refused() {
    let sent = Sent::new().in_header();
    let other_secret = Credential::new("AKID".to_owned(), "other".to_owned(), None);
    let mut changed = vec![("secret", sent.verify(&other_secret, NOW_MS))];
    let mut change = |what, edit: &dyn Fn(&mut Sent)| {
        let mut copy = sent.clone();
        edit(&mut copy);
        changed.push((what, copy.verify(&credential(), NOW_MS)));
    };
    change("body", &|sent| sent.body.push(b' '));
    change("target", &|sent| sent.headers[2].1.push('X'));
    change("host", &|sent| sent.headers[0].1.push('0'));
    change("query", &|sent| sent.query = "a=1".to_owned());
    change("path", &|sent| sent.path = "/a".to_owned());
    for (what, result) in changed {
        assert_eq!(message(result), (ErrorName::InvalidSignature, MISMATCH.to_owned()), "{what}");
    }
}

#[test]
fn a_clock_that_is_off_is_told_so() {
    let sent = Sent::new().in_header();
    assert_eq!(
        message(sent.verify(&credential(), NOW_MS + 301_000)).1,
        "Signature expired: 20231114T221320Z is now earlier than 20231114T221321Z (20231114T221821Z - 5 min.)"
    );
    assert_eq!(
        message(sent.verify(&credential(), NOW_MS - 301_000)).1,
        "Signature not yet current: 20231114T221320Z is still later than 20231114T221319Z (20231114T220819Z + 5 min.)"
    );
}

#[test]
fn what_a_signature_lacks_is_told_in_the_recorded_words() {
    let bare = Sent::new();
    assert_eq!(
        message(bare.verify(&credential(), NOW_MS)),
        (ErrorName::MissingAuthenticationToken, "Missing Authentication Token".to_owned())
    );
    let mut header = bare.clone();
    header.headers.push(("authorization".to_owned(), "AWS4-HMAC-SHA256 Signature=b".to_owned()));
    assert_eq!(
        message(header.verify(&credential(), NOW_MS)).1,
        "Authorization header requires 'Credential' parameter. Authorization header requires 'SignedHeaders' parameter. \
         Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
         Authorization=AWS4-HMAC-SHA256 Signature=b"
    );
    let mut query = bare.clone();
    query.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20231114T221320Z".to_owned();
    assert_eq!(
        message(query.verify(&credential(), NOW_MS)).1,
        "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include \
         'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string \
         parameters."
    );
    header.query = query.query;
    assert!(message(header.verify(&credential(), NOW_MS)).1.starts_with("Found both 'X-Amz-Algorithm'"));
}

#[test]
fn a_signature_must_cover_the_host_and_be_for_this_service() {
    let mut sent = Sent::new().in_header();
    let last = sent.headers.len() - 1;
    let position = sent.headers.iter().position(|(name, _)| name == "authorization").unwrap_or(last);
    let signed = sent.headers[position].1.clone();
    sent.headers[position].1 = signed.replace("host;", "");
    assert!(message(sent.verify(&credential(), NOW_MS)).1.contains("':authority' must be a 'SignedHeader'"));
    sent.headers[position].1 = signed.replace("/kinesis/", "/dynamodb/");
    assert!(message(sent.verify(&credential(), NOW_MS)).1.contains("correct service: 'kinesis'"));
    sent.headers[position].1 = signed.replace("/20231114/", "/20231113/");
    assert!(message(sent.verify(&credential(), NOW_MS)).1.contains("'20231113' != '20231114'"));
    sent.headers[position].1 = signed.replace("us-east-1/", "");
    assert!(message(sent.verify(&credential(), NOW_MS)).1.contains("exactly 5 slash-delimited elements"));
}

/// The vectors of the AWS test suite for paths and queries: what is sent, and its canonical form.
#[test]
fn canonical_forms_are_those_of_the_test_suite() {
    let canonical = |path: &str, query: &str| {
        let headers: [(&str, &[u8]); 2] = [("host", b"example.amazonaws.com"), ("my-header1", b" value4 \t value1 ")];
        let request = SignedRequest { method: "GET", path, query, headers: &headers, body: b"" };
        let signature = Signature {
            access_key: "AKIDEXAMPLE".into(),
            date: "20150830".into(),
            region: "us-east-1".into(),
            timestamp: "20150830T123600Z".into(),
            session_token: None,
            service: "service".into(),
            terminator: TERMINATOR.into(),
            signed_headers: vec!["host".into(), "my-header1".into()],
            signature: "".into(),
            expires_s: None,
        };
        let text = super::canonical::request(&signature, &request, "hash").expect("host is signed");
        let mut lines = text.lines().skip(1).map(str::to_owned);
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), text)
    };
    for (path, expected) in [
        ("/", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/example/..", "/"),
        ("/example1/example2/../..", "/"),
        ("//example//", "/example/"),
        ("/-._~0123456789ABCxyz", "/-._~0123456789ABCxyz"),
        ("/%E1%88%B4", "/%25E1%2588%25B4"),
    ] {
        assert_eq!(canonical(path, "").0, expected, "{path}");
    }
    for (query, expected) in [
        ("Param2=value2&Param1=value1", "Param1=value1&Param2=value2"),
        ("Param1=value2&Param1=Value1", "Param1=Value1&Param1=value2"),
        ("Param1", "Param1="),
        ("%E1%88%B4=bar", "%E1%88%B4=bar"),
        ("a=b%20c/d", "a=b%20c%2Fd"),
    ] {
        assert_eq!(canonical("/", query).1, expected, "{query}");
    }
    let (_, _, text) = canonical("/", "");
    assert!(text.contains("\nhost:example.amazonaws.com\nmy-header1:value4 value1\n\nhost;my-header1\nhash"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_sdk_and_this_agree_on_any_body_and_headers(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        value in "[ -~]{0,30}",
        query in "([a-z]{1,4}=[a-zA-Z0-9._~-]{0,8}(&[a-z]{1,4}=[a-zA-Z0-9._~-]{0,8}){0,3})?",
    ) {
        let mut sent = Sent { body, query, ..Sent::new() };
        sent.headers.push(("x-amz-meta".to_owned(), value));
        sent.in_header().verify(&credential(), NOW_MS).expect("the request that was signed");
    }

    #[test]
    fn no_header_makes_the_reader_panic(header in "\\PC{0,200}", query in "\\PC{0,100}", date in "\\PC{0,20}") {
        let mut sent = Sent { query, ..Sent::new() };
        sent.headers.push(("authorization".to_owned(), header));
        sent.headers.push(("x-amz-date".to_owned(), date));
        prop_assert!(sent.verify(&credential(), NOW_MS).is_err());
    }
}

#[test]
fn what_is_signed_for_s3_is_signed_as_the_sdk_signs_it() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW_MS).expect("after 1970"));
    for token in [None, Some("a token")] {
        let identity = Credentials::new("AKID", SECRET, token.map(str::to_owned), None, "test").into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = aws_sigv4::http_request::UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder().identity(&identity).region("eu-west-1").name("s3");
        let params = params.time(at).settings(settings).build().expect("all parameters are set");
        let path = "/archive/dt%3D2026/a-b.jsonl.gz";
        let headers = [("host", "localhost:9000"), ("content-type", "text/plain"), ("x-amz-storage-class", "STANDARD")];
        let uri = format!("http://localhost:9000{path}");
        let body = SignableBody::Bytes(b"an object");
        let request = SignableRequest::new("PUT", uri, headers.into_iter(), body).expect("a request");
        let (instructions, _) = sign(request, &params.into()).expect("a signature").into_parts();
        let mut expected: Vec<(String, String)> = instructions
            .into_parts()
            .0
            .iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()))
            .collect();
        let credential = Credential::new("AKID".to_owned(), SECRET.to_owned(), token.map(str::to_owned));
        let bytes: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let request = SignedRequest { method: "PUT", path, query: "", headers: &bytes, body: b"an object" };
        let signed = credential.sign(SigningScope { service: "s3", region: "eu-west-1" }, &request, NOW_MS);
        let mut signed: Vec<(String, String)> =
            signed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        expected.sort();
        signed.sort();
        assert_eq!(signed, expected);
    }
}
