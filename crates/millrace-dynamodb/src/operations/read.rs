//! `Query` and `Scan`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::capacity::ReturnConsumed;
use super::item::projection;
use super::name::{check_name, table_name};
use super::page::{Page, Select};
use super::{Context, Decided, Decision, Names, Operation, placeholders};
use crate::error::{ServiceError, invalid, invalid_parameter};
use crate::expression::key_condition::KeyCondition;
use crate::expression::{Condition, Kind, Placeholders};
use crate::json::WireItem;
use crate::key::KeySchema;
use crate::legacy::{self, AttributeCondition, ConditionalOperator};
use crate::table::{Place, Table};
use crate::tables::Tables;
use crate::value::Item;

/// The most segments that a scan can be divided into.
const SEGMENTS_MAX: u32 = 1_000_000;

/// A read of many items, as it came. Each of the two operations takes some of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReadRequest {
    table_name: Option<String>,
    index_name: Option<String>,
    key_condition_expression: Option<String>,
    key_conditions: Option<BTreeMap<String, AttributeCondition>>,
    filter_expression: Option<String>,
    query_filter: Option<BTreeMap<String, AttributeCondition>>,
    scan_filter: Option<BTreeMap<String, AttributeCondition>>,
    conditional_operator: Option<ConditionalOperator>,
    projection_expression: Option<String>,
    attributes_to_get: Option<Vec<String>>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<WireItem>,
    select: Option<SelectName>,
    limit: Option<i64>,
    exclusive_start_key: Option<WireItem>,
    scan_index_forward: Option<bool>,
    consistent_read: Option<bool>,
    segment: Option<u32>,
    total_segments: Option<u32>,
    return_consumed_capacity: Option<ReturnConsumed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SelectName {
    AllAttributes,
    AllProjectedAttributes,
    SpecificAttributes,
    Count,
}

/// What both operations are.
struct Read {
    table: String,
    page: Page,
    is_consistent: bool,
    consumed: ReturnConsumed,
}

/// Reads items of one partition.
pub(super) struct Query {
    read: Read,
    condition: Condition,
    is_forward: bool,
}

/// Reads all items, or those of a segment.
pub(super) struct Scan {
    read: Read,
    segment: Option<(u32, u32)>,
}

impl Query {
    pub fn new(mut request: ReadRequest) -> Result<Query, ServiceError> {
        let mut placeholders = take_placeholders(&mut request)?;
        let condition = match (request.key_condition_expression.take(), request.key_conditions.take()) {
            (Some(expression), None) => Condition::parse(Kind::KeyCondition, &expression, &mut placeholders)?,
            (None, Some(conditions)) => legacy::conditions(Some(conditions), None)?
                .ok_or_else(|| invalid_parameter("KeyConditions must not be empty"))?,
            (None, None) => {
                return Err(invalid(
                    "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "Can not use both expression and non-expression parameters in the same request: Non-expression \
                     parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}",
                ));
            }
        };
        let is_forward = request.scan_index_forward.unwrap_or(true);
        let filter = request.query_filter.take();
        Ok(Query { read: Read::new(request, filter, placeholders, true)?, condition, is_forward })
    }
}

impl Scan {
    pub fn new(mut request: ReadRequest) -> Result<Scan, ServiceError> {
        let placeholders = take_placeholders(&mut request)?;
        let segment = match (request.segment, request.total_segments) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(invalid(
                    "The TotalSegments parameter is required but was not present in the request when Segment parameter is \
                     present",
                ));
            }
            (None, Some(_)) => {
                return Err(invalid(
                    "The Segment parameter is required but was not present in the request when parameter TotalSegments is \
                     present",
                ));
            }
            (Some(_), Some(total)) if !(1..=SEGMENTS_MAX).contains(&total) => {
                return Err(invalid(format!("TotalSegments must be from 1 to {SEGMENTS_MAX}, got {total}")));
            }
            (Some(segment), Some(total)) if segment >= total => {
                return Err(invalid(format!(
                    "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: \
                     {segment} is not less than TotalSegments: {total}"
                )));
            }
            (Some(segment), Some(total)) => Some((segment, total)),
        };
        let filter = request.scan_filter.take();
        Ok(Scan { read: Read::new(request, filter, placeholders, false)?, segment })
    }
}

fn take_placeholders(request: &mut ReadRequest) -> Result<Placeholders, ServiceError> {
    placeholders(request.expression_attribute_names.take(), request.expression_attribute_values.take())
}

