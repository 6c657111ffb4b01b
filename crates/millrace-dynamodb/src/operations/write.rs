//! `PutItem`, `UpdateItem` and `DeleteItem`: writes of one item, on a condition.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::capacity::{ReturnConsumed, write_units};
use super::item::{required, required_key};
use super::name::table_name;
use super::{Context, Decided, Decision, Names, Operation, placeholders};
use crate::error::{ErrorName, ServiceError, invalid, invalid_parameter};
use crate::expression::{Condition, Kind, Placeholders, Projection, Update};
use crate::json::WireItem;
use crate::key::{KeyAttribute, KeyValue};
use crate::legacy::{self, AttributeUpdate, ConditionalOperator, Expected};
use crate::step::Step;
use crate::table::Table;
use crate::tables::Tables;
use crate::value::{AttributeValue, ITEM_BYTES_MAX, Item, is_shallow, size_of_item};

/// A write of one item, as it came. Each operation takes some of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteRequest {
    pub table_name: Option<String>,
    pub item: Option<WireItem>,
    pub key: Option<WireItem>,
    attribute_updates: Option<BTreeMap<String, AttributeUpdate>>,
    pub update_expression: Option<String>,
    expected: Option<BTreeMap<String, Expected>>,
    conditional_operator: Option<ConditionalOperator>,
    pub condition_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<WireItem>,
    #[serde(default)]
    return_values: ReturnValues,
    #[serde(default)]
    return_values_on_condition_check_failure: OnFailure,
    #[serde(default)]
    return_consumed_capacity: ReturnConsumed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// What is given of the item where a condition fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum OnFailure {
    #[default]
    None,
    AllOld,
}

/// What has to hold of an item before it is written.
#[derive(Debug)]
pub(super) struct Precondition {
    condition: Option<Condition>,
    on_failure: OnFailure,
}

/// A write of one item: what a transaction does too.
#[derive(Debug)]
pub(super) struct Write {
    pub table: String,
    pub precondition: Precondition,
    pub change: Change,
}

/// What is written.
#[derive(Debug)]
pub(super) enum Change {
    Put(Item),
    Update {
        key: Item,
        update: Update,
    },
    Delete {
        key: Item,
    },
    /// Nothing: the condition alone counts.
    Check {
        key: Item,
    },
}

/// A write that was decided: the item before and after it.
pub(super) struct Written<'t> {
    pub old: Option<&'t Item>,
    pub new: Option<Item>,
    pub step: Option<Step>,
}

impl Precondition {
    /// Nothing has to hold.
    pub fn none() -> Precondition {
        Precondition { condition: None, on_failure: OnFailure::None }
    }

    fn check(&self, old: Option<&Item>) -> Result<(), ServiceError> {
        let holds =
            |condition: &Condition| old.map_or_else(|| condition.holds(&Item::new()), |item| condition.holds(item));
        if self.condition.as_ref().is_none_or(holds) {
            return Ok(());
        }
        let mut error = ServiceError::new(ErrorName::ConditionalCheckFailed, "The conditional request failed");
        error.item = old.filter(|_| self.on_failure == OnFailure::AllOld).cloned();
        Err(error)
    }
}

