//! `UpdateTable`: indexes that come and go, and settings that are kept and told. All is done at once.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::name::table_name;
use super::table::{
    AttributeDefinition, BillingMode, EncryptionRequest, IndexRequest, KeyTypes, Switch, ThroughputRequest, capacity,
    check_definition, key_types, refuse, table_named, told,
};
use super::{Context, Decided, Decision, Operation};
use crate::error::{ErrorName, ServiceError, invalid, invalid_parameter};
use crate::step::Step;
use crate::table::{Capacity, Definition, Throughput};
use crate::tables::Tables;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateRequest {
    table_name: Option<String>,
    #[serde(default)]
    attribute_definitions: Vec<AttributeDefinition>,
    billing_mode: Option<BillingMode>,
    provisioned_throughput: Option<ThroughputRequest>,
    global_secondary_index_updates: Option<Vec<IndexUpdate>>,
    deletion_protection_enabled: Option<bool>,
    table_class: Option<String>,
    stream_specification: Option<Switch>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<EncryptionRequest>,
    replica_updates: Option<IgnoredAny>,
    on_demand_throughput: Option<IgnoredAny>,
    warm_throughput: Option<IgnoredAny>,
    multi_region_consistency: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexUpdate {
    create: Option<IndexRequest>,
    update: Option<IndexThroughput>,
    delete: Option<IndexName>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexThroughput {
    index_name: String,
    provisioned_throughput: ThroughputRequest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexName {
    index_name: String,
}

/// Changes a table.
pub(super) struct UpdateTable {
    table: String,
    types: KeyTypes,
    mode: Option<BillingMode>,
    throughput: Option<ThroughputRequest>,
    indexes: Vec<IndexChange>,
    is_protected: Option<bool>,
    class: Option<String>,
    /// The key that is told from now on, or none.
    encryption: Option<Option<String>>,
}

/// What becomes of an index.
enum IndexChange {
    Create(IndexRequest),
    Update(String, Throughput),
    Delete(String),
}

impl IndexUpdate {
    fn into_change(self) -> Result<IndexChange, ServiceError> {
        match (self.create, self.update, self.delete) {
            (Some(index), None, None) => Ok(IndexChange::Create(index)),
            (None, Some(index), None) => {
                Ok(IndexChange::Update(index.index_name, index.provisioned_throughput.check()?))
            }
            (None, None, Some(index)) => Ok(IndexChange::Delete(index.index_name)),
            _ => Err(invalid_parameter(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null, and only one",
            )),
        }
    }
}

impl UpdateTable {
    pub fn new(request: UpdateRequest) -> Result<UpdateTable, ServiceError> {
        refuse([
            ("ReplicaUpdates", &request.replica_updates),
            ("OnDemandThroughput", &request.on_demand_throughput),
            ("WarmThroughput", &request.warm_throughput),
            ("MultiRegionConsistency", &request.multi_region_consistency),
        ])?;
        Switch::refuse(request.stream_specification, "StreamSpecification")?;
        let updates = request.global_secondary_index_updates.unwrap_or_default();
        let update = UpdateTable {
            table: table_name(request.table_name)?,
            types: key_types(request.attribute_definitions),
            mode: request.billing_mode,
            throughput: request.provisioned_throughput,
            indexes: updates.into_iter().map(IndexUpdate::into_change).collect::<Result<_, _>>()?,
            is_protected: request.deletion_protection_enabled,
            class: request.table_class,
            encryption: request.sse_specification.as_ref().map(EncryptionRequest::key).transpose()?,
        };
        let changes_nothing = update.mode.is_none()
            && update.throughput.is_none()
            && update.indexes.is_empty()
            && update.is_protected.is_none()
            && update.class.is_none()
            && update.encryption.is_none();
        if changes_nothing {
            return Err(invalid(
                "At least one of ProvisionedThroughput, BillingMode, GlobalSecondaryIndexUpdates, \
                 DeletionProtectionEnabled, TableClass or SSESpecification is required",
            ));
        }
        Ok(update)
    }

    fn updated(&self, mut definition: Definition) -> Result<Definition, ServiceError> {
        if self.mode.is_some() || self.throughput.is_some() {
            let present = match definition.capacity {
                Capacity::OnDemand => BillingMode::PayPerRequest,
                Capacity::Provisioned(_) => BillingMode::Provisioned,
            };
            definition.capacity = capacity(self.mode.unwrap_or(present), self.throughput)?;
        }
        let is_provisioned = matches!(definition.capacity, Capacity::Provisioned(_));
        // Types of attributes need not be said again.
        let mut types: KeyTypes = self.types.clone();
        types.extend(definition.attributes().into_iter().map(|(name, key_type)| (name.to_owned(), key_type)));
        for change in &self.indexes {
            match change {
                IndexChange::Create(index) if definition.indexes.contains_key(&index.index_name) => {
                    let name = &index.index_name;
                    return Err(invalid_parameter(format_args!("Index already exists: {name}")));
                }
                IndexChange::Create(index) => {
                    definition.indexes.insert(index.index_name.clone(), index.definition(&types, is_provisioned)?);
                }
                IndexChange::Update(name, throughput) => {
                    let index = definition.indexes.get_mut(name).ok_or_else(|| no_index(name))?;
                    index.throughput = Some(*throughput);
                }
                IndexChange::Delete(name) => {
                    definition.indexes.remove(name).ok_or_else(|| no_index(name))?;
                }
            }
        }
        if !is_provisioned {
            definition.indexes.values_mut().for_each(|index| index.throughput = None);
        }
        definition.is_protected = self.is_protected.unwrap_or(definition.is_protected);
        definition.class = self.class.clone().or(definition.class);
        if let Some(key) = &self.encryption {
            definition.encryption_key.clone_from(key);
        }
        check_definition(&definition, &KeyTypes::new())?;
        Ok(definition)
    }
}

fn no_index(name: &str) -> ServiceError {
    ServiceError::new(ErrorName::ResourceNotFound, format!("Requested resource not found: Index: {name} not found"))
}

impl Operation for UpdateTable {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        let table = table_named(tables, &self.table)?;
        let definition = self.updated(table.definition.clone())?;
        let mut after = table.clone();
        after.redefine(definition.clone());
        let answer = told("TableDescription", &after, context, "ACTIVE");
        Ok(Decision::write(vec![Step::Table(Box::new(definition))], answer))
    }
}
