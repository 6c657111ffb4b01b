//! `TransactWriteItems` and `TransactGetItems`: up to a hundred actions, all or none.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::item::{GetRequest, Wanted, required, required_key};
use super::write::{Change, Write, WriteRequest, item_to_put};
use super::{Context, Decided, Decision, Operation};
use crate::error::{CancellationReason, ErrorName, ServiceError, invalid};
use crate::expression::Update;
use crate::step::Step;
use crate::tables::Tables;
use crate::value::size_of_item;

/// The most actions of a transaction.
const ACTIONS_MAX: usize = 100;
/// The most bytes of the items of a transaction.
const BYTES_MAX: usize = 4 << 20;
/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 36;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransactWriteRequest {
    transact_items: Option<Vec<Action>>,
    client_request_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Action {
    put: Option<WriteRequest>,
    update: Option<WriteRequest>,
    delete: Option<WriteRequest>,
    condition_check: Option<WriteRequest>,
}

/// Writes items of several tables, all or none.
pub(super) struct TransactWrite {
    writes: Vec<Write>,
    token: Option<(String, u64)>,
}

impl TransactWrite {
    pub fn new(request: TransactWriteRequest) -> Result<TransactWrite, ServiceError> {
        let actions = request.transact_items.ok_or_else(|| required("transactItems"))?;
        check_count(actions.len())?;
        let writes = actions.into_iter().map(Action::into_write).collect::<Result<Vec<_>, _>>()?;
        let token = match request.client_request_token {
            Some(token) if !(1..=TOKEN_BYTES_MAX).contains(&token.len()) => {
                return Err(invalid(format!("ClientRequestToken must have a length from 1 to {TOKEN_BYTES_MAX}")));
            }
            Some(token) => Some((token, digest(&writes))),
            None => None,
        };
        Ok(TransactWrite { writes, token })
    }
}

impl Action {
    fn into_write(self) -> Result<Write, ServiceError> {
        let Action { put, update, delete, condition_check } = self;
        match (put, update, delete, condition_check) {
            (Some(put), None, None, None) => {
                Write::new(put, |request, _| Ok(Change::Put(item_to_put(request.item.take())?)))
            }
            (None, Some(update), None, None) => Write::new(update, |request, placeholders| {
                let expression = request.update_expression.as_deref().ok_or_else(|| required("updateExpression"))?;
                let update = Update::parse(expression, placeholders)?;
                Ok(Change::Update { key: required_key(request.key.take())?, update })
            }),
            (None, None, Some(delete), None) => {
                Write::new(delete, |request, _| Ok(Change::Delete { key: required_key(request.key.take())? }))
            }
            (None, None, None, Some(check)) => Write::new(check, |request, _| {
                if request.condition_expression.is_none() {
                    return Err(required("conditionExpression"));
                }
                Ok(Change::Check { key: required_key(request.key.take())? })
            }),
            _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }
}

fn check_count(count: usize) -> Result<(), ServiceError> {
    if (1..=ACTIONS_MAX).contains(&count) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length from \
         1 to {ACTIONS_MAX}, got {count}"
    )))
}

/// Tells what is written from what is not: two requests that are the same have the same.
fn digest(writes: &[Write]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, format!("{writes:?}").as_bytes())
}

impl Operation for TransactWrite {
    fn decide(&self, tables: &Tables, context: &Context) -> Decided {
        let done = self.token.as_ref().and_then(|(token, digest)| Some((tables.done(token, context.now_ms)?, digest)));
        if let Some((done, digest)) = done {
            if done.digest == *digest {
                return Ok(Decision::read(json!({})));
            }
            let message = "The request token was used for another transaction: expected the same parameters";
            return Err(ServiceError::new(ErrorName::IdempotentParameterMismatch, message));
        }
        let mut keys = BTreeSet::new();
        for write in &self.writes {
            let schema = &tables.get(&write.table)?.definition.schema;
            // A key that is none is a reason of its action.
            let key = schema.key_in(&write.key(tables)?);
            if key.is_some() && !keys.insert((&write.table, key)) {
                return Err(invalid("Transaction request cannot include multiple operations on one item"));
            }
        }
        let mut steps = Vec::new();
        let mut reasons = Vec::new();
        let mut bytes = 0;
        for write in &self.writes {
            match write.decide(tables) {
                Ok(written) => {
                    bytes += written.new.as_ref().map_or(0, size_of_item);
                    steps.extend(written.step);
                    reasons.push(CancellationReason::none());
                }
                Err(error) => reasons.push(reason(error)?),
            }
        }
        if reasons.iter().any(|reason| reason.code != "None") {
            return Err(canceled(reasons));
        }
        if bytes > BYTES_MAX {
            return Err(invalid("Transaction size exceeds the maximum allowed size: 4 MB"));
        }
        if let Some((token, digest)) = &self.token {
            steps.push(Step::Token { token: token.clone(), digest: *digest, at_ms: context.now_ms });
        }
        Ok(Decision::write(steps, json!({})))
    }
}

/// Why an action keeps a transaction from being done; other errors are those of the whole request.
fn reason(error: ServiceError) -> Result<CancellationReason, ServiceError> {
    let code = match error.name {
        ErrorName::ConditionalCheckFailed => "ConditionalCheckFailed",
        ErrorName::Validation => "ValidationError",
        _ => return Err(error),
    };
    Ok(CancellationReason { code, message: Some(error.message), item: error.item })
}

fn canceled(reasons: Vec<CancellationReason>) -> ServiceError {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code).collect();
    let codes = codes.join(", ");
    let message = format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]");
    ServiceError { reasons, ..ServiceError::new(ErrorName::TransactionCanceled, message) }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransactGetRequest {
    transact_items: Option<Vec<GetAction>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetAction {
    get: GetRequest,
}

/// Reads items of several tables as they are at one moment.
pub(super) struct TransactGet(Vec<Wanted>);

impl TransactGet {
    pub fn new(request: TransactGetRequest) -> Result<TransactGet, ServiceError> {
        let actions = request.transact_items.ok_or_else(|| required("transactItems"))?;
        check_count(actions.len())?;
        actions.into_iter().map(|action| Wanted::new(action.get)).collect::<Result<_, _>>().map(TransactGet)
    }
}

impl Operation for TransactGet {
    fn decide(&self, tables: &Tables, _context: &Context) -> Decided {
        let mut responses: Vec<Value> = Vec::new();
        for wanted in &self.0 {
            let (item, _) = wanted.read(tables)?;
            responses.push(item.map_or_else(|| json!({}), |item| json!({ "Item": item })));
        }
        Ok(Decision::read(json!({ "Responses": responses })))
    }
}
