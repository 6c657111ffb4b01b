//! Stores with any history: sound ones repair to equal ones, and of damaged ones the copy holds what a reader reads.

use std::path::Path;
use std::sync::Arc;

use millrace::clock::ManualClock;
use millrace::{Engine, Environment, Kind, StreamConfig, repair, verify};
use proptest::prelude::*;
use tempfile::TempDir;

use super::fixture::{files_of, read_over};
use crate::support::{HOUR_MS, Record, START_MS, append, copy_tree, directory, open, options};

const SEGMENT_HEADER_BYTES: usize = 4096;

#[derive(Clone, Debug)]
enum Move {
    /// So many records of so many bytes, as one call.
    Append(usize, usize),
    Flush,
    /// Hours, in each of which records may expire.
    Pass(u64),
    CloseAndReopen,
    CrashAndReopen,
    Delete,
}

fn history() -> impl Strategy<Value = Vec<Move>> {
    let append = (1usize..20, prop_oneof![4 => 1usize..300, 1 => 1_000usize..6_000]);
    let step = prop_oneof![
        10 => append.prop_map(|(records, bytes)| Move::Append(records, bytes)),
        4 => Just(Move::Flush),
        2 => (1u64..30).prop_map(Move::Pass),
        1 => Just(Move::CloseAndReopen),
        1 => Just(Move::CrashAndReopen),
        1 => Just(Move::Delete),
    ];
    prop::collection::vec(step, 1..50)
}

/// A store with a history, and the clock that it goes by.
struct World {
    clock: Arc<ManualClock>,
    engine: Engine,
    directories: Vec<TempDir>,
    records: usize,
    deleted: usize,
}

impl World {
    fn path(&self) -> &Path {
        self.directories.last().expect("at least one").path()
    }

    fn take(&mut self, step: &Move) {
        match step {
            Move::Append(records, bytes) => {
                for name in ["main", "brief"] {
                    let Ok(stream) = self.engine.stream(&name_of(name, self.deleted)) else { continue };
                    let keys: Vec<_> = (0..*records).map(|n| format!("key {}", self.records + n)).collect();
                    let data = vec![b'd'; *bytes];
                    let batch: Vec<_> = keys.iter().map(|key| (key.as_str(), data.as_slice())).collect();
                    append(&stream, &batch).expect("appended");
                }
                self.records += records;
            }
            Move::Flush => self.engine.stream("main").expect("a stream").flush().expect("flushed"),
            Move::Pass(hours) => (0..*hours).for_each(|_| {
                self.clock.advance_ms(HOUR_MS);
                self.engine.expire().expect("open");
            }),
            Move::CloseAndReopen => {
                self.engine.close().expect("closed");
                self.engine = open(self.path(), &self.clock);
            }
            Move::CrashAndReopen => {
                self.crash();
                self.engine = open(self.path(), &self.clock);
            }
            Move::Delete => {
                // Streams that were created at the same moment cannot be told apart.
                self.clock.advance_ms(1_000);
                self.engine.delete_stream(&name_of("brief", self.deleted)).expect("deleted");
                self.deleted += 1;
                let name = name_of("brief", self.deleted);
                self.engine.create_stream(&name, StreamConfig::default()).expect("a stream");
            }
        }
    }

    fn crash(&mut self) {
        let left = directory();
        // The engine's own thread may trim meanwhile, and stores first in the control log that it does.
        for part in ["streams", "control"] {
            copy_tree(&self.path().join(part), &left.path().join(part));
        }
        std::fs::copy(self.path().join("MILLRACE"), left.path().join("MILLRACE")).expect("copied");
        self.engine.close().expect("closed");
        self.directories.push(left);
    }
}

fn name_of(name: &str, deleted: usize) -> String {
    if name == "main" { name.to_owned() } else { format!("{name}-{deleted}") }
}

/// Plays a history; what it leaves is closed in order or crashed.
fn world(steps: &[Move], crashed: bool) -> World {
    let clock = Arc::new(ManualClock::new(START_MS));
    let root = directory();
    let engine = open(root.path(), &clock);
    engine.create_stream("main", StreamConfig { shards: 3, ..StreamConfig::default() }).expect("a stream");
    engine.create_stream("brief-0", StreamConfig::default()).expect("a stream");
    let mut world = World { clock, engine, directories: vec![root], records: 0, deleted: 0 };
    steps.iter().for_each(|step| world.take(step));
    if crashed {
        world.crash();
    } else {
        world.engine.close().expect("closed");
    }
    world
}

