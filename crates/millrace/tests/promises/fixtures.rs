//! Stores of every format version that was ever released are opened by every later one, and a newer one is refused.
//!
//! `tests/fixtures/vN/` holds stores as the engine of format version N wrote them, each as one text that lists its files
//! without their zeros, and beside it what has to be read back. The stores of the present version are made again here,
//! with a fixed clock and fixed random numbers, and held against what is kept: a change of the format cannot slip in.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use millrace::clock::Clock;
use millrace::format::FORMAT_VERSION;
use millrace::format::checksum::{crc32c, seed};
use millrace::format::frame::{FRAME_HEADER_BYTES, FrameHead, RUN_ENTRY_BYTES, RunEntry, RunKind};
use millrace::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use millrace::{
    Commit, Durability, Engine, Kind, Meaning, ReaderOptions, StagedRecords, StartAt, Stream, StreamConfig, Visibility,
};

use crate::damage::scratch::{Files, Image, Scratch, files_below};
use crate::damage::stores::{Builder, options_at};
use crate::support::{HOUR_MS, Record, append, copy_tree, directory, read};

/// How many bytes a line of a store's text holds.
const ROW_BYTES: usize = 32;
const ENDS: [&str; 2] = ["store", "expected"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A store's files as text: each with its length, then its bytes by rows, without rows of zeros and zeros at their end.
fn text_of(files: &Files) -> String {
    let mut text = String::new();
    for (name, image) in files {
        writeln!(text, "file {name} {}", image.len).expect("a string takes all");
        for (row, bytes) in image.bytes.chunks(ROW_BYTES).enumerate() {
            let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { continue };
            let hex = bytes[..=last].iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            writeln!(text, "{:x} {hex}", row * ROW_BYTES).expect("a string takes all");
        }
    }
    text
}

/// The inverse of [`text_of`].
fn files_of(text: &str) -> Files {
    let mut files = Files::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("file ") {
            let (path, len) = file.rsplit_once(' ').expect("a path and a length");
            name = path;
            files.insert(path.to_owned(), Image { bytes: Vec::new(), len: len.parse().expect("a length") });
            continue;
        }
        let (offset, hex) = line.split_once(' ').expect("an offset and bytes");
        let offset = usize::from_str_radix(offset, 16).expect("an offset");
        let bytes = hex.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("a byte in hexadecimal")
        });
        let image = files.get_mut(name).expect("a file's line comes first");
        image.bytes.resize(offset, 0);
        image.bytes.extend(bytes);
    }
    files
}

/// What is read from a stream, a line a record.
fn listing(stream: &Stream) -> String {
    let description = stream.describe();
    let mut text = String::new();
    let (name, id, shards) = (&description.name, description.id, description.shards.len());
    let durability = match description.config.durability {
        Durability::Synced => "synced".to_owned(),
        Durability::Interval { ms } => format!("interval {ms} ms"),
        Durability::Os => "os".to_owned(),
    };
    writeln!(text, "stream {name} id {id} shards {shards} {durability}").expect("a string takes all");
    let whole = read(stream, None, StartAt::TrimHorizon).expect("an undamaged stream");
    for shard in 0..u32::try_from(shards).expect("few") {
        let one = read(stream, Some(shard), StartAt::TrimHorizon).expect("an undamaged stream");
        assert!(whole.iter().filter(|record| record.shard == shard).eq(one.iter()), "{name}, shard {shard}");
    }
    for Record { shard, sequence, arrival_ms, key, data } in whole {
        let number = stream.sequence_number(shard, sequence);
        let (bytes, sum) = (data.len(), crc32c(&data));
        writeln!(text, "{sequence} {number} shard {shard} at {arrival_ms} key {key:?} data {bytes} bytes {sum:08x}")
            .expect("a string takes all");
    }
    text
}

fn listings(engine: &Engine) -> String {
    let streams = engine.list_streams().expect("open");
    streams.iter().map(|summary| listing(&engine.stream(&summary.name).expect("the stream"))).collect()
}

/// A fixture in the making.
struct Made {
    name: &'static str,
    files: Files,
    expected: String,
}

fn three_policies(builder: &Builder) -> [Stream; 3] {
    let config = |shards, durability| StreamConfig { shards, durability, ..StreamConfig::default() };
    [
        builder.stream("synced", config(2, Durability::Synced)),
        builder.stream("interval", config(1, Durability::Interval { ms: 20 })),
        builder.stream("os", config(3, Durability::Os)),
    ]
}

