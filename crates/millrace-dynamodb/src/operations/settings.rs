//! Settings of tables that are kept and told: tags, time to live, backups; and limits of an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::item::required;
use super::name::{table_name, table_of_arn};
use super::table::table_named;
use super::{Context, Decided, Decision, Operation};
use crate::error::{ErrorName, ServiceError, invalid, invalid_parameter};
use crate::step::Step;
use crate::table::{Definition, Table, seconds};
use crate::tables::Tables;

/// The most tags of a table.
const TAGS_MAX: usize = 50;
/// How many tags a page of `ListTagsOfResource` has at most.
const LISTED_MAX: usize = 10;

/// A tag.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

/// Tags by their keys, of which each is given once.
pub(super) fn check_tags(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut checked = BTreeMap::new();
    for Tag { key, value } in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid_parameter("a tag has a key of 1 to 128 characters and a value of up to 256"));
        }
        if checked.insert(key.clone(), value).is_some() {
            return Err(invalid(format!("Tag keys are not unique: {key}")));
        }
    }
    check_count(&checked)?;
    Ok(checked)
}

fn check_count(tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    if tags.len() <= TAGS_MAX {
        return Ok(());
    }
    Err(invalid(format!("One or more parameter values were invalid: Too many tags: a resource has at most {TAGS_MAX}")))
}

