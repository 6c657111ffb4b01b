use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn uniform(count: u32) -> ShardMap {
    ShardMap::uniform(count).expect("a valid number of shards")
}

fn at(planned: Planned, sequence: u64) -> ShardMap {
    planned.at(SequenceNumber(sequence))
}

fn ranges(map: &ShardMap) -> Vec<(u128, u128)> {
    map.open_shards().map(|shard| (shard.range.start, shard.range.end)).collect()
}

#[test]
fn a_split_gives_each_child_one_half_unless_told_otherwise() {
    let map = at(uniform(1).plan_split(ShardId(0), None).expect("split"), 7);
    let half = 1_u128 << 127;
    assert_eq!(ranges(&map), [(0, half - 1), (half, u128::MAX)]);
    assert_eq!(map.shards()[0].closed_at, Some(SequenceNumber(7)));
    for child in &map.shards()[1..] {
        assert_eq!((child.parent, child.adjacent_parent), (Some(ShardId(0)), None));
        assert_eq!(child.opened_at, SequenceNumber(8));
    }
    let map = at(uniform(1).plan_split(ShardId(0), Some(HashKey(100))).expect("split"), 7);
    assert_eq!(ranges(&map), [(0, 99), (100, u128::MAX)]);
}

#[test]
fn a_split_point_is_greater_than_one_plus_the_start_and_less_than_the_end() {
    let map = uniform(2);
    let HashRange { start, end } = map.shards()[1].range;
    let split = |key| map.plan_split(ShardId(1), Some(HashKey(key))).map_err(|error| error.kind()).map(drop);
    for refused in [0, start - 1, start, start + 1, end, u128::MAX] {
        assert_eq!(split(refused), Err(Kind::InvalidArgument), "{refused}");
    }
    for taken in [start + 2, end - 1] {
        assert_eq!(split(taken), Ok(()), "{taken}");
    }
    // Between 0 and 3 only 2 is more than one away from the start and less than the end; of fewer keys none is.
    let map = at(uniform(1).plan_split(ShardId(0), Some(HashKey(4))).expect("split"), 1);
    let map = at(map.plan_split(ShardId(1), None).expect("the middle of four keys"), 2);
    assert_eq!(ranges(&map)[..2], [(0, 1), (2, 3)]);
    assert_eq!(map.plan_split(ShardId(3), None).expect_err("two keys").kind(), Kind::InvalidArgument);
}

#[test]
fn a_merge_names_its_parents_as_they_were_given() {
    for [first, second] in [[0, 1], [1, 0]] {
        let map = at(uniform(3).plan_merge(ShardId(first), ShardId(second)).expect("merged"), 9);
        let merged = map.get(ShardId(3)).expect("opened");
        assert_eq!((merged.parent, merged.adjacent_parent), (Some(ShardId(first)), Some(ShardId(second))));
        assert_eq!(merged.range, HashRange { start: 0, end: map.get(ShardId(1)).expect("kept").range.end });
    }
}

#[test]
fn what_is_not_there_closed_or_not_adjacent_is_refused_by_name() {
    let map = at(uniform(3).plan_split(ShardId(1), None).expect("split"), 9);
    let kind = |planned: Result<Planned>| planned.expect_err("refused").kind();
    assert_eq!(kind(map.plan_split(ShardId(9), None)), Kind::ShardNotFound);
    assert_eq!(kind(map.plan_merge(ShardId(0), ShardId(9))), Kind::ShardNotFound);
    assert_eq!(kind(map.plan_split(ShardId(1), None)), Kind::InvalidArgument);
    assert_eq!(kind(map.plan_merge(ShardId(0), ShardId(1))), Kind::InvalidArgument);
    assert_eq!(kind(map.plan_merge(ShardId(0), ShardId(2))), Kind::InvalidArgument);
    assert_eq!(kind(map.plan_merge(ShardId(0), ShardId(0))), Kind::InvalidArgument);
    let closed = map.plan_split(ShardId(1), None).expect_err("closed");
    assert!(closed.message().contains("shardId-000000000001, which has been merged or split"), "{closed}");
}

