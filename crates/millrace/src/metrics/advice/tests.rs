use proptest::prelude::*;

use super::*;
use crate::metrics::keys::{KeySketch, Weight};
use crate::shard::ShardMap;

fn rate(records: f64) -> Rate {
    Rate { records, bytes: records * 100.0, throttled: 0.0 }
}

/// Shards of the same size that take so many records a second each.
fn shards(records: &[f64]) -> Vec<ShardLoad> {
    let map = ShardMap::uniform(u32::try_from(records.len()).expect("few")).expect("a map");
    let load = |(shard, records): (&crate::shard::Shard, &f64)| ShardLoad {
        shard: shard.id,
        range: shard.range,
        minute: rate(*records),
        ten_seconds: rate(*records),
    };
    map.shards().iter().zip(records).map(load).collect()
}

/// Keys of so many records each, as the sketch would keep them.
fn keys(records: &[(u128, f64)]) -> Vec<KeyLoad> {
    let mut sketch = KeySketch::new(512);
    for (hash, records) in records {
        let weight = Weight { load: records * RECORD_LOAD, records: *records, bytes: records * 100.0 };
        sketch.add(HashKey(*hash), format!("key-{hash}").as_bytes(), weight, 0);
    }
    sketch.keys()
}

fn advice_for(records: &[f64], keys: &[KeyLoad]) -> Vec<Advice> {
    advise(&Loads { shards: &shards(records), keys, limit: None })
}

#[test]
fn even_load_and_no_load_need_no_advice() {
    assert_eq!(advice_for(&[1_000.0, 990.0, 1_020.0, 1_010.0], &[]), []);
    assert_eq!(advice_for(&[0.0, 0.0], &[]), []);
    assert_eq!(advice_for(&[5.0, 0.0], &[]), [], "five records a second are nothing to worry about");
    assert_eq!(advise(&Loads { shards: &[], keys: &[], limit: None }), []);
}

#[test]
fn a_hot_shard_is_split_where_its_load_halves() {
    // All of the second half's load stands in its first eighth.
    let start = 1_u128 << 127;
    let many: Vec<_> = (0..100).map(|index| (start + (index << 117), 10.0)).collect();
    let [Advice::Split { hot, at, lower_share: Some(lower), heaviest: None }] =
        &advice_for(&[100.0, 1_000.0], &keys(&many))[..]
    else {
        unreachable!("expected one split")
    };
    assert_eq!((hot.shard, hot.shards), (ShardId(1), 2));
    assert!((hot.share - 10.0 / 11.0).abs() < 1e-9 && (hot.times_mean - 20.0 / 11.0).abs() < 1e-9);
    assert_eq!(*lower, 0.5);
    assert!((start + (49 << 117)..=start + (50 << 117)).contains(&at.0));
}

#[test]
fn a_shard_that_one_key_makes_hot_is_not_split() {
    let advice = advice_for(&[1_000.0, 100.0], &keys(&[(7, 900.0), (9, 30.0), (11, 30.0), (13, 20.0), (15, 20.0)]));
    let [Advice::SpreadKey { hot, key }] = &advice[..] else { unreachable!("expected one key, got {advice:?}") };
    assert_eq!((hot.shard, key.key.as_str(), key.hash), (ShardId(0), "key-7", HashKey(7)));
    assert_eq!(key.share_of_shard, 0.9);
    let text = advice[0].to_string();
    assert!(text.contains("\"key-7\" alone is 90 %") && text.contains("\"key-7-0\""), "{text}");
}

#[test]
fn a_heavy_key_that_leaves_room_for_a_split_is_named_with_it() {
    let mut many: Vec<_> = (1..=60).map(|index| (index << 120, 10.0)).collect();
    many.push((5, 400.0));
    let advice = advice_for(&[1_000.0, 100.0], &keys(&many));
    let [Advice::Split { at, lower_share: Some(lower), heaviest: Some(key), .. }] = &advice[..] else {
        unreachable!("expected one split, got {advice:?}")
    };
    assert_eq!((key.key.as_str(), key.share_of_shard), ("key-5", 0.4));
    assert!(at.0 > 5 && *lower == 0.5, "the key goes down with a tenth of the others: {lower}");
}

