//! The meter of one stream: appends and reads tell it what passed, and whoever wants to know reads it.
//!
//! What comes in and what goes out are counted under a lock each, so that neither waits for the other. An append takes
//! the lock for a frame, not for a record; what it adds is plain numbers. One call in sixteen is timed.

use std::collections::HashMap;
use std::sync::Arc;

use super::advice::{RECORD_LOAD, ShardLoad};
use super::age::Age;
use super::flow::{Flow, Flows};
use super::keys::{KeyLoad, KeySketch, Weight};
use super::latency::{Latencies, Latency};
use super::report::{KeyMetrics, Operation, ShardMetrics, StreamMetrics, Subscriptions};
use super::sampler::Sampler;
use crate::clock::Clock;
use crate::shard::{HashKey, Shard, ShardId, ShardMap};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Apart, Mutex};

/// How many keys a stream's sketch keeps: each that has more than one 512th of the load is among them.
const KEYS_KEPT: usize = 512;
/// How many keys a report names.
const KEYS_REPORTED: usize = 20;
/// One call in so many is timed, for two looks at a clock cost as much as a small append.
const TIMED_ONE_IN: u32 = 16;

/// Counts what happens in a stream.
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Arc<dyn Clock>,
    // Whether anything is counted at all.
    counts: bool,
    calls: Apart<AtomicU32>,
    incoming: Apart<Mutex<Incoming>>,
    outgoing: Apart<Mutex<Outgoing>>,
    subscriptions: Mutex<Subscriptions>,
}

#[derive(Debug)]
struct Incoming {
    flows: Flows,
    sampler: Sampler,
    keys: KeySketch,
    put_record: Calls,
    put_records: Calls,
}

#[derive(Debug)]
struct Outgoing {
    flows: Flows,
    age: Age,
    ages: HashMap<u32, Age>,
    get_records: Calls,
}

/// The calls of one kind.
#[derive(Debug, Default)]
struct Calls {
    counts: Operation,
    latency: Latency,
}

/// When a call began, if it is one of those that are timed: in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun(Option<u64>);

/// A record as the sketch of keys sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub hash: HashKey,
    pub key: &'a [u8],
    /// Of key and data.
    pub bytes: u64,
}

impl Meter {
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Meter {
        let second = clock.monotonic_ms() / 1_000;
        Meter {
            calls: Apart(AtomicU32::new(0)),
            incoming: Apart(Mutex::new(Incoming {
                flows: Flows::new(second),
                sampler: Sampler::new(seed),
                keys: KeySketch::new(KEYS_KEPT),
                put_record: Calls::default(),
                put_records: Calls::default(),
            })),
            outgoing: Apart(Mutex::new(Outgoing {
                flows: Flows::new(second),
                age: Age::default(),
                ages: HashMap::new(),
                get_records: Calls::default(),
            })),
            subscriptions: Mutex::default(),
            clock,
            counts: true,
        }
    }

    /// One that counts only where that is wanted.
    pub fn counting(self, counts: bool) -> Meter {
        Meter { counts, ..self }
    }

    /// A call begins.
    #[inline]
    pub fn begin(&self) -> Begun {
        if !self.counts {
            return Begun(None);
        }
        // Two threads that take the same number time one call too many or too few.
        let calls = self.calls.load(Ordering::Relaxed).wrapping_add(1);
        self.calls.store(calls, Ordering::Relaxed);
        Begun(calls.is_multiple_of(TIMED_ONE_IN).then(|| self.clock.monotonic_ns()))
    }

