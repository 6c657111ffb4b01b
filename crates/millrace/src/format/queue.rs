//! The bytes of a queue's own log: steps of its progress, and a snapshot of where they lead.
//!
//! ```text
//! step:      | kind (1) | zeros (7) | fields of 8 bytes each |  next step …
//! snapshot:  | next_fresh (8) | count (8) | record of 40 bytes | …
//! ```
//! The records themselves stand in the stream's log; a queue names them by their sequence. What the steps mean, and
//! which of them may follow which, is `queue/state.rs`'s to say.

use super::{Cursor, SEQUENCE_LIMIT};

/// One step of a queue's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Records before `to` have been looked at; those from `from` on that are in the stream were received, and this
    /// step stands before theirs.
    Advanced {
        /// Where the queue stood: a step that does not go on there has lost its predecessor.
        from: u64,
        /// Where it stands now.
        to: u64,
    },
    /// A record was handed out.
    Received {
        /// The record.
        sequence: u64,
        /// What its receipt proves itself with; never 0.
        nonce: u64,
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// When it is handed out again, in milliseconds since 1970.
        visible_at_ms: u64,
    },
    /// A record is done with.
    Acknowledged {
        /// The record.
        sequence: u64,
    },
    /// A record in flight is handed out again at another time.
    Hidden {
        /// The record.
        sequence: u64,
        /// When, in milliseconds since 1970.
        visible_at_ms: u64,
    },
    /// A record was received too often and is a dead letter from now.
    Died {
        /// The record.
        sequence: u64,
    },
    /// A dead letter is to be received like any other record again.
    Restored {
        /// The record.
        sequence: u64,
    },
}

/// What a queue knows of a record that was received and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// The record.
    pub sequence: u64,
    /// What the receipt in force proves itself with; 0 where none is.
    pub nonce: u64,
    /// When it is handed out again, in milliseconds since 1970.
    pub visible_at_ms: u64,
    /// When it was received first, in milliseconds since 1970.
    pub first_received_ms: u64,
    /// How often it was received since it was last restored.
    pub receive_count: u32,
    /// Whether it is a dead letter.
    pub is_dead: bool,
}

/// A queue's progress as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Records from this sequence on have not been looked at.
    pub next_fresh: u64,
    /// Those before it that are not acknowledged, by sequence.
    pub records: Vec<QueueRecord>,
}

const ADVANCED: u8 = 1;
const RECEIVED: u8 = 2;
const ACKNOWLEDGED: u8 = 3;
const HIDDEN: u8 = 4;
const DIED: u8 = 5;
const RESTORED: u8 = 6;

/// The length of a record in a snapshot, in bytes.
pub const QUEUE_RECORD_BYTES: usize = 40;
const SNAPSHOT_HEAD_BYTES: usize = 16;

impl Progress {
    /// Appends the step's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, fields): (u8, &[u64]) = match *self {
            Progress::Advanced { from, to } => (ADVANCED, &[from, to]),
            Progress::Received { sequence, nonce, at_ms, visible_at_ms } => {
                (RECEIVED, &[sequence, nonce, at_ms, visible_at_ms])
            }
            Progress::Acknowledged { sequence } => (ACKNOWLEDGED, &[sequence]),
            Progress::Hidden { sequence, visible_at_ms } => (HIDDEN, &[sequence, visible_at_ms]),
            Progress::Died { sequence } => (DIED, &[sequence]),
            Progress::Restored { sequence } => (RESTORED, &[sequence]),
        };
        out.extend_from_slice(&u64::from(kind).to_le_bytes());
        fields.iter().for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
    }

    /// The steps of a run's payload; `None` where the bytes are not steps from end to end.
    #[must_use]
    pub fn decode_all(bytes: &[u8]) -> Option<Vec<Progress>> {
        let mut cursor = Cursor(bytes);
        let mut steps = Vec::new();
        while !cursor.0.is_empty() {
            steps.push(Progress::decode(&mut cursor)?);
        }
        Some(steps)
    }

    fn decode(cursor: &mut Cursor<'_>) -> Option<Progress> {
        let kind = u8::try_from(cursor.u64()?).ok()?;
        let sequence = cursor.u64().filter(|sequence| *sequence < SEQUENCE_LIMIT)?;
        Some(match kind {
            ADVANCED => {
                let to = cursor.u64().filter(|to| (sequence..SEQUENCE_LIMIT).contains(to))?;
                Progress::Advanced { from: sequence, to }
            }
            RECEIVED => {
                let nonce = cursor.u64().filter(|nonce| *nonce != 0)?;
                Progress::Received { sequence, nonce, at_ms: cursor.u64()?, visible_at_ms: cursor.u64()? }
            }
            ACKNOWLEDGED => Progress::Acknowledged { sequence },
            HIDDEN => Progress::Hidden { sequence, visible_at_ms: cursor.u64()? },
            DIED => Progress::Died { sequence },
            RESTORED => Progress::Restored { sequence },
            _ => return None,
        })
    }
}

