//! The end of a shard: its reader is told, after the last record and not sooner, and wakes up for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::shard::ShardId;
use millrace::{Change, Kind, Reader, ReaderOptions, StartAt, Step, Stream, StreamConfig, Visibility, Wake};

use super::{How, World, put, shards};
use crate::support::{Record, drain, read, unpack};

fn reader(stream: &Stream, shard: u32, from: StartAt, visibility: Visibility) -> Reader {
    stream.reader(ReaderOptions { shard: Some(shard), from, visibility }).expect("a reader")
}

/// Reads on; returns the records and, at the end of the shard, its children.
fn read_on(reader: &mut Reader) -> (Vec<Record>, Option<Vec<u32>>) {
    let mut records = Vec::new();
    loop {
        match reader.next(3, 1 << 20).expect("readable") {
            Step::Chunk(chunk) => unpack(&chunk, &mut records),
            Step::AtTail => return (records, None),
            Step::EndOfShard(children) => {
                return (records, Some(children.iter().map(|child| child.id.0).collect()));
            }
        }
    }
}

fn ends(stream: &Stream, shard: u32, from: StartAt) -> (usize, Option<Vec<u32>>) {
    let (records, children) = read_on(&mut reader(stream, shard, from, Visibility::Durable));
    (records.len(), children)
}

#[test]
fn a_reader_gets_all_records_of_its_shard_and_then_its_children() {
    for how in [None, Some(How::Close), Some(How::Crash)] {
        let mut world = World::of(2);
        let mut last = 0;
        for number in 0..10_u8 {
            last = put(&world.stream, 0, &[number]).expect("appended").sequence;
            put(&world.stream, u128::MAX, &[number]).expect("appended");
        }
        let mut follower = reader(&world.stream, 0, StartAt::TrimHorizon, Visibility::Published);
        assert_eq!(read_on(&mut follower).1, None, "an open shard has no end");
        world.stream.split_shard(ShardId(0), None).expect("split");
        assert_eq!(read_on(&mut follower), (Vec::new(), Some(vec![2, 3])));
        assert_eq!(read_on(&mut follower).1, Some(vec![2, 3]), "again and again");
        put(&world.stream, 0, b"child").expect("appended");
        drop(follower);
        world.stream.merge_shards(ShardId(3), ShardId(1)).expect("merged");
        if let Some(how) = how {
            world = world.again(how);
        }
        world.stream.flush().expect("flushed");
        let stream = &world.stream;
        assert_eq!(ends(stream, 0, StartAt::TrimHorizon), (10, Some(vec![2, 3])));
        assert_eq!(ends(stream, 0, StartAt::Latest), (0, Some(vec![2, 3])));
        assert_eq!(ends(stream, 0, StartAt::AtSequence(last)), (1, Some(vec![2, 3])));
        assert_eq!(ends(stream, 0, StartAt::AfterSequence(last)), (0, Some(vec![2, 3])));
        assert_eq!(ends(stream, 1, StartAt::TrimHorizon), (10, Some(vec![4])));
        assert_eq!(ends(stream, 3, StartAt::TrimHorizon), (0, Some(vec![4])));
        assert_eq!(ends(stream, 2, StartAt::TrimHorizon), (1, None));
        world.engine.close().expect("closed");
    }
}

