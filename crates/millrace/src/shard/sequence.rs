//! Sequence numbers: 64 bits inside, and outside the 56-digit decimal beginning 495 that Kinesis clients expect.
//!
//! The external number is an integer of 188 bits, from the top:
//!
//! ```text
//!  187       176 175        140 139         76 75        36 35      4 3       0
//! +-------------+--------------+--------------+------------+---------+---------+
//! | 0x205       | created_s    | sequence     | stream_id  | shard   | version |
//! | 12 bits     | 36 bits      | 64 bits      | 40 bits    | 32 bits | 4 bits  |
//! +-------------+--------------+--------------+------------+---------+---------+
//! ```
//!
//! - `created_s`: when the stream was created, in seconds since 1970, at most [`CREATED_S_MAX`];
//! - `stream_id`: tells apart streams created in the same second, at most [`STREAM_ID_MAX`];
//! - `version`: of this layout, 0.
//!
//! Invariants: numbers of one shard are ordered as their sequences are, compared as integers or as text; a number tells
//! one of another stream or shard; each has 56 digits and begins 495, because `0x205 << 176` is 4.9519e55 and the
//! topmost bit of `created_s` is zero, so that no number reaches 4.9567e55. The layout never changes: numbers outlive
//! the process that gave them, in checkpoints of others. This file does not know which sequences or shards exist.

use std::fmt;

use super::ShardId;
use crate::error::{Error, Kind, Result};

/// How many decimal digits an external sequence number has.
pub const SEQUENCE_DIGITS: usize = 56;

/// The latest creation time that keeps the number's beginning, in seconds since 1970: in the year 3058.
const CREATED_S_MAX: u64 = (1 << 35) - 1;
/// The largest stream id.
pub(crate) const STREAM_ID_MAX: u64 = (1 << 40) - 1;
/// The constant in the topmost bits.
const PREFIX: u64 = 0x205;
/// The layout described above.
const VERSION: u8 = 0;

/// Where each field begins: below bit 128 in the lower part, from there on in the upper.
const SHARD_SHIFT: u32 = 4;
const STREAM_ID_SHIFT: u32 = 36;
const SEQUENCE_SHIFT: u32 = 76;
const CREATED_SHIFT_UPPER: u32 = 140 - 128;
const PREFIX_SHIFT_UPPER: u32 = 176 - 128;
/// How many of the sequence's bits stand in the lower part.
const SEQUENCE_BITS_LOWER: u32 = 128 - SEQUENCE_SHIFT;

/// A record's place in its stream: strictly increasing over the stream, so over each shard, and never given twice.
/// Gaps are legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub u64);

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Translates the sequence numbers of one stream to what is shown outside and back.
///
/// ```
/// use millrace::shard::{SequenceCodec, SequenceNumber, ShardId};
/// let codec = SequenceCodec::new(1_700_000_000, 7)?;
/// let text = codec.encode(ShardId(3), SequenceNumber(42));
/// assert_eq!(text, "49521131618406377614412876484864007814367007187377586224");
/// assert_eq!(codec.decode(&text)?, (ShardId(3), SequenceNumber(42)));
/// # Ok::<(), millrace::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceCodec {
    created_s: u64,
    stream_id: u64,
}

