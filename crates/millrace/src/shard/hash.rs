//! The hash of a partition key: MD5 read as a 128-bit integer, which is what the hash ranges of shards divide.
//!
//! Hashing one key at a time costs more than all else that an append does, for MD5 is one chain of dependent steps
//! that leaves most of the processor idle. [`hash_all`] therefore computes twelve keys side by side, in lanes:
//!
//! ```text
//!             row 0: lanes 0 to 3        row 1: lanes 4 to 7        row 2: lanes 8 to 11
//!   word 0   | key0 key1 key2  key3  |  | key4 key5 key6  key7  |  | key8 key9 key10 key11 |
//!   word 1   | key0 key1 key2  key3  |  | key4 key5 key6  key7  |  | key8 key9 key10 key11 |
//!    ...
//!   word 14  | length of each key in bits, which MD5 appends; word 15 is its upper half, always zero |
//! ```
//!
//! A row is one vector register of SSE2 or NEON. [`digest`] is a loop over the four lanes of a row, written as if for
//! scalars; one turn of the loop does not depend on another, so the compiler runs all four at once with vector
//! instructions: no unsafe code, and no instruction set to detect. Each turn advances three rows together,
//! because three chains of steps hide each other's latency and their state still fits the sixteen registers. (On a Xeon
//! of 2.8 GHz, for keys of 10 bytes: one row takes 38 ns a key, two 24, three 22, four 23, the scalar hash 130. Arrays
//! of lanes inside each step are not recognised as vectors at all and take 70.)
//!
//! All lanes take the same steps, so a key must fit one MD5 block: at most [`BLOCK_KEY_BYTES`]; a longer one is hashed
//! alone. A word that is zero in every lane needs no addition, so groups of keys of at most [`SHORT_KEY_BYTES`],
//! which are most, run through a copy of the steps without the words that they cannot reach.
//!
//! Where the processor has AVX-512, the first keys of a batch go 32 at a time through `wide.rs`, which takes half as long.
//!
//! Invariant: every path gives what the `md-5` crate gives. This file knows nothing of shards.

use md5::{Digest, Md5};

/// The longest key that fits one MD5 block beside its end mark (1 byte) and its length (8 bytes).
const BLOCK_KEY_BYTES: usize = 55;
/// How many words of a block any key of one block and its end mark may touch. The length stands in the next word.
const BLOCK_KEY_WORDS: usize = 14;
/// The longest key that fits the first [`SHORT_KEY_WORDS`] beside its end mark.
const SHORT_KEY_BYTES: usize = 15;
/// How many words of a block a short key and its end mark may touch.
const SHORT_KEY_WORDS: usize = 4;
/// The word that holds the length of the key in bits.
const LENGTH_WORD: usize = 14;
/// The byte that MD5 puts behind the key.
const END_MARK: u8 = 0x80;

/// How many keys one vector register holds.
const ROW_LANES: usize = 4;
/// How many registers advance together.
const ROWS: usize = 3;
/// How many keys are hashed side by side.
const LANES: usize = ROW_LANES * ROWS;
/// From how many keys on a group that is not full is cheaper than one key after the other.
const GROUP_KEYS_MIN: usize = 3;

/// The sixteen words of one MD5 block for every lane.
type Block = [[u32; LANES]; 16];
/// One word for the same lane of each row.
type Rows = [u32; ROWS];

/// Where a record belongs: the MD5 digest of its partition key as a big-endian 128-bit integer, or the
/// explicit hash key that the caller gave instead.
///
/// ```
/// use millrace::shard::HashKey;
/// assert_eq!(HashKey::of_key(b"abc"), HashKey(0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The hash of one partition key of any length. For many keys [`hash_all`] is several times faster.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        HashKey(u128::from_be_bytes(Md5::digest(key).into()))
    }
}

/// Where one key stands in the bytes given to [`hash_all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpan {
    /// Offset of the key's first byte, in bytes.
    pub offset: u32,
    /// Length of the key, in bytes.
    pub len: u16,
}

impl KeySpan {
    const EMPTY: Self = KeySpan { offset: 0, len: 0 };

    fn len(self) -> usize {
        usize::from(self.len)
    }

