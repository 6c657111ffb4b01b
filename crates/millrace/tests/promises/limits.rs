//! The limits of a stream hold where records come in and go out, by the store's clock, and what is refused is named.

use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::limits::{Limit, LimitPolicy, ShardLimits};
use millrace::{
    Commit, Engine, Error, Kind, Placement, Reader, ReaderOptions, Refused, Result, StagedRecords, StartAt, Step,
    Stream, StreamConfig, Visibility,
};
use tempfile::TempDir;

use crate::support::{START_MS, append, directory, open, read, read_all};

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
}

/// The first hash keys of two shards: records are sent to the one or the other by them.
const SHARDS: [u128; 2] = [0, 1 << 127];

fn world(limits: LimitPolicy) -> World {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    let config = StreamConfig { shards: 2, limits, ..StreamConfig::default() };
    let stream = engine.create_stream("limited", config).expect("a stream");
    World { directory, clock, engine, stream }
}

/// Appends records of so many bytes, keys included, to these shards, each for itself.
fn append_each(stream: &Stream, records: &[(usize, usize)]) -> (Vec<Placement>, Vec<Refused>) {
    let staged = staged(records);
    let (mut placements, mut refused) = (Vec::new(), Vec::new());
    let outcome = stream.append_each(staged.as_staged(), Some(&mut placements), &mut refused, Commit::Caller);
    outcome.expect("refusals are no error of the call");
    (placements, refused)
}

fn staged(records: &[(usize, usize)]) -> StagedRecords {
    let mut staged = StagedRecords::default();
    for (shard, bytes) in records {
        staged.push("key", Some(SHARDS[*shard]), &vec![7; bytes - 3]);
    }
    staged
}

fn append_all(stream: &Stream, records: &[(usize, usize)]) -> Result<()> {
    stream.append(staged(records).as_staged(), None, Commit::Caller).map(|_| ())
}

fn refusal_of<T>(outcome: Result<T>) -> (u32, Limit, u64, Option<u64>) {
    let error = outcome.err().expect("refused");
    assert_eq!(error.kind(), Kind::ThroughputExceeded, "{error}");
    told_by(&error)
}

/// The shard, the limit, by how much it was exceeded, and when to try again.
fn told_by(error: &Error) -> (u32, Limit, u64, Option<u64>) {
    let told = error.exceeded().expect("which limit it was");
    assert_eq!(told.stream, "limited");
    assert_eq!(told.refusal.retry_after_ms, error.retry_after_ms());
    (told.shard.0, told.refusal.limit, told.refusal.exceeded_by, error.retry_after_ms())
}

fn aws_reader(stream: &Stream) -> Reader {
    let options = ReaderOptions { shard: Some(0), from: StartAt::TrimHorizon, visibility: Visibility::Published };
    stream.reader(options).expect("a reader")
}

