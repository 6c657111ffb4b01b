//! The index of a sealed segment: a file of its own beside the segment, written once, replaceable by a scan.
//!
//! ```text
//! 0        384              …                  …
//! | header | shard directory | waypoints         | runs, shard by shard   |
//!            24 B a shard      24 B each           8 or 28 B a run
//! ```
//! The header alone answers what opening a log asks; the body serves seeks and the readers of one shard. There are two
//! kinds of body. A **plain** one (version 1) says where runs stand. A **described** one (version 2) is for segments
//! whose frames have many runs, and says of each run all that its frame would: a reader of one shard in a thousand reads
//! its own part of the index and its own payloads, and no frame's head of a thousand entries.

use super::checksum::crc32c;
use super::segment::SEGMENT_HEADER_BYTES;
use super::{Cursor, Position, SEGMENT_BYTES_LIMIT, SEGMENT_NUMBER_LIMIT, SEQUENCE_LIMIT, u32_of};
use crate::error::{Error, Kind, Result};

pub use described::Directory;

mod described;
mod plain;

/// The length of the header in bytes.
pub const INDEX_HEADER_BYTES: usize = 384;
/// A waypoint stands at least this far behind the one before it, in bytes of log.
pub const WAYPOINT_BYTES: u32 = 64 << 10;
/// The newest version of an index that this build reads; it writes this one and the one before.
pub const INDEX_VERSION: u16 = DESCRIBED;
/// An index is described where its frames have at least so many runs on average: with fewer, a frame's head costs its
/// reader less than what the descriptions would take on disk.
const DESCRIBED_RUNS_A_FRAME: u64 = 8;
const PLAIN: u16 = 1;
const DESCRIBED: u16 = 2;
const MAGIC: [u8; 8] = *b"MILLIDX\0";
const PRESENCE_WORDS: usize = 32;
const SHARD_BYTES: usize = 24;
const WAYPOINT_ENTRY_BYTES: usize = 24;

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

/// What a run is: all that its frame would say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunDetail {
    /// The sequence of its first record.
    pub first_sequence: u64,
    /// When it arrived, in milliseconds since 1970.
    pub arrival_ms: u64,
    /// Where its payload starts in the segment.
    pub payload: u32,
    /// The payload's length in bytes.
    pub payload_bytes: u32,
    /// How many records it holds.
    pub records: u32,
    /// CRC32C of the payload.
    pub checksum: u32,
}

/// The runs of some shards: where they stand, and what they are where the index says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardRuns {
    /// In the order of the log.
    pub places: Vec<RunPlace>,
    /// As many in the same order; none from a plain index.
    pub details: Vec<RunDetail>,
}

/// The body of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Each shard with its runs, by shard number.
    pub shards: Vec<(u32, Vec<RunPlace>)>,
    /// Waypoints in the order of the log; each frame is one where runs are described.
    pub waypoints: Vec<Waypoint>,
    /// What the runs are, shard by shard; none: the index is a plain one.
    pub details: Vec<RunDetail>,
}

impl Body {
    /// This body as it is written for a segment of so many frames: plain where descriptions do not pay, or where damage
    /// has to be told of.
    #[must_use]
    pub fn fitted(self, frames: u64) -> Body {
        let runs = self.details.len() as u64;
        let is_damaged = self.shards.iter().any(|(shard, _)| *shard == DAMAGED);
        if is_damaged || runs == 0 || runs < frames * DESCRIBED_RUNS_A_FRAME { self.plain() } else { self }
    }

    /// The same without descriptions, and with a waypoint each [`WAYPOINT_BYTES`].
    #[must_use]
    pub fn plain(mut self) -> Body {
        self.details = Vec::new();
        let mut last: Option<u32> = None;
        self.waypoints.retain(|waypoint| {
            let is_far = last.is_none_or(|last| waypoint.offset - last >= WAYPOINT_BYTES);
            last = if is_far { Some(waypoint.offset) } else { last };
            is_far
        });
        self
    }

    /// Whether this is what a segment's index may say, of which `rebuilt` was made now: an index of an older version is
    /// a plain one.
    #[must_use]
    pub fn agrees_with(&self, rebuilt: Body) -> bool {
        *self == rebuilt || (self.details.is_empty() && *self == rebuilt.plain())
    }
}

/// The header's fields that say how the body is to be read.
#[derive(Clone, Copy, Debug)]
struct Layout {
    version: u16,
    shards: u32,
    waypoints: u32,
    runs: u32,
    body_checksum: u32,
    // Of shard directory and waypoints; 0 in a plain index.
    directory_checksum: u32,
}

impl Layout {
    /// The length of header, shard directory and waypoints in bytes.
    fn directory_bytes(&self) -> u64 {
        let shards = u64::from(self.shards) * SHARD_BYTES as u64;
        INDEX_HEADER_BYTES as u64 + shards + u64::from(self.waypoints) * WAYPOINT_ENTRY_BYTES as u64
    }

    fn run_bytes(&self) -> usize {
        if self.version == DESCRIBED { described::RUN_BYTES } else { plain::RUN_BYTES }
    }
}