    fn offset(self) -> usize {
        usize::try_from(self.offset).expect("a usize holds an offset of 32 bits on every supported target")
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.offset()..][..self.len()]
    }

    fn fits_block(self) -> bool {
        self.len() <= BLOCK_KEY_BYTES
    }
}

/// Appends the hash of each of `keys`, in their order, to `out`. It allocates nothing but room in `out`.
///
/// ```
/// use millrace::shard::{HashKey, KeySpan, hash_all};
/// let mut hashes = Vec::new();
/// hash_all(b"user-1user-2", &[KeySpan { offset: 0, len: 6 }, KeySpan { offset: 6, len: 6 }], &mut hashes);
/// assert_eq!(hashes, [HashKey::of_key(b"user-1"), HashKey::of_key(b"user-2")]);
/// ```
///
/// # Panics
/// When a span reaches past the end of `bytes`: the caller has checked its records before it hashes their keys.
pub fn hash_all(bytes: &[u8], keys: &[KeySpan], out: &mut Vec<HashKey>) {
    out.reserve(keys.len());
    let (groups, rest) = hash_wide(bytes, keys, out).as_chunks::<LANES>();
    for group in groups {
        out.extend_from_slice(&hash_group(bytes, group));
    }
    if rest.len() < GROUP_KEYS_MIN {
        out.extend(rest.iter().map(|key| HashKey::of_key(key.of(bytes))));
    } else {
        let mut filled_up = [KeySpan::EMPTY; LANES];
        filled_up[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&hash_group(bytes, &filled_up)[..rest.len()]);
    }
}

/// Hashes as many of the first keys as the widest registers of this processor are good for; returns the others.
fn hash_wide<'a>(bytes: &[u8], keys: &'a [KeySpan], out: &mut Vec<HashKey>) -> &'a [KeySpan] {
    #[cfg(target_arch = "x86_64")]
    return wide::hash_groups(bytes, keys, out);
    #[cfg(not(target_arch = "x86_64"))]
    return (bytes, keys, out).1;
}

// Not inlined, for the two callers would each get a copy of several thousand instructions.
#[inline(never)]
fn hash_group(bytes: &[u8], keys: &[KeySpan; LANES]) -> [HashKey; LANES] {
    if keys.iter().all(|key| key.len() <= SHORT_KEY_BYTES) {
        hash_short_keys(bytes, keys)
    } else if keys.iter().all(|key| key.fits_block()) {
        hash_block_keys(bytes, keys)
    } else {
        hash_mixed_keys(bytes, keys)
    }
}

/// Keys that fit one block side by side, the longer ones alone.
fn hash_mixed_keys(bytes: &[u8], keys: &[KeySpan; LANES]) -> [HashKey; LANES] {
    let fitting = keys.map(|key| if key.fits_block() { key } else { KeySpan::EMPTY });
    let mut hashes = hash_block_keys(bytes, &fitting);
    for (hash, key) in hashes.iter_mut().zip(keys) {
        if !key.fits_block() {
            *hash = HashKey::of_key(key.of(bytes));
        }
    }
    hashes
}

fn hash_short_keys(bytes: &[u8], keys: &[KeySpan; LANES]) -> [HashKey; LANES] {
    let mut block = [[0; LANES]; 16];
    for (lane, key) in keys.iter().enumerate() {
        fill_lane(&mut block, lane, &padded_short_key(bytes, *key).to_le_bytes(), *key);
    }
    digest::<SHORT_KEY_WORDS>(&block)
}

fn hash_block_keys(bytes: &[u8], keys: &[KeySpan; LANES]) -> [HashKey; LANES] {
    let mut block = [[0; LANES]; 16];
    for (lane, key) in keys.iter().enumerate() {
        let mut padded = [0; 4 * BLOCK_KEY_WORDS];
        padded[..key.len()].copy_from_slice(key.of(bytes));
        padded[key.len()] = END_MARK;
        fill_lane(&mut block, lane, &padded, *key);
    }
    digest::<BLOCK_KEY_WORDS>(&block)
}