#[test]
fn what_the_limits_allow_of_a_batch_is_appended_in_its_order_and_the_rest_is_named() {
    let world = world(LimitPolicy::Aws);
    let mebibyte = 1 << 20;
    let batch = [(0, mebibyte / 2), (0, mebibyte), (1, mebibyte), (0, mebibyte / 2), (1, 4)];
    let (placements, refused) = append_each(&world.stream, &batch);
    assert_eq!(placements.iter().map(|placement| placement.shard).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(refused.iter().map(|refused| refused.index).collect::<Vec<_>>(), [1, 4]);
    let half = mebibyte as u64 / 2;
    assert_eq!(told_by(&refused[0].error), (0, Limit::WriteBytes, half, Some(500)));
    assert_eq!(told_by(&refused[1].error), (1, Limit::WriteBytes, 4, Some(1)));
    let read = read_all(&world.stream);
    assert_eq!(read.len(), 3, "nothing of what was refused is there");
    for placement in &placements {
        assert!(read.iter().any(|record| (record.shard, record.sequence) == (placement.shard, placement.sequence)));
    }
    world.clock.advance_ms(500);
    assert_eq!(append_each(&world.stream, &[(0, mebibyte / 2), (0, 4)]).1.len(), 1, "half a second brings a half");
}

#[test]
fn an_append_as_a_whole_that_one_shard_cannot_take_appends_nothing_and_uses_nothing_up() {
    let world = world(LimitPolicy::Aws);
    let too_many: Vec<_> = (0..1_001).map(|_| (1, 10)).chain([(0, 1 << 20)]).collect();
    assert_eq!(refusal_of(append_all(&world.stream, &too_many)), (1, Limit::WriteRecords, 1, None));
    let error = append_all(&world.stream, &too_many).expect_err("refused");
    let expected = "expected at most 1000 records a second at shardId-000000000001 of stream limited \
                    (writeRecordsPerSecond), got 1 records more than are left now; \
                    that is more than it ever takes at once: do it in parts";
    assert_eq!(error.message(), expected);
    append_all(&world.stream, &too_many[1..]).expect("shard 0 kept its mebibyte, shard 1 its thousand records");
    assert_eq!(read_all(&world.stream).len(), 1_001);
    assert_eq!(refusal_of(append_all(&world.stream, &[(1, 10)])), (1, Limit::WriteRecords, 1, Some(1)));
    assert_eq!(refusal_of(append_all(&world.stream, &[(0, 10), (1, 10)])).0, 0);
}

#[test]
fn a_record_on_its_own_is_limited_as_one_in_a_batch_is() {
    let slow = ShardLimits { write_records_per_second: Some(2), ..ShardLimits::default() };
    let world = world(LimitPolicy::Custom(slow));
    for _ in 0..2 {
        append_all(&world.stream, &[(0, 10)]).expect("two a second");
    }
    assert_eq!(refusal_of(append_all(&world.stream, &[(0, 10)])), (0, Limit::WriteRecords, 1, Some(500)));
    assert_eq!(append_each(&world.stream, &[(0, 10)]).1.len(), 1);
    append_all(&world.stream, &[(1, 10)]).expect("the other shard has its own");
    world.clock.advance_ms(500);
    append_all(&world.stream, &[(0, 10)]).expect("the time that the refusal told");
}

#[test]
fn a_bad_record_uses_up_nothing_of_its_batch() {
    let world = world(LimitPolicy::Custom(ShardLimits { write_records_per_second: Some(1), ..ShardLimits::default() }));
    let mut bad = StagedRecords::default();
    bad.push("key", Some(0), b"good");
    bad.push("", Some(0), b"bad");
    let refused = world.stream.append(bad.as_staged(), None, Commit::Caller).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(Kind::InvalidKey));
    append_all(&world.stream, &[(0, 10)]).expect("its one record a second");
}

#[test]
fn limits_change_while_they_are_in_use_and_outlive_the_process() {
    let World { directory, clock, engine, stream } = world(LimitPolicy::Unlimited);
    let flood: Vec<_> = (0..5_000).map(|_| (0, 100)).collect();
    append_all(&stream, &flood).expect("nothing is limited");
    engine.set_limits("limited", LimitPolicy::Aws).expect("set");
    assert_eq!(append_each(&stream, &flood).1.len(), 4_000);
    engine.close().expect("closed");
    drop(stream);
    let engine = open(directory.path(), &clock);
    let stream = engine.stream("limited").expect("opens");
    assert_eq!(stream.describe().config.limits, LimitPolicy::Aws);
    assert_eq!(append_each(&stream, &flood).1.len(), 4_000, "tanks are full after an open");
    let nothing = LimitPolicy::Custom(ShardLimits { reads_per_second: Some(0), ..ShardLimits::default() });
    assert_eq!(engine.set_limits("limited", nothing).map_err(|error| error.kind()), Err(Kind::InvalidArgument));
    assert_eq!(stream.describe().config.limits, LimitPolicy::Aws, "what is refused changes nothing");
    engine.set_limits("limited", LimitPolicy::Unlimited).expect("set");
    append_all(&stream, &flood).expect("nothing is limited any more");
}

