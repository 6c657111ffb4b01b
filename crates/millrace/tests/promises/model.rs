//! Random histories against a naive model: a vector of records for the stream, filtered for a shard.

use std::sync::Arc;

use md5::{Digest, Md5};
use millrace::clock::{Clock, ManualClock};
use millrace::{
    Commit, Durability, Engine, Placement, Reader, ReaderOptions, Retention, StagedRecords, StartAt, Step, Stream,
    StreamConfig, Visibility,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{self, Record, START_MS, copy_tree, directory, drain, unpack};

#[derive(Clone, Debug)]
struct New {
    key: String,
    explicit: Option<u128>,
    data_bytes: usize,
}

#[derive(Clone, Debug)]
enum From {
    TrimHorizon,
    Latest,
    /// At the record that stands so far in the model (in 1/256), plus a shift of the sequence.
    At(u8, i8),
    After(u8, i8),
    Time(u8, i8),
}

#[derive(Clone, Debug)]
enum Move {
    Append(Vec<New>),
    Flush,
    Follow,
    Clock(i32),
    CloseAndReopen,
    CrashAndReopen,
    Read { shard: Option<u32>, from: From, records_max: usize, bytes_max: usize },
}

fn new_record() -> impl Strategy<Value = New> {
    let key = prop_oneof!["[a-z]{1,20}", "\\PC{1,64}"];
    let explicit = prop_oneof![4 => Just(None), 1 => any::<u128>().prop_map(Some)];
    let data_bytes = prop_oneof![20 => 0..64_usize, 10 => 0..4_096_usize, 1 => 60_000..70_000_usize];
    (key, explicit, data_bytes).prop_map(|(key, explicit, data_bytes)| New { key, explicit, data_bytes })
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        Just(From::TrimHorizon),
        Just(From::Latest),
        (any::<u8>(), -2..3_i8).prop_map(|(at, shift)| From::At(at, shift)),
        (any::<u8>(), -2..3_i8).prop_map(|(at, shift)| From::After(at, shift)),
        (any::<u8>(), -2..3_i8).prop_map(|(at, shift)| From::Time(at, shift)),
    ]
}

fn step(shards: u32) -> impl Strategy<Value = Move> {
    let read = (proptest::option::of(0..shards), from(), 1..60_usize, prop_oneof![1..300_usize, 1..100_000_usize])
        .prop_map(|(shard, from, records_max, bytes_max)| Move::Read { shard, from, records_max, bytes_max });
    let mebibyte = "[a-z]{1,8}".prop_map(|key| New { key, explicit: None, data_bytes: (1 << 20) - 16 });
    prop_oneof![
        40 => proptest::collection::vec(new_record(), 0..24).prop_map(Move::Append),
        1 => proptest::collection::vec(mebibyte, 1..3).prop_map(Move::Append),
        8 => Just(Move::Flush),
        8 => Just(Move::Follow),
        8 => prop_oneof![9 => 0..200_i32, 1 => -500..5_000_000_i32].prop_map(Move::Clock),
        4 => Just(Move::CloseAndReopen),
        4 => Just(Move::CrashAndReopen),
        30 => read,
    ]
}

fn history() -> impl Strategy<Value = (u32, Durability, Vec<Move>)> {
    let durability = prop_oneof![Just(Durability::Synced), Just(Durability::Os), Just(Durability::Interval { ms: 5 })];
    (prop_oneof![Just(1_u32), 2..9_u32, 100..200_u32], durability).prop_flat_map(|(shards, durability)| {
        (Just(shards), Just(durability), proptest::collection::vec(step(shards), 1..40))
    })
}

/// The shard of a record, computed as the documentation of Kinesis says and nothing else.
fn shard_of(new: &New, shards: u32) -> u32 {
    let hash = new.explicit.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(new.key.as_bytes()).into()));
    // floor(2^128 / shards); 2^128 itself does not fit, and for one shard all hash keys belong to it.
    let count = u128::from(shards);
    if shards == 1 {
        return 0;
    }
    let exact = u128::MAX % count == count - 1;
    let size = u128::MAX / count + u128::from(exact);
    u32::try_from((hash / size).min(count - 1)).expect("below the number of shards")
}

