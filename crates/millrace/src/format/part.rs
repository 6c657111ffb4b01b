//! A part of a snapshot that is spread over several frames.

/// Number and count come before the bytes.
const HEADER_BYTES: usize = 8;

/// A part: the bytes, and which of how many they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first is 0.
    pub number: u32,
    /// How many there are.
    pub total: u32,
    pub bytes: Vec<u8>,
}

impl Part {
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(HEADER_BYTES + self.bytes.len());
        encoded.extend(self.number.to_le_bytes());
        encoded.extend(self.total.to_le_bytes());
        encoded.extend(&self.bytes);
        encoded
    }

    /// `None` for bytes that are no part, or one beyond the count.
    pub fn decode(encoded: &[u8]) -> Option<Part> {
        let (number, rest) = encoded.split_first_chunk::<4>()?;
        let (total, bytes) = rest.split_first_chunk::<4>()?;
        let (number, total) = (u32::from_le_bytes(*number), u32::from_le_bytes(*total));
        (number < total).then(|| Part { number, total, bytes: bytes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_golden_bytes_and_come_back() {
        let part = Part { number: 1, total: 3, bytes: b"state".to_vec() };
        assert_eq!(part.encode(), b"\x01\0\0\0\x03\0\0\0state");
        assert_eq!(Part::decode(&part.encode()), Some(part));
    }

    #[test]
    fn what_is_no_part_is_refused() {
        assert_eq!(Part::decode(b"\x01\0\0\0\x03\0\0"), None);
        assert_eq!(Part::decode(b"\x03\0\0\0\x03\0\0\0state"), None);
        assert_eq!(Part::decode(b"\0\0\0\0\0\0\0\0"), None);
    }
}
