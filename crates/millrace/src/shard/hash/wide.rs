//! MD5 of 32 keys side by side in two registers of AVX-512, which rotate and mix in one instruction each.
//!
//! Written with intrinsics, because whether a compiler makes these vectors of a loop hangs on details: of three ways to
//! write it, two came out ten times slower for keys of one length or the other. Intrinsics that touch no memory are safe
//! where the instruction set is known to be there, which `hash_groups` finds out.
//!
//! ```text
//!   words 0 to 3 of four keys      ->  unpack  ->  word 0 of 16 keys | word 1 of 16 keys | word 2 ... | word 3 ...
//!   (a register for each quarter)                  steps 0 to 63, the same in every lane
//! ```

use std::arch::x86_64::{
    __m128i, __m512i, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_unpackhi_epi64, _mm512_add_epi32, _mm512_castsi128_si512,
    _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use super::{
    BLOCK_KEY_BYTES, BLOCK_KEY_WORDS, END_MARK, HashKey, KeySpan, LENGTH_WORD, SHORT_KEY_BYTES, SHORT_KEY_WORDS, SINES,
    START, padded_short_key,
};

/// How many keys a register holds, a word of each.
const LANES: usize = 16;
/// How many registers advance together, to hide each other's latency.
const ROWS: usize = 2;
/// How many keys are hashed side by side.
const GROUP_KEYS: usize = LANES * ROWS;
/// A register of 128 bits holds so many words.
const QUARTER_WORDS: usize = 4;

/// One word of every key.
type Words = [__m512i; ROWS];

/// Appends the hashes of all keys in full groups, where the processor can; returns the keys that are left.
pub(super) fn hash_groups<'a>(bytes: &[u8], keys: &'a [KeySpan], out: &mut Vec<HashKey>) -> &'a [KeySpan] {
    if keys.len() < GROUP_KEYS || !is_x86_feature_detected!("avx512f") {
        return keys;
    }
    // SAFETY: the processor has AVX-512F, which is all that the function needs beyond its caller.
    unsafe { hash_full_groups(bytes, keys, out) }
}

#[target_feature(enable = "avx512f")]
fn hash_full_groups<'a>(bytes: &[u8], keys: &'a [KeySpan], out: &mut Vec<HashKey>) -> &'a [KeySpan] {
    let (groups, rest) = keys.as_chunks::<GROUP_KEYS>();
    for group in groups {
        let longest = group.iter().map(|key| key.len()).max().unwrap_or(0);
        if longest <= SHORT_KEY_BYTES {
            digest::<SHORT_KEY_WORDS>(group, |key, _| padded_short_key(bytes, key), out);
        } else if longest <= BLOCK_KEY_BYTES {
            digest::<BLOCK_KEY_WORDS>(group, |key, quarter| padded_quarter(key.of(bytes), quarter), out);
        } else {
            out.extend(group.iter().map(|key| HashKey::of_key(key.of(bytes))));
        }
    }
    rest
}

/// Sixteen bytes of a key with its end mark, as a little-endian integer: the `quarter`th sixteen of its block.
#[inline(always)]
fn padded_quarter(key: &[u8], quarter: usize) -> u128 {
    let mut padded = [0; 16];
    let rest = key.get(16 * quarter..).unwrap_or(&[]);
    let taken = rest.len().min(16);
    padded[..taken].copy_from_slice(&rest[..taken]);
    if key.len() / 16 == quarter {
        padded[key.len() % 16] = END_MARK;
    }
    u128::from_le_bytes(padded)
}

/// MD5 of one block in each lane, of which only the first `KEY_WORDS` words and the length are not zero.
#[target_feature(enable = "avx512f")]
fn digest<const KEY_WORDS: usize>(
    keys: &[KeySpan; GROUP_KEYS],
    quarter_of: impl Fn(KeySpan, usize) -> u128,
    out: &mut Vec<HashKey>,
) {
    let mut block = [[_mm512_setzero_si512(); ROWS]; 16];
    for quarter in 0..KEY_WORDS.div_ceil(QUARTER_WORDS) {
        for row in 0..ROWS {
            let words = transposed(std::array::from_fn(|fourth| {
                joined(std::array::from_fn(|lane| quarter_of(keys[row * LANES + 4 * lane + fourth], quarter)))
            }));
            for (word, value) in words.into_iter().enumerate() {
                block[QUARTER_WORDS * quarter + word][row] = value;
            }
        }
    }
    // The length in bits, for a word that no key of one block reaches.
    block[LENGTH_WORD] = std::array::from_fn(|row| {
        let bits = |fourth: usize, lane: usize| u128::from(keys[row * LANES + 4 * lane + fourth].len) * 8;
        transposed(std::array::from_fn(|fourth| joined(std::array::from_fn(|lane| bits(fourth, lane)))))[0]
    });
    let sums = steps::<KEY_WORDS>(&block);
    for row in 0..ROWS {
        // Transposing once more brings the four words of a key back together.
        let fourths = transposed(sums.map(|word| word[row])).map(|fourth| split(fourth));
        for lane in 0..4 {
            out.extend(fourths.map(|fourth| HashKey(fourth[lane].swap_bytes())));
        }
    }
}

