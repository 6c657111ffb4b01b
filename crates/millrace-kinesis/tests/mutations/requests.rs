//! Requests made up from the model by a seed: mostly right, then broken in one or a few places. The server's tests make
//! theirs with this file too.

use millrace_kinesis::{Bounds, Operation, Schema, Shape, ShapeId};
use serde_json::{Map, Value, json};

/// Numbers by a seed (xorshift), so that a failure is repeated by its seed alone.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).expect("an index")]
    }
}

/// Texts that one member or another takes for good.
const TEXTS: &[&str] = &[
    "clicks",
    "missing",
    "shardId-000000000000",
    "shardId-000000000001",
    "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
    "arn:aws:kinesis:us-east-1:000000000000:stream/clicks/consumer/counter:1700000000",
    "arn:aws:kinesis:us-east-1:000000000000:queue/jobs",
    "arn:aws:kinesis:us-east-1:000000000000:channel/archive",
    "arn:aws:iam::000000000000:role/writer",
    "arn:aws:s3:::a-bucket",
    "arn:aws:s3tables:us-east-1:000000000000:bucket/a-bucket",
    "arn:aws:glue:us-east-1:000000000000:schema/registry/clicks",
    "000000000000",
    "abcdefghij0123456789-abc",
    "0",
    "340282366920938463463374607431768211455",
    "49521131618406377614412876484864007814367007187377586224",
    "AAAA",
    "",
    "é\u{1f600}",
];

/// A request of the operation, right for the most part.
pub fn request(operation: &Operation, dice: &mut Dice) -> Value {
    value(operation.input, dice)
}

fn value(id: ShapeId, dice: &mut Dice) -> Value {
    let schema = Schema::get();
    match schema.shape(id) {
        Shape::Structure(members) => {
            let mut object = Map::new();
            for member in members {
                if member.required && !dice.one_in(20) || dice.one_in(3) {
                    object.insert(member.name.to_owned(), value(member.shape, dice));
                }
            }
            Value::Object(object)
        }
        Shape::List { member, .. } => {
            let count = if dice.one_in(20) { 501 } else { dice.below(4) };
            (0..count).map(|_| value(*member, dice)).collect()
        }
        Shape::Map { value: of, .. } => {
            let entries = (0..dice.below(4)).map(|index| (format!("key-{index}"), value(*of, dice)));
            Value::Object(entries.collect())
        }
        Shape::String { values, .. } if !values.is_empty() && !dice.one_in(10) => json!(dice.pick(values)),
        Shape::String { pattern, .. } => {
            let fits = |text: &&str| pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
            let fitting: Vec<&str> = TEXTS.iter().copied().filter(fits).collect();
            let any = fitting.is_empty() || dice.one_in(10);
            json!(dice.pick(if any { TEXTS } else { &fitting }))
        }
        Shape::Integer(bounds) | Shape::Long(bounds) => json!(number(*bounds, dice)),
        Shape::Boolean => json!(dice.one_in(2)),
        Shape::Blob(_) => json!(dice.pick(&["", "AAAA", "aGVsbG8=", "YWJ=", "abc"])),
        Shape::Timestamp => json!(dice.pick(&[&0.0, &1_700_000_000.123, &-1.0, &1e300])),
    }
}

fn number(bounds: Bounds, dice: &mut Dice) -> i64 {
    let (min, max) = (bounds.min.unwrap_or(-3), bounds.max.unwrap_or(100));
    if dice.one_in(4) {
        *dice.pick(&[&(min - 1), &(max + 1), &i64::MAX])
    } else {
        *dice.pick(&[&min, &max, &min.max(2)])
    }
}

/// The same document with some of its values exchanged for something else.
pub fn broken(document: Value, dice: &mut Dice) -> Value {
    if dice.one_in(6) {
        return something(dice);
    }
    match document {
        Value::Object(entries) => {
            let mut object: Map<String, Value> =
                entries.into_iter().map(|(name, value)| (name, broken_sometimes(value, dice))).collect();
            if dice.one_in(4) {
                object.insert("Unknown".to_owned(), something(dice));
            }
            Value::Object(object)
        }
        Value::Array(values) => values.into_iter().map(|value| broken_sometimes(value, dice)).collect(),
        other => other,
    }
}

fn broken_sometimes(value: Value, dice: &mut Dice) -> Value {
    if dice.one_in(4) { broken(value, dice) } else { value }
}

fn something(dice: &mut Dice) -> Value {
    match dice.below(9) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-7),
        3 => json!(1e308),
        4 => json!("x".repeat(usize::try_from(dice.below(600)).expect("small"))),
        5 => json!([]),
        6 => json!({}),
        7 => (0..40).fold(json!({}), |inner, _| json!([inner])),
        _ => json!({"StreamName": ["clicks"], "a": {"b": 1}}),
    }
}

/// The CBOR of a document, in maps and arrays of unknown length as the Java clients write them. Text that looks like
/// base64 is written as bytes now and then.
pub fn cbor(document: &Value, dice: &mut Dice, out: &mut Vec<u8>) {
    match document {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(if *value { 0xf5 } else { 0xf4 }),
        Value::Number(number) => match number.as_i64() {
            Some(value) => {
                out.push(if value < 0 { 0x3b } else { 0x1b });
                out.extend_from_slice(&(if value < 0 { !value } else { value }).to_be_bytes());
            }
            None => {
                out.push(0xfb);
                out.extend_from_slice(&number.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => {
            let as_bytes = ["", "AAAA", "aGVsbG8="].contains(&text.as_str()) && !dice.one_in(8);
            out.push(if as_bytes { 0x5a } else { 0x7a });
            out.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(values) => {
            out.push(0x9f);
            values.iter().for_each(|value| cbor(value, dice, out));
            out.push(0xff);
        }
        Value::Object(entries) => {
            out.push(0xbf);
            for (name, value) in entries {
                out.push(0x7a);
                out.extend_from_slice(&u32::try_from(name.len()).expect("short").to_be_bytes());
                out.extend_from_slice(name.as_bytes());
                cbor(value, dice, out);
            }
            out.push(0xff);
        }
    }
}
