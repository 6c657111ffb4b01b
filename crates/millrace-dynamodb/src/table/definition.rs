//! What a table is, apart from its items: its keys, its indexes, and settings that are kept and told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Table;
use crate::key::{KeyAttribute, KeySchema, KeyType};

/// A table without its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// A UUID; a table that is made again has another one.
    pub id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its primary key.
    pub schema: KeySchema,
    /// Its global secondary indexes, by name.
    #[serde(default)]
    pub indexes: BTreeMap<String, IndexDefinition>,
    /// What is told of its capacity.
    pub capacity: Capacity,
    /// Whether it is kept from being deleted.
    #[serde(default)]
    pub is_protected: bool,
    /// The class of storage that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The key with which it is said to be encrypted, if it is; nothing is encrypted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// The attribute that says when an item expires; nothing expires by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_by: Option<String>,
    /// Since when it can be recovered to a point in time, as it is told; in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoverable_since_ms: Option<u64>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexDefinition {
    /// Its key.
    pub schema: KeySchema,
    /// Which attributes it gives.
    pub projection: IndexProjection,
    /// What is told of its capacity, where the table's is provisioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
}

/// Which attributes an index gives, beyond its keys and those of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexProjection {
    /// All.
    All,
    /// None.
    KeysOnly,
    /// These.
    Include(Vec<String>),
}

/// How capacity is paid for. It is told, and nobody is held to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Capacity {
    /// By request.
    OnDemand,
    /// By so much a second.
    Provisioned(Throughput),
}

/// Capacity units a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    /// For reads.
    pub reads: u64,
    /// For writes.
    pub writes: u64,
}

impl Definition {
    /// The attributes that keys are made of, with their types.
    #[must_use]
    pub fn attributes(&self) -> BTreeMap<&str, KeyType> {
        let schemas = std::iter::once(&self.schema).chain(self.indexes.values().map(|index| &index.schema));
        schemas.flat_map(KeySchema::attributes).map(|attribute| (attribute.name.as_str(), attribute.key_type)).collect()
    }

    /// The table's ARN.
    #[must_use]
    pub fn arn(&self, region: &str, account: &str) -> String {
        format!("arn:aws:dynamodb:{region}:{account}:table/{}", self.name)
    }
}

impl IndexDefinition {
    /// The attributes that the index gives of an item of the table; `None` for all.
    #[must_use]
    pub fn attributes<'d>(&'d self, table: &'d KeySchema) -> Option<Vec<&'d str>> {
        let included: &[String] = match &self.projection {
            IndexProjection::All => return None,
            IndexProjection::KeysOnly => &[],
            IndexProjection::Include(names) => names,
        };
        let keys = table.attributes().chain(self.schema.attributes()).map(|attribute| attribute.name.as_str());
        Some(keys.chain(included.iter().map(String::as_str)).collect())
    }
}

impl Table {
    /// The table as `DescribeTable` tells it. What a deletion answers says that it is being deleted.
    #[must_use]
    pub fn describe(&self, region: &str, account: &str, status: &str) -> Value {
        let definition = &self.definition;
        let arn = definition.arn(region, account);
        let attributes: Vec<Value> = definition
            .attributes()
            .into_iter()
            .map(|(name, key_type)| json!({ "AttributeName": name, "AttributeType": key_type }))
            .collect();
        let (mode, throughput) = match definition.capacity {
            Capacity::OnDemand => ("PAY_PER_REQUEST", Throughput::default()),
            Capacity::Provisioned(throughput) => ("PROVISIONED", throughput),
        };
        let mut described = json!({
            "AttributeDefinitions": attributes,
            "TableName": definition.name,
            "KeySchema": key_schema(&definition.schema),
            "TableStatus": status,
            "CreationDateTime": seconds(definition.created_ms),
            "ProvisionedThroughput": throughput_json(throughput),
            "TableSizeBytes": self.bytes(),
            "ItemCount": self.len(),
            "TableArn": arn,
            "TableId": definition.id,
            "DeletionProtectionEnabled": definition.is_protected,
        });
        if mode == "PAY_PER_REQUEST" {
            let since = seconds(definition.created_ms);
            described["BillingModeSummary"] =
                json!({ "BillingMode": mode, "LastUpdateToPayPerRequestDateTime": since });
        }
        if let Some(class) = &definition.class {
            described["TableClassSummary"] = json!({ "TableClass": class });
        }
        if let Some(key) = &definition.encryption_key {
            let key_arn = match key.starts_with("arn:") {
                true => key.clone(),
                false if key.starts_with("alias/") => format!("arn:aws:kms:{region}:{account}:{key}"),
                false => format!("arn:aws:kms:{region}:{account}:key/{key}"),
            };
            described["SSEDescription"] = json!({ "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key_arn });
        }
        if !definition.indexes.is_empty() {
            let indexes = definition.indexes.iter();
            described["GlobalSecondaryIndexes"] =
                indexes.map(|(name, index)| self.describe_index(name, index, &arn)).collect();
        }
        described
    }

    fn describe_index(&self, name: &str, index: &IndexDefinition, table: &str) -> Value {
        let projection = match &index.projection {
            IndexProjection::All => json!({ "ProjectionType": "ALL" }),
            IndexProjection::KeysOnly => json!({ "ProjectionType": "KEYS_ONLY" }),
            IndexProjection::Include(names) => json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": names }),
        };
        json!({
            "IndexName": name,
            "KeySchema": key_schema(&index.schema),
            "Projection": projection,
            "IndexStatus": "ACTIVE",
            "ProvisionedThroughput": throughput_json(index.throughput.unwrap_or_default()),
            "IndexSizeBytes": self.index_bytes(name),
            "ItemCount": self.index_len(name),
            "IndexArn": format!("{table}/index/{name}"),
        })
    }
}

fn key_schema(schema: &KeySchema) -> Value {
    let element = |attribute: &KeyAttribute, role: &str| json!({ "AttributeName": attribute.name, "KeyType": role });
    let range = schema.range.as_ref().map(|attribute| element(attribute, "RANGE"));
    std::iter::once(element(&schema.hash, "HASH")).chain(range).collect()
}

fn throughput_json(throughput: Throughput) -> Value {
    json!({
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": throughput.reads,
        "WriteCapacityUnits": throughput.writes,
    })
}

/// A time as the service writes it: seconds since 1970, with three decimals.
pub(crate) fn seconds(ms: u64) -> Value {
    // Whole milliseconds of this century are exact in a double.
    let ms = u32::try_from(ms / 1_000).map_or(0.0, f64::from) + f64::from(u16::try_from(ms % 1_000).unwrap_or(0)) / 1e3;
    json!(ms)
}
