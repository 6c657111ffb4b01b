//! One small record on its own, as a program appends it that cares for the moment: there is nothing to group and
//! nothing to hash side by side, so its frame is laid out at once, and what a packer keeps for thousands of records stays
//! out of the processor's caches. The frame is the one that a packer would make.

use super::pack::Checked;
use crate::error::{Error, Kind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, RUN_ENTRY_BYTES, RunKind};
use crate::log::draft::FrameDraft;
use crate::shard::{HashKey, ShardId, ShardMap};

/// A record that takes more than this is packed, in bytes: to copy it costs more than all else then.
pub(super) const SINGLE_BYTES_MAX: usize = 2048;

/// Lays out in `draft` the frame of the one record in `staged`; returns the record's shard.
pub(super) fn load(draft: &mut FrameDraft, staged: &[u8], bytes_max: u32, map: &ShardMap) -> Result<ShardId> {
    let Checked { record, key, explicit, end } = Checked::of(staged, 0, 0, bytes_max)?;
    if end != staged.len() {
        let message = format!("expected 1 record in {} bytes, it ends at {end}", staged.len());
        return Err(Error::new(Kind::InvalidArgument, message));
    }
    // Where there is one shard only, the hash decides nothing; it is a third of what an append costs.
    let hash = || explicit.unwrap_or_else(|| HashKey::of_key(key.of(staged)));
    let shard = map.only_open().unwrap_or_else(|| map.route(hash()));
    let payload_bytes = record.disk_bytes();
    let payload = FRAME_HEADER_BYTES + RUN_ENTRY_BYTES;
    draft.start(1, payload_bytes);
    record.write(staged, &mut draft.bytes_mut()[payload..payload + payload_bytes]);
    draft.add_run(RunKind::Records, shard.0, payload, payload_bytes, 1);
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::Position;
    use crate::format::record::stage_record;
    use crate::log::draft::Place;
    use crate::stream::pack::Packer;

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
            let mut staged = Vec::new();
            stage_record(&mut staged, &key, hash, &data);
            let mut packer = Packer::default();
            packer.load(&staged, 1, 1 << 20, &map).expect("a good record");
            prop_assert!(packer.next_frame(&staged, None));
            let mut draft = FrameDraft::default();
            load(&mut draft, &staged, 1 << 20, &map).expect("a good record");
            prop_assert_eq!(placed(&mut draft), placed(&mut packer.draft));
        }

        #[test]
        fn bytes_that_are_no_record_are_refused_as_a_packer_refuses_them(
            staged in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let map = ShardMap::uniform(4).expect("a map");
            let packed = Packer::default().load(&staged, 1, 1 << 20, &map).map_err(|error| error.kind());
            let alone = load(&mut FrameDraft::default(), &staged, 1 << 20, &map).map_err(|error| error.kind());
            prop_assert_eq!(alone.map(|_| ()), packed);
        }
    }
}
