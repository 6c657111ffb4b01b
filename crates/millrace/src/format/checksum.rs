//! Checksums: CRC32C, and the seed that ties a frame to the one place where it was written.
//!
//! A frame's checksums are mixed with a seed made of the segment's random incarnation and the frame's offset. So the
//! stale bytes of a recycled file, and the bytes of a frame that somebody stored as a record, are no frames: their
//! seed differs. The mix is an exclusive or, so that the costly part, the sum over the payload, can be made before
//! the frame's place is known.

use crc_fast::CrcAlgorithm;

/// CRC32C of some bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(test)]
    SUMMED_BYTES.set(SUMMED_BYTES.get() + bytes.len());
    // The crate returns every width in 64 bits; this one fills 32 of them.
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("a 32-bit sum")
}

#[cfg(test)]
thread_local! {
    static SUMMED_BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many bytes this thread has summed so far: what a test bounds instead of time.
#[cfg(test)]
pub(crate) fn summed_bytes() -> usize {
    SUMMED_BYTES.get()
}

/// What a frame at `offset` of a segment with this incarnation mixes into its checksums.
#[must_use]
pub fn seed(incarnation: u64, offset: u32) -> u32 {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&incarnation.to_le_bytes());
    bytes[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c(&bytes)
}

/// An incarnation whose seed at `offset` is `wanted`: so is, at every other offset, its seed that of the incarnation
/// which gave `wanted`.
///
/// A CRC is linear: the seeds of two incarnations differ by the same 32 bits at every offset, which depend on the
/// difference of the incarnations alone. So of the 64 bits only 32 count, and the lower 32 bits of the incarnation can
/// make any of them, each of them by one value. They are found here by elimination.
#[must_use]
pub fn incarnation_with(wanted: u32, offset: u32) -> u64 {
    let base = seed(0, offset);
    // Pairs of a bit pattern of the seed and the incarnation that makes it, each pattern with a highest bit of its own.
    let mut basis: [Option<(u32, u64)>; 32] = [None; 32];
    for bit in 0..32 {
        let mut made = (seed(1 << bit, offset) ^ base, 1u64 << bit);
        while made.0 != 0 {
            let highest = &mut basis[made.0.ilog2() as usize];
            let Some((pattern, incarnation)) = highest else {
                *highest = Some(made);
                break;
            };
            made = (made.0 ^ *pattern, made.1 ^ *incarnation);
        }
    }
    let (mut rest, mut incarnation) = (wanted ^ base, 0);
    while rest != 0 {
        let (pattern, part) = basis[rest.ilog2() as usize].expect("a CRC of 32 bits takes every value over 32 bits");
        rest ^= pattern;
        incarnation ^= part;
    }
    incarnation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_that_has_a_seed_at_one_offset_has_the_others_too() {
        for incarnation in [0, 1, 0x0102_0304_0506_0708, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            let found = incarnation_with(seed(incarnation, 4096), 4096);
            for offset in [0, 64, 4096, 4160, 1 << 20, 64 << 20, u32::MAX - 63] {
                assert_eq!(seed(found, offset), seed(incarnation, offset), "{incarnation:x} at {offset}");
            }
        }
    }

    #[test]
    fn the_sum_is_the_castagnoli_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn seeds_differ_by_incarnation_and_by_offset() {
        assert_ne!(seed(1, 64), seed(2, 64));
        assert_ne!(seed(1, 64), seed(1, 128));
    }
}