    /// One record was appended on its own, and with that the call ends. Returns whether it is the first append of a
    /// second.
    pub fn appended_one<'a>(&self, shard: u32, bytes: u64, begun: Begun, seen: impl FnOnce() -> Seen<'a>) -> bool {
        if !self.counts {
            return false;
        }
        let second = self.second();
        let mut incoming = self.incoming.lock();
        let is_first = incoming.tick(second);
        incoming.flows.add(shard, Flow::of(1, bytes));
        let mut chosen = None;
        incoming.sampler.pick(1, |_, stands_for| chosen = Some(stands_for));
        if let Some(stands_for) = chosen {
            incoming.keys.look(seen(), stands_for, second);
        }
        incoming.put_record.passed(1, bytes);
        self.end(&mut incoming.put_record, begun);
        is_first
    }

    /// A frame of records was appended: so much to these shards. Some of its records are looked at by their number.
    /// Returns whether it is the first of a second.
    pub fn appended<'a>(
        &self,
        records: usize,
        flows: impl Iterator<Item = (u32, Flow)>,
        seen: impl Fn(usize) -> Seen<'a>,
    ) -> bool {
        if !self.counts {
            return false;
        }
        let second = self.second();
        let mut incoming = self.incoming.lock();
        let incoming = &mut *incoming;
        let is_first = incoming.tick(second);
        for (shard, flow) in flows {
            incoming.flows.add(shard, flow);
        }
        let keys = &mut incoming.keys;
        incoming.sampler.pick(records, |index, stands_for| keys.look(seen(index), stands_for, second));
        is_first
    }

    /// A call to append so many records ended; some may have passed, and others been refused by a limit.
    pub fn put_ended(&self, records: usize, passed: Flow, begun: Begun) {
        if !self.counts {
            return;
        }
        let mut incoming = self.incoming.lock();
        let calls = if records == 1 { &mut incoming.put_record } else { &mut incoming.put_records };
        calls.passed(passed.records, passed.bytes);
        let failed = (records as u64).saturating_sub(passed.records);
        calls.counts.records_throttled += passed.throttled;
        calls.counts.failed += u64::from(failed > 0);
        calls.counts.records_failed += failed;
        self.end(calls, begun);
    }

    /// These runs were read: of each the shard, the records, the bytes and the age. With that the call ends that began
    /// so; a subscription's event is none.
    /// Returns whether it is the first read of a second.
    pub fn read(&self, runs: impl Iterator<Item = (u32, Flow, u64)>, begun: Option<Begun>) -> bool {
        if !self.counts {
            return false;
        }
        let second = self.second();
        let mut outgoing = self.outgoing.lock();
        let outgoing = &mut *outgoing;
        let is_first = outgoing.flows.tick(second);
        let mut all = Flow::default();
        for (shard, flow, age_ms) in runs {
            outgoing.flows.add(shard, flow);
            outgoing.ages.entry(shard).or_default().record(age_ms, second);
            outgoing.age.record(age_ms, second);
            all.records += flow.records;
            all.bytes += flow.bytes;
        }
        if let Some(begun) = begun {
            outgoing.get_records.passed(all.records, all.bytes);
            self.end(&mut outgoing.get_records, begun);
        }
        is_first
    }

    /// Limits refused so many records of these shards.
    pub fn refused_in(&self, shards: impl IntoIterator<Item = (ShardId, u64)>) {
        let second = self.second();
        let mut incoming = self.incoming.lock();
        incoming.tick(second);
        for (shard, throttled) in shards {
            incoming.flows.add(shard.0, Flow { throttled, ..Flow::default() });
        }
    }

    /// A limit refused a read of this shard.
    pub fn refused_out(&self, shard: ShardId) {
        let second = self.second();
        let mut outgoing = self.outgoing.lock();
        outgoing.flows.tick(second);
        outgoing.flows.add(shard.0, Flow { throttled: 1, ..Flow::default() });
        outgoing.get_records.counts.calls += 1;
        outgoing.get_records.counts.failed += 1;
    }

    /// A read ended with an error.
    pub fn read_failed(&self) {
        let mut outgoing = self.outgoing.lock();
        outgoing.get_records.counts.calls += 1;
        outgoing.get_records.counts.failed += 1;
    }

    /// Lets go of what is kept for shards that are no more.
    pub fn forget(&self, is_kept: impl Fn(u32) -> bool) {
        self.incoming.lock().flows.forget(&is_kept);
        let mut outgoing = self.outgoing.lock();
        outgoing.flows.forget(&is_kept);
        outgoing.ages.retain(|shard, _| is_kept(*shard));
    }

    /// What enhanced fan-out tells.
    pub fn subscriptions(&self, tell: impl FnOnce(&mut Subscriptions)) {
        tell(&mut self.subscriptions.lock());
    }

    /// Everything, with these of the map's shards: only what is told of them is gathered.
    pub fn report(&self, stream: &str, map: &ShardMap, shards: &[Shard], sync: Latencies) -> StreamMetrics {
        let second = self.second();
        let mut metrics = StreamMetrics { stream: stream.to_owned(), sync, ..StreamMetrics::default() };
        metrics.subscriptions = *self.subscriptions.lock();
        let ids = || shards.iter().map(|shard| shard.id.0);
        let (keys, total, incoming) = {
            let mut incoming = self.incoming.lock();
            incoming.keys.fade(second);
            metrics.incoming = incoming.flows.whole(second);
            metrics.put_record = incoming.put_record.read(second);
            metrics.put_records = incoming.put_records.read(second);
            (incoming.keys.keys(), incoming.keys.total(), incoming.flows.shards(second, ids()))
        };
        let outgoing: Vec<_> = {
            let outgoing = self.outgoing.lock();
            metrics.outgoing = outgoing.flows.whole(second);
            metrics.get_records = outgoing.get_records.read(second);
            metrics.iterator_age_ms = outgoing.age.read(second);
            let age = |shard| outgoing.ages.get(&shard).map_or(0, |age| age.read(second));
            outgoing.flows.shards(second, ids()).into_iter().zip(ids().map(age)).collect()
        };
        let of_shard = |((shard, incoming), (outgoing, iterator_age_ms)): ((&Shard, _), _)| ShardMetrics {
            shard: shard.id.0,
            open: shard.is_open(),
            incoming,
            outgoing,
            iterator_age_ms,
        };
        metrics.shards = shards.iter().zip(incoming).zip(outgoing).map(of_shard).collect();
        metrics.open_shards = u32::try_from(map.open_count()).unwrap_or(u32::MAX);
        let key = |key: KeyLoad| key_metrics(&key, total, &metrics, map);
        metrics.keys = keys.into_iter().take(KEYS_REPORTED).filter(|key| key.load > key.error).map(key).collect();
        metrics
    }

    /// What comes in to the open shards of this map, and by which keys.
    pub fn loads(&self, map: &ShardMap) -> (Vec<ShardLoad>, Vec<KeyLoad>) {
        let second = self.second();
        let open: Vec<&Shard> = map.shards().iter().filter(|shard| shard.is_open()).collect();
        let mut incoming = self.incoming.lock();
        incoming.keys.fade(second);
        let keys = incoming.keys.keys();
        let passed = incoming.flows.shards(second, open.iter().map(|shard| shard.id.0));
        drop(incoming);
        let load = |(shard, passed): (&Shard, super::flow::Passed)| ShardLoad {
            shard: shard.id,
            range: shard.range,
            minute: passed.minute,
            ten_seconds: passed.ten_seconds,
        };
        (open.into_iter().zip(passed).map(load).collect(), keys)
    }

    fn second(&self) -> u64 {
        self.clock.monotonic_ms() / 1_000
    }

    fn end(&self, calls: &mut Calls, Begun(begun): Begun) {
        let Some(begun_ns) = begun else { return };
        let now_ns = self.clock.monotonic_ns();
        calls.latency.record(now_ns.saturating_sub(begun_ns), now_ns / 1_000_000_000);
    }
}

