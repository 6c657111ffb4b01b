//! What stands in a store, found without changing it: what verification reports and repair copies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::damage::Damage;
use super::reading::ReadingDisk;
use crate::capacity::CapacityHistory;
use crate::control::rescue::{Beginning, Rescued, rescue};
use crate::control::{
    AccountSettings, EncryptionHistory, Horizon, QueueEntry, Retention, StreamConfig, StreamEntry, StreamStatus,
};
use crate::engine::{clean_tail, queue_directory, state_directory};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::format::Position;
use crate::format::snapshot::ShardEntry;
use crate::log::remains::{Known, Remains};
use crate::log::{LogConfig, log_is_unused};
use crate::queue::log::queue_log_name;
use crate::shard::{SHARDS_MAX, SequenceCodec, ShardMap};
use crate::state_log::{STATE_LOG, state_remains};
use crate::store::ReadStore;

/// How the control log is called in what is reported.
const CONTROL_LOG: &str = "control log";

/// A store that is looked at.
#[derive(Debug)]
pub(crate) struct Examined {
    pub store: ReadStore,
    pub disk: ReadingDisk,
    pub streams: Vec<ExaminedStream>,
    /// The logs of their queues.
    pub queues: Vec<Remains>,
    /// The log of the server's tables.
    pub tables: Option<Remains>,
    pub next_stream_id: u64,
    pub account: AccountSettings,
    /// What is wrong with the control log, and with what no stream could be made of.
    pub damages: Vec<Damage>,
}

/// A stream of it.
#[derive(Debug)]
pub(crate) struct ExaminedStream {
    pub entry: StreamEntry,
    pub remains: Remains,
    /// The control log does not name it any more: name, settings and time of creation are made up.
    pub is_recovered: bool,
    /// What is to be said of it beyond its log.
    pub damages: Vec<Damage>,
}

impl Examined {
    /// Looks at a store.
    pub fn new(store: ReadStore, environment: &Environment) -> Result<Examined> {
        let disk = ReadingDisk::new(Arc::clone(&environment.disk));
        let reading = Environment { disk: Arc::new(disk.clone()), ..environment.clone() };
        let mut damages = Vec::new();
        if !store.has_identity() {
            damages.push(Damage::note("store", "its identity, the file MILLRACE, is damaged or missing"));
        }
        let directory = store.path().to_path_buf();
        let (control, streams) = (directory.join("control"), directory.join("streams"));
        let rescued = rescue_control(&reading, &control, &streams)?;
        damages.extend(rescued.findings.iter().map(|finding| Damage::of(CONTROL_LOG, finding.clone(), None)));
        damages.extend(rescued.notes.iter().map(|note| Damage::note(CONTROL_LOG, note)));
        damages.extend(disk.complaints(&control).iter().map(|complaint| Damage::note(CONTROL_LOG, complaint)));
        let mut examined = Examined {
            store,
            disk,
            streams: Vec::new(),
            queues: Vec::new(),
            tables: None,
            next_stream_id: rescued.next_stream_id,
            account: rescued.account,
            damages,
        };
        for entry in &rescued.streams {
            examined.add_known(&reading, &streams, entry, rescued.is_whole)?;
            examined.add_queues(&reading, &directory, entry)?;
        }
        let known: BTreeSet<u64> = rescued.streams.iter().map(|entry| entry.id).collect();
        for (id, path) in unknown_directories(&reading, &directory, &known)? {
            examined.add_unknown(&reading, id, &path)?;
        }
        examined.add_tables(&reading, &directory)?;
        Ok(examined)
    }

    fn add_known(
        &mut self,
        reading: &Environment,
        streams: &Path,
        entry: &StreamEntry,
        control_is_whole: bool,
    ) -> Result<()> {
        let directory = streams.join(format!("{:016x}", entry.id));
        if entry.status == StreamStatus::Deleting {
            return Ok(());
        }
        if !exists(reading, &directory)? {
            let name = &entry.name;
            self.damages.push(Damage::note(name, "all its files are missing, or the control log lost its deletion"));
            return Ok(());
        }
        let remains =
            Remains::find(reading.clone(), log_config(entry, directory.clone())?, known(entry, control_is_whole));
        match unless_damaged(remains)? {
            Ok(remains) => {
                let entry = entry.clone();
                self.streams.push(ExaminedStream { entry, remains, is_recovered: false, damages: Vec::new() });
            }
            Err(damage) => self.damages.push(Damage::note(&entry.name, &damage)),
        }
        Ok(())
    }

