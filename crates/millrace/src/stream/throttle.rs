//! The limits of a stream's shards where records come in and go out: which of a batch are admitted, and whether a shard
//! may be read now.
//!
//! A stream without limits pays for one look at one word. The tanks of a shard are made full when it is first written to
//! or read, and made anew when the limits change; they live in memory, so a store that is opened again begins with full
//! ones. What was admitted is not judged again where the shard map changes before it is appended, and what could not be
//! appended, because the disk was full, has used up what it took.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pack::Packer;
use super::reader::{Reader, Step};
use super::single::Single;
use super::{Stream, StreamInner};
use crate::capacity::CapacityMode;
use crate::control::StreamConfig;
use crate::error::{Error, Result};
use crate::limits::{Demand, ReadTank, Refusal, ShardLimits, WriteTank};
use crate::shard::{ShardId, ShardMap};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A record of a batch that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Which limit of which shard it was, and when to try again.
    pub error: Error,
}

/// The tanks of a stream.
#[derive(Debug)]
pub(super) struct Throttle {
    // Whether writes are limited, or counted.
    looks_at_writes: AtomicBool,
    tanks: Mutex<Tanks>,
}

/// What a shard has taken in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub bytes: u64,
    pub records: u64,
}

#[derive(Debug, Default)]
struct Tanks {
    limits: ShardLimits,
    writes: BTreeMap<ShardId, WriteTank>,
    reads: BTreeMap<ShardId, ReadTank>,
    // What was admitted since somebody asked last, of a stream that goes by it.
    passed: Option<BTreeMap<ShardId, Passed>>,
}

impl Throttle {
    pub fn new(config: &StreamConfig) -> Throttle {
        let throttle = Throttle { looks_at_writes: AtomicBool::new(false), tanks: Mutex::default() };
        throttle.set(config);
        throttle
    }

    /// The limits that hold.
    pub fn limits(&self) -> ShardLimits {
        self.tanks.lock().limits
    }

    /// From now the limits of this configuration hold; every shard begins with full tanks. What an on-demand stream takes
    /// in is counted.
    pub fn set(&self, config: &StreamConfig) {
        let limits = config.limits.limits();
        let passed = (config.mode == CapacityMode::OnDemand).then(BTreeMap::new);
        self.looks_at_writes.store(!limits.writes_are_free() || passed.is_some(), Ordering::Release);
        *self.tanks.lock() = Tanks { limits, passed, ..Tanks::default() };
    }

    /// Whether writes must be admitted.
    #[inline]
    pub fn looks_at_writes(&self) -> bool {
        self.looks_at_writes.load(Ordering::Acquire)
    }

    /// What was admitted since the last call, of a stream that goes by it.
    pub fn take_passed(&self) -> BTreeMap<ShardId, Passed> {
        self.tanks.lock().passed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Lets go of the tanks of shards that cannot be written to any more, or not be read.
    pub fn forget_closed(&self, map: &ShardMap) {
        let mut tanks = self.tanks.lock();
        tanks.writes.retain(|shard, _| map.get(*shard).is_some_and(|shard| shard.is_open()));
        tanks.reads.retain(|shard, _| map.get(*shard).is_some());
    }

    /// Admits one record.
    fn admit(&self, shard: ShardId, bytes: u64, now_ms: u64) -> std::result::Result<(), Refusal> {
        let mut tanks = self.tanks.lock();
        let demand = Demand::of_record(bytes, &tanks.limits);
        tanks.admit(shard, demand, now_ms)
    }

    /// Admits all of these records or none; a refusal tells which shard could not take its part.
    fn admit_all(
        &self,
        records: impl Iterator<Item = (ShardId, u64)>,
        now_ms: u64,
    ) -> std::result::Result<(), (ShardId, Refusal)> {
        let mut tanks = self.tanks.lock();
        let mut demands = BTreeMap::<ShardId, Demand>::new();
        for (shard, bytes) in records {
            let demand = demands.entry(shard).or_default();
            *demand = demand.and(Demand::of_record(bytes, &tanks.limits));
        }
        for (shard, demand) in &demands {
            if let Some(refusal) = tanks.write_tank(*shard, now_ms).refusal(*demand, now_ms) {
                return Err((*shard, refusal));
            }
        }
        for (shard, demand) in demands {
            tanks.admit(shard, demand, now_ms).expect("just found to fit, under the same lock");
        }
        Ok(())
    }

    fn with_reads<T>(&self, shard: ShardId, now_ms: u64, of: impl FnOnce(&mut ReadTank) -> T) -> T {
        let mut tanks = self.tanks.lock();
        let limits = tanks.limits;
        of(tanks.reads.entry(shard).or_insert_with(|| ReadTank::new(&limits, now_ms)))
    }
}

impl Tanks {
    fn admit(&mut self, shard: ShardId, demand: Demand, now_ms: u64) -> std::result::Result<(), Refusal> {
        self.write_tank(shard, now_ms).admit(demand, now_ms)?;
        if let Some(passed) = &mut self.passed {
            let passed = passed.entry(shard).or_default();
            passed.bytes = passed.bytes.saturating_add(demand.bytes).saturating_add(demand.large_bytes);
            passed.records = passed.records.saturating_add(demand.records);
        }
        Ok(())
    }

