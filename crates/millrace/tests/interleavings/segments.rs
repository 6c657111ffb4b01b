//! Rolling, preparing, sealing, trimming and using files again, against readers that hold what they were given.
//!
//! In every schedule: bytes that a reader holds never change, not even when their segment has expired and its file is
//! wanted for another; a file that is in use can be seen to be in use; a reader comes upon every record that was not
//! trimmed before it, in order, and upon no error.

use std::sync::Arc;

use millrace::{Chunk, Commit, Engine, Stream, StreamConfig, Visibility};
use shuttle::thread;

use crate::explore::explore;
use crate::world::{Follower, World, append, unpack};

/// Three records fill a segment of 64 KiB.
const RECORD_BYTES: usize = 20_000;
const RECORDS_PER_SEGMENT: u8 = 3;
/// More than the retention of a day.
const TOO_OLD_MS: u64 = 25 * 3_600_000;

/// Fails if the records of a chunk are not those of these counts any more.
fn assert_unchanged(chunk: &Chunk, counts: &[u8]) {
    let records = unpack(chunk);
    assert_eq!(records.len(), counts.len());
    for (record, count) in records.iter().zip(counts) {
        let unchanged = record.data.len() == RECORD_BYTES && record.data.iter().all(|byte| byte == count);
        assert!(unchanged, "record {count} has changed under its reader");
    }
}

#[test]
fn bytes_that_a_reader_holds_never_change() {
    explore("bytes_that_a_reader_holds_never_change", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        let stream = engine.create_stream("clicks", StreamConfig::default()).expect("new");
        fill(&stream, 0, 2 * RECORDS_PER_SEGMENT);
        stream.flush().expect("synced");
        let mut counted = 2 * RECORDS_PER_SEGMENT;
        let mut held = Vec::new();
        for _ in 0..2 {
            let (from, to) = (counted, counted + 3 * RECORDS_PER_SEGMENT);
            counted = to + 1;
            let writer = {
                let stream = stream.clone();
                thread::spawn(move || fill(&stream, from, to))
            };
            let reader = {
                let stream = stream.clone();
                thread::spawn(move || hold(&stream, to))
            };
            let retention = {
                let (world, engine) = (world.clone(), Arc::clone(&engine));
                thread::spawn(move || expire(&world, &engine))
            };
            writer.join().expect("appended");
            retention.join().expect("expired");
            // Too young to have expired before the reader comes to it.
            fill(&stream, to, to + 1);
            stream.flush().expect("synced");
            held.extend(reader.join().expect("read"));
        }
        held.iter().for_each(|(chunk, counts)| assert_unchanged(chunk, counts));
        engine.close().expect("closed");
        held.iter().for_each(|(chunk, counts)| assert_unchanged(chunk, counts));
    });
}

#[test]
fn the_horizon_never_goes_back() {
    explore("the_horizon_never_goes_back", |world| {
        let engine = Arc::new(world.open().expect("a store"));
        let stream = engine.create_stream("clicks", StreamConfig::default()).expect("new");
        fill(&stream, 0, RECORDS_PER_SEGMENT);
        stream.flush().expect("synced");
        world.advance_ms(TOO_OLD_MS);
        let expiring: Vec<_> = (0..2)
            .map(|_| {
                let (world, engine) = (world.clone(), Arc::clone(&engine));
                thread::spawn(move || expire(&world, &engine))
            })
            .collect();
        fill(&stream, RECORDS_PER_SEGMENT, 2 * RECORDS_PER_SEGMENT);
        stream.flush().expect("synced");
        expiring.into_iter().for_each(|thread| thread.join().expect("expired"));
        assert_eq!(engine.warnings(), Vec::<String>::new());
        engine.close().expect("the horizon that is stored last is the furthest");
    });
}

/// Appends the records of these counts.
fn fill(stream: &Stream, from: u8, to: u8) {
    for count in from..to {
        append(stream, "key", &[count; RECORD_BYTES], Commit::Engine).expect("appended");
    }
}

/// Reads from the horizon to the record of this count, and holds all that it comes upon.
fn hold(stream: &Stream, last: u8) -> Vec<(Chunk, Vec<u8>)> {
    let mut follower = Follower::new(stream, Some(0), Visibility::Published).expect("a reader");
    let mut held: Vec<(Chunk, Vec<u8>)> = Vec::new();
    let mut previous = None;
    while previous != Some(last) {
        let chunk = follower.next().expect("a chunk");
        let counts: Vec<_> = unpack(&chunk).iter().map(|record| record.data[0]).collect();
        for count in &counts {
            assert!(previous < Some(*count), "{count} came behind {previous:?}");
            previous = Some(*count);
        }
        assert_unchanged(&chunk, &counts);
        held.push((chunk, counts));
    }
    held
}

fn expire(world: &World, engine: &Engine) {
    world.advance_ms(TOO_OLD_MS);
    engine.expire().expect("open");
    assert_eq!(engine.warnings(), Vec::<String>::new());
}
