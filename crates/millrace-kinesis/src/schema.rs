//! The service model as a schema: what each operation takes and gives, and within which bounds.
//!
//! It is read once from `model/kinesis.json`, which is made from the service's published model. Nothing about an
//! operation is written a second time in code; what the model leaves open is in [`crate::recorded`].

use std::collections::HashMap;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde::Deserialize;

use crate::recorded;

/// The model, as `model/update.mjs` writes it.
static MODEL: &str = include_str!("../model/kinesis.json");
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(MODEL));

/// A string longer than this is held against its pattern by its beginning alone, in bytes: its length is wrong anyway,
/// and a request must not cost more time than it took to send.
const PATTERN_BYTES_MAX: usize = 4_096;

/// All operations and shapes of the service.
#[derive(Debug)]
pub struct Schema {
    target_prefix: &'static str,
    shapes: Vec<Shape>,
    operations: HashMap<&'static str, Operation>,
}

/// Which shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeId(usize);

/// What an operation takes and gives.
#[derive(Debug)]
pub struct Operation {
    /// Its name, as in `X-Amz-Target` behind the prefix.
    pub name: &'static str,
    /// The structure of its request.
    pub input: ShapeId,
    /// The structure of its answer; none where the answer's body is empty.
    pub output: Option<ShapeId>,
    /// The errors that the model says it can answer with.
    pub errors: Vec<&'static str>,
}

/// What a value must be like.
#[derive(Debug)]
pub enum Shape {
    /// Named members, in the order in which the service checks them.
    Structure(Vec<Member>),
    /// Values of one shape.
    List {
        /// The shape of each.
        member: ShapeId,
        /// How many there may be.
        length: Bounds,
    },
    /// Values of one shape by names that the caller chooses.
    Map {
        /// The shape of the names.
        key: ShapeId,
        /// The shape of the values.
        value: ShapeId,
        /// How many there may be.
        length: Bounds,
    },
    /// Text.
    String {
        /// How many characters it may have.
        length: Bounds,
        /// What all of it must match.
        pattern: Option<Pattern>,
        /// What it must be one of; empty where it may be anything.
        values: Vec<&'static str>,
    },
    /// An integer of 32 bits.
    Integer(Bounds),
    /// An integer of 64 bits.
    Long(Bounds),
    /// Yes or no.
    Boolean,
    /// Bytes, with how many there may be.
    Blob(Bounds),
    /// A moment, in milliseconds since 1970.
    Timestamp,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its name as the service's messages spell it: with a small first letter.
    pub shown: String,
    /// The shape of its value.
    pub shape: ShapeId,
    /// Whether it must be there.
    pub required: bool,
}

/// The least and the most that a length or a number may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub min: Option<i64>,
    /// The most.
    pub max: Option<i64>,
}

/// A regular expression that a whole string must match.
#[derive(Debug)]
pub struct Pattern {
    /// As the model has it, and as messages show it.
    pub text: &'static str,
    whole: Regex,
}

impl Pattern {
    fn new(text: &'static str) -> Pattern {
        let whole = Regex::new(&format!("^(?:{text})$")).expect("the patterns of the model are regular expressions");
        Pattern { text, whole }
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut end = text.len().min(PATTERN_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.whole.is_match(&text[..end])
    }
}

impl Schema {
    /// The schema of the service.
    #[must_use]
    pub fn get() -> &'static Schema {
        &SCHEMA
    }

