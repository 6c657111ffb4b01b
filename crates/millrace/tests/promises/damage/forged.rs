//! Bytes that look like frames and are none: a record that holds a whole frame, right in every sum for the very place
//! where it comes to stand; a record that holds its own segment's bytes. Each with the head before it destroyed, so
//! that whoever looks for the next frame looks inside of the payload.

use std::os::unix::fs::FileExt;

use millrace::format::checksum::{crc32c, seed};
use millrace::format::frame::{FRAME_HEADER_BYTES, FrameHead, FrameHeader, RUN_ENTRY_BYTES, RunEntry, RunKind};
use millrace::format::record::write_record;
use millrace::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use millrace::{Position, Stream, StreamConfig};

use super::judge::{Outcome, read_shard};
use super::scratch::files_below;
use super::stores::Builder;
use crate::support::{append, copy_tree, directory};

/// Where the data of a frame's only record stands, with a key that makes it a place where a frame may start.
const DATA_AT: u32 = 128;
const KEY: &str = "a key of 24 characters..";
const STREAM: &str = "streams/0000000000000001";

/// A whole frame with one record, as the log itself would write it there.
fn frame(incarnation: u64, offset: u32, first_sequence: u64, previous_checksum: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    write_record(&mut payload, "forged", b"nobody appended this");
    let seed = seed(incarnation, offset);
    let length = |size: usize| u32::try_from(size).expect("small");
    let mut frame = vec![0; FRAME_HEADER_BYTES + RUN_ENTRY_BYTES];
    let entry = RunEntry {
        kind: RunKind::Records,
        flags: 0,
        shard: 0,
        payload_offset: length(frame.len()),
        payload_bytes: length(payload.len()),
        records: 1,
        sequence_delta: 0,
        checksum: crc32c(&payload),
    };
    entry.encode(&mut frame[FRAME_HEADER_BYTES..], seed);
    frame.extend_from_slice(&payload);
    let header = FrameHeader {
        frame_bytes: length(frame.len()),
        runs: 1,
        first_sequence,
        arrival_ms: 0,
        mark: Position::new(9, 4096),
        mark_sequence: first_sequence + 1,
        previous_checksum,
        records: 1,
        checksum: 0,
    };
    header.encode(&mut frame, seed);
    assert!(FrameHead::decode(&frame, incarnation, offset).is_some_and(|head| head.payloads_are_intact(&frame)));
    frame
}

fn incarnation(builder: &Builder, segment: u32) -> u64 {
    let path = builder.directory.path().join(format!("{STREAM}/{segment:08x}.seg"));
    let page = std::fs::read(path).expect("a segment")[..SEGMENT_HEADER_BYTES as usize].to_vec();
    SegmentHeader::decode(&page).expect("a header").incarnation
}

/// Destroys the heads of the frames of one segment that hold records whose key is [`KEY`].
fn behead(path: &std::path::Path) -> usize {
    let mut beheaded = 0;
    for (name, image) in files_below(path) {
        if !name.starts_with(STREAM) || !name.ends_with(".seg") {
            continue;
        }
        let bytes = image.whole();
        let header = SegmentHeader::decode(&bytes[..SEGMENT_HEADER_BYTES as usize]).expect("a header");
        let file = std::fs::File::options().write(true).open(path.join(&name)).expect("a segment");
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some(head) = FrameHead::decode(&bytes[offset as usize..], header.incarnation, offset) {
            let end = offset + head.header.padded_bytes();
            let frame = &bytes[offset as usize..end as usize];
            if frame.windows(KEY.len()).any(|part| part == KEY.as_bytes()) {
                file.write_all_at(&[0xff; 64], u64::from(offset)).expect("written");
                beheaded += 1;
            }
            offset = end;
        }
    }
    beheaded
}