    fn add_queues(&mut self, reading: &Environment, store: &Path, entry: &StreamEntry) -> Result<()> {
        for queue in &entry.queues {
            match unless_damaged(queue_remains(reading, store, queue))? {
                Ok(remains) => self.queues.extend(remains),
                Err(damage) => self.damages.push(Damage::note(&queue_log_name(&queue.name), &damage)),
            }
        }
        Ok(())
    }

    fn add_tables(&mut self, reading: &Environment, store: &Path) -> Result<()> {
        match unless_damaged(state_remains(reading, state_directory(store)))? {
            Ok(remains) => self.tables = remains,
            Err(damage) => self.damages.push(Damage::note(STATE_LOG, &damage)),
        }
        Ok(())
    }

    /// A directory that the control log does not name: what an interrupted creation left, or what it has lost.
    fn add_unknown(&mut self, reading: &Environment, id: u64, directory: &Path) -> Result<()> {
        let place = directory.display().to_string();
        match unless_damaged(log_is_unused(reading, directory))? {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(damage) => {
                self.damages.push(Damage::note(&place, &damage));
                return Ok(());
            }
        }
        let is_taken = self.streams.iter().any(|stream| stream.entry.id == id);
        let mut entry = StreamEntry {
            id: if is_taken { self.next_stream_id } else { id },
            name: self.unused_name(id),
            created_ms: 0,
            // Nobody knows how long the records were to be kept, so none expires.
            config: StreamConfig { retention: Retention::Unbounded, ..StreamConfig::default() },
            status: StreamStatus::Active,
            clean_tail: None,
            horizon: Horizon::default(),
            expiry_clock_ms: 0,
            capacity: CapacityHistory::default(),
            consumers: Vec::new(),
            queues: Vec::new(),
            channels: Vec::new(),
            next_shard: 0,
            open_shards: 0,
            scaled_ms: Vec::new(),
            encryption: EncryptionHistory::default(),
            policy: None,
        };
        let found = Remains::find(reading.clone(), log_config(&entry, directory.to_path_buf())?, Known::default());
        let remains = match unless_damaged(found)? {
            Ok(remains) => remains,
            Err(damage) => {
                self.damages.push(Damage::note(&place, &damage));
                return Ok(());
            }
        };
        let beginning = remains.beginning()?;
        entry.created_ms = beginning.map_or(0, |(created_ms, _)| created_ms);
        entry.expiry_clock_ms = entry.created_ms;
        let mut said = format!(
            "the control log has lost its creation; a repair brings it back under this name from {place}, with default \
             settings and without end of its retention"
        );
        match remains.shards()? {
            Ok(shards) => {
                // The copy goes on with these; as of its creation no more is known than how many are open.
                let open = shards.iter().filter(|shard| shard.closed_at.is_none()).count();
                entry.config.shards = u32::try_from(open).unwrap_or(SHARDS_MAX).clamp(1, SHARDS_MAX);
            }
            Err(least) => {
                entry.config.shards = least.min(SHARDS_MAX);
                said.push_str("; no segment tells its shards any more, so there may have been more of them");
            }
        }
        if is_taken || !beginning.is_some_and(|(_, is_first)| is_first) {
            said.push_str("; its sequence numbers are not those that were given out before");
        }
        self.next_stream_id = self.next_stream_id.max(entry.id.saturating_add(1));
        let damages = vec![Damage::note(&entry.name, &said)];
        self.streams.push(ExaminedStream { entry, remains, is_recovered: true, damages });
        Ok(())
    }

    fn unused_name(&self, id: u64) -> String {
        let is_used = |name: &String| self.streams.iter().any(|stream| stream.entry.name == *name);
        let name = format!("recovered-{id:016x}");
        let names = std::iter::once(name.clone()).chain((2u32..).map(|number| format!("{name}-{number}")));
        names.into_iter().find(|name| !is_used(name)).expect("one of so many is not used")
    }
}

impl ExaminedStream {
    /// How its sequences are called outside, unless that cannot be said.
    pub fn codec(&self) -> Option<SequenceCodec> {
        SequenceCodec::new(self.entry.created_ms / 1_000, self.entry.id).ok()
    }

    /// How its log is written elsewhere.
    pub fn config_in(&self, streams: &Path) -> Result<LogConfig> {
        log_config(&self.entry, streams.join(format!("{:016x}", self.entry.id)))
    }
}

