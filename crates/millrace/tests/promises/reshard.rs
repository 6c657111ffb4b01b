//! Splits and merges: no record is refused or lands in a closed shard, readers learn where a shard goes on, and what the
//! map was is known again after a close and after a crash.

mod end;
mod listed;
mod load;
mod lost;

use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::shard::{HashKey, Shard, ShardId};
use millrace::{Commit, Engine, Kind, Placement, Reshard, Result, StagedRecords, Stream, StreamConfig};
use tempfile::TempDir;

use crate::support::{self, START_MS, copy_tree, directory, read_all};

/// A stream under a clock that the test holds.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub directory: TempDir,
    pub engine: Engine,
    pub stream: Stream,
}

impl World {
    pub fn new(config: StreamConfig) -> World {
        let (clock, directory) = (Arc::new(ManualClock::new(START_MS)), directory());
        let engine = support::open(directory.path(), &clock);
        let stream = engine.create_stream("s", config).expect("a stream");
        World { clock, directory, engine, stream }
    }

    pub fn of(shards: u32) -> World {
        World::new(StreamConfig { shards, ..StreamConfig::default() })
    }

    /// What a process leaves behind that dies now, or one that closes the store.
    pub fn again(self, how: How) -> World {
        let World { clock, directory: left, engine, .. } = self;
        let copied = directory();
        if how == How::Crash {
            copy_tree(left.path(), copied.path());
        }
        engine.close().expect("closed");
        let directory = if how == How::Crash { copied } else { left };
        let engine = support::open(directory.path(), &clock);
        let stream = engine.stream("s").expect("it opens");
        assert_eq!(engine.warnings(), Vec::<String>::new());
        World { clock, directory, engine, stream }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Close,
    Crash,
}

/// Appends a record of this hash key.
pub fn put(stream: &Stream, hash: u128, data: &[u8]) -> Result<Placement> {
    let mut staged = StagedRecords::default();
    staged.push("key", Some(hash), data);
    let mut placements = Vec::new();
    stream.append(staged.as_staged(), Some(&mut placements), Commit::Caller)?;
    Ok(placements[0])
}

pub fn shards(stream: &Stream) -> Vec<Shard> {
    stream.describe().shards
}

fn open_ids(stream: &Stream) -> Vec<u32> {
    shards(stream).iter().filter(|shard| shard.is_open()).map(|shard| shard.id.0).collect()
}

#[test]
fn records_go_to_the_children_from_the_change_on_and_the_map_outlives_close_and_crash() {
    for how in [How::Close, How::Crash] {
        let world = World::of(2);
        let before = put(&world.stream, 0, b"before").expect("appended");
        world.stream.split_shard(ShardId(0), None).expect("split");
        let after = put(&world.stream, 0, b"after").expect("appended");
        let upper = put(&world.stream, 1 << 126, b"upper").expect("appended");
        assert_eq!([before, after, upper].map(|placement| placement.shard), [0, 2, 3]);
        let told = shards(&world.stream);
        let [parent, child] = [&told[0], &told[2]];
        let closed_at = parent.closed_at.expect("closed").0;
        assert!(before.sequence < closed_at && closed_at < child.opened_at.0 && child.opened_at.0 <= after.sequence);
        let world = world.again(how);
        assert_eq!(shards(&world.stream), told, "{how:?}");
        assert_eq!(put(&world.stream, 0, b"later").expect("appended").shard, 2);
        world.stream.merge_shards(ShardId(3), ShardId(1)).expect("merged");
        assert_eq!(put(&world.stream, u128::MAX, b"merged").expect("appended").shard, 4);
        let world = world.again(how).again(how);
        assert_eq!(open_ids(&world.stream), [2, 4]);
        assert_eq!(read_all(&world.stream).len(), 5);
        world.engine.close().expect("closed");
    }
}

#[test]
fn a_shard_that_never_got_a_record_does_not_end_before_it_begins() {
    let world = World::of(1);
    for shard in [0, 1, 3, 5] {
        world.stream.split_shard(ShardId(shard), None).expect("split");
    }
    world.stream.update_shard_count(3).expect("scaled");
    for shard in shards(&world.stream) {
        assert!(shard.closed_at.is_none_or(|closed_at| shard.opened_at <= closed_at), "{shard:?}");
        let [first, last] = [Some(shard.opened_at), shard.closed_at]
            .map(|sequence| sequence.map(|sequence| world.stream.sequence_number(shard.id.0, sequence.0)));
        assert!(last.is_none_or(|last| first <= Some(last)));
    }
    world.engine.close().expect("closed");
}

#[test]
fn what_is_refused_changes_nothing_and_says_why() {
    let world = World::of(4);
    world.stream.split_shard(ShardId(1), None).expect("split");
    let told = shards(&world.stream);
    let published = world.stream.published();
    let start = told[0].range.start;
    let stream = &world.stream;
    let refused: Vec<(&str, Result<Vec<Shard>>, Kind)> = vec![
        ("no such shard", stream.split_shard(ShardId(9), None), Kind::ShardNotFound),
        ("closed", stream.split_shard(ShardId(1), None), Kind::InvalidArgument),
        ("outside", stream.split_shard(ShardId(0), Some(HashKey(u128::MAX))), Kind::InvalidArgument),
        ("at the start", stream.split_shard(ShardId(0), Some(HashKey(start))), Kind::InvalidArgument),
        ("not adjacent", stream.merge_shards(ShardId(0), ShardId(3)), Kind::InvalidArgument),
        ("closed parent", stream.merge_shards(ShardId(0), ShardId(1)), Kind::InvalidArgument),
        ("itself", stream.merge_shards(ShardId(0), ShardId(0)), Kind::InvalidArgument),
        ("no shards", stream.update_shard_count(0), Kind::InvalidArgument),
        ("less than half", stream.update_shard_count(2), Kind::InvalidArgument),
        ("more than double", stream.update_shard_count(11), Kind::InvalidArgument),
    ];
    for (what, outcome, kind) in refused {
        assert_eq!(outcome.expect_err(what).kind(), kind, "{what}");
    }
    assert_eq!(shards(stream), told);
    assert_eq!(stream.published(), published, "nothing was written");
    world.engine.delete_stream("s").expect("deleted");
    assert_eq!(stream.split_shard(ShardId(0), None).expect_err("deleted").kind(), Kind::StreamDeleting);
    world.engine.close().expect("closed");
    assert_eq!(stream.split_shard(ShardId(0), None).expect_err("closed").kind(), Kind::Closed);
}

type Act = fn(&Stream) -> Result<Vec<Shard>>;

#[test]
fn what_a_change_would_open_is_what_it_opens_and_asking_changes_nothing() {
    let (split, merge) = (ShardId(1), (ShardId(2), ShardId(3)));
    let world = World::of(4);
    let before = shards(&world.stream);
    let asked = [
        Reshard::Split { shard: split, at: None },
        Reshard::Merge { shard: merge.0, adjacent: merge.1 },
        Reshard::Count(6),
    ];
    let done: [Act; 3] = [
        |stream| stream.split_shard(ShardId(1), None),
        |stream| stream.merge_shards(ShardId(2), ShardId(3)),
        |stream| stream.update_shard_count(6),
    ];
    for (change, act) in asked.into_iter().zip(done) {
        let world = World::of(4);
        let planned = world.stream.plan_reshard(change).expect("a plan");
        assert_eq!(shards(&world.stream), before);
        let opened = act(&world.stream).expect("a change");
        let of =
            |shards: &[Shard]| shards.iter().map(|s| (s.id, s.range, s.parent, s.adjacent_parent)).collect::<Vec<_>>();
        assert_eq!(of(&planned), of(&opened), "{change:?}");
    }
    assert_eq!(world.stream.plan_reshard(Reshard::Count(4)).expect("nothing to do"), []);
    let refused = world.stream.plan_reshard(Reshard::Count(9)).expect_err("more than double");
    assert_eq!(refused.kind(), Kind::InvalidArgument);
}

#[test]
fn the_number_of_shards_changes_ten_times_in_24_hours_whatever_happens_between() {
    let mut world = World::of(1);
    for round in 0..10 {
        let count = if round % 2 == 0 { 2 } else { 1 };
        world.stream.update_shard_count(count).expect("one of ten");
        if round == 5 {
            world = world.again(How::Crash);
        }
    }
    let told = shards(&world.stream);
    assert_eq!(world.stream.update_shard_count(2).expect_err("the eleventh").kind(), Kind::LimitExceeded);
    assert_eq!(shards(&world.stream), told);
    let only = open_ids(&world.stream)[0];
    world.stream.split_shard(ShardId(only), None).expect("a split is another matter");
    world.clock.set_wall_ms(START_MS + 24 * support::HOUR_MS);
    let world = world.again(How::Close);
    world.stream.update_shard_count(1).expect("a day later");
    world.engine.close().expect("closed");
}

#[test]
fn a_change_is_on_disk_when_it_is_told_whatever_the_durability() {
    let world = World::new(StreamConfig { durability: millrace::Durability::Os, ..StreamConfig::default() });
    put(&world.stream, 0, b"unsynced").expect("appended");
    world.stream.split_shard(ShardId(0), None).expect("split");
    assert_eq!(world.stream.durable(), world.stream.published());
    world.engine.close().expect("closed");
}
