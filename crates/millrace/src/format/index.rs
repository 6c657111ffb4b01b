//! The index of a sealed segment: a file of its own beside the segment, written once, replaceable by a scan.
//!
//! ```text
//! 0        384              …                  …
//! | header | shard directory | waypoints         | runs, shard by shard   |
//!            24 B a shard      24 B each 64 KiB    8 B a run
//! ```
//! The header alone answers what opening a log asks; the body serves seeks and the readers of one shard.

use super::checksum::crc32c;
use super::segment::SEGMENT_HEADER_BYTES;
use super::{Cursor, FORMAT_VERSION, Position, SEGMENT_BYTES_LIMIT, SEGMENT_NUMBER_LIMIT, SEQUENCE_LIMIT, u32_of};
use crate::error::{Error, Kind, Result};

/// The length of the header in bytes.
pub const INDEX_HEADER_BYTES: usize = 384;
/// A waypoint stands at least this far behind the one before it, in bytes of log.
pub const WAYPOINT_BYTES: u32 = 64 << 10;
const MAGIC: [u8; 8] = *b"MILLIDX\0";
const PRESENCE_WORDS: usize = 32;
const SHARD_BYTES: usize = 24;
const WAYPOINT_ENTRY_BYTES: usize = 24;
const RUN_BYTES: usize = 8;

/// Listed among the shards of an index: the places where damage stood when the index was built, so that the reader of
/// a shard comes upon them too. No shard has this number.
pub const DAMAGED: u32 = u32::MAX;

/// Which shards a segment may hold: exact for the first 2,048 shards, then folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence([u64; PRESENCE_WORDS]);

impl Presence {
    fn place(shard: u32) -> (usize, u64) {
        let bit = shard as usize % (PRESENCE_WORDS * 64);
        (bit / 64, 1 << (bit % 64))
    }

    /// Notes that the shard has records.
    pub fn insert(&mut self, shard: u32) {
        let (word, bit) = Presence::place(shard);
        self.0[word] |= bit;
    }

    /// Whether the shard may have records; `false` is certain.
    #[must_use]
    pub fn may_hold(&self, shard: u32) -> bool {
        let (word, bit) = Presence::place(shard);
        self.0[word] & bit != 0
    }
}

/// What is known of a segment as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The segment's number.
    pub segment: u32,
    /// The incarnation of its file.
    pub incarnation: u64,
    /// Where the segment before ends, as this one's opening says; the default where it cannot be read.
    pub previous_end: Position,
    /// Where its last frame ends.
    pub end: u32,
    /// The checksum of its last frame.
    pub last_checksum: u32,
    /// The sequence of its first frame.
    pub first_sequence: u64,
    /// The sequence behind its last record.
    pub next_sequence: u64,
    /// When its first frame arrived, in milliseconds since 1970.
    pub first_arrival_ms: u64,
    /// When its last frame arrived, in milliseconds since 1970.
    pub last_arrival_ms: u64,
    /// How many records it holds.
    pub records: u64,
    /// How many frames it holds.
    pub frames: u64,
    /// The shards that it may hold.
    pub presence: Presence,
}

impl Summary {
    fn is_within_limits(&self) -> bool {
        let ends =
            (SEGMENT_HEADER_BYTES..=SEGMENT_BYTES_LIMIT).contains(&self.end) && self.segment < SEGMENT_NUMBER_LIMIT;
        ends && self.first_sequence <= self.next_sequence && self.next_sequence <= SEQUENCE_LIMIT
    }
}

/// A place in a segment from which to walk on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waypoint {
    /// Where a frame starts.
    pub offset: u32,
    /// Its first sequence.
    pub sequence: u64,
    /// When it arrived, in milliseconds since 1970.
    pub arrival_ms: u64,
}

/// Where one run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPlace {
    /// Where its frame starts.
    pub frame: u32,
    /// Its entry in the frame's run table.
    pub run: u32,
}

/// The body of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Each shard with its runs, by shard number.
    pub shards: Vec<(u32, Vec<RunPlace>)>,
    /// Waypoints in the order of the log.
    pub waypoints: Vec<Waypoint>,
}