/// Four vectors of 128 bits in one register.
#[target_feature(enable = "avx512f")]
fn joined(quarters: [u128; 4]) -> __m512i {
    let [a, b, c, d] = quarters.map(|value| register(value));
    let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, c), d)
}

#[target_feature(enable = "avx512f")]
fn split(register: __m512i) -> [u128; 4] {
    [
        integer(_mm512_extracti32x4_epi32::<0>(register)),
        integer(_mm512_extracti32x4_epi32::<1>(register)),
        integer(_mm512_extracti32x4_epi32::<2>(register)),
        integer(_mm512_extracti32x4_epi32::<3>(register)),
    ]
}

#[target_feature(enable = "avx512f")]
fn register(value: u128) -> __m128i {
    let halves = value.to_le_bytes();
    let (halves, _) = halves.as_chunks::<8>();
    _mm_set_epi64x(i64::from_le_bytes(halves[1]), i64::from_le_bytes(halves[0]))
}

#[target_feature(enable = "avx512f")]
fn integer(register: __m128i) -> u128 {
    let low = _mm_cvtsi128_si64(register).cast_unsigned();
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(register, register)).cast_unsigned();
    u128::from(high) << 64 | u128::from(low)
}

/// Swaps rows and columns of the 4 by 4 words in each 128 bits of the four registers.
#[target_feature(enable = "avx512f")]
fn transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The 64 steps of MD5 (RFC 1321, section 3.4) and the final sums.
#[target_feature(enable = "avx512f")]
fn steps<const KEY_WORDS: usize>(block: &[Words; 16]) -> [Words; 4] {
    let start = START.map(|word| [constant(word); ROWS]);
    let [mut a, mut b, mut c, mut d] = start;
    macro_rules! step {
        ($mix:literal, $turn:literal, $a:ident $b:ident $c:ident $d:ident, $step:expr, $word:literal) => {
            for row in 0..ROWS {
                let mut sum = _mm512_add_epi32($a[row], constant(SINES[$step]));
                if $word < KEY_WORDS || $word == LENGTH_WORD {
                    sum = _mm512_add_epi32(sum, block[$word][row]);
                }
                sum = _mm512_add_epi32(sum, _mm512_ternarylogic_epi32::<$mix>($b[row], $c[row], $d[row]));
                $a[row] = _mm512_add_epi32(_mm512_rol_epi32::<$turn>(sum), $b[row]);
            }
        };
    }
    // A truth table that mixes b, c and d; four turns in bits; the first step; the words of the block.
    macro_rules! four {
        ($mix:literal, $t0:literal $t1:literal $t2:literal $t3:literal, $step:literal,
         $w0:literal $w1:literal $w2:literal $w3:literal) => {
            step!($mix, $t0, a b c d, $step, $w0);
            step!($mix, $t1, d a b c, $step + 1, $w1);
            step!($mix, $t2, c d a b, $step + 2, $w2);
            step!($mix, $t3, b c d a, $step + 3, $w3);
        };
    }
    four!(0xCA, 7 12 17 22, 0, 0 1 2 3);
    four!(0xCA, 7 12 17 22, 4, 4 5 6 7);
    four!(0xCA, 7 12 17 22, 8, 8 9 10 11);
    four!(0xCA, 7 12 17 22, 12, 12 13 14 15);
    four!(0xE4, 5 9 14 20, 16, 1 6 11 0);
    four!(0xE4, 5 9 14 20, 20, 5 10 15 4);
    four!(0xE4, 5 9 14 20, 24, 9 14 3 8);
    four!(0xE4, 5 9 14 20, 28, 13 2 7 12);
    four!(0x96, 4 11 16 23, 32, 5 8 11 14);
    four!(0x96, 4 11 16 23, 36, 1 4 7 10);
    four!(0x96, 4 11 16 23, 40, 13 0 3 6);
    four!(0x96, 4 11 16 23, 44, 9 12 15 2);
    four!(0x39, 6 10 15 21, 48, 0 7 14 5);
    four!(0x39, 6 10 15 21, 52, 12 3 10 1);
    four!(0x39, 6 10 15 21, 56, 8 15 6 13);
    four!(0x39, 6 10 15 21, 60, 4 11 2 9);
    let end = [a, b, c, d];
    std::array::from_fn(|word| std::array::from_fn(|row| _mm512_add_epi32(start[word][row], end[word][row])))
}

#[target_feature(enable = "avx512f")]
fn constant(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}
