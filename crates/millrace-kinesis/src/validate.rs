//! Requests held against the model: what must be there, how long, how large, of which pattern or set, told in the
//! service's own words and in the order in which it looks.

use crate::decode::shown;
use crate::error::{ErrorName, ServiceError};
use crate::schema::{Bounds, Operation, Schema, Shape, ShapeId};
use crate::value::{Structure, Value};

/// The service lists no more.
const ERRORS_MAX: usize = 10;

/// Checks a request.
///
/// # Errors
/// `ValidationException`, which lists up to ten members that break a constraint.
///
/// ```
/// use millrace_kinesis::{Schema, Structure, validate};
/// let operation = Schema::get().operation("CreateStream").expect("an operation of the model");
/// let error = validate(operation, &Structure::new().with("ShardCount", 0_u32)).unwrap_err();
/// assert_eq!(
///     error.message.as_deref(),
///     Some(
///         "2 validation errors detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have \
///          value greater than or equal to 1; Value null at 'streamName' failed to satisfy constraint: Member must not \
///          be null"
///     )
/// );
/// ```
pub fn validate(operation: &Operation, request: &Structure) -> Result<(), ServiceError> {
    let mut check = Check { schema: Schema::get(), errors: Vec::new() };
    check.structure(operation.input, request, "");
    if check.errors.is_empty() {
        return Ok(());
    }
    let (count, plural) = (check.errors.len(), if check.errors.len() > 1 { "s" } else { "" });
    let message = format!("{count} validation error{plural} detected: {}", check.errors.join("; "));
    Err(ServiceError::new(ErrorName::Validation, message))
}

/// Why an answer is not what the model says, if it is not: for tests of those who make answers.
#[must_use]
pub fn conforms(operation: &Operation, answer: &Structure) -> Option<String> {
    let Some(output) = operation.output else {
        let member = answer.members().next();
        return member.map(|(name, _)| format!("{}: {name} in an answer that has no body", operation.name));
    };
    let schema = Schema::get();
    if let Some(stray) = stray(schema, output, &Value::Structure(answer.clone())) {
        return Some(format!("{}: {stray}", operation.name));
    }
    let mut check = Check { schema, errors: Vec::new() };
    check.structure(output, answer, "");
    // The service itself answers with lists that are empty where the model wants a value.
    let broken = check.errors.into_iter().find(|error| !error.starts_with("Value '[]'"));
    broken.map(|error| format!("{}: {error}", operation.name))
}

/// A value of another type than the schema's, or a member that it does not have.
fn stray(schema: &Schema, id: ShapeId, value: &Value) -> Option<String> {
    match (schema.shape(id), value) {
        (Shape::Structure(members), Value::Structure(structure)) => structure.members().find_map(|(name, value)| {
            let Some(member) = members.iter().find(|member| member.name == name) else {
                return Some(format!("the model has no member {name} here"));
            };
            stray(schema, member.shape, value)
        }),
        (Shape::List { member, .. }, Value::List(values)) => {
            values.iter().find_map(|value| stray(schema, *member, value))
        }
        (Shape::Map { value: of, .. }, Value::Map(entries)) => {
            entries.iter().find_map(|(_, value)| stray(schema, *of, value))
        }
        (Shape::String { .. }, Value::String(_))
        | (Shape::Integer(_) | Shape::Long(_), Value::Integer(_))
        | (Shape::Boolean, Value::Boolean(_))
        | (Shape::Blob(_), Value::Blob(_))
        | (Shape::Timestamp, Value::Timestamp(_)) => None,
        (shape, value) => Some(format!("expected {shape:?}, got {value:?}")),
    }
}

struct Check<'s> {
    schema: &'s Schema,
    errors: Vec<String>,
}