#[test]
fn children_are_told_with_their_ranges_and_parents() {
    let world = World::of(1);
    world.stream.split_shard(ShardId(0), None).expect("split");
    let mut reader = reader(&world.stream, 0, StartAt::TrimHorizon, Visibility::Durable);
    let Step::EndOfShard(children) = reader.next(1, 1).expect("readable") else { unreachable!("its end") };
    assert_eq!(children, shards(&world.stream)[1..]);
    world.engine.close().expect("closed");
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_reader_that_waits_is_woken_when_its_shard_is_closed() {
    let world = World::of(1);
    for visibility in [Visibility::Durable, Visibility::Published] {
        let shard = shards(&world.stream).iter().filter(|shard| shard.is_open()).map(|shard| shard.id).next_back();
        let shard = shard.expect("one is open");
        let mut waiting = reader(&world.stream, shard.0, StartAt::Latest, visibility);
        assert!(matches!(waiting.next(1, 1).expect("readable"), Step::AtTail));
        let woken = Arc::new(Count::default());
        let change = world.stream.change_of(visibility);
        let _registration = world.stream.on_change(change, Arc::clone(&woken) as _);
        world.stream.split_shard(shard, None).expect("split");
        assert!(woken.0.load(Ordering::SeqCst) > 0, "{change:?}");
        assert!(matches!(waiting.next(1, 1).expect("readable"), Step::EndOfShard(_)));
    }
    assert_eq!(world.stream.change_of(Visibility::Durable), Change::Durable);
    world.engine.close().expect("closed");
}

#[test]
fn a_whole_stream_reader_comes_to_parents_before_children_over_any_chain() {
    let world = World::of(1);
    let mut hash_of_key = Vec::new();
    for round in 0..40_u32 {
        for key in 0..8_u32 {
            let hash = u128::from(key) << 125;
            hash_of_key.push((round, key));
            put(&world.stream, hash, &[round.to_le_bytes(), key.to_le_bytes()].concat()).expect("appended");
        }
        let open: Vec<_> = shards(&world.stream).into_iter().filter(millrace::shard::Shard::is_open).collect();
        let widest = open.iter().max_by_key(|shard| shard.range.end - shard.range.start).expect("one is open");
        if open.len() < 5 || round % 3 == 0 {
            world.stream.split_shard(widest.id, None).expect("split");
        } else {
            let mut by_range: Vec<_> = open.iter().map(|shard| (shard.range.start, shard.id)).collect();
            by_range.sort_unstable();
            world.stream.merge_shards(by_range[0].1, by_range[1].1).expect("merged");
        }
    }
    let world = world.again(How::Crash);
    let records = read(&world.stream, None, StartAt::TrimHorizon).expect("readable");
    let word = |data: &[u8], at: usize| u32::from_le_bytes(data[at..at + 4].try_into().expect("4 bytes"));
    let read: Vec<_> = records.iter().map(|record| (word(&record.data, 0), word(&record.data, 4))).collect();
    assert_eq!(read, hash_of_key, "each key in its order, and all of them");
    let map = shards(&world.stream);
    let mut ended = Vec::new();
    for record in &records {
        let shard = map.iter().find(|shard| shard.id.0 == record.shard).expect("listed");
        assert!(!ended.contains(&shard.id), "{} has a record behind one of its children's", shard.id);
        ended.extend([shard.parent, shard.adjacent_parent].into_iter().flatten());
    }
    let family = ReaderOptions { shard: Some(0), from: StartAt::TrimHorizon, visibility: Visibility::Durable };
    let of_family = drain(&mut world.stream.family_reader(family).expect("a reader")).expect("readable");
    assert_eq!(of_family, records, "all shards came of the first one");
    // Shard by shard, parents first, gives each key in its order too.
    for key in 0..8 {
        let mut rounds = Vec::new();
        for shard in &map {
            let of_shard = drain(&mut reader(&world.stream, shard.id.0, StartAt::TrimHorizon, Visibility::Durable));
            let of_key = of_shard.expect("readable").into_iter().filter(|record| word(&record.data, 4) == key);
            rounds.extend(of_key.map(|record| word(&record.data, 0)));
        }
        assert_eq!(rounds, (0..40).collect::<Vec<_>>(), "key {key}");
    }
    world.engine.close().expect("closed");
}

#[test]
fn a_shard_ends_for_readers_of_what_is_durable_when_its_change_is() {
    let world = World::new(StreamConfig { durability: millrace::Durability::Os, ..StreamConfig::default() });
    put(&world.stream, 0, b"record").expect("appended");
    world.stream.split_shard(ShardId(0), None).expect("split");
    let mut reader = reader(&world.stream, 0, StartAt::TrimHorizon, Visibility::Durable);
    assert_eq!(read_on(&mut reader).0.len(), 1);
    let options = ReaderOptions { shard: Some(3), ..ReaderOptions::default() };
    assert_eq!(world.stream.reader(options).expect_err("no such shard").kind(), Kind::ShardNotFound);
    world.engine.close().expect("closed");
}

#[test]
fn a_reader_of_a_family_sees_its_shard_and_what_came_of_it_and_nothing_else() {
    for how in [None, Some(How::Close), Some(How::Crash)] {
        let mut world = World::of(2);
        let family = |stream: &Stream| {
            let options =
                ReaderOptions { shard: Some(0), from: StartAt::TrimHorizon, visibility: Visibility::Published };
            stream.family_reader(options).expect("a reader")
        };
        let mut follower = family(&world.stream);
        let mut followed = Vec::new();
        for change in 0..4 {
            for hash in [0, 1 << 126, 1 << 127, u128::MAX] {
                put(&world.stream, hash, b"record").expect("appended");
            }
            followed.extend(drain(&mut follower).expect("readable"));
            match change {
                0 => drop(world.stream.split_shard(ShardId(0), None).expect("split")),
                1 => drop(world.stream.split_shard(ShardId(3), None).expect("split")),
                2 => drop(world.stream.merge_shards(ShardId(5), ShardId(1)).expect("merged")),
                _ => {}
            }
        }
        drop(follower);
        if let Some(how) = how {
            world = world.again(how);
        }
        let seen: Vec<_> = followed.iter().map(|record| record.shard).collect();
        assert_eq!(seen, [0, 0, 2, 3, 2, 4, 2, 4, 6, 6], "shard 1 is none of the family, what it was merged into is");
        assert_eq!(drain(&mut family(&world.stream)).expect("readable"), followed);
        world.engine.close().expect("closed");
    }
}
