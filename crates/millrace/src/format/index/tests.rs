use super::*;

fn sample() -> (Summary, Body) {
    let previous_end = Position::new(3, 640);
    let mut summary =
        Summary { segment: 4, previous_end, end: 8192, next_sequence: 9, records: 8, ..Summary::default() };
    summary.presence.insert(1);
    summary.presence.insert(2047);
    let place = |frame| RunPlace { frame, run: 0 };
    let body = Body {
        shards: vec![(1, vec![place(4096), place(4224)]), (2047, vec![place(4160)])],
        waypoints: vec![Waypoint { offset: 4096, sequence: 1, arrival_ms: 5 }],
        details: Vec::new(),
    };
    (summary, body)
}

/// A described index of two frames: shard 1 in both, shard 2047 in the second.
fn described() -> (Summary, Body) {
    let (summary, mut body) = sample();
    let place = |frame, run| RunPlace { frame, run };
    body.shards = vec![(1, vec![place(4096, 0), place(4224, 0)]), (2047, vec![place(4224, 1)])];
    body.waypoints.push(Waypoint { offset: 4224, sequence: 3, arrival_ms: 6 });
    let detail = |first_sequence, arrival_ms, payload, records| {
        let (payload_bytes, checksum) = (8 * records, 0x1234_5678);
        RunDetail { first_sequence, arrival_ms, payload, payload_bytes, records, checksum }
    };
    body.details = vec![detail(1, 5, 4192, 2), detail(3, 6, 4352, 1), detail(4, 6, 4360, 5)];
    (summary, body)
}

#[test]
fn an_index_round_trips() {
    for (summary, body) in [sample(), described()] {
        let bytes = encode(&summary, &body);
        assert_eq!(decode(&bytes).ok(), Some((summary, body)));
        assert_eq!(decode_summary(&bytes[..INDEX_HEADER_BYTES]).ok(), Some(summary));
        assert!(summary.presence.may_hold(2047) && !summary.presence.may_hold(2));
    }
}

#[test]
fn the_golden_run_of_a_described_index() {
    let (summary, body) = described();
    let bytes = encode(&summary, &body);
    assert_eq!(bytes[8..10], [2, 0], "the version");
    let last = &bytes[bytes.len() - 28..];
    let words: Vec<u32> = last.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    // Frame, run, payload offset, payload bytes, records, sequence delta, checksum.
    assert_eq!(words, [1, 1, 136, 40, 5, 1, 0x1234_5678]);
    let directory = &bytes[INDEX_HEADER_BYTES..INDEX_HEADER_BYTES + 24];
    let sum = crc32c(&bytes[bytes.len() - 84..bytes.len() - 28]).to_le_bytes();
    assert_eq!(directory, [&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], &sum[..], &[0; 8]].concat());
    let covered = &bytes[INDEX_HEADER_BYTES..bytes.len() - 84];
    assert_eq!(bytes[360..364], crc32c(covered).to_le_bytes(), "the checksum of shard directory and waypoints");
}

#[test]
fn the_part_of_one_shard_is_read_and_verified_without_the_others() {
    let (summary, body) = described();
    let bytes = encode(&summary, &body);
    let end = Directory::bytes_of(&bytes[..INDEX_HEADER_BYTES]).expect("a header").expect("described");
    let directory = Directory::decode(&bytes[..end]).expect("intact");
    assert_eq!((directory.summary, &directory.waypoints), (summary, &body.waypoints));
    for (shard, places) in &body.shards {
        let runs = directory.decode_runs(*shard, &bytes[directory.runs_of(*shard)]).expect("intact");
        assert_eq!(&runs.places, places);
        assert!(runs.details.iter().all(|detail| body.details.contains(detail)));
    }
    assert_eq!(directory.decode_runs(5, &bytes[directory.runs_of(5)]).ok(), Some(ShardRuns::default()));
    for bit in 0..end * 8 {
        let mut damaged = bytes[..end].to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Directory::decode(&damaged).is_err(), "bit {bit}");
    }
    let runs = &bytes[directory.runs_of(1)];
    for bit in 0..runs.len() * 8 {
        let mut damaged = runs.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(directory.decode_runs(1, &damaged).is_err(), "bit {bit}");
    }
    assert_eq!(Directory::bytes_of(&encode(&sample().0, &sample().1)).ok(), Some(None), "a plain index has none");
}

#[test]
fn runs_are_described_where_frames_have_many_and_none_is_damaged() {
    let (_, body) = described();
    assert_eq!(body.clone().fitted(0), body);
    let plain = body.clone().fitted(2);
    assert_eq!((plain.details.len(), plain.waypoints.len()), (0, 1), "too few runs, and a waypoint each 64 KiB");
    assert!(body.agrees_with(body.clone()) && plain.agrees_with(body.clone()), "older indexes are plain");
    assert!(!body.agrees_with(plain.clone()));
    let mut damaged = body;
    damaged.shards.push((DAMAGED, vec![RunPlace { frame: 4288, run: 0 }]));
    assert_eq!(damaged.fitted(0).details, []);
}

