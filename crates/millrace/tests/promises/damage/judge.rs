//! The judge: opens a store whose files are damaged, reads all that it still gives, and holds that against what was
//! written. What is read and what is held against it are apart, so that the judge itself can be put to the test.

use std::collections::BTreeSet;
use std::ops::Range;

use millrace::{Engine, Error, Finding, Kind, Meaning, Reader, ReaderOptions, StartAt, Step, Stream, Visibility};

use super::scratch::Scratch;
use super::stores::{Expected, Fixture};
use crate::support::{Record, append, unpack};

/// Of a stream with more shards not each one is read alone.
const SHARDS_ALL: u32 = 4;

/// What a damage may cost at most.
#[derive(Clone, Debug, Default)]
pub struct Price {
    /// The damaged file is part of the control plane: the store may be refused.
    pub control: bool,
    /// Sequences that may be lost, by stream; every other record has to be there.
    pub lost: Vec<(u64, Vec<Range<u64>>)>,
    /// Sequences that may be lost without a word, by stream: nothing is left that says that there were any.
    pub silent: Vec<(u64, Vec<Range<u64>>)>,
}

/// How often a damaged store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    Once,
    Twice,
}

/// What one reader came to: the records, and whether damage was named on the way.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub records: Vec<Record>,
    pub reported: bool,
}

/// All that a damaged store gives of a stream.
#[derive(Clone, Debug)]
pub struct Reading {
    pub whole: Outcome,
    /// Of each shard, or of some of many.
    pub shards: Vec<(u32, Outcome)>,
    /// What the opening reported.
    pub opening: Vec<Finding>,
    /// What a verification finds.
    pub verified: Vec<Finding>,
    /// The sequence of a record that is appended afterwards.
    pub appended: u64,
}

fn fault(what: &str) -> impl Fn(Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Reads to the tail, over all damage.
fn read_over(mut reader: Reader) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    for _ in 0..100_000 {
        match reader.next(7, 1 << 20) {
            Ok(Step::Chunk(chunk)) => unpack(&chunk, &mut outcome.records),
            Ok(Step::AtTail | Step::EndOfShard(_)) => return Ok(outcome),
            Err(error) if error.kind() == Kind::Corrupt => {
                outcome.reported = true;
                reader.skip_damage().map_err(fault("damage cannot be skipped"))?;
            }
            Err(error) => return Err(format!("damage is called {error}")),
        }
    }
    Err("skipping damage leads nowhere".to_owned())
}

pub fn read_shard(stream: &Stream, shard: Option<u32>) -> Result<Outcome, String> {
    let options = ReaderOptions { shard, from: StartAt::TrimHorizon, visibility: Visibility::Durable };
    read_over(stream.reader(options).map_err(fault("no reader"))?)
}

/// Reads all of a stream, and appends one record.
pub fn read_stream(stream: &Stream, shards: u32) -> Result<Reading, String> {
    let whole = read_shard(stream, None)?;
    let some = (0..shards).filter(|shard| shards <= SHARDS_ALL || shard % 5 == 0);
    let shards = some.map(|shard| Ok((shard, read_shard(stream, Some(shard))?))).collect::<Result<_, String>>()?;
    let verified = stream.verify(|_, _| true).map_err(fault("verification"))?.findings;
    let placements = append(stream, &[("later", b"more")]).map_err(fault("no more appends"))?;
    let opening = stream.describe().findings;
    Ok(Reading { whole, shards, opening, verified, appended: placements[0].sequence })
}

fn covers(ranges: &[Range<u64>], sequence: u64) -> bool {
    ranges.iter().any(|range| range.contains(&sequence))
}

fn sequences(findings: &[Finding]) -> Vec<Range<u64>> {
    findings.iter().map(|finding| finding.sequences.clone()).collect()
}

/// Holds what was read against what was written; `lost` may be missing, if somebody says so but for `silent`.
pub fn check(
    reading: &Reading,
    expected: &Expected,
    lost: &[Range<u64>],
    silent: &[Range<u64>],
) -> Result<usize, String> {
    let Reading { whole, shards, opening, verified, appended } = reading;
    let mut written = expected.records.iter();
    for record in &whole.records {
        // Both are in the order of their sequences, so one pass sees foreign, changed, repeated and displaced ones.
        if !written.any(|other| other == record) {
            return Err(format!("a record that nobody wrote, or not there: {record:?}"));
        }
    }
    let mut read = whole.records.iter().map(|record| record.sequence).peekable();
    let is_missing = |record: &&Record| read.next_if_eq(&record.sequence).is_none();
    let missing = expected.records.iter().filter(is_missing).map(|record| record.sequence).collect::<BTreeSet<u64>>();
    if let Some(sequence) = missing.iter().find(|sequence| !covers(lost, **sequence)) {
        return Err(format!("record {sequence} is not damaged, and it is lost"));
    }
    let named = [sequences(opening), sequences(verified), silent.to_vec()].concat();
    if let Some(sequence) = missing.iter().find(|sequence| !covers(&named, **sequence)) {
        return Err(format!("record {sequence} is lost, and no finding names it: {opening:?}, verified {verified:?}"));
    }
    // What was cut at the opening is named there. What is damaged and kept, each reader comes upon.
    let cut = [sequences(opening), silent.to_vec()].concat();
    if missing.iter().any(|sequence| !covers(&cut, *sequence)) && !whole.reported {
        return Err("records are missing, and their reader hears nothing of it".to_owned());
    }
    let damaged = |finding: &Finding| finding.meaning == Meaning::Damaged;
    if whole.reported && !verified.iter().any(damaged) {
        return Err("a reader met damage that verification does not find".to_owned());
    }
    // A segment's opening holds no records; readers pass over it.
    if verified.iter().any(|finding| damaged(finding) && !finding.sequences.is_empty()) && !whole.reported {
        return Err(format!("verification finds damage that no reader meets: {verified:?}"));
    }
    for (shard, one) in shards {
        let mut of_shard = expected.records.iter().filter(|record| record.shard == *shard);
        if !one.records.iter().all(|record| of_shard.any(|written| written == record)) {
            return Err(format!("shard {shard} reads a record that nobody wrote there"));
        }
        // Where an index describes its runs, a shard's reader gets those whose frame is damaged elsewhere too.
        let read: BTreeSet<u64> = one.records.iter().map(|record| record.sequence).collect();
        let mut of_whole = whole.records.iter().filter(|record| record.shard == *shard);
        if let Some(record) = of_whole.find(|record| !read.contains(&record.sequence)) {
            return Err(format!("shard {shard} does not read {}, which the whole stream does", record.sequence));
        }
        let of_shard = expected.records.iter().filter(|record| record.shard == *shard);
        let mut gone = of_shard.filter(|record| !read.contains(&record.sequence) && !covers(&cut, record.sequence));
        if gone.next().is_some() && !one.reported {
            return Err(format!("records of shard {shard} are missing, and its reader hears nothing of it"));
        }
    }
    let given = expected.frames.iter().map(|frame| frame.sequences.end).max().unwrap_or(0);
    if *appended < given {
        return Err(format!("sequence {appended} is given again"));
    }
    Ok(missing.len())
}

