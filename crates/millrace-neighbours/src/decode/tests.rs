use proptest::prelude::*;

use super::*;
use crate::input::{Datum, Double, Few};
use crate::metric::{METRICS_MAX, Metric};

/// A document as clients write it, in the other two protocols.
fn as_cbor(json: &serde_json::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(json, &mut bytes).expect("written");
    bytes
}

fn as_form(json: &serde_json::Value) -> String {
    fn walk(path: &str, value: &serde_json::Value, out: &mut form_urlencoded::Serializer<'_, String>) {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            serde_json::Value::Object(members) => {
                members.iter().for_each(|(name, value)| walk(&join(name), value, out))
            }
            serde_json::Value::Array(items) => {
                let numbered = items.iter().enumerate();
                numbered.for_each(|(index, item)| walk(&join(&format!("member.{}", index + 1)), item, out));
            }
            serde_json::Value::String(text) => drop(out.append_pair(path, text)),
            other => drop(out.append_pair(path, &other.to_string())),
        }
    }
    let mut out = form_urlencoded::Serializer::new(String::new());
    walk("", json, &mut out);
    out.finish()
}

fn of_form(body: &[u8]) -> Result<PutMetricData, Fault> {
    Form::read(body)?.put_metric_data()
}

#[test]
fn a_moment_is_read_in_each_protocol() {
    let seconds = |given: Result<PutMetricData, Fault>| {
        let given = given.expect("a request");
        given.metric_data.as_ref().and_then(|data| data.items()[0].timestamp).map(|moment| moment.0)
    };
    assert_eq!(seconds(json(br#"{"MetricData":[{"Timestamp":1440938160.5}]}"#)), Some(1_440_938_160.5));
    assert_eq!(seconds(of_form(b"MetricData.member.1.Timestamp=2015-08-30T12%3A36%3A00Z")), Some(1_440_938_160.0));
    assert_eq!(seconds(of_form(b"MetricData.member.1.Timestamp=2015-08-30T12:36:00.123Z")), Some(1_440_938_160.0));
    // {"MetricData": [{"Timestamp": 1(1440938160)}]}, and the same as a double, of unknown lengths.
    let whole = b"\xa1\x6aMetricData\x81\xa1\x69Timestamp\xc1\x1a\x55\xe2\xf8\xb0";
    assert_eq!(seconds(cbor(whole)), Some(1_440_938_160.0));
    let fraction = b"\xbf\x6aMetricData\x9f\xbf\x69Timestamp\xc1\xfb\x41\xd5\x78\xbe\x2c\x20\x00\x00\xff\xff\xff";
    assert_eq!(seconds(cbor(fraction)), Some(1_440_938_160.5));
    for wrong in
        ["2015-08-30", "2015-08-30T12:36:00", "2015-13-30T12:36:00Z", "20150830T123600Z", "2015-08-30T12:36:00.xZ"]
    {
        let body = format!("MetricData.member.1.Timestamp={wrong}");
        assert_eq!(
            of_form(body.as_bytes()).map_err(|fault| fault.name),
            Err(FaultName::InvalidParameterValue),
            "{wrong}"
        );
    }
}

#[test]
fn what_the_model_does_not_have_is_passed_over() {
    let given = json(br#"{"Namespace":"App","StrictEntityValidation":true,"Other":[{"a":[1]}]}"#).expect("JSON");
    assert_eq!(given, PutMetricData { namespace: Some("App".to_owned()), ..PutMetricData::default() });
    assert_eq!(
        of_form(b"Namespace=App&Other.member.1.a=1&MetricData.x=1&MetricData.member.0.Value=1")
            .expect("a form")
            .namespace,
        given.namespace
    );
}

#[test]
fn bodies_of_another_kind_are_refused() {
    for body in
        [&b""[..], b"{", br#"{"Namespace":1}"#, br#"{"MetricData":{}}"#, br#"{"MetricData":[{"Value":"1"}]}"#, b"{} {}"]
    {
        assert_eq!(json(body).map_err(|fault| fault.name), Err(FaultName::Malformed), "{body:?}");
    }
    for body in [&b""[..], b"\xa1", b"\xa1\x69Namespace\x01", b"\xa0\xa0", b"\xff"] {
        assert_eq!(cbor(body).map_err(|fault| fault.name), Err(FaultName::Malformed), "{body:?}");
    }
    let long = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(json(&long).map_err(|fault| fault.name), Err(FaultName::RequestTooLarge));
}

#[test]
fn a_number_in_a_name_costs_no_memory() {
    let given = of_form(b"MetricData.member.1000000000.Value=1&MetricData.member.1.Values.member.99999999.x=1")
        .expect("a form");
    let data = given.metric_data.expect("there are metrics");
    assert_eq!((data.items().len(), data.length()), (1, 1_000_000_000));
    assert!(data.is_over());
    let gap = of_form(b"MetricData.member.1.Value=1&MetricData.member.3.Value=1").expect("a form").metric_data;
    assert!(gap.is_some_and(|data| data.items().len() == 1 && data.is_over()));
    // An array that says that it holds 2^62 items.
    assert!(cbor(b"\xa1\x6aMetricData\x9b\x40\x00\x00\x00\x00\x00\x00\x00").is_err());
    let many = vec!["{}"; METRICS_MAX + 5].join(",");
    let given = json(format!(r#"{{"MetricData":[{many}]}}"#).as_bytes()).expect("JSON");
    let data: Few<Datum, METRICS_MAX> = given.metric_data.expect("there are metrics");
    assert_eq!((data.items().len(), data.length()), (METRICS_MAX, METRICS_MAX + 5));
}

#[test]
fn integers_are_numbers_too() {
    let value =
        |given: Result<PutMetricData, Fault>| given.expect("a request").metric_data.map(|data| data.items()[0].value);
    assert_eq!(value(json(br#"{"MetricData":[{"Value":-3}]}"#)), Some(Some(Double(-3.0))));
    assert_eq!(value(cbor(b"\xa1\x6aMetricData\x81\xa1\x65Value\x22")), Some(Some(Double(-3.0))));
    assert_eq!(value(cbor(b"\xa1\x6aMetricData\x81\xa1\x65Value\xf9\x3c\x00")), Some(Some(Double(1.0))));
}

fn datum() -> impl Strategy<Value = serde_json::Value> {
    let dimension =
        ("[a-z]{1,8}", "[ -~]{0,12}").prop_map(|(name, value)| serde_json::json!({"Name": name, "Value": value}));
    let dimensions = proptest::collection::vec(dimension, 1..4);
    let values = proptest::collection::vec((-1_000_000..1_000_000).prop_map(|eighths| f64::from(eighths) / 8.0), 1..5);
    ("[A-Za-z/ ]{1,10}", dimensions, values, any::<bool>(), 0..3_u8).prop_map(
        |(name, dimensions, values, unit, kind)| {
            let mut datum = serde_json::json!({"MetricName": name, "Dimensions": dimensions});
            match kind {
                0 => datum["Value"] = values[0].into(),
                1 => datum["Values"] = values.into(),
                _ => {
                    datum["StatisticValues"] =
                        serde_json::json!({"SampleCount": 2, "Sum": 3.5, "Minimum": -1, "Maximum": values[0]})
                }
            }
            if unit {
                datum["Unit"] = "Count".into();
            }
            datum
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_three_protocols_say_the_same(namespace in "[ -~]{1,20}", data in proptest::collection::vec(datum(), 1..6)) {
        let body = serde_json::json!({"Namespace": namespace, "MetricData": data});
        let given = json(body.to_string().as_bytes()).expect("JSON");
        prop_assert_eq!(&cbor(&as_cbor(&body)).expect("CBOR"), &given);
        prop_assert_eq!(&of_form(as_form(&body).as_bytes()).expect("a form"), &given);
        // Valid or not, in one way.
        let _judged = Metric::all_of(&given, 0.0);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _judged = (json(&bytes).is_ok(), cbor(&bytes).is_ok(), of_form(&bytes).is_ok());
    }
}
