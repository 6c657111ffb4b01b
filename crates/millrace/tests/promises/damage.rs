//! Every truncation and every kind of bit flip of a small store: no wrong record is served, no record is missing
//! without a word, and what is not damaged can be read.
//!
//! The codecs' own tests flip every bit of a frame, a header and an index. Here each byte in use of each file of a
//! store has one bit flipped in turn, heads and first payloads byte by byte, and the engine has to cope.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use millrace::clock::ManualClock;
use millrace::{Engine, Kind, Reader, ReaderOptions, StartAt, Step, Stream, StreamConfig, Visibility};

use crate::support::{HOUR_MS, Record, START_MS, append, copy_tree, directory, open, options, read_all, unpack};

/// The records of the largest frame: one bit that flips may cost no more.
const FRAME_RECORDS: usize = 6;
const SEGMENT_HEADER_BYTES: usize = 4096;

/// A file without the zeros at its end.
#[derive(Clone)]
struct Image {
    bytes: Vec<u8>,
    len: u64,
}

/// The files of a store by their path, and the records that were in it.
struct Fixture {
    files: BTreeMap<String, Image>,
    records: Vec<Record>,
    /// How many of them were on disk, known so, when the files were taken.
    flushed: usize,
}

#[derive(Clone, Debug)]
enum Damage {
    Flip { file: String, byte: usize, bit: u32 },
    Cut { file: String, len: u64 },
}

impl Damage {
    fn file(&self) -> &str {
        let (Damage::Flip { file, .. } | Damage::Cut { file, .. }) = self;
        file
    }
}

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    Crashed,
}

fn images(root: &Path, below: &str, files: &mut BTreeMap<String, Image>) {
    for entry in std::fs::read_dir(root.join(below)).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            images(root, &format!("{name}/"), files);
        } else {
            let mut bytes = std::fs::read(entry.path()).expect("a file");
            let len = u64::try_from(bytes.len()).expect("64 bits");
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            files.insert(name, Image { bytes, len });
        }
    }
}

/// Two shards; one sealed segment and one that is written to; frames of two to six records.
fn fixture(left: Left) -> Fixture {
    let directory = directory();
    let clock = Arc::new(ManualClock::new(START_MS));
    let engine = open(directory.path(), &clock);
    let config = StreamConfig { shards: 2, ..StreamConfig::default() };
    let stream = engine.create_stream("small", config).expect("a stream");
    let put = |from: usize, count: usize| {
        let texts: Vec<_> =
            (from..from + count).map(|n| (format!("key-{n}"), format!("the data of record {n}"))).collect();
        let records: Vec<_> = texts.iter().map(|(key, data)| (key.as_str(), data.as_bytes())).collect();
        append(&stream, &records).expect("appended");
    };
    for frame in 0..3 {
        put(frame * 6, FRAME_RECORDS);
        stream.flush().expect("flushed");
        clock.advance_ms(1_000);
    }
    // The first segment is too old now for what comes next.
    clock.advance_ms(2 * HOUR_MS);
    for frame in 3..6 {
        put(frame * 6, 2);
        stream.flush().expect("flushed");
    }
    let sealed = directory.path().join("streams/0000000000000001/00000001.idx");
    while !sealed.exists() {
        std::thread::yield_now();
    }
    let flushed = read_all(&stream).len();
    if left == Left::Crashed {
        put(60, 2);
    }
    let records = read_all(&stream);
    let crashed = crate::support::directory();
    copy_tree(directory.path(), crashed.path());
    engine.close().expect("closed");
    let mut files = BTreeMap::new();
    images(if left == Left::Closed { directory.path() } else { crashed.path() }, "", &mut files);
    // Who holds the store is no part of it.
    files.remove("LOCK");
    Fixture { files, records, flushed }
}

