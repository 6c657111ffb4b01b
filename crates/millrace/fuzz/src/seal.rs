//! Right checksums over content that no writer makes: what an attacker, or a defect of ours, can put on disk.

use millrace::format::checksum::{crc32c, seed};
use millrace::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES};
use millrace::format::index::INDEX_HEADER_BYTES;

/// Where a segment header's checksum stands: behind all its fields.
const SEGMENT_SUM_AT: usize = 68;
/// The version of an index that describes its runs.
pub const DESCRIBED: [u8; 2] = [2, 0];
/// How long a run of such an index is, in bytes.
pub const DESCRIBED_RUN_BYTES: usize = 28;

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    usize::try_from(word).ok()
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(slot) = bytes.get_mut(at..at + 4) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}

/// Makes the checksums of a frame at `offset` right, as far as its own lengths stay within `bytes`; magic too.
pub fn seal_frame(bytes: &mut [u8], incarnation: u64, offset: u32) {
    let seed = seed(incarnation, offset);
    let Some(runs) = word(bytes, 12) else { return };
    let head_bytes = runs.saturating_mul(RUN_ENTRY_BYTES).saturating_add(FRAME_HEADER_BYTES);
    if head_bytes > bytes.len() {
        return;
    }
    bytes[4..8].copy_from_slice(b"MRF0");
    for entry in (FRAME_HEADER_BYTES..head_bytes).step_by(RUN_ENTRY_BYTES) {
        let (Some(start), Some(length)) = (word(bytes, entry + 12), word(bytes, entry + 16)) else { return };
        if let Some(payload) = bytes.get(start..start.saturating_add(length)) {
            let sum = crc32c(payload);
            put(bytes, entry, sum ^ seed);
        }
    }
    let sum = crc32c(&bytes[4..head_bytes]) ^ seed;
    put(bytes, 0, sum);
}

/// Makes magic and checksum of a segment's header page right.
pub fn seal_segment_header(page: &mut [u8]) {
    if page.len() < SEGMENT_SUM_AT + 4 {
        return;
    }
    page[..8].copy_from_slice(b"MILLSEG\0");
    let sum = crc32c(&page[..SEGMENT_SUM_AT]);
    put(page, SEGMENT_SUM_AT, sum);
}

/// Makes magic and all checksums of an index right; those of a described one as far as its counts fit its length.
pub fn seal_index(bytes: &mut [u8]) {
    if bytes.len() < INDEX_HEADER_BYTES {
        return;
    }
    bytes[..8].copy_from_slice(b"MILLIDX\0");
    if bytes[8..10] == DESCRIBED {
        let _unfit = seal_directory(bytes);
    }
    let body = crc32c(&bytes[INDEX_HEADER_BYTES..]);
    put(bytes, 92, body);
    let sum = crc32c(&bytes[..INDEX_HEADER_BYTES - 4]);
    put(bytes, INDEX_HEADER_BYTES - 4, sum);
}

/// Makes the checksums of a described index's shards and directory right; `None` where its counts do not fit.
fn seal_directory(bytes: &mut [u8]) -> Option<()> {
    let shards_end = word(bytes, 80)?.checked_mul(24)?.checked_add(INDEX_HEADER_BYTES)?;
    let runs_at = word(bytes, 84)?.checked_mul(24)?.checked_add(shards_end)?;
    bytes.get(..runs_at)?;
    for entry in (INDEX_HEADER_BYTES..shards_end).step_by(24) {
        let (first, count) = (word(bytes, entry + 4)?, word(bytes, entry + 8)?);
        let start = first.checked_mul(DESCRIBED_RUN_BYTES)?.checked_add(runs_at)?;
        let runs = bytes.get(start..start.checked_add(count.checked_mul(DESCRIBED_RUN_BYTES)?)?);
        if let Some(sum) = runs.map(crc32c) {
            put(bytes, entry + 12, sum);
        }
    }
    let sum = crc32c(&bytes[INDEX_HEADER_BYTES..runs_at]);
    put(bytes, 360, sum);
    Some(())
}
