//! Primary keys, of tables and of their indexes: what they are made of, and how they are taken out of an item.

use serde::{Deserialize, Serialize};

use crate::error::{ServiceError, invalid, invalid_parameter};
use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// The longest value of a partition key, in bytes.
const HASH_BYTES_MAX: usize = 2_048;
/// The longest value of a sort key, in bytes.
const RANGE_BYTES_MAX: usize = 1_024;

/// The types that a key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyType {
    /// Text.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

impl KeyType {
    /// As the service abbreviates it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            KeyType::S => "S",
            KeyType::N => "N",
            KeyType::B => "B",
        }
    }
}

/// A value of a key, ordered as the service orders keys of one type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyValue {
    /// Text, by its UTF-8 bytes.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
}

impl KeyValue {
    /// One that no other is before.
    pub(crate) const FIRST: KeyValue = KeyValue::S(String::new());

    /// The value of a key that an attribute's value is, where it is of this type.
    #[must_use]
    pub fn of(value: &AttributeValue, key_type: KeyType) -> Option<KeyValue> {
        match (value, key_type) {
            (AttributeValue::S(text), KeyType::S) => Some(KeyValue::S(text.clone())),
            (AttributeValue::N(number), KeyType::N) => Some(KeyValue::N(*number)),
            (AttributeValue::B(bytes), KeyType::B) => Some(KeyValue::B(bytes.clone())),
            _ => None,
        }
    }

    /// The bytes that count, in the order of the values where they are text or bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            KeyValue::S(text) => text.clone().into_bytes(),
            KeyValue::N(number) => number.to_string().into_bytes(),
            KeyValue::B(bytes) => bytes.clone(),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            KeyValue::S(text) => text.len(),
            KeyValue::N(number) => number.size_bytes(),
            KeyValue::B(bytes) => bytes.len(),
        }
    }

    /// Whether this begins with the other; numbers begin with nothing.
    #[must_use]
    pub fn begins_with(&self, other: &KeyValue) -> bool {
        match (self, other) {
            (KeyValue::S(text), KeyValue::S(start)) => text.starts_with(start.as_str()),
            (KeyValue::B(bytes), KeyValue::B(start)) => bytes.starts_with(start),
            _ => false,
        }
    }
}

/// A key of an item: in its table, or in an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The value of the partition key.
    pub hash: KeyValue,
    /// The value of the sort key, where there is one.
    pub range: Option<KeyValue>,
}

/// An attribute that is part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    /// The name.
    pub name: String,
    /// The type that its values have.
    #[serde(rename = "type")]
    pub key_type: KeyType,
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySchema {
    /// The partition key.
    pub hash: KeyAttribute,
    /// The sort key, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<KeyAttribute>,
}

impl KeySchema {
    /// The attributes in their order.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    /// Whether an attribute is part of the key.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// The key that an item has; `None` where it lacks an attribute of it, or has one of another type.
    #[must_use]
    pub fn key_in(&self, item: &Item) -> Option<Key> {
        let value = |attribute: &KeyAttribute| KeyValue::of(item.get(&attribute.name)?, attribute.key_type);
        let range = match &self.range {
            Some(attribute) => Some(value(attribute)?),
            None => None,
        };
        Some(Key { hash: value(&self.hash)?, range })
    }

    /// The key of an item that is to be written.
    ///
    /// # Errors
    /// The service's validation error where an attribute is missing, of another type, empty or too long.
    pub fn key_of_item(&self, item: &Item) -> Result<Key, ServiceError> {
        for KeyAttribute { name, key_type } in self.attributes() {
            let value =
                item.get(name).ok_or_else(|| invalid_parameter(format_args!("Missing the key {name} in the item")))?;
            if KeyValue::of(value, *key_type).is_none() {
                let (expected, actual) = (key_type.as_str(), value.type_name());
                return Err(invalid_parameter(format_args!(
                    "Type mismatch for key {name} expected: {expected} actual: {actual}"
                )));
            }
        }
        self.bounded(item)
    }

    /// The key that a request names: its attributes are those of the key, and no others.
    ///
    /// # Errors
    /// The service's validation error otherwise.
    pub fn key_of_request(&self, attributes: &Item) -> Result<Key, ServiceError> {
        if attributes.len() != self.attributes().count() || self.key_in(attributes).is_none() {
            return Err(invalid("The provided key element does not match the schema"));
        }
        self.bounded(attributes)
    }

    fn bounded(&self, item: &Item) -> Result<Key, ServiceError> {
        let key = self.key_in(item).expect("its attributes were looked at");
        let values = self.attributes().zip(std::iter::once(&key.hash).chain(&key.range));
        for (KeyAttribute { name, .. }, value) in values {
            let kind = match value {
                KeyValue::S(text) if text.is_empty() => "string",
                KeyValue::B(bytes) if bytes.is_empty() => "binary",
                _ => continue,
            };
            return Err(invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty {kind} value. Key: {name}"
            )));
        }
        key.check_sizes()?;
        Ok(key)
    }

    /// The attributes of a key as an item.
    #[must_use]
    pub fn attributes_of(&self, item: &Item) -> Item {
        let named = |attribute: &KeyAttribute| Some((attribute.name.clone(), item.get(&attribute.name)?.clone()));
        self.attributes().filter_map(named).collect()
    }
}

impl Key {
    fn check_sizes(&self) -> Result<(), ServiceError> {
        if self.hash.size_bytes() > HASH_BYTES_MAX {
            return Err(invalid_parameter(format_args!(
                "Size of hashkey has exceeded the maximum size limit of{HASH_BYTES_MAX} bytes"
            )));
        }
        if self.range.as_ref().is_some_and(|range| range.size_bytes() > RANGE_BYTES_MAX) {
            return Err(invalid_parameter(format_args!(
                "Aggregated size of all range keys has exceeded the size limit of {RANGE_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }
}
