//! Splits and merges while others append, and read to the end of a shard: the map and its generation, which change under
//! the append lock, and the appends that were routed before.
//!
//! In every schedule: no append is refused, each record is in a shard that was open at its place and holds its hash key,
//! a reader of a closed shard gets all of its records before its end, and whoever waits for that end is woken.

use std::sync::Arc;

use millrace::shard::{HashKey, Shard, ShardId};
use millrace::{
    Commit, Durability, ReaderOptions, StagedRecords, StartAt, Step, Stream, StreamConfig, Visibility, Wake,
};
use shuttle::thread;

use crate::explore::explore;
use crate::world::{Bell, Record, World, assert_ordered, unpack};

const APPENDS: u8 = 3;

#[test]
fn no_append_is_refused_or_misplaced_while_shards_change() {
    explore("no_append_is_refused_or_misplaced_while_shards_change", |world| {
        let engine = world.open().expect("a store");
        let config = StreamConfig { durability: Durability::Os, ..StreamConfig::default() };
        let stream = engine.create_stream("clicks", config).expect("new");
        let appenders = [1, 2].map(|batch| {
            let stream = stream.clone();
            thread::spawn(move || append_some(&stream, batch))
        });
        let reader = {
            let stream = stream.clone();
            thread::spawn(move || read_to_end(&stream, 0))
        };
        change(world, &stream);
        appenders.into_iter().for_each(|appender| appender.join().expect("no append is refused"));
        let (of_first, children) = reader.join().expect("its end comes");
        assert_eq!(children.iter().map(|child| child.id.0).collect::<Vec<_>>(), [1, 2]);
        let map = stream.describe().shards;
        let options = ReaderOptions { from: StartAt::TrimHorizon, visibility: Visibility::Published, shard: None };
        let all = drain(stream.reader(options).expect("a reader"));
        assert_eq!(all.len(), usize::from(APPENDS) * 3);
        assert_ordered(&all);
        all.iter().for_each(|record| assert_belongs(&map, record));
        let first: Vec<_> = all.iter().filter(|record| record.shard == 0).cloned().collect();
        assert_eq!(of_first, first, "all records of the shard, before its end");
        engine.close().expect("closed");
    });
}

/// A split, and a merge of what it made.
fn change(world: &World, stream: &Stream) {
    stream.split_shard(ShardId(0), None).expect("split");
    world.assert_synced(stream, stream.durable());
    stream.merge_shards(ShardId(1), ShardId(2)).expect("merged");
}

fn append_some(stream: &Stream, batch: u8) {
    for count in 0..APPENDS {
        let mut staged = StagedRecords::default();
        for number in 0..batch {
            // The first of a batch lies in the lower half, the second in the upper one.
            staged.push("key", Some(u128::from(number) << 127), &[number, count]);
        }
        stream.append(staged.as_staged(), None, Commit::Engine).expect("no append is refused");
    }
}

fn assert_belongs(map: &[Shard], record: &Record) {
    let shard = map.iter().find(|shard| shard.id == ShardId(record.shard)).expect("listed");
    assert!(shard.range.contains(HashKey(u128::from(record.data[0]) << 127)), "{record:?} in {shard:?}");
    let is_open = shard.opened_at.0 <= record.sequence;
    assert!(is_open && shard.closed_at.is_none_or(|at| record.sequence < at.0), "{record:?} in {shard:?}");
}

/// Reads a shard to its end, waiting at the tail.
fn read_to_end(stream: &Stream, shard: u32) -> (Vec<Record>, Vec<Shard>) {
    let visibility = Visibility::Published;
    let options = ReaderOptions { shard: Some(shard), from: StartAt::TrimHorizon, visibility };
    let mut reader = stream.reader(options).expect("a reader");
    let bell = Arc::new(Bell::default());
    let _registration = stream.on_change(stream.change_of(visibility), Arc::clone(&bell) as Arc<dyn Wake>);
    let mut records = Vec::new();
    loop {
        match reader.next(100, 1 << 20).expect("readable") {
            Step::Chunk(chunk) => records.extend(unpack(&chunk)),
            Step::EndOfShard(children) => return (records, children),
            Step::AtTail => bell.wait(),
        }
    }
}

fn drain(mut reader: millrace::Reader) -> Vec<Record> {
    let mut records = Vec::new();
    while let Step::Chunk(chunk) = reader.next(100, 1 << 20).expect("readable") {
        records.extend(unpack(&chunk));
    }
    records
}
