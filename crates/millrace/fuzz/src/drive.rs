//! Opens a store whose files the fuzzer forged, and uses it as a program would.
//!
//! Whatever the files say, each call answers with what is there or with an error that says what is wrong, and what the
//! engine has served or acknowledged once is served again after the next opening.

use std::path::Path;

use millrace::format::record::{RECORD_HEADER_BYTES, Records};
use millrace::format::snapshot::ShardEntry;
use millrace::shard::ShardMap;
use millrace::{
    Commit, Engine, Error, Kind, OpenOptions, Reader, ReaderOptions, Result, StagedRecords, StartAt, Step, Stream,
    Visibility,
};

use crate::thin::{copy_store, environment, scratch};
use crate::{Forged, Source, assert_judged};

/// More steps than any log of an input's length has.
const STEPS_MAX: usize = 100_000;

/// The files of a forged store.
#[derive(Default)]
pub struct Files {
    pub control: Vec<Forged>,
    /// Those of the stream with the id 1.
    pub stream: Vec<Forged>,
    /// Neither an index nor a clean tail spares the engine the look at each frame of the stream.
    pub is_scanned: bool,
}

/// A record as a reader has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    shard: u32,
    sequence: u64,
    key: Vec<u8>,
    data: Vec<u8>,
}

/// The shards that a stream of so many opens with.
pub fn shard_entries(count: u32) -> Vec<ShardEntry> {
    ShardMap::uniform(count).expect("within the limits").shards().iter().map(ShardEntry::from).collect()
}

/// Writes the files, opens the store, reads, appends, and opens it again.
pub fn drive_store(source: &mut Source<'_>, files: &Files) {
    let (_guard, directory) = scratch();
    write(&directory, files);
    let Some(engine) = judged(open(&directory)) else { return };
    let mut kept = Vec::new();
    for summary in engine.list_streams().expect("an open store lists its streams") {
        let Some(stream) = judged(engine.stream(&summary.name)) else { continue };
        kept.push((summary.name, use_stream(source, &stream, files.is_scanned)));
    }
    if source.one_in(2) {
        judged(engine.expire());
        return close(&engine);
    }
    if source.one_in(2) {
        let again = directory.with_extension("again");
        copy_store(&directory, &again);
        close(&engine);
        check_again(&again, &kept);
    } else {
        engine.close().expect("a store that could be used can be closed");
        check_again(&directory, &kept);
    }
}

fn write(directory: &Path, files: &Files) {
    let identity = r#"{"format":"millrace","version":1,"storeId":"0123456789abcdef","created":"2027-01-15T08:00:00Z"}"#;
    for (folder, segments) in [("control", &files.control), ("streams/0000000000000001", &files.stream)] {
        let folder = directory.join(folder);
        std::fs::create_dir_all(&folder).expect("made");
        for segment in segments {
            std::fs::write(folder.join(format!("{:08x}.seg", segment.number)), &segment.bytes).expect("written");
            if let Some(index) = &segment.index {
                std::fs::write(folder.join(format!("{:08x}.idx", segment.number)), index).expect("written");
            }
        }
    }
    std::fs::write(directory.join("MILLRACE"), format!("{identity}\n")).expect("written");
}

fn open(directory: &Path) -> Result<Engine> {
    let environment = environment();
    Engine::open(directory, OpenOptions { environment, segment_bytes_max: 64 << 10, ..OpenOptions::default() })
}

/// What came of a call; an error must be one that forged files can lead to.
fn judged<T>(outcome: Result<T>) -> Option<T> {
    let allowed = [Kind::Corrupt, Kind::FormatNewer, Kind::Unsupported, Kind::Io, Kind::StreamDeleting];
    outcome.map_err(|error| assert_judged(error.kind(), &allowed)).ok()
}

fn close(engine: &Engine) {
    judged(engine.close());
}

