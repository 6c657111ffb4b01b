//! `CreateTable`, `DescribeTable`, `DeleteTable`, `ListTables`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::name::{check_name, table_name};
use super::settings::{Tag, check_tags};
use super::{Context, Decided, Decision, Operation};
use crate::error::{ErrorName, ServiceError, invalid, invalid_parameter, unsupported};
use crate::key::{KeyAttribute, KeySchema, KeyType};
use crate::step::Step;
use crate::table::{Capacity, Definition, IndexDefinition, IndexProjection, Table, Throughput};
use crate::tables::Tables;

/// The key that the service has for all who name none.
const OWN_KEY: &str = "alias/aws/dynamodb";
/// How long the name of a key may be, in bytes: that of an ARN.
const KEY_NAME_BYTES_MAX: usize = 2_048;
/// The most indexes of a table.
const INDEXES_MAX: usize = 20;
/// The most tables of a store.
const TABLES_MAX: usize = 2_500;
/// How many names a page of `ListTables` has at most.
const LISTED_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateRequest {
    table_name: Option<String>,
    #[serde(default)]
    attribute_definitions: Vec<AttributeDefinition>,
    #[serde(default)]
    key_schema: Vec<KeySchemaElement>,
    global_secondary_indexes: Option<Vec<IndexRequest>>,
    billing_mode: Option<BillingMode>,
    provisioned_throughput: Option<ThroughputRequest>,
    deletion_protection_enabled: Option<bool>,
    table_class: Option<String>,
    tags: Option<Vec<Tag>>,
    local_secondary_indexes: Option<IgnoredAny>,
    stream_specification: Option<Switch>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<EncryptionRequest>,
    on_demand_throughput: Option<IgnoredAny>,
    warm_throughput: Option<IgnoredAny>,
    resource_policy: Option<IgnoredAny>,
}

/// A setting that Millrace knows switched off alone.
#[derive(Debug, Deserialize)]
pub(super) struct Switch {
    #[serde(rename = "StreamEnabled", default)]
    is_on: bool,
}

/// With which key a table is to be said to be encrypted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EncryptionRequest {
    #[serde(default)]
    enabled: bool,
    #[serde(rename = "SSEType")]
    encryption_type: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    key: Option<String>,
}

