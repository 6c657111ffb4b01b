//! Under load: threads append while shards split and merge. No append fails, and what each thread wrote of a key is read
//! in its order, from shards that held the key at that place of the log.

use std::sync::atomic::{AtomicBool, Ordering};

use millrace::shard::{HashRange, ShardId};
use millrace::{Commit, Durability, StagedRecords, StartAt, Stream, StreamConfig};

use super::{How, World, shards};
use crate::support::read;

const WRITERS: u64 = 3;
const CHANGES: usize = 60;

/// Appends batches of `batch` records until told to stop; returns how many.
fn write(stream: &Stream, writer: u64, batch: u64, stop: &AtomicBool) -> u64 {
    let mut written = 0;
    let mut staged = StagedRecords::default();
    while !stop.load(Ordering::Relaxed) {
        staged.clear();
        for number in written..written + batch {
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            staged.push("key", Some(u128::from(spread) << 64), &[writer.to_le_bytes(), number.to_le_bytes()].concat());
        }
        stream.append(staged.as_staged(), None, Commit::Engine).expect("no append is refused");
        written += batch;
    }
    written
}

/// Splits the widest shard or merges the first two, so that there are always some.
fn change(stream: &Stream, number: usize) {
    let mut open: Vec<_> = shards(stream).into_iter().filter(millrace::shard::Shard::is_open).collect();
    open.sort_by_key(|shard| shard.range.start);
    let _opened = match number % 3 {
        0 => {
            let widest = open.iter().max_by_key(|shard| shard.range.end - shard.range.start).expect("one is open");
            stream.split_shard(widest.id, None).expect("split")
        }
        1 if open.len() > 2 => stream.merge_shards(open[0].id, open[1].id).expect("merged"),
        _ => stream.split_shard(open[0].id, None).expect("split"),
    };
}

fn reshard_under_load(durability: Durability, batches: [u64; 3]) {
    let world = World::new(StreamConfig { durability, shards: 2, ..StreamConfig::default() });
    let stop = AtomicBool::new(false);
    let written: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .zip(batches)
            .map(|(writer, batch)| {
                let (stream, stop) = (world.stream.clone(), &stop);
                scope.spawn(move || write(&stream, writer, batch, stop))
            })
            .collect();
        (0..CHANGES).for_each(|number| change(&world.stream, number));
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("no append is refused")).collect()
    });
    world.stream.flush().expect("flushed");
    let map = shards(&world.stream);
    let world = world.again(How::Crash);
    assert_eq!(shards(&world.stream), map);
    let mut next = vec![0; written.len()];
    for record in read(&world.stream, None, StartAt::TrimHorizon).expect("readable") {
        let word = |at: usize| u64::from_le_bytes(record.data[at..at + 8].try_into().expect("8 bytes"));
        let (writer, number) = (usize::try_from(word(0)).expect("few"), word(8));
        let shard = map.iter().find(|shard| shard.id == ShardId(record.shard)).expect("listed");
        let hash = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
        let HashRange { start, end } = shard.range;
        assert!((start..=end).contains(&hash), "{number} of {writer} lies in {}", shard.id);
        assert!(shard.opened_at.0 <= record.sequence, "{} is not open yet at {}", shard.id, record.sequence);
        assert!(shard.closed_at.is_none_or(|closed_at| record.sequence < closed_at.0), "{} is closed", shard.id);
        next[writer] += 1;
    }
    assert_eq!(next, written, "each record once");
    world.engine.close().expect("closed");
}

#[test]
fn no_record_is_refused_lost_or_put_into_a_closed_shard_while_shards_change() {
    reshard_under_load(Durability::Os, [1, 7, 500]);
    reshard_under_load(Durability::Synced, [1, 1, 40]);
}
