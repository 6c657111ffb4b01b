//! Attribute values in JSON: an object with one member, whose name is the type.
//!
//! What comes from outside is read into [`Wire`] first: a value of the wrong JSON type ends there, while what is a value
//! only in form (an empty set, a number of 39 digits) is refused when it is made an [`AttributeValue`].

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::number::{Number, NumberError};
use crate::value::{AttributeValue, Item, is_shallow};

/// A value as it came.
#[derive(Clone, Debug)]
pub enum Wire {
    /// An object without a type that is known.
    Empty,
    /// An object with more than one type.
    Several,
    /// Text.
    S(String),
    /// A number's text.
    N(String),
    /// Bytes in base64.
    B(String),
    /// Texts.
    Ss(Vec<String>),
    /// Numbers' texts.
    Ns(Vec<String>),
    /// Bytes in base64.
    Bs(Vec<String>),
    /// Yes or no.
    Bool(bool),
    /// `true`, where the value is nothing.
    Null(bool),
    /// Values.
    L(Vec<Wire>),
    /// Values by name.
    M(WireItem),
}

/// An item as it came: in the order of its members, of which some may be there twice.
#[derive(Clone, Debug, Default)]
pub struct WireItem(pub Vec<(String, Wire)>);

/// Why a value that has the form of one is none; the text is the service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue(pub String);

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<NumberError> for InvalidValue {
    fn from(error: NumberError) -> InvalidValue {
        InvalidValue(error.to_string())
    }
}

impl Wire {
    /// The value, where it is one.
    ///
    /// # Errors
    /// [`InvalidValue`] otherwise.
    pub fn into_value(self) -> Result<AttributeValue, InvalidValue> {
        let invalid = |text: &str| Err(InvalidValue(text.to_owned()));
        Ok(match self {
            Wire::Empty => {
                return invalid(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                );
            }
            Wire::Several => {
                return invalid(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported \
                     datatypes",
                );
            }
            Wire::S(text) => AttributeValue::S(text),
            Wire::N(text) => AttributeValue::N(text.parse()?),
            Wire::B(text) => AttributeValue::B(bytes_of(&text)?),
            Wire::Ss(texts) => AttributeValue::Ss(set_of(texts, "An string set  may not be empty", Ok)?),
            Wire::Ns(texts) => {
                let number = |text: String| text.parse::<Number>().map_err(InvalidValue::from);
                AttributeValue::Ns(set_of(texts, "An number set  may not be empty", number)?)
            }
            Wire::Bs(texts) => {
                AttributeValue::Bs(set_of(texts, "Binary sets should not be empty", |text| bytes_of(&text))?)
            }
            Wire::Bool(value) => AttributeValue::Bool(value),
            Wire::Null(true) => AttributeValue::Null,
            Wire::Null(false) => {
                return invalid(
                    "One or more parameter values were invalid: Null attribute value types must have the value of true",
                );
            }
            Wire::L(values) => AttributeValue::L(values.into_iter().map(Wire::into_value).collect::<Result<_, _>>()?),
            Wire::M(members) => AttributeValue::M(members.into_members()?),
        })
    }
}

impl WireItem {
    /// The item, where it is one.
    ///
    /// # Errors
    /// [`InvalidValue`] otherwise.
    pub fn into_item(self) -> Result<Item, InvalidValue> {
        let item = self.into_members()?;
        if !is_shallow(&item) {
            let message = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels \
                           beyond supported limit";
            return Err(InvalidValue(message.to_owned()));
        }
        Ok(item)
    }

    fn into_members(self) -> Result<Item, InvalidValue> {
        self.0.into_iter().map(|(name, value)| Ok((name, value.into_value()?))).collect()
    }
}

/// The bytes that a text spells; the service wants them padded.
fn bytes_of(text: &str) -> Result<Vec<u8>, InvalidValue> {
    STANDARD.decode(text).map_err(|_| InvalidValue("Bytes could not be decoded: expected base64".to_owned()))
}

/// A set of values that are each given once.
fn set_of<T: Ord>(
    texts: Vec<String>,
    empty: &str,
    value: impl Fn(String) -> Result<T, InvalidValue>,
) -> Result<BTreeSet<T>, InvalidValue> {
    let parameter = "One or more parameter values were invalid";
    if texts.is_empty() {
        return Err(InvalidValue(format!("{parameter}: {empty}")));
    }
    let count = texts.len();
    let set = texts.into_iter().map(value).collect::<Result<BTreeSet<T>, _>>()?;
    if set.len() != count {
        return Err(InvalidValue(format!("{parameter}: Input collection contains duplicates.")));
    }
    Ok(set)
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wire, D::Error> {
        deserializer.deserialize_map(WireVisitor)
    }
}

struct WireVisitor;

