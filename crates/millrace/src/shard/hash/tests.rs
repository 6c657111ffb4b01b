use proptest::prelude::*;

use super::*;

/// Lays the keys out behind one another and hashes them side by side.
fn hash_keys(keys: &[Vec<u8>]) -> Vec<HashKey> {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for key in keys {
        let offset = u32::try_from(bytes.len()).expect("tests hash less than 4 GiB");
        spans.push(KeySpan { offset, len: u16::try_from(key.len()).expect("tests use short keys") });
        bytes.extend_from_slice(key);
    }
    let mut hashes = Vec::new();
    hash_all(&bytes, &spans, &mut hashes);
    hashes
}

fn hash_one_by_one(keys: &[Vec<u8>]) -> Vec<HashKey> {
    keys.iter().map(|key| HashKey::of_key(key)).collect()
}

#[test]
fn digests_of_rfc_1321_are_reproduced() {
    let keys: [&[u8]; 5] = [
        b"",
        b"a",
        b"message digest",
        b"abcdefghijklmnopqrstuvwxyz",
        b"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
    ];
    let expected = [
        0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e,
        0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661,
        0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0,
        0xc3fc_d3d7_6192_e400_7dfb_496c_ca67_e13b,
        0x57ed_f4a2_2be3_c955_ac49_da2e_2107_b67a,
    ];
    assert_eq!(hash_keys(&keys.map(<[u8]>::to_vec)), expected.map(HashKey));
}

#[test]
fn every_length_agrees_with_the_scalar_hash_in_every_lane() {
    for len in 0..=200_usize {
        // Enough for a group of the widest registers too.
        let keys: Vec<Vec<u8>> = (0..6 * LANES)
            .map(|lane| (0..len).map(|at| (at * 31 + lane * 7 + len).to_le_bytes()[0]).collect())
            .collect();
        assert_eq!(hash_keys(&keys), hash_one_by_one(&keys), "keys of {len} bytes");
    }
}

#[test]
fn every_size_of_the_last_group_gives_one_hash_a_key() {
    for count in 0..=8 * LANES {
        let keys: Vec<Vec<u8>> = (0..count).map(|at| format!("user-{at}").into_bytes()).collect();
        assert_eq!(hash_keys(&keys), hash_one_by_one(&keys), "{count} keys");
    }
}

#[test]
fn hashes_are_appended_behind_what_is_there() {
    let mut hashes = vec![HashKey(1)];
    hash_all(b"key", &[KeySpan { offset: 0, len: 3 }], &mut hashes);
    assert_eq!(hashes, [HashKey(1), HashKey::of_key(b"key")]);
}

#[test]
#[should_panic(expected = "range end index 3")]
fn a_span_past_the_end_is_refused() {
    hash_all(b"ab", &[KeySpan { offset: 0, len: 3 }; LANES], &mut Vec::new());
}

/// Keys of all three kinds: short, of one block, and longer.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..=SHORT_KEY_BYTES + 1),
        prop::collection::vec(any::<u8>(), SHORT_KEY_BYTES..=BLOCK_KEY_BYTES + 1),
        prop::collection::vec(any::<u8>(), BLOCK_KEY_BYTES..=200),
    ]
}

proptest! {
    #[test]
    fn any_mix_of_keys_agrees_with_the_scalar_hash(keys in prop::collection::vec(any_key(), 0..120)) {
        prop_assert_eq!(hash_keys(&keys), hash_one_by_one(&keys));
    }

    #[test]
    fn short_keys_agree_wherever_they_stand(
        bytes in prop::collection::vec(any::<u8>(), 1..80),
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..=SHORT_KEY_BYTES), 0..40),
    ) {
        let spans: Vec<KeySpan> = places
            .iter()
            .map(|(place, len)| (place.index(bytes.len()), *len))
            .map(|(offset, len)| (offset, len.min(bytes.len() - offset)))
            .map(|(offset, len)| KeySpan {
                offset: u32::try_from(offset).expect("below 80"),
                len: u16::try_from(len).expect("at most 15"),
            })
            .collect();
        let mut hashes = Vec::new();
        hash_all(&bytes, &spans, &mut hashes);
        let expected: Vec<HashKey> = spans.iter().map(|span| HashKey::of_key(span.of(&bytes))).collect();
        prop_assert_eq!(hashes, expected);
    }
}