#[test]
fn an_index_can_be_read_for_one_shard() {
    let (summary, mut body) = sample();
    let read = decode_of(&encode(&summary, &body), |shard| shard == 2047).expect("intact");
    body.shards[0].1.clear();
    assert_eq!(read, (summary, body));
}

#[test]
fn every_bit_flip_and_every_truncation_is_noticed() {
    for (summary, body) in [sample(), described()] {
        every_flip_and_truncation_is_noticed(&encode(&summary, &body));
    }
}

fn every_flip_and_truncation_is_noticed(bytes: &[u8]) {
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&damaged).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "length {length}");
    }
}

#[test]
fn a_summary_beyond_the_limits_is_damage_though_its_checksum_is_right() {
    let (summary, body) = sample();
    let absurd = [
        Summary { end: SEGMENT_BYTES_LIMIT + 1, ..summary },
        Summary { end: SEGMENT_HEADER_BYTES - 1, ..summary },
        Summary { segment: SEGMENT_NUMBER_LIMIT, ..summary },
        Summary { first_sequence: 10, ..summary },
        Summary { next_sequence: SEQUENCE_LIMIT + 1, ..summary },
    ];
    for summary in absurd {
        let judged = decode_summary(&encode(&summary, &body)).map_err(|error| error.kind());
        assert_eq!(judged, Err(Kind::Corrupt), "{summary:?}");
    }
}

/// An index with other bytes at `at` of its body, and right checksums over them.
fn forged((summary, body): &(Summary, Body), at: usize, value: u32) -> Vec<u8> {
    let mut bytes = encode(summary, body);
    let (_, layout) = decode_header(&bytes).expect("a header");
    let directory = usize::try_from(layout.directory_bytes()).expect("short");
    bytes[INDEX_HEADER_BYTES + at..][..4].copy_from_slice(&value.to_le_bytes());
    let mut layout = layout;
    if layout.version == DESCRIBED {
        let runs = bytes[directory..].to_vec();
        let mut rest = &runs[..];
        for shard in 0..body.shards.len() {
            let (own, others) = rest.split_at(body.shards[shard].1.len() * described::RUN_BYTES);
            let sum_at = INDEX_HEADER_BYTES + shard * SHARD_BYTES + 12;
            bytes[sum_at..sum_at + 4].copy_from_slice(&crc32c(own).to_le_bytes());
            rest = others;
        }
        layout.directory_checksum = crc32c(&bytes[INDEX_HEADER_BYTES..directory]);
    }
    layout.body_checksum = crc32c(&bytes[INDEX_HEADER_BYTES..]);
    let header = encode_header(summary, layout);
    bytes[..INDEX_HEADER_BYTES].copy_from_slice(&header);
    bytes
}

#[test]
fn an_index_that_lists_runs_twice_or_out_of_order_is_damage_though_its_checksums_are_right() {
    for index in [sample(), described()] {
        assert!(decode(&forged(&index, 0, 1)).is_ok(), "forging alone changes nothing");
        let second = SHARD_BYTES;
        let absurd = [
            ("runs that another shard has too", second + 4, 1),
            ("runs behind a gap", second + 4, 3),
            ("fewer runs than there are", second + 8, 0),
            ("more runs than there are", second + 8, u32::MAX),
            ("a shard before its place", second, 0),
            ("a shard twice", second, 1),
            ("reserved bytes in use", 20, 1),
            ("a waypoint's reserved bytes in use", 2 * SHARD_BYTES + 4, 1),
        ];
        for (what, at, value) in absurd {
            let error = decode(&forged(&index, at, value)).expect_err(what);
            assert_eq!(error.kind(), Kind::Corrupt, "{what}");
        }
    }
}

#[test]
fn a_described_run_that_lies_nowhere_is_damage_though_its_checksums_are_right() {
    let index = described();
    let last = 2 * (SHARD_BYTES + WAYPOINT_ENTRY_BYTES) + 2 * described::RUN_BYTES;
    let absurd = [
        ("a frame that is none", last, 2),
        ("a payload behind the end of the segment", last + 8, 8192),
        ("a payload behind all", last + 8, u32::MAX),
        ("a payload that ends behind the segment", last + 12, 8192),
        ("a run before the one before it", last - 28, 0),
        ("the shard of damage", SHARD_BYTES, DAMAGED),
    ];
    for (what, at, value) in absurd {
        let error = decode(&forged(&index, at, value)).map(|_| ()).expect_err(what);
        assert_eq!(error.kind(), Kind::Corrupt, "{what}");
    }
}
