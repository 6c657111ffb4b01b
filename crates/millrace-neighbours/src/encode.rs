//! From answers and errors to bytes, in each of the three protocols.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;
use serde::Serialize;

use crate::fault::Fault;

/// What stands before an error's name in `__type`.
const MODEL: &str = "com.amazonaws.cloudwatch";
const MONITORING: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Who calls, as GetCallerIdentity tells it.
#[derive(Clone, Copy, Debug)]
pub struct CallerIdentity<'a> {
    /// The account.
    pub account: &'a str,
    /// The user's number; the root user of an account has the account's.
    pub user_id: &'a str,
    /// The user's ARN.
    pub arn: &'a str,
}

/// An error's body in JSON.
///
/// ```
/// use millrace_neighbours::{Fault, FaultName, encode};
/// let fault = Fault::new(FaultName::MissingParameter, "The parameter Namespace is required.");
/// assert_eq!(
///     encode::fault_json(&fault),
///     br#"{"__type":"com.amazonaws.cloudwatch#MissingRequiredParameterException","message":"The parameter Namespace is required."}"#
/// );
/// ```
#[must_use]
pub fn fault_json(fault: &Fault) -> Vec<u8> {
    serde_json::to_vec(&FaultBody::of(fault)).expect("two texts are always written")
}

/// An error's body in CBOR.
#[must_use]
pub fn fault_cbor(fault: &Fault) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    ciborium::into_writer(&FaultBody::of(fault), &mut bytes).expect("memory takes whatever is written");
    bytes
}

/// An error's body in the query protocol.
#[must_use]
pub fn fault_xml(fault: &Fault, request_id: &str) -> String {
    let whose = if fault.name.status() < 500 { "Sender" } else { "Receiver" };
    document("ErrorResponse", MONITORING, |root| {
        element(root, "Error", |error| {
            leaf(error, "Type", whose)?;
            leaf(error, "Code", fault.name.code())?;
            leaf(error, "Message", &fault.message)
        })?;
        leaf(root, "RequestId", request_id)
    })
}

/// The answer to PutMetricData in the query protocol; in the others it is empty.
#[must_use]
pub fn put_metric_data_xml(request_id: &str) -> String {
    document("PutMetricDataResponse", MONITORING, |root| metadata(root, request_id))
}

/// The answer to GetCallerIdentity.
#[must_use]
pub fn caller_identity_xml(caller: &CallerIdentity<'_>, request_id: &str) -> String {
    document("GetCallerIdentityResponse", STS, |root| {
        element(root, "GetCallerIdentityResult", |result| {
            leaf(result, "Arn", caller.arn)?;
            leaf(result, "UserId", caller.user_id)?;
            leaf(result, "Account", caller.account)
        })?;
        metadata(root, request_id)
    })
}

#[derive(Serialize)]
struct FaultBody<'a> {
    #[serde(rename = "__type")]
    shape: String,
    message: &'a str,
}

impl FaultBody<'_> {
    fn of(fault: &Fault) -> FaultBody<'_> {
        FaultBody { shape: format!("{MODEL}#{}", fault.name.shape()), message: &fault.message }
    }
}

type Xml = Writer<Vec<u8>>;

fn document(name: &str, namespace: &str, inside: impl FnOnce(&mut Xml) -> io::Result<()>) -> String {
    let mut xml = Writer::new(Vec::with_capacity(512));
    let root = xml.create_element(name).with_attribute(("xmlns", namespace));
    root.write_inner_content(inside).expect("memory takes whatever is written");
    String::from_utf8(xml.into_inner()).expect("texts are written as texts")
}

fn element(xml: &mut Xml, name: &str, inside: impl FnOnce(&mut Xml) -> io::Result<()>) -> io::Result<()> {
    xml.create_element(name).write_inner_content(inside).map(drop)
}

fn leaf(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    // XML has no way to write most control characters, not even by number.
    let printable: String =
        text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    xml.create_element(name).write_text_content(BytesText::new(&printable)).map(drop)
}

fn metadata(xml: &mut Xml, request_id: &str) -> io::Result<()> {
    element(xml, "ResponseMetadata", |metadata| leaf(metadata, "RequestId", request_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultName;

    #[test]
    fn what_a_caller_sent_is_escaped_in_xml() {
        let fault = Fault::new(FaultName::UnknownOperation, "no <Action> & \u{1}\u{ffff}");
        let text = fault_xml(&fault, "id");
        assert!(text.contains("<Message>no &lt;Action&gt; &amp; \u{fffd}"), "{text}");
        assert!(text.contains("<Type>Sender</Type><Code>InvalidAction</Code>"), "{text}");
    }

    #[test]
    fn the_caller_is_told_as_the_service_tells_it() {
        let caller =
            CallerIdentity { account: "000000000000", user_id: "000000000000", arn: "arn:aws:iam::000000000000:root" };
        assert_eq!(
            caller_identity_xml(&caller, "id"),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
    }

    #[test]
    fn errors_are_spelt_the_same_in_json_and_cbor() {
        let fault = Fault::new(FaultName::InvalidParameterValue, "no");
        let from_cbor: serde_json::Value = ciborium::from_reader(fault_cbor(&fault).as_slice()).expect("CBOR");
        let from_json: serde_json::Value = serde_json::from_slice(&fault_json(&fault)).expect("JSON");
        assert_eq!(from_cbor, from_json);
    }
}
