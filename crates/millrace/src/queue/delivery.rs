//! What goes into a queue's calls and comes out of them.

use std::time::Duration;

use super::reading::Found;
use super::state::Lane;
use crate::control::QueueConfig;
use crate::error::{Error, Kind, Result};
use crate::format::Position;

/// What to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    /// Records to be worked on, or dead letters. Default: records.
    pub lane: Lane,
    /// At most so many: 1 to 10. Default: 10.
    pub records_max: usize,
    /// How long they are not handed out again, in seconds: 0 to 43,200. Default: what the queue is configured with.
    pub visibility_timeout_s: Option<u32>,
}

impl Receive {
    /// The least and the most records that one call hands out.
    pub const RECORDS_MAX: std::ops::RangeInclusive<usize> = 1..=10;

    pub(super) fn validate(&self) -> Result<()> {
        if !Receive::RECORDS_MAX.contains(&self.records_max) {
            let message = format!("expected to receive 1 to 10 records, got {}", self.records_max);
            return Err(Error::new(Kind::InvalidArgument, message));
        }
        self.visibility_timeout_s.map_or(Ok(()), QueueConfig::validate_timeout)
    }
}

impl Default for Receive {
    fn default() -> Self {
        Receive { lane: Lane::Records, records_max: *Receive::RECORDS_MAX.end(), visibility_timeout_s: None }
    }
}

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// The records; none where none is visible.
    pub messages: Vec<Message>,
    /// Where there are none: after this long one is visible again, if nothing changes before.
    pub look_again: Option<Duration>,
}

/// A record as a queue hands it out.
#[derive(Clone, Debug)]
pub struct Message {
    /// What acknowledges this delivery; see [`Queue::acknowledge`].
    pub receipt: String,
    /// When the record was first received, in milliseconds since 1970.
    pub first_received_ms: u64,
    /// How often it was received without being acknowledged, this time included.
    pub receive_count: u32,
    pub(super) found: Found,
}

impl Message {
    /// The record's sequence.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.found.sequence
    }

    /// The record's shard.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.found.shard
    }

    /// When the record arrived in the stream, in milliseconds since 1970.
    #[must_use]
    pub fn arrival_ms(&self) -> u64 {
        self.found.arrival_ms
    }

    /// The partition key, UTF-8.
    ///
    /// # Errors
    /// `Io` where the segment cannot be mapped.
    pub fn key(&self) -> Result<&[u8]> {
        self.found.key()
    }

    /// The data, where it stands in the log.
    ///
    /// # Errors
    /// `Io` where the segment cannot be mapped.
    pub fn data(&self) -> Result<&[u8]> {
        self.found.data()
    }
}

/// What became of each receipt of a call.
#[derive(Debug)]
pub struct Settled {
    /// In the order of the receipts: `ReceiptInvalid` for what is none of this queue, `ReceiptExpired` for one that is no
    /// longer in force, `InvalidArgument` for a record that the call names twice.
    pub results: Vec<Result<()>>,
    /// Durable once [`Queue::wait_acknowledged`] says so of this place.
    pub end: Position,
}

/// How many records a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueMetrics {
    /// Records that can be received now; 1,000,000 where there are more.
    pub visible: u64,
    /// Records that were received and not yet acknowledged.
    pub in_flight: u64,
    /// Dead letters that can be received now.
    pub dead_visible: u64,
    /// Dead letters that were received and not yet acknowledged.
    pub dead_in_flight: u64,
}
