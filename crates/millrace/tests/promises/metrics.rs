//! What a stream tells of itself agrees with what was done to it, by the clock that it was given.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace::clock::ManualClock;
use millrace::metrics::advice::Advice;
use millrace::metrics::flow::{Flow, Rate};
use millrace::metrics::published::Published;
use millrace::shard::{HashKey, ShardId, ShardMap};
use millrace::{
    Commit, Delivery, Engine, Kind, StagedRecords, Step, Stream, StreamConfig, SubscribeOptions, Tags, observe,
};
use tempfile::TempDir;

use crate::support::{START_MS, append, directory, open, read_all, reader};

struct World {
    clock: Arc<ManualClock>,
    engine: Engine,
    stream: Stream,
    directory: TempDir,
}

fn world(shards: u32) -> World {
    let clock = Arc::new(ManualClock::new(START_MS));
    let directory = directory();
    let engine = open(directory.path(), &clock);
    let stream =
        engine.create_stream("measured", StreamConfig { shards, ..StreamConfig::default() }).expect("a stream");
    World { clock, engine, stream, directory }
}

fn shard_of(key: &str, shards: u32) -> usize {
    ShardMap::uniform(shards).expect("a map").route(HashKey::of_key(key.as_bytes())).0 as usize
}

#[test]
fn totals_are_those_of_all_that_was_appended_and_read_shard_by_shard() {
    let world = world(4);
    let World { engine, stream, .. } = &world;
    let keys: Vec<String> = (0..300).map(|key| format!("key-{key}")).collect();
    let mut expected = [Flow::default(); 4];
    for chunk in keys.chunks(7) {
        let records: Vec<_> = chunk.iter().map(|key| (key.as_str(), &b"some data"[..])).collect();
        append(stream, &records).expect("appended");
    }
    for key in &keys {
        // Each once more, on its own.
        append(stream, &[(key, b"some data")]).expect("appended");
        expected[shard_of(key, 4)].add(Flow::of(2, 2 * (key.len() as u64 + 9)));
    }
    assert_eq!(read_all(stream).len(), 600);
    let metrics = stream.metrics();
    let all = expected.iter().fold(Flow::default(), |mut sum, flow| {
        sum.add(*flow);
        sum
    });
    assert_eq!((metrics.incoming.total, metrics.outgoing.total), (all, all));
    for (shard, expected) in metrics.shards.iter().zip(expected) {
        assert!(shard.open);
        assert_eq!((shard.incoming.total, shard.outgoing.total), (expected, expected), "shard {}", shard.shard);
    }
    assert_eq!((metrics.put_record.calls, metrics.put_record.records), (300, 300));
    assert_eq!((metrics.put_records.calls, metrics.put_records.records), (43, 300));
    assert_eq!(metrics.put_records.bytes + metrics.put_record.bytes, all.bytes);
    assert_eq!((metrics.get_records.records, metrics.get_records.bytes), (600, all.bytes));
    assert!(metrics.put_record.latency.count > 0, "some of 300 calls are timed");
    engine.close().expect("closed");
}

#[test]
fn metrics_without_shards_gather_all_but_what_is_told_of_shards() {
    let world = world(4);
    let World { engine, stream, .. } = &world;
    for key in 0..32 {
        append(stream, &[(&format!("key-{key}"), b"some data")]).expect("appended");
    }
    assert_eq!(read_all(stream).len(), 32);
    let mut whole = engine.metrics().expect("open");
    assert_eq!(std::mem::take(&mut whole[0].shards).len(), 4);
    assert_eq!(engine.metrics_without_shards().expect("open"), whole);
    engine.close().expect("closed");
}

#[test]
fn rates_follow_the_clock_of_the_engine() {
    let world = world(1);
    let World { clock, engine, stream, .. } = &world;
    for _ in 0..30 {
        append(stream, &[("k", &[0; 99]), ("k", &[0; 99])]).expect("appended");
        clock.advance_ms(500);
    }
    let rate = |records: f64| Rate { records, bytes: records * 100.0, throttled: 0.0 };
    let incoming = stream.metrics().incoming;
    assert_eq!((incoming.second, incoming.ten_seconds, incoming.minute), (rate(4.0), rate(4.0), rate(4.0)));
    clock.advance_ms(5_000);
    let incoming = stream.metrics().incoming;
    assert_eq!((incoming.second, incoming.ten_seconds, incoming.minute), (rate(0.0), rate(2.0), rate(3.0)));
    clock.advance_ms(120_000);
    assert_eq!(stream.metrics().incoming.minute, rate(0.0));
    engine.close().expect("closed");
}

