//! Requests that are nearly right, and steps on disk that are: nothing panics, and what is accepted comes back.

use millrace_dynamodb::{Context, Request, Step, Tables};
use proptest::prelude::*;

const CREATE: &str = r#"{"TableName":"ttt","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"o","AttributeType":"S"}],"GlobalSecondaryIndexes":[{"IndexName":"iii","KeySchema":[{"AttributeName":"o","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["x"]}}]}"#;

/// Requests of every kind, each with its operation.
const REQUESTS: [(&str, &str); 12] = [
    ("CreateTable", CREATE),
    (
        "PutItem",
        r#"{"TableName":"ttt","Item":{"k":{"S":"a"},"o":{"S":"w"},"x":{"N":"1.5e1"},"b":{"B":"AQI="},"l":{"L":[{"NULL":true},{"M":{"y":{"NS":["1","2"]}}}]}},"Expected":{"k":{"Exists":false}}}"#,
    ),
    (
        "UpdateItem",
        r##"{"TableName":"ttt","Key":{"k":{"S":"a"}},"UpdateExpression":"SET #x = x + :n, l[1].y = :s REMOVE l[0] ADD c :n","ConditionExpression":"attribute_exists(k) AND (x < :n OR size(l) >= :n)","ExpressionAttributeNames":{"#x":"z"},"ExpressionAttributeValues":{":n":{"N":"2"},":s":{"SS":["a"]}},"ReturnValues":"UPDATED_NEW"}"##,
    ),
    (
        "UpdateItem",
        r#"{"TableName":"ttt","Key":{"k":{"S":"a"}},"Expected":{"x":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"99"}]}},"AttributeUpdates":{"x":{"Value":{"N":"1"},"Action":"ADD"},"y":{"Action":"DELETE"}}}"#,
    ),
    (
        "Query",
        r#"{"TableName":"ttt","IndexName":"iii","KeyConditionExpression":"o = :o","FilterExpression":"contains(x, :o)","ExpressionAttributeValues":{":o":{"S":"w"}},"ScanIndexForward":false,"Limit":3}"#,
    ),
    (
        "Scan",
        r#"{"TableName":"ttt","Segment":1,"TotalSegments":2,"ExclusiveStartKey":{"k":{"S":"a"}},"ProjectionExpression":"l[1].y, x","ReturnConsumedCapacity":"TOTAL"}"#,
    ),
    (
        "TransactWriteItems",
        r#"{"TransactItems":[{"Put":{"TableName":"ttt","Item":{"k":{"S":"b"}}}},{"Delete":{"TableName":"ttt","Key":{"k":{"S":"c"}}}},{"ConditionCheck":{"TableName":"ttt","Key":{"k":{"S":"a"}},"ConditionExpression":"attribute_type(k, :t)","ExpressionAttributeValues":{":t":{"S":"S"}}}}],"ClientRequestToken":"t"}"#,
    ),
    ("BatchGetItem", r#"{"RequestItems":{"ttt":{"Keys":[{"k":{"S":"a"}},{"k":{"S":"b"}}],"ConsistentRead":true}}}"#),
    (
        "BatchWriteItem",
        r#"{"RequestItems":{"ttt":[{"PutRequest":{"Item":{"k":{"S":"d"}}}},{"DeleteRequest":{"Key":{"k":{"S":"e"}}}}]}}"#,
    ),
    (
        "UpdateTable",
        r#"{"TableName":"ttt","BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1},"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"iii"}}]}"#,
    ),
    ("TagResource", r#"{"ResourceArn":"arn:aws:dynamodb:r:a:table/ttt","Tags":[{"Key":"a","Value":"b"}]}"#),
    ("DeleteItem", r#"{"TableName":"ttt","Key":{"k":{"S":"a"}},"ReturnValues":"ALL_OLD"}"#),
];

/// A change of some bytes: the place as a share of the whole, how many go, and what comes.
#[derive(Clone, Debug)]
struct Mutation {
    at: u16,
    removed: usize,
    inserted: Vec<u8>,
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let piece = prop_oneof![
        "[{}\\[\\]\",:#0-9a-zSNBML.()<>= -]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..3),
        Just(b"null".to_vec()),
        Just(b"1E126".to_vec()),
        Just(b"{\"L\":[".to_vec()),
    ];
    let one = (any::<u16>(), 0..4_usize, piece).prop_map(|(at, removed, inserted)| Mutation { at, removed, inserted });
    proptest::collection::vec(one, 0..4)
}

fn mutated(text: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for Mutation { at, removed, inserted } in mutations {
        let at = bytes.len() * usize::from(*at) / (usize::from(u16::MAX) + 1);
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, inserted.iter().copied());
    }
    bytes
}

fn ask(tables: &mut Tables, operation: &str, body: &[u8]) {
    let Ok(request) = Request::decode(operation, body) else { return };
    let context = Context { now_ms: 1, region: "r".to_owned(), account: "a".to_owned(), random: 1 };
    let Ok(decision) = tables.decide(&request, &context) else { return };
    let steps = Step::decode_all(&Step::encode_all(&decision.steps)).expect("steps come back");
    assert_eq!(steps, decision.steps);
    steps.iter().for_each(|step| tables.apply(step).expect("a decided step follows"));
}

fn restored(tables: &Tables) -> Tables {
    let mut restored = Tables::default();
    tables.snapshot().iter().flatten().for_each(|step| restored.apply(step).expect("it follows"));
    restored
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn requests_that_are_nearly_right_are_refused_or_done(
        asked in proptest::collection::vec((0..REQUESTS.len(), mutations()), 1..6)
    ) {
        let mut tables = Tables::default();
        ask(&mut tables, "CreateTable", CREATE.as_bytes());
        for (which, mutations) in asked {
            let (operation, body) = REQUESTS[which];
            ask(&mut tables, operation, &mutated(body.as_bytes(), &mutations));
        }
        prop_assert_eq!(restored(&tables), tables);
    }

    #[test]
    fn steps_that_are_nearly_right_are_told_or_follow(mutations in mutations()) {
        let mut honest = Tables::default();
        for (operation, body) in REQUESTS {
            ask(&mut honest, operation, body.as_bytes());
        }
        let mut tables = Tables::default();
        for group in honest.snapshot() {
            let Ok(steps) = Step::decode_all(&mutated(&Step::encode_all(&group), &mutations)) else { continue };
            prop_assert_eq!(Step::decode_all(&Step::encode_all(&steps)), Ok(steps.clone()));
            for step in steps {
                let before = tables.clone();
                if tables.apply(&step).is_err() {
                    prop_assert_eq!(&tables, &before);
                }
            }
        }
        prop_assert_eq!(restored(&tables), tables);
    }
}
