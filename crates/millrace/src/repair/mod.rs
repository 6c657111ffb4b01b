//! Repair: all that is good of a store, in a copy, and a report of what was left out. The store itself stays as it is.
//!
//! Which records are good is decided as opening the store would decide it: what recovery cuts is no part of the copy
//! either, because it may be what nobody was promised, and what was promised before it is missing. Of what is in the
//! log, every run that is intact is kept, with its sequences, arrival times and order.
//!
//! The copy is written under another name and renamed when all of it is on disk.

mod damage;
mod examine;
mod reading;

use std::path::Path;

use crate::control::{CleanTail, QueueEntry, StreamEntry, journal};
use crate::engine::state_directory;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::format::change::next_shard;
use crate::format::snapshot::ShardEntry;
use crate::format::{Position, u32_of};
use crate::log::Meaning;
use crate::log::remains::RESERVED_MAX;
use crate::log::rewrite::Rewriter;
use crate::log::shards::Followed;
use crate::shard::{SequenceNumber, ShardId, ShardMap};
use crate::state_log::{STATE_LOG, copy_remains};
use crate::store::{ReadStore, UnfinishedStore};
pub use damage::Damage;
use examine::ExaminedStream;
pub(crate) use examine::{Examined, queue_remains};

/// What a repair has kept and left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The streams of the copy.
    pub streams: Vec<RepairedStream>,
    /// What was left out of them or could not be read, and what was made up; nothing, if the store was sound.
    pub damages: Vec<Damage>,
}

/// A stream of a repaired store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairedStream {
    /// The name.
    pub name: String,
    /// The number.
    pub id: u64,
    /// Whether the control log did not name it any more: the name, `recovered-…`, and its settings are made up.
    pub is_recovered: bool,
    /// How many records were kept.
    pub records: u64,
    /// How many segments they stand in.
    pub segments: u64,
    /// How many bytes of log were read.
    pub bytes: u64,
}

