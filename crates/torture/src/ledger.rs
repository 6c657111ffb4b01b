//! What the engine has told the outside, and what must be true of the store because of it: the naive model.
//!
//! A stream is a list of records in the order of its log. An entry that the engine has answered has a place (shard and
//! sequence); one whose append is under way, or failed, has none, and may be there or not. Whatever is read must be a
//! piece of that list without a hole: from where retention may have cut it, to where a crash may have.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use millrace::format::record::Records;
use millrace::{
    Engine, Error, Kind, Meaning, Position, ReaderOptions, Retention, StartAt, StateLog, Step, Stream, StreamConfig,
    StreamStatus, Visibility,
};

use crate::channels::ChannelLedger;
use crate::disk::SimDisk;
use crate::queues::QueueLedger;
use crate::shards::ShardLedger;
use crate::state::StateLedger;

/// By how much a clock may be wrong without anybody's consent, once for each time that a store is opened.
const TOLERANCE_MS: u64 = 3_600_000;

/// How the engine ended before what is examined, from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It goes on, or was closed.
    #[default]
    Orderly,
    /// Its process was killed; the machine went on.
    Killed,
    /// The same after the disk had failed: of what was refused there may be pieces.
    Torn,
    /// The power failed; or a process was killed after a sync had failed, when nobody knows what the kernel kept.
    Lost,
}

/// A record that was given to the engine. Key and data follow from its number.
#[derive(Clone, Debug)]
pub struct Told {
    number: u64,
    bytes: usize,
    /// Shard and sequence, once the engine has said them.
    place: Option<(u32, u64)>,
    end: Position,
    /// When, in milliseconds of true time.
    at_ms: u64,
    /// Whether the engine has called it durable.
    is_durable: bool,
}

/// What was told of one stream.
#[derive(Clone, Debug)]
pub struct StreamLedger {
    id: u64,
    config: StreamConfig,
    records: Vec<Told>,
    sequence_max: u64,
    /// Its shards.
    pub shards: ShardLedger,
    /// Its queue.
    pub queue: QueueLedger,
    /// Its channel.
    pub channel: ChannelLedger,
    /// The shortest that the retention ever was.
    retention_ms_least: Option<u64>,
}

/// A change of the control plane that is under way.
#[derive(Clone, Debug)]
pub enum Intent {
    /// A stream is being created.
    Create(String, Box<StreamConfig>),
    /// A stream is being deleted.
    Delete(String),
    /// A stream's retention is being changed.
    Retain(String, Retention),
}

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The streams that there are.
    pub streams: BTreeMap<String, StreamLedger>,
    /// The log of an application's state.
    pub state: StateLedger,
    /// What is under way.
    pub intent: Option<Intent>,
    id_max: u64,
    /// The sizes of all records that were ever appended, by their numbers.
    pub sizes: Vec<usize>,
    opens: u64,
    /// How much time has truly passed, in milliseconds.
    pub true_ms: u64,
    /// Whether the wall clock has ever jumped.
    pub clock_has_jumped: bool,
    /// The worst end since the store was examined last.
    pub end: End,
}

/// The ledger, which captures look at too.
pub(crate) fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no panic holds it")
}

/// The key of a record.
fn key_of(number: u64) -> String {
    format!("key-{}", number * 7 % 13)
}

/// The data of a record: its number, then bytes that differ from record to record.
pub(crate) fn data_of(number: u64, bytes: usize) -> Vec<u8> {
    let mut data = number.to_le_bytes().to_vec();
    let mut word = number ^ 0x9e37_79b9_7f4a_7c15;
    while data.len() < 8 + bytes {
        word = word.wrapping_mul(0xd129_0db3_9d5b_4e1f).rotate_left(17) ^ number;
        data.extend_from_slice(&word.to_le_bytes());
    }
    data.truncate(8 + bytes);
    data
}

/// Why an examination did not come to its end.
#[derive(Debug)]
pub enum Complaint {
    /// The engine answered with an error.
    Refused(Error),
    /// What the engine shows does not follow from what it has told.
    Broken(String),
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Complaint {
        Complaint::Refused(error)
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Complaint::Refused(error) => write!(f, "the engine refuses: {error}"),
            Complaint::Broken(what) => f.write_str(what),
        }
    }
}

