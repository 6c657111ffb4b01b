//! `ListShards` at any time that is kept, and closed shards that go when their records have expired.

use millrace::shard::ShardId;
use millrace::{Kind, ReaderOptions, ShardFilter, StartAt, Step, Stream, StreamConfig};

use super::{How, World, put, shards};
use crate::support::{HOUR_MS, START_MS};

fn listed(stream: &Stream, filter: ShardFilter) -> Vec<u32> {
    stream.list_shards(filter).expect("listed").iter().map(|shard| shard.id.0).collect()
}

/// Shard 0 is split at 10 s into 1 and 2, and 1 and 2 are merged at 20 s into 3; now it is 30 s.
fn history() -> World {
    let world = World::of(1);
    for second in 1..=30 {
        world.clock.set_wall_ms(START_MS + second * 1_000);
        match second {
            10 => drop(world.stream.split_shard(ShardId(0), None).expect("split")),
            20 => drop(world.stream.merge_shards(ShardId(1), ShardId(2)).expect("merged")),
            _ => drop(put(&world.stream, 0, b"record").expect("appended")),
        }
    }
    world
}

#[test]
fn every_filter_lists_what_kinesis_lists() {
    for how in [None, Some(How::Close), Some(How::Crash)] {
        let world = history();
        let world = how.map(|how| world.again(how)).unwrap_or_else(history);
        let stream = &world.stream;
        let at = |second: u64| START_MS + second * 1_000;
        assert_eq!(listed(stream, ShardFilter::FromTrimHorizon), [0, 1, 2, 3]);
        assert_eq!(listed(stream, ShardFilter::AtTrimHorizon), [0]);
        assert_eq!(listed(stream, ShardFilter::AtLatest), [3]);
        assert_eq!(listed(stream, ShardFilter::AfterShardId(ShardId(1))), [2, 3]);
        assert_eq!(listed(stream, ShardFilter::AfterShardId(ShardId(3))), [0; 0]);
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(at(9))), [0]);
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(at(10))), [0, 1, 2], "what closes and opens at that time");
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(at(11))), [1, 2]);
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(at(20))), [1, 2, 3]);
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(at(21))), [3]);
        assert_eq!(listed(stream, ShardFilter::FromTimestamp(at(10))), [0, 1, 2, 3]);
        assert_eq!(listed(stream, ShardFilter::FromTimestamp(at(11))), [1, 2, 3]);
        assert_eq!(listed(stream, ShardFilter::FromTimestamp(at(30))), [3]);
        assert_eq!(listed(stream, ShardFilter::AtTimestamp(0)), [0], "before the horizon is at the horizon");
        assert_eq!(listed(stream, ShardFilter::FromTimestamp(0)), [0, 1, 2, 3]);
        let future = stream.list_shards(ShardFilter::AtTimestamp(at(31))).expect_err("in the future");
        assert_eq!(future.kind(), Kind::InvalidArgument);
        world.engine.close().expect("closed");
    }
}

#[test]
fn a_closed_shard_can_be_read_until_its_records_have_expired_and_then_it_is_gone() {
    for how in [None, Some(How::Close), Some(How::Crash)] {
        let mut world = World::new(StreamConfig { shards: 2, ..StreamConfig::default() });
        put(&world.stream, 0, b"of the parent").expect("appended");
        world.stream.split_shard(ShardId(0), None).expect("split");
        let mut held = world.stream.reader(ReaderOptions { shard: Some(0), ..ReaderOptions::default() }).expect("open");
        let pass = |world: &World, hours: u64| {
            for _ in 0..hours * 2 {
                world.clock.advance_ms(HOUR_MS / 2);
                put(&world.stream, 0, b"time passes").expect("appended");
                world.engine.expire().expect("expired");
            }
        };
        pass(&world, 23);
        assert_eq!(listed(&world.stream, ShardFilter::FromTrimHorizon), [0, 1, 2, 3]);
        pass(&world, 2);
        assert!(matches!(held.next(1, 1).expect("readable"), Step::EndOfShard(_)), "a reader that held it ends");
        drop(held);
        if let Some(how) = how {
            world = world.again(how);
        }
        assert_eq!(listed(&world.stream, ShardFilter::FromTrimHorizon), [1, 2, 3]);
        assert_eq!(listed(&world.stream, ShardFilter::AtTrimHorizon), [1, 2, 3]);
        let options = ReaderOptions { shard: Some(0), from: StartAt::TrimHorizon, ..ReaderOptions::default() };
        assert_eq!(world.stream.reader(options).expect_err("gone").kind(), Kind::ShardNotFound);
        world.stream.split_shard(ShardId(3), None).expect("split");
        assert_eq!(shards(&world.stream).last().expect("opened").id, ShardId(5), "its number is not given again");
        world.engine.close().expect("closed");
    }
}
