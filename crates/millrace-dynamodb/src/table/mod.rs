//! A table: its items by their primary keys, and its indexes over them.

mod definition;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

pub(crate) use definition::seconds;
pub use definition::{Capacity, Definition, IndexDefinition, IndexProjection, Throughput};

use crate::key::{Key, KeyValue};
use crate::value::{Item, size_of_item};

/// A table with its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it is.
    pub definition: Definition,
    items: BTreeMap<Key, Item>,
    /// Of each index: the keys of the items in it, with their primary keys.
    indexes: BTreeMap<String, BTreeSet<(Key, Key)>>,
    bytes: usize,
}

/// A place in the order of a table or of an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The key in the index, where it is one's.
    pub index: Option<Key>,
    /// The primary key.
    pub primary: Key,
}

impl Place {
    /// The key that the order goes by first.
    pub fn leading(&self) -> &Key {
        self.index.as_ref().unwrap_or(&self.primary)
    }
}

impl Table {
    /// A table without items.
    #[must_use]
    pub fn new(definition: Definition) -> Table {
        let indexes = definition.indexes.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
        Table { definition, items: BTreeMap::new(), indexes, bytes: 0 }
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many bytes the items count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many items an index holds.
    #[must_use]
    pub fn index_len(&self, index: &str) -> usize {
        self.indexes.get(index).map_or(0, BTreeSet::len)
    }

    /// How many bytes the items of an index count, as they are in the table.
    #[must_use]
    pub fn index_bytes(&self, index: &str) -> usize {
        let keys = self.indexes.get(index).into_iter().flatten();
        keys.filter_map(|(_, primary)| self.items.get(primary)).map(size_of_item).sum()
    }

    /// The item with this key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    /// All items, by their keys.
    pub fn items(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.items.iter()
    }

    /// Gives the table other settings and indexes; new indexes are filled at once.
    pub(crate) fn redefine(&mut self, definition: Definition) {
        self.indexes.retain(|name, _| definition.indexes.get(name) == self.definition.indexes.get(name));
        for (name, index) in &definition.indexes {
            let items = &self.items;
            let fill =
                || items.iter().filter_map(|(key, item)| Some((index.schema.key_in(item)?, key.clone()))).collect();
            self.indexes.entry(name.clone()).or_insert_with(fill);
        }
        self.definition = definition;
    }

    /// Puts an item in the place of the one with its key. `None`, and nothing is done, where it has no key.
    pub(crate) fn put(&mut self, item: Item) -> Option<()> {
        let key = self.definition.schema.key_in(&item)?;
        self.delete(&key);
        for (name, entries) in &mut self.indexes {
            let schema = self.definition.indexes.get(name).map(|index| &index.schema);
            if let Some(index_key) = schema.and_then(|schema| schema.key_in(&item)) {
                entries.insert((index_key, key.clone()));
            }
        }
        self.bytes += size_of_item(&item);
        self.items.insert(key, item);
        Some(())
    }

    /// Removes the item with this key, if there is one.
    pub(crate) fn delete(&mut self, key: &Key) {
        let Some(item) = self.items.remove(key) else { return };
        for (name, entries) in &mut self.indexes {
            let schema = self.definition.indexes.get(name).map(|index| &index.schema);
            if let Some(index_key) = schema.and_then(|schema| schema.key_in(&item)) {
                entries.remove(&(index_key, key.clone()));
            }
        }
        self.bytes -= size_of_item(&item);
    }

    /// The items of the table or of one of its indexes in their order: all or those of one partition, from the beginning
    /// or behind a place.
    pub(crate) fn in_order<'t>(
        &'t self,
        index: Option<&str>,
        partition: Option<&'t KeyValue>,
        behind: Option<&Place>,
    ) -> Box<dyn Iterator<Item = (Place, &'t Item)> + 't> {
        let first = partition.map(|hash| Key { hash: hash.clone(), range: None });
        let is_within = move |key: &Key| partition.is_none_or(|hash| key.hash == *hash);
        let Some(index) = index else {
            let from = match (behind, first) {
                (Some(behind), _) => Bound::Excluded(behind.primary.clone()),
                (None, Some(first)) => Bound::Included(first),
                (None, None) => Bound::Unbounded,
            };
            let items = self.items.range((from, Bound::Unbounded)).take_while(move |(key, _)| is_within(key));
            return Box::new(items.map(|(key, item)| (Place { index: None, primary: key.clone() }, item)));
        };
        let Some(entries) = self.indexes.get(index) else { return Box::new(std::iter::empty()) };
        let from = match (behind, first) {
            (Some(Place { index: Some(key), primary }), _) => Bound::Excluded((key.clone(), primary.clone())),
            // A primary key that no other is before.
            (_, Some(first)) => Bound::Included((first, Key { hash: KeyValue::FIRST, range: None })),
            _ => Bound::Unbounded,
        };
        let entries = entries.range((from, Bound::Unbounded)).take_while(move |(key, _)| is_within(key));
        Box::new(entries.filter_map(|(key, primary)| {
            let place = Place { index: Some(key.clone()), primary: primary.clone() };
            Some((place, self.items.get(primary)?))
        }))
    }
}
