//! Damage of any size and any number to large stores, by the seed: bytes, sectors and pages are overwritten by zeros,
//! ones, noise, other pages of the file, the same page of another segment; files are swapped, cut, extended, doubled,
//! lost. What the damage does not touch is read; what it touches is named or read; nothing else is ever served.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::format::segment::SEGMENT_HEADER_BYTES;
use millrace::{Durability, Position, Stream, StreamConfig};

use super::judge::{Opens, Price, judge};
use super::scratch::{Image, Scratch};
use super::stores::{Builder, Expected, Fixture, Frame};
use crate::dice::{Dice, seed};
use crate::support::append;

/// A large store takes as long as so many small ones.
const FLIPS_A_CASE: usize = 40;
/// How many large stores of each kind are judged where all damages to the small ones are.
const CASES_ALL: usize = 5_000;
const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What becomes of the files: their new content, or `None` where they are gone.
type Changes = BTreeMap<String, Option<Image>>;

/// Tens of segments, three policies, records of all sizes.
fn large(left: &'static str, seed: u64) -> Fixture {
    let dice = Dice::new(seed);
    let mut builder = Builder::new(seed);
    let config = |shards, durability| StreamConfig { shards, durability, ..StreamConfig::default() };
    let streams = [
        builder.stream("synced", config(16, Durability::Synced)),
        builder.stream("interval", config(1, Durability::Interval { ms: 20 })),
        builder.stream("os", config(3, Durability::Os)),
    ];
    for round in 0..60 {
        for stream in &streams {
            put(&dice, stream, round);
            if dice.below(3) > 0 {
                stream.flush().expect("flushed");
            }
        }
        builder.pass_ms(if dice.below(4) == 0 { 1_000 } else { 10 });
        if round == 40 {
            builder.reopen();
            return finish(builder, &dice, left);
        }
    }
    finish(builder, &dice, left)
}

fn finish(builder: Builder, dice: &Dice, left: &'static str) -> Fixture {
    let names = ["synced", "interval", "os"];
    for name in names {
        let stream = builder.engine.stream(name).expect("the stream");
        for round in 60..70 {
            put(dice, &stream, round);
        }
        stream.flush().expect("flushed");
        builder.pass_ms(1_000);
        put(dice, &stream, 70);
    }
    if left == "closed" { builder.closed(left, &names) } else { builder.crashed(left, &names) }
}

fn put(dice: &Dice, stream: &Stream, round: usize) {
    let count = 1 + dice.below(40);
    let records: Vec<_> = (0..count)
        .map(|record| {
            let bytes = if dice.below(8) == 0 { dice.below(4_000) } else { dice.below(200) };
            (format!("key-{round}-{record}"), dice.bytes(bytes))
        })
        .collect();
    let records: Vec<_> = records.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
    append(stream, &records).expect("appended");
}

/// A damage of one kind, to one file or two.
fn damage(dice: &Dice, fixture: &Fixture, changes: &mut Changes) -> String {
    let files: Vec<_> =
        fixture.files.keys().filter(|name| name.starts_with("streams/") || dice.below(12) == 0).collect();
    let files: Vec<_> = files.into_iter().filter(|name| *name != "MILLRACE").collect();
    let file = (*dice.pick(&files)).clone();
    let of_kind: Vec<_> = files.iter().filter(|name| name[name.len() - 4..] == file[file.len() - 4..]).collect();
    let other = (**dice.pick(&of_kind)).clone();
    let now = |changes: &Changes, name: &str| match changes.get(name) {
        Some(image) => image.clone(),
        None => fixture.files.get(name).cloned(),
    };
    let Some(image) = now(changes, &file) else { return format!("{file} is gone already") };
    let mut bytes = image.whole();
    let what = match dice.below(12) {
        0 => {
            changes.insert(file.clone(), None);
            return format!("{file} is lost");
        }
        1 => {
            let (first, second) = (now(changes, &file), now(changes, &other));
            changes.insert(file.clone(), second);
            changes.insert(other.clone(), first);
            return format!("{file} and {other} are swapped");
        }
        2 => {
            let copy = format!("{}{:08x}{}", &file[..file.len() - 12], 0x40 + dice.below(4), &file[file.len() - 4..]);
            changes.insert(copy.clone(), Some(image));
            return format!("{file} is doubled as {copy}");
        }
        3 => {
            changes.insert(other.clone(), Some(image));
            return format!("{file} is copied over {other}");
        }
        4 => {
            bytes.truncate(dice.below(bytes.len().max(1)));
            "cut"
        }
        5 => {
            let more = 1 + dice.below(3 * PAGE);
            bytes.extend(if dice.below(2) == 0 { dice.bytes(more) } else { vec![0; more] });
            "extended"
        }
        kind => {
            let unit = [1, 8, SECTOR, SECTOR, PAGE, PAGE][kind - 6];
            overwrite(dice, &mut bytes, unit, now(changes, &other))
        }
    };
    let what = format!("{file} is {what}, {} bytes now", bytes.len());
    changes.insert(file, Some(Image::of(bytes)));
    what
}

