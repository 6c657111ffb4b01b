//! Forged segments: frames as the engine would write them, of which the fuzzer then changes what it likes, under
//! checksums that are right.

use millrace::Position;
use millrace::format::frame::{FRAME_HEADER_BYTES, FrameHead, FrameHeader, RUN_ENTRY_BYTES, RunEntry, RunKind};
use millrace::format::index::{self, Body, RunPlace, Summary, Waypoint};
use millrace::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use millrace::format::snapshot::{Opening, ShardEntry};
use millrace::format::{FRAME_ALIGNMENT, aligned};

use crate::{Source, seal_frame, seal_segment_header};

/// A run to be written: what it holds, how many records it claims to hold, and its bytes.
pub struct Run {
    pub kind: RunKind,
    pub flags: u8,
    pub shard: u32,
    pub records: u32,
    pub payload: Vec<u8>,
}

impl Run {
    /// A run without records.
    pub fn of_state(kind: RunKind, payload: Vec<u8>) -> Run {
        Run { kind, flags: 0, shard: 0, records: 0, payload }
    }
}

/// A chain of forged segments: what the engine would know at its end.
pub struct Chain {
    pub stream: u64,
    pub number: u32,
    pub end: Position,
    pub next_sequence: u64,
    pub checksum: u32,
    pub arrival_ms: u64,
}

/// One forged segment.
pub struct Forged {
    pub number: u32,
    pub bytes: Vec<u8>,
    pub index: Option<Vec<u8>>,
}

/// The fields of a frame's header that a reader has to live with, whatever they say: offset and length.
const HEADER_FIELDS: [(usize, usize); 8] = [(16, 8), (24, 8), (32, 4), (36, 4), (40, 8), (48, 4), (8, 4), (12, 4)];
const ENTRY_FIELDS: [(usize, usize); 7] = [(4, 1), (5, 1), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4)];
const SEGMENT_FIELDS: [(usize, usize); 8] = [(8, 2), (16, 8), (24, 4), (28, 4), (32, 8), (40, 8), (48, 8), (56, 8)];

impl Chain {
    /// A log that has no segment yet.
    pub fn new(stream: u64) -> Chain {
        Chain { stream, number: 0, end: Position::default(), next_sequence: 1, checksum: 0, arrival_ms: crate::NOW_MS }
    }

    /// Forges the next segment: its opening with `runs` behind the shard map, then what `frames` makes.
    pub fn segment(
        &mut self,
        source: &mut Source<'_>,
        shards: &[ShardEntry],
        runs: Vec<Run>,
        mut frames: impl FnMut(&mut Source<'_>) -> Option<Vec<Run>>,
    ) -> Forged {
        self.number = if source.one_in(16) { source.number_32(self.number) } else { self.number.wrapping_add(1) };
        let room = 64 << 10;
        let reserved_until = self.next_sequence.saturating_add(room / 8);
        let header = SegmentHeader {
            stream: self.stream,
            segment: self.number,
            capacity: 64 << 10,
            incarnation: u64::from(self.number) + 77,
            reserved_from: self.next_sequence,
            reserved_until,
            created_ms: self.arrival_ms,
        };
        let mut segment = Segment {
            number: self.number,
            incarnation: header.incarnation,
            bytes: header.encode(),
            summary: Summary { segment: self.number, incarnation: header.incarnation, ..Summary::default() },
            body: Body::default(),
        };
        if source.one_in(8) {
            change(source, &mut segment.bytes, 0, &SEGMENT_FIELDS);
            seal_segment_header(&mut segment.bytes);
        }
        let mut opening = Opening { previous_end: self.end, previous_checksum: self.checksum, shards: shards.to_vec() };
        if source.one_in(8) {
            opening.previous_end = Position::new(source.number_32(self.end.segment), source.number_32(self.end.offset));
        }
        segment.summary.previous_end = opening.previous_end;
        let mut first = vec![Run::of_state(RunKind::Opening, opening.encode())];
        first.extend(runs);
        if !source.one_in(16) {
            segment.frame(source, self, &first);
        }
        while let Some(runs) = frames(source) {
            segment.frame(source, self, &runs);
        }
        self.next_sequence = self.next_sequence.max(reserved_until);
        segment.finish(source)
    }
}

struct Segment {
    number: u32,
    incarnation: u64,
    bytes: Vec<u8>,
    summary: Summary,
    body: Body,
}

impl Segment {
    /// Writes a frame, and follows its bytes as far as they are one.
    fn frame(&mut self, source: &mut Source<'_>, chain: &mut Chain, runs: &[Run]) {
        let offset = small(self.bytes.len());
        let mut frame = encode(self.incarnation, offset, chain, runs);
        let trick = source.byte();
        if trick % 8 == 1 {
            let at = source.below(small(frame.len())) as usize;
            frame[at] = frame[at].wrapping_add(source.byte());
        }
        if trick % 4 == 2 {
            change(source, &mut frame, 0, &HEADER_FIELDS);
        }
        if trick % 16 == 3 && !runs.is_empty() {
            let run = source.below(small(runs.len())) as usize;
            change(source, &mut frame, FRAME_HEADER_BYTES + run * RUN_ENTRY_BYTES, &ENTRY_FIELDS);
        }
        if trick % 8 != 1 {
            seal_frame(&mut frame, self.incarnation, offset);
        }
        if let Some(head) = FrameHead::decode(&frame, self.incarnation, offset) {
            let header = head.header;
            chain.end = Position::new(self.number, offset + header.padded_bytes());
            chain.next_sequence = head.next_sequence;
            chain.checksum = header.checksum;
            chain.arrival_ms = header.arrival_ms;
            self.note(offset, &head);
        }
        if trick % 32 == 31 {
            frame.truncate(source.below(small(frame.len())) as usize);
        }
        frame.resize(frame.len().next_multiple_of(FRAME_ALIGNMENT as usize), 0);
        self.bytes.extend_from_slice(&frame);
    }

