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

#[cfg(test)]
mod tests {
    use super::*;

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