/// Bytes that differ from record to record.
fn data(seed: usize, bytes: usize) -> Vec<u8> {
    let word = u64::try_from(seed).expect("64 bits").wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.iter().copied().cycle().take(bytes).collect()
}

struct World {
    clock: Arc<ManualClock>,
    shards: u32,
    directories: Vec<TempDir>,
    engine: Engine,
    stream: Stream,
    records: Vec<Record>,
    wall_ms_max: u64,
    follower: Reader,
    followed: usize,
}

fn follower(stream: &Stream) -> Reader {
    let options = ReaderOptions { shard: None, from: StartAt::Latest, visibility: Visibility::Published };
    stream.reader(options).expect("a reader")
}

impl World {
    fn new(shards: u32, durability: Durability) -> World {
        let clock = Arc::new(ManualClock::new(START_MS));
        let directory = directory();
        let engine = support::open(directory.path(), &clock);
        let config = StreamConfig {
            shards,
            durability,
            retention: Retention::Unbounded,
            max_record_bytes: 1 << 20,
            ..StreamConfig::default()
        };
        let stream = engine.create_stream("model", config).expect("a stream");
        let follower = follower(&stream);
        let (records, directories) = (Vec::new(), vec![directory]);
        World { clock, shards, directories, engine, stream, records, wall_ms_max: START_MS, follower, followed: 0 }
    }

    fn append(&mut self, batch: &[New]) {
        let mut staged = StagedRecords::default();
        let first = self.records.len();
        let payloads: Vec<_> = (first..).zip(batch).map(|(seed, new)| data(seed, new.data_bytes)).collect();
        for (new, data) in batch.iter().zip(&payloads) {
            staged.push(&new.key, new.explicit, data);
        }
        let mut placements: Vec<Placement> = Vec::new();
        self.stream.append(staged.as_staged(), Some(&mut placements), Commit::Caller).expect("appended");
        assert_eq!(placements.len(), batch.len());
        let last = self.records.last().map(|record| record.sequence);
        let mut added: Vec<Record> = batch
            .iter()
            .zip(payloads)
            .zip(&placements)
            .map(|((new, data), placement)| {
                assert_eq!(placement.shard, shard_of(new, self.shards), "{new:?}");
                assert!(Some(placement.sequence) > last, "sequences only grow");
                Record {
                    shard: placement.shard,
                    sequence: placement.sequence,
                    arrival_ms: 0,
                    key: new.key.clone(),
                    data,
                }
            })
            .collect();
        for shard in 0..self.shards {
            let of_shard = added.iter().filter(|record| record.shard == shard).map(|record| record.sequence);
            assert!(of_shard.is_sorted(), "a shard keeps the order of its records");
        }
        added.sort_by_key(|record| record.sequence);
        assert!(added.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "no sequence is given twice");
        self.learn_arrivals(&mut added);
        self.records.extend(added);
    }

    /// When a record arrived only a reader can say; it must lie within what the clock has shown.
    fn learn_arrivals(&self, added: &mut [Record]) {
        let Some(first) = added.first() else { return };
        let read = support::read(&self.stream, None, StartAt::AtSequence(first.sequence)).expect("readable");
        assert_eq!(read.len(), added.len());
        let mut earliest = self.clock.wall_ms().max(self.records.last().map_or(0, |record| record.arrival_ms));
        for (record, read) in added.iter_mut().zip(read) {
            assert!((earliest..=self.wall_ms_max).contains(&read.arrival_ms), "{} {earliest}", read.arrival_ms);
            earliest = read.arrival_ms;
            record.arrival_ms = read.arrival_ms;
        }
    }

    fn follow(&mut self) {
        let seen = drain(&mut self.follower).expect("readable");
        assert_eq!(seen, self.records[self.followed..], "a follower sees all that is appended, once");
        self.followed = self.records.len();
    }

    fn open_again(&mut self) {
        let path = self.directories.last().expect("at least one").path();
        self.engine = support::open(path, &self.clock);
        self.stream = self.engine.stream("model").expect("the stream is there");
        assert_eq!(self.engine.warnings(), Vec::<String>::new());
        self.follower = follower(&self.stream);
        self.followed = self.records.len();
        self.check(None, StartAt::TrimHorizon, 1_000, 1 << 20, &self.records);
    }

