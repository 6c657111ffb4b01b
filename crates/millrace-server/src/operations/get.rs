//! GetShardIterator and GetRecords: reading a shard by asking again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace::format::record::Records;
use millrace::shard::{SEQUENCE_DIGITS, Shard, ShardId};
use millrace::{Chunk, Kind, Reader, ReaderOptions, StartAt, Step, Visibility};
use millrace_kinesis::{
    ErrorName, Format, IteratorPosition, RecordOut, RecordsAnswer, ServiceError, ShardIterator, Structure, Value,
    shard_name, shard_number,
};

use super::{invalid, shards, unless_dry_run};
use crate::answer::Answer;
use crate::service::{Outcome, Service};
use crate::streams::OpenStream;

/// The most records of an answer, as the model has it.
const RECORDS_MAX: usize = 10_000;
/// The most bytes of an answer's records.
const BYTES_MAX: usize = 10 << 20;

/// GetShardIterator.
pub(crate) async fn get_shard_iterator(service: &Arc<Service>, request: &Structure) -> Outcome {
    let stream_name = service.name_of(request)?;
    let shard_id = request.str("ShardId").unwrap_or_default();
    let shard = shard_number(shard_id).ok_or_else(|| shards::could_not_find(service, shard_id, stream_name))?;
    let missing = || shards::does_not_exist(service, shard, stream_name);
    let open = service.stream_with_records(stream_name).await.map_err(|error| match error.name {
        ErrorName::ResourceNotFound => missing(),
        _ => error,
    })?;
    // The reader is not read from: it tells whether the stream has the shard, before anything is said of the place.
    ShardRead::start(&open, shard, StartAt::TrimHorizon).map_err(|error| match error.kind() {
        Kind::ShardNotFound => missing(),
        _ => service.of_stream(stream_name, &error),
    })?;
    let kind = request.str("ShardIteratorType").unwrap_or_default();
    let position = start(
        service,
        &open,
        shard,
        kind,
        request.str("StartingSequenceNumber"),
        request.timestamp("Timestamp"),
        "GetShardIterator",
    )?;
    open.stream.admit_iterator(shard).map_err(|error| service.of_stream(stream_name, &error))?;
    unless_dry_run(request.is("DryRun"))?;
    Ok(Structure::new().with("ShardIterator", iterator(service, &open, shard, position)).into())
}

/// Where a reader begins, by the words of GetShardIterator and SubscribeToShard.
pub(crate) fn start(
    service: &Service,
    open: &OpenStream,
    shard: u32,
    kind: &str,
    number: Option<&str>,
    timestamp: Option<i64>,
    operation: &str,
) -> Result<IteratorPosition, ServiceError> {
    let either = |came: &str| {
        invalid(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
             TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {came} \
             StartingSequenceNumber."
        ))
    };
    match (kind, number) {
        ("TRIM_HORIZON" | "LATEST", Some(_)) => Err(either("also a")),
        ("TRIM_HORIZON", None) => Ok(IteratorPosition::TrimHorizon),
        ("LATEST", None) => {
            let latest = ShardRead::start(open, shard, StartAt::Latest);
            let latest = latest.map_err(|error| service.of_stream(open.stream.name(), &error))?;
            Ok(IteratorPosition::Sequence(latest.reader.passed_sequence()))
        }
        ("AT_TIMESTAMP", _) => {
            let ms = timestamp.ok_or_else(|| {
                invalid(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
                     timestamp parameter.",
                )
            })?;
            let now_ms = service.now_ms();
            if ms > now_ms {
                return Err(invalid(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                     timestampInMillis: {ms}, currentTimestampInMillis: {now_ms}"
                )));
            }
            Ok(IteratorPosition::Timestamp(u64::try_from(ms).unwrap_or_default()))
        }
        (_, None) => Err(either("no")),
        (kind, Some(number)) => {
            let sequence = sequence_of(service, open, shard, number, operation)?;
            Ok(IteratorPosition::Sequence(if kind == "AFTER_SEQUENCE_NUMBER" {
                sequence.saturating_add(1)
            } else {
                sequence
            }))
        }
    }
}

/// The sequence that a number names, which must be of this stream and shard.
fn sequence_of(
    service: &Service,
    open: &OpenStream,
    shard: u32,
    number: &str,
    operation: &str,
) -> Result<u64, ServiceError> {
    open.stream.parse_sequence_number(number, Some(shard)).map_err(|_| {
        if let Some(of) = open.shard_of_number(number) {
            return invalid(format!(
                "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
                shard_name(of),
                shard_name(shard)
            ));
        }
        let (stream, account, shard) = (open.stream.name(), &service.account, shard_name(shard));
        invalid(format!(
            "StartingSequenceNumber {number} used in {operation} on shard {shard} in stream {stream} under account \
             {account} is invalid because it did not come from this stream."
        ))
    })
}

