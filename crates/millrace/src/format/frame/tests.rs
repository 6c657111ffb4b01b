//! What a frame's codec promises.

use super::*;

fn sample() -> Vec<u8> {
    let payload = b"the payload";
    let mut frame = vec![0; FRAME_HEADER_BYTES + RUN_ENTRY_BYTES];
    let entry = RunEntry {
        kind: RunKind::Records,
        flags: 0,
        shard: 3,
        payload_offset: u32_of(frame.len()),
        payload_bytes: u32_of(payload.len()),
        records: 1,
        sequence_delta: 0,
        checksum: crc32c(payload),
    };
    entry.encode(&mut frame[FRAME_HEADER_BYTES..], seed(77, 4096));
    frame.extend_from_slice(payload);
    let header = FrameHeader {
        frame_bytes: u32_of(frame.len()),
        runs: 1,
        first_sequence: 42,
        arrival_ms: 1_800_000_000_000,
        mark: Position::new(1, 4096),
        mark_sequence: 42,
        previous_checksum: 9,
        records: 1,
        checksum: 0,
    };
    header.encode(&mut frame, seed(77, 4096));
    frame
}

#[test]
fn a_frame_round_trips() {
    let frame = sample();
    let head = FrameHead::decode(&frame, 77, 4096).expect("a frame");
    assert_eq!((head.header.first_sequence, head.header.mark), (42, Position::new(1, 4096)));
    assert_eq!(head.run(0).map(|run| run.shard), Some(3));
    assert_eq!(head.shard_of(0), Some(3));
    assert!(head.payloads_are_intact(&frame));
    assert!(head.run(1).is_none());
}

#[test]
fn a_frame_tells_the_seed_that_it_was_written_with_unless_its_head_or_run_is_damaged() {
    let frame = sample();
    assert_eq!(FrameHead::seed_of(&frame), Some(seed(77, 4096)));
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(FrameHead::seed_of(&damaged), None, "bit {bit}");
    }
}

#[test]
fn a_frame_elsewhere_or_of_another_incarnation_is_no_frame() {
    let frame = sample();
    assert!(FrameHead::decode(&frame, 77, 4160).is_none());
    assert!(FrameHead::decode(&frame, 78, 4096).is_none());
}

/// The sample with other bytes at `at`, and a right checksum over them.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = sample();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = crc32c(&frame[4..FRAME_HEADER_BYTES + RUN_ENTRY_BYTES]) ^ seed(77, 4096);
    frame[..4].copy_from_slice(&sum.to_le_bytes());
    frame
}

#[test]
fn a_frame_whose_runs_are_not_all_of_it_one_behind_the_other_is_no_frame_though_its_checksum_is_right() {
    assert!(FrameHead::decode(&forged(0, &[]), 77, 4096).is_some(), "forging alone changes nothing");
    let entry = FRAME_HEADER_BYTES;
    let absurd: [(&str, usize, u32); 8] = [
        ("a payload before its place", entry + 12, 64),
        ("a payload behind its place", entry + 12, 97),
        ("a payload shorter than the frame", entry + 16, 10),
        ("a payload longer than the frame", entry + 16, u32::MAX),
        ("records that the header does not count", entry + 20, 2),
        ("a run that begins behind the first sequence", entry + 24, 1),
        ("more records than the runs have", 52, 2),
        ("reserved bytes in use", entry + 28, 1),
    ];
    for (what, at, value) in absurd {
        assert!(FrameHead::decode(&forged(at, &value.to_le_bytes()), 77, 4096).is_none(), "{what}");
    }
}

#[test]
fn a_frame_whose_sequences_pass_the_limit_is_no_frame() {
    let last = SEQUENCE_LIMIT - 1;
    assert!(FrameHead::decode(&forged(16, &last.to_le_bytes()), 77, 4096).is_some());
    for first in [SEQUENCE_LIMIT, u64::MAX] {
        assert!(FrameHead::decode(&forged(16, &first.to_le_bytes()), 77, 4096).is_none(), "{first}");
    }
}

