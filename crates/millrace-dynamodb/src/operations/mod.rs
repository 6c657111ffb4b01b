//! The operations: a request is decoded and checked by itself, then decided on the tables.

mod batch;
mod capacity;
mod item;
mod name;
mod page;
mod read;
mod settings;
mod table;
mod transact;
mod update_table;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ErrorName, ServiceError, invalid};
use crate::expression::Placeholders;
use crate::json::WireItem;
use crate::step::Step;
use crate::tables::Tables;

/// What a decision takes from outside.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The region that ARNs name.
    pub region: String,
    /// The account that ARNs name.
    pub account: String,
    /// A number that nobody can foresee: the id of a table that is made.
    pub random: u128,
}

/// What a request leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The changes; none for what only reads.
    pub steps: Vec<Step>,
    /// Whether all of them are to be done or none; otherwise each stands for itself.
    pub is_atomic: bool,
    /// The answer once they are done.
    pub answer: Value,
}

impl Decision {
    /// The answer of what only reads.
    fn read(answer: Value) -> Decision {
        Decision::write(Vec::new(), answer)
    }

    /// The answer of what changes something, all of it or nothing.
    fn write(steps: Vec<Step>, answer: Value) -> Decision {
        Decision { steps, is_atomic: true, answer }
    }
}

type Decided = Result<Decision, ServiceError>;

/// How a request is decided once it was decoded: with what it said.
trait Operation: Send + Sync {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided;
}

/// A request that was decoded and is right by itself.
pub struct Request(Box<dyn Operation>);

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// The operations there are, by name.
pub const OPERATIONS: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeContinuousBackups",
    "DescribeLimits",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "ListTables",
    "ListTagsOfResource",
    "PutItem",
    "Query",
    "Scan",
    "TagResource",
    "TransactGetItems",
    "TransactWriteItems",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateItem",
    "UpdateTable",
    "UpdateTimeToLive",
];

impl Request {
    /// Decodes the request of an operation from its body.
    ///
    /// # Errors
    /// `UnknownOperationException`, `SerializationException`, `ValidationException`.
    ///
    /// ```
    /// use millrace_dynamodb::Request;
    /// assert!(Request::decode("GetItem", br#"{"TableName":"leases","Key":{"leaseKey":{"S":"a"}}}"#).is_ok());
    /// assert!(Request::decode("GetItem", b"{").is_err());
    /// ```
    pub fn decode(operation: &str, body: &[u8]) -> Result<Request, ServiceError> {
        match operation {
            "BatchGetItem" => of(body, batch::BatchGet::new),
            "BatchWriteItem" => of(body, batch::BatchWrite::new),
            "CreateTable" => of(body, table::CreateTable::new),
            "DeleteItem" => of(body, write::DeleteItem::new),
            "DeleteTable" => of(body, table::DeleteTable::new),
            "DescribeContinuousBackups" => of(body, settings::DescribeBackups::new),
            "DescribeLimits" => of(body, settings::DescribeLimits::new),
            "DescribeTable" => of(body, table::DescribeTable::new),
            "DescribeTimeToLive" => of(body, settings::DescribeTimeToLive::new),
            "GetItem" => of(body, item::GetItem::new),
            "ListTables" => of(body, table::ListTables::new),
            "ListTagsOfResource" => of(body, settings::ListTags::new),
            "PutItem" => of(body, write::PutItem::new),
            "Query" => of(body, read::Query::new),
            "Scan" => of(body, read::Scan::new),
            "TagResource" => of(body, settings::TagResource::new),
            "TransactGetItems" => of(body, transact::TransactGet::new),
            "TransactWriteItems" => of(body, transact::TransactWrite::new),
            "UntagResource" => of(body, settings::UntagResource::new),
            "UpdateContinuousBackups" => of(body, settings::UpdateBackups::new),
            "UpdateItem" => of(body, write::UpdateItem::new),
            "UpdateTable" => of(body, update_table::UpdateTable::new),
            "UpdateTimeToLive" => of(body, settings::UpdateTimeToLive::new),
            name => Err(Request::unknown(name)),
        }
    }

    /// What a request for an operation that is not there is refused with.
    #[must_use]
    pub fn unknown(operation: &str) -> ServiceError {
        let message = format!("Millrace does not support {operation}; docs/leases.md lists what its tables are for.");
        ServiceError::new(ErrorName::UnknownOperation, message)
    }
}

impl Tables {
    /// Decides a request on the tables as they are. Nothing is changed before the steps are applied.
    ///
    /// # Errors
    /// The error that the service answers with.
    pub fn decide(&self, request: &Request, context: &Context) -> Decided {
        request.0.decide(self, context)
    }
}

fn of<R: DeserializeOwned, O: Operation + 'static>(
    body: &[u8],
    check: impl FnOnce(R) -> Result<O, ServiceError>,
) -> Result<Request, ServiceError> {
    Ok(Request(Box::new(check(parse(body)?)?)))
}

fn parse<R: DeserializeOwned>(body: &[u8]) -> Result<R, ServiceError> {
    // A sequence would be taken for the members in their order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ServiceError::new(ErrorName::Serialization, "Expected a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| ServiceError::new(ErrorName::Serialization, error.to_string()))
}

/// What stands for names in the expressions of a request.
type Names = BTreeMap<String, String>;

/// What stands for names and values in the expressions of a request.
fn placeholders(names: Option<Names>, values: Option<WireItem>) -> Result<Placeholders, ServiceError> {
    let values = values.map(WireItem::into_item).transpose();
    let values =
        values.map_err(|error| invalid(format!("ExpressionAttributeValues contains invalid value: {error}")))?;
    Placeholders::new(names, values)
}
