//! A batch of staged records, as JavaScript hands it over, and the frames that it is packed into.
//!
//! Holds: a batch is refused with a typed error or packed into intact frames, which hold exactly its records, each in
//! the shard of its key, those of one shard in their order, with the sequences that the placements say.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::format::frame::{FrameHead, RunKind};
use millrace::format::record::{EXPLICIT_HASH_KEY, RECORD_HEADER_BYTES, RecordHeader, Records};
use millrace::fuzzing::pack;
use millrace::shard::{HashKey, ShardMap};
use millrace::{Staged, StagedRecords};
use millrace_fuzz::{Source, assert_judged, bounded};

const SHARDS: [u32; 4] = [1, 2, 13, 1_000];
const REFUSALS: [Kind; 3] = [Kind::InvalidArgument, Kind::InvalidKey, Kind::RecordTooLarge];

/// A record's key and data.
type Record = (Vec<u8>, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let shards = SHARDS[usize::from(source.byte()) % SHARDS.len()];
    if source.one_in(2) {
        let count = usize::try_from(source.number(1)).unwrap_or(usize::MAX);
        let split = usize::try_from(source.number(2)).unwrap_or(usize::MAX);
        let rest = source.rest();
        let (keys, records) = rest.split_at(split.min(rest.len()));
        check(Staged { records, keys, count }, shards);
        return;
    }
    let mut staged = StagedRecords::default();
    while !source.is_empty() {
        let explicit = source.one_in(4).then(|| u128::from(source.u64()) << 64);
        let key = String::from_utf8_lossy(source.bytes(300)).into_owned();
        staged.push(&key, explicit, source.bytes(2_000));
    }
    check(staged.as_staged(), shards);
});

fn check(staged: Staged<'_>, shards: u32) {
    let map = ShardMap::uniform(shards).expect("within the limits");
    // Beside the batch there is a slot for each shard, and an entry of a run table for each that is touched.
    let room = staged.bytes() + 64 * shards as usize;
    let mut placements = Vec::new();
    let frames = match bounded(room, 64, || pack(staged, 1_024, &map, &mut placements)) {
        Ok(frames) => frames,
        Err(error) => return assert_judged(error.kind(), &REFUSALS),
    };
    let (expected, shard_of_each) = expected(staged, &map);
    assert_eq!(placements.iter().map(|placement| placement.shard).collect::<Vec<_>>(), shard_of_each);
    let mut packed: BTreeMap<u32, Vec<(Record, u64)>> = BTreeMap::new();
    for frame in &frames {
        let head = FrameHead::decode(frame, 1, 4_096).expect("a frame that was packed");
        assert!(head.payloads_are_intact(frame));
        for run in 0..head.runs() {
            let entry = head.run(run).expect("a run that was packed");
            assert_eq!(entry.kind, RunKind::Records);
            let payload = &frame[entry.payload()];
            let records = Records::new(payload).map(|record| (record.key.to_vec(), record.data.to_vec()));
            let first = head.header.first_sequence + u64::from(entry.sequence_delta);
            let known = packed.entry(entry.shard).or_default();
            let former = known.len();
            known.extend(records.zip(first..));
            assert_eq!(known.len() - former, entry.records as usize);
        }
    }
    let mut sequences: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for placement in &placements {
        sequences.entry(placement.shard).or_default().push(placement.sequence);
    }
    let expected = expected.into_iter().map(|(shard, records)| {
        let sequences = sequences.remove(&shard).expect("a shard with records has placements");
        (shard, records.into_iter().zip(sequences).collect())
    });
    assert_eq!(packed, expected.collect::<BTreeMap<_, Vec<_>>>());
}

/// What a naive reader of the staged bytes expects in each shard, and the shard of each record in their order.
fn expected(staged: Staged<'_>, map: &ShardMap) -> (BTreeMap<u32, Vec<Record>>, Vec<u32>) {
    let mut shards: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    let mut order = Vec::new();
    let (mut rest, mut keys) = (staged.records, staged.keys);
    for _ in 0..staged.count {
        let header = RecordHeader::decode(rest).expect("an accepted batch is made of records");
        rest = &rest[RECORD_HEADER_BYTES..];
        let explicit = (header.flags == EXPLICIT_HASH_KEY).then(|| {
            let (hash, behind) = rest.split_first_chunk().expect("an explicit hash key");
            rest = behind;
            HashKey(u128::from_be_bytes(*hash))
        });
        let (key, behind) = keys.split_at(header.key_bytes as usize);
        keys = behind;
        let (data, behind) = rest.split_at(header.data_bytes as usize);
        rest = behind;
        let shard = map.route(explicit.unwrap_or_else(|| HashKey::of_key(key)));
        shards.entry(shard.0).or_default().push((key.to_vec(), data.to_vec()));
        order.push(shard.0);
    }
    assert!(rest.is_empty() && keys.is_empty(), "an accepted batch is used up");
    (shards, order)
}
