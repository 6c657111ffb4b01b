//! On-demand: once a minute the keeper looks at what came in, and splits and merges shards as the pure rules of
//! `capacity` say.
//!
//! What was seen lives in memory; what must outlive the process, the switches of the mode, the warm throughput and the
//! peaks of thirty days, are commands of the control log, and rare. A step that fails comes again in the next minute.

use std::collections::BTreeMap;

use super::Stream;
use super::reshard::Reshard;
use super::throttle::Passed;
use crate::capacity::{CapacityHistory, CapacityMode, ShardLoad, Step, Watch};
use crate::control::PeakNoted;
use crate::error::Result;
use crate::shard::{Shard, ShardId, ShardMap};

/// What a keeper remembers of an on-demand stream between its looks.
#[derive(Debug, Default)]
pub(super) struct Scaler {
    watch: Watch,
    // When it looked last, by monotonic time; none before the first look.
    looked_ms: Option<u64>,
}

impl Stream {
    /// Looks at what came in since the last look, and carries out what follows; returns how many shards were split. A
    /// stream that is not on-demand is left alone.
    ///
    /// The caller keeps the engine open meanwhile.
    pub(crate) fn scale(&self) -> Result<usize> {
        let inner = &self.0;
        let (mode, history) = inner.engine.capacity_of(inner.id)?;
        let mut scaler = inner.scaler.lock();
        if mode == CapacityMode::Provisioned {
            *scaler = Scaler::default();
            return Ok(0);
        }
        let clock = &inner.engine.environment.clock;
        let now_ms = clock.monotonic_ms();
        // The first look only begins: over what time came what it finds, nobody knows.
        let (elapsed_ms, passed) = match scaler.looked_ms.replace(now_ms) {
            Some(looked_ms) => (now_ms.saturating_sub(looked_ms), inner.throttle.take_passed()),
            None => {
                inner.throttle.take_passed();
                (0, BTreeMap::new())
            }
        };
        scaler.watch.observe(elapsed_ms, &loads(&inner.routes().map, &passed));
        let wall_ms = clock.wall_ms();
        self.note_peak(&mut scaler.watch, &history, wall_ms)?;
        let needed = history.shards_needed(wall_ms, scaler.watch.latest_peak());
        let steps = scaler.watch.plan(needed);
        steps.iter().try_for_each(|step| self.change_map(change_of(*step)).map(drop))?;
        Ok(steps.iter().filter(|step| matches!(step, Step::Split { .. })).count())
    }

    fn note_peak(&self, watch: &mut Watch, history: &CapacityHistory, wall_ms: u64) -> Result<()> {
        let rate = watch.latest_peak();
        if watch.may_note() && history.is_news(wall_ms, rate) {
            self.0.engine.command(&PeakNoted { id: self.0.id, at_ms: wall_ms, rate }.into())?;
            watch.noted();
        }
        Ok(())
    }
}

/// What each open shard took in.
fn loads(map: &ShardMap, passed: &BTreeMap<ShardId, Passed>) -> Vec<ShardLoad> {
    let load = |shard: &Shard| {
        let Passed { bytes, records } = passed.get(&shard.id).copied().unwrap_or_default();
        let parents = [shard.parent, shard.adjacent_parent];
        ShardLoad { shard: shard.id, range: shard.range, parents, bytes, records }
    };
    map.open_shards().map(load).collect()
}

fn change_of(step: Step) -> Reshard {
    match step {
        Step::Split { shard, at } => Reshard::Split { shard, at: Some(at) },
        Step::Merge { shard, adjacent } => Reshard::Merge { shard, adjacent },
    }
}
