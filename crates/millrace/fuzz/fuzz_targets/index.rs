//! The index of a sealed segment, with wrong checksums and with right ones.
//!
//! Holds: memory is bounded by the length of the file, what is accepted encodes to the same bytes, the header alone
//! says what the whole says, and a flipped bit is noticed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::format::index::{INDEX_HEADER_BYTES, decode, decode_summary, encode};
use millrace_fuzz::{DESCRIBED, DESCRIBED_RUN_BYTES, Source, assert_judged, bounded, flip, seal_index};

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let (sealed, choice) = (!source.one_in(4), source.u32());
    let (shards, waypoints) = (usize::from(source.byte()), usize::from(source.byte()));
    let mut bytes = source.rest().to_vec();
    if sealed {
        fit_counts(&mut bytes, shards, waypoints);
        seal_index(&mut bytes);
    }
    let summary = decode_summary(bytes.get(..INDEX_HEADER_BYTES).unwrap_or(&bytes));
    match bounded(bytes.len(), 8, || decode(&bytes)) {
        Err(error) => assert_judged(error.kind(), &[Kind::Corrupt, Kind::FormatNewer]),
        Ok((whole, body)) => {
            assert_eq!(summary.ok(), Some(whole), "the header alone says the same");
            let mut again = encode(&whole, &body);
            // What version 0 wrote is written by this one under its own number.
            again[8..10].copy_from_slice(&bytes[8..10]);
            seal_index(&mut again);
            assert_eq!(again, bytes, "an index encodes to its own bytes");
            let bit = flip(&mut bytes, choice);
            assert!(decode(&bytes).is_err(), "bit {bit} was flipped and nobody noticed");
        }
    }
});

/// Makes the counts of the header agree with the length of the body, as far as they can.
fn fit_counts(bytes: &mut Vec<u8>, shards: usize, waypoints: usize) {
    let Some(body) = bytes.len().checked_sub(INDEX_HEADER_BYTES) else { return };
    let shards = shards % (body / 24 + 1);
    let waypoints = waypoints % (body / 24 - shards + 1);
    let run_bytes = if bytes[8..10] == DESCRIBED { DESCRIBED_RUN_BYTES } else { 8 };
    let runs = (body - (shards + waypoints) * 24) / run_bytes;
    bytes.truncate(INDEX_HEADER_BYTES + (shards + waypoints) * 24 + runs * run_bytes);
    for (at, count) in [(80, shards), (84, waypoints), (88, runs)] {
        let count = u32::try_from(count).expect("an input is short");
        bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
    }
}