/// The step that gives a table another definition.
fn redefined(table: &Table, change: impl FnOnce(&mut Definition)) -> Vec<Step> {
    let mut definition = table.definition.clone();
    change(&mut definition);
    vec![Step::Table(Box::new(definition))]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagRequest {
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
}

/// Adds tags to a table.
pub(super) struct TagResource {
    table: String,
    tags: BTreeMap<String, String>,
}

impl TagResource {
    pub fn new(request: TagRequest) -> Result<TagResource, ServiceError> {
        let tags = check_tags(request.tags.ok_or_else(|| required("tags"))?)?;
        if tags.is_empty() {
            return Err(invalid("Atleast one Tag needs to be provided as Input."));
        }
        Ok(TagResource { table: table_of_arn(request.resource_arn)?, tags })
    }
}

impl Operation for TagResource {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let table = table_named(tables, &self.table)?;
        let mut tags = table.definition.tags.clone();
        tags.extend(self.tags.clone());
        check_count(&tags)?;
        Ok(Decision::write(redefined(table, |definition| definition.tags = tags), json!({})))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagRequest {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

/// Takes tags from a table.
pub(super) struct UntagResource {
    table: String,
    keys: Vec<String>,
}

impl UntagResource {
    pub fn new(request: UntagRequest) -> Result<UntagResource, ServiceError> {
        let keys = request.tag_keys.ok_or_else(|| required("tagKeys"))?;
        Ok(UntagResource { table: table_of_arn(request.resource_arn)?, keys })
    }
}

impl Operation for UntagResource {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let table = table_named(tables, &self.table)?;
        let steps = redefined(table, |definition| definition.tags.retain(|key, _| !self.keys.contains(key)));
        Ok(Decision::write(steps, json!({})))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTagsRequest {
    resource_arn: Option<String>,
    next_token: Option<String>,
}

/// Lists the tags of a table.
pub(super) struct ListTags {
    table: String,
    behind: Option<String>,
}

impl ListTags {
    pub fn new(request: ListTagsRequest) -> Result<ListTags, ServiceError> {
        Ok(ListTags { table: table_of_arn(request.resource_arn)?, behind: request.next_token })
    }
}

impl Operation for ListTags {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let tags = &table_named(tables, &self.table)?.definition.tags;
        let mut rest =
            tags.iter().filter(|(key, _)| self.behind.as_ref().is_none_or(|behind| *key > behind)).peekable();
        let listed: Vec<_> = rest.by_ref().take(LISTED_MAX).collect();
        let tags: Vec<Value> = listed.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let mut answer = json!({ "Tags": tags });
        if let (Some((last, _)), true) = (listed.last(), rest.peek().is_some()) {
            answer["NextToken"] = last.as_str().into();
        }
        Ok(Decision::read(answer))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimeToLiveRequest {
    table_name: Option<String>,
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

/// Tells by which attribute items would expire.
pub(super) struct DescribeTimeToLive(String);
/// Keeps by which attribute items would expire.
pub(super) struct UpdateTimeToLive {
    table: String,
    setting: TimeToLive,
}

impl DescribeTimeToLive {
    pub fn new(request: TimeToLiveRequest) -> Result<DescribeTimeToLive, ServiceError> {
        table_name(request.table_name).map(DescribeTimeToLive)
    }
}

impl UpdateTimeToLive {
    pub fn new(request: TimeToLiveRequest) -> Result<UpdateTimeToLive, ServiceError> {
        let setting = request.time_to_live_specification.ok_or_else(|| required("timeToLiveSpecification"))?;
        if !(1..=255).contains(&setting.attribute_name.len()) {
            return Err(invalid("TimeToLive AttributeName must be between 1 and 255 characters long"));
        }
        Ok(UpdateTimeToLive { table: table_name(request.table_name)?, setting })
    }
}

impl Operation for DescribeTimeToLive {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let description = match &table_named(tables, &self.0)?.definition.expires_by {
            Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
            None => json!({ "TimeToLiveStatus": "DISABLED" }),
        };
        Ok(Decision::read(json!({ "TimeToLiveDescription": description })))
    }
}

impl Operation for UpdateTimeToLive {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let table = table_named(tables, &self.table)?;
        let TimeToLive { attribute_name, enabled } = &self.setting;
        match (&table.definition.expires_by, enabled) {
            (Some(_), true) => return Err(invalid("TimeToLive is already enabled")),
            (None, false) => return Err(invalid("TimeToLive is already disabled")),
            (Some(attribute), false) if attribute != attribute_name => {
                return Err(invalid(format!("TimeToLive is active on a different AttributeName: {attribute}")));
            }
            _ => {}
        }
        let steps = redefined(table, |definition| definition.expires_by = enabled.then(|| attribute_name.clone()));
        let setting = json!({ "AttributeName": attribute_name, "Enabled": enabled });
        Ok(Decision::write(steps, json!({ "TimeToLiveSpecification": setting })))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BackupsRequest {
    table_name: Option<String>,
    point_in_time_recovery_specification: Option<PointInTime>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PointInTime {
    point_in_time_recovery_enabled: bool,
}

/// Tells whether a table is said to be backed up all the time.
pub(super) struct DescribeBackups(String);
/// Keeps whether a table is said to be backed up all the time.
pub(super) struct UpdateBackups {
    table: String,
    is_enabled: bool,
}

impl DescribeBackups {
    pub fn new(request: BackupsRequest) -> Result<DescribeBackups, ServiceError> {
        table_name(request.table_name).map(DescribeBackups)
    }
}

impl UpdateBackups {
    pub fn new(request: BackupsRequest) -> Result<UpdateBackups, ServiceError> {
        let setting = request.point_in_time_recovery_specification;
        let setting = setting.ok_or_else(|| required("pointInTimeRecoverySpecification"))?;
        let is_enabled = setting.point_in_time_recovery_enabled;
        Ok(UpdateBackups { table: table_name(request.table_name)?, is_enabled })
    }
}

/// The table of this name, as operations of backups miss it.
fn backed_up<'t>(tables: &'t Tables, name: &str) -> Result<&'t Table, ServiceError> {
    tables.get(name).map_err(|_| ServiceError::new(ErrorName::TableNotFound, format!("Table not found: {name}")))
}

fn backups(since_ms: Option<u64>, now_ms: u64) -> Value {
    let recovery = match since_ms {
        Some(since_ms) => json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": 35,
            "EarliestRestorableDateTime": seconds(since_ms),
            "LatestRestorableDateTime": seconds(now_ms),
        }),
        None => json!({ "PointInTimeRecoveryStatus": "DISABLED" }),
    };
    json!({
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        }
    })
}

impl Operation for DescribeBackups {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        let since_ms = backed_up(tables, &self.0)?.definition.recoverable_since_ms;
        Ok(Decision::read(backups(since_ms, context.now_ms)))
    }
}

impl Operation for UpdateBackups {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        let table = backed_up(tables, &self.table)?;
        let before_ms = table.definition.recoverable_since_ms;
        let since_ms = self.is_enabled.then(|| before_ms.unwrap_or(context.now_ms));
        let steps = redefined(table, |definition| definition.recoverable_since_ms = since_ms);
        Ok(Decision::write(steps, backups(since_ms, context.now_ms)))
    }
}

/// A request that says nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

/// Tells the limits of an account, of which none holds.
pub(super) struct DescribeLimits;

impl DescribeLimits {
    pub fn new(_request: Nothing) -> Result<DescribeLimits, ServiceError> {
        Ok(DescribeLimits)
    }
}

impl Operation for DescribeLimits {
    fn decide(&self, _tables: &Tables, _context: &Context) -> Decided {
        Ok(Decision::read(json!({
            "AccountMaxReadCapacityUnits": 80_000,
            "AccountMaxWriteCapacityUnits": 80_000,
            "TableMaxReadCapacityUnits": 40_000,
            "TableMaxWriteCapacityUnits": 40_000,
        })))
    }
}
