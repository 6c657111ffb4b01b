//! Random calls against a naive model: a list of leases that is searched from its start.

use millrace_dynamodb::{Context, ErrorName, Request, Step, Tables};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A lease as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Lease {
    key: String,
    owner: Option<String>,
    counter: i64,
}

/// A call of a worker.
#[derive(Clone, Debug)]
enum Call {
    /// Makes a lease unless there is one.
    Create(u8),
    /// Takes a lease at a counter, in the way from before expressions or with one.
    Take {
        lease: u8,
        worker: u8,
        counter: i64,
        by_expression: bool,
    },
    /// Gives a lease up on the condition that one has it.
    Evict {
        lease: u8,
        worker: u8,
    },
    Delete(u8),
    /// Moves a lease to another worker and counts it in a second item, both or none.
    Transfer {
        lease: u8,
        from: u8,
        to: u8,
    },
    Read(u8),
    /// All of a worker, by the index.
    Owned(u8),
    /// All, in pages.
    Scan {
        limit: u8,
        segments: u8,
    },
    /// The tables begin anew from their snapshot, or the process ends and the steps are read.
    Restart {
        by_snapshot: bool,
    },
}

fn calls() -> impl Strategy<Value = Call> {
    let (lease, worker) = (0..6_u8, 0..3_u8);
    prop_oneof![
        lease.clone().prop_map(Call::Create),
        (lease.clone(), worker.clone(), 0..4_i64, any::<bool>())
            .prop_map(|(lease, worker, counter, by_expression)| Call::Take { lease, worker, counter, by_expression }),
        (lease.clone(), worker.clone()).prop_map(|(lease, worker)| Call::Evict { lease, worker }),
        lease.clone().prop_map(Call::Delete),
        (lease.clone(), worker.clone(), worker.clone()).prop_map(|(lease, from, to)| Call::Transfer {
            lease,
            from,
            to
        }),
        lease.prop_map(Call::Read),
        worker.prop_map(Call::Owned),
        (1..5_u8, 1..4_u8).prop_map(|(limit, segments)| Call::Scan { limit, segments }),
        any::<bool>().prop_map(|by_snapshot| Call::Restart { by_snapshot }),
    ]
}

/// The tables, with all that was ever written down of them.
#[derive(Default)]
struct Subject {
    tables: Tables,
    log: Vec<Vec<u8>>,
}

impl Subject {
    fn call(&mut self, operation: &str, body: &Value) -> Result<Value, ErrorName> {
        let request = Request::decode(operation, body.to_string().as_bytes()).map_err(|error| error.name)?;
        let context = Context { now_ms: 1, region: "r".to_owned(), account: "a".to_owned(), random: 1 };
        let decision = self.tables.decide(&request, &context).map_err(|error| error.name)?;
        self.log.push(Step::encode_all(&decision.steps));
        decision.steps.iter().for_each(|step| self.tables.apply(step).expect("it follows"));
        Ok(decision.answer)
    }

    fn restart(&mut self, by_snapshot: bool) {
        let mut fresh = Tables::default();
        if by_snapshot {
            self.log = self.tables.snapshot().iter().map(|steps| Step::encode_all(steps)).collect();
        }
        for group in &self.log {
            for step in Step::decode_all(group).expect("steps") {
                fresh.apply(&step).expect("it follows");
            }
        }
        assert_eq!(fresh, self.tables);
        self.tables = fresh;
    }

    /// All items of a call that is answered in pages.
    fn pages(&mut self, operation: &str, mut body: Value) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            let page = self.call(operation, &body).expect("a page");
            items.extend(page["Items"].as_array().expect("items").iter().cloned());
            let Some(last) = page.get("LastEvaluatedKey") else { return items };
            body["ExclusiveStartKey"] = last.clone();
        }
    }
}

fn key(lease: u8) -> String {
    format!("shard-{lease}")
}

fn owner(worker: u8) -> String {
    format!("worker-{worker}")
}

fn item(lease: &Lease) -> Value {
    let mut item = json!({ "leaseKey": { "S": lease.key }, "leaseCounter": { "N": lease.counter.to_string() } });
    if let Some(owner) = &lease.owner {
        item["leaseOwner"] = json!({ "S": owner });
    }
    item
}

fn take(lease: u8, worker: u8, counter: i64, by_expression: bool) -> Value {
    let (before, after) = (json!({ "N": counter.to_string() }), json!({ "N": (counter + 1).to_string() }));
    let owner = json!({ "S": owner(worker) });
    let mut body =
        json!({ "TableName": "leases", "Key": { "leaseKey": { "S": key(lease) } }, "ReturnValues": "ALL_NEW" });
    if by_expression {
        body["UpdateExpression"] = json!("SET leaseOwner = :owner, leaseCounter = leaseCounter + :one");
        body["ConditionExpression"] = json!("leaseCounter = :before");
        body["ExpressionAttributeValues"] = json!({ ":owner": owner, ":one": { "N": "1" }, ":before": before });
    } else {
        body["Expected"] = json!({ "leaseCounter": { "Value": before } });
        body["AttributeUpdates"] = json!({ "leaseOwner": { "Value": owner }, "leaseCounter": { "Value": after } });
    }
    body
}

fn create_table(subject: &mut Subject) {
    let created = json!({
        "TableName": "leases", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "leaseKey", "KeyType": "HASH" }],
        "AttributeDefinitions": [
            { "AttributeName": "leaseKey", "AttributeType": "S" }, { "AttributeName": "leaseOwner", "AttributeType": "S" },
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "owners", "KeySchema": [{ "AttributeName": "leaseOwner", "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "ALL" },
        }],
    });
    subject.call("CreateTable", &created).expect("made");
}

