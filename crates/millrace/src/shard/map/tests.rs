use proptest::prelude::*;

use super::*;

fn open_shard(id: u32, start: u128, end: u128) -> Shard {
    Shard {
        id: ShardId(id),
        range: HashRange { start, end },
        parent: None,
        adjacent_parent: None,
        opened_at: SequenceNumber(0),
        closed_at: None,
    }
}

fn closed_shard(id: u32, start: u128, end: u128) -> Shard {
    Shard { closed_at: Some(SequenceNumber(1)), ..open_shard(id, start, end) }
}

/// What `route` must answer, found the slow way.
fn route_by_scan(map: &ShardMap, key: HashKey) -> ShardId {
    let mut holders = map.shards().iter().filter(|shard| shard.is_open() && shard.range.contains(key));
    let holder = holders.next().expect("open shards leave no gap").id;
    assert_eq!(holders.next(), None, "open shards do not overlap");
    holder
}

fn uniform(count: u32) -> ShardMap {
    ShardMap::uniform(count).expect("a valid number of shards")
}

fn assert_edges_route(map: &ShardMap) {
    for shard in map.shards().iter().filter(|shard| shard.is_open()) {
        assert_eq!(map.route(HashKey(shard.range.start)), shard.id);
        assert_eq!(map.route(HashKey(shard.range.end)), shard.id);
    }
}

#[test]
fn three_shards_divide_as_in_the_documentation_of_kinesis() {
    // From the `describe-stream` example of the AWS command line's reference.
    let ranges = uniform(3).shards().iter().map(|shard| (shard.range.start, shard.range.end)).collect::<Vec<_>>();
    let expected = [
        (0, 113_427_455_640_312_821_154_458_202_477_256_070_484),
        (113_427_455_640_312_821_154_458_202_477_256_070_485, 226_854_911_280_625_642_308_916_404_954_512_140_969),
        (226_854_911_280_625_642_308_916_404_954_512_140_970, 340_282_366_920_938_463_463_374_607_431_768_211_455),
    ];
    assert_eq!(ranges, expected);
}

#[test]
fn the_last_shard_takes_what_does_not_divide() {
    let sizes: Vec<u128> = uniform(7).shards().iter().map(|shard| shard.range.end - shard.range.start + 1).collect();
    assert_eq!(sizes[..6], [48_611_766_702_991_209_066_196_372_490_252_601_636; 6]);
    assert_eq!(sizes[6], 48_611_766_702_991_209_066_196_372_490_252_601_640);
}

#[test]
fn open_shards_of_any_count_tile_all_hash_keys_and_route_their_edges() {
    for count in (1..=300).chain([1023, 1024, 1025, 4096, 9_999, SHARDS_MAX]) {
        // `from_shards` inside has checked the tiling; here the router is held against it.
        let map = uniform(count);
        assert_eq!(map.open_count(), usize::try_from(count).expect("small"));
        assert_edges_route(&map);
    }
}

#[test]
fn counts_out_of_range_are_refused() {
    for count in [0, SHARDS_MAX + 1, u32::MAX] {
        let error = ShardMap::uniform(count).expect_err("out of range");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.message().ends_with(&format!("got {count}")), "{error}");
    }
}

#[test]
fn shards_are_found_by_id_and_only_by_theirs() {
    let map = ShardMap::from_shards(vec![closed_shard(3, 0, 9), open_shard(5, 0, u128::MAX)]).expect("valid");
    assert_eq!(map.get(ShardId(5)).map(|shard| shard.id), Some(ShardId(5)));
    assert_eq!(map.get(ShardId(3)).map(Shard::is_open), Some(false));
    assert_eq!(map.get(ShardId(4)), None);
    assert_eq!((map.shards().len(), map.open_count()), (2, 1));
}

#[test]
fn maps_that_break_an_invariant_are_corrupt() {
    let max = u128::MAX;
    let cases = [
        ("no shard", vec![]),
        ("only closed shards", vec![closed_shard(0, 0, max)]),
        ("a gap at the start", vec![open_shard(0, 1, max)]),
        ("a gap in the middle", vec![open_shard(0, 0, 4), open_shard(1, 6, max)]),
        ("a gap at the end", vec![open_shard(0, 0, max - 1)]),
        ("an overlap", vec![open_shard(0, 0, 5), open_shard(1, 5, max)]),
        ("a second cover", vec![open_shard(0, 0, max), open_shard(1, 0, max)]),
        ("a range behind the end", vec![open_shard(0, 0, max), open_shard(1, 7, max)]),
        ("an empty range", vec![open_shard(0, 0, 9), open_shard(1, 10, 9), open_shard(2, 10, max)]),
        ("an id twice", vec![open_shard(1, 0, 4), open_shard(1, 5, max)]),
        ("ids that descend", vec![open_shard(1, 0, 4), open_shard(0, 5, max)]),
    ];
    for (name, shards) in cases {
        let error = ShardMap::from_shards(shards).expect_err(name);
        assert_eq!(error.kind(), Kind::Corrupt, "{name}");
    }
}

#[test]
fn names_of_shards_are_read_back_in_their_exact_form_only() {
    for id in [0, 1, 9_999, u32::MAX] {
        assert_eq!(ShardId(id).to_string().parse::<ShardId>().expect("its own name"), ShardId(id));
    }
    let others = [
        "",
        "7",
        "shardId-",
        "shardId-7",
        "shardId-00000000000",
        "shardId-0000000000007",
        "shardId-+00000000007",
        "shardId--00000000007",
        "shardId-00000000000a",
        "shardId-00000000000٣",
        "shardId-004294967296",
        "ShardId-000000000007",
        " shardId-000000000007",
        "shardId-000000000007\n",
    ];
    for name in others {
        let error = name.parse::<ShardId>().expect_err(name);
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
}

/// A map whose open ranges end at the given cuts, as splits and merges would leave it: sizes differ by far, ids are in
/// no order of the ranges, and a closed shard stands among them.
fn uneven_map(cuts: Vec<u128>) -> ShardMap {
    let mut ends: Vec<u128> = cuts.into_iter().chain([u128::MAX]).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut start = 0;
    let mut ranges = Vec::new();
    for end in ends {
        ranges.push((start, end));
        start = end.wrapping_add(1);
    }
    ranges.reverse();
    let open = (1..).zip(&ranges).map(|(id, (start, end))| open_shard(id, *start, *end));
    ShardMap::from_shards([closed_shard(0, 0, u128::MAX)].into_iter().chain(open).collect()).expect("tiles")
}

/// Hash keys of all sizes, so that ranges far apart and side by side both occur.
fn any_key() -> impl Strategy<Value = u128> {
    prop_oneof![
        any::<u128>(),
        (any::<u128>(), 0..128_u32).prop_map(|(key, shift)| key >> shift),
        (0..1000_u128).prop_map(|key| u128::MAX - key)
    ]
}

proptest! {
    #[test]
    fn uniform_maps_route_as_a_scan_does(count in 1..=SHARDS_MAX, keys in prop::collection::vec(any_key(), 1..20)) {
        let map = uniform(count);
        for key in keys.into_iter().map(HashKey) {
            prop_assert_eq!(map.route(key), route_by_scan(&map, key));
        }
    }

    #[test]
    fn uneven_maps_route_as_a_scan_does(
        cuts in prop::collection::vec(any_key(), 0..80),
        keys in prop::collection::vec(any_key(), 1..80),
    ) {
        let map = uneven_map(cuts);
        assert_edges_route(&map);
        for key in keys.into_iter().map(HashKey) {
            prop_assert_eq!(map.route(key), route_by_scan(&map, key));
        }
    }
}
