//! Requests in JSON, read by their schema straight from the bytes.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::convert::{Scalar, convert, list_not_expected, map_not_expected};
use super::{Fault, Format, Walk};
use crate::schema::{Shape, ShapeId};
use crate::value::{Structure, Value};

pub(super) fn decode(walk: &Walk, shape: ShapeId, body: &[u8]) -> Result<Option<Value>, Fault> {
    let fault = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_slice(body);
    let seed = Seed { walk, shape, fault: &fault };
    let read = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    // The error of the JSON reader says where, which the service does not.
    read.map_err(|_| fault.take().unwrap_or(Fault::Malformed))
}

/// Reads one value of a shape; `None` is null.
#[derive(Clone, Copy)]
struct Seed<'w> {
    walk: &'w Walk,
    shape: ShapeId,
    /// Why the reading ended, where that is no matter of JSON.
    fault: &'w RefCell<Option<Fault>>,
}

impl Seed<'_> {
    fn shape(&self) -> &'static Shape {
        self.walk.schema.shape(self.shape)
    }

    fn of(self, shape: ShapeId) -> Self {
        Seed { shape, ..self }
    }

    fn scalar<E: Error>(&self, scalar: &Scalar<'_>) -> Result<Option<Value>, E> {
        convert(self.shape(), scalar, Format::Json).map(Some).map_err(|fault| self.end(fault))
    }

    fn end<E: Error>(&self, fault: Fault) -> E {
        *self.fault.borrow_mut() = Some(fault);
        E::custom("a value of another type than the schema's")
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        self.walk.take().map_err(|fault| self.end(fault))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<Value>, E> {
        self.scalar(&Scalar::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<Value>, E> {
        self.scalar(&Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<Value>, E> {
        self.scalar(&Scalar::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<Value>, E> {
        self.scalar(&Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Option<Value>, E> {
        self.scalar(&Scalar::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Value>, A::Error> {
        let Shape::List { member, .. } = self.shape() else { return Err(self.end(list_not_expected())) };
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.of(*member))? {
            values.extend(value);
        }
        Ok(Some(Value::List(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<Value>, A::Error> {
        match self.shape() {
            Shape::Structure(members) => {
                let mut structure = Structure::new();
                while let Some(name) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
                    let Some(member) = members.iter().find(|member| member.name == name) else {
                        entries.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if let Some(value) = entries.next_value_seed(self.of(member.shape))? {
                        structure.insert(member.name, value);
                    }
                }
                Ok(Some(Value::Structure(structure)))
            }
            Shape::Map { value, .. } => {
                let mut map = Vec::new();
                while let Some(key) = entries.next_key::<String>()? {
                    map.extend(entries.next_value_seed(self.of(*value))?.map(|value| (key, value)));
                }
                Ok(Some(Value::Map(map)))
            }
            _ => Err(self.end(map_not_expected())),
        }
    }
}
