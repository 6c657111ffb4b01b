//! The body of a described index: what each shard's runs are. Shard directory, waypoints and each shard's runs have
//! checksums of their own, so that the reader of one shard reads and verifies no more than those.

use std::ops::Range;

use super::{
    Body, Cursor, DAMAGED, DESCRIBED, INDEX_HEADER_BYTES, RunDetail, RunPlace, SHARD_BYTES, ShardRuns, Summary,
    Waypoint, damaged, decode_header, decode_waypoints, u32_of,
};
use crate::error::Result;
use crate::format::SEQUENCE_LIMIT;
use crate::format::checksum::crc32c;

/// The length of a run's entry in bytes.
pub(super) const RUN_BYTES: usize = 28;

/// The runs, each with its frame by the number of the frame's waypoint.
pub(super) fn encode_runs(body: &Body, out: &mut Vec<u8>) {
    let places = body.shards.iter().flat_map(|(_, places)| places);
    for (place, detail) in places.zip(&body.details) {
        let frame = body.waypoints.binary_search_by_key(&place.frame, |waypoint| waypoint.offset);
        let frame = frame.expect("each frame is a waypoint");
        let delta = u32::try_from(detail.first_sequence - body.waypoints[frame].sequence);
        let words = [
            u32_of(frame),
            place.run,
            detail.payload - place.frame,
            detail.payload_bytes,
            detail.records,
            delta.expect("a frame holds fewer records than 32 bits count"),
            detail.checksum,
        ];
        let mut entry = [0; RUN_BYTES];
        for (bytes, word) in entry.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        out.extend_from_slice(&entry);
    }
}

/// One shard in the directory.
#[derive(Clone, Copy, Debug)]
struct ShardEntry {
    shard: u32,
    runs: u32,
    checksum: u32,
    // Where its runs begin, in bytes behind the first one's.
    offset: usize,
}

/// What a described index says before its runs.
#[derive(Clone, Debug)]
pub struct Directory {
    /// What is known of the segment as a whole.
    pub summary: Summary,
    /// All frames, in the order of the log.
    pub waypoints: Vec<Waypoint>,
    shards: Vec<ShardEntry>,
    // Where the runs begin in the file.
    runs_at: usize,
}

impl Directory {
    /// How many bytes of the file [`Directory::decode`] wants, by the file's header; `None` for a plain index.
    ///
    /// # Errors
    /// `Corrupt` where the header is damaged, `FormatNewer` where a newer version wrote it.
    pub fn bytes_of(header: &[u8]) -> Result<Option<usize>> {
        let (_summary, layout) = decode_header(header)?;
        let bytes = (layout.version == DESCRIBED).then(|| usize::try_from(layout.directory_bytes()));
        bytes.transpose().map_err(|_| damaged())
    }

    /// Reads the index up to its runs; `bytes` begin with the file and may go on behind them.
    ///
    /// # Errors
    /// `Corrupt`, `FormatNewer`.
    pub fn decode(bytes: &[u8]) -> Result<Directory> {
        let (summary, layout) = decode_header(bytes)?;
        let end = usize::try_from(layout.directory_bytes()).map_err(|_| damaged())?;
        let covered = bytes.get(INDEX_HEADER_BYTES..end).filter(|covered| crc32c(covered) == layout.directory_checksum);
        let (shards, waypoints) =
            covered.ok_or_else(damaged)?.split_at_checked(layout.shards as usize * SHARD_BYTES).ok_or_else(damaged)?;
        let shards = decode_shards(shards, layout.runs).ok_or_else(damaged)?;
        let waypoints = decode_waypoints(waypoints).ok_or_else(damaged)?;
        Ok(Directory { summary, waypoints, shards, runs_at: end })
    }

    /// Where the runs of a shard stand in the file; an empty range where it has none.
    #[must_use]
    pub fn runs_of(&self, shard: u32) -> Range<usize> {
        self.entry(shard).map_or(0..0, |entry| self.range(entry))
    }