impl Fixture {
    fn write(&self, root: &Path, damage: &Damage) {
        for (name, image) in &self.files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("in the store")).expect("a directory");
            let file = File::create(&path).expect("a file");
            file.write_all_at(&image.bytes, 0).expect("written");
            file.set_len(image.len).expect("sized");
            match damage {
                Damage::Flip { file: damaged, byte, bit } if damaged == name => {
                    let old = image.bytes.get(*byte).copied().unwrap_or(0);
                    file.write_all_at(&[old ^ (1 << bit)], *byte as u64).expect("written");
                }
                Damage::Cut { file: damaged, len } if damaged == name => file.set_len(*len).expect("cut"),
                Damage::Flip { .. } | Damage::Cut { .. } => {}
            }
        }
    }

    /// The damages of one file.
    fn damages(&self, file: &str) -> Vec<Damage> {
        let image = &self.files[file];
        let used = image.bytes.len().next_multiple_of(64).min(usize::try_from(image.len).expect("64 bits"));
        let is_segment = file.ends_with(".seg");
        // The zeros behind a segment's header fields, and behind its frames, are sampled.
        let is_zero = |byte: usize| is_segment && (72..SEGMENT_HEADER_BYTES).contains(&byte);
        let mut damages = Vec::new();
        let tail = [used + 1, used + 64, used + 4_096].into_iter().filter(|byte| (*byte as u64) < image.len);
        // Heads, run tables and first payloads byte by byte; what repeats them, at a stride.
        let dense = if is_segment { SEGMENT_HEADER_BYTES + 256 } else { 128 };
        let stride = |byte: &usize| *byte < dense || byte.is_multiple_of(13);
        for byte in (0..used).filter(stride).chain(tail.clone()).filter(|byte| !is_zero(*byte) || byte % 509 == 0) {
            let bit = u32::try_from(byte * 5 % 8).expect("below 8");
            damages.push(Damage::Flip { file: file.to_owned(), byte, bit });
        }
        // A cut falls in the middle of something or at its boundary: all of the head, then by steps.
        let cuts = (0..used).filter(|len| !is_zero(*len) || len % 509 == 0);
        let cuts = cuts.filter(|len| *len % 64 == 0 || *len % 97 == 0 || (len % 8 == 0 && *len < 80)).chain(tail);
        damages.extend(cuts.map(|len| Damage::Cut { file: file.to_owned(), len: len as u64 }));
        damages
    }
}

/// What reading came to: the records, and whether damage was named on the way.
struct Outcome {
    records: Vec<Record>,
    reported: bool,
}

/// Reads to the tail, over all damage.
fn read_over(mut reader: Reader) -> Result<Outcome, String> {
    let mut outcome = Outcome { records: Vec::new(), reported: false };
    for _ in 0..10_000 {
        match reader.next(7, 1 << 20) {
            Ok(Step::Chunk(chunk)) => unpack(&chunk, &mut outcome.records),
            Ok(Step::AtTail) => return Ok(outcome),
            Err(error) if error.kind() == Kind::Corrupt => {
                outcome.reported = true;
                reader.skip_damage().map_err(|error| format!("damage cannot be skipped: {error}"))?;
            }
            Err(error) => return Err(format!("damage is called {error}")),
        }
    }
    Err("skipping damage leads nowhere".to_owned())
}

fn read_shard(stream: &Stream, shard: Option<u32>) -> Result<Outcome, String> {
    let options = ReaderOptions { shard, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
    let reader = stream.reader(options).map_err(|error| format!("no reader: {error}"))?;
    read_over(reader)
}

/// Whether every record read is one that was written, in order.
fn check_records(read: &[Record], written: &[Record]) -> Result<(), String> {
    if !read.windows(2).all(|pair| pair[0].sequence < pair[1].sequence) {
        return Err("records out of order".to_owned());
    }
    match read.iter().find(|record| !written.contains(record)) {
        Some(wrong) => Err(format!("a record that nobody wrote: {wrong:?}")),
        None => Ok(()),
    }
}

/// How often a damaged store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Once,
    Twice,
}