/// Reads, verifies, seeks and appends; returns all records that the stream has then.
fn use_stream(source: &mut Source<'_>, stream: &Stream, is_scanned: bool) -> Vec<Seen> {
    let options = ReaderOptions { from: StartAt::TrimHorizon, visibility: Visibility::Published, shard: None };
    let before = read(stream, options, 1 + source.below(5) as usize, 1 + source.below(200) as usize);
    for shard in 0..u32::try_from(stream.describe().shards.len()).expect("few shards").min(4) {
        let of_shard = read(stream, ReaderOptions { shard: Some(shard), ..options }, 1_000, 1 << 20);
        assert!(of_shard.iter().all(|seen| seen.shard == shard), "a reader of one shard sees no other");
    }
    for from in [
        StartAt::AtSequence(source.number(1)),
        StartAt::AfterSequence(source.number(1)),
        StartAt::AtTimestamp(source.number(crate::NOW_MS).min(crate::NOW_MS)),
    ] {
        read(stream, ReaderOptions { from, ..options }, 1_000, 1 << 20);
    }
    judged(stream.verify(|_, _| true));
    append(stream, if is_scanned { &before } else { &[] });
    read(stream, options, 1_000, 1 << 20)
}

/// Appends a record, which gets a sequence behind those of all records before, and reads it back.
fn append(stream: &Stream, before: &[Seen]) {
    let mut staged = StagedRecords::default();
    staged.push("a key", None, b"appended");
    let mut placements = Vec::new();
    let appended =
        stream.append(staged.as_staged(), Some(&mut placements), Commit::Caller).and_then(|_| stream.flush());
    if judged(appended).is_none() {
        return;
    }
    let sequence = placements[0].sequence;
    let highest = before.iter().map(|seen| seen.sequence).max();
    assert!(highest.is_none_or(|highest| highest < sequence), "{sequence} is not behind {highest:?}");
    let options = ReaderOptions { from: StartAt::AtSequence(sequence), ..ReaderOptions::default() };
    let seen = read(stream, options, 1_000, 1 << 20);
    assert!(seen.iter().any(|seen| seen.sequence == sequence && seen.data == b"appended"), "appended and not read");
}

/// All records that a reader sees; it goes on behind damage.
fn read(stream: &Stream, options: ReaderOptions, records_max: usize, bytes_max: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    let Some(mut reader) = judged(stream.reader(options)) else { return all };
    for _ in 0..STEPS_MAX {
        match reader.next(records_max, bytes_max) {
            Ok(Step::AtTail | Step::EndOfShard(_)) => return all,
            Ok(Step::Chunk(chunk)) => {
                let mut count = 0;
                for run in &chunk.runs {
                    let payload = chunk.payload(run).expect("a mapped file");
                    count += run.records as usize;
                    assert!(run.records as usize * RECORD_HEADER_BYTES <= payload.len(), "a count that cannot be");
                    if !Records::are_all_of(payload, run.records) {
                        continue;
                    }
                    let records: Vec<_> = Records::new(payload).collect();
                    all.extend(records.iter().zip(run.first_sequence..).map(|(record, sequence)| {
                        let (key, data) = (record.key.to_vec(), record.data.to_vec());
                        Seen { shard: run.shard, sequence, key, data }
                    }));
                }
                assert!(
                    (1..=records_max).contains(&count),
                    "a chunk of {count} records where {records_max} were wanted"
                );
            }
            Err(error) => {
                if skip(&mut reader, error).is_none() {
                    return all;
                }
            }
        }
    }
    panic!("a reader comes to the tail");
}

/// Goes on behind damage; `None` at what cannot be skipped.
fn skip(reader: &mut Reader, error: Error) -> Option<()> {
    let kind = error.kind();
    judged::<()>(Err(error));
    if kind != Kind::Corrupt {
        return None;
    }
    judged(reader.skip_damage())
}

/// What was served or acknowledged is there when the store is opened again.
fn check_again(directory: &Path, kept: &[(String, Vec<Seen>)]) {
    let engine = open(directory).expect("a store that was opened once can be opened again");
    for (name, expected) in kept {
        let stream = engine.stream(name).expect("a stream that was opened once can be opened again");
        let options = ReaderOptions { from: StartAt::TrimHorizon, visibility: Visibility::Published, shard: None };
        assert_eq!(&read(&stream, options, 1_000, 1 << 20), expected, "served once, and not again");
    }
    close(&engine);
}
