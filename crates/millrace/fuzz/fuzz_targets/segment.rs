//! A segment's header page and the snapshot that it opens with.
//!
//! Holds: what is accepted encodes to the same bytes, a flipped bit is noticed, and a shard map that is accepted sends
//! each hash key to an open shard whose range holds it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use millrace::format::snapshot::Opening;
use millrace::shard::{HashKey, HashRange, SequenceNumber, Shard, ShardId, ShardMap};
use millrace_fuzz::{Source, assert_judged, bounded, flip, seal_segment_header};

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let (sealed, choice) = (!source.one_in(4), source.u32());
    let bytes = source.rest();
    check_header(bytes, sealed, choice);
    if let Some(opening) = bounded(bytes.len(), 2, || Opening::decode(bytes)) {
        assert_eq!(opening.encode(), bytes, "an opening encodes to its own bytes");
        check_shards(&opening, u128::from(choice) << 96);
    }
});

fn check_header(bytes: &[u8], sealed: bool, choice: u32) {
    let mut page = bytes.to_vec();
    page.resize(SEGMENT_HEADER_BYTES as usize, 0);
    if sealed {
        seal_segment_header(&mut page);
    }
    match bounded(0, 0, || SegmentHeader::decode(&page)) {
        Err(error) => assert_judged(error.kind(), &[Kind::Corrupt, Kind::FormatNewer]),
        Ok(header) => {
            let mut again = header.encode();
            // What an older version wrote is written by this one under its own number.
            again[8..10].copy_from_slice(&page[8..10]);
            seal_segment_header(&mut again);
            assert_eq!(again, page, "a header encodes to its own bytes");
            assert!(header.reserved_from <= header.reserved_until, "a reservation is a range");
            let bit = flip(&mut page, choice);
            assert!(SegmentHeader::decode(&page).is_err(), "bit {bit} was flipped and nobody noticed");
        }
    }
}

fn check_shards(opening: &Opening, key: u128) {
    let [zero, one] = [0, 1];
    let shards = opening.shards.iter().map(|shard| Shard {
        id: ShardId(shard.shard),
        range: HashRange { start: shard.start, end: shard.end },
        parent: shard.parents[zero].map(ShardId),
        adjacent_parent: shard.parents[one].map(ShardId),
        opened_at: SequenceNumber(shard.opened_at),
        closed_at: shard.closed_at.map(SequenceNumber),
    });
    let map = match ShardMap::from_shards(shards.collect()) {
        Err(error) => return assert_judged(error.kind(), &[Kind::Corrupt]),
        Ok(map) => map,
    };
    let edges = opening.shards.iter().flat_map(|shard| [shard.start, shard.end]);
    for key in edges.chain([0, key, u128::MAX]).map(HashKey) {
        let shard = map.get(map.route(key)).expect("a key is sent to a shard of the map");
        assert!(shard.is_open() && shard.range.contains(key), "{key:?} was sent to {shard:?}");
    }
}