#[test]
fn with_hardly_any_key_seen_the_middle_of_the_range_is_taken_and_said_so() {
    let advice = advice_for(&[1_000.0, 10.0], &[]);
    let [Advice::Split { at, lower_share: None, .. }] = &advice[..] else { unreachable!("{advice:?}") };
    assert_eq!(at.0, 1 << 126);
    assert!(advice[0].to_string().contains("too few of its keys"), "{}", advice[0]);
}

#[test]
fn whoever_was_refused_or_comes_near_the_limit_is_hot_though_all_take_the_same() {
    let mut even = shards(&[900.0, 900.0]);
    let limit = Some(ShardLimit { records: 1_000.0, bytes: 1_048_576.0 });
    let advice = advise(&Loads { shards: &even, keys: &[], limit });
    assert_eq!(advice.len(), 2);
    assert!(advice[0].to_string().contains("90 % of its limit"), "{}", advice[0]);
    even[1].minute.throttled = 3.0;
    let advice = advise(&Loads { shards: &even, keys: &[], limit: None });
    assert_eq!(advice.len(), 1);
    assert_eq!(advice[0].shard(), ShardId(1));
    assert!(advice[0].to_string().contains("3.0 records a second were refused"), "{}", advice[0]);
}

#[test]
fn cold_neighbours_are_merged_and_two_shards_always_stay() {
    let pairs = |records: &[f64]| {
        let advice = advice_for(records, &[]);
        let merge = |advice| match advice {
            Advice::Merge { shard, adjacent, .. } => Some((shard.0, adjacent.0)),
            _ => None,
        };
        advice.into_iter().filter_map(merge).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&[1_000.0, 1.0, 1.0, 1_000.0, 1.0, 1_000.0]), [(1, 2)]);
    assert_eq!(pairs(&[1_000.0, 1.0, 1.0, 1.0, 1.0]), [(1, 2), (3, 4)]);
    assert_eq!(pairs(&[1_000.0, 1.0, 1.0]), [(1, 2)]);
    assert_eq!(pairs(&[0.0, 1_000.0]), []);
    let mut young = shards(&[1_000.0, 1.0, 1.0, 1.0]);
    young[1].ten_seconds = rate(900.0);
    let advice = advise(&Loads { shards: &young, keys: &[], limit: None });
    assert!(advice.iter().any(|advice| matches!(advice, Advice::Merge { shard: ShardId(2), .. })), "{advice:?}");
}

proptest! {
    #[test]
    fn a_split_point_lies_where_kinesis_admits_one_and_no_other_halves_the_load_better(
        records in proptest::collection::btree_map(any::<u128>(), 1.0_f64..100.0, 4..60),
    ) {
        let all: Vec<_> = records.into_iter().collect();
        let total: f64 = all.iter().map(|(_, records)| records).sum();
        let advice = advise(&Loads {
            shards: &[ShardLoad { minute: Rate { throttled: 1.0, ..rate(1_000.0) }, ..shards(&[1_000.0])[0] }],
            keys: &keys(&all),
            limit: None,
        });
        let Advice::Split { at, lower_share, .. } = &advice[0] else { return Ok(()) };
        prop_assert!(at.0 > 1 && at.0 < u128::MAX);
        let heavier = |at: u128| {
            let lower: f64 = all.iter().filter(|(hash, _)| *hash < at).map(|(_, records)| records).sum();
            lower.max(total - lower)
        };
        let best = all.iter().map(|(hash, _)| heavier(*hash)).fold(f64::MAX, f64::min);
        prop_assert!(heavier(at.0) <= best + 1e-6, "{} and {} at best", heavier(at.0), best);
        let lower = lower_share.expect("keys were seen");
        prop_assert!((lower.max(1.0 - lower) * total - heavier(at.0)).abs() < 1e-6);
    }
}
