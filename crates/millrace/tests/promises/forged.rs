//! Files that say what no engine writes, or that do not belong together: each is told, and nothing is lost or given twice
//! because of it. The fuzz targets `recovery` and `journal` found these.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::format::checksum::{crc32c, seed};
use millrace::format::frame::{FrameHead, FrameHeader, RunEntry};
use millrace::format::record::Records;
use millrace::format::segment::SegmentHeader;
use millrace::{Engine, Kind, Meaning, Position, Step, StreamConfig};
use tempfile::TempDir;

use crate::support::{HOUR_MS, START_MS, append, copy_tree, directory, open, read_all, reader};

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
}

impl World {
    /// A store, closed in order, with one record in stream `s`.
    fn new() -> World {
        let world = World { directory: directory(), clock: Arc::new(ManualClock::new(START_MS)) };
        let engine = world.open();
        let stream = engine.create_stream("s", StreamConfig::default()).expect("a stream");
        append(&stream, &[("key", b"first")]).expect("appended");
        engine.close().expect("closed");
        world
    }

    fn open(&self) -> Engine {
        open(self.directory.path(), &self.clock)
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("streams/0000000000000001")
    }

    /// Puts the files of the stream back to what they were.
    fn restore(&self, copy: &Path) {
        std::fs::remove_dir_all(self.files()).expect("removed");
        copy_tree(copy, &self.files());
    }
}

