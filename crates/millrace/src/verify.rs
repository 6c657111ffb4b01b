//! Verification: every frame and every run of a stream is read and held against its checksums, every index against
//! its segment. Nothing is changed.

use crate::error::Result;
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::log::{Finding, Meaning, Scan, build_index, scan_segment};
use crate::stream::Stream;

/// What a verification has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many segments were read.
    pub segments: u64,
    /// How many frames were read.
    pub frames: u64,
    /// How many records they hold.
    pub records: u64,
    /// How many bytes of log were read.
    pub bytes: u64,
    /// What is damaged; nothing, if all is well.
    pub findings: Vec<Finding>,
}

impl Stream {
    /// Reads all that is durable and reports what is damaged. `progress` is called after each segment with the bytes
    /// read so far and their total; it returns whether to go on.
    ///
    /// # Errors
    /// `Io` where a file cannot be read at all, `Closed`.
    ///
    /// ```
    /// use millrace::{Engine, OpenOptions, StreamConfig};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let engine = Engine::open(directory.path(), OpenOptions::default())?;
    /// let stream = engine.create_stream("clicks", StreamConfig::default())?;
    /// assert!(stream.verify(|_done, _total| true)?.findings.is_empty());
    /// # engine.close()?;
    /// # Ok::<(), millrace::Error>(())
    /// ```
    pub fn verify(&self, mut progress: impl FnMut(u64, u64) -> bool) -> Result<Verification> {
        let log = &self.0.log;
        let durable = log.durable();
        let segments = log.segments();
        let part = |index: u32, end: Option<u32>| match index.cmp(&durable.segment) {
            std::cmp::Ordering::Less => end.unwrap_or(SEGMENT_HEADER_BYTES),
            std::cmp::Ordering::Equal => durable.offset,
            std::cmp::Ordering::Greater => SEGMENT_HEADER_BYTES,
        };
        let total: u64 = segments.iter().map(|segment| u64::from(part(segment.index, segment.end()))).sum();
        let mut outcome = Verification::default();
        for segment in segments {
            let end = part(segment.index, segment.end());
            // A file that is open stays as it is, but one that retention freed before that, or its index, is gone.
            let is_kept = || log.segments().iter().any(|kept| kept.index == segment.index);
            let file = match segment.open(&*log.environment.disk) {
                Err(_) if !is_kept() => continue,
                opened => opened?,
            };
            let scan = scan_segment(&file, end)?;
            outcome.add(&log.config.name, segment.index, segment.first_sequence, end, &scan);
            // A segment that was still written to when the verification began is read up to there: its index says more.
            if let Some(summary) = segment.summary().filter(|_| segment.end() == Some(end))
                && (segment.read_index(&*log.environment.disk).ok(), *summary)
                    != build_index(&file, end).map(|(summary, body)| (Some(body), summary))?
                && is_kept()
            {
                outcome.findings.push(Finding {
                    log: log.config.name.clone(),
                    segment: segment.index,
                    bytes: 0..end,
                    sequences: segment.first_sequence..segment.first_sequence,
                    meaning: Meaning::Unreadable,
                });
            }
            outcome.bytes += u64::from(end);
            if !progress(outcome.bytes, total) {
                break;
            }
        }
        Ok(outcome)
    }
}

impl Verification {
    fn add(&mut self, log: &str, segment: u32, first_sequence: u64, end: u32, scan: &Scan) {
        let mut offset = SEGMENT_HEADER_BYTES;
        let mut next_sequence = first_sequence;
        let mut damaged = |bytes: std::ops::Range<u32>, sequences: std::ops::Range<u64>| {
            let meaning = Meaning::Damaged;
            self.findings.push(Finding { log: log.to_owned(), segment, bytes, sequences, meaning });
        };
        for frame in &scan.frames {
            if frame.offset > offset {
                damaged(offset..frame.offset, next_sequence..frame.header.first_sequence);
            }
            next_sequence = frame.header.first_sequence + u64::from(frame.header.records);
            if !frame.intact {
                damaged(frame.offset..frame.end(), frame.header.first_sequence..next_sequence);
            }
            offset = frame.end();
        }
        if offset < end {
            damaged(offset..end, next_sequence..next_sequence + 1);
        }
        self.segments += 1;
        self.frames += scan.frames.len() as u64;
        self.records += scan.frames.iter().map(|frame| u64::from(frame.header.records)).sum::<u64>();
    }
}