/// An error may only come of a failure that was planned, and has a kind that says so.
pub(crate) fn check_error(error: Error, disk: &SimDisk) -> Result<(), Complaint> {
    let kinds = [Kind::Io, Kind::DiskFull, Kind::Poisoned, Kind::OutcomeUnknown];
    if disk.failed() > 0 && kinds.contains(&error.kind()) { Ok(()) } else { Err(Complaint::Refused(error)) }
}

/// The same of what may be broken too.
pub(crate) fn check(complaint: Complaint, disk: &SimDisk) -> Result<(), Complaint> {
    if let Complaint::Refused(error) = complaint { check_error(error, disk) } else { Err(complaint) }
}

/// Complains where a condition does not hold.
macro_rules! must {
    ($holds:expr, $($complaint:tt)+) => {
        if !$holds {
            return Err($crate::ledger::Complaint::Broken(format!($($complaint)+)));
        }
    };
}
pub(crate) use must;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    shard: u32,
    sequence: u64,
    number: u64,
}

impl Ledger {
    /// Notes that a stream was made.
    pub fn created(&mut self, name: &str, id: u64, config: StreamConfig) {
        self.id_max = self.id_max.max(id);
        let retention_ms_least = config.retention.ms();
        let (records, shards) = (Vec::new(), ShardLedger::default());
        let (queue, channel) = (QueueLedger::default(), ChannelLedger::default());
        let stream = StreamLedger { id, config, records, sequence_max: 0, shards, queue, channel, retention_ms_least };
        self.streams.insert(name.to_owned(), stream);
        self.intent = None;
    }

    /// Notes that the intent came true, where it is the deletion or the change of a stream.
    pub fn intent_is_done(&mut self) {
        match self.intent.take() {
            Some(Intent::Delete(name)) => {
                self.streams.remove(&name);
            }
            Some(Intent::Retain(name, retention)) => self.retain(&name, retention),
            Some(Intent::Create(..)) | None => {}
        }
    }

    fn retain(&mut self, name: &str, retention: Retention) {
        let stream = self.streams.get_mut(name).expect("it is there");
        stream.config.retention = retention;
        stream.retention_ms_least = match (stream.retention_ms_least, retention.ms()) {
            (Some(least), Some(now)) => Some(least.min(now)),
            (least, now) => least.or(now),
        };
    }

    /// Notes that records of these sizes are about to be appended; returns them with their keys.
    pub fn append(&mut self, name: &str, sizes: &[usize]) -> Vec<(String, Vec<u8>)> {
        let at_ms = self.true_ms;
        let first = self.sizes.len() as u64;
        self.sizes.extend(sizes);
        let stream = self.streams.get_mut(name).expect("it is there");
        let numbered = (first..).zip(sizes.iter().copied());
        let told =
            |(number, bytes)| Told { number, bytes, place: None, end: Position::default(), at_ms, is_durable: false };
        stream.records.extend(numbered.clone().map(told));
        numbered.map(|(number, bytes)| (key_of(number), data_of(number, bytes))).collect()
    }

    /// Notes what the engine said of the records that were appended last.
    ///
    /// # Errors
    /// Where a sequence was given before.
    pub fn appended(&mut self, name: &str, places: &[(u32, u64)], end: Position) -> Result<(), Complaint> {
        let stream = self.streams.get_mut(name).expect("it is there");
        let start = stream.records.len() - places.len();
        for (record, place) in stream.records[start..].iter_mut().zip(places) {
            must!(place.1 > stream.sequence_max, "{name}: sequence {} after {}", place.1, stream.sequence_max);
            stream.shards.check_place(&key_of(record.number), *place)?;
            (record.place, record.end) = (Some(*place), end);
        }
        stream.records[start..].sort_by_key(|record| record.place.map(|(_, sequence)| sequence));
        let mut sequences = stream.records[start..].iter().filter_map(|record| Some(record.place?.1));
        must!(sequences.clone().is_sorted_by(|a, b| a < b), "{name}: a sequence was given twice in one call");
        stream.sequence_max = sequences.next_back().unwrap_or(stream.sequence_max);
        Ok(())
    }

    /// Notes something of a stream, if it is there.
    pub(crate) fn note(&mut self, name: &str, change: impl FnOnce(&mut StreamLedger)) {
        if let Some(told) = self.streams.get_mut(name) {
            change(told);
        }
    }