/// Opens a damaged store and reads all of it; how many records are lost, or what is wrong with the engine.
fn judge(path: &Path, fixture: &Fixture, opens: Opens) -> Result<usize, String> {
    let all = fixture.records.len();
    let clock = Arc::new(ManualClock::new(START_MS + 10 * HOUR_MS));
    let engine = match Engine::open(path, options(&clock)) {
        Ok(engine) => engine,
        Err(error) if [Kind::Corrupt, Kind::NotAStore, Kind::FormatNewer].contains(&error.kind()) => return Ok(all),
        Err(error) => return Err(format!("opening says {error}")),
    };
    let stream = match engine.stream("small") {
        Ok(stream) => stream,
        Err(error) if error.kind() == Kind::Corrupt => return Ok(all),
        Err(error) if error.kind() == Kind::StreamNotFound && !engine.warnings().is_empty() => return Ok(all),
        Err(error) => return Err(format!("opening the stream says {error}, warnings {:?}", engine.warnings())),
    };
    let warned = !engine.warnings().is_empty();
    let whole = read_shard(&stream, None)?;
    check_records(&whole.records, &fixture.records)?;
    let lost = all - whole.records.len();
    if lost > 0 && !whole.reported && !warned {
        return Err(format!("{lost} records are missing, and nobody says so"));
    }
    for shard in 0..2 {
        let one = read_shard(&stream, Some(shard))?;
        check_records(&one.records, &fixture.records)?;
        let written = fixture.records.iter().filter(|record| record.shard == shard).count();
        if one.records.len() < written && !one.reported && !warned {
            return Err(format!("records of shard {shard} are missing, and its reader says nothing"));
        }
        let of_shard = whole.records.iter().filter(|record| record.shard == shard);
        if !of_shard.eq(one.records.iter()) {
            return Err(format!("shard {shard} reads other records than the whole stream does"));
        }
    }
    let verification = stream.verify(|_, _| true).map_err(|error| format!("verification says {error}"))?;
    if whole.reported && verification.findings.is_empty() {
        return Err("a reader met damage that verification does not find".to_owned());
    }
    let last = fixture.records.last().map_or(0, |record| record.sequence);
    let placements = append(&stream, &[("later", b"more")]).map_err(|error| format!("no more appends: {error}"))?;
    if placements[0].sequence <= last {
        return Err(format!("sequence {} is given again", placements[0].sequence));
    }
    engine.close().map_err(|error| format!("closing says {error}"))?;
    if opens == Opens::Once {
        return Ok(lost);
    }
    // A second open finds what the first one left.
    let engine = Engine::open(path, options(&clock)).map_err(|error| format!("opening again says {error}"))?;
    let stream = engine.stream("small").map_err(|error| format!("opening the stream again says {error}"))?;
    let again = read_shard(&stream, None)?;
    if again.records.len() != whole.records.len() + 1 || again.records[..whole.records.len()] != whole.records[..] {
        return Err(format!("read {} records, after another open {}", whole.records.len(), again.records.len()));
    }
    engine.close().map_err(|error| format!("closing again says {error}"))?;
    Ok(lost)
}

/// Judges all damages on two threads; fails with all that is wrong.
fn judge_all(fixture: &Fixture, damages: &[Damage], tolerable: impl Fn(&Damage, usize) -> bool + Sync) {
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(damage) = damages.get(number) else { return };
            let directory = directory();
            fixture.write(directory.path(), damage);
            let fault = match judge(
                directory.path(),
                fixture,
                if number.is_multiple_of(8) { Opens::Twice } else { Opens::Once },
            ) {
                Ok(lost) if tolerable(damage, lost) => continue,
                Ok(lost) => format!("{lost} records lost"),
                Err(fault) => fault,
            };
            faults.lock().expect("no panic holds it").push(format!("{damage:?}: {fault}"));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let faults = faults.into_inner().expect("no panic holds it");
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), damages.len(), faults[..faults.len().min(25)].join("\n"));
}

/// In frames of a stream's segment a flipped bit may cost one frame of what was flushed, not more.
fn is_small(fixture: &Fixture, damage: &Damage, lost: usize) -> bool {
    match damage {
        Damage::Flip { file, byte, .. } if file.starts_with("streams") && *byte >= SEGMENT_HEADER_BYTES => {
            lost <= FRAME_RECORDS + (fixture.records.len() - fixture.flushed)
        }
        Damage::Flip { file, .. } if file.ends_with(".idx") => lost == 0,
        Damage::Flip { .. } | Damage::Cut { .. } => true,
    }
}

