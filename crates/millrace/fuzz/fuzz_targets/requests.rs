//! The bodies of requests, in JSON and in CBOR, of every operation of the model.
//!
//! Holds: a body becomes a document or is refused by its type or its content; a document that was read is written and
//! read back as the same; what is valid for PutRecords is so in both of its ways; memory is bounded by the body's length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_fuzz::bounded;
use millrace_kinesis::{ErrorName, Format, PutRecords, Schema, Value, decode, encode, validate};

/// A value of three bytes of JSON, `{},`, is a structure of some sixty in memory, in a list that may have grown.
const BYTES_A_BYTE: usize = 128;

fuzz_target!(|input: &[u8]| {
    let operations = Schema::get().operations();
    let Some((choice, body)) = input.split_first() else { return };
    let operation = operations[usize::from(*choice >> 1) % operations.len()];
    let format = if choice & 1 == 0 { Format::Json } else { Format::Cbor };
    let read = bounded(body.len(), BYTES_A_BYTE, || decode(operation, format, body));
    if operation.name == "PutRecords" {
        let generic = read.clone().and_then(|document| validate(operation, &document));
        assert_eq!(PutRecords::read(format, body).map(drop), generic);
    }
    match read {
        Ok(document) => {
            let again = encode(format, &Value::Structure(document.clone()));
            assert_eq!(decode(operation, format, &again).as_ref(), Ok(&document));
            if let Err(error) = bounded(body.len(), BYTES_A_BYTE, || validate(operation, &document)) {
                assert_eq!(error.name, ErrorName::Validation);
            }
        }
        Err(error) => assert_eq!(error.name, ErrorName::Serialization),
    }
});
