//! The bytes on disk: constants and encode/decode pairs, as specified in `docs/format.md`.
//!
//! All integers are little-endian and of explicit width. Every decoder treats its input as hostile: it answers with
//! what is wrong, and never reads past what it was given. Nothing here opens a file.

pub mod change;
pub mod checksum;
pub mod frame;
pub mod index;
pub(crate) mod part;
pub mod queue;
pub mod record;
pub mod segment;
pub mod snapshot;

/// The version of the format that this build writes, and the newest that it reads. It reads version 0 too, which differs
/// in nothing but the number.
pub const FORMAT_VERSION: u16 = 1;

/// Frames start at multiples of this.
pub const FRAME_ALIGNMENT: u32 = 64;

/// The largest frame, in bytes, header and run table included.
pub const FRAME_BYTES_MAX: u32 = 16 << 20;

/// The longest segment, in bytes: what is longer is none, whatever it says.
pub const SEGMENT_BYTES_LIMIT: u32 = 1 << 30;

/// Segments have lower numbers than this. A log that began a segment a second would need 68 years.
pub const SEGMENT_NUMBER_LIMIT: u32 = 1 << 31;

/// Sequences are lower than this: at a thousand million records a second they last 292 years. What reads a sequence or
/// a number of a segment from disk refuses what lies beyond, so that sums of them and of lengths never overflow.
pub const SEQUENCE_LIMIT: u64 = 1 << 63;

/// A place in a stream's log: a segment and an offset into its file. Places are ordered as the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the segment.
    pub segment: u32,
    /// The offset into the segment's file, in bytes.
    pub offset: u32,
}

impl Position {
    /// A place in a segment.
    #[must_use]
    pub fn new(segment: u32, offset: u32) -> Position {
        Position { segment, offset }
    }

    /// Both numbers in one word that is ordered alike.
    #[must_use]
    pub fn pack(self) -> u64 {
        (u64::from(self.segment) << 32) | u64::from(self.offset)
    }

    /// The inverse of [`Position::pack`].
    #[must_use]
    pub fn unpack(word: u64) -> Position {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Position::new(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// The next multiple of [`FRAME_ALIGNMENT`].
#[must_use]
pub fn aligned(offset: u32) -> u32 {
    offset.next_multiple_of(FRAME_ALIGNMENT)
}

/// A size that is known to fit 32 bits, because segments and frames are far smaller.
pub(crate) fn u32_of(size: usize) -> u32 {
    u32::try_from(size).expect("sizes within a segment fit 32 bits")
}

/// Reads fixed-width integers one after the other; `None` once the bytes have run out.
#[derive(Debug)]
pub(crate) struct Cursor<'a>(pub &'a [u8]);

impl Cursor<'_> {
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_pack_and_keep_their_order() {
        let places = [Position::new(0, 0), Position::new(0, u32::MAX), Position::new(1, 0), Position::new(u32::MAX, 7)];
        for pair in places.windows(2) {
            assert!(pair[0].pack() < pair[1].pack());
        }
        for place in places {
            assert_eq!(Position::unpack(place.pack()), place);
        }
    }
}
