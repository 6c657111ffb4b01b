//! Finding the records that a queue hands out, where they stand in the stream's log.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::record::Records;
use crate::log::segment::SegmentFile;
use crate::stream::Stream;
use crate::stream::chunk::Chunk;
use crate::stream::reader::{Reader, ReaderOptions, StartAt, Step, Visibility};

/// A record in its segment, which is held.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub sequence: u64,
    pub shard: u32,
    pub arrival_ms: u64,
    file: Arc<SegmentFile>,
    key: Range<usize>,
    data: Range<usize>,
}

impl Found {
    pub fn key(&self) -> Result<&[u8]> {
        self.bytes(&self.key)
    }

    pub fn data(&self) -> Result<&[u8]> {
        self.bytes(&self.data)
    }

    fn bytes(&self, range: &Range<usize>) -> Result<&[u8]> {
        Ok(self.file.map()?.bytes(range.clone()).expect("a record that was found lies inside of the map"))
    }
}

/// Reads a stream for a queue. Damage is passed over and told: the records are lost whoever reads them.
pub(super) struct Source {
    stream: Stream,
    // Stands behind the records that were handed out last, if it is known where that is.
    fresh: Option<Reader>,
}

impl Source {
    pub fn new(stream: Stream) -> Source {
        Source { stream, fresh: None }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Finds at most so many records from a sequence on, and the sequence behind them; the next call goes on there.
    pub fn fresh(&mut self, from: u64, records_max: usize, damage: &mut Vec<Error>) -> Result<(Vec<Found>, u64)> {
        let mut reader = match self.fresh.take() {
            Some(reader) => reader,
            None => self.reader_at(from)?,
        };
        let mut found = Vec::new();
        while found.len() < records_max && take(&mut reader, records_max - found.len(), &mut found, damage)? {}
        let to = reader.passed_sequence();
        self.fresh = Some(reader);
        Ok((found, to))
    }

    /// What was found was not handed out: the next call says where to go on.
    pub fn rewind(&mut self) {
        self.fresh = None;
    }

    /// Finds records by their sequences, which ascend; those that the stream cannot give are left out.
    pub fn again(&self, sequences: &[u64], damage: &mut Vec<Error>) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for run in sequences.chunk_by(|former, latter| former + 1 == *latter) {
            let mut reader = self.reader_at(run[0])?;
            let wanted = run[0]..run[0] + run.len() as u64;
            let mut part = Vec::new();
            while part.len() < run.len() && take(&mut reader, run.len() - part.len(), &mut part, damage)? {}
            found.extend(part.into_iter().filter(|record| wanted.contains(&record.sequence)));
        }
        Ok(found)
    }

    fn reader_at(&self, sequence: u64) -> Result<Reader> {
        let from = StartAt::AtSequence(sequence);
        self.stream.reader(ReaderOptions { shard: None, from, visibility: Visibility::Durable })
    }
}

/// Takes the next records; `false` at the tail.
fn take(reader: &mut Reader, records_max: usize, found: &mut Vec<Found>, damage: &mut Vec<Error>) -> Result<bool> {
    match reader.next(records_max, usize::MAX) {
        Ok(Step::Chunk(chunk)) => note_all(&chunk, found, damage).map(|()| true),
        Ok(Step::AtTail | Step::EndOfShard(_)) => Ok(false),
        Err(error) if error.kind() == Kind::Corrupt => {
            reader.skip_damage()?;
            damage.push(error);
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn note_all(chunk: &Chunk, found: &mut Vec<Found>, damage: &mut Vec<Error>) -> Result<()> {
    for run in &chunk.runs {
        let payload = chunk.payload(run)?;
        let start = run.payload.start as usize;
        let mut sequence = run.first_sequence;
        for record in Records::new(payload).take(run.records as usize) {
            let data = start + record.data_offset..start + record.data_offset + record.data.len();
            let key = data.start - record.key.len()..data.start;
            let file = Arc::clone(&chunk.file);
            found.push(Found { sequence, shard: run.shard, arrival_ms: run.arrival_ms, file, key, data });
            sequence += 1;
        }
        let end = run.first_sequence + u64::from(run.records);
        if sequence < end {
            let message = format!("expected records up to sequence {end}, got bytes that are none from {sequence}");
            damage.push(Error::new(Kind::Corrupt, message));
        }
    }
    Ok(())
}
