//! A frame's head, its run table and its payloads, with wrong checksums and with right ones.
//!
//! Holds: what is accepted lies within what was given, its runs lie in the frame one behind the other, and it encodes
//! to the same bytes; a flipped bit, another offset or a missing byte is noticed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::format::checksum::seed;
use millrace::format::frame::{FRAME_HEADER_BYTES, FrameHead, RUN_ENTRY_BYTES};
use millrace::format::{FRAME_ALIGNMENT, FRAME_BYTES_MAX};
use millrace_fuzz::{Source, bounded, flip, seal_frame};

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let (sealed, choice) = (!source.one_in(4), source.u32());
    let (incarnation, offset) = (source.u64(), source.u32() & !(FRAME_ALIGNMENT - 1));
    let mut frame = source.rest().to_vec();
    if sealed {
        seal_frame(&mut frame, incarnation, offset);
    }
    bounded(0, 0, || check(&frame, incarnation, offset));
    check_damage(frame, incarnation, offset, choice);
});

fn check(bytes: &[u8], incarnation: u64, offset: u32) {
    // Nothing is promised of these but that they answer.
    let _claimed = FrameHead::is_claimed(bytes, incarnation, offset);
    let Some(head) = FrameHead::decode(bytes, incarnation, offset) else { return };
    let header = head.header;
    let frame_bytes = header.frame_bytes as usize;
    assert!(header.frame_bytes <= FRAME_BYTES_MAX && frame_bytes <= bytes.len());
    assert!(header.head_bytes() <= frame_bytes && header.padded_bytes().is_multiple_of(FRAME_ALIGNMENT));
    assert!(header.first_sequence.checked_add(u64::from(header.records)).is_some(), "sequences end");
    assert!(head.run(head.runs()).is_none() && head.run(u32::MAX).is_none());
    let (mut end, mut records) = (header.head_bytes(), 0);
    for run in 0..head.runs() {
        let Some(entry) = head.run(run) else { return };
        assert_eq!((entry.payload().start, entry.sequence_delta), (end, records), "runs follow each other");
        assert_eq!((head.next_of(run, None), head.next_of(run, Some(entry.shard))), (run, run));
        assert_eq!(head.shard_of(run), Some(entry.shard));
        (end, records) = (entry.payload().end, entry.sequence_delta + entry.records);
    }
    assert_eq!((end, records), (frame_bytes, header.records), "the runs are all of the frame");
}

/// An intact frame encodes to its own bytes, and stays intact nowhere else and with no bit changed.
fn check_damage(mut frame: Vec<u8>, incarnation: u64, offset: u32, choice: u32) {
    let Some(head) = FrameHead::decode(&frame, incarnation, offset).filter(|head| head.payloads_are_intact(&frame))
    else {
        return;
    };
    let header = head.header;
    let frame_bytes = header.frame_bytes as usize;
    let mut again = frame[..frame_bytes].to_vec();
    again[..header.head_bytes()].fill(0xaa);
    let seed = seed(incarnation, offset);
    for run in 0..head.runs() {
        let at = FRAME_HEADER_BYTES + run as usize * RUN_ENTRY_BYTES;
        head.run(run).expect("an intact frame's run").encode(&mut again[at..at + RUN_ENTRY_BYTES], seed);
    }
    header.encode(&mut again, seed);
    // What an older version wrote is written by this one under its own number.
    again[56..58].copy_from_slice(&frame[56..58]);
    seal_frame(&mut again, incarnation, offset);
    assert_eq!(again, frame[..frame_bytes], "an intact frame encodes to its own bytes");

    let elsewhere = offset ^ FRAME_ALIGNMENT;
    assert!(FrameHead::decode(&frame, incarnation, elsewhere).is_none(), "a frame belongs to one place");
    let cut = &frame[..frame_bytes - 1 - choice as usize % frame_bytes];
    assert!(FrameHead::decode(cut, incarnation, offset).is_none(), "a frame is there whole");
    let bit = flip(&mut frame[..frame_bytes], choice);
    let intact = FrameHead::decode(&frame, incarnation, offset).is_some_and(|head| head.payloads_are_intact(&frame));
    assert!(!intact, "bit {bit} was flipped and nobody noticed");
}