impl EncryptionRequest {
    /// The key that is told: the one that is named, or the service's own; none where encryption is not switched on.
    pub fn key(&self) -> Result<Option<String>, ServiceError> {
        let EncryptionRequest { enabled, encryption_type, key } = self;
        if !enabled {
            return match key {
                None => Ok(None),
                Some(_) => Err(invalid_parameter("KMSMasterKeyId is specified, but SSESpecification is not enabled")),
            };
        }
        match (encryption_type.as_deref(), key) {
            (Some(other), _) if other != "KMS" => Err(unsupported("SSESpecification.SSEType other than KMS")),
            (_, Some(key)) if key.is_empty() || key.len() > KEY_NAME_BYTES_MAX => {
                Err(invalid_parameter(format_args!("KMSMasterKeyId must have 1 to {KEY_NAME_BYTES_MAX} characters")))
            }
            (_, key) => Ok(Some(key.clone().unwrap_or_else(|| OWN_KEY.to_owned()))),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeDefinition {
    attribute_name: String,
    attribute_type: KeyType,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeySchemaElement {
    attribute_name: String,
    key_type: KeyRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyRole {
    Hash,
    Range,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IndexRequest {
    pub index_name: String,
    key_schema: Vec<KeySchemaElement>,
    projection: Option<ProjectionRequest>,
    provisioned_throughput: Option<ThroughputRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProjectionRequest {
    projection_type: Option<ProjectionType>,
    non_key_attributes: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ProjectionType {
    All,
    KeysOnly,
    Include,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum BillingMode {
    Provisioned,
    PayPerRequest,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ThroughputRequest {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

impl ThroughputRequest {
    pub fn check(self) -> Result<Throughput, ServiceError> {
        let ThroughputRequest { read_capacity_units: reads, write_capacity_units: writes } = self;
        if reads == 0 || writes == 0 {
            return Err(invalid_parameter("ReadCapacityUnits and WriteCapacityUnits must be greater than 0"));
        }
        Ok(Throughput { reads, writes })
    }
}

impl Switch {
    /// Refuses a setting that is on.
    pub fn refuse(given: Option<Switch>, parameter: &str) -> Result<(), ServiceError> {
        if given.is_some_and(|switch| switch.is_on) { Err(unsupported(parameter)) } else { Ok(()) }
    }
}

/// Refuses parameters that Millrace does not have.
pub(super) fn refuse<const N: usize>(given: [(&str, &Option<IgnoredAny>); N]) -> Result<(), ServiceError> {
    match given.iter().find(|(_, given)| given.is_some()) {
        Some((parameter, _)) => Err(unsupported(parameter)),
        None => Ok(()),
    }
}

/// The types of the attributes that keys are made of, by name.
pub(super) type KeyTypes = BTreeMap<String, KeyType>;

pub(super) fn key_types(definitions: Vec<AttributeDefinition>) -> KeyTypes {
    definitions.into_iter().map(|definition| (definition.attribute_name, definition.attribute_type)).collect()
}

/// A key of one attribute or two.
fn key_schema(elements: &[KeySchemaElement], types: &KeyTypes) -> Result<KeySchema, ServiceError> {
    let attribute = |element: &KeySchemaElement| {
        let name = element.attribute_name.clone();
        let key_type = *types.get(&name).ok_or_else(|| {
            let names: Vec<&str> = elements.iter().map(|element| element.attribute_name.as_str()).collect();
            let defined: Vec<&str> = types.keys().map(String::as_str).collect();
            invalid_parameter(format_args!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: \
                 [{}]",
                names.join(", "),
                defined.join(", ")
            ))
        })?;
        if name.is_empty() || name.len() > 255 {
            return Err(invalid_parameter("the name of a key attribute must be between 1 and 255 characters long"));
        }
        Ok(KeyAttribute { name, key_type })
    };
    match elements {
        [hash] if hash.key_type == KeyRole::Hash => Ok(KeySchema { hash: attribute(hash)?, range: None }),
        [hash, range] if (hash.key_type, range.key_type) == (KeyRole::Hash, KeyRole::Range) => {
            if hash.attribute_name == range.attribute_name {
                return Err(invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
            }
            Ok(KeySchema { hash: attribute(hash)?, range: Some(attribute(range)?) })
        }
        _ => Err(invalid("Invalid KeySchema: expected one HASH element, and at most one RANGE element behind it")),
    }
}

impl IndexRequest {
    /// The index, in a table of these types of attributes.
    pub fn definition(&self, types: &KeyTypes, is_provisioned: bool) -> Result<IndexDefinition, ServiceError> {
        check_name(&self.index_name, "IndexName")?;
        let schema = key_schema(&self.key_schema, types)?;
        let missing = || invalid_parameter("Unknown ProjectionType: null");
        let asked = self.projection.as_ref().ok_or_else(missing)?;
        let projection = match (asked.projection_type.ok_or_else(missing)?, &asked.non_key_attributes) {
            (ProjectionType::All, None) => IndexProjection::All,
            (ProjectionType::KeysOnly, None) => IndexProjection::KeysOnly,
            (ProjectionType::Include, Some(names)) if (1..=20).contains(&names.len()) => {
                IndexProjection::Include(names.clone())
            }
            (ProjectionType::Include, _) => {
                return Err(invalid_parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"));
            }
            (kind, Some(_)) => {
                return Err(invalid_parameter(format_args!(
                    "ProjectionType is {kind:?}, but NonKeyAttributes is specified"
                )));
            }
        };
        let throughput = self.provisioned_throughput.map(ThroughputRequest::check).transpose()?;
        if throughput.is_some() != is_provisioned {
            return Err(capacity_contradicts(is_provisioned, &format!("index: {}", self.index_name)));
        }
        Ok(IndexDefinition { schema, projection, throughput })
    }
}

/// What is said of the capacity does not go with the billing mode.
fn capacity_contradicts(is_provisioned: bool, of: &str) -> ServiceError {
    let (mode, rule) =
        if is_provisioned { ("PROVISIONED", "must be specified") } else { ("PAY_PER_REQUEST", "cannot be specified") };
    invalid_parameter(format_args!(
        "ReadCapacityUnits and WriteCapacityUnits {rule} when BillingMode is {mode} for {of}"
    ))
}

/// The capacity that a table gets by what a request says of it.
pub(super) fn capacity(mode: BillingMode, throughput: Option<ThroughputRequest>) -> Result<Capacity, ServiceError> {
    match (mode, throughput) {
        (BillingMode::PayPerRequest, None) => Ok(Capacity::OnDemand),
        (BillingMode::Provisioned, Some(throughput)) => throughput.check().map(Capacity::Provisioned),
        (mode, _) => Err(capacity_contradicts(mode == BillingMode::Provisioned, "the table")),
    }
}

/// All attributes that are defined belong to a key, and there are not too many indexes.
pub(super) fn check_definition(definition: &Definition, types: &KeyTypes) -> Result<(), ServiceError> {
    let used = definition.attributes();
    if types.keys().any(|name| !used.contains_key(name.as_str())) {
        return Err(invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
             AttributeDefinitions",
        ));
    }
    if definition.indexes.len() > INDEXES_MAX {
        return Err(ServiceError::new(
            ErrorName::LimitExceeded,
            format!("Subscriber limit exceeded: a table has at most {INDEXES_MAX} global secondary indexes"),
        ));
    }
    Ok(())
}

/// Makes a table.
pub(super) struct CreateTable(Definition);

impl CreateTable {
    pub fn new(request: CreateRequest) -> Result<CreateTable, ServiceError> {
        refuse([
            ("LocalSecondaryIndexes", &request.local_secondary_indexes),
            ("OnDemandThroughput", &request.on_demand_throughput),
            ("WarmThroughput", &request.warm_throughput),
            ("ResourcePolicy", &request.resource_policy),
        ])?;
        Switch::refuse(request.stream_specification, "StreamSpecification")?;
        let encryption = request.sse_specification.as_ref().map(EncryptionRequest::key).transpose()?.flatten();
        let name = table_name(request.table_name)?;
        let types = key_types(request.attribute_definitions);
        let mode = request.billing_mode.unwrap_or(BillingMode::Provisioned);
        let mut indexes = BTreeMap::new();
        for index in request.global_secondary_indexes.unwrap_or_default() {
            let definition = index.definition(&types, mode == BillingMode::Provisioned)?;
            if indexes.insert(index.index_name.clone(), definition).is_some() {
                return Err(invalid_parameter(format_args!("Duplicate index name: {}", index.index_name)));
            }
        }
        let definition = Definition {
            name,
            id: String::new(),
            created_ms: 0,
            schema: key_schema(&request.key_schema, &types)?,
            indexes,
            capacity: capacity(mode, request.provisioned_throughput)?,
            is_protected: request.deletion_protection_enabled.unwrap_or_default(),
            class: request.table_class,
            encryption_key: encryption,
            expires_by: None,
            recoverable_since_ms: None,
            tags: check_tags(request.tags.unwrap_or_default())?,
        };
        check_definition(&definition, &types)?;
        Ok(CreateTable(definition))
    }
}

impl Operation for CreateTable {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        if tables.has(&self.0.name) {
            let message = format!("Table already exists: {}", self.0.name);
            return Err(ServiceError::new(ErrorName::ResourceInUse, message));
        }
        if tables.iter().count() >= TABLES_MAX {
            let message = format!("Subscriber limit exceeded: an account has at most {TABLES_MAX} tables");
            return Err(ServiceError::new(ErrorName::LimitExceeded, message));
        }
        let definition = Definition { id: uuid(context.random), created_ms: context.now_ms, ..self.0.clone() };
        let answer = told("TableDescription", &Table::new(definition.clone()), context, "ACTIVE");
        Ok(Decision::write(vec![Step::Table(Box::new(definition))], answer))
    }
}

/// The description of a table under the name by which an operation gives it.
pub(super) fn told(member: &str, table: &Table, context: &Context, status: &str) -> Value {
    json!({ member: table.describe(&context.region, &context.account, status) })
}

fn uuid(random: u128) -> String {
    // Version 4, variant 1.
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableRequest {
    table_name: Option<String>,
}

/// Tells of a table.
pub(super) struct DescribeTable(String);
/// Deletes a table with its items.
pub(super) struct DeleteTable(String);

impl DescribeTable {
    pub fn new(request: TableRequest) -> Result<DescribeTable, ServiceError> {
        table_name(request.table_name).map(DescribeTable)
    }
}

impl DeleteTable {
    pub fn new(request: TableRequest) -> Result<DeleteTable, ServiceError> {
        table_name(request.table_name).map(DeleteTable)
    }
}

/// The table of this name, for operations that name it in their error.
pub(super) fn table_named<'t>(tables: &'t Tables, name: &str) -> Result<&'t Table, ServiceError> {
    tables.get(name).map_err(|_| {
        ServiceError::new(ErrorName::ResourceNotFound, format!("Requested resource not found: Table: {name} not found"))
    })
}

impl Operation for DescribeTable {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        Ok(Decision::read(told("Table", table_named(tables, &self.0)?, context, "ACTIVE")))
    }
}

impl Operation for DeleteTable {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        let table = table_named(tables, &self.0)?;
        if table.definition.is_protected {
            return Err(invalid(format!(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection \
                 first: table {}",
                self.0
            )));
        }
        let answer = told("TableDescription", table, context, "DELETING");
        Ok(Decision::write(vec![Step::Drop { table: self.0.clone() }], answer))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRequest {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

/// Lists the names of tables.
pub(super) struct ListTables {
    behind: Option<String>,
    limit: usize,
}

impl ListTables {
    pub fn new(request: ListRequest) -> Result<ListTables, ServiceError> {
        let limit = match request.limit.map(usize::try_from) {
            None => LISTED_MAX,
            Some(Ok(limit @ 1..=LISTED_MAX)) => limit,
            Some(_) => {
                let given = request.limit.unwrap_or_default();
                return Err(invalid(format!(
                    "1 validation error detected: Value '{given}' at 'limit' failed to satisfy constraint: Member must be \
                     from 1 to {LISTED_MAX}"
                )));
            }
        };
        Ok(ListTables { behind: request.exclusive_start_table_name, limit })
    }
}

impl Operation for ListTables {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let names = tables.iter().map(|table| table.definition.name.as_str());
        let mut rest = names.filter(|name| self.behind.as_deref().is_none_or(|behind| *name > behind)).peekable();
        let listed: Vec<&str> = rest.by_ref().take(self.limit).collect();
        let mut answer = json!({ "TableNames": listed });
        if let (Some(last), true) = (listed.last(), rest.peek().is_some()) {
            answer["LastEvaluatedTableName"] = (*last).into();
        }
        Ok(Decision::read(answer))
    }
}