/// Records of all kinds: empty, of odd length, with a key that is not ASCII, with an explicit hash key, of two frames'
/// distance.
fn put_odd_ones(stream: &Stream) {
    let mut staged = StagedRecords::default();
    staged.push("empty", None, b"");
    staged.push("schlüssel-鍵", None, b"a key that is not ASCII");
    staged.push("explicit", Some(u128::MAX), b"the last hash key");
    staged.push("explicit", Some(0), &[0, 255, 10, 13]);
    stream.append(staged.as_staged(), None, Commit::Caller).expect("appended");
    stream.flush().expect("flushed");
}

/// Closed in order: sealed segments, marks, clean tails in the control log, a deleted stream.
fn closed() -> Made {
    let mut builder = Builder::new(100);
    let streams = three_policies(&builder);
    let gone = builder.stream("gone", StreamConfig::default());
    for stream in streams.iter().chain([&gone]) {
        builder.put_durably(stream, 4);
        put_odd_ones(stream);
    }
    builder.pass_hours(2);
    for stream in &streams {
        builder.put(stream, 3);
    }
    builder.serve();
    builder.engine.delete_stream("gone").expect("deleted");
    builder.reopen();
    let stream = builder.engine.stream("synced").expect("the stream");
    builder.put_durably(&stream, 2);
    let expected = listings(&builder.engine);
    builder.engine.close().expect("closed");
    Made { name: "closed", files: files_below(builder.directory.path()), expected }
}

/// Died: a finished segment without its index, a mark, frames behind it, the last one torn in the middle.
fn crashed() -> Made {
    let mut builder = Builder::new(200);
    let streams = three_policies(&builder);
    for stream in &streams {
        builder.put_durably(stream, 5);
    }
    builder.pass_hours(2);
    for stream in &streams {
        builder.put_durably(stream, 3);
        builder.pass_ms(1_000);
        builder.put(stream, 2);
    }
    let expected = listings_but_os(&builder);
    for stream in &streams {
        builder.put(stream, 3);
    }
    let copy = directory();
    copy_tree(builder.directory.path(), copy.path());
    builder.engine.close().expect("closed");
    let mut files = files_below(copy.path());
    assert!(files.remove("streams/0000000000000001/00000001.idx").is_some(), "the first segment was sealed");
    for (name, image) in files.iter_mut().filter(|(name, _)| name.ends_with("00000002.seg")) {
        if name.starts_with("streams/") {
            // The second half of the last frame never reached the disk.
            image.bytes.truncate(image.bytes.len() - 60);
        }
    }
    Made { name: "crashed", files, expected }
}

fn listings_but_os(builder: &Builder) -> String {
    builder.serve();
    listings(&builder.engine)
}

/// Retention has passed: a horizon within a segment, files that are used again with old frames in them, spare files.
fn expired() -> Made {
    let mut builder = Builder::new(300);
    let stream = builder.stream("kept", StreamConfig { shards: 2, ..StreamConfig::default() });
    for _ in 0..5 {
        builder.put_durably(&stream, 6);
        builder.put_durably(&stream, 2);
        builder.pass_hours(2);
    }
    builder.pass_hours(24);
    for _ in 0..3 {
        builder.put_durably(&stream, 2);
        builder.pass_hours(1);
        builder.put_durably(&stream, 1);
        builder.pass_hours(1);
    }
    builder.pass_ms(18 * HOUR_MS + 1_000);
    builder.engine.expire().expect("open");
    let expected = listings(&builder.engine);
    let older = read(&stream, None, StartAt::TrimHorizon).expect("readable")[0].sequence;
    assert!(stream.describe().oldest_ms + 24 * HOUR_MS < builder.clock.wall_ms() && older > 1, "within a segment");
    let copy = directory();
    copy_tree(builder.directory.path(), copy.path());
    builder.engine.close().expect("closed");
    Made { name: "expired", files: files_below(copy.path()), expected }
}

fn all() -> [Made; 3] {
    [closed(), crashed(), expired()]
}

/// What to do when the bytes differ.
const CHANGED: &str = "the engine writes other bytes than those that are kept for its format version. \
    If the format was not meant to change, this is a defect. If it was: where the version is released, raise \
    FORMAT_VERSION, keep the old fixtures as they are, and write those of the new version; version 0 is not released, \
    so write them anew. Either way: MILLRACE_FIXTURES=write cargo test -p millrace --test promises fixtures";

