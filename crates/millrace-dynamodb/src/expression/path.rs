//! Document paths: an attribute, or a place within one.

use std::fmt;

use super::Kind;
use crate::error::ServiceError;
use crate::value::{AttributeValue, Item};

/// A step of a path below its attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A value of a map.
    Name(String),
    /// A value of a list.
    Index(usize),
}

/// An attribute, and steps within its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub attribute: String,
    pub elements: Vec<Element>,
}

impl Path {
    /// The path of a whole attribute.
    pub fn of(attribute: impl Into<String>) -> Path {
        Path { attribute: attribute.into(), elements: Vec::new() }
    }

    /// The value that stands there.
    pub fn value_in<'i>(&self, item: &'i Item) -> Option<&'i AttributeValue> {
        self.elements.iter().try_fold(item.get(&self.attribute)?, |value, element| element.value_in(value))
    }

    /// No two paths of an expression may concern the same place.
    ///
    /// # Errors
    /// The service's validation error that names both.
    pub fn check_apart<'p>(paths: impl Iterator<Item = &'p Path>, of: Kind) -> Result<(), ServiceError> {
        let paths: Vec<_> = paths.collect();
        for (index, one) in paths.iter().enumerate() {
            for two in &paths[..index] {
                let fault = match (two.overlaps(one), two.conflicts(one)) {
                    (true, _) => "overlap",
                    (_, true) => "conflict",
                    _ => continue,
                };
                return Err(of.error(format_args!(
                    "Two document paths {fault} with each other; must remove or rewrite one of these paths; path one: \
                     {two}, path two: {one}"
                )));
            }
        }
        Ok(())
    }

    /// Whether one of the two leads through the other, or to the same place.
    fn overlaps(&self, other: &Path) -> bool {
        let common = self.elements.len().min(other.elements.len());
        self.attribute == other.attribute && self.elements[..common] == other.elements[..common]
    }

    /// Whether they need the value there to be a list and a map at once.
    fn conflicts(&self, other: &Path) -> bool {
        let is_index = |element: &Element| matches!(element, Element::Index(_));
        let common = self.elements.iter().zip(&other.elements).take_while(|(one, two)| one == two).count();
        self.attribute == other.attribute
            && match (self.elements.get(common), other.elements.get(common)) {
                (Some(one), Some(two)) => is_index(one) != is_index(two),
                _ => false,
            }
    }
}

impl Element {
    fn value_in<'i>(&self, value: &'i AttributeValue) -> Option<&'i AttributeValue> {
        match (self, value) {
            (Element::Name(name), AttributeValue::M(map)) => map.get(name),
            (Element::Index(index), AttributeValue::L(list)) => list.get(*index),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn value_in_mut<'i>(&self, value: &'i mut AttributeValue) -> Option<&'i mut AttributeValue> {
        match (self, value) {
            (Element::Name(name), AttributeValue::M(map)) => map.get_mut(name),
            (Element::Index(index), AttributeValue::L(list)) => list.get_mut(*index),
            _ => None,
        }
    }
}

/// As the service lists a path in its errors.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.attribute)?;
        for element in &self.elements {
            match element {
                Element::Name(name) => write!(f, ", {name}")?,
                Element::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}