/// The whole index file.
#[must_use]
pub fn encode(summary: &Summary, body: &Body) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut first_run = 0u32;
    for (shard, runs) in &body.shards {
        tail.extend_from_slice(&shard.to_le_bytes());
        tail.extend_from_slice(&first_run.to_le_bytes());
        tail.extend_from_slice(&u32_of(runs.len()).to_le_bytes());
        tail.extend_from_slice(&[0; 12]);
        first_run += u32_of(runs.len());
    }
    for waypoint in &body.waypoints {
        tail.extend_from_slice(&waypoint.offset.to_le_bytes());
        tail.extend_from_slice(&[0; 4]);
        tail.extend_from_slice(&waypoint.sequence.to_le_bytes());
        tail.extend_from_slice(&waypoint.arrival_ms.to_le_bytes());
    }
    for place in body.shards.iter().flat_map(|(_, runs)| runs) {
        tail.extend_from_slice(&place.frame.to_le_bytes());
        tail.extend_from_slice(&place.run.to_le_bytes());
    }
    let counts = [u32_of(body.shards.len()), u32_of(body.waypoints.len()), first_run, crc32c(&tail)];
    let mut bytes = encode_header(summary, counts);
    bytes.extend_from_slice(&tail);
    bytes
}

fn encode_header(summary: &Summary, counts: [u32; 4]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(INDEX_HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&summary.segment.to_le_bytes());
    bytes.extend_from_slice(&summary.incarnation.to_le_bytes());
    bytes.extend_from_slice(&summary.end.to_le_bytes());
    bytes.extend_from_slice(&summary.last_checksum.to_le_bytes());
    for word in [
        summary.first_sequence,
        summary.next_sequence,
        summary.first_arrival_ms,
        summary.last_arrival_ms,
        summary.records,
        summary.frames,
    ] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for count in counts {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    bytes.extend_from_slice(&summary.previous_end.pack().to_le_bytes());
    for word in summary.presence.0 {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.resize(INDEX_HEADER_BYTES - 4, 0);
    bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads the header of an index file; the error says whether it is damaged or of a newer version.
pub fn decode_summary(bytes: &[u8]) -> Result<Summary> {
    decode_header(bytes).map(|(summary, _)| summary)
}

fn damaged() -> Error {
    Error::new(Kind::Corrupt, "expected the index of a segment, found other or damaged bytes")
}

fn decode_header(bytes: &[u8]) -> Result<(Summary, [u32; 4])> {
    let header = bytes.get(..INDEX_HEADER_BYTES).ok_or_else(damaged)?;
    let (covered, sum) = header.split_at(INDEX_HEADER_BYTES - 4);
    if crc32c(covered).to_le_bytes() != sum {
        return Err(damaged());
    }
    let mut cursor = Cursor(covered);
    if cursor.array::<8>() != Some(MAGIC) {
        return Err(damaged());
    }
    let version = cursor.u16().ok_or_else(damaged)?;
    if version > FORMAT_VERSION {
        let message = format!(
            "this build reads indexes up to version {FORMAT_VERSION}, found version {version}; upgrade Millrace"
        );
        return Err(Error::new(Kind::FormatNewer, message));
    }
    decode_fields(&mut cursor).ok_or_else(damaged)
}

fn decode_fields(cursor: &mut Cursor<'_>) -> Option<(Summary, [u32; 4])> {
    let reserved = cursor.u16()?;
    let mut summary = Summary {
        segment: cursor.u32()?,
        incarnation: cursor.u64()?,
        previous_end: Position::default(),
        end: cursor.u32()?,
        last_checksum: cursor.u32()?,
        first_sequence: cursor.u64()?,
        next_sequence: cursor.u64()?,
        first_arrival_ms: cursor.u64()?,
        last_arrival_ms: cursor.u64()?,
        records: cursor.u64()?,
        frames: cursor.u64()?,
        presence: Presence::default(),
    };
    let counts = [cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?];
    summary.previous_end = Position::unpack(cursor.u64()?);
    for word in &mut summary.presence.0 {
        *word = cursor.u64()?;
    }
    let unused_is_zero = reserved == 0 && cursor.0.iter().all(|byte| *byte == 0);
    (unused_is_zero && summary.is_within_limits()).then_some((summary, counts))
}

/// Reads a whole index file.
pub fn decode(bytes: &[u8]) -> Result<(Summary, Body)> {
    decode_of(bytes, |_shard| true)
}

/// Reads an index file with the runs of some shards only; the others are listed without any. A segment of a thousand
/// shards has so many runs that their lists cost more than the walk through one shard's records.
pub fn decode_of(bytes: &[u8], wanted: impl Fn(u32) -> bool) -> Result<(Summary, Body)> {
    let (summary, [shards, waypoints, runs, sum]) = decode_header(bytes)?;
    let tail = &bytes[INDEX_HEADER_BYTES..];
    let expected = u64::from(shards) * SHARD_BYTES as u64
        + u64::from(waypoints) * WAYPOINT_ENTRY_BYTES as u64
        + u64::from(runs) * RUN_BYTES as u64;
    if tail.len() as u64 != expected || crc32c(tail) != sum {
        return Err(damaged());
    }
    let body = decode_body(tail, shards as usize, waypoints as usize, wanted).ok_or_else(damaged)?;
    Ok((summary, body))
}

/// Strict, so that a body is read in one way only: the shards in order, each with the runs right behind those of the
/// one before. So no run is listed twice either, and a body takes no more memory than its bytes allow.
fn decode_body(tail: &[u8], shards: usize, waypoints: usize, wanted: impl Fn(u32) -> bool) -> Option<Body> {
    let (directory, rest) = tail.split_at_checked(shards * SHARD_BYTES)?;
    let (way, mut runs) = rest.split_at_checked(waypoints * WAYPOINT_ENTRY_BYTES)?;
    let mut body = Body::default();
    let mut next_run = 0;
    for entry in directory.chunks_exact(SHARD_BYTES) {
        let mut cursor = Cursor(entry);
        let (shard, first_run, count) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let ascends = body.shards.last().is_none_or(|(before, _)| *before < shard);
        if !ascends || first_run != next_run || cursor.array::<12>()? != [0; 12] {
            return None;
        }
        next_run = first_run.checked_add(count)?;
        let (places, others) = runs.split_at_checked((count as usize).checked_mul(RUN_BYTES)?)?;
        runs = others;
        let places = if wanted(shard) { places } else { &[] };
        let places = places.chunks_exact(RUN_BYTES).map(|place| {
            let mut cursor = Cursor(place);
            Some(RunPlace { frame: cursor.u32()?, run: cursor.u32()? })
        });
        body.shards.push((shard, places.collect::<Option<Vec<_>>>()?));
    }
    for entry in way.chunks_exact(WAYPOINT_ENTRY_BYTES) {
        let mut cursor = Cursor(entry);
        let (offset, reserved) = (cursor.u32()?, cursor.u32()?);
        if reserved != 0 || body.waypoints.last().is_some_and(|before| before.offset >= offset) {
            return None;
        }
        body.waypoints.push(Waypoint { offset, sequence: cursor.u64()?, arrival_ms: cursor.u64()? });
    }
    runs.is_empty().then_some(body)
}

#[cfg(test)]
mod tests {
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
        };
        (summary, body)
    }

    #[test]
    fn an_index_round_trips() {
        let (summary, body) = sample();
        let bytes = encode(&summary, &body);
        assert_eq!(decode(&bytes).ok(), Some((summary, body)));
        assert_eq!(decode_summary(&bytes[..INDEX_HEADER_BYTES]).ok(), Some(summary));
        assert!(summary.presence.may_hold(2047) && !summary.presence.may_hold(2));
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
        let (summary, body) = sample();
        let bytes = encode(&summary, &body);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
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

    /// The sample with other bytes at `at` of its body, and right checksums over them.
    fn forged(at: usize, value: u32) -> Vec<u8> {
        let (summary, body) = sample();
        let mut bytes = encode(&summary, &body);
        bytes[INDEX_HEADER_BYTES + at..][..4].copy_from_slice(&value.to_le_bytes());
        let counts = [2, 1, 3, crc32c(&bytes[INDEX_HEADER_BYTES..])];
        let header = encode_header(&summary, counts);
        bytes[..INDEX_HEADER_BYTES].copy_from_slice(&header);
        bytes
    }

    #[test]
    fn an_index_that_lists_runs_twice_or_out_of_order_is_damage_though_its_checksums_are_right() {
        assert!(decode(&forged(0, 1)).is_ok(), "forging alone changes nothing");
        let second = SHARD_BYTES;
        let absurd = [
            ("runs that another shard has too", second + 4, 1),
            ("runs behind a gap", second + 4, 3),
            ("fewer runs than there are", second + 8, 0),
            ("more runs than there are", second + 8, u32::MAX),
            ("a shard before its place", second, 0),
            ("a shard twice", second, 1),
            ("reserved bytes in use", 12, 1),
            ("a waypoint's reserved bytes in use", 2 * SHARD_BYTES + 4, 1),
        ];
        for (what, at, value) in absurd {
            let error = decode(&forged(at, value)).expect_err(what);
            assert_eq!(error.kind(), Kind::Corrupt, "{what}");
        }
    }
}
