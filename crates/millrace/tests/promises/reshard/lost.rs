//! A change of the shard map that is damaged: told by its name, never followed by a wrong map, and mended by a repair.

use std::fs::OpenOptions as FileOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use millrace::shard::ShardId;
use millrace::{Engine, Environment, Kind, Meaning, Position, StartAt, repair, verify};

use super::{How, World, put};
use crate::support::{self, copy_tree, directory, read, read_all};

/// Where in a change's frame to hit it: in its head, or in the payload behind the only entry of its run table.
const HEAD: u64 = 8;
const PAYLOAD: u64 = 64 + 32 + 4;

fn segment_of(store: &Path, place: Position) -> PathBuf {
    store.join(format!("streams/{:016x}/{:08x}.seg", 1, place.segment))
}

/// Changes one byte of a frame.
fn hit(store: &Path, frame: Position, at: u64) {
    let file = FileOptions::new().read(true).write(true).open(segment_of(store, frame)).expect("opened");
    let (mut byte, offset) = ([0], u64::from(frame.offset) + at);
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], offset).expect("written");
}

/// A stream that is split between two records, and the place of the change.
fn split() -> (World, Position) {
    let world = World::of(2);
    put(&world.stream, 0, b"before").expect("appended");
    let frame = world.stream.published();
    world.stream.split_shard(ShardId(0), None).expect("split");
    put(&world.stream, 0, b"after").expect("appended");
    world.stream.flush().expect("flushed");
    (world, frame)
}

/// The store as a process leaves it that closes it, or that dies.
fn left(world: World, how: How) -> tempfile::TempDir {
    let left = directory();
    if how == How::Close {
        world.engine.close().expect("closed");
    }
    copy_tree(world.directory.path(), left.path());
    left
}

#[test]
fn a_lost_change_is_told_when_the_stream_is_opened_and_a_repair_gives_its_keys_new_shards() {
    for (how, at) in [(How::Close, HEAD), (How::Close, PAYLOAD), (How::Crash, HEAD), (How::Crash, PAYLOAD)] {
        let (world, frame) = split();
        let clock = std::sync::Arc::clone(&world.clock);
        let store = left(world, how);
        hit(store.path(), frame, at);
        let told = verify(store.path(), &Environment::default(), |_, _| true).expect("readable").damages;
        let meanings: Vec<_> = told.iter().filter_map(|damage| Some(damage.finding.as_ref()?.meaning)).collect();
        let expected = if at == HEAD { Meaning::Damaged } else { Meaning::ShardChange };
        assert!(meanings.contains(&expected), "{how:?} {at}: {told:?}");
        let engine = support::open(store.path(), &clock);
        let refusal = engine.stream("s").expect_err("nobody knows where records belong");
        assert_eq!(refusal.kind(), Kind::Corrupt, "{refusal}");
        assert!(refusal.message().contains("a change of its shards"), "{refusal}");
        engine.close().expect("closed");
        let copy = directory();
        let target = copy.path().join("copy");
        let report = repair(store.path(), &target, &Environment::default(), |_, _| true).expect("copied");
        let damages = report.expect("not stopped").damages;
        assert!(damages.iter().any(|damage| damage.message.contains("2 new shards")), "{damages:?}");
        let engine = Engine::open(&target, support::options(&clock)).expect("it opens");
        let stream = engine.stream("s").expect("it opens");
        assert_eq!(engine.warnings(), Vec::<String>::new());
        assert_eq!(read_all(&stream).iter().map(|record| record.shard).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(read(&stream, Some(2), StartAt::TrimHorizon).expect("listed").len(), 1);
        let open: Vec<_> = super::open_ids(&stream);
        assert_eq!(open, [4, 5], "no number is given again");
        assert_eq!(put(&stream, 0, b"on").expect("appended").shard, 4);
        engine.close().expect("closed");
    }
}

#[test]
fn a_damaged_change_is_reported_and_the_map_is_right_where_a_later_segment_opens_with_it() {
    for at in [HEAD, PAYLOAD] {
        let (world, frame) = split();
        let clock = std::sync::Arc::clone(&world.clock);
        // After a crash the stream goes on in a new segment.
        let world = world.again(How::Crash);
        put(&world.stream, 1 << 126, b"later").expect("appended");
        let map = super::shards(&world.stream);
        let store = left(world, How::Close);
        hit(store.path(), frame, at);
        let told = verify(store.path(), &Environment::default(), |_, _| true).expect("readable").damages;
        assert!(!told.is_empty(), "{at}");
        let engine = support::open(store.path(), &clock);
        let stream = engine.stream("s").expect("it opens");
        assert_eq!(super::shards(&stream), map);
        engine.close().expect("closed");
        let copy = directory();
        let target = copy.path().join("copy");
        repair(store.path(), &target, &Environment::default(), |_, _| true).expect("copied");
        let engine = Engine::open(&target, support::options(&clock)).expect("it opens");
        assert_eq!(super::shards(&engine.stream("s").expect("it opens")), map, "the copy goes on with the same map");
        engine.close().expect("closed");
    }
}

#[test]
fn a_repaired_copy_of_a_sound_store_has_its_changes_and_its_map() {
    let (world, _) = split();
    world.stream.update_shard_count(5).expect("scaled");
    put(&world.stream, 0, b"on").expect("appended");
    let (map, records) = (super::shards(&world.stream), read_all(&world.stream));
    let clock = std::sync::Arc::clone(&world.clock);
    let store = left(world, How::Close);
    let copy = directory();
    let target = copy.path().join("copy");
    let report = repair(store.path(), &target, &Environment::default(), |_, _| true).expect("copied");
    assert!(report.expect("not stopped").damages.is_empty());
    let engine = Engine::open(&target, support::options(&clock)).expect("it opens");
    let stream = engine.stream("s").expect("it opens");
    assert_eq!((super::shards(&stream), read_all(&stream)), (map, records));
    engine.close().expect("closed");
    let told = verify(&target, &Environment::default(), |_, _| true).expect("readable");
    assert_eq!(told.damages, []);
}