fn overwrite(dice: &Dice, bytes: &mut [u8], unit: usize, other: Option<Image>) -> &'static str {
    // Most of it where something stands; zeros at the end of a file are many.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = dice.below(used) / unit * unit;
    let end = (at + unit).min(bytes.len());
    let same = |image: &[u8]| image.get(at..end).map(<[u8]>::to_vec);
    let page = dice.below(used) / unit * unit;
    let (new, what) = match dice.below(5) {
        0 => (vec![0; end - at], "cleared in a place"),
        1 => (vec![0xff; end - at], "filled with ones in a place"),
        2 => (dice.bytes(end - at), "noise in a place"),
        3 => (bytes[page..(page + end - at).min(bytes.len())].to_vec(), "repeated in a place"),
        _ => (other.and_then(|other| same(&other.whole())).unwrap_or_default(), "another file's in a place"),
    };
    bytes[at..at + new.len()].copy_from_slice(&new);
    what
}

/// The newest segment with records, in a log whose process died, is never lost as a whole here: nothing else says that
/// there was one (docs/durability.md names this limit).
fn keep_newest(fixture: &Fixture, changes: &mut Changes) {
    if fixture.name == "closed" {
        return;
    }
    for stream in &fixture.streams {
        let segment = stream.frames.last().expect("a frame").place.segment;
        let newest = &format!("streams/{:016x}/{segment:08x}.seg", stream.id);
        if changes.get(newest) == Some(&None) {
            changes.remove(newest);
        }
    }
}

/// Whether some bytes of a file are other ones than they were.
fn differs(old: &Image, new: Option<&Image>, range: Range<u32>) -> bool {
    let range = range.start as usize..range.end as usize;
    let part = |image: &Image| {
        (0..range.len()).map(|at| image.bytes.get(range.start + at).copied().unwrap_or(0)).collect::<Vec<_>>()
    };
    new.is_none_or(|new| new.len < range.end as u64 || part(new) != part(old))
}

/// What the damage may cost at most.
fn price(fixture: &Fixture, changes: &Changes) -> Price {
    let is_control = |name: &String| !name.starts_with("streams/");
    let control = changes.keys().any(is_control);
    let lost = fixture.streams.iter().map(|stream| (stream.id, lost_of(fixture, stream, changes, control)));
    let silent = fixture.streams.iter().map(|stream| (stream.id, silent_of(fixture, stream, changes)));
    Price { control, lost: lost.collect(), silent: silent.collect() }
}

fn lost_of(fixture: &Fixture, stream: &Expected, changes: &Changes, control: bool) -> Vec<Range<u64>> {
    if control {
        return vec![super::ALL];
    }
    let path = |segment: u32, end: &str| format!("streams/{:016x}/{segment:08x}.{end}", stream.id);
    let unchanged = |name: &String| !changes.contains_key(name);
    let hit = |frame: &Frame| {
        let name = path(frame.place.segment, "seg");
        let (Some(new), Some(old)) = (changes.get(&name), fixture.files.get(&name)) else { return false };
        let is_sealed = fixture.files.contains_key(&path(frame.place.segment, "idx"));
        let headless = differs(old, new.as_ref(), 0..SEGMENT_HEADER_BYTES);
        // A segment without its good index is as one that has none.
        let is_sealed = is_sealed && unchanged(&path(frame.place.segment, "idx"));
        (headless && !is_sealed) || differs(old, new.as_ref(), frame.place.offset..frame.end)
    };
    let hits: Vec<bool> = stream.frames.iter().map(hit).collect();
    let whole = || stream.frames.iter().zip(&hits).filter(|(_, hit)| !**hit).map(|(frame, _)| frame);
    let ends =
        stream.sealed.iter().filter(|segment| unchanged(&path(**segment, "idx")) && unchanged(&path(**segment, "seg")));
    let end_of =
        |segment: u32| stream.frames.iter().rfind(|frame| frame.place.segment == segment).map(|frame| frame.end);
    let sealed = ends.filter_map(|segment| Some(Position::new(*segment, end_of(*segment)?))).max().unwrap_or_default();
    let clean = if fixture.name == "closed" { stream.floor } else { Position::default() };
    let mark = whole().map(|frame| frame.mark).max().unwrap_or_default().max(sealed).max(clean);
    let first =
        stream.frames.iter().zip(&hits).find(|(frame, hit)| **hit && frame.place >= mark).map(|(frame, _)| frame.place);
    let behind = |frame: &&Frame| first.is_some_and(|first| frame.place >= first);
    let direct = stream.frames.iter().zip(&hits).filter(|(_, hit)| **hit).map(|(frame, _)| frame.sequences.clone());
    direct.chain(stream.frames.iter().filter(behind).map(|frame| frame.sequences.clone())).collect()
}

