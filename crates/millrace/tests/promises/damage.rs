//! Every bit flip and every truncation of every file of small stores: no wrong record is served, no record is missing
//! without a word that names it, and what is not damaged can be read.
//!
//! `MILLRACE_DAMAGE=all` judges all of them, a number that many of each store; otherwise as many as fit a minute are
//! chosen by `MILLRACE_SEED`.

mod forged;
mod judge;
mod places;
mod random;
pub mod scratch;
pub mod stores;

use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::{Engine, Finding, Meaning, Position};

use crate::dice::{Dice, seed};
use crate::support::append;
use judge::{Opens, Price, Reading, check, judge, read_shard, read_stream};
use scratch::{Image, Scratch};
use stores::{Expected, Fixture};

const SEGMENT_HEADER_BYTES: u64 = 4096;
/// So many zeros behind what is in use are damaged bit by bit too.
const BEYOND: u64 = 128;
/// How many damages of each store are judged where not all are.
const CHOSEN: usize = 8_000;
/// One in so many of these is to the zeros that fill a header page: they are two thirds of all, and all alike.
const DULL: usize = 8;
/// Every sequence.
const ALL: Range<u64> = 0..u64::MAX;
/// The fields at the start of a segment's header page.
const HEADER_FIELDS_BYTES: u64 = 72;

/// One damage to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    Flip { byte: u64, bit: u32 },
    Cut { len: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Damage<'a> {
    file: &'a str,
    edit: Edit,
}

impl Damage<'_> {
    fn apply(&self, scratch: &Scratch<'_>) {
        scratch.damage_in_place(self.file, |file| match self.edit {
            Edit::Flip { byte, bit } => {
                let mut old = [0];
                file.read_exact_at(&mut old, byte)?;
                file.write_all_at(&[old[0] ^ (1 << bit)], byte)
            }
            Edit::Cut { len } => file.set_len(len),
        });
    }

    /// Whether a range of the file's bytes is touched.
    fn hits(&self, bytes: Range<u64>) -> bool {
        match self.edit {
            Edit::Flip { byte, .. } => bytes.contains(&byte),
            Edit::Cut { len } => bytes.end > len,
        }
    }

    /// Whether it is at one of these bytes of the file.
    fn is_in(&self, bytes: Range<u64>) -> bool {
        let (Edit::Flip { byte: at, .. } | Edit::Cut { len: at }) = self.edit;
        bytes.contains(&at)
    }

    fn price(&self, fixture: &Fixture) -> Price {
        let Some(stream) = fixture.stream_of(self.file) else {
            let all = |stream: &Expected| (stream.id, vec![ALL]);
            return Price { control: true, lost: fixture.streams.iter().map(all).collect(), ..Price::default() };
        };
        let number = self.file.strip_suffix(".seg").and_then(|path| path.get(path.len() - 8..));
        let segment = number.and_then(|number| u32::from_str_radix(number, 16).ok());
        let lost = segment.map_or_else(Vec::new, |segment| self.lost(stream, segment));
        Price { lost: vec![(stream.id, lost)], ..Price::default() }
    }

    /// The records of the frames that are hit; and where nothing that is left says that these were durable, all behind
    /// them.
    fn lost(&self, stream: &Expected, segment: u32) -> Vec<Range<u64>> {
        let sealed = stream.sealed.contains(&segment);
        // Without its header no frame of a segment that has no index can be verified.
        let headless = !sealed && self.hits(0..SEGMENT_HEADER_BYTES);
        let is_hit = |frame: &&stores::Frame| {
            frame.place.segment == segment
                && (headless || self.hits(u64::from(frame.place.offset)..u64::from(frame.end)))
        };
        let hit: Vec<_> = stream.frames.iter().filter(is_hit).collect();
        let marks = stream.frames.iter().filter(|frame| !is_hit(frame)).map(|frame| frame.mark);
        let mark = marks.max().unwrap_or_default().max(stream.floor);
        let mut lost: Vec<_> = hit.iter().map(|frame| frame.sequences.clone()).collect();
        let first = hit.first().map_or(Position::new(u32::MAX, 0), |frame| frame.place);
        let behind = stream.frames.iter().filter(|frame| frame.place >= first && frame.place >= mark);
        lost.extend(behind.map(|frame| frame.sequences.clone()));
        lost
    }
}

/// All damages of a store: the bits of all bytes in use and of some behind, and the cuts at each of these bytes.
fn damages(fixture: &Fixture) -> Vec<Damage<'_>> {
    let mut damages = Vec::new();
    for (file, image) in &fixture.files {
        let end = (image.bytes.len() as u64 + BEYOND).min(image.len);
        let flips = (0..end).flat_map(|byte| (0..8).map(move |bit| Edit::Flip { byte, bit }));
        let cuts = (0..end).map(|len| Edit::Cut { len });
        damages.extend(flips.chain(cuts).map(|edit| Damage { file, edit }));
    }
    damages
}