impl QueueSnapshot {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SNAPSHOT_HEAD_BYTES + self.records.len() * QUEUE_RECORD_BYTES);
        bytes.extend_from_slice(&self.next_fresh.to_le_bytes());
        bytes.extend_from_slice(&(self.records.len() as u64).to_le_bytes());
        for record in &self.records {
            for field in [record.sequence, record.nonce, record.visible_at_ms, record.first_received_ms] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
            bytes.extend_from_slice(&record.receive_count.to_le_bytes());
            bytes.extend_from_slice(&u32::from(record.is_dead).to_le_bytes());
        }
        bytes
    }

    /// The inverse; `None` where the bytes are no snapshot: too long or too short, records out of order, or such as
    /// were never looked at.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<QueueSnapshot> {
        let mut cursor = Cursor(bytes);
        let next_fresh = cursor.u64().filter(|next| *next < SEQUENCE_LIMIT)?;
        let count = usize::try_from(cursor.u64()?).ok()?;
        if cursor.0.len() != count.checked_mul(QUEUE_RECORD_BYTES)? {
            return None;
        }
        let records = (0..count).map(|_| QueueRecord::decode(&mut cursor)).collect::<Option<Vec<_>>>()?;
        let ordered = records.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
        let known = records.last().is_none_or(|last| last.sequence < next_fresh);
        (ordered && known).then_some(QueueSnapshot { next_fresh, records })
    }
}

impl QueueRecord {
    fn decode(cursor: &mut Cursor<'_>) -> Option<QueueRecord> {
        let [sequence, nonce, visible_at_ms, first_received_ms] =
            [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
        let (receive_count, flags) = (cursor.u32()?, cursor.u32()?);
        let is_dead = flags == 1;
        (flags <= 1).then_some(QueueRecord {
            sequence,
            nonce,
            visible_at_ms,
            first_received_ms,
            receive_count,
            is_dead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Progress; 6] = [
        Progress::Advanced { from: 1, to: 3 },
        Progress::Received { sequence: 2, nonce: 0x0a0b, at_ms: 5, visible_at_ms: 7 },
        Progress::Acknowledged { sequence: 2 },
        Progress::Hidden { sequence: 2, visible_at_ms: 9 },
        Progress::Died { sequence: 2 },
        Progress::Restored { sequence: 2 },
    ];

    fn words(bytes: &[u8]) -> Vec<u64> {
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
    }

    #[test]
    fn every_step_has_its_golden_bytes_and_comes_back_from_them() {
        let mut bytes = Vec::new();
        STEPS.iter().for_each(|step| step.encode(&mut bytes));
        let golden = [1, 1, 3, 2, 2, 0x0a0b, 5, 7, 3, 2, 4, 2, 9, 5, 2, 6, 2];
        assert_eq!(words(&bytes), golden);
        assert_eq!(Progress::decode_all(&bytes).as_deref(), Some(&STEPS[..]));
        assert_eq!(Progress::decode_all(&[]), Some(Vec::new()));
    }

    #[test]
    fn a_step_that_is_cut_off_or_none_is_refused_with_all_of_its_run() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for step in STEPS {
            step.encode(&mut bytes);
            ends.push(bytes.len());
        }
        for length in 0..bytes.len() {
            assert_eq!(Progress::decode_all(&bytes[..length]).is_some(), ends.contains(&length), "length {length}");
        }
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        for none in [[0, 1, 1], [7, 1, 1], [0x103, 1, 1], [1, 2, 1], [1, 1, SEQUENCE_LIMIT], [5, SEQUENCE_LIMIT, 1]] {
            assert_eq!(Progress::decode_all(&words(&none)), None, "{none:?}");
        }
        assert_eq!(Progress::decode_all(&words(&[2, 1, 0, 1, 1])), None, "a receipt without a nonce");
    }

    #[test]
    fn a_snapshot_has_its_golden_bytes_and_rejects_what_is_none() {
        let record = |sequence, is_dead| QueueRecord {
            sequence,
            nonce: 3,
            visible_at_ms: 4,
            first_received_ms: 5,
            receive_count: 6,
            is_dead,
        };
        let snapshot = QueueSnapshot { next_fresh: 9, records: vec![record(1, false), record(2, true)] };
        let bytes = snapshot.encode();
        assert_eq!(words(&bytes), [9, 2, 1, 3, 4, 5, 6, 2, 3, 4, 5, 6 | 1 << 32]);
        assert_eq!(QueueSnapshot::decode(&bytes), Some(snapshot));
        for length in 0..bytes.len() {
            assert_eq!(QueueSnapshot::decode(&bytes[..length]), None, "length {length}");
        }
        let twice = QueueSnapshot { next_fresh: 9, records: vec![record(2, false), record(2, true)] };
        let unseen = QueueSnapshot { next_fresh: 2, records: vec![record(2, false)] };
        for wrong in [twice, unseen] {
            assert_eq!(QueueSnapshot::decode(&wrong.encode()), None, "{wrong:?}");
        }
    }
}