/// All that can be read of a store. A stream of which nothing is left cannot be opened.
fn contents(path: &Path, clock: &Arc<ManualClock>) -> Vec<(String, u64, Vec<Record>)> {
    let engine = Engine::open(path, options(clock)).expect("opened");
    let mut contents = Vec::new();
    for summary in engine.list_streams().expect("open") {
        let records = match engine.stream(&summary.name) {
            Ok(stream) => read_over(&stream),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
                Vec::new()
            }
        };
        contents.push((summary.name, summary.id, records));
    }
    engine.close().expect("closed");
    contents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_of_any_history_repairs_to_an_equal_one(steps in history(), crashed: bool) {
        let world = world(&steps, crashed);
        let environment = Environment { clock: world.clock.clone(), ..Environment::default() };
        let copy = directory();
        let before = files_of(world.path());
        let repaired = repair(world.path(), copy.path(), &environment, |_, _| true).expect("repaired").expect("all");
        assert_eq!(repaired.damages, []);
        assert!(files_of(world.path()) == before, "the store is as it was");
        assert_eq!(verify(copy.path(), &environment, |_, _| true).expect("verified").damages, []);
        assert_eq!(contents(copy.path(), &world.clock), contents(world.path(), &world.clock));
    }

    #[test]
    fn of_a_damaged_store_of_any_history_a_repair_keeps_what_a_reader_reads(
        steps in history(),
        crashed: bool,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u32..8), 1..6),
    ) {
        let world = world(&steps, crashed);
        let files = files_of(world.path());
        let frames: Vec<_> =
            files.iter().filter(|(name, _)| name.starts_with("streams/") && name.ends_with(".seg")).collect();
        for (file, byte, bit) in &hits {
            let (name, bytes) = file.get(&frames);
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0).max(SEGMENT_HEADER_BYTES);
            let path = world.path().join(name);
            let mut bytes = std::fs::read(&path).expect("a file");
            if bytes.len() > SEGMENT_HEADER_BYTES {
                let at = SEGMENT_HEADER_BYTES + byte.index(used + 1 - SEGMENT_HEADER_BYTES).min(bytes.len() - 1 - SEGMENT_HEADER_BYTES);
                bytes[at] ^= 1 << bit;
                std::fs::write(path, bytes).expect("written");
            }
        }
        let environment = Environment { clock: world.clock.clone(), ..Environment::default() };
        let copy = directory();
        let repaired = repair(world.path(), copy.path(), &environment, |_, _| true).expect("repaired").expect("all");
        assert_eq!(verify(copy.path(), &environment, |_, _| true).expect("verified").damages, []);
        let kept = contents(copy.path(), &world.clock);
        assert_eq!(kept, contents(world.path(), &world.clock), "{:?}", repaired.damages);
        for (stream, (name, _, records)) in repaired.streams.iter().zip(&kept) {
            assert_eq!(&stream.name, name);
            assert!(stream.records >= records.len() as u64, "what has expired is counted too");
        }
    }

    #[test]
    fn damage_to_the_control_log_of_any_history_costs_no_record_and_gives_no_stream_a_name_of_another(
        steps in history(),
        crashed: bool,
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u32..8), 1..4),
    ) {
        let world = world(&steps, crashed);
        let damaged = directory();
        copy_tree(world.path(), damaged.path());
        let files = files_of(damaged.path());
        let control: Vec<_> =
            files.iter().filter(|(name, _)| name.starts_with("control/") && name.ends_with(".seg")).collect();
        for (file, byte, bit) in &hits {
            let (name, bytes) = file.get(&control);
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            let path = damaged.path().join(name);
            let mut bytes = std::fs::read(&path).expect("a file");
            bytes[byte.index(used)] ^= 1 << bit;
            std::fs::write(path, bytes).expect("written");
        }
        let environment = Environment { clock: world.clock.clone(), ..Environment::default() };
        let copy = directory();
        let repaired = repair(damaged.path(), copy.path(), &environment, |_, _| true).expect("repaired").expect("all");
        assert_eq!(verify(copy.path(), &environment, |_, _| true).expect("verified").damages, []);
        let kept = contents(copy.path(), &world.clock);
        for (name, id, records) in contents(world.path(), &world.clock) {
            let Some((kept_name, _, kept)) = kept.iter().find(|(_, kept, _)| *kept == id) else {
                assert!(records.is_empty(), "{name} is missing: {:?}", repaired.damages);
                continue;
            };
            // Where a horizon is lost, what had expired comes back.
            assert!(kept.ends_with(&records), "{name}: {:?}", repaired.damages);
            assert!(*kept_name == name || *kept_name == format!("recovered-{id:016x}"), "{name} is {kept_name}");
        }
        let is_told = !repaired.damages.is_empty();
        assert!(is_told || kept == contents(world.path(), &world.clock), "what is missing is told");
    }
}
