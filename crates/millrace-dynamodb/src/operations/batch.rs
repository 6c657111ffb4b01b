//! `BatchGetItem` and `BatchWriteItem`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::capacity::{ReturnConsumed, read_units, write_units};
use super::item::{projection, required};
use super::name::table_name;
use super::write::{Change, Precondition, Write, Written, item_to_put};
use super::{Context, Decided, Decision, Names, Operation, placeholders};
use crate::error::{ServiceError, invalid};
use crate::json::WireItem;
use crate::operations::item::Wanted;
use crate::tables::Tables;

/// The most items that a call reads.
const READS_MAX: usize = 100;
/// The most items that a call writes.
const WRITES_MAX: usize = 25;
/// How many bytes of items an answer gives; the rest is left to the next call.
const ANSWER_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchGetRequest {
    request_items: Option<BTreeMap<String, Keys>>,
    return_consumed_capacity: Option<ReturnConsumed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<WireItem>,
    consistent_read: Option<bool>,
    attributes_to_get: Option<Vec<String>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<Names>,
}

/// Reads items of several tables.
pub(super) struct BatchGet {
    tables: Vec<(Vec<Wanted>, bool)>,
    consumed: ReturnConsumed,
}

impl BatchGet {
    pub fn new(request: BatchGetRequest) -> Result<BatchGet, ServiceError> {
        let items = request.request_items.ok_or_else(|| required("requestItems"))?;
        let count: usize = items.values().map(|keys| keys.keys.len()).sum();
        if count == 0 {
            return Err(invalid("The batch get request list cannot be empty"));
        }
        if count > READS_MAX {
            return Err(invalid("Too many items requested for the BatchGetItem call"));
        }
        let tables = items.into_iter().map(|(table, keys)| keys.into_wanted(table)).collect::<Result<_, _>>()?;
        Ok(BatchGet { tables, consumed: request.return_consumed_capacity.unwrap_or_default() })
    }
}

impl Keys {
    fn into_wanted(self, table: String) -> Result<(Vec<Wanted>, bool), ServiceError> {
        let table = table_name(Some(table))?;
        let mut placeholders = placeholders(self.expression_attribute_names, None)?;
        let has_expression = self.projection_expression.is_some();
        let projection = projection(self.projection_expression.as_deref(), self.attributes_to_get, &mut placeholders)?;
        placeholders.finish(has_expression)?;
        let mut wanted: Vec<Wanted> = Vec::new();
        for key in self.keys {
            let key = key.into_item()?;
            if wanted.iter().any(|other| other.key == key) {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
            wanted.push(Wanted { table: table.clone(), key, projection: projection.clone() });
        }
        Ok((wanted, self.consistent_read.unwrap_or_default()))
    }
}

impl Operation for BatchGet {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let mut responses = Map::new();
        let mut unprocessed = Map::new();
        let mut units: BTreeMap<&str, f64> = BTreeMap::new();
        let mut given_bytes = 0;
        for (wanted, is_consistent) in &self.tables {
            let mut items = Vec::new();
            let mut left = Vec::new();
            for one in wanted {
                let (item, bytes) = one.read(tables)?;
                if given_bytes + bytes > ANSWER_BYTES_MAX {
                    left.push(json!(one.key));
                    continue;
                }
                given_bytes += bytes;
                *units.entry(&one.table).or_default() += read_units(bytes, *is_consistent);
                items.extend(item.map(|item| json!(item)));
            }
            let Some(Wanted { table, .. }) = wanted.first() else { continue };
            responses.insert(table.clone(), Value::Array(items));
            if !left.is_empty() {
                unprocessed.insert(table.clone(), json!({ "Keys": left, "ConsistentRead": is_consistent }));
            }
        }
        let mut answer = json!({ "Responses": responses, "UnprocessedKeys": unprocessed });
        self.consumed.tell_all(&mut answer, units.into_iter());
        Ok(Decision::read(answer))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchWriteRequest {
    request_items: Option<BTreeMap<String, Vec<OneWrite>>>,
    return_consumed_capacity: Option<ReturnConsumed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneWrite {
    put_request: Option<PutRequest>,
    delete_request: Option<DeleteRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: WireItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: WireItem,
}

/// Writes items of several tables.
pub(super) struct BatchWrite {
    writes: Vec<Write>,
    consumed: ReturnConsumed,
}

impl BatchWrite {
    pub fn new(request: BatchWriteRequest) -> Result<BatchWrite, ServiceError> {
        let items = request.request_items.ok_or_else(|| required("requestItems"))?;
        let count: usize = items.values().map(Vec::len).sum();
        if count == 0 {
            return Err(invalid("Batch write item request list cannot be empty"));
        }
        if count > WRITES_MAX {
            return Err(invalid("Too many items requested for the BatchWriteItem call"));
        }
        let mut writes = Vec::new();
        for (table, requests) in items {
            let table = table_name(Some(table))?;
            for one in requests {
                let precondition = Precondition::none();
                writes.push(Write { table: table.clone(), precondition, change: one.into_change()? });
            }
        }
        Ok(BatchWrite { writes, consumed: request.return_consumed_capacity.unwrap_or_default() })
    }
}

impl OneWrite {
    fn into_change(self) -> Result<Change, ServiceError> {
        match (self.put_request, self.delete_request) {
            (Some(put), None) => Ok(Change::Put(item_to_put(Some(put.item))?)),
            (None, Some(delete)) => Ok(Change::Delete { key: delete.key.into_item()? }),
            _ => Err(invalid("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")),
        }
    }
}

impl Operation for BatchWrite {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let mut keys = BTreeSet::new();
        let mut steps = Vec::new();
        let mut units: BTreeMap<&str, f64> = BTreeMap::new();
        for write in &self.writes {
            let Written { old, new, step } = write.decide(tables)?;
            *units.entry(&write.table).or_default() += write_units(old, new.as_ref());
            steps.extend(step);
            let key = tables.get(&write.table)?.definition.schema.key_in(&write.key(tables)?);
            if !keys.insert((&write.table, key)) {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
        }
        let mut answer = json!({ "UnprocessedItems": {} });
        self.consumed.tell_all(&mut answer, units.into_iter());
        Ok(Decision { steps, is_atomic: false, answer })
    }
}