    /// What the index would say of a frame.
    fn note(&mut self, offset: u32, head: &FrameHead<'_>) {
        let (header, summary) = (head.header, &mut self.summary);
        if summary.frames == 0 {
            (summary.first_sequence, summary.first_arrival_ms) = (header.first_sequence, header.arrival_ms);
            let (sequence, arrival_ms) = (header.first_sequence, header.arrival_ms);
            self.body.waypoints.push(Waypoint { offset, sequence, arrival_ms });
        }
        summary.frames += 1;
        summary.records += u64::from(header.records);
        summary.next_sequence = head.next_sequence;
        summary.last_arrival_ms = header.arrival_ms;
        summary.last_checksum = header.checksum;
        summary.end = offset + header.padded_bytes();
        for run in 0..head.runs() {
            let entry = head.run(run).expect("a head's own run");
            if entry.kind == RunKind::Records {
                summary.presence.insert(entry.shard);
                let known = self.body.shards.iter().position(|(shard, _)| *shard == entry.shard);
                let at = known.unwrap_or_else(|| {
                    self.body.shards.push((entry.shard, Vec::new()));
                    self.body.shards.len() - 1
                });
                self.body.shards[at].1.push(RunPlace { frame: offset, run });
            }
        }
        self.body.shards.sort_by_key(|(shard, _)| *shard);
    }

    fn finish(mut self, source: &mut Source<'_>) -> Forged {
        let trick = source.byte();
        let index = (trick % 4 == 1).then(|| {
            if source.one_in(2) {
                self.lie(source);
            }
            index::encode(&self.summary, &self.body)
        });
        match trick >> 4 {
            // As long as it was made, which is how a segment is before it is sealed.
            0..8 => self.bytes.resize(64 << 10, 0),
            8..12 => self.bytes.resize(self.bytes.len() + source.below(512) as usize, 0),
            12 => self.bytes.truncate(source.below(small(self.bytes.len())) as usize),
            _ => {}
        }
        Forged { number: self.number, bytes: self.bytes, index }
    }

    fn lie(&mut self, source: &mut Source<'_>) {
        let summary = &mut self.summary;
        match source.byte() % 8 {
            0 => summary.end = source.number_32(summary.end),
            1 => summary.next_sequence = source.number(summary.next_sequence),
            2 => summary.first_sequence = source.number(summary.first_sequence),
            3 => summary.last_arrival_ms = source.number(summary.last_arrival_ms),
            4 => summary.first_arrival_ms = source.number(summary.first_arrival_ms),
            5 => {
                let segment = source.number_32(summary.previous_end.segment);
                summary.previous_end = Position::new(segment, source.number_32(summary.previous_end.offset));
            }
            6 => {
                if let Some(waypoint) = self.body.waypoints.first_mut() {
                    waypoint.offset = source.number_32(waypoint.offset);
                }
            }
            _ => {
                for (_, runs) in &mut self.body.shards {
                    for place in runs {
                        let (frame, run) = (source.number_32(place.frame), source.number_32(place.run));
                        *place = RunPlace { frame, run };
                    }
                }
            }
        }
    }
}

fn encode(incarnation: u64, offset: u32, chain: &Chain, runs: &[Run]) -> Vec<u8> {
    let head_bytes = FRAME_HEADER_BYTES + runs.len() * RUN_ENTRY_BYTES;
    let mut frame = vec![0; head_bytes];
    let mut records: u32 = 0;
    for (run, at) in runs.iter().zip((FRAME_HEADER_BYTES..).step_by(RUN_ENTRY_BYTES)) {
        let entry = RunEntry {
            kind: run.kind,
            flags: run.flags,
            shard: run.shard,
            payload_offset: small(frame.len()),
            payload_bytes: small(run.payload.len()),
            records: run.records.min(u32::MAX - records),
            sequence_delta: records,
            checksum: 0,
        };
        entry.encode(&mut frame[at..at + RUN_ENTRY_BYTES], 0);
        records += entry.records;
        frame.extend_from_slice(&run.payload);
    }
    let header = FrameHeader {
        frame_bytes: small(frame.len()),
        runs: small(runs.len()),
        first_sequence: chain.next_sequence,
        arrival_ms: chain.arrival_ms,
        mark: chain.end,
        mark_sequence: chain.next_sequence,
        previous_checksum: chain.checksum,
        records,
        checksum: 0,
    };
    header.encode(&mut frame, 0);
    frame.resize(aligned(small(frame.len())) as usize, 0);
    seal_frame(&mut frame, incarnation, offset);
    frame
}

/// Changes one field, chosen by the fuzzer, of what begins at `start`.
fn change(source: &mut Source<'_>, bytes: &mut [u8], start: usize, fields: &[(usize, usize)]) {
    let (at, width) = fields[usize::from(source.byte()) % fields.len()];
    let field = &mut bytes[start + at..start + at + width];
    let mut word = [0; 8];
    word[..width].copy_from_slice(field);
    field.copy_from_slice(&source.number(u64::from_le_bytes(word)).to_le_bytes()[..width]);
}

fn small(length: usize) -> u32 {
    u32::try_from(length).expect("a forged segment is short")
}

const _: () = assert!(SEGMENT_HEADER_BYTES == 4_096, "where the first frame stands");