/// Reads the stream in the running engine, after a crash and after a clean close, each with the heads destroyed: what
/// was in the payloads is never served, what stands around them is.
fn nothing_forged_is_served(mut builder: Builder, stream: &Stream, others: usize) {
    builder.put_durably(stream, 2);
    builder.pass_ms(1_000);
    let check = |outcome: &Outcome, when: &str| {
        let forged = outcome.records.iter().find(|record| !record.key.starts_with("key-"));
        assert_eq!(forged, None, "{when}");
        assert_eq!(outcome.records.len(), others + 2, "{when}: what is not damaged is there");
        assert!(outcome.reported, "{when}");
    };
    let crashed = directory();
    copy_tree(builder.directory.path(), crashed.path());
    assert!(behead(crashed.path()) > 0, "there is a frame to be beheaded");
    let reopen = |path: &std::path::Path, when: &str| {
        let engine = millrace::Engine::open(
            path,
            super::stores::options(&builder.clock, &std::sync::Arc::new(crate::dice::Dice::new(5))),
        );
        let engine = engine.expect("opened");
        let stream = engine.stream("small").expect("the stream");
        check(&read_shard(&stream, None).expect("readable"), when);
        check(&read_shard(&stream, Some(0)).expect("readable"), when);
        let verification = stream.verify(|_, _| true).expect("verified");
        assert!(!verification.findings.is_empty(), "{when}");
        engine.close().expect("closed");
    };
    reopen(crashed.path(), "recovered");
    reopen(crashed.path(), "opened after the recovery");
    assert!(behead(builder.directory.path()) > 0, "there is a frame to be beheaded");
    check(&read_shard(stream, None).expect("readable"), "in the running engine");
    builder.engine.close().expect("closed");
    reopen(builder.directory.path(), "closed in order");
}

#[test]
fn a_frame_inside_of_a_record_is_never_taken_for_a_frame() {
    let mut builder = Builder::new(11);
    let stream = builder.stream("small", StreamConfig::default());
    builder.put_durably(&stream, 3);
    let tail = stream.published();
    let sequence = 1_000;
    let forged = frame(incarnation(&builder, tail.segment), tail.offset + DATA_AT, sequence, 0);
    append(&stream, &[(KEY, &forged)]).expect("appended");
    nothing_forged_is_served(builder, &stream, 3);
}

#[test]
fn a_mark_at_the_end_of_a_record_is_never_taken_for_a_frame() {
    let mut builder = Builder::new(12);
    let stream = builder.stream("small", StreamConfig::default());
    builder.put_durably(&stream, 3);
    let tail = stream.published();
    let header = FrameHeader {
        frame_bytes: 64,
        runs: 0,
        first_sequence: 4,
        arrival_ms: 0,
        mark: Position::new(9, 4096),
        mark_sequence: 4,
        previous_checksum: 0,
        records: 0,
        checksum: 0,
    };
    let mut mark = vec![0; FRAME_HEADER_BYTES];
    header.encode(&mut mark, seed(incarnation(&builder, tail.segment), tail.offset + DATA_AT));
    // The zeros at its end are those that fill the frame up.
    mark.truncate(57);
    append(&stream, &[(KEY, &mark)]).expect("appended");
    assert_eq!(stream.published().segment, tail.segment + 1, "in another segment it is none");
    nothing_forged_is_served(builder, &stream, 3);
}

#[test]
fn a_record_with_the_bytes_of_its_own_segment_holds_no_frame() {
    let mut builder = Builder::new(13);
    let stream = builder.stream("small", StreamConfig::default());
    builder.put_durably(&stream, 3);
    let path = builder.directory.path().join(format!("{STREAM}/00000001.seg"));
    let copied = std::fs::read(path).expect("a segment")[..8_192].to_vec();
    append(&stream, &[(KEY, &copied)]).expect("appended");
    assert_eq!(stream.published().segment, 1, "a copy elsewhere is no frame, and no reason to go on elsewhere");
    nothing_forged_is_served(builder, &stream, 3);
}