/// Rewrites the last frame with records of the first segment, and makes its checksums right. What followed it, a mark
/// that links to the old checksum, goes.
fn forge(files: &Path, change: impl FnOnce(&mut FrameHeader, &mut RunEntry, &mut [u8])) {
    let path = files.join("00000001.seg");
    let mut bytes = std::fs::read(&path).expect("read");
    let incarnation = SegmentHeader::decode(&bytes[..4_096]).expect("a header").incarnation;
    let (mut offset, mut last) = (4_096, None);
    while let Some(head) = FrameHead::decode(&bytes[offset as usize..], incarnation, offset) {
        if head.header.records > 0 {
            last = Some((offset, head.header, head.run(0).expect("a run")));
        }
        offset += head.header.padded_bytes();
    }
    let (offset, mut header, mut entry) = last.expect("a frame with records");
    let frame = &mut bytes[offset as usize..(offset + header.frame_bytes) as usize];
    change(&mut header, &mut entry, &mut frame[96..]);
    entry.checksum = crc32c(&frame[entry.payload()]);
    let seed = seed(incarnation, offset);
    entry.encode(&mut frame[64..96], seed);
    header.encode(frame, seed);
    bytes[(offset + header.padded_bytes()) as usize..].fill(0);
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_run_that_is_not_the_records_that_it_counts_is_damage_though_its_checksum_is_right() {
    type Change = fn(&mut FrameHeader, &mut RunEntry, &mut [u8]);
    let changes: [(&str, Change); 3] = [
        ("fewer records than it counts", |header, entry, _| (header.records, entry.records) = (2, 2)),
        ("more records than any payload holds", |header, entry, _| {
            (header.records, entry.records) = (u32::MAX, u32::MAX);
        }),
        ("a record that ends behind the payload", |_, _, payload| payload[0] = 255),
    ];
    for (what, change) in changes {
        let world = World::new();
        forge(&world.files(), change);
        let engine = world.open();
        let stream = engine.stream("s").expect("opened");
        let told = match reader(&stream).next(1_000, 1 << 20) {
            Ok(Step::Chunk(chunk)) => {
                let run = &chunk.runs[0];
                assert!(run.records < 8, "{what}: a count that the bytes cannot hold");
                !Records::are_all_of(chunk.payload(run).expect("mapped"), run.records)
            }
            Ok(Step::AtTail | Step::EndOfShard(_)) => false,
            Err(error) => error.kind() == Kind::Corrupt,
        };
        assert!(told, "{what}");
    }
}

#[test]
fn a_sequence_beyond_what_its_segment_reserves_is_not_passed_by_later_ones() {
    let world = World { directory: directory(), clock: Arc::new(ManualClock::new(START_MS)) };
    let running = directory();
    let engine = open(running.path(), &world.clock);
    let stream = engine.create_stream("s", StreamConfig::default()).expect("a stream");
    append(&stream, &[("key", b"first")]).expect("appended");
    stream.flush().expect("flushed");
    copy_tree(running.path(), world.directory.path());
    forge(&world.files(), |header, _, _| header.first_sequence = 1 << 40);

    let engine = world.open();
    let stream = engine.stream("s").expect("recovered");
    assert_eq!(read_all(&stream)[0].sequence, 1 << 40);
    let appended = append(&stream, &[("key", b"later")]).expect("appended")[0].sequence;
    assert!(appended > 1 << 40, "{appended} stands behind a record of a higher sequence");
}

#[test]
fn a_mark_of_a_place_behind_its_own_frame_promises_nothing() {
    for mark in [Position::new(1, 60_000), Position::new(1, u32::MAX), Position::new(u32::MAX, 0)] {
        let world = World { directory: directory(), clock: Arc::new(ManualClock::new(START_MS)) };
        let running = directory();
        let engine = open(running.path(), &world.clock);
        let stream = engine.create_stream("s", StreamConfig::default()).expect("a stream");
        append(&stream, &[("key", b"first")]).expect("appended");
        stream.flush().expect("flushed");
        copy_tree(running.path(), world.directory.path());
        forge(&world.files(), |header, _, _| header.mark = mark);

        let engine = world.open();
        let stream = engine.stream("s").expect("recovered");
        let findings = stream.describe().findings;
        assert!(findings.is_empty(), "nothing is missing, whatever {mark} says: {findings:?}");
        assert_eq!(read_all(&stream).len(), 1);
    }
}

#[test]
fn a_segment_of_a_number_that_no_log_reaches_is_refused() {
    let world = World::new();
    std::fs::write(world.files().join("ffffffff.seg"), b"anything").expect("written");
    let engine = world.open();
    assert_eq!(engine.stream("s").map_err(|error| error.kind()).err(), Some(Kind::Corrupt));
}

#[test]
fn records_of_a_segment_that_is_gone_are_reported_and_their_sequences_are_not_given_again() {
    let world = World::new();
    let aside = directory();
    copy_tree(&world.files(), aside.path());
    let engine = world.open();
    let stream = engine.stream("s").expect("opened");
    let mut last = 0;
    for _ in 0..40 {
        last = append(&stream, &[("key", &[7; 4_000])]).expect("appended")[0].sequence;
    }
    assert!(stream.published().segment > 1, "the log has gone on in another segment");
    engine.close().expect("closed");
    world.restore(aside.path());

    let engine = world.open();
    let stream = engine.stream("s").expect("opened");
    let findings = stream.describe().findings;
    let told = |sequence| {
        let holds =
            |finding: &millrace::Finding| finding.meaning == Meaning::Damaged && finding.sequences.contains(&sequence);
        findings.iter().any(holds)
    };
    assert!(told(2) && told(last), "the lost sequences up to {last} are in {findings:?}");
    let appended = append(&stream, &[("key", b"later")]).expect("appended")[0].sequence;
    assert!(appended > last, "{appended} may have been given before: {last} was");
    engine.close().expect("closed");
    let engine = world.open();
    let data: Vec<_> = read_all(&engine.stream("s").expect("opened")).into_iter().map(|record| record.data).collect();
    assert_eq!(data, [b"first".to_vec(), b"later".to_vec()]);
}

#[test]
fn a_horizon_behind_the_end_of_the_log_hides_nothing_that_is_appended() {
    let world = World::new();
    let aside = directory();
    copy_tree(&world.files(), aside.path());
    let engine = world.open();
    let stream = engine.stream("s").expect("opened");
    for _ in 0..80 {
        append(&stream, &[("key", &[7; 4_000])]).expect("appended");
        stream.flush().expect("flushed");
        world.clock.advance_ms(HOUR_MS);
        engine.expire().expect("open");
    }
    engine.close().expect("closed");
    world.restore(aside.path());

    let engine = world.open();
    let outcome = engine.stream("s").and_then(|stream| {
        append(&stream, &[("key", b"later")])?;
        Ok(read_all(&stream).pop().map(|record| record.data))
    });
    match outcome {
        Ok(newest) => assert_eq!(newest, Some(b"later".to_vec()), "appended, acknowledged and hidden"),
        Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error}"),
    }
}
