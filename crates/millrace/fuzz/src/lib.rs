//! What the fuzz targets share: values that break things, a bound on memory, and right checksums over wrong content.

mod commands;
mod drive;
mod forge;
mod memory;
mod seal;
mod source;
mod thin;

pub use commands::command;
pub use drive::{Files, drive_store, shard_entries};
pub use forge::{Chain, Forged, Run};
pub use memory::bounded;
pub use seal::{DESCRIBED, DESCRIBED_RUN_BYTES, seal_frame, seal_index, seal_segment_header};
pub use source::Source;
pub use thin::{NOW_MS, environment, scratch};

use millrace::Kind;

/// Flips one bit, chosen by `choice`, and returns which.
pub fn flip(bytes: &mut [u8], choice: u32) -> usize {
    let bit = choice as usize % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bit
}

/// An error that bytes from outside may lead to. `Internal` is a defect by its own words.
pub fn assert_judged(kind: Kind, allowed: &[Kind]) {
    assert!(allowed.contains(&kind), "{kind:?} says nothing of bytes that were decoded");
}