    /// Notes how far the engine calls a stream durable.
    pub fn durable(&mut self, name: &str, durable: Position) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        for record in stream.records.iter_mut().filter(|record| record.place.is_some()) {
            record.is_durable |= record.end <= durable;
        }
    }

    /// The store was opened again: all of it must follow from what was told, and is what counts from now. Returns the log
    /// of the state, if there is one.
    ///
    /// # Errors
    /// What does not follow.
    pub fn examine(&mut self, engine: &Engine) -> Result<Option<StateLog>, Complaint> {
        let end = std::mem::take(&mut self.end);
        self.opens += 1;
        self.examine_streams(engine)?;
        for name in self.streams.keys().cloned().collect::<Vec<_>>() {
            let stream = engine.stream(&name)?;
            for finding in stream.describe().findings {
                let cut = finding.meaning == Meaning::PossiblyAcknowledged;
                must!(cut && end >= End::Torn, "{end:?}, and recovery finds: {finding}");
            }
            self.examine_records(&stream, end)?;
            if let Some(told) = self.streams.get_mut(&name) {
                told.queue.examine(&stream, end)?;
                let places = told.records.iter().filter_map(|record| Some((record.number, record.place?.1)));
                told.channel.examine(&stream, engine.directory(), &self.sizes, &places.collect())?;
            }
            let findings = stream.verify(|_, _| true)?.findings;
            must!(findings.is_empty(), "{name}: verification finds {findings:?}");
            self.durable(&name, Position::new(u32::MAX, u32::MAX));
        }
        let state = self.state.examine(engine, end)?;
        for warning in engine.warnings() {
            let of_a_cut = ["cut that may have been acknowledged", "before a part of its log was lost"];
            let tolerable = warning.contains("expiry is paused")
                || (end >= End::Torn && of_a_cut.iter().any(|cut| warning.contains(cut)));
            must!(tolerable, "{end:?}, and the engine warns: {warning}");
        }
        Ok(state)
    }

    /// The control plane is in a state that was reached.
    fn examine_streams(&mut self, engine: &Engine) -> Result<(), Complaint> {
        let listed = engine.list_streams()?;
        let intent = self.intent.take();
        for stream in &listed {
            let name = &stream.name;
            must!(stream.status != StreamStatus::Deleting, "{name} is half deleted");
            match (&intent, self.streams.get(name)) {
                (Some(Intent::Create(created, config)), None) if created == name => {
                    must!(stream.id > self.id_max, "{name} has the number of an older stream: {}", stream.id);
                    must!(stream.config == **config, "{name} was created otherwise: {:?}", stream.config);
                    self.created(name, stream.id, (**config).clone());
                }
                (_, None) => must!(false, "there is a stream {name} that nobody made, or that was deleted"),
                (Some(Intent::Retain(changed, retention)), Some(_))
                    if changed == name && stream.config.retention == *retention =>
                {
                    self.retain(name, *retention);
                }
                (_, Some(told)) => {
                    must!(stream.config == told.config, "{name} is configured otherwise: {:?}", stream.config);
                    must!(stream.id == told.id, "{name} has another number: {}", stream.id);
                }
            }
        }
        let gone = |name: &String| !listed.iter().any(|stream| stream.name == *name);
        for name in self.streams.keys().filter(|name| gone(name)).cloned().collect::<Vec<_>>() {
            let was_deleted = matches!(&intent, Some(Intent::Delete(deleted)) if *deleted == name);
            must!(was_deleted, "stream {name} is gone");
            self.streams.remove(&name);
        }
        Ok(())
    }

    /// Holds what can be read of a stream against what was told of it.
    ///
    /// # Errors
    /// What does not follow from it.
    pub fn examine_records(&mut self, stream: &Stream, end: End) -> Result<(), Complaint> {
        let slack_ms = (self.opens + 1) * TOLERANCE_MS;
        let true_ms = self.true_ms;
        let name = stream.name().to_owned();
        let told = self.streams.get_mut(&name).expect("it is there");
        told.shards.examine(stream)?;
        let read = read(stream, None, &told.records)?;
        for record in &read {
            told.shards.check_place(&key_of(record.number), (record.shard, record.sequence))?;
        }
        for shard in told.shards.shards().iter().map(|shard| shard.id.0) {
            let of_shard = self::read(stream, Some(shard), &told.records)?;
            let expected = read.iter().filter(|record| record.shard == shard);
            must!(of_shard.iter().eq(expected), "{name}: shard {shard} reads other records than the whole stream");
        }
        let index_of: BTreeMap<u64, usize> =
            told.records.iter().enumerate().map(|(index, record)| (record.number, index)).collect();
        let mut there = vec![None; told.records.len()];
        for record in &read {
            let index = index_of[&record.number];
            must!(there[index].is_none(), "{name}: record {} is there twice", record.number);
            there[index] = Some((record.shard, record.sequence));
            let place = told.records[index].place;
            let is_new = place.is_none();
            must!(is_new || place == there[index], "{name}: {record:?} was told to be at {place:?}");
        }
        let first = there.iter().position(Option::is_some).unwrap_or(there.len());
        let last = there.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        for (index, record) in told.records.iter().enumerate() {
            let Some((_, sequence)) = record.place.filter(|_| there[index].is_none()) else { continue };
            let number = record.number;
            must!(index < first || index >= last, "{name}: record {number} ({sequence}) is missing between others");
            let age_ms = true_ms - record.at_ms;
            let may_have_expired = told.retention_ms_least.is_some_and(|least| age_ms + slack_ms >= least);
            let may_be_cut = end == End::Lost && !record.is_durable && index >= last;
            must!(
                may_be_cut || may_have_expired,
                "{name}: record {number} ({sequence}) is gone after {age_ms} ms; {end:?}, durable {}, first {first}, last {last}",
                record.is_durable
            );
        }
        for (mut record, place) in std::mem::take(&mut told.records).into_iter().zip(there) {
            let may_come_back = end == End::Orderly && record.place.is_none();
            record.place = place;
            if place.is_some() || may_come_back {
                told.sequence_max = told.sequence_max.max(place.map_or(0, |(_, sequence)| sequence));
                told.records.push(record);
            }
        }
        told.records.sort_by_key(|record| record.place.map_or(u64::MAX, |(_, sequence)| sequence));
        Ok(())
    }
}

