//! What random damage found, each as the smallest case: files that are missing or stand in another's place, and the
//! end of a segment.

use std::ops::Range;

use millrace::StreamConfig;

use super::judge::{Opens, Price, judge};
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