impl Check<'_> {
    fn structure(&mut self, id: ShapeId, structure: &Structure, parent: &str) {
        let Shape::Structure(members) = self.schema.shape(id) else { return };
        for member in members {
            let path = || format!("{parent}{}", member.shown);
            match structure.get(member.name) {
                Some(value) => self.value(member.shape, value, &path()),
                None if member.required => self.fails("null", &path(), "Member must not be null"),
                None => {}
            }
        }
    }

    fn value(&mut self, id: ShapeId, value: &Value, path: &str) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let shape = self.schema.shape(id);
        for constraint in broken(shape, value) {
            self.fails(&format!("'{}'", Shown(value)), path, &constraint);
        }
        match (shape, value) {
            (Shape::Structure(_), Value::Structure(structure)) => self.structure(id, structure, &format!("{path}.")),
            (Shape::List { member, .. }, Value::List(values)) => self.list(*member, values, value, path),
            (Shape::Map { key, value: of, .. }, Value::Map(entries)) => self.map((*key, *of), entries, value, path),
            _ => {}
        }
    }

    /// Values without members are told of together, others one by one.
    fn list(&mut self, member: ShapeId, values: &[Value], list: &Value, path: &str) {
        if is_scalar(self.schema.shape(member)) {
            if values.iter().any(|value| !broken(self.schema.shape(member), value).is_empty()) {
                let constraint = format!("Member must satisfy constraint: {}", self.all_of(member));
                self.fails(&format!("'{}'", Shown(list)), path, &constraint);
            }
            return;
        }
        for (index, value) in values.iter().enumerate() {
            self.value(member, value, &format!("{path}.{}.member", index + 1));
        }
    }

    fn map(&mut self, (key, of): (ShapeId, ShapeId), entries: &[(String, Value)], map: &Value, path: &str) {
        let key_is_wrong = |(name, _): &(String, Value)| {
            let name = Value::String(name.clone());
            !broken(self.schema.shape(key), &name).is_empty()
        };
        if entries.iter().any(key_is_wrong) {
            let constraint = format!("Map keys must satisfy constraint: {}", self.all_of(key));
            self.fails(&format!("'{}'", Shown(map)), path, &constraint);
        }
        if entries.iter().any(|(_, value)| !broken(self.schema.shape(of), value).is_empty()) {
            let constraint = format!("Map value must satisfy constraint: {}", self.all_of(of));
            self.fails(&format!("'{}'", Shown(map)), path, &constraint);
        }
    }

    fn fails(&mut self, value: &str, path: &str, constraint: &str) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    /// All constraints of a shape without members, as the service lists them.
    fn all_of(&self, id: ShapeId) -> String {
        let mut all = Vec::new();
        if let Shape::String { length, pattern, values } = self.schema.shape(id) {
            all.extend(length.max.map(|max| format!("Member must have length less than or equal to {max}")));
            all.extend(length.min.map(|min| format!("Member must have length greater than or equal to {min}")));
            all.extend(pattern.as_ref().map(|pattern| must_match(pattern.text)));
            all.extend((!values.is_empty()).then(|| must_be_of(values)));
        }
        format!("[{}]", all.join(", "))
    }
}

fn is_scalar(shape: &Shape) -> bool {
    !matches!(shape, Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. })
}

/// Whether a value without members keeps to its shape.
pub(crate) fn is_valid_member(shape: &Shape, value: &Value) -> bool {
    broken(shape, value).is_empty()
}

/// The constraints that a value itself breaks, whatever is in it.
fn broken(shape: &Shape, value: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    match (shape, value) {
        (Shape::String { length, pattern, values }, Value::String(text)) => {
            broken.extend(pattern.as_ref().filter(|it| !it.matches(text)).map(|it| must_match(it.text)));
            out_of_length(*length, text.chars().count(), &mut broken);
            broken.extend((!values.is_empty() && !values.contains(&text.as_str())).then(|| must_be_of(values)));
        }
        (Shape::Integer(bounds) | Shape::Long(bounds), Value::Integer(value)) => {
            out_of(*bounds, *value, "value", &mut broken);
        }
        (Shape::Blob(length), Value::Blob(bytes)) => out_of_length(*length, bytes.len(), &mut broken),
        (Shape::List { length, .. }, Value::List(values)) => out_of_length(*length, values.len(), &mut broken),
        (Shape::Map { length, .. }, Value::Map(entries)) => out_of_length(*length, entries.len(), &mut broken),
        _ => {}
    }
    broken
}

fn out_of_length(bounds: Bounds, length: usize, broken: &mut Vec<String>) {
    out_of(bounds, i64::try_from(length).unwrap_or(i64::MAX), "length", broken);
}

fn out_of(Bounds { min, max }: Bounds, value: i64, what: &str, broken: &mut Vec<String>) {
    let less = min.filter(|min| value < *min);
    broken.extend(less.map(|min| format!("Member must have {what} greater than or equal to {min}")));
    let more = max.filter(|max| value > *max);
    broken.extend(more.map(|max| format!("Member must have {what} less than or equal to {max}")));
}

fn must_match(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn must_be_of(values: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}

/// What a message shows of a value: as the service's language prints it, up to a length.
struct Shown<'a>(&'a Value);

/// How many values of a list or map a message shows.
const SHOWN_VALUES_MAX: usize = 512;

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Value::Boolean(value) => value.fmt(f),
            Value::Integer(value) => value.fmt(f),
            Value::String(text) => f.write_str(shown(text)),
            Value::Blob(bytes) => {
                let length = bytes.len();
                write!(f, "java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]")
            }
            Value::Timestamp(ms) => ms.fmt(f),
            Value::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().take(SHOWN_VALUES_MAX).enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    Shown(value).fmt(f)?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().take(SHOWN_VALUES_MAX).enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{}={}", shown(key), Shown(value))?;
                }
                f.write_str("}")
            }
            // The service shows the class with a hash; the one entry of a list that was recorded is that of PutRecords.
            Value::Structure(_) => f.write_str("com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310"),
        }
    }
}

#[cfg(test)]
mod tests;
