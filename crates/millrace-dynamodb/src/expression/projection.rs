//! Projections: the parts of an item that a read gives.

use std::collections::BTreeMap;

use super::Kind;
use super::path::{Element, Path};
use crate::error::ServiceError;
use crate::value::{AttributeValue, Item};

/// What is given of each attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Projection(BTreeMap<String, Part>);

/// What is given of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Members(BTreeMap<String, Part>),
    Elements(BTreeMap<usize, Part>),
}

impl Projection {
    /// The parts that these paths lead to, of which none leads through another.
    pub fn of(paths: Vec<Path>) -> Result<Projection, ServiceError> {
        Path::check_apart(paths.iter(), Kind::Projection)?;
        let mut parts = BTreeMap::new();
        for Path { attribute, elements } in paths {
            add(&mut parts, attribute, &elements);
        }
        Ok(Projection(parts))
    }

    /// Whole attributes, by their names.
    pub fn of_attributes<'n>(names: impl IntoIterator<Item = &'n str>) -> Projection {
        Projection(names.into_iter().map(|name| (name.to_owned(), Part::Whole)).collect())
    }

    /// The attributes of which something is given.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is given of an item. Of a list, the elements that are given close up.
    pub fn apply(&self, item: &Item) -> Item {
        members(&self.0, item)
    }
}

impl Part {
    /// A path that leads on through these elements.
    fn of(elements: &[Element]) -> Part {
        let mut part = Part::empty(elements);
        part.add(elements);
        part
    }

    fn empty(elements: &[Element]) -> Part {
        match elements.first() {
            None => Part::Whole,
            Some(Element::Name(_)) => Part::Members(BTreeMap::new()),
            Some(Element::Index(_)) => Part::Elements(BTreeMap::new()),
        }
    }

    fn add(&mut self, elements: &[Element]) {
        // Paths that overlap or conflict were refused, so a path meets parts of its own kind alone.
        match (self, elements.split_first()) {
            (Part::Members(parts), Some((Element::Name(name), rest))) => add(parts, name.clone(), rest),
            (Part::Elements(parts), Some((Element::Index(index), rest))) => add(parts, *index, rest),
            _ => {}
        }
    }

    fn apply(&self, value: &AttributeValue) -> Option<AttributeValue> {
        match (self, value) {
            (Part::Whole, value) => Some(value.clone()),
            (Part::Members(parts), AttributeValue::M(map)) => {
                Some(members(parts, map)).filter(|map| !map.is_empty()).map(AttributeValue::M)
            }
            (Part::Elements(parts), AttributeValue::L(list)) => {
                let given = parts.iter().filter_map(|(index, part)| part.apply(list.get(*index)?)).collect();
                Some(given).filter(|list: &Vec<_>| !list.is_empty()).map(AttributeValue::L)
            }
            _ => None,
        }
    }
}

fn add<K: Ord>(parts: &mut BTreeMap<K, Part>, key: K, rest: &[Element]) {
    parts.entry(key).and_modify(|part| part.add(rest)).or_insert_with(|| Part::of(rest));
}

fn members(parts: &BTreeMap<String, Part>, map: &Item) -> Item {
    parts.iter().filter_map(|(name, part)| Some((name.clone(), part.apply(map.get(name)?)?))).collect()
}