impl Write {
    /// Decides the write on the tables as they are.
    pub fn decide<'t>(&self, tables: &'t Tables) -> Result<Written<'t>, ServiceError> {
        let table = tables.get(&self.table)?;
        let schema = &table.definition.schema;
        let name = &self.table;
        let put = |item: &Item| Step::Put { table: name.clone(), item: item.clone() };
        match &self.change {
            Change::Put(item) => {
                let key = schema.key_of_item(item)?;
                check_index_keys(table, item)?;
                let old = table.get(&key);
                self.precondition.check(old)?;
                Ok(Written { old, new: Some(item.clone()), step: Some(put(item)) })
            }
            Change::Update { key, update } => {
                update.check_key(schema)?;
                let old = table.get(&schema.key_of_request(key)?);
                self.precondition.check(old)?;
                let new = update.apply(old.unwrap_or(key))?;
                if size_of_item(&new) > ITEM_BYTES_MAX {
                    return Err(invalid("Item size to update has exceeded the maximum allowed size"));
                }
                if !is_shallow(&new) {
                    return Err(invalid("Nesting Levels have exceeded supported limits"));
                }
                check_index_keys(table, &new)?;
                Ok(Written { old, step: Some(put(&new)), new: Some(new) })
            }
            Change::Delete { key } => {
                let old = table.get(&schema.key_of_request(key)?);
                self.precondition.check(old)?;
                let step = old.map(|_| Step::Delete { table: name.clone(), key: key.clone() });
                Ok(Written { old, new: None, step })
            }
            Change::Check { key } => {
                let old = table.get(&schema.key_of_request(key)?);
                self.precondition.check(old)?;
                Ok(Written { old, new: None, step: None })
            }
        }
    }

    /// The attributes of the key of the item that is written.
    pub fn key(&self, tables: &Tables) -> Result<Item, ServiceError> {
        let schema = &tables.get(&self.table)?.definition.schema;
        Ok(match &self.change {
            Change::Put(item) => schema.attributes_of(item),
            Change::Update { key, .. } | Change::Delete { key } | Change::Check { key } => key.clone(),
        })
    }
}

/// An attribute that is a key of an index has the index's type, where it is there.
fn check_index_keys(table: &Table, item: &Item) -> Result<(), ServiceError> {
    for (index, definition) in &table.definition.indexes {
        for KeyAttribute { name, key_type } in definition.schema.attributes() {
            let Some(value) = item.get(name) else { continue };
            let (expected, actual) = (key_type.as_str(), value.type_name());
            if KeyValue::of(value, *key_type).is_none() {
                return Err(invalid_parameter(format_args!(
                    "Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: {index}"
                )));
            }
            if matches!(value, AttributeValue::S(_) | AttributeValue::B(_)) && value.length() == Some(0) {
                return Err(invalid(format!(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not \
                     supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: \
                     {index}, IndexKey: {name}"
                )));
            }
        }
    }
    Ok(())
}

/// An item that is to be put whole.
pub(super) fn item_to_put(item: Option<WireItem>) -> Result<Item, ServiceError> {
    let item = item.ok_or_else(|| required("item"))?.into_item()?;
    if size_of_item(&item) > ITEM_BYTES_MAX {
        return Err(invalid("Item size has exceeded the maximum allowed size"));
    }
    Ok(item)
}

/// Puts an item.
pub(super) struct PutItem(Answering);
/// Changes an item, or makes it.
pub(super) struct UpdateItem(Answering);
/// Deletes an item.
pub(super) struct DeleteItem(Answering);

/// A write, and what its answer tells.
struct Answering {
    write: Write,
    returns: ReturnValues,
    consumed: ReturnConsumed,
}

impl PutItem {
    pub fn new(request: WriteRequest) -> Result<PutItem, ServiceError> {
        unless_updated(request.return_values)?;
        Answering::new(request, |request, _| Ok(Change::Put(item_to_put(request.item.take())?))).map(PutItem)
    }
}

impl UpdateItem {
    pub fn new(request: WriteRequest) -> Result<UpdateItem, ServiceError> {
        Answering::new(request, |request, placeholders| {
            let key = required_key(request.key.take())?;
            Ok(Change::Update { key, update: update(request, placeholders)? })
        })
        .map(UpdateItem)
    }
}

impl DeleteItem {
    pub fn new(request: WriteRequest) -> Result<DeleteItem, ServiceError> {
        unless_updated(request.return_values)?;
        Answering::new(request, |request, _| Ok(Change::Delete { key: required_key(request.key.take())? }))
            .map(DeleteItem)
    }
}

/// Only an update can tell what it updated.
fn unless_updated(returns: ReturnValues) -> Result<(), ServiceError> {
    match returns {
        ReturnValues::None | ReturnValues::AllOld => Ok(()),
        _ => Err(invalid("Return values set to invalid value")),
    }
}

