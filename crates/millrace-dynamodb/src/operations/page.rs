//! Pages: what `Query` and `Scan` give of the items that they come by, and where the next page begins.

use serde_json::{Value, json};

use super::capacity::read_units;
use crate::error::{ServiceError, invalid, invalid_parameter};
use crate::expression::{Condition, Projection};
use crate::table::{IndexDefinition, Place, Table};
use crate::value::{Item, size_of_item};

/// How many bytes of items a page is made from.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// How a page is made.
#[derive(Debug)]
pub(super) struct Page {
    pub index: Option<String>,
    pub filter: Option<Condition>,
    pub projection: Option<Projection>,
    pub select: Select,
    pub limit: Option<usize>,
    /// The key behind which the page begins, as an earlier page gave it.
    pub start: Option<Item>,
}

/// What is given of the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Select {
    /// What the projection or the index says.
    Projected,
    /// All attributes.
    All,
    /// Their number.
    Count,
}

impl Page {
    /// The index that is read, by its name.
    pub fn index_of<'t>(&self, table: &'t Table) -> Result<Option<&'t IndexDefinition>, ServiceError> {
        let Some(name) = &self.index else { return Ok(None) };
        let index = table.definition.indexes.get(name);
        index.map(Some).ok_or_else(|| invalid(format!("The table does not have the specified index: {name}")))
    }

    /// Whether the index can give what is asked for.
    pub fn check(&self, table: &Table) -> Result<(), ServiceError> {
        let (Some(name), Some(index)) = (&self.index, self.index_of(table)?) else { return Ok(()) };
        let Some(attributes) = index.attributes(&table.definition.schema) else { return Ok(()) };
        if self.select == Select::All {
            return Err(invalid_parameter(format_args!(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its projection \
                 type is not ALL"
            )));
        }
        let asked = self.projection.iter().flat_map(Projection::attributes);
        let missing: Vec<&str> = asked.filter(|asked| !attributes.contains(asked)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(invalid_parameter(format_args!("Global secondary index {name} does not project [{missing}]")))
    }

    /// The place behind which the page begins.
    pub fn place(&self, table: &Table) -> Result<Option<Place>, ServiceError> {
        let Some(start) = &self.start else { return Ok(None) };
        let wrong =
            || invalid("The provided starting key is invalid: The provided key element does not match the schema");
        let schema = &table.definition.schema;
        let primary = schema.key_in(start).ok_or_else(wrong)?;
        let index = self.index_of(table)?;
        let index_key = index.map(|index| index.schema.key_in(start).ok_or_else(wrong)).transpose()?;
        let attributes = schema.attributes().chain(index.into_iter().flat_map(|index| index.schema.attributes()));
        let names: Vec<&str> = attributes.map(|attribute| attribute.name.as_str()).collect();
        if start.keys().any(|name| !names.contains(&name.as_str())) {
            return Err(wrong());
        }
        Ok(Some(Place { index: index_key, primary }))
    }

    /// The page of these items, which are all that stand behind its start; returns the units that it took too.
    pub fn make<'t>(
        &self,
        table: &'t Table,
        items: impl Iterator<Item = &'t Item>,
        is_consistent: bool,
    ) -> Result<(Value, f64), ServiceError> {
        let index = self.index_of(table)?;
        let in_index = index.and_then(|index| index.attributes(&table.definition.schema));
        let of_index = in_index.map(Projection::of_attributes);
        let mut items = items.peekable();
        let (mut given, mut count, mut scanned, mut bytes) = (Vec::new(), 0_usize, 0_usize, 0);
        let mut last = None;
        while let Some(item) = items.next() {
            bytes += size_of_item(item);
            scanned += 1;
            let seen = of_index.as_ref().map(|projection| projection.apply(item));
            let seen = seen.as_ref().unwrap_or(item);
            if self.filter.as_ref().is_none_or(|filter| filter.holds(seen)) {
                count += 1;
                if self.select != Select::Count {
                    let part = self.projection.as_ref().map(|projection| projection.apply(seen));
                    given.push(part.unwrap_or_else(|| seen.clone()));
                }
            }
            let is_full = bytes >= PAGE_BYTES_MAX && items.peek().is_some();
            if is_full || self.limit.is_some_and(|limit| scanned >= limit) {
                let mut key = table.definition.schema.attributes_of(item);
                key.extend(index.map(|index| index.schema.attributes_of(item)).unwrap_or_default());
                last = Some(key);
                break;
            }
        }
        let mut answer = json!({ "Count": count, "ScannedCount": scanned });
        if self.select != Select::Count {
            answer["Items"] = json!(given);
        }
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = json!(last);
        }
        Ok((answer, read_units(bytes, is_consistent)))
    }
}
