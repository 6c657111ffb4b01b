//! The promises of on-demand, played: a world of hash keys with traffic, in which every step is carried out at once.

use proptest::prelude::*;

use super::*;
use crate::shard::{HashRange, ShardId, ShardMap};

const MINUTE_MS: u64 = 60_000;
const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1 << 20;
/// Traffic is dealt out to so many equal slices of the hash keys.
const SLICES: u32 = 256;
/// The wall clock when a world begins.
const BEGINNING_MS: u64 = 20_000 * 24 * 3_600_000;

/// An on-demand stream, its keeper and its traffic.
struct World {
    shards: Vec<ShardLoad>,
    next_id: u32,
    watch: Watch,
    history: CapacityHistory,
    minute: u64,
    splits: u64,
    merges: u64,
    notes: Vec<u64>,
    /// Bytes a second that shards refused in the last minute, because each takes 1 MiB/s.
    refused: u64,
    /// How many minutes each shard has been hot by what it was sent.
    hot_minutes: std::collections::BTreeMap<ShardId, u64>,
}

impl World {
    fn of(shards: u32) -> World {
        let map = ShardMap::uniform(shards).expect("a map");
        let load = |(id, range)| ShardLoad { shard: id, range, parents: [None, None], bytes: 0, records: 0 };
        World {
            shards: map.shards().iter().map(|shard| load((shard.id, shard.range))).collect(),
            next_id: shards,
            watch: Watch::default(),
            history: CapacityHistory::default(),
            minute: 0,
            splits: 0,
            merges: 0,
            notes: Vec::new(),
            refused: 0,
            hot_minutes: std::collections::BTreeMap::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        BEGINNING_MS + self.minute * MINUTE_MS
    }

    /// One minute in which each slice is sent so many bytes a second; `key` of them go to one hash key in the middle.
    fn play(&mut self, slice: impl Fn(u32) -> u64, key: u64) {
        self.minute += 1;
        self.refused = 0;
        for shard in &mut self.shards {
            let sent = sent_to(shard.range, &slice) + if shard.range.contains(HASH_OF_KEY) { key } else { 0 };
            let taken = sent.min(MIB);
            self.refused += sent - taken;
            shard.bytes = taken * 60;
            let hot = self.hot_minutes.entry(shard.shard).or_default();
            *hot = if sent > 500_000 { *hot + 1 } else { 0 };
        }
        self.watch.observe(MINUTE_MS, &self.shards);
        let (now_ms, latest) = (self.now_ms(), self.watch.latest_peak());
        if self.watch.may_note() && self.history.is_news(now_ms, latest) {
            self.history.note_peak(now_ms, latest);
            self.watch.noted();
            self.notes.push(self.minute);
        }
        let needed = self.history.shards_needed(now_ms, latest);
        for step in self.watch.plan(needed) {
            self.carry_out(step);
        }
        self.check_tiles();
    }

    fn play_evenly(&mut self, bytes_per_second: u64) {
        self.play(|_| bytes_per_second / u64::from(SLICES), 0);
    }

    fn carry_out(&mut self, step: Step) {
        let place =
            |shards: &[ShardLoad], id| shards.iter().position(|shard| shard.shard == id).expect("an open shard");
        match step {
            Step::Split { shard, at } => {
                let index = place(&self.shards, shard);
                let HashRange { start, end } = self.shards[index].range;
                assert!(at.0 > start + 1 && at.0 < end, "the rule of SplitShard");
                assert!((at.0 - start).abs_diff(end - at.0 + 1) <= 1, "evenly");
                let ranges = [HashRange { start, end: at.0 - 1 }, HashRange { start: at.0, end }];
                let children = ranges.map(|range| self.child(range, [Some(shard), None]));
                self.shards.splice(index..=index, children);
                self.splits += 1;
            }
            Step::Merge { shard, adjacent } => {
                let index = place(&self.shards, shard);
                assert_eq!(place(&self.shards, adjacent), index + 1, "only what touches is merged");
                let range = HashRange { start: self.shards[index].range.start, end: self.shards[index + 1].range.end };
                let child = self.child(range, [Some(shard), Some(adjacent)]);
                self.shards.splice(index..=index + 1, [child]);
                self.merges += 1;
            }
        }
    }

    fn child(&mut self, range: HashRange, parents: [Option<ShardId>; 2]) -> ShardLoad {
        self.next_id += 1;
        ShardLoad { shard: ShardId(self.next_id - 1), range, parents, bytes: 0, records: 0 }
    }

    fn check_tiles(&self) {
        let mut next = Some(0);
        for shard in &self.shards {
            assert_eq!(Some(shard.range.start), next);
            next = shard.range.end.checked_add(1);
        }
        assert_eq!(next, None, "the open shards tile all hash keys");
    }
}

const HASH_OF_KEY: crate::shard::HashKey = crate::shard::HashKey(u128::MAX / 2 + u128::MAX / 7);

/// What the slices of a range are sent; a range that is narrower than a slice gets its part.
fn sent_to(range: HashRange, slice: &impl Fn(u32) -> u64) -> u64 {
    let slice_bits = u128::BITS - SLICES.trailing_zeros();
    let of = |key: u128| u32::try_from(key >> slice_bits).expect("below 256");
    let (first, last) = (of(range.start), of(range.end));
    if first == last {
        let part = ((range.end - range.start) >> (slice_bits - 16)) + 1;
        return (slice(first) * u64::try_from(part).expect("at most 2^16")) >> 16;
    }
    (first..=last).map(slice).sum()
}

/// A load that comes by day and goes by night, in bytes a second.
fn day_and_night(minute: u64, by_day: u64) -> u64 {
    let hour = minute / HOUR % 24;
    if (8..20).contains(&hour) { by_day } else { by_day / 20 }
}

#[test]
fn sixty_days_of_traffic_are_taken_in_and_what_they_needed_goes_thirty_days_later() {
    let mut world = World::of(ON_DEMAND_SHARDS);
    let mut refused_minutes = 0;
    let mut most_shards = 0;
    for minute in 0..60 * DAY {
        // Growth by a half in each of five days, a festival of three times as much in the sixth, then business as usual.
        let by_day = match minute / DAY {
            day @ 0..5 => {
                MIB * 2 * 3_u64.pow(u32::try_from(day).expect("small")) / 2_u64.pow(u32::try_from(day).expect("small"))
            }
            5 => MIB * 30,
            _ => MIB * 4,
        };
        world.play_evenly(day_and_night(minute, by_day));
        refused_minutes += u64::from(world.refused > 0);
        most_shards = most_shards.max(world.shards.len());
        if (6 * DAY..35 * DAY).contains(&minute) {
            assert!(world.shards.len() >= 60, "twice the peak of 30 MiB/s stays for thirty days");
        }
    }
    assert!((60..=128).contains(&most_shards), "{most_shards}");
    // More than twice the peak comes once, with the festival.
    assert!(refused_minutes <= 15, "{refused_minutes} minutes of refusals");
    assert!((8..=16).contains(&world.shards.len()), "{} shards for 4 MiB/s", world.shards.len());
    assert!(world.splits <= 2 * 128 && world.merges <= world.splits, "{} splits", world.splits);
    assert!(world.notes.len() <= 60 * 4, "{} notes in the control log", world.notes.len());
    assert!(world.notes.windows(2).all(|pair| pair[1] - pair[0] >= 15), "no more than four an hour");
}

#[test]
fn a_hot_shard_is_split_within_fifteen_minutes_however_uneven_the_keys_are() {
    let mut world = World::of(ON_DEMAND_SHARDS);
    // Three quarters of the traffic go to a sixteenth of the keys.
    let slice = |index: u32| if index < SLICES / 16 { 3 * MIB / 16 } else { MIB / 240 };
    for _ in 0..2 * HOUR {
        world.play(slice, 0);
        let slowest = world.shards.iter().map(|shard| world.hot_minutes.get(&shard.shard).copied().unwrap_or(0)).max();
        assert!(slowest <= Some(15), "a shard was hot for {slowest:?} minutes");
    }
    assert_eq!(world.refused, 0, "what came is taken in by now");
    assert!(world.shards.iter().all(|shard| shard.bytes / 60 <= 500_000));
}

#[test]
fn a_single_hot_key_is_not_singled_out_and_does_not_make_shards_without_end() {
    let mut world = World::of(ON_DEMAND_SHARDS);
    for _ in 0..30 * DAY {
        world.play(|_| MIB / 1_024, 4 * MIB);
        assert!(world.shards.len() <= 24, "{} shards", world.shards.len());
    }
    assert_eq!(
        world.refused,
        3 * MIB + MIB / 1_024 * u64::from(SLICES) / u64::from(SLICES) - MIB / 1_024,
        "one shard, one MiB/s"
    );
}

#[test]
fn twice_the_peak_is_taken_in_at_once_and_three_times_as_much_a_quarter_of_an_hour_later() {
    let mut peak = 2 * MIB - MIB / 8;
    for _ in 0..5 {
        let mut world = World::of(ON_DEMAND_SHARDS);
        (0..30).for_each(|_| world.play_evenly(peak));
        world.play_evenly(peak * 2);
        assert_eq!(world.refused, 0, "twice {peak}");
        (0..15).for_each(|_| world.play_evenly(peak * 3));
        world.play_evenly(peak * 3);
        assert_eq!(world.refused, 0, "three times {peak}");
        peak *= 3;
    }
}

#[test]
fn warm_throughput_is_there_before_the_traffic_and_can_be_released() {
    let mut world = World::of(ON_DEMAND_SHARDS);
    world.history.warm(Some(200));
    (0..6).for_each(|_| world.play_evenly(0));
    assert_eq!(world.shards.len(), 256);
    world.play_evenly(200 * MIB);
    assert_eq!(world.refused, 0);
    let mut world = World::of(ON_DEMAND_SHARDS);
    world.history.warm(Some(200));
    (0..2 * DAY).for_each(|_| world.play_evenly(MIB));
    assert_eq!(world.shards.len(), 256, "it holds until it is released");
    world.history.warm(None);
    (0..DAY).for_each(|_| world.play_evenly(MIB));
    assert_eq!(world.shards.len(), 4, "and then goes, as all of it was quiet");
}

#[test]
fn a_stream_keeps_its_shards_when_its_mode_is_switched() {
    for shards in [1, 3, 7] {
        let mut world = World::of(shards);
        (0..3 * DAY).for_each(|_| world.play_evenly(MIB / 10));
        assert_eq!(world.shards.len(), shards as usize, "neither four nor fewer, as long as the traffic asks for none");
    }
}

#[test]
fn one_quiet_hour_a_day_merges_nothing() {
    let mut world = World::of(16);
    for minute in 0..40 * DAY {
        world.play_evenly(if minute % DAY < HOUR { 6 * MIB } else { 0 });
    }
    assert_eq!((world.splits, world.merges), (0, 0));
}

#[test]
fn no_shards_are_asked_for_beyond_what_a_stream_can_have() {
    let mut watch = Watch::default();
    let map = ShardMap::uniform(9_999).expect("a map");
    let load = |shard: &crate::shard::Shard| ShardLoad {
        shard: shard.id,
        range: shard.range,
        parents: [None, None],
        bytes: u64::MAX / 20_000,
        records: 0,
    };
    let loads: Vec<_> = map.shards().iter().map(load).collect();
    (0..5).for_each(|_| watch.observe(MINUTE_MS, &loads));
    assert_eq!(watch.plan(10_000).len(), 1);
    let narrow = ShardLoad { range: HashRange { start: 7, end: 10 }, ..loads[0] };
    let mut watch = Watch::default();
    (0..5).for_each(|_| watch.observe(MINUTE_MS, &[narrow]));
    assert_eq!(watch.plan(1), [], "too narrow to be split");
}

proptest! {
    #[test]
    fn any_traffic_leaves_tiles_and_every_hot_range_is_split_in_time(
        changes in proptest::collection::vec((1..200_u64, 0..40_u64, 0..SLICES, 1..SLICES), 1..12),
        shards in 1..9_u32,
    ) {
        let mut world = World::of(shards);
        for (minutes, mib_per_second, first, count) in changes {
            let bytes = mib_per_second * MIB / 8 / u64::from(count);
            for _ in 0..minutes {
                world.play(|slice| if slice.wrapping_sub(first) % SLICES < count { bytes } else { 0 }, 0);
                for shard in &world.shards {
                    let hot = world.hot_minutes.get(&shard.shard).copied().unwrap_or(0);
                    // Less than two slices may be one slice's: a key as hot as that is not singled out.
                    let narrow = shard.range.end - shard.range.start < u128::MAX / 128;
                    prop_assert!(hot <= 15 || narrow, "hot for {} minutes", hot);
                }
            }
        }
        for pair in world.notes.windows(2) {
            prop_assert!(pair[1] - pair[0] >= 15);
        }
    }
}
