//! A stream of many shards: what the reader of one of them gets by the described indexes of sealed segments is what
//! the reader of all gets, and is verified.

use std::path::PathBuf;
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::format::index;
use millrace::{
    Commit, Engine, Kind, Meaning, OpenOptions, ReaderOptions, StagedRecords, StartAt, Step, Stream, StreamConfig,
    Visibility,
};
use tempfile::TempDir;

use crate::support::{Record, START_MS, directory, drain, open, options, read, read_all, unpack};

const SHARDS: u32 = 64;

/// A closed store with a stream of 64 shards and several sealed segments.
struct Wide {
    directory: TempDir,
    clock: Arc<ManualClock>,
}

impl Wide {
    /// `frames` of 1,280 records each, of `bytes` data, in segments up to so many bytes.
    fn new(frames: u32, bytes: usize, segment_bytes_max: u32) -> Wide {
        let directory = directory();
        let clock = Arc::new(ManualClock::new(START_MS));
        let options = OpenOptions { segment_bytes_max, ..options(&clock) };
        let engine = Engine::open(directory.path(), options).expect("the store opens");
        let config = StreamConfig { shards: SHARDS, ..StreamConfig::default() };
        let stream = engine.create_stream("wide", config).expect("created");
        for frame in 0..frames {
            clock.advance_ms(1_000);
            let mut staged = StagedRecords::default();
            for record in 0..1_280u32 {
                let data = vec![u8::try_from((frame + record) % 251).expect("below 251"); bytes];
                staged.push(&format!("key-{}", record * 7), None, &data);
            }
            stream.append(staged.as_staged(), None, Commit::Caller).expect("appended");
        }
        engine.close().expect("closed");
        Wide { directory, clock }
    }

    fn open(&self) -> (Engine, Stream) {
        let engine = open(self.directory.path(), &self.clock);
        let stream = engine.stream("wide").expect("the stream");
        (engine, stream)
    }

    fn files(&self, end: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("streams/0000000000000001")).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|is| is == end)).collect();
        files.sort();
        files
    }

    /// The first run of a shard behind the opening of the first segment, as its index describes it.
    fn described(&self, shard: u32) -> (index::RunPlace, index::RunDetail) {
        let bytes = std::fs::read(&self.files("idx")[0]).expect("an index");
        let directory = index::Directory::decode(&bytes).expect("a described index");
        let runs = directory.decode_runs(shard, &bytes[directory.runs_of(shard)]).expect("intact");
        (runs.places[0], runs.details[0])
    }

    /// Changes a byte of the first segment.
    fn damage(&self, at: u32) {
        let path = &self.files("seg")[0];
        let mut bytes = std::fs::read(path).expect("a segment");
        bytes[at as usize] ^= 0x10;
        std::fs::write(path, bytes).expect("written");
    }
}

fn of_shard(all: &[Record], shard: u32) -> Vec<Record> {
    all.iter().filter(|record| record.shard == shard).cloned().collect()
}

/// Frames that stand close together, whose runs are looked at in the map, and frames far apart, whose runs are read.
fn both() -> [Wide; 2] {
    [Wide::new(40, 20, 256 << 10), Wide::new(40, 150, 1 << 20)]
}

#[test]
fn the_reader_of_one_of_many_shards_gets_what_the_reader_of_all_gets() {
    for wide in both() {
        for path in wide.files("idx") {
            let bytes = std::fs::read(&path).expect("an index");
            assert_eq!(index::Directory::bytes_of(&bytes).map(|bytes| bytes.is_some()).ok(), Some(true), "described");
        }
        assert!(wide.files("idx").len() > 3, "several sealed segments");
        let (engine, stream) = wide.open();
        let all = read_all(&stream);
        assert_eq!(all.len(), 40 * 1_280);
        for shard in 0..SHARDS {
            let expected = of_shard(&all, shard);
            assert_eq!(read(&stream, Some(shard), StartAt::TrimHorizon).expect("undamaged"), expected, "shard {shard}");
            let middle = &expected[expected.len() / 2];
            let after = StartAt::AfterSequence(middle.sequence);
            let rest = &expected[expected.len() / 2 + 1..];
            assert_eq!(read(&stream, Some(shard), after).expect("undamaged"), rest, "shard {shard} from the middle");
            let from = read(&stream, Some(shard), StartAt::AtTimestamp(middle.arrival_ms)).expect("undamaged");
            let since = expected.iter().filter(|record| record.arrival_ms >= middle.arrival_ms);
            assert!(since.eq(&from), "shard {shard} by time");
        }
        engine.close().expect("closed");
    }
}