/// Opens a damaged store, reads all of it, holds it against what was written; how many records are lost, or what is
/// wrong with the engine. `damaged` names the one damaged file, if it is one.
pub fn judge(
    scratch: &Scratch<'_>,
    fixture: &Fixture,
    price: &Price,
    opens: Opens,
    damaged: Option<&str>,
) -> Result<usize, String> {
    let engine = match Engine::open(scratch.path(), fixture.options(scratch.disk())) {
        Ok(engine) => engine,
        Err(error) => return refused(scratch, fixture, price, opens, damaged, &error),
    };
    let mut lost = 0;
    let mut before = Vec::new();
    for expected in &fixture.streams {
        let stream = match engine.stream(&expected.name) {
            Ok(stream) => stream,
            Err(error) => {
                let warned = !engine.warnings().is_empty();
                let none: &[Range<u64>] = &[];
                let all = of(&price.lost, expected).unwrap_or(none);
                let tolerated = match error.kind() {
                    Kind::StreamNotFound => price.control && warned,
                    // Nothing of the log can be read at all.
                    Kind::Corrupt => expected.records.iter().all(|record| covers(all, record.sequence)),
                    _ => false,
                };
                if !tolerated {
                    return Err(format!("opening {} says {error}, warnings {:?}", expected.name, engine.warnings()));
                }
                lost += expected.records.len();
                continue;
            }
        };
        let reading = read_stream(&stream, expected.shards)?;
        let none: &[Range<u64>] = &[];
        let allowed = of(&price.lost, expected).unwrap_or(none);
        let silent = of(&price.silent, expected).unwrap_or(none);
        lost += check(&reading, expected, allowed, silent).map_err(|fault| format!("{}: {fault}", expected.name))?;
        before.push((expected, reading.whole.records));
    }
    engine.close().map_err(fault("closing"))?;
    if opens == Opens::Twice {
        agree(scratch, fixture, &before)?;
    }
    Ok(lost)
}

fn of<'a>(ranges: &'a [(u64, Vec<Range<u64>>)], expected: &Expected) -> Option<&'a [Range<u64>]> {
    ranges.iter().find(|(id, _)| *id == expected.id).map(|(_, ranges)| ranges.as_slice())
}

/// A store may be refused for damage to its control plane alone, and then nothing else is touched: with the file put
/// back, all is there.
fn refused(
    scratch: &Scratch<'_>,
    fixture: &Fixture,
    price: &Price,
    opens: Opens,
    damaged: Option<&str>,
    error: &Error,
) -> Result<usize, String> {
    let of_identity = [Kind::NotAStore, Kind::FormatNewer].contains(&error.kind());
    let fits = match damaged {
        Some("MILLRACE") => of_identity,
        _ => price.control && error.kind() == Kind::Corrupt,
    };
    if !fits {
        return Err(format!("opening says {error}"));
    }
    if let (Some(file), Opens::Twice) = (damaged, opens) {
        scratch.restore_file(file);
        let none = Price::default();
        judge(scratch, fixture, &none, Opens::Once, None)
            .map_err(|fault| format!("refused ({error}) and put back: {fault}"))?;
    }
    Ok(fixture.streams.iter().map(|stream| stream.records.len()).sum())
}

/// A second open finds what the first one left.
fn agree(scratch: &Scratch<'_>, fixture: &Fixture, before: &[(&Expected, Vec<Record>)]) -> Result<(), String> {
    let engine = Engine::open(scratch.path(), fixture.options(scratch.disk())).map_err(fault("opening again"))?;
    for (expected, records) in before {
        let stream = engine.stream(&expected.name).map_err(fault("opening the stream again"))?;
        let again = read_shard(&stream, None)?.records;
        if again.len() != records.len() + 1 || again[..records.len()] != records[..] {
            return Err(format!("read {} records, after another open {}", records.len(), again.len()));
        }
    }
    engine.close().map_err(fault("closing again"))
}