#[test]
fn the_number_goes_from_half_to_double_and_no_further() {
    let plan = |open, count| uniform(open).plan_count(count).map_err(|error| error.kind()).map(drop);
    for (open, count) in [(1, 1), (1, 2), (4, 2), (4, 8), (5, 3), (5, 10), (SHARDS_MAX, SHARDS_MAX), (6_000, 10_000)] {
        assert_eq!(plan(open, count), Ok(()), "{open} to {count}");
    }
    for (open, count) in [(1, 0), (1, 3), (4, 1), (4, 9), (5, 2), (5, 11), (6_000, 10_001), (1, u32::MAX)] {
        assert_eq!(plan(open, count), Err(Kind::InvalidArgument), "{open} to {count}");
    }
}

#[test]
fn doubling_splits_each_shard_and_halving_merges_each_pair() {
    let doubled = uniform(4).plan_count(8).expect("doubled");
    assert_eq!(doubled.changes().len(), 1);
    let map = at(doubled, 1);
    assert_eq!(map.shards().len(), 12, "no shard in between");
    for child in &map.shards()[4..] {
        assert_eq!((child.parent, child.adjacent_parent), (Some(ShardId((child.id.0 - 4) / 2)), None));
    }
    let halved = map.plan_count(4).expect("halved");
    assert_eq!(halved.changes().len(), 1);
    let map = at(halved, 2);
    for merged in &map.shards()[12..] {
        let first = 4 + (merged.id.0 - 12) * 2;
        assert_eq!((merged.parent, merged.adjacent_parent), (Some(ShardId(first)), Some(ShardId(first + 1))));
    }
}

#[test]
fn shards_that_have_the_wanted_range_stay() {
    let uneven = at(uniform(4).plan_split(ShardId(2), None).expect("split"), 1);
    let even = at(uneven.plan_count(4).expect("as many as at first"), 2);
    assert_eq!(ranges(&even), ranges(&uniform(4)));
    for id in [0, 1, 3] {
        assert!(even.get(ShardId(id)).expect("kept").is_open(), "shard {id} had its range already");
    }
    assert!(uniform(7).plan_count(7).expect("nothing to do").changes().is_empty());
}

#[test]
fn more_shards_than_a_segment_can_open_with_are_refused() {
    let mut map = uniform(SHARDS_MAX);
    let mut sequence = 0;
    let refusal = loop {
        sequence += 10;
        match map.plan_count(if map.open_count() == 10_000 { 9_999 } else { 10_000 }) {
            Ok(planned) => map = at(planned, sequence),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.kind(), Kind::LimitExceeded);
    assert!(map.shards().len() <= SHARDS_LISTED_MAX);
    assert_eq!(uniform(SHARDS_MAX).plan_split(ShardId(0), None).expect_err("10,001").kind(), Kind::LimitExceeded);
}

#[test]
fn expired_shards_are_forgotten_and_their_numbers_are_not_given_again() {
    let map = at(uniform(1).plan_split(ShardId(0), None).expect("split"), 7);
    assert!(map.without_expired(SequenceNumber(7)).is_none(), "the change itself is still kept");
    let map = map.without_expired(SequenceNumber(8)).expect("forgotten");
    assert!(map.get(ShardId(0)).is_none());
    assert_eq!(map.next_id(), 3);
    assert_eq!(at(map.plan_merge(ShardId(1), ShardId(2)).expect("merged"), 9).shards().len(), 3);
}

#[derive(Clone, Debug)]
enum Ask {
    Split { shard: u32, at: Option<u128> },
    Merge { shard: u32, adjacent: u32 },
    Neighbours { of: usize },
    Count(u32),
    Expire,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => (0..40_u32, proptest::option::of(any::<u128>())).prop_map(|(shard, at)| Ask::Split { shard, at }),
        1 => (0..40_u32, 0..40_u32).prop_map(|(shard, adjacent)| Ask::Merge { shard, adjacent }),
        3 => (0..40_usize).prop_map(|of| Ask::Neighbours { of }),
        2 => (0..40_u32).prop_map(Ask::Count),
        1 => Just(Ask::Expire),
    ]
}