    /// What stands before the operation's name in `X-Amz-Target`.
    #[must_use]
    pub fn target_prefix(&self) -> &'static str {
        self.target_prefix
    }

    /// The operation of this name.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name)
    }

    /// All operations, by name.
    #[must_use]
    pub fn operations(&self) -> Vec<&Operation> {
        let mut all: Vec<&Operation> = self.operations.values().collect();
        all.sort_unstable_by_key(|operation| operation.name);
        all
    }

    /// What values of this shape must be like.
    #[must_use]
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0]
    }

    fn read(text: &'static str) -> Schema {
        let model: Model = serde_json::from_str(text).expect("the model is JSON as model/update.mjs writes it");
        let mut named: Vec<(&'static str, ModelShape)> = model.shapes.into_iter().collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let ids: HashMap<&str, ShapeId> =
            named.iter().enumerate().map(|(index, (name, _))| (*name, ShapeId(index))).collect();
        let shapes = named.iter().map(|(name, shape)| shape.compile(name, &ids)).collect();
        let operations = model.operations.into_iter().map(|(name, operation)| {
            let ModelOperation { input, output, errors } = operation;
            (name, Operation { name, input: ids[input], output: output.map(|output| ids[output]), errors })
        });
        Schema { target_prefix: model.target_prefix, shapes, operations: operations.collect() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Model {
    #[serde(borrow)]
    target_prefix: &'static str,
    operations: HashMap<&'static str, ModelOperation>,
    shapes: HashMap<&'static str, ModelShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelOperation {
    input: &'static str,
    output: Option<&'static str>,
    errors: Vec<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelShape {
    r#type: &'static str,
    #[serde(default)]
    required: Vec<&'static str>,
    min: Option<i64>,
    max: Option<i64>,
    // Patterns have escapes, so they cannot be borrowed.
    pattern: Option<String>,
    #[serde(default)]
    r#enum: Vec<&'static str>,
    #[serde(default)]
    members: Vec<(&'static str, &'static str)>,
    member: Option<&'static str>,
    key: Option<&'static str>,
    value: Option<&'static str>,
}

impl ModelShape {
    fn compile(&self, name: &str, ids: &HashMap<&str, ShapeId>) -> Shape {
        let bounds = Bounds { min: self.min, max: self.max };
        let id = |target: Option<&str>| ids[target.expect("the model names the shape of what is inside")];
        match self.r#type {
            "structure" => Shape::Structure(self.members(name, ids)),
            "list" => Shape::List { member: id(self.member), length: bounds },
            "map" => Shape::Map { key: id(self.key), value: id(self.value), length: bounds },
            "string" => {
                // Made once, for as long as the process lives, like the schema.
                let pattern = self.pattern.clone().map(|text| Pattern::new(Box::leak(text.into_boxed_str())));
                let values = recorded::values(name).map_or_else(|| self.r#enum.clone(), <[_]>::to_vec);
                Shape::String { length: bounds, pattern, values }
            }
            "integer" => Shape::Integer(bounds),
            "long" => Shape::Long(bounds),
            "boolean" => Shape::Boolean,
            "blob" => Shape::Blob(bounds),
            "timestamp" => Shape::Timestamp,
            other => unreachable!("the model has no type {other}; model/update.mjs is run by hand, then the tests"),
        }
    }

    fn members(&self, name: &str, ids: &HashMap<&str, ShapeId>) -> Vec<Member> {
        let mut members: Vec<Member> = self
            .members
            .iter()
            .map(|(member, shape)| Member {
                name: member,
                shown: with_small_first(member),
                shape: ids[shape],
                required: self.required.contains(member),
            })
            .collect();
        let order = recorded::order(name);
        members.sort_by_key(|member| order.iter().position(|name| *name == member.name).unwrap_or(order.len()));
        members
    }
}

fn with_small_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_model_is_there_with_its_shapes() {
        let schema = Schema::get();
        assert_eq!(schema.operations().len(), 57);
        assert_eq!(schema.target_prefix(), "Kinesis_20131202");
        for operation in schema.operations() {
            assert!(matches!(schema.shape(operation.input), Shape::Structure(_)), "{}", operation.name);
        }
        assert!(schema.operation("PutRecords").is_some() && schema.operation("DropTable").is_none());
    }

    #[test]
    fn no_request_nests_without_end() {
        fn depth(schema: &Schema, id: ShapeId, above: usize) -> usize {
            assert!(above < 16, "a shape that contains itself");
            let inner: Vec<ShapeId> = match schema.shape(id) {
                Shape::Structure(members) => members.iter().map(|member| member.shape).collect(),
                Shape::List { member, .. } => vec![*member],
                Shape::Map { key, value, .. } => vec![*key, *value],
                _ => Vec::new(),
            };
            inner.into_iter().map(|id| depth(schema, id, above + 1)).max().unwrap_or(above)
        }
        let schema = Schema::get();
        let deepest = schema.operations().iter().map(|operation| depth(schema, operation.input, 0)).max();
        assert!(deepest < Some(10), "{deepest:?}");
    }

    #[test]
    fn a_pattern_holds_for_the_whole_string() {
        let name = Pattern::new("[a-zA-Z0-9_.-]+");
        assert!(name.matches("Clicks_2026.v1-eu"));
        assert!(!name.matches("a b") && !name.matches("") && !name.matches("a\n"));
        let arn = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+");
        assert!(arn.matches("arn:aws:kinesis:us-east-1:123456789012:stream/a"));
        assert!(!arn.matches("arn:aws:kinesis:us-east-1:12345678901:stream/a"));
        assert!(name.matches(&"a".repeat(10_000_000)), "only the beginning is looked at");
    }

    #[test]
    fn what_was_recorded_goes_before_the_model() {
        let schema = Schema::get();
        let input = schema.operation("GetShardIterator").expect("an operation").input;
        let Shape::Structure(members) = schema.shape(input) else { unreachable!("an input is a structure") };
        let names: Vec<&str> = members.iter().map(|member| member.shown.as_str()).collect();
        assert_eq!(names[..3], ["shardId", "shardIteratorType", "startingSequenceNumber"]);
        let Shape::String { values, .. } = schema.shape(members[1].shape) else { unreachable!("an enumeration") };
        assert_eq!(values[0], "AFTER_SEQUENCE_NUMBER");
    }

    #[test]
    fn every_recorded_name_is_one_of_the_model() {
        let model: Model = serde_json::from_str(MODEL).expect("JSON");
        for (shape, order) in recorded::ORDERS {
            let members: Vec<&str> = model.shapes[shape].members.iter().map(|(name, _)| *name).collect();
            assert!(order.iter().all(|name| members.contains(name)), "{shape}");
        }
        for (shape, values) in recorded::VALUES {
            let mut sorted = (values.to_vec(), model.shapes[shape].r#enum.clone());
            sorted.0.sort_unstable();
            sorted.1.sort_unstable();
            assert_eq!(sorted.0, sorted.1, "{shape}");
        }
    }
}
