//! Whatever a request of any operation looks like, it is read and checked, or refused with an error of the service.

mod requests;

use millrace_kinesis::{ErrorName, Format, PutRecords, Schema, Value, decode, encode, validate};
use requests::{Dice, broken, cbor, request};

const SEEDS: u64 = 300;
/// An error repeats no more than a piece of what came, up to ten times.
const MESSAGE_BYTES_MAX: usize = 600_000;

/// Every operation with documents of every seed, broken or not, in both formats, and some with bytes flipped.
fn bodies() -> impl Iterator<Item = (&'static str, Format, Vec<u8>, String)> {
    let operations = Schema::get().operations();
    operations.into_iter().flat_map(|operation| {
        (0..SEEDS).map(move |seed| {
            let mut dice = Dice::new(seed);
            let mut document = request(operation, &mut dice);
            if dice.one_in(2) {
                document = broken(document, &mut dice);
            }
            let format = if dice.one_in(2) { Format::Json } else { Format::Cbor };
            let mut body = match format {
                Format::Json => document.to_string().into_bytes(),
                Format::Cbor => {
                    let mut bytes = Vec::new();
                    cbor(&document, &mut dice, &mut bytes);
                    bytes
                }
            };
            if dice.one_in(4) {
                let place = usize::try_from(dice.below(body.len() as u64)).expect("an index");
                body[place] ^= 1 << dice.below(8);
            }
            (operation.name, format, body, format!("{} with seed {seed}", operation.name))
        })
    })
}

#[test]
fn every_request_is_read_and_checked_or_refused_with_an_error_of_the_service() {
    let (mut valid, mut invalid, mut unreadable) = (0, 0, 0);
    for (name, format, body, which) in bodies() {
        let operation = Schema::get().operation(name).expect("an operation of the model");
        let error = match decode(operation, format, &body) {
            Ok(document) => {
                let again = encode(format, &Value::Structure(document.clone()));
                assert_eq!(decode(operation, format, &again).as_ref(), Ok(&document), "{which}");
                match validate(operation, &document) {
                    Ok(()) => {
                        valid += 1;
                        continue;
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        match error.name {
            ErrorName::Validation => invalid += 1,
            ErrorName::Serialization => unreadable += 1,
            other => unreachable!("{which}: {other:?}"),
        }
        let length = error.message.as_deref().unwrap_or_default().len();
        assert!(length < MESSAGE_BYTES_MAX, "{which}: a message of {length} bytes");
    }
    // Each of the three ways is taken often, or the test would say little.
    assert!(valid > 500 && invalid > 2_000 && unreadable > 2_000, "{valid} {invalid} {unreadable}");
}

#[test]
fn the_short_way_of_put_records_refuses_what_the_generic_way_refuses() {
    let operation = Schema::get().operation("PutRecords").expect("an operation of the model");
    for (_, format, body, which) in bodies().filter(|(name, ..)| *name == "PutRecords") {
        let generic = decode(operation, format, &body).and_then(|document| validate(operation, &document));
        assert_eq!(PutRecords::read(format, &body).map(drop), generic, "{which}");
    }
}
