//! What was told of a stream's channel, and what must be true of its objects because of it: each record of the stream that
//! the channel says it has delivered is in one object, none is in two, and an object that counts never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace::{
    Bucket, ChannelConfig, ChannelEntry, ChannelOptions, Compression, DirectoryDestination, Engine, Error,
    RecordFormat, Stream,
};

use crate::disk::SimDisk;
use crate::ledger::{Complaint, Ledger, data_of, locked, must, number_of, sequences_in};

/// How old a record grows before it is delivered, in seconds.
const FRESHNESS_S: u32 = 5;
/// The longest that a channel rests after a failure, and the longest that a record waits, in milliseconds.
pub const REST_MS: u64 = 60_000;

/// Where the buckets are, below the store: on the same disk.
const BUCKETS: &str = "channels";
const OBJECTS: &str = "objects";
/// What is not UTF-8, which most records are not.
const DEAD_LETTERS: &str = "dead-letters";

/// What was told of the channel of a stream.
#[derive(Clone, Debug, Default)]
pub struct ChannelLedger {
    /// Whether one is being made, or nobody knows what became of it.
    pub is_in_doubt: bool,
    known: Option<Known>,
}

/// A channel that there is.
#[derive(Clone, Debug)]
struct Known {
    id: u64,
    /// The sequence from which on it delivers, and that up to which it has.
    start: u64,
    delivered: u64,
    /// The digests of the objects that count, by the sequences that they begin at and their bucket.
    objects: BTreeMap<(u64, &'static str), u64>,
}

impl ChannelLedger {
    /// Holds the channel of a stream, and its objects, against what was told, and notes how far it has come.
    ///
    /// # Errors
    /// What does not follow from it.
    pub fn examine(
        &mut self,
        stream: &Stream,
        root: &Path,
        sizes: &[usize],
        readable: &BTreeMap<u64, u64>,
    ) -> Result<(), Complaint> {
        let name = stream.name();
        let entry = stream.channels()?.into_iter().next().map(|report| report.channel);
        must!(entry.is_some() || self.known.is_none(), "{name}: its channel is gone");
        must!(entry.is_none() || self.known.is_some() || self.is_in_doubt, "{name}: it has a channel nobody made");
        self.is_in_doubt = false;
        let Some(entry) = entry else { return Ok(()) };
        let known = self.known.get_or_insert_with(|| Known::of(&entry));
        must!(known.id == entry.id, "{name}: its channel is another one");
        must!(known.delivered <= entry.delivered, "{name}: its channel went back to {}", entry.delivered);
        known.delivered = entry.delivered;
        known.examine(name, root, sizes, readable)
    }
}

impl Known {
    fn of(entry: &ChannelEntry) -> Known {
        Known { id: entry.id, start: entry.delivered, delivered: entry.delivered, objects: BTreeMap::new() }
    }