#[test]
fn a_reader_of_one_of_many_shards_goes_on_within_a_run() {
    for (are_read, wide) in [false, true].into_iter().zip(both()) {
        let (engine, stream) = wide.open();
        let options = ReaderOptions { shard: Some(3), from: StartAt::TrimHorizon, visibility: Visibility::Published };
        let mut reader = stream.reader(options).expect("a reader");
        let mut records = Vec::new();
        let mut is_first = true;
        while let Step::Chunk(chunk) = reader.next(3, 1 << 20).expect("undamaged") {
            assert!(chunk.runs.iter().map(|run| run.records).sum::<u32>() <= 3);
            let is_read = chunk.runs.iter().all(|run| !chunk.is_shown_in_place(run));
            assert!(!std::mem::take(&mut is_first) || is_read == are_read, "small runs far apart are read");
            unpack(&chunk, &mut records);
        }
        assert_eq!(records, of_shard(&read_all(&stream), 3));
        engine.close().expect("closed");
    }
}

#[test]
fn a_damaged_run_of_one_of_many_shards_is_told_to_its_reader_alone() {
    for wide in both() {
        let (_, detail) = wide.described(5);
        wide.damage(detail.payload + detail.payload_bytes / 2);
        let (engine, stream) = wide.open();
        let options =
            |shard| ReaderOptions { shard: Some(shard), from: StartAt::TrimHorizon, visibility: Visibility::Published };
        let mut reader = stream.reader(options(5)).expect("a reader");
        for _ in 0..2 {
            let error = reader.next(1_000, 1 << 20).expect_err("damaged");
            assert_eq!(error.kind(), Kind::Corrupt);
            let from = format!("sequences from {} below", detail.first_sequence);
            assert!(error.message().contains(&from), "{error}");
        }
        reader.skip_damage().expect("readable");
        let rest = drain(&mut reader).expect("the rest is undamaged");
        assert!(rest.iter().all(|record| record.shard == 5 && record.sequence > detail.first_sequence));
        assert!(!drain(&mut stream.reader(options(6)).expect("a reader")).expect("another shard").is_empty());
        engine.close().expect("closed");
    }
}

#[test]
fn a_described_run_is_read_though_the_head_of_its_frame_is_damaged_and_verification_tells_of_it() {
    for wide in both() {
        let expected = {
            let (engine, stream) = wide.open();
            let all = read_all(&stream);
            engine.close().expect("closed");
            all
        };
        let (place, _) = wide.described(5);
        wide.damage(place.frame + 64 + 32 * 9 + 16);
        let (engine, stream) = wide.open();
        let read = read(&stream, Some(5), StartAt::TrimHorizon).expect("the index says what the run is");
        assert_eq!(read, of_shard(&expected, 5));
        let findings = stream.verify(|_, _| true).expect("verified").findings;
        assert!(findings.iter().any(|finding| finding.meaning == Meaning::Damaged), "{findings:?}");
        engine.close().expect("closed");
    }
}

#[test]
fn plain_indexes_of_wide_segments_as_older_builds_wrote_them_are_read_and_verified() {
    let wide = Wide::new(40, 20, 256 << 10);
    for path in wide.files("idx") {
        let (summary, body) = index::decode(&std::fs::read(&path).expect("an index")).expect("intact");
        let plain = index::encode(&summary, &body.plain());
        assert_eq!(plain[8..10], [1, 0], "of version 1");
        std::fs::write(&path, plain).expect("written");
    }
    let (engine, stream) = wide.open();
    assert_eq!(read(&stream, Some(9), StartAt::TrimHorizon).expect("read"), of_shard(&read_all(&stream), 9));
    assert_eq!(stream.verify(|_, _| true).expect("verified").findings, []);
    engine.close().expect("closed");
}
