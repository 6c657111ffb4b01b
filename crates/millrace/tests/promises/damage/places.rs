//! What random damage found, each as the smallest case: files that are missing or stand in another's place, and the
//! end of a segment.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use millrace::{Engine, StreamConfig};

use super::judge::{Opens, Price, judge, read_shard};
use super::scratch::{Files, Scratch};
use super::stores::{Builder, Fixture};

/// Two streams of three segments each, closed in order.
fn store() -> Fixture {
    let mut builder = Builder::new(31);
    let streams = ["one", "two"].map(|name| builder.stream(name, StreamConfig::default()));
    for _ in 0..3 {
        for stream in &streams {
            builder.put_durably(stream, 3);
            builder.put_durably(stream, 2);
        }
        builder.pass_hours(2);
    }
    builder.closed("closed", &["one", "two"])
}

fn path(stream: u64, segment: u32, end: &str) -> String {
    format!("streams/{stream:016x}/{segment:08x}.{end}")
}

/// Puts these files in place of the store's (`None`: no file), and judges it; `lost` may be lost of the first stream.
fn judged(fixture: &Fixture, changes: &[(String, Option<String>)], lost: Vec<Range<u64>>) -> Result<usize, String> {
    let files: &Files = &fixture.files;
    let scratch = Scratch::new(files);
    for (file, from) in changes {
        scratch.damage(file, from.as_ref().map(|from| &files[from]));
    }
    judge(&scratch, fixture, &Price { lost: vec![(1, lost)], ..Price::default() }, Opens::Twice, None)
}

/// The sequences of a segment of the first stream.
fn of_segment(fixture: &Fixture, segment: u32) -> Range<u64> {
    let frames = fixture.streams[0].frames.iter().filter(|frame| frame.place.segment == segment);
    let ranges: Vec<_> = frames.map(|frame| frame.sequences.clone()).collect();
    ranges[0].start..ranges.last().expect("frames").end
}

#[test]
fn a_segment_that_is_missing_is_named_wherever_it_stood_and_no_sequence_is_given_again() {
    let fixture = store();
    for segment in 1..=3 {
        let gone = [(path(1, segment, "seg"), None), (path(1, segment, "idx"), None)];
        let lost = of_segment(&fixture, segment);
        assert_eq!(judged(&fixture, &gone, vec![lost]), Ok(5), "segment {segment}");
    }
}

#[test]
fn a_segment_of_another_stream_is_never_served() {
    let fixture = store();
    for segment in 1..=3 {
        let mut swapped = vec![(path(1, segment, "seg"), Some(path(2, segment, "seg")))];
        if segment < 3 {
            swapped.push((path(1, segment, "idx"), Some(path(2, segment, "idx"))));
        }
        let lost = of_segment(&fixture, segment);
        assert_eq!(judged(&fixture, &swapped, vec![lost]), Ok(5), "segment {segment}");
    }
}

#[test]
fn an_index_of_another_file_costs_no_record() {
    let fixture = store();
    let swapped = [(path(1, 2, "idx"), Some(path(2, 2, "idx")))];
    assert_eq!(judged(&fixture, &swapped, Vec::new()), Ok(0));
}

#[test]
fn damage_to_the_end_of_a_segment_without_its_index_is_named() {
    let mut fixture = store();
    let last = fixture.streams[0].frames.iter().rfind(|frame| frame.place.segment == 2 && !frame.sequences.is_empty());
    let last = last.expect("a frame of records").clone();
    // The frame behind it, and all that is left of the segment, are cleared too.
    let mut damaged = fixture.files[&path(1, 2, "seg")].clone();
    damaged.bytes.truncate(last.place.offset as usize);
    fixture.files.insert("damaged".to_owned(), damaged);
    let changes =
        [(path(1, 2, "seg"), Some("damaged".to_owned())), (path(1, 2, "idx"), None), ("damaged".to_owned(), None)];
    assert_eq!(judged(&fixture, &changes, vec![last.sequences]), Ok(2));
}

#[test]
fn a_segment_that_is_put_back_is_read_by_shard_too_though_its_index_says_that_it_was_damaged() {
    let mut builder = Builder::new(32);
    let stream = builder.stream("one", StreamConfig { shards: 2, ..StreamConfig::default() });
    builder.put_durably(&stream, 40);
    builder.pass_hours(2);
    builder.put_durably(&stream, 1);
    let fixture = builder.closed("closed", &["one"]);
    let scratch = Scratch::new(&fixture.files);
    let frame = fixture.streams[0].frames.iter().find(|frame| !frame.sequences.is_empty()).expect("a frame of records");
    let (file, index, head) = (path(1, 1, "seg"), path(1, 1, "idx"), u64::from(frame.place.offset));
    let flip = |file: &std::fs::File| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, head)?;
        file.write_all_at(&[byte[0] ^ 1], head)
    };
    let read = |shard| {
        let engine = Engine::open(scratch.path(), fixture.options(scratch.disk())).expect("opened");
        let stream = engine.stream("one").expect("the stream");
        let records = read_shard(&stream, shard).expect("readable").records;
        engine.close().expect("closed");
        records
    };
    scratch.damage(&index, None);
    scratch.damage_in_place(&file, flip);
    assert_eq!(read(None).len(), 1, "the index is built again of what is there");
    scratch.damage_in_place(&file, flip);
    assert_eq!(read(None), fixture.streams[0].records);
    for shard in 0..2 {
        let expected: Vec<_> =
            fixture.streams[0].records.iter().filter(|record| record.shard == shard).cloned().collect();
        assert_eq!(read(Some(shard)), expected, "shard {shard}");
    }
}