/// Does a call to both and compares what they say.
fn step(subject: &mut Subject, model: &mut Vec<Lease>, call: Call) {
    let failed = Err(ErrorName::ConditionalCheckFailed);
    match call {
        Call::Create(lease) => {
            let fresh = Lease { key: key(lease), owner: None, counter: 0 };
            let body = json!({ "TableName": "leases", "Item": item(&fresh),
                "ConditionExpression": "attribute_not_exists(leaseKey)" });
            let expected = if model.iter().any(|known| known.key == fresh.key) { failed } else { Ok(json!({})) };
            assert_eq!(subject.call("PutItem", &body), expected);
            if expected.is_ok() {
                model.push(fresh);
            }
        }
        Call::Take { lease, worker, counter, by_expression } => {
            let answer = subject.call("UpdateItem", &take(lease, worker, counter, by_expression));
            match model.iter_mut().find(|known| known.key == key(lease) && known.counter == counter) {
                Some(known) => {
                    *known = Lease { owner: Some(owner(worker)), counter: counter + 1, key: key(lease) };
                    assert_eq!(answer, Ok(json!({ "Attributes": item(known) })));
                }
                None => assert_eq!(answer, failed),
            }
        }
        Call::Evict { lease, worker } => {
            let body = json!({ "TableName": "leases", "Key": { "leaseKey": { "S": key(lease) } },
                "Expected": { "leaseOwner": { "Value": { "S": owner(worker) } } },
                "AttributeUpdates": { "leaseOwner": { "Action": "DELETE" } } });
            let known = model.iter_mut().find(|known| known.key == key(lease) && known.owner == Some(owner(worker)));
            assert_eq!(subject.call("UpdateItem", &body), if known.is_some() { Ok(json!({})) } else { failed });
            if let Some(known) = known {
                known.owner = None;
            }
        }
        Call::Delete(lease) => {
            let body =
                json!({ "TableName": "leases", "Key": { "leaseKey": { "S": key(lease) } }, "ReturnValues": "ALL_OLD" });
            let known = model.iter().position(|known| known.key == key(lease)).map(|index| model.remove(index));
            let expected = known.map_or_else(|| json!({}), |known| json!({ "Attributes": item(&known) }));
            assert_eq!(subject.call("DeleteItem", &body), Ok(expected));
        }
        Call::Transfer { lease, from, to } => {
            let body = json!({ "TransactItems": [
                { "Update": { "TableName": "leases", "Key": { "leaseKey": { "S": key(lease) } },
                    "UpdateExpression": "SET leaseOwner = :to", "ConditionExpression": "leaseOwner = :from",
                    "ExpressionAttributeValues": { ":to": { "S": owner(to) }, ":from": { "S": owner(from) } } } },
                { "Update": { "TableName": "leases", "Key": { "leaseKey": { "S": "transfers" } },
                    "UpdateExpression": "ADD leaseCounter :one", "ExpressionAttributeValues": { ":one": { "N": "1" } } } },
            ] });
            let answer = subject.call("TransactWriteItems", &body);
            let Some(known) =
                model.iter_mut().find(|known| known.key == key(lease) && known.owner == Some(owner(from)))
            else {
                assert_eq!(answer, Err(ErrorName::TransactionCanceled));
                return;
            };
            assert_eq!(answer, Ok(json!({})));
            known.owner = Some(owner(to));
            match model.iter_mut().find(|known| known.key == "transfers") {
                Some(transfers) => transfers.counter += 1,
                None => model.push(Lease { key: "transfers".to_owned(), owner: None, counter: 1 }),
            }
        }
        Call::Read(lease) => {
            let body = json!({ "TableName": "leases", "Key": { "leaseKey": { "S": key(lease) } } });
            let known = model.iter().find(|known| known.key == key(lease));
            let expected = known.map_or_else(|| json!({}), |known| json!({ "Item": item(known) }));
            assert_eq!(subject.call("GetItem", &body), Ok(expected));
        }
        Call::Owned(worker) => {
            let body = json!({ "TableName": "leases", "IndexName": "owners", "Limit": 2,
                "KeyConditions": { "leaseOwner": { "ComparisonOperator": "EQ", "AttributeValueList": [{ "S": owner(worker) }] } } });
            let mut owned: Vec<&Lease> = model.iter().filter(|known| known.owner == Some(owner(worker))).collect();
            owned.sort_by_key(|known| &known.key);
            let expected: Vec<Value> = owned.into_iter().map(item).collect();
            assert_eq!(subject.pages("Query", body), expected);
        }
        Call::Scan { limit, segments } => {
            let mut items: Vec<Value> = Vec::new();
            for segment in 0..segments {
                let body =
                    json!({ "TableName": "leases", "Limit": limit, "Segment": segment, "TotalSegments": segments });
                items.extend(subject.pages("Scan", body));
            }
            items.sort_by_key(|item| item["leaseKey"]["S"].as_str().map(str::to_owned));
            let mut expected = model.clone();
            expected.sort_by(|one, two| one.key.cmp(&two.key));
            assert_eq!(items, expected.iter().map(item).collect::<Vec<_>>());
        }
        Call::Restart { by_snapshot } => subject.restart(by_snapshot),
    }
}

proptest! {
    #[test]
    fn any_calls_do_what_a_list_does(calls in proptest::collection::vec(calls(), 1..120)) {
        let (mut subject, mut model) = (Subject::default(), Vec::new());
        create_table(&mut subject);
        for call in calls {
            step(&mut subject, &mut model, call);
        }
    }
}