    fn crash_and_reopen(&mut self) {
        let left = directory();
        copy_tree(self.directories.last().expect("at least one").path(), left.path());
        self.engine.close().expect("closed");
        self.directories.push(left);
        self.open_again();
    }

    fn read(&self, shard: Option<u32>, from: &From, records_max: usize, bytes_max: usize) {
        let pick = |at: u8| self.records.get(self.records.len() * usize::from(at) / 256);
        let sequence =
            |at: u8, shift: i8| pick(at).map_or(7, |record| record.sequence).saturating_add_signed(i64::from(shift));
        let now_ms = self.clock.wall_ms();
        type Expected = Box<dyn Fn(&Record) -> bool>;
        let (start, expected): (StartAt, Expected) = match *from {
            From::TrimHorizon => (StartAt::TrimHorizon, Box::new(|_| true)),
            From::Latest => (StartAt::Latest, Box::new(|_| false)),
            From::At(at, shift) => {
                let sequence = sequence(at, shift);
                (StartAt::AtSequence(sequence), Box::new(move |record| record.sequence >= sequence))
            }
            From::After(at, shift) => {
                let sequence = sequence(at, shift);
                (StartAt::AfterSequence(sequence), Box::new(move |record| record.sequence > sequence))
            }
            From::Time(at, shift) => {
                let time = pick(at).map_or(START_MS, |record| record.arrival_ms);
                let time = time.saturating_add_signed(i64::from(shift)).min(now_ms);
                (StartAt::AtTimestamp(time), Box::new(move |record| record.arrival_ms >= time))
            }
        };
        let of_shard = |record: &&Record| shard.is_none_or(|shard| record.shard == shard);
        let expected: Vec<_> =
            self.records.iter().filter(of_shard).filter(|record| expected(record)).cloned().collect();
        self.check(shard, start, records_max, bytes_max, &expected);
    }

    fn check(&self, shard: Option<u32>, from: StartAt, records_max: usize, bytes_max: usize, expected: &[Record]) {
        let options = ReaderOptions { shard, from, visibility: Visibility::Published };
        let mut reader = self.stream.reader(options).expect("a reader");
        let mut read = Vec::new();
        while let Step::Chunk(chunk) = reader.next(records_max, bytes_max).expect("readable") {
            let records: u32 = chunk.runs.iter().map(|run| run.records).sum();
            let bytes: usize = chunk.runs.iter().map(|run| run.payload.len()).sum();
            assert!((1..=records_max).contains(&(records as usize)), "{records} records, at most {records_max}");
            assert!(bytes <= bytes_max || records == 1, "{records} records of {bytes} bytes, at most {bytes_max}");
            unpack(&chunk, &mut read);
        }
        assert_eq!(read.len(), expected.len(), "shard {shard:?} from {from:?}");
        assert!(read == expected, "shard {shard:?} from {from:?}: other records than were appended");
    }

    fn take(&mut self, step: &Move) {
        match step {
            Move::Append(batch) => self.append(batch),
            Move::Flush => {
                self.stream.flush().expect("flushed");
                let options =
                    ReaderOptions { shard: None, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
                let durable = drain(&mut self.stream.reader(options).expect("a reader")).expect("readable");
                assert!(durable == self.records, "what was flushed is visible to all");
            }
            Move::Follow => self.follow(),
            Move::Clock(ms) => {
                self.clock.set_wall_ms(self.clock.wall_ms().saturating_add_signed(i64::from(*ms)));
                self.wall_ms_max = self.wall_ms_max.max(self.clock.wall_ms());
            }
            Move::CloseAndReopen => {
                self.engine.close().expect("closed");
                self.open_again();
            }
            Move::CrashAndReopen => self.crash_and_reopen(),
            Move::Read { shard, from, records_max, bytes_max } => self.read(*shard, from, *records_max, *bytes_max),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_reads_back_as_the_model_says((shards, durability, steps) in history()) {
        let mut world = World::new(shards, durability);
        for step in &steps {
            world.take(step);
        }
        world.crash_and_reopen();
        world.engine.close().expect("closed");
    }
}
