//! A segment file's header: the first page of the file, written and synced before anything stands behind it.

use super::checksum::crc32c;
use super::{Cursor, FORMAT_VERSION, SEGMENT_BYTES_LIMIT, SEGMENT_NUMBER_LIMIT, SEQUENCE_LIMIT};
use crate::error::{Error, Kind, Result};

/// The length of the header page in bytes; the first frame stands behind it.
pub const SEGMENT_HEADER_BYTES: u32 = 4096;
const MAGIC: [u8; 8] = *b"MILLSEG\0";
const FIELDS_BYTES: usize = 72;

/// What the first page of a segment file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The stream that the segment belongs to.
    pub stream: u64,
    /// The segment's number in its log.
    pub segment: u32,
    /// The length of the file in bytes.
    pub capacity: u32,
    /// A random number, new each time the file is used.
    pub incarnation: u64,
    /// The first sequence that may be given to a record that is appended here.
    pub reserved_from: u64,
    /// The first sequence that may not.
    pub reserved_until: u64,
    /// When the header was written: milliseconds since 1970.
    pub created_ms: u64,
}

impl SegmentHeader {
    /// The whole page.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        page.extend_from_slice(&[0; 6]);
        page.extend_from_slice(&self.stream.to_le_bytes());
        page.extend_from_slice(&self.segment.to_le_bytes());
        page.extend_from_slice(&self.capacity.to_le_bytes());
        page.extend_from_slice(&self.incarnation.to_le_bytes());
        page.extend_from_slice(&self.reserved_from.to_le_bytes());
        page.extend_from_slice(&self.reserved_until.to_le_bytes());
        page.extend_from_slice(&self.created_ms.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.extend_from_slice(&crc32c(&page).to_le_bytes());
        assert_eq!(page.len(), FIELDS_BYTES, "the layout of docs/format.md");
        page.resize(SEGMENT_HEADER_BYTES as usize, 0);
        page
    }

    /// Reads the page; the error says whether it is damaged or of a newer version.
    pub fn decode(page: &[u8]) -> Result<SegmentHeader> {
        let damaged = || Error::new(Kind::Corrupt, "expected a segment header, found other or damaged bytes");
        let fields = page.get(..FIELDS_BYTES).ok_or_else(damaged)?;
        let mut cursor = Cursor(fields);
        if cursor.array::<8>() != Some(MAGIC) {
            return Err(damaged());
        }
        let version = cursor.u16().ok_or_else(damaged)?;
        let (covered, stored) = fields.split_at(FIELDS_BYTES - 4);
        if crc32c(covered).to_le_bytes() != stored {
            return Err(damaged());
        }
        // Before all else that a newer version may have changed.
        if version > FORMAT_VERSION {
            let message = format!(
                "this build reads segments up to version {FORMAT_VERSION}, found version {version}; upgrade Millrace"
            );
            return Err(Error::new(Kind::FormatNewer, message));
        }
        let header = SegmentHeader::fields(&mut cursor).ok_or_else(damaged)?;
        let rest_is_zero = page.get(FIELDS_BYTES..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
        let is_reserved = header.reserved_from <= header.reserved_until && header.reserved_until <= SEQUENCE_LIMIT;
        let is_sized = (SEGMENT_HEADER_BYTES..=SEGMENT_BYTES_LIMIT).contains(&header.capacity);
        if !rest_is_zero || !is_reserved || !is_sized || header.segment >= SEGMENT_NUMBER_LIMIT {
            return Err(damaged());
        }
        Ok(header)
    }

    fn fields(cursor: &mut Cursor<'_>) -> Option<SegmentHeader> {
        let reserved = cursor.array::<6>()?;
        let header = SegmentHeader {
            stream: cursor.u64()?,
            segment: cursor.u32()?,
            capacity: cursor.u32()?,
            incarnation: cursor.u64()?,
            reserved_from: cursor.u64()?,
            reserved_until: cursor.u64()?,
            created_ms: cursor.u64()?,
        };
        (reserved == [0; 6] && cursor.u32()? == 0).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            stream: 5,
            segment: 6,
            capacity: 1 << 20,
            incarnation: 0x0102_0304_0506_0708,
            reserved_from: 100,
            reserved_until: 200,
            created_ms: 1_800_000_000_000,
        }
    }

    #[test]
    fn the_header_round_trips() {
        assert_eq!(SegmentHeader::decode(&sample().encode()).ok(), Some(sample()));
    }

    #[test]
    fn every_bit_flip_and_truncation_of_the_header_is_noticed() {
        let page = sample().encode();
        for bit in 0..page.len() * 8 {
            let mut damaged = page.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..FIELDS_BYTES {
            assert!(SegmentHeader::decode(&page[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut page = sample().encode();
        page[8] = 9;
        // A newer version may use what is reserved today.
        (page[15], page[100]) = (1, 1);
        let sum = crc32c(&page[..FIELDS_BYTES - 4]);
        page[FIELDS_BYTES - 4..FIELDS_BYTES].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&page).map_err(|error| error.kind()), Err(Kind::FormatNewer));
    }

    #[test]
    fn a_header_beyond_the_limits_is_damage_though_its_checksum_is_right() {
        let absurd = [
            SegmentHeader { reserved_from: 201, ..sample() },
            SegmentHeader { reserved_until: SEQUENCE_LIMIT + 1, ..sample() },
            SegmentHeader { capacity: SEGMENT_HEADER_BYTES - 1, ..sample() },
            SegmentHeader { capacity: SEGMENT_BYTES_LIMIT + 1, ..sample() },
            SegmentHeader { segment: SEGMENT_NUMBER_LIMIT, ..sample() },
        ];
        for header in absurd {
            let judged = SegmentHeader::decode(&header.encode()).map_err(|error| error.kind());
            assert_eq!(judged, Err(Kind::Corrupt), "{header:?}");
        }
        let last = SegmentHeader {
            reserved_from: SEQUENCE_LIMIT,
            reserved_until: SEQUENCE_LIMIT,
            capacity: SEGMENT_BYTES_LIMIT,
            segment: SEGMENT_NUMBER_LIMIT - 1,
            ..sample()
        };
        assert_eq!(SegmentHeader::decode(&last.encode()).ok(), Some(last));
    }

    #[test]
    fn the_golden_header_of_version_1() {
        let hex: String = sample().encode()[..FIELDS_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "4d494c4c53454700010000000000000005000000000000000600000000001000",
                "08070605040302016400000000000000c80000000000000000505c18a3010000",
                "00000000f82c3734"
            )
        );
    }
}