impl Read {
    fn new(
        request: ReadRequest,
        filter: Option<BTreeMap<String, AttributeCondition>>,
        mut placeholders: Placeholders,
        has_key_expression: bool,
    ) -> Result<Read, ServiceError> {
        let table = table_name(request.table_name)?;
        if let Some(index) = &request.index_name {
            check_name(index, "IndexName")?;
        }
        let has_expressions =
            has_key_expression || request.filter_expression.is_some() || request.projection_expression.is_some();
        let filter = match &request.filter_expression {
            Some(expression) => Some(Condition::parse(Kind::Filter, expression, &mut placeholders)?),
            None => legacy::conditions(filter, request.conditional_operator)?,
        };
        let projection =
            projection(request.projection_expression.as_deref(), request.attributes_to_get, &mut placeholders)?;
        placeholders.finish(has_expressions)?;
        let select = match (request.select, &projection) {
            (None | Some(SelectName::AllProjectedAttributes | SelectName::SpecificAttributes), _) => Select::Projected,
            (Some(SelectName::AllAttributes), None) => Select::All,
            (Some(SelectName::Count), None) => Select::Count,
            (Some(SelectName::AllAttributes | SelectName::Count), Some(_)) => {
                return Err(invalid("Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES or COUNT"));
            }
        };
        if request.select == Some(SelectName::SpecificAttributes) && projection.is_none() {
            return Err(invalid(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
            ));
        }
        let limit = match request.limit.map(usize::try_from) {
            None => None,
            Some(Ok(limit @ 1..)) => Some(limit),
            Some(_) => {
                let given = request.limit.unwrap_or_default();
                return Err(invalid(format!(
                    "1 validation error detected: Value '{given}' at 'limit' failed to satisfy constraint: Member must \
                     have value greater than or equal to 1"
                )));
            }
        };
        let start = request.exclusive_start_key.map(WireItem::into_item).transpose()?;
        let page = Page { index: request.index_name, filter, projection, select, limit, start };
        let is_consistent = request.consistent_read.unwrap_or_default();
        if is_consistent && page.index.is_some() {
            return Err(invalid("Consistent reads are not supported on global secondary indexes"));
        }
        let consumed = request.return_consumed_capacity.unwrap_or_default();
        Ok(Read { table, page, is_consistent, consumed })
    }

    /// The answer with the page of these items.
    fn answer<'t>(&self, table: &'t Table, items: impl Iterator<Item = &'t Item>) -> Decided {
        let (mut answer, units) = self.page.make(table, items, self.is_consistent)?;
        self.consumed.tell(&mut answer, &self.table, units);
        Ok(Decision::read(answer))
    }

    /// The key that the order of what is read goes by.
    fn schema<'t>(&self, table: &'t Table) -> Result<&'t KeySchema, ServiceError> {
        Ok(self.page.index_of(table)?.map_or(&table.definition.schema, |index| &index.schema))
    }
}

impl Operation for Query {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let table = tables.get(&self.read.table)?;
        let page = &self.read.page;
        page.check(table)?;
        let condition = KeyCondition::of(self.condition.clone(), self.read.schema(table)?)?;
        let start = page.place(table)?;
        if start.as_ref().is_some_and(|start| start.leading().hash != condition.hash) {
            return Err(invalid("The provided starting key is outside query boundaries based on provided conditions"));
        }
        let index = page.index.as_deref();
        let found: Box<dyn Iterator<Item = (Place, &Item)>> = if self.is_forward {
            table.in_order(index, Some(&condition.hash), start.as_ref())
        } else {
            let partition: Vec<_> = table.in_order(index, Some(&condition.hash), None).collect();
            let is_behind = move |place: &Place| start.as_ref().is_none_or(|start| place < start);
            Box::new(partition.into_iter().rev().filter(move |(place, _)| is_behind(place)))
        };
        let found = found.filter(|(place, _)| condition.holds(place.leading()));
        self.read.answer(table, found.map(|(_, item)| item))
    }
}

impl Operation for Scan {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let table = tables.get(&self.read.table)?;
        let page = &self.read.page;
        page.check(table)?;
        let start = page.place(table)?;
        let is_within = |place: &Place| self.segment.is_none_or(|(segment, total)| segment_of(place, total) == segment);
        let all = table.in_order(page.index.as_deref(), None, start.as_ref());
        let found = all.filter(|(place, _)| is_within(place));
        self.read.answer(table, found.map(|(_, item)| item))
    }
}

/// The segment that an item is in, of so many: the same as long as its partition key is.
fn segment_of(place: &Place, total: u32) -> u32 {
    let hash = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &place.leading().hash.bytes());
    u32::try_from(hash % u64::from(total)).unwrap_or_default()
}