    /// `readable` are the sequences of the records that the stream has, by their numbers.
    fn examine(
        &mut self,
        stream: &str,
        root: &Path,
        sizes: &[usize],
        readable: &BTreeMap<u64, u64>,
    ) -> Result<(), Complaint> {
        let mut delivered = BTreeSet::new();
        let mut counting = BTreeMap::new();
        for bucket in [OBJECTS, DEAD_LETTERS] {
            for (begins, body) in objects(&root.join(BUCKETS).join(bucket).join(stream), self.id) {
                let what = || format!("{stream}: the object at {begins} in {bucket}");
                must!(begins <= self.delivered, "{} lies behind {}", what(), self.delivered);
                let numbers = match bucket {
                    OBJECTS => numbers_of_lines(&body, sizes),
                    _ => numbers_of_letters(&body, sizes),
                };
                let Some(numbers) = numbers else {
                    return Err(Complaint::Broken(format!("{} holds what nobody wrote", what())));
                };
                for number in numbers {
                    must!(delivered.insert(number), "{} holds record {number}, which is in another too", what());
                    let ends = readable.get(&number).filter(|_| begins < self.delivered);
                    must!(ends.is_none_or(|sequence| *sequence < self.delivered), "{} holds more than it says", what());
                }
                if begins < self.delivered {
                    let mut digest = DefaultHasher::new();
                    body.hash(&mut digest);
                    counting.insert((begins, bucket), digest.finish());
                }
            }
        }
        for (object, digest) in &self.objects {
            must!(counting.get(object) == Some(digest), "{stream}: object {object:?} is gone, or has changed");
        }
        self.objects = counting;
        for (number, sequence) in readable {
            let is_due = (self.start..self.delivered).contains(sequence);
            must!(!is_due || delivered.contains(number), "{stream}: record {number} at {sequence} is in no object");
        }
        Ok(())
    }
}

/// Lets the channels of a store be delivered to buckets on its own disk.
///
/// # Errors
/// Those of [`Engine::deliver_channels`].
pub fn deliver_to(engine: &Engine, root: &Path, disk: &SimDisk) -> Result<(), Error> {
    engine.deliver_channels(Arc::new(DirectoryDestination::new(root.join(BUCKETS), Arc::new(disk.clone()))))
}

/// Makes the channel of a stream.
///
/// # Errors
/// Those of [`Stream::create_channel`].
pub fn create(stream: &Stream, ledger: &Mutex<Ledger>) -> Result<(), Error> {
    let name = stream.name();
    locked(ledger).note(name, |told| told.channel.is_in_doubt = true);
    let bucket = |name: &str| Bucket { name: name.to_owned(), owner: None };
    let config = ChannelConfig {
        freshness_s: FRESHNESS_S,
        bucket: bucket(OBJECTS),
        key_template: Some("{stream}/".to_owned()),
        format: RecordFormat::Text,
        compression: Compression::None,
        storage_class: None,
        encryption_key: None,
        dead_letters: bucket(DEAD_LETTERS),
        dead_letter_prefix: Some("{stream}/".to_owned()),
    };
    let options = ChannelOptions { config, notes: BTreeMap::new(), tags: BTreeMap::new() };
    stream.create_channel(&format!("channel-of-{name}"), options)?;
    let entry = stream.channels()?.into_iter().next().map(|report| report.channel);
    let channel = ChannelLedger { is_in_doubt: false, known: entry.as_ref().map(Known::of) };
    locked(ledger).note(name, |told| told.channel = channel);
    Ok(())
}

/// Holds the objects of a stream's channel against what was told; `all_is_due` says that by now all that is durable must
/// have been delivered.
///
/// # Errors
/// What the engine has broken, or refuses.
pub fn check(stream: &Stream, root: &Path, ledger: &Mutex<Ledger>, all_is_due: bool) -> Result<(), Complaint> {
    let name = stream.name();
    // Captures look at the ledger while this reads.
    let as_told = locked(ledger).clone();
    let Some(mut channel) = as_told.streams.get(name).map(|told| told.channel.clone()) else { return Ok(()) };
    let readable = sequences_in(stream, &as_told)?;
    channel.examine(stream, root, &as_told.sizes, &readable)?;
    if let Some(known) = channel.known.as_ref().filter(|_| all_is_due) {
        let waits = readable.values().find(|sequence| **sequence >= known.delivered);
        must!(waits.is_none(), "{name}: the record at {waits:?} is old and durable, and not delivered");
    }
    locked(ledger).note(name, |told| told.channel = channel);
    Ok(())
}

/// The objects of a channel in a folder, each with the sequence that its name ends in.
fn objects(folder: &Path, channel: u64) -> Vec<(u64, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            // What is still being written has one more extension, and no number at the end.
            let (named, begins) = path.file_stem()?.to_str()?.rsplit_once('-')?;
            let (_, id) = named.rsplit_once('-')?;
            (id == format!("{channel:x}")).then_some(())?;
            Some((begins.parse().ok()?, fs::read(&path).ok()?))
        })
        .collect()
}

/// What was written as the record that data begins with; none where nobody wrote that.
fn as_written(data: &[u8], sizes: &[usize]) -> Option<(u64, Vec<u8>)> {
    let number = number_of(data);
    let written = data_of(number, *sizes.get(usize::try_from(number).ok()?)?);
    data.starts_with(&written).then_some((number, written))
}

/// The numbers of the records in an object of text, a line each; none where something else stands there.
fn numbers_of_lines(body: &[u8], sizes: &[usize]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (number, written) = as_written(rest, sizes)?;
        std::str::from_utf8(&written).ok()?;
        rest = &rest[written.len()..];
        if !written.ends_with(b"\n") {
            rest = rest.strip_prefix(b"\n")?;
        }
        numbers.push(number);
    }
    Some(numbers)
}

/// The same of an object of dead letters.
fn numbers_of_letters(body: &[u8], sizes: &[usize]) -> Option<Vec<u64>> {
    let number_of_letter = |line: &[u8]| {
        let letter: serde_json::Value = serde_json::from_slice(line).ok()?;
        let data = STANDARD.decode(letter["data"].as_str()?).ok()?;
        let (number, written) = as_written(&data, sizes)?;
        (written == data && std::str::from_utf8(&data).is_err()).then_some(number)
    };
    body.strip_suffix(b"\n")?.split(|byte| *byte == b'\n').map(number_of_letter).collect()
}