/// The update of a request, by an expression or as it was said before there were any; none changes nothing.
fn update(request: &mut WriteRequest, placeholders: &mut Placeholders) -> Result<Update, ServiceError> {
    match (request.update_expression.as_deref(), request.attribute_updates.take()) {
        (Some(expression), _) => Update::parse(expression, placeholders),
        (None, Some(updates)) => legacy::updates(updates),
        (None, None) => Ok(Update::default()),
    }
}

/// A request says all in expressions, or nothing.
fn check_mixture(request: &WriteRequest) -> Result<(), ServiceError> {
    let named = |parameters: &[(&'static str, bool)]| -> Vec<&'static str> {
        parameters.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect()
    };
    let legacy = named(&[
        ("AttributeUpdates", request.attribute_updates.is_some()),
        ("Expected", request.expected.is_some()),
        ("ConditionalOperator", request.conditional_operator.is_some()),
    ]);
    let expressions = named(&[
        ("UpdateExpression", request.update_expression.is_some()),
        ("ConditionExpression", request.condition_expression.is_some()),
    ]);
    if legacy.is_empty() || expressions.is_empty() {
        return Ok(());
    }
    let (legacy, expressions) = (legacy.join(", "), expressions.join(", "));
    Err(invalid(format!(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
         {{{legacy}}} Expression parameters: {{{expressions}}}"
    )))
}

impl Write {
    /// The write that a request says; `change` reads what is written.
    pub fn new(
        mut request: WriteRequest,
        change: impl FnOnce(&mut WriteRequest, &mut Placeholders) -> Result<Change, ServiceError>,
    ) -> Result<Write, ServiceError> {
        let table = table_name(request.table_name.take())?;
        check_mixture(&request)?;
        let has_expressions = request.condition_expression.is_some() || request.update_expression.is_some();
        let names = request.expression_attribute_names.take();
        let mut placeholders = placeholders(names, request.expression_attribute_values.take())?;
        let change = change(&mut request, &mut placeholders)?;
        let condition = match &request.condition_expression {
            Some(expression) => Some(Condition::parse(Kind::Condition, expression, &mut placeholders)?),
            None => legacy::expectations(request.expected, request.conditional_operator)?,
        };
        placeholders.finish(has_expressions)?;
        let on_failure = request.return_values_on_condition_check_failure;
        Ok(Write { table, precondition: Precondition { condition, on_failure }, change })
    }
}

impl Answering {
    fn new(
        request: WriteRequest,
        change: impl FnOnce(&mut WriteRequest, &mut Placeholders) -> Result<Change, ServiceError>,
    ) -> Result<Answering, ServiceError> {
        let (returns, consumed) = (request.return_values, request.return_consumed_capacity);
        Ok(Answering { write: Write::new(request, change)?, returns, consumed })
    }

    fn decide(&self, tables: &Tables) -> Decided {
        let Written { old, new, step } = self.write.decide(tables)?;
        let updated = |item: &Item| match &self.write.change {
            Change::Update { update, .. } => {
                let paths = update.paths().cloned().collect();
                Projection::of(paths).map(|projection| projection.apply(item))
            }
            _ => Ok(Item::new()),
        };
        let attributes = match self.returns {
            ReturnValues::None => None,
            ReturnValues::AllOld => old.cloned(),
            ReturnValues::AllNew => new.clone(),
            ReturnValues::UpdatedOld => old.map(updated).transpose()?,
            ReturnValues::UpdatedNew => new.as_ref().map(updated).transpose()?,
        };
        let attributes = attributes.filter(|attributes| !attributes.is_empty());
        let mut answer = attributes.map_or_else(|| json!({}), |attributes| json!({ "Attributes": attributes }));
        self.consumed.tell(&mut answer, &self.write.table, write_units(old, new.as_ref()));
        Ok(Decision::write(step.into_iter().collect(), answer))
    }
}

impl Operation for PutItem {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        self.0.decide(tables)
    }
}

impl Operation for UpdateItem {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        self.0.decide(tables)
    }
}

impl Operation for DeleteItem {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        self.0.decide(tables)
    }
}