/// Judges damages on two threads; fails with all that is wrong.
fn judge_all(fixture: &Fixture, damages: &[Damage<'_>]) {
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let work = || {
        let scratch = Scratch::new(&fixture.files);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(damage) = damages.get(number) else { return };
            damage.apply(&scratch);
            let opens = if number.is_multiple_of(8) { Opens::Twice } else { Opens::Once };
            if let Err(fault) = judge(&scratch, fixture, &damage.price(fixture), opens, Some(damage.file)) {
                faults.lock().expect("no panic holds it").push(format!("{damage:?}: {fault}"));
            }
            scratch.restore();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let faults = faults.into_inner().expect("no panic holds it");
    let shown = faults[..faults.len().min(8)].join("\n");
    assert!(faults.is_empty(), "{}: {} of {}:\n{shown}", fixture.name, faults.len(), damages.len());
}

/// How many damages are judged.
enum Wanted {
    All,
    /// So many of each small store.
    Some(usize),
}

fn wanted() -> Wanted {
    match std::env::var("MILLRACE_DAMAGE").as_deref() {
        Ok("all") => Wanted::All,
        Ok(count) => Wanted::Some(count.parse().expect("MILLRACE_DAMAGE is a number, or all")),
        Err(_) => Wanted::Some(CHOSEN),
    }
}

fn every_damage(fixture: &Fixture) {
    let all = damages(fixture);
    let chosen = match wanted() {
        Wanted::All => all.clone(),
        Wanted::Some(count) => choose(&all, fixture, count),
    };
    let flips = chosen.iter().filter(|damage| matches!(damage.edit, Edit::Flip { .. })).count();
    println!(
        "damage: {flips} flips and {} truncations judged over {} files of the {} store, {} of {} in all, seed {}",
        chosen.len() - flips,
        fixture.files.len(),
        fixture.name,
        chosen.len(),
        all.len(),
        seed()
    );
    judge_all(fixture, &chosen);
}

/// Some damages by the seed.
fn choose<'a>(all: &[Damage<'a>], fixture: &Fixture, count: usize) -> Vec<Damage<'a>> {
    let dice = Dice::new(seed() ^ fixture.name.len() as u64);
    let is_dull =
        |damage: &&Damage<'_>| damage.file.ends_with(".seg") && damage.is_in(HEADER_FIELDS_BYTES..SEGMENT_HEADER_BYTES);
    let (dull, telling): (Vec<&Damage<'_>>, Vec<_>) = all.iter().partition(is_dull);
    let mut chosen = BTreeSet::new();
    while chosen.len() < count {
        let from = if dice.below(DULL) == 0 { &dull } else { &telling };
        chosen.insert((*dice.pick(from)).clone());
    }
    chosen.into_iter().collect()
}

#[test]
fn every_damage_to_a_closed_store_is_noticed_and_does_not_spread() {
    every_damage(&stores::closed());
}

#[test]
fn every_damage_to_a_crashed_store_is_noticed_and_does_not_spread() {
    every_damage(&stores::crashed());
}

#[test]
fn every_damage_to_a_store_of_recycled_files_is_noticed_and_does_not_spread() {
    every_damage(&stores::recycled());
}

#[test]
fn every_damage_to_a_store_of_several_streams_is_noticed_and_does_not_spread() {
    every_damage(&stores::several());
}

#[test]
fn an_undamaged_store_reads_back_whole() {
    for fixture in stores::all() {
        let scratch = Scratch::new(&fixture.files);
        let none = Price::default();
        assert_eq!(judge(&scratch, &fixture, &none, Opens::Twice, None), Ok(0), "{}", fixture.name);
        scratch.restore();
        assert_eq!(scratch::files_below(scratch.path()), fixture.files, "{}: put back as it was", fixture.name);
    }
}

#[test]
fn a_control_log_that_lost_its_end_costs_no_record_of_a_stream() {
    let fixture = stores::several();
    // The command that says that the stream was opened again, and all behind it: the clean tail that is left is old.
    let opened = br#"{"command":"streamOpened","id":1}"#;
    let find = |image: &Image| image.bytes.windows(opened.len()).rposition(|part| part == opened);
    let of_control = fixture.files.iter().filter(|(name, _)| name.starts_with("control/"));
    let (control, at) = of_control
        .filter_map(|(name, image)| Some((name, find(image)?)))
        .next_back()
        .expect("the stream was opened again");
    let scratch = Scratch::new(&fixture.files);
    Damage { file: control, edit: Edit::Cut { len: at as u64 } }.apply(&scratch);
    let engine = Engine::open(scratch.path(), fixture.options(scratch.disk())).expect("opened");
    assert!(!engine.warnings().is_empty(), "the control log lost its end");
    for expected in &fixture.streams {
        let stream = engine.stream(&expected.name).expect("the stream");
        append(&stream, &[("later", b"more")]).expect("appended");
        stream.flush().expect("flushed");
        let records = read_shard(&stream, None).expect("readable").records;
        assert_eq!(records[..expected.records.len()], expected.records[..], "{}", expected.name);
    }
    engine.close().expect("closed");
}

