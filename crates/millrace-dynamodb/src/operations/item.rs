//! `GetItem`, and what reads of single items have in common.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::capacity::{ReturnConsumed, read_units};
use super::name::table_name;
use super::{Context, Decided, Decision, Names, Operation, placeholders};
use crate::error::{ServiceError, invalid};
use crate::expression::{Placeholders, Projection};
use crate::json::WireItem;
use crate::tables::Tables;
use crate::value::{Item, size_of_item};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRequest {
    table_name: Option<String>,
    key: Option<WireItem>,
    consistent_read: Option<bool>,
    attributes_to_get: Option<Vec<String>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    return_consumed_capacity: Option<ReturnConsumed>,
}

/// Which item is read, and which part of it is given.
#[derive(Debug)]
pub(super) struct Wanted {
    pub table: String,
    pub key: Item,
    pub projection: Option<Projection>,
}

/// Reads an item.
pub(super) struct GetItem {
    wanted: Wanted,
    is_consistent: bool,
    consumed: ReturnConsumed,
}

impl GetItem {
    pub fn new(request: GetRequest) -> Result<GetItem, ServiceError> {
        let is_consistent = request.consistent_read.unwrap_or_default();
        let consumed = request.return_consumed_capacity.unwrap_or_default();
        Ok(GetItem { wanted: Wanted::new(request)?, is_consistent, consumed })
    }
}

impl Wanted {
    pub fn new(request: GetRequest) -> Result<Wanted, ServiceError> {
        let table = table_name(request.table_name)?;
        let key = required_key(request.key)?;
        let mut placeholders = placeholders(request.expression_attribute_names, None)?;
        let projection =
            projection(request.projection_expression.as_deref(), request.attributes_to_get, &mut placeholders)?;
        placeholders.finish(request.projection_expression.is_some())?;
        Ok(Wanted { table, key, projection })
    }

    /// The part of the item that is given, with the bytes of the whole; none where there is no such item.
    pub fn read(&self, tables: &Tables) -> Result<(Option<Item>, usize), ServiceError> {
        let table = tables.get(&self.table)?;
        let key = table.definition.schema.key_of_request(&self.key)?;
        let Some(item) = table.get(&key) else { return Ok((None, 0)) };
        let given = self.projection.as_ref().map_or_else(|| item.clone(), |projection| projection.apply(item));
        Ok((Some(given), size_of_item(item)))
    }
}

impl Operation for GetItem {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let (item, bytes) = self.wanted.read(tables)?;
        let mut answer = item.map_or_else(|| json!({}), |item| json!({ "Item": item }));
        self.consumed.tell(&mut answer, &self.wanted.table, read_units(bytes, self.is_consistent));
        Ok(Decision::read(answer))
    }
}

/// The key that a request has to give.
pub(super) fn required_key(key: Option<WireItem>) -> Result<Item, ServiceError> {
    let key = key.ok_or_else(|| required("key"))?;
    Ok(key.into_item()?)
}

/// A parameter that has to be there, in the words of the service's validation.
pub(super) fn required(parameter: &str) -> ServiceError {
    invalid(format!(
        "1 validation error detected: Value null at '{parameter}' failed to satisfy constraint: Member must not be null"
    ))
}

/// The part of an item that is asked for, by an expression or by names; all where neither is there.
pub(super) fn projection(
    expression: Option<&str>,
    attributes: Option<Vec<String>>,
    placeholders: &mut Placeholders,
) -> Result<Option<Projection>, ServiceError> {
    match (expression, attributes) {
        (Some(_), Some(_)) => Err(invalid(
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
             {AttributesToGet} Expression parameters: {ProjectionExpression}",
        )),
        (Some(expression), None) => Projection::parse(expression, placeholders).map(Some),
        (None, Some(names)) => {
            let names: BTreeSet<String> = names.into_iter().collect();
            if names.is_empty() {
                return Err(invalid(
                    "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1",
                ));
            }
            Ok(Some(Projection::of_attributes(names.iter().map(String::as_str))))
        }
        (None, None) => Ok(None),
    }
}