fn every_damage(left: Left, of: impl Fn(&str) -> bool) {
    let fixture = fixture(left);
    let files = fixture.files.keys().filter(|file| of(file));
    let damages: Vec<_> = files.flat_map(|file| fixture.damages(file)).collect();
    assert!(damages.iter().any(|damage| of(damage.file())), "something is damaged");
    judge_all(&fixture, &damages, |damage, lost| is_small(&fixture, damage, lost));
}

fn of_streams(file: &str) -> bool {
    file.starts_with("streams/")
}

fn of_the_store(file: &str) -> bool {
    !of_streams(file)
}

#[test]
fn no_damage_to_a_closed_stream_goes_unnoticed_or_spreads() {
    every_damage(Left::Closed, of_streams);
}

#[test]
fn no_damage_to_a_crashed_stream_goes_unnoticed_or_spreads() {
    every_damage(Left::Crashed, of_streams);
}

#[test]
fn no_damage_to_the_control_log_of_a_closed_store_goes_unnoticed() {
    every_damage(Left::Closed, of_the_store);
}

#[test]
fn no_damage_to_the_control_log_of_a_crashed_store_goes_unnoticed() {
    every_damage(Left::Crashed, of_the_store);
}

#[test]
fn damage_that_is_older_than_the_index_is_met_by_the_readers_of_shards_too() {
    let fixture = fixture(Left::Closed);
    let directory = directory();
    // A bit in the head of the second frame of the segment that is still written to.
    let file = "streams/0000000000000001/00000002.seg".to_owned();
    let is_magic = |byte: &usize| fixture.files[&file].bytes[*byte..].starts_with(b"MRF0");
    let mut heads = (SEGMENT_HEADER_BYTES..fixture.files[&file].bytes.len() - 4).filter(is_magic);
    let byte = heads.nth(1).expect("a second frame");
    fixture.write(directory.path(), &Damage::Flip { file, byte, bit: 0 });
    let clock = Arc::new(ManualClock::new(START_MS + 10 * HOUR_MS));
    let engine = open(directory.path(), &clock);
    let stream = engine.stream("small").expect("the stream");
    // Too old for more, the segment is finished and gets its index.
    append(&stream, &[("later", b"more")]).expect("appended");
    stream.flush().expect("flushed");
    let sealed = directory.path().join("streams/0000000000000001/00000002.idx");
    while !sealed.exists() {
        std::thread::yield_now();
    }
    engine.close().expect("closed");
    let engine = open(directory.path(), &clock);
    let stream = engine.stream("small").expect("the stream");
    assert_eq!(engine.warnings(), Vec::<String>::new(), "this open has no cause to look");
    for shard in [None, Some(0), Some(1)] {
        let outcome = read_shard(&stream, shard).expect("readable");
        assert!(outcome.reported, "{shard:?}");
        assert!(outcome.records.iter().any(|record| record.key == "later" || shard.is_some()));
    }
    assert!(!stream.verify(|_, _| true).expect("readable").findings.is_empty());
    engine.close().expect("closed");
}

#[test]
fn an_undamaged_copy_reads_back_whole() {
    for left in [Left::Closed, Left::Crashed] {
        let fixture = fixture(left);
        let directory = directory();
        fixture.write(directory.path(), &Damage::Cut { file: String::new(), len: 0 });
        assert_eq!(judge(directory.path(), &fixture, Opens::Twice), Ok(0), "{left:?}");
    }
}

#[test]
fn a_segment_that_is_missing_between_others_is_reported_and_the_rest_is_read() {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    let stream = engine.create_stream("gap", StreamConfig::default()).expect("a stream");
    for _ in 0..40 {
        append(&stream, &[("key", &[7; 10_000])]).expect("appended");
    }
    let all = read_all(&stream).len();
    engine.close().expect("closed");
    let log = directory.path().join("streams").join("0000000000000001");
    for name in ["00000003.seg", "00000003.idx"] {
        std::fs::remove_file(log.join(name)).expect("a sealed segment in the middle");
    }
    let engine = open(directory.path(), &clock);
    let stream = engine.stream("gap").expect("opened");
    let findings = stream.describe().findings;
    assert!(findings.iter().any(|finding| finding.segment == 3), "{findings:?}");
    let rest = read_all(&stream).len();
    assert!(rest < all && rest > all / 2, "{rest} of {all}");
    engine.close().expect("closed");
}