/// What the log of a queue holds; nothing where it has none yet.
pub(crate) fn queue_remains(reading: &Environment, store: &Path, queue: &QueueEntry) -> Result<Option<Remains>> {
    let directory = queue_directory(store, queue.id);
    if !exists(reading, &directory)? {
        return Ok(None);
    }
    let config = LogConfig::plain(queue_log_name(&queue.name), directory, queue.id);
    Remains::find(reading.clone(), config, Known::default()).map(Some)
}

/// The error of something that is not there any more as a sentence; others stay errors.
fn unless_damaged<T>(result: Result<T>) -> Result<std::result::Result<T, String>> {
    match result {
        Err(error) if [Kind::Corrupt, Kind::Io].contains(&error.kind()) => {
            Ok(Err(format!("left out as a whole: {}", error.message())))
        }
        other => other.map(Ok),
    }
}

/// What the control log knows of a stream's log.
fn known(entry: &StreamEntry, control_is_whole: bool) -> Known {
    let position = |segment: u64, offset| Position::new(u32::try_from(segment).unwrap_or(u32::MAX), offset);
    let horizon = entry.horizon;
    let floor = clean_tail(entry).unwrap_or_default();
    Known {
        floor,
        next_sequence: floor.next_sequence.max(horizon.sequence),
        horizon: control_is_whole.then(|| (position(horizon.segment, horizon.offset), horizon.sequence)),
    }
}

fn shard_entries(shards: u32) -> Result<Vec<ShardEntry>> {
    Ok(ShardMap::uniform(shards)?.shards().iter().map(ShardEntry::from).collect())
}

fn log_config(entry: &StreamEntry, directory: PathBuf) -> Result<LogConfig> {
    let shards = shard_entries(entry.config.shards)?;
    Ok(LogConfig { shards, ..LogConfig::plain(format!("stream {}", entry.name), directory, entry.id) })
}

fn exists(reading: &Environment, directory: &Path) -> Result<bool> {
    match reading.disk.list(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        other => other.map(|_| true).map_err(|error| Error::io(directory.display(), error)),
    }
}

fn rescue_control(reading: &Environment, control: &Path, streams: &Path) -> Result<Rescued> {
    if exists(reading, control)? {
        return rescue(reading, control, &|| beginnings(reading, streams));
    }
    if !exists(reading, streams)? {
        // A store of which nothing but the identity was made yet.
        return Ok(Rescued { next_stream_id: 1, is_whole: true, ..Rescued::default() });
    }
    let notes = vec!["it is missing".to_owned()];
    Ok(Rescued { next_stream_id: crate::control::rescue::IDS_SKIPPED, notes, ..Rescued::default() })
}

/// What the files of each stream tell of its creation, where they reach back to it.
fn beginnings(reading: &Environment, streams: &Path) -> Result<Vec<Beginning>> {
    let mut beginnings = Vec::new();
    for name in names(reading, streams)? {
        let Ok(id) = u64::from_str_radix(&name, 16) else { continue };
        let config = LogConfig::plain(format!("stream {name}"), streams.join(&name), id);
        let Ok(remains) = unless_damaged(Remains::find(reading.clone(), config, Known::default()))? else { continue };
        if let (Some((created_ms, true)), Ok(shards)) = (remains.beginning()?, remains.shards()?) {
            let shards = u32::try_from(shards.len()).unwrap_or(u32::MAX);
            beginnings.push(Beginning { id, created_ms, shards });
        }
    }
    Ok(beginnings)
}

fn names(reading: &Environment, directory: &Path) -> Result<Vec<String>> {
    match reading.disk.list(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => {
            let mut names = other.map_err(|error| Error::io(directory.display(), error))?;
            names.sort_unstable();
            Ok(names)
        }
    }
}

/// The directories of streams that the control log does not know: ids and paths, orphans last.
fn unknown_directories(reading: &Environment, store: &Path, known: &BTreeSet<u64>) -> Result<Vec<(u64, PathBuf)>> {
    let mut unknown = Vec::new();
    let (streams, orphans) = (store.join("streams"), store.join("orphans"));
    for name in names(reading, &streams)? {
        if let Ok(id) = u64::from_str_radix(&name, 16)
            && !known.contains(&id)
        {
            unknown.push((id, streams.join(name)));
        }
    }
    for name in names(reading, &orphans)? {
        let id = name.split('-').next().and_then(|id| u64::from_str_radix(id, 16).ok());
        unknown.extend(id.map(|id| (id, orphans.join(name))));
    }
    Ok(unknown)
}