#[test]
fn a_verification_names_every_record_behind_the_place_where_a_sealed_segment_is_cut() {
    let fixture = stores::closed();
    let stream = &fixture.streams[0];
    let frame = stream.frames.iter().find(|frame| frame.sequences.contains(&8)).expect("the second frame of records");
    let scratch = Scratch::new(&fixture.files);
    let file = format!("streams/{:016x}/{:08x}.seg", stream.id, frame.place.segment);
    Damage { file: &file, edit: Edit::Cut { len: u64::from(frame.place.offset) } }.apply(&scratch);
    let engine = Engine::open(scratch.path(), fixture.options(scratch.disk())).expect("opened");
    let findings = engine.stream(&stream.name).expect("the stream").verify(|_, _| true).expect("verified").findings;
    let damaged = findings.iter().find(|finding| finding.meaning == Meaning::Damaged).expect("damage is found");
    assert_eq!((damaged.bytes.start, damaged.sequences.clone()), (frame.place.offset, 7..19));
    engine.close().expect("closed");
}

/// The judge has to notice each of these; what it is given is right but for one thing.
#[test]
fn the_judge_complains_of_every_lie_that_it_is_told() {
    let fixture = stores::closed();
    let expected = &fixture.streams[0];
    let scratch = Scratch::new(&fixture.files);
    let engine = Engine::open(scratch.path(), fixture.options(scratch.disk())).expect("opened");
    let honest = read_stream(&engine.stream(&expected.name).expect("the stream"), expected.shards).expect("readable");
    engine.close().expect("closed");
    assert_eq!(check(&honest, expected, &[], &[]), Ok(0));
    let lie = |tell: &dyn Fn(&mut Reading)| {
        let mut reading = honest.clone();
        tell(&mut reading);
        // Even where everything may be lost, nothing may be lost in silence.
        check(&reading, expected, &[], &[]).expect_err("a lie, where nothing may be lost");
        check(&reading, expected, &[ALL], &[]).expect_err("a lie, where all may be lost")
    };
    let finding = |sequences: Range<u64>| Finding {
        log: "stream small".to_owned(),
        segment: 1,
        bytes: 4096..4160,
        sequences,
        shards: millrace::Shards::Any,
        meaning: Meaning::Damaged,
    };
    // Records are dropped, changed, invented, repeated, out of order.
    lie(&|reading| drop(reading.whole.records.remove(5)));
    lie(&|reading| drop(reading.whole.records.pop()));
    lie(&|reading| reading.whole.records[3].data[0] ^= 1);
    lie(&|reading| reading.whole.records[3].key.push('x'));
    lie(&|reading| reading.whole.records[3].sequence += 1_000);
    lie(&|reading| reading.whole.records[3].arrival_ms += 1);
    lie(&|reading| reading.whole.records.insert(4, honest.whole.records[4].clone()));
    lie(&|reading| reading.whole.records.swap(0, 1));
    lie(&|reading| drop(reading.shards[1].1.records.remove(0)));
    lie(&|reading| (reading.shards[0].0, reading.shards[1].0) = (1, 0));
    // A gap is met, and its finding names other records; a finding names it, and no reader meets it.
    lie(&|reading| {
        let record = reading.whole.records.remove(5);
        reading.shards[record.shard as usize].1.records.retain(|other| *other != record);
        reading.whole.reported = true;
        reading.verified = vec![finding(record.sequence + 1..record.sequence + 2)];
    });
    lie(&|reading| {
        let record = reading.whole.records.remove(5);
        reading.shards[record.shard as usize].1.records.retain(|other| *other != record);
        reading.verified = vec![finding(record.sequence..record.sequence + 1)];
    });
    // The reader of the whole stream hears of it, that of the shard does not.
    lie(&|reading| {
        let record = reading.whole.records.remove(5);
        reading.shards[record.shard as usize].1.records.retain(|other| *other != record);
        reading.whole.reported = true;
        reading.verified = vec![finding(record.sequence..record.sequence + 1)];
    });
    lie(&|reading| reading.whole.reported = true);
    lie(&|reading| reading.verified = vec![finding(2..3)]);
    lie(&|reading| reading.appended = expected.records.last().expect("records").sequence);
}