/// The number that stands first in the data of a record, and of what else [`data_of`] has made.
pub(crate) fn number_of(data: &[u8]) -> u64 {
    data.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

/// The sequences of all records that a stream has, by their numbers.
///
/// # Errors
/// What does not follow from what was told of it.
pub(crate) fn sequences_in(stream: &Stream, ledger: &Ledger) -> Result<BTreeMap<u64, u64>, Complaint> {
    let told = ledger.streams.get(stream.name()).map_or(&[][..], |told| &told.records);
    Ok(read(stream, None, told)?.into_iter().map(|record| (record.number, record.sequence)).collect())
}

/// Reads a shard or the whole stream; each record must be one that was told, byte for byte, and in order.
fn read(stream: &Stream, shard: Option<u32>, told: &[Told]) -> Result<Vec<Read>, Complaint> {
    let name = stream.name();
    let by_number: BTreeMap<u64, &Told> = told.iter().map(|record| (record.number, record)).collect();
    let options = ReaderOptions { shard, from: StartAt::TrimHorizon, visibility: Visibility::Published };
    let mut reader = stream.reader(options)?;
    let mut read = Vec::new();
    while let Step::Chunk(chunk) = reader.next(100, 1 << 20)? {
        for run in &chunk.runs {
            let payload = chunk.payload(run)?;
            let before = read.len();
            for (sequence, record) in (run.first_sequence..).zip(Records::new(payload)) {
                let told = by_number.get(&number_of(record.data));
                let Some(told) = told else {
                    let what = format!("{name}: at {sequence} stands a record that nobody wrote, or that was gone");
                    return Err(Complaint::Broken(what));
                };
                let is_whole =
                    record.key == key_of(told.number).as_bytes() && record.data == data_of(told.number, told.bytes);
                must!(is_whole, "{name}: record {} at {sequence} is not what was written", told.number);
                read.push(Read { shard: run.shard, sequence, number: told.number });
            }
            must!(read.len() - before == run.records as usize, "{name}: a run holds fewer records than it says");
        }
    }
    must!(read.is_sorted_by(|a, b| a.sequence < b.sequence), "{name}: the records are out of order");
    Ok(read)
}
