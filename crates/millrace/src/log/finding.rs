//! What recovery, verification and repair find, and how it is told.

use std::ops::Range;

use crate::shard::ShardId;

/// Something that recovery or verification found and the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stream, or `control log`.
    pub log: String,
    /// The segment's number.
    pub segment: u32,
    /// The bytes concerned, as offsets into the segment's file.
    pub bytes: Range<u32>,
    /// The sequences concerned: all that are lost lie in this range.
    pub sequences: Range<u64>,
    /// The shards concerned: all that are lost are of these.
    pub shards: Shards,
    /// What it means.
    pub meaning: Meaning,
}

/// The shards that a finding concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shards {
    /// What is damaged is what says so: records of any shard may be lost.
    Any,
    /// These, by number; none of them where what is damaged held no records.
    Of(Vec<u32>),
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Acknowledged records are damaged or missing.
    Damaged,
    /// Records behind the last mark were cut; they may have been acknowledged.
    PossiblyAcknowledged,
    /// The segment's header or opening is damaged. Without its header, the frames of a segment that is not sealed
    /// cannot be verified; otherwise no record is lost.
    Unreadable,
    /// A change of the shard map is damaged. No record is lost. Which shards there are is known where a later segment
    /// opens with them; otherwise the stream cannot be opened before it is repaired.
    ShardChange,
    /// The segment's index is damaged. It can be made again, and no record is lost.
    Index,
}

impl Shards {
    /// These and those.
    pub(crate) fn join(&mut self, more: Shards) {
        *self = match (std::mem::replace(self, Shards::Any), more) {
            (Shards::Of(mut all), Shards::Of(more)) => {
                all.extend(more);
                all.sort_unstable();
                all.dedup();
                Shards::Of(all)
            }
            (Shards::Any, _) | (_, Shards::Any) => Shards::Any,
        }
    }
}

impl std::fmt::Display for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shards::Any => f.write_str("any shard"),
            Shards::Of(shards) if shards.is_empty() => f.write_str("no shard"),
            Shards::Of(shards) => {
                let names: Vec<_> = shards.iter().map(|shard| ShardId(*shard).to_string()).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl std::fmt::Display for Meaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Meaning::Damaged => "acknowledged records are damaged or missing",
            Meaning::PossiblyAcknowledged => "records were cut that may have been acknowledged",
            Meaning::Unreadable => "the segment's header or opening is damaged",
            Meaning::ShardChange => "a change of the shard map is damaged",
            Meaning::Index => "the segment's index is damaged",
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { log, segment, bytes, sequences, shards, meaning } = self;
        let (from, to) = (bytes.start, bytes.end);
        let (first, next) = (sequences.start, sequences.end);
        write!(f, "{log}: {meaning}: segment {segment}")?;
        if !bytes.is_empty() {
            write!(f, ", bytes {from} to {to}")?;
        }
        match (shards, meaning) {
            (Shards::Of(shards), Meaning::Unreadable | Meaning::ShardChange | Meaning::Index) if shards.is_empty() => {
                f.write_str("; no record is lost")
            }
            // Commands of the control log have neither.
            (Shards::Of(shards), _) if shards.is_empty() => Ok(()),
            _ => write!(f, ", {shards}, sequences from {first} below {next}"),
        }
    }
}
