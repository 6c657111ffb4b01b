use proptest::prelude::*;

use super::*;
use crate::encode;

/// The request as the generic way has it.
fn generic(format: Format, body: &[u8]) -> Result<PutRecords<'static>, ServiceError> {
    let operation = Schema::get().operation(OPERATION).expect("an operation of the model");
    let document = decode(operation, format, body)?;
    validate(operation, &document)?;
    Ok(PutRecords::of_document(document))
}

#[test]
fn the_usual_request_goes_the_short_way() {
    let body = br#"{"StreamName":"clicks","Records":[{"Data":"aGVsbG8=","PartitionKey":"a\"b"},{"Data":"","PartitionKey":"k","ExplicitHashKey":"340282366920938463463374607431768211455"}]}"#;
    let request = PutRecords::read_usual(body).expect("a usual request");
    assert_eq!(Ok(&request), generic(Format::Json, body).as_ref());
    assert_eq!(request.data(&request.entries[0]), b"hello");
    assert_eq!(request.bytes(), 5 + 3 + 1);
    assert_eq!(request.entries[0].key.as_deref(), Some("a\"b"));
}

#[test]
fn whatever_is_unusual_goes_the_generic_way() {
    let usual = r#"{"StreamName":"clicks","Records":[{"Data":"","PartitionKey":"k"}]}"#;
    assert!(PutRecords::read_usual(usual.as_bytes()).is_some());
    for (from, to) in [
        ("clicks", "cli cks"),
        ("clicks", ""),
        (r#""k""#, r#""""#),
        (r#""k""#, "7"),
        (r#""Data":"""#, r#""Data":"abc""#),
        (r#""Data":"""#, r#""Data":"YWJ=""#),
        (r#""PartitionKey":"k""#, r#""PartitionKey":"k","ExplicitHashKey":"01""#),
        (r#"[{"Data":"","PartitionKey":"k"}]"#, "[]"),
    ] {
        let body = usual.replace(from, to);
        assert_eq!(PutRecords::read_usual(body.as_bytes()), None, "{body}");
        assert!(PutRecords::read(Format::Json, body.as_bytes()).is_err(), "{body}");
    }
    let without_key = usual.replace(r#","PartitionKey":"k""#, "");
    assert_eq!(PutRecords::read_usual(without_key.as_bytes()), None);
    assert_eq!(PutRecords::read(Format::Json, without_key.as_bytes()).map(|it| it.entries[0].key.clone()), Ok(None));
}

proptest! {
    #[test]
    fn what_goes_the_short_way_is_what_the_generic_way_reads(
        name in "[a-z ]{0,5}",
        records in proptest::collection::vec(
            ("[A-Za-z0-9+/=]{0,12}", "\\PC{0,6}", proptest::option::of("[0-9x]{0,41}"), any::<bool>()),
            0..5,
        ),
    ) {
        let entries = records.into_iter().map(|(data, key, hash_key, has_key)| {
            Structure::new()
                .with("Data", data)
                .with_some("PartitionKey", has_key.then_some(key))
                .with_some("ExplicitHashKey", hash_key)
        });
        let document = Structure::new().with("StreamName", name).with("Records", entries.collect::<Value>());
        let body = encode(Format::Json, &Value::Structure(document));
        let generic = generic(Format::Json, &body);
        if let Some(request) = PutRecords::read_usual(&body) {
            prop_assert_eq!(Ok(request), generic.clone());
        }
        prop_assert_eq!(PutRecords::read(Format::Json, &body), generic);
    }

    #[test]
    fn results_are_written_as_their_document_is(results in proptest::collection::vec(
        prop_oneof![(any::<u64>(), any::<u32>()).prop_map(Ok), "\\PC{0,20}".prop_map(Err)],
        0..5,
    ), is_encrypted: bool) {
        let encryption = if is_encrypted { Encryption::Kms } else { Encryption::None };
        for format in [Format::Json, Format::Cbor] {
            let mut answer = PutAnswer::new(format, results.len());
            let mut documents = Vec::new();
            for result in &results {
                documents.push(match result {
                    Ok((sequence, shard)) => {
                        answer.placed(&sequence.to_string(), *shard);
                        Structure::new().with("SequenceNumber", sequence.to_string()).with("ShardId", shard_name(*shard))
                    }
                    Err(message) => {
                        answer.failed("InternalFailure", message);
                        Structure::new().with("ErrorCode", "InternalFailure").with("ErrorMessage", message.as_str())
                    }
                });
            }
            let failed = results.iter().filter(|result| result.is_err()).count();
            let document = Structure::new()
                .with("Records", documents.into_iter().collect::<Value>())
                .with("FailedRecordCount", i64::try_from(failed).expect("a few"))
                .with("EncryptionType", encryption.as_str());
            prop_assert_eq!(answer.finish(encryption), encode(format, &Value::Structure(document)));
        }
    }
}
