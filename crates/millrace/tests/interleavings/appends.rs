//! Appending, syncing, waiting, reading: the tail, the watermark and those who wait for them.
//!
//! In every schedule: a shard's records come in order, whole and once; nothing is acknowledged, or seen by a durable
//! reader, that no sync has covered which began after it; `durable <= published`; and everybody who waits is woken.

use std::sync::Arc;

use millrace::{Commit, Durability, Kind, Stream, StreamConfig, Visibility};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::explore::explore;
use crate::world::{Follower, Record, World, append, assert_ordered};

const APPENDERS: usize = 2;
const APPENDS: usize = 2;

#[test]
fn acknowledged_appends_are_on_disk_and_seen_in_order_under_synced() {
    explore("acknowledged_appends_are_on_disk_and_seen_in_order_under_synced", |world| {
        appends(world, Durability::Synced)
    });
}

#[test]
fn acknowledged_appends_are_seen_in_order_under_interval() {
    explore("acknowledged_appends_are_seen_in_order_under_interval", |world| {
        appends(world, Durability::Interval { ms: 5 });
    });
}

#[test]
fn acknowledged_appends_are_seen_in_order_under_os() {
    explore("acknowledged_appends_are_seen_in_order_under_os", |world| appends(world, Durability::Os));
}

fn appends(world: &World, durability: Durability) {
    let engine = world.open().expect("a store");
    let stream =
        engine.create_stream("clicks", StreamConfig { shards: 2, durability, ..StreamConfig::default() }).expect("new");
    let done = Arc::new(AtomicBool::new(false));
    let time = {
        let (world, done) = (world.clone(), Arc::clone(&done));
        let runs = matches!(durability, Durability::Interval { .. });
        thread::spawn(move || {
            while runs && !done.load(Ordering::SeqCst) {
                world.advance_ms(5);
                thread::yield_now();
            }
        })
    };
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|appender| {
            let (world, stream) = (world.clone(), stream.clone());
            thread::spawn(move || append_and_wait(&world, &stream, durability, appender))
        })
        .collect();
    let readers: Vec<_> = [Visibility::Durable, Visibility::Published]
        .into_iter()
        .map(|visibility| {
            let (world, stream) = (world.clone(), stream.clone());
            thread::spawn(move || read_all(&world, &stream, visibility))
        })
        .collect();
    appenders.into_iter().for_each(|appender| appender.join().expect("no appender fails"));
    for reader in readers {
        assert_all_there(&reader.join().expect("no reader fails"));
    }
    done.store(true, Ordering::SeqCst);
    time.join().expect("time passes");
    engine.close().expect("closed");
    if durability == Durability::Synced {
        world.assert_synced(&stream, stream.published());
    }
}

fn append_and_wait(world: &World, stream: &Stream, durability: Durability, appender: usize) {
    for count in 0..APPENDS {
        let data = [u8::try_from(appender).expect("few"), u8::try_from(count).expect("few")];
        let caller_syncs = appender == 1 && durability != Durability::Os;
        let commit = if caller_syncs { Commit::Caller } else { Commit::Engine };
        let end = append(stream, &format!("key {appender}"), &data, commit).expect("appended");
        if caller_syncs {
            stream.flush().expect("synced");
        } else {
            stream.wait_acknowledged(end).expect("acknowledged");
        }
        assert!(stream.acknowledged() >= end, "acknowledged is what was waited for");
        if durability == Durability::Synced || caller_syncs {
            world.assert_synced(stream, end);
        }
        assert!(stream.durable() <= stream.published(), "nothing is durable that is not published");
    }
}

fn read_all(world: &World, stream: &Stream, visibility: Visibility) -> Vec<Record> {
    let durable = visibility == Visibility::Durable;
    let synced = durable && stream.change_of(visibility) == millrace::Change::Durable;
    let mut follower = Follower::new(stream, None, visibility).expect("a reader");
    let look = |chunk: &millrace::Chunk| {
        for run in chunk.runs.iter().filter(|_| synced) {
            world.assert_synced(stream, millrace::Position::new(chunk.file.segment, run.payload.end));
        }
    };
    follower.take(APPENDERS * APPENDS, look).expect("records")
}

/// The records of each appender are there once, in their order.
fn assert_all_there(records: &[Record]) {
    assert_eq!(records.len(), APPENDERS * APPENDS);
    assert_ordered(records);
    for appender in 0..APPENDERS {
        let of_appender = records.iter().filter(|record| usize::from(record.data[0]) == appender);
        let counts: Vec<_> = of_appender.map(|record| usize::from(record.data[1])).collect();
        assert_eq!(counts, (0..APPENDS).collect::<Vec<_>>(), "the appends of {appender} in their order");
    }
}

/// A sync fails while appends and waits are under way: whoever waits is told, nobody is acknowledged from then on, and
/// readers go on with what was durable.
#[test]
fn everybody_who_waits_is_told_of_a_failed_sync() {
    explore("everybody_who_waits_is_told_of_a_failed_sync", |world| {
        let engine = world.open().expect("a store");
        let stream = engine.create_stream("clicks", StreamConfig::default()).expect("new");
        let appenders: Vec<_> = (0..3)
            .map(|appender| {
                let (world, stream) = (world.clone(), stream.clone());
                thread::spawn(move || append_until_it_fails(&world, &stream, appender))
            })
            .collect();
        let failing = {
            let world = world.clone();
            thread::spawn(move || world.disk.fail_syncs())
        };
        failing.join().expect("the disk fails");
        appenders.into_iter().for_each(|appender| appender.join().expect("no appender panics"));
        // The control log's disk has failed too, so that the close can only fail; it ends all the same.
        assert!(engine.close().is_err(), "a store that cannot be synced is not closed cleanly");
        assert!(stream.check_poison().is_err());
    });
}

fn append_until_it_fails(world: &World, stream: &Stream, appender: usize) {
    loop {
        let caller_syncs = appender == 1;
        let commit = if caller_syncs { Commit::Caller } else { Commit::Engine };
        let end = match append(stream, "key", &[0], commit) {
            Ok(end) => end,
            Err(error) => return assert_eq!(error.kind(), Kind::Poisoned),
        };
        match if caller_syncs { stream.flush() } else { stream.wait_acknowledged(end) } {
            Ok(()) => world.assert_synced(stream, end),
            Err(error) => return assert_eq!(error.kind(), Kind::OutcomeUnknown),
        }
    }
}