/// A key's part of what comes in: its share of what the sketch has seen, at the rate of the last minute.
fn key_metrics(key: &KeyLoad, total: Weight, metrics: &StreamMetrics, map: &ShardMap) -> KeyMetrics {
    let part = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    let minute = metrics.incoming.minute;
    KeyMetrics {
        key: key.key.clone(),
        hash_key: key.hash.0.to_string(),
        shard: map.route(key.hash).0,
        share: part(key.load - key.error, total.load),
        share_error: part(key.error, total.load),
        records: part(key.records, total.records) * minute.records,
        bytes: part(key.bytes, total.bytes) * minute.bytes,
    }
}

impl Incoming {
    /// Returns whether it is a new second.
    fn tick(&mut self, second: u64) -> bool {
        let is_first = self.flows.tick(second);
        if is_first {
            self.sampler.turn();
        }
        is_first
    }
}

impl Calls {
    fn passed(&mut self, records: u64, bytes: u64) {
        self.counts.calls += 1;
        self.counts.records += records;
        self.counts.bytes += bytes;
    }

    fn read(&self, second: u64) -> Operation {
        Operation { latency: self.latency.read(second), ..self.counts }
    }
}

impl KeySketch {
    fn look(&mut self, Seen { hash, key, bytes }: Seen<'_>, stands_for: f64, second: u64) {
        let bytes = bytes as f64;
        let weight =
            Weight { load: bytes.max(RECORD_LOAD) * stands_for, records: stands_for, bytes: bytes * stands_for };
        self.add(hash, key, weight, second);
    }
}
