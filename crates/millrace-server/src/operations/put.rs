//! PutRecord and PutRecords.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace::shard::SEQUENCE_DIGITS;
use millrace::{Commit, Placement, Refused, StagedRecords};
use millrace_kinesis::{ErrorName, PutAnswer, PutRecords, ServiceError, Structure, shard_name};

use super::{invalid, unless_dry_run};
use crate::answer::Answer;
use crate::error::{exceeded, rate_exceeded};
use crate::service::{Call, Outcome, Service};
use crate::streams::OpenStream;

/// The code of a record for which there was no room.
const THROUGHPUT: &str = "ProvisionedThroughputExceededException";
/// What is stored for the key of a record that came without.
const NO_KEY: &str = "-";
/// The most bytes of a call, keys included.
const CALL_BYTES_MAX: usize = 10 << 20;

/// PutRecords: all of them, in their order within each shard.
pub(crate) async fn put_records(service: &Arc<Service>, call: &Call) -> Outcome {
    let request = PutRecords::read(call.format, &call.body)?;
    let name = service.stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    let open = service.stream_with_records(name).await?;
    let bytes = request.bytes();
    if bytes > CALL_BYTES_MAX {
        return Err(invalid("Records size exceeds 10 MB limit"));
    }
    let mut staged = StagedRecords::default();
    for (index, entry) in request.entries.iter().enumerate() {
        let key = entry.key.as_deref().or(spread_key(&open));
        let key = key.ok_or_else(|| key_is_missing(&format!("records.{}.member.", index + 1)))?;
        let hash_key = entry.explicit_hash_key.as_deref().map(hash_key).transpose()?;
        staged.push(key, hash_key, request.data(entry));
    }
    unless_dry_run(request.dry_run)?;
    let Put { placements, refused } = append(service, &open, &staged).await?;
    let mut answer = PutAnswer::new(call.format, staged.len());
    let mut digits = [0; SEQUENCE_DIGITS];
    let mut placements = placements.into_iter();
    let mut refused = refused.into_iter().peekable();
    for index in 0..staged.len() {
        // Of those that are not refused each has its place, in their order.
        if let Some(refused) = refused.next_if(|refused| refused.index == index) {
            answer.failed(THROUGHPUT, &rate_exceeded(&service.account, &refused.error));
        } else if let Some(Placement { shard, sequence }) = placements.next() {
            answer.placed(open.write_sequence_number(shard, sequence, &mut digits), shard);
        }
    }
    Ok(Answer::Encoded(answer.finish(open.encryption())))
}

/// PutRecord.
pub(crate) async fn put_record(service: &Arc<Service>, request: &Structure) -> Outcome {
    let name = service.name_of(request)?;
    let open = service.stream_with_records(name).await?;
    let key = request.str("PartitionKey").or(spread_key(&open)).ok_or_else(|| key_is_missing(""))?;
    let hash_key = request.str("ExplicitHashKey").map(hash_key).transpose()?;
    if let Some(number) = request.str("SequenceNumberForOrdering") {
        // Records of one connection are ordered anyway; the number is only held to be one of this stream.
        open.stream.parse_sequence_number(number, None).map_err(|_| {
            let (name, account) = (open.stream.name(), &service.account);
            invalid(format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {name} under account {account} is \
                 invalid."
            ))
        })?;
    }
    let mut staged = StagedRecords::default();
    staged.push(key, hash_key, request.blob("Data").unwrap_or_default());
    unless_dry_run(request.is("DryRun"))?;
    let Put { placements, refused } = append(service, &open, &staged).await?;
    if let Some(refused) = refused.first() {
        return Err(exceeded(&service.account, &refused.error));
    }
    let Placement { shard, sequence } = *placements.first().expect("a record that was appended has a place");
    let answer = Structure::new()
        .with("ShardId", shard_name(shard))
        .with("SequenceNumber", open.sequence_number(shard, sequence))
        .with("EncryptionType", open.encryption().as_str());
    Ok(answer.into())
}

/// What became of the records of a call.
struct Put {
    /// Where those went that were admitted.
    placements: Vec<Placement>,
    /// Those for which the limits of their shards had no room.
    refused: Vec<Refused>,
}

/// Appends what the limits admit and waits until it is acknowledged, without a thread.
async fn append(service: &Service, open: &OpenStream, staged: &StagedRecords) -> Result<Put, ServiceError> {
    let of_stream = |error| service.of_stream(open.stream.name(), &error);
    let (mut placements, mut refused) = (Vec::with_capacity(staged.len()), Vec::new());
    let appended = open.stream.append_each(staged.as_staged(), Some(&mut placements), &mut refused, Commit::Engine);
    open.acknowledged(appended.map_err(of_stream)?.end).await.map_err(of_stream)?;
    service.counters.records_in.fetch_add(placements.len() as u64, Ordering::Relaxed);
    Ok(Put { placements, refused })
}

/// The number that an explicit hash key spells: the pattern allows some that are too large.
fn hash_key(text: &str) -> Result<u128, ServiceError> {
    text.parse().map_err(|_| {
        let range = "ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was";
        invalid(format!("Invalid ExplicitHashKey. {range} {text}"))
    })
}

/// The key of a record that came without, where the stream distributes its records by itself.
fn spread_key(open: &OpenStream) -> Option<&'static str> {
    open.stream.distributes_records().then_some(NO_KEY)
}

/// The model says that a key may be missing, for streams that distribute records by themselves; all others need one.
fn key_is_missing(parent: &str) -> ServiceError {
    let message = format!(
        "1 validation error detected: Value null at '{parent}partitionKey' failed to satisfy constraint: Member must not \
         be null"
    );
    ServiceError::new(ErrorName::Validation, message)
}
