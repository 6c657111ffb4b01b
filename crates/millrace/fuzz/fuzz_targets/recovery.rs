//! A whole store: a sound control log, and a stream whose segments, frames and indexes say what the fuzzer likes, under
//! right checksums. It is opened, read, verified, appended to and opened again.
//!
//! Holds: no panic, no hang, no memory by a number on disk; a reader gets records or a typed error and comes to the tail;
//! an appended record gets a sequence that none had; what was served once is served after the next opening.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::StreamConfig;
use millrace::format::change::{OpenedShard, ShardChange};
use millrace::format::frame::{RUN_OPTIONAL, RunKind};
use millrace::format::record::write_record;
use millrace::fuzzing::{CleanTail, Command, CreateStream, Horizon, HorizonAdvanced, StreamClosed};
use millrace_fuzz::{Chain, Files, Forged, NOW_MS, Run, Source, drive_store, shard_entries};

const SEGMENTS_MAX: u32 = 4;

fuzz_target!(|input: &[u8]| {
    let mut source = Source::new(input);
    let shards = if source.one_in(2) { 3 } else { 1 };
    let entries = shard_entries(shards);
    let mut chain = Chain::new(1);
    let count = 1 + source.below(SEGMENTS_MAX);
    let stream = (0..count).map(|_| chain.segment(&mut source, &entries, Vec::new(), |source| frame(source, shards)));
    let stream: Vec<Forged> = stream.collect();
    let is_closed = source.one_in(3);
    let control = control(&mut source, &chain, shards, is_closed);
    let is_scanned = !is_closed && stream.iter().all(|segment| segment.index.is_none());
    drive_store(&mut source, &Files { control: vec![control], stream, is_scanned });
});

/// The runs of a frame; `None` at the segment's end.
fn frame(source: &mut Source<'_>, shards: u32) -> Option<Vec<Run>> {
    let trick = source.byte();
    if trick.is_multiple_of(8) {
        return None;
    }
    if trick == 0xff || trick == 0x7f {
        return Some(vec![Run::of_state(RunKind::ShardChange, change(source, shards).encode())]);
    }
    // None is a mark.
    let runs = usize::from(trick >> 3) % 4;
    Some((0..runs).map(|_| run(source, shards)).collect())
}

/// A split or a merge of shards that may be there, in any of two ways wrong.
fn change(source: &mut Source<'_>, shards: u32) -> ShardChange {
    let half = u128::MAX >> 1;
    let (shard, next) = (source.below(shards + 2), shards + source.below(4));
    let parents = [Some(shard), source.one_in(4).then(|| source.u32())];
    let lower = OpenedShard { shard: next, start: 0, end: half, parents };
    let upper = OpenedShard { shard: next + 1, start: half + 1, end: u128::MAX, parents };
    let opened = if source.one_in(2) { vec![OpenedShard { end: u128::MAX, ..lower }] } else { vec![lower, upper] };
    ShardChange { closed: vec![shard], opened }
}

fn run(source: &mut Source<'_>, shards: u32) -> Run {
    let mut payload = Vec::new();
    let mut records = 0;
    for _ in 0..1 + source.below(4) {
        write_record(&mut payload, "key", source.bytes(80));
        records += 1;
    }
    let mut run = Run { kind: RunKind::Records, flags: 0, shard: source.below(shards), records, payload };
    match source.byte() % 32 {
        1 => run.records = source.number_32(run.records),
        2 => run.shard = source.number_32(run.shard),
        3 => run.payload.truncate(source.below(80) as usize),
        4 => run.payload = source.bytes(80).to_vec(),
        5 => run.kind = RunKind::from_byte(source.byte()),
        6 => (run.kind, run.flags) = (RunKind::from_byte(source.byte()), RUN_OPTIONAL),
        _ => {}
    }
    run
}

/// The control log that knows the stream, how it was closed and where its horizon stands.
fn control(source: &mut Source<'_>, chain: &Chain, shards: u32, is_closed: bool) -> Forged {
    let config = StreamConfig { shards, ..StreamConfig::default() };
    let mut commands: Vec<Command> =
        vec![CreateStream { name: "s".into(), created_ms: NOW_MS, expiry_clock_ms: None, config }.into()];
    if is_closed {
        let mut tail = CleanTail {
            segment: u64::from(chain.end.segment),
            offset: chain.end.offset,
            next_sequence: chain.next_sequence,
            last_frame_checksum: chain.checksum,
            last_arrival_ms: chain.arrival_ms,
        };
        match source.byte() % 8 {
            1 => tail.segment = source.number(tail.segment),
            2 => tail.offset = source.number_32(tail.offset),
            3 => tail.next_sequence = source.number(tail.next_sequence),
            4 => tail.last_arrival_ms = source.number(tail.last_arrival_ms),
            _ => {}
        }
        commands.push(StreamClosed { id: 1, tail }.into());
    }
    if source.one_in(4) {
        let (segment, offset) = (source.number(1), source.number_32(4_096));
        let horizon = Horizon { segment, offset, sequence: source.number(1) };
        commands.push(HorizonAdvanced { id: 1, horizon, expiry_clock_ms: source.number(NOW_MS) }.into());
    }
    let mut commands = commands.into_iter();
    // Nothing of the control log is forged here: its choices are made of no bytes.
    Chain::new(0).segment(&mut Source::new(&[]), &[], Vec::new(), |_| {
        commands.next().map(|command| vec![Run::of_state(RunKind::Command, command.encode())])
    })
}
