//! Conditions of keys: one partition, and of it a range of the sort key.

use super::Kind;
use super::condition::{Comparator, Condition, Operand};
use crate::error::{ServiceError, invalid, invalid_parameter};
use crate::key::{Key, KeyAttribute, KeySchema, KeyValue};
use crate::value::AttributeValue;

/// What a query looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyCondition {
    pub hash: KeyValue,
    pub range: Option<RangeCondition>,
}

/// Which values of the sort key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeCondition {
    Compare(Comparator, KeyValue),
    Between(KeyValue, KeyValue),
    BeginsWith(KeyValue),
}

impl KeyCondition {
    /// The condition of a key of this schema that an expression says.
    ///
    /// # Errors
    /// The service's validation error where it says anything else.
    pub fn of(condition: Condition, schema: &KeySchema) -> Result<KeyCondition, ServiceError> {
        let parts = match condition {
            Condition::All(parts) => parts,
            other => vec![other],
        };
        let mut hash = None;
        let mut range = None;
        for part in parts {
            let (attribute, on_key) = on_key(part)?;
            if attribute == schema.hash.name && hash.is_none() {
                let OnKey::Compare(Comparator::Equal, value) = on_key else {
                    return Err(invalid("Query key condition not supported"));
                };
                hash = Some(key_value(&schema.hash, &value)?);
            } else if let Some(key) = schema.range.as_ref().filter(|key| key.name == attribute && range.is_none()) {
                range = Some(on_key.of_range(key)?);
            } else if schema.has(&attribute) {
                return Err(Kind::KeyCondition.error("KeyConditionExpressions must only contain one condition per key"));
            } else {
                let missing = if hash.is_none() { Some(&schema.hash) } else { schema.range.as_ref() };
                return Err(match missing {
                    Some(key) => missed(key),
                    None => invalid("Query key condition not supported"),
                });
            }
        }
        let hash = hash.ok_or_else(|| missed(&schema.hash))?;
        Ok(KeyCondition { hash, range })
    }

    /// Whether a key of the partition is looked for.
    pub fn holds(&self, key: &Key) -> bool {
        key.hash == self.hash
            && match (&self.range, &key.range) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(range), Some(value)) => range.holds(value),
            }
    }
}

impl RangeCondition {
    fn holds(&self, value: &KeyValue) -> bool {
        match self {
            RangeCondition::Compare(comparator, bound) => match comparator {
                Comparator::Equal => value == bound,
                Comparator::NotEqual => value != bound,
                Comparator::Less => value < bound,
                Comparator::LessOrEqual => value <= bound,
                Comparator::Greater => value > bound,
                Comparator::GreaterOrEqual => value >= bound,
            },
            RangeCondition::Between(low, high) => (low..=high).contains(&value),
            RangeCondition::BeginsWith(start) => value.begins_with(start),
        }
    }
}

/// A condition of one attribute, before its type is known.
enum OnKey {
    Compare(Comparator, AttributeValue),
    Between(AttributeValue, AttributeValue),
    BeginsWith(AttributeValue),
}

impl OnKey {
    fn of_range(self, key: &KeyAttribute) -> Result<RangeCondition, ServiceError> {
        Ok(match self {
            OnKey::Compare(Comparator::NotEqual, _) => {
                return Err(Kind::KeyCondition.error("Unsupported operator on KeyCondition: operator: <>"));
            }
            OnKey::Compare(comparator, value) => RangeCondition::Compare(comparator, key_value(key, &value)?),
            OnKey::Between(low, high) => RangeCondition::Between(key_value(key, &low)?, key_value(key, &high)?),
            OnKey::BeginsWith(start) => RangeCondition::BeginsWith(key_value(key, &start)?),
        })
    }
}

fn on_key(condition: Condition) -> Result<(String, OnKey), ServiceError> {
    use Operand::{Path, Value};
    let (path, on_key) = match condition {
        Condition::Compare(Path(path), comparator, Value(value)) => (path, OnKey::Compare(comparator, value)),
        Condition::Compare(Value(value), comparator, Path(path)) => (path, OnKey::Compare(turned(comparator), value)),
        Condition::Between(Path(path), Value(low), Value(high)) => (path, OnKey::Between(low, high)),
        Condition::BeginsWith(Path(path), Value(start)) => (path, OnKey::BeginsWith(start)),
        Condition::Any(_) => return Err(unsupported("OR")),
        Condition::Not(_) => return Err(unsupported("NOT")),
        Condition::In(..) => return Err(unsupported("IN")),
        Condition::Exists(_) => return Err(unsupported("attribute_exists")),
        Condition::NotExists(_) => return Err(unsupported("attribute_not_exists")),
        Condition::HasType(..) => return Err(unsupported("attribute_type")),
        Condition::Contains(..) => return Err(unsupported("contains")),
        _ => return Err(invalid("Query key condition not supported")),
    };
    if !path.elements.is_empty() {
        return Err(Kind::KeyCondition.error("KeyConditionExpressions cannot have conditions on nested attributes"));
    }
    Ok((path.attribute, on_key))
}

/// The same comparison with its sides exchanged.
fn turned(comparator: Comparator) -> Comparator {
    match comparator {
        Comparator::Less => Comparator::Greater,
        Comparator::LessOrEqual => Comparator::GreaterOrEqual,
        Comparator::Greater => Comparator::Less,
        Comparator::GreaterOrEqual => Comparator::LessOrEqual,
        same => same,
    }
}

fn unsupported(operator: &str) -> ServiceError {
    Kind::KeyCondition.error(format_args!("Invalid operator used in KeyConditionExpression: {operator}"))
}

fn missed(key: &KeyAttribute) -> ServiceError {
    invalid(format!("Query condition missed key schema element: {}", key.name))
}

fn key_value(key: &KeyAttribute, value: &AttributeValue) -> Result<KeyValue, ServiceError> {
    KeyValue::of(value, key.key_type)
        .ok_or_else(|| invalid_parameter("Condition parameter type does not match schema type"))
}