/// GetRecords: what there is, waiting for nothing.
pub(crate) async fn get_records(service: &Arc<Service>, format: Format, request: &Structure) -> Outcome {
    let text = request.str("ShardIterator").unwrap_or_default();
    let ShardIterator { stream, stream_id, shard, position, .. } =
        ShardIterator::open(&service.tokens, text, service.now_ms())?;
    let missing = || shards::does_not_exist(service, shard, &stream);
    if let Some(arn) = request.str("StreamARN")
        && service.stream_name(None, Some(arn))? != stream
    {
        return Err(invalid("Invalid ShardIterator."));
    }
    let open = service.stream_with_records(&stream).await.map_err(|error| match error.name {
        ErrorName::ResourceNotFound => missing(),
        _ => error,
    })?;
    if open.id != stream_id {
        return Err(missing());
    }
    unless_dry_run(request.is("DryRun"))?;
    let of_stream = |error| service.of_stream(&stream, &error);
    open.stream.admit_read(shard).map_err(of_stream)?;
    let limit = request.integer("Limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(RECORDS_MAX);
    let mut read = ShardRead::new(&open, shard, position).map_err(of_stream)?;
    let mut answer = RecordsAnswer::new(format);
    let batch = read.fill(&open, &mut answer, limit, BYTES_MAX).map_err(of_stream)?;
    open.stream.charge_read(shard, batch.bytes as u64);
    service.counters.records_out.fetch_add(batch.records as u64, Ordering::Relaxed);
    let next = read.reader.passed_sequence();
    let rest = match &read.children {
        Some(children) if batch.records == 0 => {
            Structure::new().with("MillisBehindLatest", 0_u32).with("ChildShards", shards::children(children))
        }
        _ => Structure::new()
            .with("NextShardIterator", iterator(service, &open, shard, IteratorPosition::Sequence(next)))
            .with("MillisBehindLatest", milliseconds(read.millis_behind(batch.at_tail))),
    };
    Ok(Answer::Encoded(answer.finish(&rest)))
}

/// A number of milliseconds as the model has it.
pub(crate) fn milliseconds(ms: u64) -> Value {
    Value::Integer(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn iterator(service: &Service, open: &OpenStream, shard: u32, position: IteratorPosition) -> String {
    let iterator = ShardIterator {
        stream: open.stream.name().to_owned(),
        stream_id: open.id,
        shard,
        position,
        issued_ms: service.now_ms(),
    };
    iterator.seal(&service.tokens)
}

/// A shard being read into answers.
#[derive(Debug)]
pub(crate) struct ShardRead {
    reader: Reader,
    /// What came of the shard, once it was read to its end.
    children: Option<Vec<Shard>>,
}

/// What was read at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// How many records.
    pub records: usize,
    /// Their bytes, keys included.
    pub bytes: usize,
    /// Whether there is nothing more at present.
    pub at_tail: bool,
}

impl ShardRead {
    /// Begins at a place.
    pub fn new(open: &OpenStream, shard: u32, position: IteratorPosition) -> millrace::Result<ShardRead> {
        let from = match position {
            IteratorPosition::TrimHorizon => StartAt::TrimHorizon,
            IteratorPosition::Sequence(sequence) => StartAt::AtSequence(sequence),
            IteratorPosition::Timestamp(ms) => StartAt::AtTimestamp(ms),
        };
        ShardRead::start(open, shard, from)
    }

    fn start(open: &OpenStream, shard: u32, from: StartAt) -> millrace::Result<ShardRead> {
        let options = ReaderOptions { shard: Some(shard), from, visibility: Visibility::Durable };
        Ok(ShardRead { reader: open.stream.reader(options)?, children: None })
    }

    /// Writes records to an answer: so many, and so many bytes unless the first record alone is larger.
    pub fn fill(
        &mut self,
        open: &OpenStream,
        answer: &mut RecordsAnswer,
        records_max: usize,
        bytes_max: usize,
    ) -> millrace::Result<Batch> {
        let mut batch = Batch::default();
        while batch.records < records_max && batch.bytes < bytes_max {
            match self.reader.next(records_max - batch.records, bytes_max - batch.bytes)? {
                Step::AtTail => {
                    batch.at_tail = true;
                    break;
                }
                Step::EndOfShard(children) => {
                    batch.at_tail = true;
                    self.children = Some(children);
                    break;
                }
                Step::Chunk(chunk) => write_chunk(open, &chunk, answer, &mut batch)?,
            }
        }
        Ok(batch)
    }

    /// How far behind the newest record the reader is.
    pub fn millis_behind(&self, at_tail: bool) -> u64 {
        if at_tail { 0 } else { self.reader.millis_behind_latest() }
    }
}

/// Writes the records of a chunk, from the mapped segment straight into the answer.
pub(crate) fn write_chunk(
    open: &OpenStream,
    chunk: &Chunk,
    answer: &mut RecordsAnswer,
    batch: &mut Batch,
) -> millrace::Result<()> {
    let mut digits = [0; SEQUENCE_DIGITS];
    let encryption = open.encryption();
    for run in &chunk.runs {
        for (sequence, record) in (run.first_sequence..).zip(Records::new(chunk.payload(run)?)) {
            let key = std::str::from_utf8(record.key).map_err(|_| {
                let message =
                    format!("a partition key that is not UTF-8 at sequence {sequence} of {}", ShardId(run.shard));
                millrace::Error::new(millrace::Kind::Corrupt, message)
            })?;
            answer.record(&RecordOut {
                sequence_number: open.write_sequence_number(run.shard, sequence, &mut digits),
                arrival_ms: run.arrival_ms,
                data: record.data,
                key,
                encryption,
            });
            batch.records += 1;
            batch.bytes += record.key.len() + record.data.len();
        }
    }
    Ok(())
}