impl<'de> Visitor<'de> for WireVisitor {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire, A::Error> {
        let mut wire = Wire::Empty;
        while let Some(name) = map.next_key::<String>()? {
            let next = match name.as_str() {
                "S" => map.next_value::<Option<_>>()?.map(Wire::S),
                "N" => map.next_value::<Option<_>>()?.map(Wire::N),
                "B" => map.next_value::<Option<_>>()?.map(Wire::B),
                "SS" => map.next_value::<Option<_>>()?.map(Wire::Ss),
                "NS" => map.next_value::<Option<_>>()?.map(Wire::Ns),
                "BS" => map.next_value::<Option<_>>()?.map(Wire::Bs),
                "BOOL" => map.next_value::<Option<_>>()?.map(Wire::Bool),
                "NULL" => map.next_value::<Option<_>>()?.map(Wire::Null),
                "L" => map.next_value::<Option<_>>()?.map(Wire::L),
                "M" => map.next_value::<Option<_>>()?.map(Wire::M),
                _ => map.next_value::<IgnoredAny>().map(|_| None)?,
            };
            wire = match (wire, next) {
                (wire, None) => wire,
                (Wire::Empty, Some(next)) => next,
                (_, Some(_)) => Wire::Several,
            };
        }
        Ok(wire)
    }
}

impl<'de> Deserialize<'de> for WireItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WireItem, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = WireItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("attribute values by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireItem, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(WireItem(members))
            }
        }
        deserializer.deserialize_map(ItemVisitor)
    }
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let name = self.type_name();
        match self {
            AttributeValue::S(text) => map.serialize_entry(name, text)?,
            AttributeValue::N(number) => map.serialize_entry(name, &number.to_string())?,
            AttributeValue::B(bytes) => map.serialize_entry(name, &STANDARD.encode(bytes))?,
            AttributeValue::Ss(set) => map.serialize_entry(name, set)?,
            AttributeValue::Ns(set) => {
                map.serialize_entry(name, &set.iter().map(Number::to_string).collect::<Vec<_>>())?;
            }
            AttributeValue::Bs(set) => {
                map.serialize_entry(name, &set.iter().map(|bytes| STANDARD.encode(bytes)).collect::<Vec<_>>())?;
            }
            AttributeValue::Bool(value) => map.serialize_entry(name, value)?,
            AttributeValue::Null => map.serialize_entry(name, &true)?,
            AttributeValue::L(list) => map.serialize_entry(name, list)?,
            AttributeValue::M(item) => map.serialize_entry(name, item)?,
        }
        map.end()
    }
}

/// What stands on disk is a value or damage: both kinds of refusal are one there.
impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AttributeValue, D::Error> {
        Wire::deserialize(deserializer)?.into_value().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Result<AttributeValue, InvalidValue> {
        serde_json::from_str::<Wire>(json).expect(json).into_value()
    }

    #[test]
    fn values_of_every_type_come_back() {
        let json = r#"{"M":{"a":{"S":"x"},"b":{"N":"1.5"},"c":{"B":"AQI="},"d":{"SS":["a","b"]},"e":{"NS":["1","2"]},"f":{"BS":["AQ=="]},"g":{"BOOL":false},"h":{"NULL":true},"i":{"L":[{"S":""}]}}}"#;
        assert_eq!(serde_json::to_string(&value(json).expect("a value")).expect("JSON"), json);
    }

    #[test]
    fn what_only_has_the_form_of_a_value_is_refused_with_the_reason() {
        let cases = [
            ("{}", "is empty"),
            (r#"{"X":"1"}"#, "is empty"),
            (r#"{"S":"a","N":"1"}"#, "more than one"),
            (r#"{"SS":[]}"#, "may not be empty"),
            (r#"{"NS":["1","1.0"]}"#, "duplicates"),
            (r#"{"N":"x"}"#, "numeric value"),
            (r#"{"B":"A"}"#, "base64"),
            (r#"{"NULL":false}"#, "value of true"),
            (r#"{"L":[{}]}"#, "is empty"),
        ];
        for (json, reason) in cases {
            let refused = value(json).expect_err(json).0;
            assert!(refused.contains(reason), "{json}: {refused}");
        }
        assert_eq!(value(r#"{"S":"a","N":null}"#), Ok(AttributeValue::S("a".to_owned())));
        for json in ["1", "[]", r#"{"S":1}"#, r#"{"SS":"a"}"#, r#"{"BOOL":"true"}"#] {
            assert!(serde_json::from_str::<Wire>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn items_that_are_nested_too_deep_are_refused() {
        let nested =
            |depth: usize| format!("{{\"a\":{}{{\"NULL\":true}}{}}}", "{\"L\":[".repeat(depth), "]}".repeat(depth));
        let item = |json: &str| serde_json::from_str::<WireItem>(json).expect("items").into_item();
        assert!(item(&nested(32)).is_ok());
        assert!(item(&nested(33)).is_err_and(|error| error.0.contains("Nesting Levels")));
        // What is deeper than any stack should be is refused before that.
        assert!(serde_json::from_str::<WireItem>(&nested(200)).is_err());
    }
}