#[test]
fn a_refused_call_counts_as_failed_and_passes_nothing() {
    let world = world(1);
    let World { engine, stream, .. } = &world;
    append(stream, &[("k", b"good")]).expect("appended");
    for records in [&[("", &b"x"[..])][..], &[("k", b"x"), ("", b"x"), ("k", b"x")]] {
        assert_eq!(append(stream, records).expect_err("an empty key").kind(), Kind::InvalidKey);
    }
    let metrics = stream.metrics();
    assert_eq!(metrics.incoming.total, Flow::of(1, 5));
    assert_eq!((metrics.put_record.calls, metrics.put_record.failed, metrics.put_record.records_failed), (2, 1, 1));
    assert_eq!((metrics.put_records.calls, metrics.put_records.failed, metrics.put_records.records_failed), (1, 1, 3));
    engine.close().expect("closed");
}

#[test]
fn the_age_of_what_is_read_is_that_of_its_oldest_record() {
    let world = world(1);
    let World { clock, engine, stream, .. } = &world;
    append(stream, &[("k", b"old")]).expect("appended");
    clock.advance_ms(7_000);
    let mut reader = reader(stream);
    assert!(matches!(reader.next(10, 1 << 20).expect("a step"), Step::Chunk(_)));
    assert!(matches!(reader.next(10, 1 << 20).expect("a step"), Step::AtTail));
    let metrics = stream.metrics();
    assert_eq!((metrics.iterator_age_ms, metrics.shards[0].iterator_age_ms), (7_000, 7_000));
    assert_eq!(metrics.get_records.calls, 1, "a look that finds nothing is no read");
    clock.advance_ms(60_000);
    assert_eq!(stream.metrics().iterator_age_ms, 0);
    engine.close().expect("closed");
}

#[test]
fn heavy_keys_are_named_with_their_part_of_the_load() {
    let world = world(4);
    let World { clock, engine, stream, .. } = &world;
    for second in 0..20 {
        let keys: Vec<String> =
            (0..100).map(|key| if key < 60 { "hot".into() } else { format!("{second}-{key}") }).collect();
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), &[0; 100][..])).collect();
        append(stream, &records).expect("appended");
        clock.advance_ms(1_000);
    }
    let hot = stream.metrics().keys.into_iter().next().expect("a heavy key");
    assert_eq!((hot.key.as_str(), hot.shard as usize), ("hot", shard_of("hot", 4)));
    assert_eq!(hot.hash_key, HashKey::of_key(b"hot").0.to_string());
    assert!((hot.share - 0.6).abs() < 0.01 && (hot.records - 60.0).abs() < 1.0, "{hot:?}");
    engine.close().expect("closed");
}

#[test]
fn a_shard_that_many_keys_make_hot_is_advised_to_be_split_and_one_key_to_be_spread() {
    let world = world(4);
    let World { clock, engine, stream, .. } = &world;
    let mut staged = StagedRecords::default();
    for second in 0..12_u128 {
        staged.clear();
        // Seven in ten records lie in the first sixteenth of the second shard.
        for record in 0..100_u128 {
            let within = (second * 100 + record) << 112;
            let hash = if record % 10 < 7 { (1_u128 << 126) + within } else { record << 121 };
            staged.push(&format!("key-{second}-{record}"), Some(hash), &[0; 200]);
        }
        stream.append(staged.as_staged(), None, Commit::Caller).expect("appended");
        clock.advance_ms(1_000);
    }
    let advice = stream.advise();
    let Advice::Split { hot, at, lower_share: Some(lower), .. } = &advice[0] else { unreachable!("{advice:?}") };
    assert_eq!(hot.shard, ShardId(1));
    assert!((0.45..0.55).contains(lower), "{lower}");
    assert!(at.0 > 1 << 126 && at.0 < (1 << 126) + (1_200 << 112), "{}", at.0);
    for _ in 0..70 {
        append(stream, &[("one", &[0; 200][..]); 1_000]).expect("appended");
        clock.advance_ms(1_000);
    }
    let advice = stream.advise();
    let Advice::SpreadKey { hot, key } = &advice[0] else { unreachable!("{advice:?}") };
    assert_eq!((hot.shard.0 as usize, key.key.as_str()), (shard_of("one", 4), "one"));
    engine.close().expect("closed");
}