fn plan(map: &ShardMap, ask: &Ask) -> Result<Planned> {
    match *ask {
        Ask::Split { shard, at } => map.plan_split(ShardId(shard), at.map(HashKey)),
        Ask::Merge { shard, adjacent } => map.plan_merge(ShardId(shard), ShardId(adjacent)),
        Ask::Neighbours { of } => {
            let open = map.open_ids();
            map.plan_merge(open[of % open.len()], open[(of + 1) % open.len()])
        }
        Ask::Count(count) => map.plan_count(count),
        Ask::Expire => unreachable!("no plan"),
    }
}

/// What holds between a map and the one after a change: nothing but what was changed differs, ids are new, children hold
/// what their parents held, and each begins behind the end of its parents.
fn check_step(
    before: &ShardMap,
    after: &ShardMap,
    given: &mut BTreeSet<ShardId>,
) -> std::result::Result<(), TestCaseError> {
    for shard in after.shards() {
        if let Some(old) = before.get(shard.id) {
            prop_assert_eq!(old.range, shard.range);
            prop_assert!(old.is_open() || old == shard, "a closed shard stays as it is");
            continue;
        }
        prop_assert!(given.insert(shard.id), "{} is given twice", shard.id);
        let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
        let parents: Vec<&Shard> = parents.filter_map(|id| after.get(id)).collect();
        prop_assert!(!parents.is_empty());
        for parent in &parents {
            prop_assert!(parent.id < shard.id && parent.closed_at.is_some_and(|closed_at| closed_at < shard.opened_at));
            prop_assert!(parent.range.start <= shard.range.end && shard.range.start <= parent.range.end);
        }
        let (start, end) = (parents.iter().map(|p| p.range.start).min(), parents.iter().map(|p| p.range.end).max());
        prop_assert!(start <= Some(shard.range.start) && end >= Some(shard.range.end), "its parents held all it holds");
        prop_assert!(
            shard.closed_at.is_none_or(|closed_at| shard.opened_at <= closed_at),
            "no shard ends before it begins"
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_history_tiles_the_hash_keys_gives_no_id_twice_and_replays_to_the_same_entries(
        count in 1..10_u32,
        asks in proptest::collection::vec(ask(), 0..40),
    ) {
        let mut map = uniform(count);
        let mut replayed = map.entries();
        let mut given: BTreeSet<ShardId> = map.shards().iter().map(|shard| shard.id).collect();
        let mut sequence = 1;
        for ask in &asks {
            sequence += 5;
            if matches!(ask, Ask::Expire) {
                map = map.without_expired(SequenceNumber(sequence)).unwrap_or(map);
                replayed.retain(|entry| entry.closed_at.is_none());
                continue;
            }
            let Ok(planned) = plan(&map, ask) else { continue };
            let changes: Vec<Vec<u8>> = planned.changes().iter().map(ShardChange::encode).collect();
            let after = planned.at(SequenceNumber(sequence));
            check_step(&map, &after, &mut given)?;
            for bytes in &changes {
                let change = ShardChange::decode(bytes).expect("what was encoded decodes");
                prop_assert!(change.apply(&mut replayed, sequence).is_ok());
                // That the open shards tile all hash keys is checked where a map is made of them.
                prop_assert!(ShardMap::from_entries(&replayed).is_ok(), "between the changes of a plan too");
                sequence += 1;
            }
            map = after;
            prop_assert_eq!(&replayed, &map.entries());
            if let Ask::Count(count) = ask {
                prop_assert_eq!(ranges(&map), ranges(&uniform(*count)));
            }
        }
    }
}