/// Puts a key with its end mark and its length into one lane of a block.
#[inline(always)]
fn fill_lane(block: &mut Block, lane: usize, padded: &[u8], key: KeySpan) {
    for (words, bytes) in block.iter_mut().zip(padded.as_chunks::<4>().0) {
        words[lane] = u32::from_le_bytes(*bytes);
    }
    block[LENGTH_WORD][lane] = u32::from(key.len) * 8;
}

/// A key of at most [`SHORT_KEY_BYTES`] with its end mark, as a little-endian integer.
///
/// Sixteen bytes are loaded whatever the key's length, and what is not the key is masked off: a copy of variable length
/// would be a call and a chain of branches on the length for each key.
#[inline(always)]
fn padded_short_key(bytes: &[u8], key: KeySpan) -> u128 {
    let loaded = match bytes.get(key.offset()..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => load_near_end(key.of(bytes)),
    };
    let (key_mask, end_mark) = SHORT_PADDING[key.len()];
    loaded & key_mask | end_mark
}

#[cold]
fn load_near_end(key: &[u8]) -> u128 {
    let mut chunk = [0; 16];
    chunk[..key.len()].copy_from_slice(key);
    u128::from_le_bytes(chunk)
}

/// For each length of a short key, the mask of its bytes and its end mark in place.
const SHORT_PADDING: [(u128, u128); SHORT_KEY_BYTES + 1] = {
    let mut padding = [(0, 0); SHORT_KEY_BYTES + 1];
    let mut len = 0;
    while len <= SHORT_KEY_BYTES {
        padding[len] = ((1 << (8 * len)) - 1, (END_MARK as u128) << (8 * len));
        len += 1;
    }
    padding
};

/// MD5 of one block in each lane, of which only the first `KEY_WORDS` words and the length are not zero.
#[inline(always)]
fn digest<const KEY_WORDS: usize>(block: &Block) -> [HashKey; LANES] {
    let mut digests = [[0; LANES]; 4];
    for lane in 0..ROW_LANES {
        let word_of_rows = |word: usize| -> Rows { std::array::from_fn(|row| block[word][row * ROW_LANES + lane]) };
        let mut state = START.map(|word| [word; ROWS]);
        macro_rules! steps {
            ($($step:literal)+) => { $( state = step::<KEY_WORDS, $step>(state, word_of_rows); )+ };
        }
        steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        steps!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
        steps!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
        steps!(48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
        for (word, rows) in state.iter().enumerate() {
            for (row, sum) in rows.iter().enumerate() {
                digests[word][row * ROW_LANES + lane] = START[word].wrapping_add(*sum);
            }
        }
    }
    std::array::from_fn(|lane| {
        let [a, b, c, d] = digests.map(|words| u128::from(words[lane].swap_bytes()));
        HashKey(a << 96 | b << 64 | c << 32 | d)
    })
}

/// One step of MD5 (RFC 1321, section 3.4) in the same lane of each row. Step numbers are constants, so that everything
/// that depends on them alone is decided by the compiler.
#[inline(always)]
fn step<const KEY_WORDS: usize, const STEP: usize>(
    [a, b, c, d]: [Rows; 4],
    word_of_rows: impl Fn(usize) -> Rows,
) -> [Rows; 4] {
    let (round, place) = (STEP / 16, STEP % 16);
    let word = match round {
        0 => place,
        1 => (5 * place + 1) % 16,
        2 => (3 * place + 5) % 16,
        _ => (7 * place) % 16,
    };
    let message = if word < KEY_WORDS || word == LENGTH_WORD { word_of_rows(word) } else { [0; ROWS] };
    let next = std::array::from_fn(|row| {
        let (b, c, d) = (b[row], c[row], d[row]);
        let mixed = match round {
            0 => d ^ (b & (c ^ d)),
            1 => c ^ (d & (b ^ c)),
            2 => b ^ c ^ d,
            _ => c ^ (b | !d),
        };
        let sum = a[row].wrapping_add(SINES[STEP]).wrapping_add(message[row]).wrapping_add(mixed);
        sum.rotate_left(TURNS[round][place % 4]).wrapping_add(b)
    });
    [d, next, b, c]
}

/// The state before the first step.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// How far the steps of each round rotate, in bits.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// What each step adds: `floor(2^32 * |sin(step + 1)|)`.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(test)]
mod tests;
