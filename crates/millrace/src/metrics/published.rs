//! What a store's streams tell of themselves, in a file that other processes read.
//!
//! ```text
//! 0       8         12       16         20      24                 24 + length
//! | magic | version | length | checksum | 0     | JSON (UTF-8)     |
//! ```
//! All numbers are little endian; the checksum is the CRC-32C of the JSON. The file is written over in place, about once a
//! second while something happens, and never synced: a reader that comes in between finds a checksum that does not fit, and
//! looks again. Figures are no promise: a file that is damaged or foreign is as good as none.
//!
//! It names the process that wrote it as `LOCK` names the holder, so that what a dead process left is not taken for
//! figures of the present.

use serde::{Deserialize, Serialize};

use super::report::StreamMetrics;
use crate::format::checksum::crc32c;
use crate::format::u32_of;

/// The name of the file in the store's directory.
pub(crate) const METRICS: &str = "METRICS";
/// The longest file that is read, in bytes.
pub(crate) const PUBLISHED_BYTES_MAX: usize = HEADER_BYTES + JSON_BYTES_MAX;

const MAGIC: [u8; 8] = *b"MILLMETR";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const JSON_BYTES_MAX: usize = 8 << 20;
/// So many shards of a stream are published, those with the most load: a stream of 10,000 would fill a megabyte a second.
const SHARDS_MAX: usize = 64;

/// The figures of a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The process that has the store open.
    pub pid: u32,
    /// Since when, as `LOCK` has it.
    pub since: String,
    /// When this was written, in milliseconds since 1970.
    pub written_ms: u64,
    /// Its streams in use.
    pub streams: Vec<StreamMetrics>,
}

impl Published {
    /// The bytes of the file; the streams that come last are left out where they would be too many.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut shown = self.clone();
        shown.streams.iter_mut().for_each(keep_the_busiest);
        loop {
            let json = serde_json::to_vec(&shown).expect("plain values are always JSON");
            if json.len() <= JSON_BYTES_MAX {
                return framed(&json);
            }
            shown.streams.truncate(shown.streams.len() / 2);
        }
    }

    /// What the bytes of the file say; `None` where they are not whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Published> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let json = rest.get(..usize::try_from(word(12)?).ok()?)?;
        let is_whole = header.starts_with(&MAGIC) && word(8)? == VERSION && word(20)? == 0 && word(16)? == crc32c(json);
        if !is_whole || json.len() > JSON_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

pub(crate) fn framed(json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len());
    bytes.extend_from_slice(&MAGIC);
    for word in [VERSION, u32_of(json.len()), crc32c(json), 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(json);
    bytes
}

/// Leaves the shards with the most load, in the order of their numbers.
fn keep_the_busiest(stream: &mut StreamMetrics) {
    if stream.shards.len() <= SHARDS_MAX {
        return;
    }
    let passed = |shard: &super::report::ShardMetrics| shard.incoming.minute.bytes + shard.outgoing.minute.bytes;
    stream.shards.sort_by(|left, right| passed(right).total_cmp(&passed(left)));
    stream.shards.truncate(SHARDS_MAX);
    stream.shards.sort_by_key(|shard| shard.shard);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::report::ShardMetrics;

    fn published(shards: u32) -> Published {
        let shard = |shard: u32| {
            let mut metrics = ShardMetrics { shard, open: true, ..ShardMetrics::default() };
            metrics.incoming.minute.bytes = f64::from(shard % 100);
            metrics
        };
        let stream =
            StreamMetrics { stream: "clicks".into(), shards: (0..shards).map(shard).collect(), ..Default::default() };
        Published { pid: 7, since: "2026-01-01T00:00:00.000Z".into(), written_ms: 8, streams: vec![stream] }
    }

    #[test]
    fn what_is_written_is_read_and_what_lies_behind_it_does_not_matter() {
        let mut bytes = published(3).encode();
        assert_eq!(Published::decode(&bytes), Some(published(3)));
        bytes.extend_from_slice(b"what a longer text left");
        assert_eq!(Published::decode(&bytes), Some(published(3)));
    }

    #[test]
    fn every_bit_and_every_length_that_is_not_as_written_is_noticed() {
        let whole = published(1).encode();
        for length in 0..whole.len() {
            assert_eq!(Published::decode(&whole[..length]), None, "cut to {length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Published::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn of_many_shards_the_busiest_are_shown() {
        let shown = Published::decode(&published(1_000).encode()).expect("whole");
        let shards = &shown.streams[0].shards;
        assert_eq!(shards.len(), SHARDS_MAX);
        assert!(shards.is_sorted_by_key(|shard| shard.shard) && shards.iter().all(|shard| shard.shard % 100 >= 93));
    }

    #[test]
    fn text_that_is_no_figures_is_none() {
        assert_eq!(Published::decode(&framed(b"[1, 2")), None);
        assert_eq!(Published::decode(&framed(b"7")), None);
        assert_eq!(Published::decode(&framed(b"{}")), None, "nothing is left out");
    }
}