impl SequenceCodec {
    /// The codec of the stream that was created at `created_s`, in seconds since 1970, with `stream_id`.
    ///
    /// # Errors
    /// [`Kind::InvalidArgument`] when `created_s` has more than 35 bits or `stream_id` more than 40.
    pub fn new(created_s: u64, stream_id: u64) -> Result<Self> {
        if created_s > CREATED_S_MAX {
            let message = format!("expected a creation time of at most {CREATED_S_MAX} s, got {created_s} s");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        if stream_id > STREAM_ID_MAX {
            let message = format!("expected a stream id of at most {STREAM_ID_MAX}, got {stream_id}");
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        Ok(SequenceCodec { created_s, stream_id })
    }

    /// The external number of `sequence`, which is in `shard`.
    #[must_use]
    pub fn encode(&self, shard: ShardId, sequence: SequenceNumber) -> String {
        let mut digits = [0; SEQUENCE_DIGITS];
        self.write_into(shard, sequence, &mut digits);
        String::from_utf8(digits.to_vec()).expect("decimal digits are UTF-8")
    }

    /// Writes what [`encode`](Self::encode) returns, as ASCII digits and without allocating.
    pub fn write_into(&self, shard: ShardId, sequence: SequenceNumber, digits: &mut [u8; SEQUENCE_DIGITS]) {
        let fields = Fields { created_s: self.created_s, sequence, stream_id: self.stream_id, shard, version: VERSION };
        fields.pack().write_digits(digits);
    }

    /// The shard and the sequence that `text` names.
    ///
    /// # Errors
    /// [`Kind::SequenceInvalid`] when `text` is not what [`encode`](Self::encode) gives: not 56 decimal digits, not of
    /// Millrace, of a layout that this version does not know, or of another stream.
    pub fn decode(&self, text: &str) -> Result<(ShardId, SequenceNumber)> {
        let fields = Fields::unpack(parse(text)?)
            .ok_or_else(|| invalid(format!("expected a sequence number that was given by Millrace, got {text:?}")))?;
        if fields.version != VERSION {
            let version = fields.version;
            return Err(invalid(format!(
                "expected a sequence number of version {VERSION}, got version {version}: {text:?}"
            )));
        }
        if (fields.created_s, fields.stream_id) != (self.created_s, self.stream_id) {
            return Err(self.of_another_stream(fields));
        }
        Ok((fields.shard, fields.sequence))
    }

    /// The sequence that `text` names, which must be in `shard`.
    ///
    /// # Errors
    /// [`Kind::SequenceInvalid`] as [`decode`](Self::decode) does, and when the number is of another shard.
    pub fn decode_for_shard(&self, text: &str, shard: ShardId) -> Result<SequenceNumber> {
        let (encoded, sequence) = self.decode(text)?;
        if encoded == shard {
            Ok(sequence)
        } else {
            Err(invalid(format!("Invalid sequence number. It encodes {encoded}, not {shard}")))
        }
    }

    fn of_another_stream(&self, fields: Fields) -> Error {
        invalid(format!(
            "expected a sequence number of this stream, created at {} s with stream id {}; this one is of another \
             stream: it was created at {} s, stream id {}",
            self.created_s, self.stream_id, fields.created_s, fields.stream_id
        ))
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::SequenceInvalid, message)
}

/// What an external number holds, apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    created_s: u64,
    sequence: SequenceNumber,
    stream_id: u64,
    shard: ShardId,
    version: u8,
}

impl Fields {
    fn pack(self) -> Wide {
        assert!(self.created_s <= CREATED_S_MAX && self.stream_id <= STREAM_ID_MAX, "the codec checks its fields");
        let SequenceNumber(sequence) = self.sequence;
        // The sequence crosses bit 128: its upper bits fall out of the lower part and stand in the upper one.
        let lower = u128::from(sequence) << SEQUENCE_SHIFT
            | u128::from(self.stream_id) << STREAM_ID_SHIFT
            | u128::from(self.shard.0) << SHARD_SHIFT
            | u128::from(self.version);
        let upper =
            PREFIX << PREFIX_SHIFT_UPPER | self.created_s << CREATED_SHIFT_UPPER | sequence >> SEQUENCE_BITS_LOWER;
        Wide { upper, lower }
    }

