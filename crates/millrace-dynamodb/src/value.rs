//! Attribute values and items: what a table holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::number::Number;

/// How deep lists and maps may stand in each other.
pub const DEPTH_MAX: usize = 32;
/// How many bytes an item takes at most.
pub const ITEM_BYTES_MAX: usize = 400 << 10;
/// What a list or a map counts beyond its elements, in bytes.
const CONTAINER_BYTES: usize = 3;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
    /// Different texts.
    Ss(BTreeSet<String>),
    /// Different numbers.
    Ns(BTreeSet<Number>),
    /// Different bytes.
    Bs(BTreeSet<Vec<u8>>),
    /// Yes or no.
    Bool(bool),
    /// Nothing, said so.
    Null,
    /// Values in their order.
    L(Vec<AttributeValue>),
    /// Values by their names.
    M(Item),
}

/// The attributes of an item, or of a map within one, by their names.
pub type Item = BTreeMap<String, AttributeValue>;

impl AttributeValue {
    /// The type, as the service abbreviates it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            AttributeValue::S(_) => "S",
            AttributeValue::N(_) => "N",
            AttributeValue::B(_) => "B",
            AttributeValue::Ss(_) => "SS",
            AttributeValue::Ns(_) => "NS",
            AttributeValue::Bs(_) => "BS",
            AttributeValue::Bool(_) => "BOOL",
            AttributeValue::Null => "NULL",
            AttributeValue::L(_) => "L",
            AttributeValue::M(_) => "M",
        }
    }

    /// How many bytes the value counts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.size_bytes(),
            AttributeValue::B(bytes) => bytes.len(),
            AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
            AttributeValue::Ns(set) => set.iter().map(|number| number.size_bytes()).sum(),
            AttributeValue::Bs(set) => set.iter().map(Vec::len).sum(),
            AttributeValue::Bool(_) | AttributeValue::Null => 1,
            AttributeValue::L(list) => CONTAINER_BYTES + list.iter().map(|value| 1 + value.size_bytes()).sum::<usize>(),
            AttributeValue::M(map) => CONTAINER_BYTES + map.len() + size_of_item(map),
        }
    }

    /// What the function `size` tells: characters of a text, bytes, elements.
    #[must_use]
    pub fn length(&self) -> Option<usize> {
        match self {
            AttributeValue::S(text) => Some(text.chars().count()),
            AttributeValue::B(bytes) => Some(bytes.len()),
            AttributeValue::Ss(set) => Some(set.len()),
            AttributeValue::Ns(set) => Some(set.len()),
            AttributeValue::Bs(set) => Some(set.len()),
            AttributeValue::L(list) => Some(list.len()),
            AttributeValue::M(map) => Some(map.len()),
            AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => None,
        }
    }

    /// Whether lists and maps stand in each other no deeper than is allowed, this one at depth `depth`.
    fn is_shallow(&self, depth: usize) -> bool {
        match self {
            AttributeValue::L(list) => depth < DEPTH_MAX && list.iter().all(|value| value.is_shallow(depth + 1)),
            AttributeValue::M(map) => depth < DEPTH_MAX && map.values().all(|value| value.is_shallow(depth + 1)),
            _ => true,
        }
    }
}

/// How many bytes an item counts: its names and values.
#[must_use]
pub fn size_of_item(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size_bytes()).sum()
}

/// Whether the values of an item are nested no deeper than is allowed.
#[must_use]
pub fn is_shallow(item: &Item) -> bool {
    item.values().all(|value| value.is_shallow(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_the_service_documents() {
        let text = AttributeValue::S("añb".to_owned());
        assert_eq!((text.size_bytes(), text.length()), (4, Some(3)));
        assert_eq!(AttributeValue::N("12345".parse().expect("a number")).size_bytes(), 4);
        assert_eq!(AttributeValue::L(vec![AttributeValue::Null, AttributeValue::Bool(true)]).size_bytes(), 7);
        let item = Item::from([("id".to_owned(), text)]);
        assert_eq!(size_of_item(&item), 6);
        assert_eq!(AttributeValue::M(item).size_bytes(), 10);
    }

    #[test]
    fn values_nest_so_deep_and_no_deeper() {
        let nested = |depth| (0..depth).fold(AttributeValue::Null, |inner, _| AttributeValue::L(vec![inner]));
        let is_allowed = |depth| is_shallow(&Item::from([("a".to_owned(), nested(depth))]));
        assert!(is_allowed(DEPTH_MAX));
        assert!(!is_allowed(DEPTH_MAX + 1));
    }
}