/// Copies all that is good of the store in `from` to a new store in `to`, a directory that is missing or empty. `from`
/// stays as it is; meanwhile nobody can open it for writing. `progress` is called after each segment with the bytes
/// read so far and their total; it returns whether to go on. `None`: it did not, and there is no copy.
///
/// The copy is made in `to` with `.unfinished` behind its name and gets its name when all of it is on disk. What an
/// interrupted repair has left there, the next one removes.
///
/// # Errors
/// `Locked` (somebody has the store open, or repairs into the same directory), `NotAStore`, `FormatNewer`,
/// `InvalidArgument` (`to` is not empty, or lies in `from`), `DiskFull`, `ReadOnly`, `Unsupported`, `Io` (of the copy;
/// what cannot be read of the store is left out).
///
/// ```
/// use millrace::{Engine, Environment, OpenOptions, StreamConfig, repair};
/// # let directory = tempfile::tempdir().unwrap();
/// let (store, copy) = (directory.path().join("store"), directory.path().join("copy"));
/// let engine = Engine::open(&store, OpenOptions::default())?;
/// engine.create_stream("clicks", StreamConfig::default())?;
/// engine.close()?;
/// let repaired = repair(&store, &copy, &Environment::default(), |_done, _total| true)?.expect("not stopped");
/// assert!(repaired.damages.is_empty());
/// assert_eq!(repaired.streams[0].name, "clicks");
/// # Ok::<(), millrace::Error>(())
/// ```
pub fn repair(
    from: &Path,
    to: &Path,
    environment: &Environment,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<Option<Repair>> {
    let store = ReadStore::claim(from)?;
    // A target that cannot be used is told before a large store has been looked at.
    let target = UnfinishedStore::make(to, store.path(), &*environment.clock)?;
    let copied = Examined::new(store, environment)
        .and_then(|examined| Ok((copy(&examined, &target, environment, &mut progress)?, examined)));
    match copied {
        Ok((Some(repair), examined)) => {
            target.finish(&examined.store, &*environment.clock, &*environment.entropy)?;
            Ok(Some(repair))
        }
        Ok((None, _)) => target.discard().map(|()| None),
        Err(error) => {
            // What cannot be removed now, the next attempt removes.
            let _the_first_error_is_told = target.discard();
            Err(error)
        }
    }
}

fn copy(
    examined: &Examined,
    target: &UnfinishedStore,
    environment: &Environment,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Repair>> {
    let mut repair = Repair { streams: Vec::new(), damages: examined.damages.clone() };
    let streams = target.path().join("streams");
    let failed = |error| Error::io(streams.display(), error);
    environment.disk.make_directory(&streams).map_err(failed)?;
    let total = examined.streams.iter().map(|stream| stream.remains.bytes()).sum();
    let mut done = 0;
    let mut entries = Vec::new();
    for stream in &examined.streams {
        let mut step = |bytes: u64| {
            done += bytes;
            progress(done, total)
        };
        let Some(entry) = copy_stream(examined, stream, &streams, environment, &mut step, &mut repair)? else {
            return Ok(None);
        };
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry.id);
    environment.disk.sync_directory(&streams).map_err(failed)?;
    copy_tables(examined, target, environment, &mut repair)?;
    journal::write(environment, &target.path().join("control"), examined.next_stream_id, entries, examined.account)?;
    Ok(Some(repair))
}

/// Copies the log of the server's tables, up to what is damaged of it.
fn copy_tables(
    examined: &Examined,
    target: &UnfinishedStore,
    environment: &Environment,
    repair: &mut Repair,
) -> Result<()> {
    let Some(remains) = &examined.tables else { return Ok(()) };
    let findings = remains.read_all()?;
    repair.damages.extend(findings.into_iter().map(|finding| Damage::of(STATE_LOG, finding, None)));
    if !copy_remains(remains, environment, state_directory(target.path()))? {
        let note = "the tables are as they were before what is damaged: what was written since is lost";
        repair.damages.push(Damage::note(STATE_LOG, note));
    }
    Ok(())
}

/// Copies one stream; returns its entry in the state, or `None` where it was told to stop.
fn copy_stream(
    examined: &Examined,
    stream: &ExaminedStream,
    streams: &Path,
    environment: &Environment,
    step: &mut dyn FnMut(u64) -> bool,
    repair: &mut Repair,
) -> Result<Option<StreamEntry>> {
    let ExaminedStream { entry, remains, is_recovered, damages } = stream;
    let mut entry = entry.clone();
    let mut findings = remains.findings.clone();
    let mut records = 0;
    let mut rewriter = Rewriter::new(environment.clone(), stream.config_in(streams)?)?;
    for part in &remains.parts {
        let read = remains.read(part)?;
        let is_horizon = u64::from(part.segment) == entry.horizon.segment;
        let offset = if is_horizon { entry.horizon.offset } else { 0 };
        let horizon = rewriter.copy(part, &read, offset)?;
        if let Some(Position { offset, .. }) = horizon.filter(|_| is_horizon) {
            entry.horizon.offset = offset;
        }
        records += read.scan.intact_records();
        findings.extend(read.findings);
        if !step(u64::from(part.end)) {
            return Ok(None);
        }
    }
    // Where something is missing, nobody knows what was reserved there.
    let lost = findings.iter().any(|finding| finding.meaning != Meaning::Index);
    let reserved = remains.next_sequence.saturating_add(if lost { RESERVED_MAX } else { 0 });
    let segments = rewriter.segments();
    let (shards, note) = shards_of_copy(rewriter.followed(), stream, reserved)?;
    repair.damages.extend(note.map(|note| Damage::note(&entry.name, &note)));
    if next_shard(&shards) != entry.config.shards {
        entry.next_shard = next_shard(&shards);
        entry.open_shards = u32_of(shards.iter().filter(|shard| shard.closed_at.is_none()).count());
    }
    let tail = rewriter.finish(remains.next_segment, reserved, shards)?;
    entry.clean_tail = Some(CleanTail {
        segment: u64::from(tail.position.segment),
        offset: tail.position.offset,
        next_sequence: tail.next_sequence,
        last_frame_checksum: tail.last_checksum,
        last_arrival_ms: tail.last_arrival_ms,
    });
    let name = entry.name.clone();
    // How far a queue has come is not copied. Its records are, and it hands them out again.
    let begins_again = |queue: &QueueEntry| format!("queue {} begins again where it began", queue.name);
    repair.damages.extend(entry.queues.iter().map(|queue| Damage::note(&name, &begins_again(queue))));
    repair.damages.extend(damages.iter().cloned());
    repair.damages.extend(findings.into_iter().map(|finding| Damage::of(&name, finding, stream.codec())));
    let complaints = examined.disk.complaints(&remains.config.directory);
    repair.damages.extend(complaints.iter().map(|complaint| Damage::note(&name, complaint)));
    let bytes = remains.bytes();
    repair.streams.push(RepairedStream { name, id: entry.id, is_recovered: *is_recovered, records, segments, bytes });
    Ok(Some(entry))
}

/// The shard map that the copy goes on with. Where a change of it is lost, nobody knows the ranges of the shards that were
/// open last: all that are known are closed then, and new ones opened in their place, as many as were open.
fn shards_of_copy(
    followed: &Followed,
    stream: &ExaminedStream,
    next_sequence: u64,
) -> Result<(Vec<ShardEntry>, Option<String>)> {
    let is_whole = ShardMap::from_entries(&followed.shards);
    let known = match &is_whole {
        Ok(map) => map.clone(),
        Err(_) => ShardMap::uniform(stream.entry.config.shards)?,
    };
    let next = followed.records_until.max(stream.entry.next_shard()).max(known.next_id());
    if followed.lost.is_none() && is_whole.is_ok() && next == known.next_id() {
        return Ok((followed.shards.clone(), None));
    }
    let map = known.made_anew(ShardId(next), SequenceNumber(next_sequence))?;
    let note = format!(
        "a change of its shards is lost; from now on its keys belong to {} new shards, {} being the first",
        map.open_count(),
        ShardId(next)
    );
    Ok((map.entries(), Some(note)))
}