#[test]
fn heads_that_somebody_stored_as_a_record_cost_a_scan_no_more_than_their_length() {
    // Each boundary begins what could be a head whose run table reaches to the end.
    let mut bytes = vec![0; 256 << 10];
    let (length, boundaries) = (bytes.len(), bytes.len() / 64);
    for at in (0..length).step_by(64) {
        let rest = length - at;
        let header = FrameHeader {
            frame_bytes: u32_of(rest),
            runs: u32_of((rest - FRAME_HEADER_BYTES) / RUN_ENTRY_BYTES),
            first_sequence: 1,
            arrival_ms: 0,
            mark: Position::default(),
            mark_sequence: 0,
            previous_checksum: 0,
            records: 0,
            checksum: 0,
        };
        header.encode(&mut bytes[at..], 0);
    }
    let before = crate::format::checksum::summed_bytes();
    for at in (0..length).step_by(64) {
        assert!(FrameHead::decode(&bytes[at..], 77, u32_of(at)).is_none());
    }
    let summed = crate::format::checksum::summed_bytes() - before;
    assert!(summed <= length + boundaries * 64, "{summed} bytes summed over {length}");
}

#[test]
fn every_bit_flip_and_every_truncation_is_noticed() {
    let frame = sample();
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let intact = FrameHead::decode(&damaged, 77, 4096).is_some_and(|head| head.payloads_are_intact(&damaged));
        assert!(!intact, "bit {bit}");
    }
    for length in 0..frame.len() {
        assert!(FrameHead::decode(&frame[..length], 77, 4096).is_none(), "length {length}");
    }
}

#[test]
fn a_frame_of_a_newer_version_is_told_from_damage() {
    let mut frame = sample();
    assert_eq!(FrameHead::newer_version(&frame, 77, 4096), None, "this version is not newer");
    frame[VERSION_AT] = 3;
    // A newer version may use what is reserved today.
    frame[63] = 1;
    assert_eq!(FrameHead::newer_version(&frame, 77, 4096), None, "a flipped bit is damage");
    let sum = crc32c(&frame[4..FRAME_HEADER_BYTES + RUN_ENTRY_BYTES]) ^ seed(77, 4096);
    frame[..4].copy_from_slice(&sum.to_le_bytes());
    assert!(FrameHead::decode(&frame, 77, 4096).is_none());
    assert_eq!(FrameHead::newer_version(&frame, 77, 4096), Some(3));
    assert_eq!(FrameHead::newer_version(&frame, 77, 4160), None, "nor elsewhere");
    for length in 0..FRAME_HEADER_BYTES + RUN_ENTRY_BYTES {
        assert_eq!(FrameHead::newer_version(&frame[..length], 77, 4096), None, "length {length}");
    }
}

#[test]
fn the_golden_frame_of_version_1() {
    let hex: String = sample().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN_1);
}

#[test]
fn the_golden_frame_of_version_0_is_read() {
    let digits = GOLDEN_0.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    let frame: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")).collect();
    let read = FrameHead::decode(&frame, 77, 4096).expect("a frame");
    let sample = sample();
    let same = FrameHead::decode(&sample, 77, 4096).expect("a frame");
    let same_sum = FrameHeader { checksum: read.header.checksum, ..same.header };
    assert_eq!((read.header, read.run(0), read.run(1)), (same_sum, same.run(0), same.run(1)));
    assert!(read.payloads_are_intact(&frame));
}

const GOLDEN_1: &str = concat!(
    "c2f8e07b4d5246306b000000010000002a0000000000000000505c18a3010000",
    "00100000010000002a0000000000000009000000010000000100000000000000",
    "73d3cb1a0100000003000000600000000b000000010000000000000000000000",
    "746865207061796c6f6164"
);

const GOLDEN_0: &str = concat!(
    "e9ed20a64d5246306b000000010000002a0000000000000000505c18a3010000",
    "00100000010000002a0000000000000009000000010000000000000000000000",
    "73d3cb1a0100000003000000600000000b000000010000000000000000000000",
    "746865207061796c6f6164"
);
