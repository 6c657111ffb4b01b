//! A change of the shard map, and what it does to the shards that it meets.
//!
//! Holds: memory is bounded by the length of the input, what is accepted encodes to the same bytes, a change that fits
//! opens exactly the shards that it names, under the numbers that come next, and closes exactly those that it names; one
//! that does not fit is told apart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::format::change::{ShardChange, next_shard};
use millrace::shard::ShardMap;
use millrace_fuzz::{assert_judged, bounded, shard_entries};

const SEQUENCE: u64 = 7;

fuzz_target!(|input: &[u8]| {
    let Some(change) = bounded(input.len(), 2, || ShardChange::decode(input)) else { return };
    assert_eq!(change.encode(), input, "a change encodes to its own bytes");
    let before = shard_entries(3);
    let mut after = before.clone();
    if change.apply(&mut after, SEQUENCE).is_err() {
        return;
    }
    assert_eq!(after.len(), before.len() + change.opened.len());
    for (number, opened) in (next_shard(&before)..).zip(&change.opened) {
        let entry = after.iter().find(|entry| entry.shard == number).expect("opened under the next number");
        assert_eq!((entry.start, entry.end, entry.opened_at), (opened.start, opened.end, SEQUENCE + 1));
    }
    let closed = after.iter().filter(|entry| entry.closed_at == Some(SEQUENCE)).count();
    assert_eq!(closed, change.closed.len());
    if let Err(error) = ShardMap::from_entries(&after) {
        assert_judged(error.kind(), &[millrace::Kind::Corrupt]);
    }
});