/// The whole index file.
#[must_use]
pub fn encode(summary: &Summary, body: &Body) -> Vec<u8> {
    let runs = body.shards.iter().map(|(_, runs)| runs.len()).sum();
    let is_described = !body.details.is_empty();
    assert!(!is_described || body.details.len() == runs, "all runs are described, or none");
    let mut layout = Layout {
        version: if is_described { DESCRIBED } else { PLAIN },
        shards: u32_of(body.shards.len()),
        waypoints: u32_of(body.waypoints.len()),
        runs: u32_of(runs),
        body_checksum: 0,
        directory_checksum: 0,
    };
    let directory_end = usize::try_from(layout.directory_bytes()).expect("an index fits memory");
    let mut bytes = vec![0; directory_end];
    bytes.reserve(runs * layout.run_bytes());
    if is_described {
        described::encode_runs(body, &mut bytes);
    } else {
        plain::encode_runs(body, &mut bytes);
    }
    let (head, runs) = bytes.split_at_mut(directory_end);
    let (shards, waypoints) = head[INDEX_HEADER_BYTES..].split_at_mut(body.shards.len() * SHARD_BYTES);
    encode_shards(body, is_described.then_some(&*runs), shards);
    encode_waypoints(&body.waypoints, waypoints);
    if is_described {
        layout.directory_checksum = crc32c(&bytes[INDEX_HEADER_BYTES..directory_end]);
    }
    layout.body_checksum = crc32c(&bytes[INDEX_HEADER_BYTES..]);
    bytes[..INDEX_HEADER_BYTES].copy_from_slice(&encode_header(summary, layout));
    bytes
}

/// The shard directory; with the described runs, each shard's checksum over its own.
fn encode_shards(body: &Body, described: Option<&[u8]>, out: &mut [u8]) {
    let mut first_run = 0;
    for ((shard, places), entry) in body.shards.iter().zip(out.as_chunks_mut::<SHARD_BYTES>().0) {
        let next_run = first_run + places.len();
        entry[0..4].copy_from_slice(&shard.to_le_bytes());
        entry[4..8].copy_from_slice(&u32_of(first_run).to_le_bytes());
        entry[8..12].copy_from_slice(&u32_of(places.len()).to_le_bytes());
        if let Some(runs) = described {
            let own = first_run * described::RUN_BYTES..next_run * described::RUN_BYTES;
            entry[12..16].copy_from_slice(&crc32c(&runs[own]).to_le_bytes());
        }
        first_run = next_run;
    }
}

fn encode_waypoints(waypoints: &[Waypoint], out: &mut [u8]) {
    for (waypoint, entry) in waypoints.iter().zip(out.as_chunks_mut::<WAYPOINT_ENTRY_BYTES>().0) {
        entry[0..4].copy_from_slice(&waypoint.offset.to_le_bytes());
        entry[8..16].copy_from_slice(&waypoint.sequence.to_le_bytes());
        entry[16..24].copy_from_slice(&waypoint.arrival_ms.to_le_bytes());
    }
}

fn encode_header(summary: &Summary, layout: Layout) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(INDEX_HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&layout.version.to_le_bytes());
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
    for word in [layout.shards, layout.waypoints, layout.runs, layout.body_checksum] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&summary.previous_end.pack().to_le_bytes());
    for word in summary.presence.0 {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&layout.directory_checksum.to_le_bytes());
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

fn decode_header(bytes: &[u8]) -> Result<(Summary, Layout)> {
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
    if version > INDEX_VERSION {
        let message = format!(
            "this build reads indexes up to version {INDEX_VERSION}, found version {version}; upgrade Millrace"
        );
        return Err(Error::new(Kind::FormatNewer, message));
    }
    decode_fields(&mut cursor, version).ok_or_else(damaged)
}

fn decode_fields(cursor: &mut Cursor<'_>, version: u16) -> Option<(Summary, Layout)> {
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
    let (shards, waypoints, runs, body_checksum) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?);
    summary.previous_end = Position::unpack(cursor.u64()?);
    for word in &mut summary.presence.0 {
        *word = cursor.u64()?;
    }
    let directory_checksum = if version == DESCRIBED { cursor.u32()? } else { 0 };
    let layout = Layout { version, shards, waypoints, runs, body_checksum, directory_checksum };
    let unused_is_zero = reserved == 0 && cursor.0.iter().all(|byte| *byte == 0);
    (unused_is_zero && summary.is_within_limits()).then_some((summary, layout))
}

/// Reads a whole index file.
pub fn decode(bytes: &[u8]) -> Result<(Summary, Body)> {
    decode_of(bytes, |_shard| true)
}

/// Reads an index file with the runs of some shards only; the others are listed without any. A segment of a thousand
/// shards has so many runs that their lists cost more than the walk through one shard's records.
pub fn decode_of(bytes: &[u8], wanted: impl Fn(u32) -> bool) -> Result<(Summary, Body)> {
    let (summary, layout) = decode_header(bytes)?;
    let tail = &bytes[INDEX_HEADER_BYTES..];
    let expected = layout.directory_bytes() + u64::from(layout.runs) * layout.run_bytes() as u64;
    if bytes.len() as u64 != expected || crc32c(tail) != layout.body_checksum {
        return Err(damaged());
    }
    let body = if layout.version == DESCRIBED {
        described::decode_body(bytes, wanted)?
    } else {
        let (shards, waypoints) = (layout.shards as usize, layout.waypoints as usize);
        plain::decode_body(tail, shards, waypoints, wanted).ok_or_else(damaged)?
    };
    Ok((summary, body))
}

fn decode_waypoints(bytes: &[u8]) -> Option<Vec<Waypoint>> {
    let mut waypoints: Vec<Waypoint> = Vec::with_capacity(bytes.len() / WAYPOINT_ENTRY_BYTES);
    for entry in bytes.chunks_exact(WAYPOINT_ENTRY_BYTES) {
        let mut cursor = Cursor(entry);
        let (offset, reserved) = (cursor.u32()?, cursor.u32()?);
        if reserved != 0 || waypoints.last().is_some_and(|before| before.offset >= offset) {
            return None;
        }
        waypoints.push(Waypoint { offset, sequence: cursor.u64()?, arrival_ms: cursor.u64()? });
    }
    Some(waypoints)
}

#[cfg(test)]
mod tests;
