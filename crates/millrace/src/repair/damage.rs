//! How damage to a store is told to people and programs.

use std::ops::Range;

use crate::log::{Finding, Shards};
use crate::shard::{SequenceCodec, SequenceNumber, ShardId};

/// Something that is damaged in a store, or was left out of its copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The stream's name, `queue` and a queue's name, `control log`, `tables log`, `store`, or the path of a directory that belongs to none of them.
    pub place: String,
    /// Which bytes, sequences and shards; `None` where it is not about a part of a segment.
    pub finding: Option<Finding>,
    /// The finding's sequences as they are called outside: those of a record that is concerned are at or above the
    /// start and below the end, compared as integers. Where any shard is concerned, these are numbers of shard 0.
    pub sequence_numbers: Option<Range<String>>,
    /// What it is, as a sentence.
    pub message: String,
}

impl Damage {
    pub(crate) fn note(place: &str, message: &str) -> Damage {
        Damage { place: place.to_owned(), finding: None, sequence_numbers: None, message: message.to_owned() }
    }

    pub(crate) fn of(place: &str, finding: Finding, codec: Option<SequenceCodec>) -> Damage {
        let shard = match &finding.shards {
            Shards::Of(shards) => shards.first().copied(),
            Shards::Any => Some(0),
        };
        let numbers = codec.zip(shard).filter(|_| !finding.sequences.is_empty()).map(|(codec, shard)| {
            let number = |sequence| codec.encode(ShardId(shard), SequenceNumber(sequence));
            number(finding.sequences.start)..number(finding.sequences.end)
        });
        Damage {
            place: place.to_owned(),
            sequence_numbers: numbers,
            message: finding.to_string(),
            finding: Some(finding),
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.finding {
            Some(_) => f.write_str(&self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}