/// The last frames of the log, if all of their heads are destroyed, the first one's so that it does not even claim to
/// follow the one before: docs/durability.md names this limit.
fn silent_of(fixture: &Fixture, stream: &Expected, changes: &Changes) -> Vec<Range<u64>> {
    let is_hit = |frame: &Frame, from: u32, to: u32| {
        let name = format!("streams/{:016x}/{:08x}.seg", stream.id, frame.place.segment);
        let (old, new) = (&fixture.files[&name], changes.get(&name));
        new.is_some_and(|new| differs(old, new.as_ref(), frame.place.offset + from..frame.place.offset + to))
    };
    let headless = |frame: &&Frame| is_hit(frame, 0, frame.head_end - frame.place.offset);
    let last: Vec<_> = stream.frames.iter().rev().take_while(headless).collect();
    let claims = last.last().is_none_or(|first| !is_hit(first, 16, 24) || !is_hit(first, 48, 52));
    if claims { Vec::new() } else { last.iter().map(|frame| frame.sequences.clone()).collect() }
}

/// How many stores of one kind are judged.
fn cases() -> usize {
    match super::wanted() {
        super::Wanted::All => CASES_ALL,
        super::Wanted::Some(count) => count / FLIPS_A_CASE,
    }
}

/// Judges stores of one kind.
fn judge_random(left: &'static str) {
    let fixture = large(left, 21);
    let (next, cases) = (AtomicUsize::new(0), cases());
    let faults = Mutex::new(Vec::new());
    let damages = AtomicUsize::new(0);
    let work = || {
        let scratch = Scratch::new(&fixture.files);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= cases {
                return;
            }
            let dice = Dice::new(seed().wrapping_mul(1_000_003).wrapping_add(number as u64));
            let mut changes = Changes::new();
            let count = 1 + dice.below(4);
            let what: Vec<_> = (0..count).map(|_| damage(&dice, &fixture, &mut changes)).collect();
            keep_newest(&fixture, &mut changes);
            damages.fetch_add(count, Ordering::Relaxed);
            for (file, image) in &changes {
                scratch.damage(file, image.as_ref());
            }
            if let Err(fault) = judge(&scratch, &fixture, &price(&fixture, &changes), Opens::Twice, None) {
                let fault = format!("case {number} of seed {}: {}: {fault}", seed(), what.join("; "));
                faults.lock().expect("no panic holds it").push(fault);
            }
            scratch.restore();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let bytes: u64 = fixture
        .streams
        .iter()
        .flat_map(|stream| &stream.frames)
        .map(|frame| u64::from(frame.end - frame.place.offset))
        .sum();
    println!(
        "damage: {} random damages judged in {cases} {left} stores of {} files with {bytes} bytes of frames, seed {}",
        damages.into_inner(),
        fixture.files.len(),
        seed()
    );
    let faults = faults.into_inner().expect("no panic holds it");
    assert!(faults.is_empty(), "{} of {cases}:\n{}", faults.len(), faults[..faults.len().min(12)].join("\n"));
}

#[test]
fn random_damage_to_a_large_closed_store_is_noticed_and_does_not_spread() {
    judge_random("closed");
}

#[test]
fn random_damage_to_a_large_crashed_store_is_noticed_and_does_not_spread() {
    judge_random("crashed");
}