    /// The fields of a number that begins as those of Millrace do; none of another.
    fn unpack(Wide { upper, lower }: Wide) -> Option<Self> {
        let created_s = upper >> CREATED_SHIFT_UPPER & mask(PREFIX_SHIFT_UPPER - CREATED_SHIFT_UPPER);
        if upper >> PREFIX_SHIFT_UPPER != PREFIX || created_s > CREATED_S_MAX {
            return None;
        }
        let sequence_upper = (upper & mask(CREATED_SHIFT_UPPER)) << SEQUENCE_BITS_LOWER;
        let sequence_lower = low_64(lower >> SEQUENCE_SHIFT);
        let shard = low_64(lower >> SHARD_SHIFT) & mask(STREAM_ID_SHIFT - SHARD_SHIFT);
        Some(Fields {
            created_s,
            sequence: SequenceNumber(sequence_upper | sequence_lower),
            stream_id: low_64(lower >> STREAM_ID_SHIFT) & STREAM_ID_MAX,
            shard: ShardId(u32::try_from(shard).expect("masked to 32 bits")),
            version: u8::try_from(lower & u128::from(mask(SHARD_SHIFT))).expect("masked to 4 bits"),
        })
    }
}

/// The lowest `bits` bits.
const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

fn low_64(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).expect("masked to 64 bits")
}

/// An integer of 192 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wide {
    upper: u64,
    lower: u128,
}

/// How many decimal digits always fit 64 bits, and so are converted together.
const CHUNK_DIGITS: usize = 19;
/// The base of such chunks of digits.
const CHUNK_BASE: u64 = 10_u64.pow(19);

impl Wide {
    const ZERO: Self = Wide { upper: 0, lower: 0 };

    /// Writes the decimal digits of a number below 10^56, from the last chunk to the first.
    fn write_digits(mut self, digits: &mut [u8; SEQUENCE_DIGITS]) {
        for chunk in digits.rchunks_mut(CHUNK_DIGITS) {
            let mut rest;
            (self, rest) = self.div_rem_chunk();
            for digit in chunk.iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).expect("one digit");
                rest /= 10;
            }
        }
        assert_eq!(self, Self::ZERO, "a sequence number has {SEQUENCE_DIGITS} digits");
    }

    /// Long division by [`CHUNK_BASE`], 64 bits at a time.
    fn div_rem_chunk(self) -> (Self, u64) {
        let base = u128::from(CHUNK_BASE);
        let upper = u128::from(self.upper);
        let middle = (upper % base) << 64 | self.lower >> 64;
        let lowest = (middle % base) << 64 | u128::from(low_64(self.lower));
        let quotient = Wide { upper: low_64(upper / base), lower: ((middle / base) << 64) | (lowest / base) };
        (quotient, low_64(lowest % base))
    }

    /// This times [`CHUNK_BASE`] plus a chunk, which the caller knows to be less than 2^192.
    fn mul_add_chunk(self, chunk: u64) -> Self {
        let base = u128::from(CHUNK_BASE);
        let lowest = u128::from(low_64(self.lower)) * base + u128::from(chunk);
        let middle = (self.lower >> 64) * base + (lowest >> 64);
        let upper = u128::from(self.upper) * base + (middle >> 64);
        Wide {
            upper: u64::try_from(upper).expect("56 digits are less than 2^192"),
            lower: u128::from(low_64(middle)) << 64 | u128::from(low_64(lowest)),
        }
    }
}

/// The integer that 56 decimal digits spell.
fn parse(text: &str) -> Result<Wide> {
    if text.len() != SEQUENCE_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let count = text.chars().count();
        let shown: String = text.chars().take(64).collect();
        let message = format!("expected {SEQUENCE_DIGITS} decimal digits, got {count} characters that begin {shown:?}");
        return Err(invalid(message));
    }
    let (first, rest) = text.as_bytes().split_at(SEQUENCE_DIGITS % CHUNK_DIGITS);
    let chunks = [first].into_iter().chain(rest.chunks(CHUNK_DIGITS));
    Ok(chunks.fold(Wide::ZERO, |value, chunk| value.mul_add_chunk(parse_chunk(chunk))))
}

fn parse_chunk(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests;
