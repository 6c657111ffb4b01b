//! The bodies of PutMetricData, in JSON, in CBOR and as a form.
//!
//! Holds: a body is read or refused by a name that the protocol has; what is valid has finite statistics and no more
//! metrics than a request may have; a refusal can be written in each protocol; memory is bounded by the body's length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_fuzz::bounded;
use millrace_neighbours::decode::{Form, cbor, json};
use millrace_neighbours::{FaultName, METRICS_MAX, Metric, encode};

/// A member of a few bytes, such as `a0`, is a structure of some three hundred in memory, in a list that may have grown.
const BYTES_A_BYTE: usize = 1_024;
const NOW_S: f64 = 1_440_938_160.0;

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    let judged = bounded(body.len(), BYTES_A_BYTE, || {
        let given = match choice % 3 {
            0 => json(body),
            1 => cbor(body),
            _ => Form::read(body).and_then(|form| form.put_metric_data()),
        }?;
        Metric::all_of(&given, NOW_S).map(|(namespace, metrics)| (namespace.to_owned(), metrics))
    });
    match judged {
        Ok((namespace, metrics)) => {
            assert!(!namespace.is_empty() && (1..=METRICS_MAX).contains(&metrics.len()));
            for metric in metrics {
                assert!(metric.sample.sum.is_finite() && metric.sample.min <= metric.sample.max, "{metric:?}");
            }
        }
        Err(fault) => {
            assert!(fault.name.status() < 500 && fault.name != FaultName::UnknownOperation, "{fault}");
            assert!(!encode::fault_json(&fault).is_empty() && !encode::fault_cbor(&fault).is_empty());
            assert!(encode::fault_xml(&fault, "id").ends_with("</ErrorResponse>"));
        }
    }
});
