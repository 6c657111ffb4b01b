//! One small record on its own, as a program appends it that cares for the moment: there is nothing to group and
//! nothing to hash side by side, so its frame is laid out at once, and what a packer keeps for thousands of records stays
//! out of the processor's caches. The frame is the one that a packer would make.

use super::pack::{Checked, Limits};
use super::staged::Staged;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES, RunKind};
use crate::log::draft::FrameDraft;
use crate::shard::{HashKey, ShardId, ShardMap};

/// A record that takes more than this is packed, in bytes: to copy it costs more than all else then.
pub(super) const SINGLE_BYTES_MAX: usize = 2048;

/// A record whose frame is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single {
    pub shard: ShardId,
    /// The bytes of its key and data.
    pub bytes: u64,
    /// Where it belongs, if that was asked for.
    hash: Option<HashKey>,
}

impl Single {
    /// Where the record with this partition key belongs.
    pub fn hash(&self, key: &[u8]) -> HashKey {
        self.hash.unwrap_or_else(|| HashKey::of_key(key))
    }
}

/// Lays out in `draft` the frame of a batch of one record.
pub(super) fn load(draft: &mut FrameDraft, batch: Staged<'_>, bytes_max: u32, map: &ShardMap) -> Result<Single> {
    let (record, explicit) = Checked::of(batch, (0, 0), 0, Limits::of(batch, bytes_max))?;
    let (records, keys) = (batch.records.len(), batch.keys.len());
    if record.end() != (records, keys) {
        let message = format!("expected 1 record in {records} and {keys} bytes, it ends at {:?}", record.end());
        return Err(Error::new(Kind::InvalidArgument, message));
    }
    // Where there is one shard only, the hash decides nothing; it is a third of what an append costs.
    let (shard, hash) = match map.only_open() {
        Some(only) => (only, explicit),
        None => {
            let hash = explicit.unwrap_or_else(|| HashKey::of_key(batch.keys));
            (map.route(hash), Some(hash))
        }
    };
    let payload_bytes = record.header.record_bytes();
    let payload = FRAME_HEADER_BYTES + RUN_ENTRY_BYTES;
    draft.start(1, payload_bytes);
    record.copy(batch, &mut draft.bytes_mut()[payload..payload + payload_bytes]);
    draft.add_run(RunKind::Records, shard.0, payload, payload_bytes, 1);
    Ok(Single { shard, bytes: record.bytes(), hash })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::Position;
    use crate::log::draft::Place;
    use crate::stream::pack::Packer;
    use crate::stream::staged::StagedRecords;

    fn placed(draft: &mut FrameDraft) -> Vec<u8> {
        let place = Place {
            incarnation: 7,
            offset: 4096,
            first_sequence: 1,
            arrival_ms: 2,
            mark: Position::new(0, 4096),
            mark_sequence: 1,
            previous_checksum: 3,
        };
        draft.place(place).0.to_vec()
    }

    proptest! {
        #[test]
        fn a_record_alone_stands_in_the_frame_that_a_packer_makes(
            key in "\\PC{1,40}",
            hash in proptest::option::of(any::<u128>()),
            data in proptest::collection::vec(any::<u8>(), 0..600),
            shards in 1_u32..20,
        ) {
            let map = ShardMap::uniform(shards).expect("a map");
            let mut staged = StagedRecords::default();
            staged.push(&key, hash, &data);
            let batch = staged.as_staged();
            let mut packer = Packer::default();
            packer.load(batch, 1 << 20, &map).expect("a good record");
            prop_assert!(packer.next_frame(batch, &map, None));
            let mut draft = FrameDraft::default();
            load(&mut draft, batch, 1 << 20, &map).expect("a good record");
            prop_assert_eq!(placed(&mut draft), placed(&mut packer.draft));
        }

        #[test]
        fn bytes_that_are_no_record_are_refused_as_a_packer_refuses_them(
            records in proptest::collection::vec(any::<u8>(), 0..80),
            keys in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let map = ShardMap::uniform(4).expect("a map");
            let batch = Staged { records: &records, keys: &keys, count: 1 };
            let packed = Packer::default().load(batch, 1 << 20, &map).map_err(|error| error.kind());
            let alone = load(&mut FrameDraft::default(), batch, 1 << 20, &map).map_err(|error| error.kind());
            prop_assert_eq!(alone.map(|_| ()), packed);
        }
    }
}