#[test]
fn the_present_version_still_writes_the_bytes_that_are_kept() {
    let folder = folder().join(format!("v{FORMAT_VERSION}"));
    for made in all() {
        for (end, text) in ENDS.iter().zip([text_of(&made.files), made.expected]) {
            let path = folder.join(format!("{}.{end}", made.name));
            if std::env::var("MILLRACE_FIXTURES").as_deref() == Ok("write") {
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(&path, &text).expect("written");
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            let line = kept.lines().zip(text.lines()).position(|(kept, made)| kept != made);
            assert!(kept == text, "{}, from line {line:?}: {CHANGED}", path.display());
        }
    }
}

#[test]
fn every_kept_fixture_is_opened_and_reads_back_whole() {
    let mut opened = 0;
    let versions = std::fs::read_dir(folder()).expect("fixtures").map(|entry| entry.expect("an entry").path());
    for path in versions.flat_map(|version| std::fs::read_dir(version).expect("a version's fixtures")) {
        let path = path.expect("an entry").path();
        if path.extension().is_none_or(|end| end != ENDS[0]) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a fixture");
        let files = files_of(&text);
        assert_eq!(text_of(&files), text, "{}: nothing is lost in reading the text", path.display());
        let expected = std::fs::read_to_string(path.with_extension(ENDS[1])).expect("what is expected");
        reads_back(&files, &expected, &path);
        opened += 1;
    }
    assert!(opened >= 3, "{opened} fixtures");
    println!("fixtures: {opened} stores opened and read back");
}

/// Opens a store twice; it holds what is expected, and can be appended to.
fn reads_back(files: &Files, expected: &str, path: &Path) {
    let scratch = Scratch::new(files);
    for _ in 0..2 {
        let engine = Engine::open(scratch.path(), options_at(last_ms(expected), scratch.disk())).expect("it opens");
        assert_eq!(listings(&engine), expected, "{}", path.display());
        for summary in engine.list_streams().expect("open") {
            let stream = engine.stream(&summary.name).expect("the stream");
            let damaged = |finding: &&millrace::Finding| finding.meaning != Meaning::PossiblyAcknowledged;
            assert_eq!(stream.describe().findings.iter().find(damaged), None, "{}", path.display());
            assert_eq!(stream.verify(|_, _| true).expect("verified").findings, [], "{}", path.display());
        }
        engine.close().expect("closed");
    }
    let engine = Engine::open(scratch.path(), options_at(last_ms(expected), scratch.disk())).expect("it opens");
    for summary in engine.list_streams().expect("open") {
        let stream = engine.stream(&summary.name).expect("the stream");
        let before = read(&stream, None, StartAt::TrimHorizon).expect("readable").len();
        append(&stream, &[("later", b"more")]).expect("appended");
        assert_eq!(read(&stream, None, StartAt::TrimHorizon).expect("readable").len(), before + 1);
    }
    engine.close().expect("closed");
}

/// The latest arrival in a listing, in milliseconds since 1970.
fn last_ms(expected: &str) -> u64 {
    let arrivals = expected.lines().filter_map(|line| line.split(" at ").nth(1)?.split(' ').next()?.parse().ok());
    arrivals.max().expect("a record")
}

/// Changes the last frame of a segment that `wanted` says so of, as a newer version might have written it: all of its
/// checksums are right.
fn change_frame(
    image: &mut Image,
    wanted: impl Fn(&FrameHead<'_>, &[u8]) -> bool,
    change: impl Fn(&mut [u8], &mut [RunEntry]),
) {
    let mut bytes = image.whole();
    let incarnation = SegmentHeader::decode(&bytes[..SEGMENT_HEADER_BYTES as usize]).expect("a header").incarnation;
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut found = None;
    while let Some(head) = FrameHead::decode(&bytes[offset as usize..], incarnation, offset) {
        let end = offset + head.header.padded_bytes();
        if wanted(&head, &bytes[offset as usize..end as usize]) {
            let runs: Vec<_> = (0..head.runs()).map(|run| head.run(run).expect("a run")).collect();
            found = Some((offset, end, runs));
        }
        offset = end;
    }
    let (offset, end, mut runs) = found.expect("such a frame");
    let frame = &mut bytes[offset as usize..end as usize];
    let head_bytes = FRAME_HEADER_BYTES + runs.len() * RUN_ENTRY_BYTES;
    change(frame, &mut runs);
    let seed = seed(incarnation, offset);
    for (index, run) in runs.iter_mut().enumerate() {
        run.checksum = crc32c(&frame[run.payload()]);
        run.encode(&mut frame[FRAME_HEADER_BYTES + index * RUN_ENTRY_BYTES..][..RUN_ENTRY_BYTES], seed);
    }
    let sum = crc32c(&frame[4..head_bytes]) ^ seed;
    frame[..4].copy_from_slice(&sum.to_le_bytes());
    *image = Image::of(bytes);
}

fn any(_: &FrameHead<'_>, _: &[u8]) -> bool {
    true
}

fn holds(text: &'static str) -> impl Fn(&FrameHead<'_>, &[u8]) -> bool {
    move |_, frame| frame.windows(text.len()).any(|part| part == text.as_bytes())
}

fn replace(frame: &mut [u8], old: &str, new: &str) {
    assert_eq!(old.len(), new.len(), "in place");
    let at = frame.windows(old.len()).position(|part| part == old.as_bytes()).expect("it is there");
    frame[at..at + new.len()].copy_from_slice(new.as_bytes());
}

fn newer_frame(frame: &mut [u8], _: &mut [RunEntry]) {
    frame[56] = 9;
}

/// The header of a segment or an index: its version, and what is reserved today; then its checksum.
fn newer_header(image: &mut Image, sum_at: usize) {
    image.bytes[8] = 9;
    image.bytes[10] = 1;
    let sum = crc32c(&image.bytes[..sum_at]);
    image.bytes[sum_at..sum_at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The store that crashed, with leftovers of interrupted steps beside: they stay too.
fn with_leftovers() -> Files {
    let mut files = crashed().files;
    let image = Image { bytes: b"half made".to_vec(), len: 100 };
    for directory in ["control", "streams/0000000000000001"] {
        files.insert(format!("{directory}/0000000a.tmp"), image.clone());
        files.insert(format!("{directory}/00000000.idx"), image.clone());
    }
    files
}

/// Opens the store and a stream, and reads all of it.
fn open_and_read(scratch: &Scratch<'_>, name: &str) -> Result<Vec<Record>, millrace::Error> {
    let engine = Engine::open(scratch.path(), options_at(crate::support::START_MS, scratch.disk()))?;
    let stream = engine.stream(name)?;
    let read = read(&stream, None, StartAt::TrimHorizon);
    if read.is_err() {
        let options = ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
        let mut reader = stream.reader(options)?;
        while reader.next(1_000, 1 << 20).is_ok() {}
        reader.skip_damage().expect_err("a newer version is no damage that can be skipped");
    }
    read
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_left_as_it_is() {
    let of_stream = "streams/0000000000000001";
    let whole = with_leftovers();
    let control = whole.keys().rfind(|name| name.starts_with("control/") && name.ends_with(".seg"));
    let control = control.expect("a control log").clone();
    let [sealed, unsealed] = [1, 2].map(|segment| format!("{of_stream}/0000000{segment}.seg"));
    // Of the second stream the first segment has its index.
    let [indexed, index] = ["seg", "idx"].map(|end| format!("streams/0000000000000002/00000001.{end}"));
    type Change<'a> = &'a dyn Fn(&mut Image);
    let cases: [(&str, &str, Change<'_>); 11] = [
        ("a store", "MILLRACE", &|image| replace(&mut image.bytes, "\"version\":1", "\"version\":9")),
        ("a segment of the control log", &control, &|image| newer_header(image, 68)),
        ("a frame of the control log", &control, &|image| change_frame(image, any, newer_frame)),
        ("a command", &control, &|image| {
            change_frame(image, holds("createStream"), |frame, _| replace(frame, "createStream", "createStraum"));
        }),
        ("a snapshot", &control, &|image| {
            change_frame(image, holds("nextStreamId"), |frame, _| replace(frame, "\"version\":1", "\"version\":9"));
        }),
        ("a kind of run in the control log", &control, &|image| {
            change_frame(image, holds("createStream"), |_, runs| runs[0].kind = RunKind::Other(99));
        }),
        ("a segment", &unsealed, &|image| newer_header(image, 68)),
        ("a frame behind the mark", &unsealed, &|image| change_frame(image, any, newer_frame)),
        ("a frame of a finished segment", &sealed, &|image| change_frame(image, any, newer_frame)),
        ("a frame of a sealed segment", &indexed, &|image| change_frame(image, any, newer_frame)),
        ("an index", &index, &|image| newer_header(image, 380)),
    ];
    for (what, file, change) in cases {
        let mut files = whole.clone();
        change(files.get_mut(file).expect("a file of the store"));
        let scratch = Scratch::new(&files);
        let name = if file.starts_with("streams/0000000000000002") { "interval" } else { "synced" };
        let error = open_and_read(&scratch, name).expect_err(what);
        assert_eq!(error.kind(), Kind::FormatNewer, "{what}: {error}");
        assert!(error.message().contains("upgrade"), "{what}: {error}");
        let left = files_below(scratch.path());
        // What this version understands is opened, and that changes it: the control log, and the unsealed segments of a
        // log whose sealed ones are looked at only when they are read.
        let matters = |name: &&String| match file {
            _ if file == indexed => *name == file,
            _ => !(file.starts_with("streams/") && name.starts_with("control/")),
        };
        let names = left.keys().chain(files.keys()).filter(matters);
        let changed: Vec<_> = names.filter(|name| left.get(*name) != files.get(*name)).collect();
        assert_eq!(changed, Vec::<&String>::new(), "{what}: left as it is");
        assert_eq!(scratch.path().join("LOCK").exists(), file != "MILLRACE", "{what}");
    }
}