#[test]
fn a_registered_consumer_counts_by_its_events_and_not_as_reads() {
    let world = world(1);
    let World { engine, stream, .. } = &world;
    stream.register_consumer("billing", Tags::new()).expect("registered");
    let options = SubscribeOptions { takes_over_after_ms: 5_000, ..SubscribeOptions::default() };
    let mut subscription = stream.subscribe("billing", options).expect("subscribed");
    let again = stream.subscribe("billing", options).expect_err("the first one is young");
    assert_eq!(again.kind(), Kind::SubscriptionInUse);
    append(stream, &[("k", b"seen"), ("l", b"seen")]).expect("appended");
    stream.flush().expect("flushed");
    assert!(matches!(subscription.next(10, 1 << 20).expect("a step"), Delivery::Event(_)));
    let metrics = stream.metrics();
    let counted = metrics.subscriptions;
    assert_eq!((counted.started, counted.failed, counted.rate_exceeded), (1, 1, 1));
    assert_eq!((counted.events, counted.event_records, counted.event_bytes), (1, 2, 10));
    assert_eq!((metrics.get_records.calls, metrics.outgoing.total), (0, Flow::of(2, 10)));
    drop(subscription);
    engine.close().expect("closed");
}

#[test]
fn advice_can_be_followed_and_what_was_hot_is_shared_afterwards() {
    let world = world(2);
    let World { clock, engine, stream, .. } = &world;
    let second = |second: u32| {
        let mut staged = StagedRecords::default();
        for record in 0..200_u128 {
            // All in the lower half of the first shard.
            staged.push(&format!("key-{second}-{record}"), Some((record << 118) + u128::from(second)), &[0; 100]);
        }
        stream.append(staged.as_staged(), None, Commit::Caller).expect("appended");
        clock.advance_ms(1_000);
    };
    (0..12).for_each(second);
    let advice = stream.advise();
    let [Advice::Split { hot, at, .. }] = &advice[..] else { unreachable!("{advice:?}") };
    assert_eq!(hot.shard, ShardId(0));
    let children = stream.split_shard(hot.shard, Some(*at)).expect("what is advised is admitted");
    (12..24).for_each(second);
    let metrics = stream.metrics();
    let rate = |id: ShardId| metrics.shards[id.0 as usize].incoming.ten_seconds.records;
    // Where each key comes once, the sketch is a sample of the last ones: half the load is met to a tenth.
    assert!((rate(children[0].id) - 100.0).abs() <= 20.0, "{metrics:?}");
    assert_eq!((rate(children[0].id) + rate(children[1].id), rate(ShardId(0))), (200.0, 0.0));
    assert!(!metrics.shards[0].open && metrics.open_shards == 3);
    engine.close().expect("closed");
}

#[test]
fn whoever_looks_on_without_a_claim_sees_the_figures_of_the_process_that_has_the_store_open() {
    let world = world(2);
    let World { clock, engine, stream, directory } = &world;
    let observed = observe(directory.path()).expect("a store");
    assert_eq!((observed.pid, observed.published), (Some(std::process::id()), None), "nothing has happened yet");
    append(stream, &[("k", b"seen"), ("l", b"seen")]).expect("appended");
    let seen = published_from(directory.path(), clock, |published| !published.streams.is_empty());
    assert_eq!((seen.streams[0].stream.as_str(), seen.streams[0].incoming.total.records), ("measured", 2));
    // Rates come to rest, and the keeper with them.
    let seen = published_from(directory.path(), clock, |published| published.streams[0].incoming.minute.records == 0.0);
    assert_eq!(seen.streams[0].incoming.total.records, 2);
    engine.close().expect("closed");
    assert_eq!(std::fs::metadata(directory.path().join("METRICS")).expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn figures_of_another_holder_and_foreign_bytes_are_no_figures() {
    let world = world(1);
    let World { clock, engine, stream, directory } = &world;
    append(stream, &[("k", b"seen")]).expect("appended");
    published_from(directory.path(), clock, |_| true);
    let left_behind = std::fs::read(directory.path().join("METRICS")).expect("published");
    engine.close().expect("closed");
    clock.advance_ms(1_000);
    let engine = open(directory.path(), clock);
    let unseen = |bytes: &[u8]| {
        std::fs::write(directory.path().join("METRICS"), bytes).expect("written");
        assert_eq!(observe(directory.path()).expect("a store").published, None);
    };
    unseen(&left_behind);
    unseen(b"MILLMETR and something else");
    unseen(b"");
    engine.close().expect("closed");
    assert_eq!(observe(&directory.path().join("streams")).expect_err("no store").kind(), Kind::NotAStore);
}

/// Lets time pass until the keeper has published what is wanted; it looks at the clock four times a second at least.
fn published_from(path: &Path, clock: &ManualClock, is_wanted: impl Fn(&Published) -> bool) -> Published {
    for _ in 0..6_000 {
        if let Some(published) = observe(path).expect("a store").published.filter(&is_wanted) {
            return published;
        }
        clock.advance_ms(100);
        std::thread::park_timeout(Duration::from_millis(10));
    }
    unreachable!("the figures were not published within a minute")
}