#[test]
fn reads_under_limits_are_refused_without_data_and_lose_none() {
    let world = world(LimitPolicy::Unlimited);
    for _ in 0..12 {
        append_all(&world.stream, &[(0, 1 << 20)]).expect("unlimited");
    }
    world.engine.set_limits("limited", LimitPolicy::Aws).expect("set");
    let mut reader = aws_reader(&world.stream);
    for _ in 0..12 {
        assert!(matches!(reader.next_admitted(1, 10 << 20), Ok(Step::Chunk(_))), "two MiB a second");
        world.clock.advance_ms(500);
    }
    assert!(matches!(reader.next_admitted(1, 10 << 20), Ok(Step::AtTail)), "a read that finds nothing is one too");
    let mut reader = aws_reader(&world.stream);
    for _ in 0..3 {
        reader.next_admitted(1, 10 << 20).expect("two MiB and one on credit");
    }
    assert_eq!(refusal_of(reader.next_admitted(1, 10 << 20)), (0, Limit::ReadBytes, 1 << 20, Some(500)));
    world.clock.advance_ms(500);
    let mut seen = 3;
    while let Step::Chunk(chunk) = reader.next_admitted(1, 10 << 20).expect("the time that the refusal told") {
        seen += chunk.runs.iter().map(|run| run.records).sum::<u32>();
        world.clock.advance_ms(500);
    }
    assert_eq!(seen, 12, "a refused read skips nothing");
    assert_eq!(read(&world.stream, Some(0), StartAt::TrimHorizon).expect("unlimited").len(), 12, "others read on");
}

#[test]
fn an_answer_of_ten_mebibytes_closes_its_shard_for_five_seconds() {
    let world = world(LimitPolicy::Aws);
    world.stream.admit_read(0).expect("the first");
    world.stream.charge_read(0, 10 << 20);
    world.stream.admit_read(1).expect("the other shard is open");
    world.clock.advance_ms(4_999);
    assert_eq!(refusal_of(world.stream.admit_read(0)).3, Some(1));
    world.clock.advance_ms(1);
    world.stream.admit_read(0).expect("paid for");
}

#[test]
fn iterators_are_limited_for_each_shard() {
    let world = world(LimitPolicy::Aws);
    for _ in 0..5 {
        world.stream.admit_iterator(0).expect("five a second");
    }
    assert_eq!(refusal_of(world.stream.admit_iterator(0)), (0, Limit::Iterators, 1, Some(200)));
    world.stream.admit_iterator(1).expect("the other shard has its own");
}

#[test]
fn larger_records_are_taken_from_the_moment_that_the_stream_allows_them() {
    let world = world(LimitPolicy::Aws);
    let large = 10 << 20;
    let kind = |outcome: Result<()>| outcome.map_err(|error| error.kind());
    assert_eq!(kind(append_all(&world.stream, &[(0, large)])), Err(Kind::RecordTooLarge));
    world.engine.set_max_record_bytes("limited", 10 << 20).expect("set");
    append_all(&world.stream, &[(0, large)]).expect("the burst tank is full");
    assert_eq!(kind(world.engine.set_max_record_bytes("limited", (10 << 20) + 1)), Err(Kind::InvalidArgument));
    assert_eq!(refusal_of(append_all(&world.stream, &[(0, large)])).3, Some(10_000));
    world.engine.set_max_record_bytes("limited", 1_024).expect("set");
    assert_eq!(kind(append_all(&world.stream, &[(1, 1_025)])), Err(Kind::RecordTooLarge));
    assert_eq!(read_all(&world.stream).len(), 1, "what stands there stays");
}

#[test]
fn tags_are_kept_with_the_stream() {
    let World { directory, clock, engine, stream } = world(LimitPolicy::Unlimited);
    let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    engine.tag_stream("limited", tags(&[("team", "orders"), ("env", "test")])).expect("tagged");
    engine.tag_stream("limited", tags(&[("env", "live")])).expect("tagged again");
    engine.untag_stream("limited", ["team".to_owned()].into()).expect("untagged");
    assert_eq!(stream.describe().config.tags, tags(&[("env", "live")]));
    let reserved = engine.tag_stream("limited", tags(&[("aws:x", "")])).map_err(|error| error.kind());
    assert_eq!(reserved, Err(Kind::InvalidArgument));
    append(&stream, &[("key", b"a record")]).expect("appended");
    engine.close().expect("closed");
    drop(stream);
    let engine = open(directory.path(), &clock);
    assert_eq!(engine.list_streams().expect("open")[0].config.tags, tags(&[("env", "live")]));
}
