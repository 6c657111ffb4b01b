//! On-demand streams follow their traffic, on the store's clock, and remember over a restart what they need.

use std::sync::Arc;

use millrace::capacity::CapacityMode;
use millrace::clock::ManualClock;
use millrace::{
    Commit, Engine, Environment, Kind, OpenOptions, Service, Services, StagedRecords, Stream, StreamConfig,
};
use tempfile::TempDir;

use crate::support::{HOUR_MS, START_MS, directory, options, read_all};

struct World {
    directory: TempDir,
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
    appended: usize,
}

fn open(path: &std::path::Path, clock: &Arc<ManualClock>) -> Engine {
    let OpenOptions { environment, .. } = options(clock);
    let environment = Environment { services: Services::Caller, ..environment };
    Engine::open(path, OpenOptions { environment, segment_bytes_max: 1 << 20, ..OpenOptions::default() })
        .expect("opens")
}

impl World {
    fn new(mode: CapacityMode, shards: u32) -> World {
        let clock = Arc::new(ManualClock::new(START_MS));
        let directory = directory();
        let engine = open(directory.path(), &clock);
        let config = StreamConfig { shards, mode, ..StreamConfig::default() };
        let stream = engine.create_stream("followed", config).expect("a stream");
        World { directory, clock, engine, stream, appended: 0 }
    }

    /// A minute in which so many records a second come in, evenly over the lower part of the hash keys of so many
    /// percent; then the keeper looks.
    fn minute(&mut self, records_per_second: usize, percent: u128) {
        let count = records_per_second * 60;
        let step = u128::MAX / 100 * percent / count.max(1) as u128;
        let mut staged = StagedRecords::default();
        (0..count).for_each(|index| staged.push("k", Some(step * index as u128), b""));
        self.stream.append(staged.as_staged(), None, Commit::Caller).expect("appended");
        self.appended += count;
        self.clock.advance_ms(60_000);
        self.look();
    }

    fn look(&self) {
        self.engine.serve(Service::Keeper).expect("open");
    }

    /// Hours without traffic, one look each.
    fn rest(&self, hours: u64) {
        for _ in 0..hours {
            self.clock.advance_ms(HOUR_MS);
            self.look();
        }
    }

    fn open_shards(&self) -> usize {
        self.stream.describe().shards.iter().filter(|shard| shard.is_open()).count()
    }

    fn reopen(self) -> World {
        self.engine.close().expect("closed");
        let World { directory, clock, appended, .. } = self;
        let engine = open(directory.path(), &clock);
        let stream = engine.stream("followed").expect("opens");
        World { directory, clock, engine, stream, appended }
    }
}

#[test]
fn a_hot_shard_is_split_within_fifteen_minutes_and_no_record_is_lost() {
    let mut world = World::new(CapacityMode::OnDemand, 4);
    for _ in 0..15 {
        // All of it goes to the first of the four shards.
        world.minute(700, 25);
    }
    let shards = world.stream.describe().shards;
    assert!(!shards[0].is_open(), "it took in 700 records a second");
    assert!(shards[1..4].iter().all(millrace::shard::Shard::is_open), "the others took in nothing");
    assert_eq!(world.open_shards(), 5, "its children take in 350 each, which is not hot");
    assert_eq!(read_all(&world.stream).len(), world.appended);
    assert!(world.engine.warnings().is_empty(), "{:?}", world.engine.warnings());
}

#[test]
fn a_provisioned_stream_is_left_alone() {
    let mut world = World::new(CapacityMode::Provisioned, 1);
    (0..8).for_each(|_| world.minute(2_000, 100));
    assert_eq!(world.open_shards(), 1);
}

#[test]
fn twice_the_peak_stays_for_thirty_days_over_a_restart_and_then_goes() {
    let mut world = World::new(CapacityMode::OnDemand, 4);
    (0..8).for_each(|_| world.minute(2_400, 100));
    assert_eq!(world.open_shards(), 8, "each took in 600 a second");
    let world = world.reopen();
    world.rest(29 * 24);
    assert_eq!(world.open_shards(), 8, "4,800 records a second can still come");
    world.rest(3 * 24);
    assert_eq!(world.open_shards(), 4);
    assert!(
        world.engine.warnings().iter().all(|warning| !warning.contains("followed")),
        "{:?}",
        world.engine.warnings()
    );
}

#[test]
fn warm_throughput_is_there_at_once_outlives_the_process_and_can_be_released() {
    let world = World::new(CapacityMode::OnDemand, 4);
    world.engine.set_warm_throughput("followed", Some(20)).expect("warmed up");
    assert_eq!(world.open_shards(), 32, "no shard is wider than a twentieth");
    let world = world.reopen();
    assert_eq!(world.stream.describe().warm_mib_per_second, Some(20));
    world.rest(48);
    assert_eq!(world.open_shards(), 32, "it holds until it is released");
    world.engine.set_warm_throughput("followed", None).expect("released");
    world.rest(8);
    assert_eq!(world.open_shards(), 4, "all of it was quiet for a day");
    let kind = |mib| world.engine.set_warm_throughput("followed", Some(mib)).map_err(|error| error.kind());
    assert_eq!((kind(0), kind(10_001)), (Err(Kind::InvalidArgument), Err(Kind::InvalidArgument)));
}

#[test]
fn the_mode_is_switched_twice_a_day_and_keeps_the_shards() {
    let world = World::new(CapacityMode::Provisioned, 3);
    let warm = world.engine.set_warm_throughput("followed", Some(8)).map_err(|error| error.kind());
    assert_eq!(warm, Err(Kind::InvalidArgument), "a provisioned stream is not warmed up");
    world.engine.set_mode("followed", CapacityMode::Provisioned).expect("nothing to do");
    world.engine.set_mode("followed", CapacityMode::OnDemand).expect("the first");
    world.rest(1);
    world.engine.set_mode("followed", CapacityMode::Provisioned).expect("the second");
    let third = world.engine.set_mode("followed", CapacityMode::OnDemand).map_err(|error| error.kind());
    assert_eq!(third, Err(Kind::LimitExceeded));
    assert_eq!(world.stream.describe().config.mode, CapacityMode::Provisioned, "what is refused changes nothing");
    world.rest(23);
    world.engine.set_mode("followed", CapacityMode::OnDemand).expect("24 hours after the first");
    world.rest(48);
    assert_eq!(world.open_shards(), 3);
}
