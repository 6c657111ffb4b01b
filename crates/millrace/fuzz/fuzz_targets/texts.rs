//! The lines and names that come from outside as text: the store's identity, the lock's holder, the 56-digit sequence
//! number, the shard's name.
//!
//! Holds: each of them is refused with its own error or comes back letter for letter, and an error repeats no more than
//! a piece of what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::Kind;
use millrace::fuzzing::{decode_holder, decode_identity};
use millrace::shard::{SEQUENCE_DIGITS, SequenceCodec, SequenceNumber, ShardId};
use millrace_fuzz::{Source, assert_judged, bounded};

fuzz_target!(|input: &[u8]| {
    check_lines(input);
    let text = String::from_utf8_lossy(input);
    check_number(&text);
    match bounded(0, 0, || text.parse::<ShardId>()) {
        Ok(shard) => assert_eq!(shard.to_string(), text),
        Err(error) => assert_judged(error.kind(), &[Kind::InvalidArgument]),
    }
    round_trip(input);
});

fn check_lines(line: &[u8]) {
    match bounded(line.len(), 64, || decode_identity(line)) {
        Ok(id) => assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit())),
        Err(error) => assert_judged(error.kind(), &[Kind::NotAStore, Kind::FormatNewer]),
    }
    let _told = bounded(line.len(), 64, || decode_holder(line));
}

fn check_number(text: &str) {
    let codec = SequenceCodec::new(1_700_000_000, 7).expect("within the limits");
    match bounded(0, 0, || codec.decode(text)) {
        Ok((shard, sequence)) => {
            assert_eq!(codec.encode(shard, sequence), text);
            assert_eq!(codec.decode_for_shard(text, shard).ok(), Some(sequence));
            assert!(codec.decode_for_shard(text, ShardId(shard.0 ^ 1)).is_err());
        }
        Err(error) => assert_judged(error.kind(), &[Kind::SequenceInvalid]),
    }
}

fn round_trip(input: &[u8]) {
    let mut source = Source::new(input);
    let (created_s, stream_id) = (source.number(1_700_000_000), source.number(7));
    let (shard, sequence) = (ShardId(source.u32()), SequenceNumber(source.u64()));
    let codec = match SequenceCodec::new(created_s, stream_id) {
        Ok(codec) => codec,
        Err(error) => return assert_judged(error.kind(), &[Kind::InvalidArgument]),
    };
    let text = codec.encode(shard, sequence);
    assert!(text.len() == SEQUENCE_DIGITS && text.starts_with("495"), "{text}");
    assert_eq!(codec.decode(&text).ok(), Some((shard, sequence)));
    let (digit, change) = (usize::from(source.byte()) % SEQUENCE_DIGITS, 1 + source.byte() % 9);
    let mut other = text.into_bytes();
    other[digit] = b'0' + (other[digit] - b'0' + change) % 10;
    let other = String::from_utf8(other).expect("digits");
    assert_ne!(codec.decode(&other).ok(), Some((shard, sequence)), "another number is of another place");
}