    /// Reads the runs of a shard out of the bytes that stand there.
    ///
    /// # Errors
    /// `Corrupt` where they are not what was written.
    pub fn decode_runs(&self, shard: u32, bytes: &[u8]) -> Result<ShardRuns> {
        self.entry(shard).map_or(Ok(ShardRuns::default()), |entry| self.decode_entry(entry, bytes))
    }

    fn entry(&self, shard: u32) -> Option<&ShardEntry> {
        self.shards.binary_search_by_key(&shard, |entry| entry.shard).ok().and_then(|at| self.shards.get(at))
    }

    fn range(&self, entry: &ShardEntry) -> Range<usize> {
        let start = self.runs_at + entry.offset;
        start..start + entry.runs as usize * RUN_BYTES
    }

    fn decode_entry(&self, entry: &ShardEntry, bytes: &[u8]) -> Result<ShardRuns> {
        if bytes.len() != entry.runs as usize * RUN_BYTES || crc32c(bytes) != entry.checksum {
            return Err(damaged());
        }
        let mut runs = ShardRuns::default();
        for entry in bytes.chunks_exact(RUN_BYTES) {
            let (place, detail) = self.decode_run(entry).ok_or_else(damaged)?;
            let ascends = runs.places.last().is_none_or(|last| (last.frame, last.run) < (place.frame, place.run));
            if !ascends {
                return Err(damaged());
            }
            runs.places.push(place);
            runs.details.push(detail);
        }
        Ok(runs)
    }

    /// `None` where the run does not lie in the segment, or its sequences beyond those that there are.
    fn decode_run(&self, entry: &[u8]) -> Option<(RunPlace, RunDetail)> {
        let mut cursor = Cursor(entry);
        let frame = self.waypoints.get(cursor.u32()? as usize)?;
        let place = RunPlace { frame: frame.offset, run: cursor.u32()? };
        let payload = frame.offset.checked_add(cursor.u32()?)?;
        let (payload_bytes, records, delta) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let first_sequence = frame.sequence.checked_add(delta.into())?;
        first_sequence.checked_add(records.into()).filter(|next| *next <= SEQUENCE_LIMIT)?;
        payload.checked_add(payload_bytes).filter(|end| *end <= self.summary.end)?;
        let arrival_ms = frame.arrival_ms;
        let detail = RunDetail { first_sequence, arrival_ms, payload, payload_bytes, records, checksum: cursor.u32()? };
        Some((place, detail))
    }
}

/// Strict: the shards in order, each with runs, which stand right behind those of the one before. Damage is listed in
/// plain indexes alone.
fn decode_shards(bytes: &[u8], runs: u32) -> Option<Vec<ShardEntry>> {
    let mut shards: Vec<ShardEntry> = Vec::with_capacity(bytes.len() / SHARD_BYTES);
    let mut next_run = 0u32;
    for entry in bytes.chunks_exact(SHARD_BYTES) {
        let mut cursor = Cursor(entry);
        let (shard, first_run, count, checksum) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let ascends = shards.last().is_none_or(|before| before.shard < shard) && shard != DAMAGED;
        if !ascends || first_run != next_run || count == 0 || cursor.array::<8>()? != [0; 8] {
            return None;
        }
        next_run = first_run.checked_add(count)?;
        let offset = (first_run as usize).checked_mul(RUN_BYTES)?;
        shards.push(ShardEntry { shard, runs: count, checksum, offset });
    }
    (next_run == runs && runs > 0).then_some(shards)
}

/// The body of a whole file whose length and checksum are right.
pub(super) fn decode_body(file: &[u8], wanted: impl Fn(u32) -> bool) -> Result<Body> {
    let directory = Directory::decode(file)?;
    let mut body = Body::default();
    for entry in &directory.shards {
        let bytes = file.get(directory.range(entry)).ok_or_else(damaged)?;
        let runs = if wanted(entry.shard) { directory.decode_entry(entry, bytes)? } else { ShardRuns::default() };
        body.shards.push((entry.shard, runs.places));
        body.details.extend(runs.details);
    }
    body.waypoints = directory.waypoints;
    Ok(body)
}
