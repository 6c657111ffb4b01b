//! The body of a plain index: where each shard's runs stand.

use super::{Body, Cursor, RunPlace, SHARD_BYTES, WAYPOINT_ENTRY_BYTES, decode_waypoints};

/// The length of a run's entry in bytes.
pub(super) const RUN_BYTES: usize = 8;

pub(super) fn encode_runs(body: &Body, out: &mut Vec<u8>) {
    for place in body.shards.iter().flat_map(|(_, places)| places) {
        out.extend_from_slice(&place.frame.to_le_bytes());
        out.extend_from_slice(&place.run.to_le_bytes());
    }
}

/// Strict, so that a body is read in one way only: the shards in order, each with the runs right behind those of the
/// one before. So no run is listed twice either, and a body takes no more memory than its bytes allow.
pub(super) fn decode_body(tail: &[u8], shards: usize, waypoints: usize, wanted: impl Fn(u32) -> bool) -> Option<Body> {
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
    body.waypoints = decode_waypoints(way)?;
    runs.is_empty().then_some(body)
}