    fn write_tank(&mut self, shard: ShardId, now_ms: u64) -> &mut WriteTank {
        let limits = self.limits;
        self.writes.entry(shard).or_insert_with(|| WriteTank::new(&limits, now_ms))
    }
}

impl StreamInner {
    fn now_ms(&self) -> u64 {
        self.engine.environment.clock.monotonic_ms()
    }

    fn exceeded(&self, shard: ShardId, refusal: Refusal) -> Error {
        Error::throughput(&self.name, shard, refusal)
    }

    /// Admits one record, or says in `throttled` that there is one that was not; `false` where it went to `refused`.
    #[inline]
    pub(super) fn admit_single(
        &self,
        single: Single,
        refused: Option<&mut Vec<Refused>>,
        throttled: &mut u64,
    ) -> Result<bool> {
        if !self.throttle.looks_at_writes() {
            return Ok(true);
        }
        let Single { shard, bytes, .. } = single;
        let Err(refusal) = self.throttle.admit(shard, bytes, self.now_ms()) else { return Ok(true) };
        *throttled = 1;
        self.meter.refused_in([(shard, 1)]);
        let error = self.exceeded(shard, refusal);
        let Some(refused) = refused else { return Err(error) };
        refused.push(Refused { index: 0, error });
        Ok(false)
    }

    /// Admits what the packer was loaded with by this map: all of it, or, where `refused` is given, each record for
    /// itself. What is refused then leaves the packer. `throttled` says how many records are not admitted.
    pub(super) fn admit_packed(
        &self,
        packer: &mut Packer,
        map: &ShardMap,
        refused: Option<&mut Vec<Refused>>,
        throttled: &mut u64,
    ) -> Result<()> {
        if !self.throttle.looks_at_writes() {
            return Ok(());
        }
        let now_ms = self.now_ms();
        let Some(refused) = refused else {
            let admitted = self.throttle.admit_all(packer.sizes(map), now_ms);
            let Err((shard, refusal)) = admitted else { return Ok(()) };
            *throttled = packer.sizes(map).count() as u64;
            self.meter.refused_in([(shard, packer.sizes(map).filter(|(of, _)| *of == shard).count() as u64)]);
            return Err(self.exceeded(shard, refusal));
        };
        let mut refused_by_shard = BTreeMap::<ShardId, u64>::new();
        packer.keep(map, |index, shard, bytes| {
            let verdict = self.throttle.admit(shard, bytes, now_ms);
            let is_admitted = verdict.is_ok();
            if !is_admitted {
                *refused_by_shard.entry(shard).or_default() += 1;
            }
            refused.extend(verdict.err().map(|refusal| Refused { index, error: self.exceeded(shard, refusal) }));
            is_admitted
        });
        self.meter.refused_in(refused_by_shard.iter().map(|(shard, records)| (*shard, *records)));
        *throttled = refused_by_shard.values().sum();
        Ok(())
    }
}

impl Stream {
    /// Admits one read of a shard under the stream's limits; [`Stream::charge_read`] must tell what it found. A reader
    /// that goes on from chunk to chunk has [`Reader::next_admitted`].
    ///
    /// # Errors
    /// `ThroughputExceeded`, which says when to try again.
    pub fn admit_read(&self, shard: u32) -> Result<()> {
        let (shard, now_ms) = (ShardId(shard), self.0.now_ms());
        let admitted = self.0.throttle.with_reads(shard, now_ms, |tank| tank.admit(now_ms));
        admitted.map_err(|refusal| {
            self.0.meter.refused_out(shard);
            self.0.exceeded(shard, refusal)
        })
    }

    /// Charges what a read that was admitted has found, in bytes of key and data: beyond what is left of the second, it
    /// closes the shard for as long as its bytes take.
    pub fn charge_read(&self, shard: u32, found_bytes: u64) {
        let now_ms = self.0.now_ms();
        self.0.throttle.with_reads(ShardId(shard), now_ms, |tank| tank.charge(found_bytes, now_ms));
    }

    /// Admits that an iterator on a shard is asked for, as GetShardIterator does: 5 a second and shard under `aws`.
    ///
    /// # Errors
    /// `ThroughputExceeded`, which says when to try again.
    pub fn admit_iterator(&self, shard: u32) -> Result<()> {
        let (shard, now_ms) = (ShardId(shard), self.0.now_ms());
        let admitted = self.0.throttle.with_reads(shard, now_ms, |tank| tank.admit_iterator(now_ms));
        admitted.map_err(|refusal| self.0.exceeded(shard, refusal))
    }
}

impl Reader {
    /// As [`Reader::next`], under the read limits of the stream's shards, as GetRecords has them: a shard is read a few
    /// times a second, and is closed for a while after an answer that was more than a second's worth. Whoever reads
    /// without limits is not counted. A reader of the whole stream is not limited: there is no such thing in Kinesis.
    ///
    /// # Errors
    /// `ThroughputExceeded`, which says when to try again, and nothing was read; or as for [`Reader::next`].
    pub fn next_admitted(&mut self, records_max: usize, bytes_max: usize) -> Result<Step> {
        let Some(shard) = self.only_shard() else { return self.next(records_max, bytes_max) };
        let stream = Stream(Arc::clone(&self.stream));
        stream.admit_read(shard)?;
        let step = self.next(records_max, bytes_max)?;
        if let Step::Chunk(chunk) = &step {
            stream.charge_read(shard, chunk.runs.iter().map(|run| run.flow().bytes).sum());
        }
        Ok(step)
    }
}
