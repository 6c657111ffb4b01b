//! The state of a control log of which something is missing: every command that is intact and applies.
//!
//! Each command was synced before the next was written, so whatever is intact counts, also behind damage. But a stream's
//! id is not written down where it is created: it is the next one. So once a command may be missing, ids are uncertain
//! until the next snapshot, and a creation counts only where it and the files of one stream bear each other out, and no
//! other does: made within a tenth of a second, with as many shards. A wrong name would be worse than none.

use std::path::Path;

use super::account::AccountSettings;
use super::command::Command;
use super::config::StreamConfig;
use super::journal::config;
use super::state::State;
use super::stream::{CreateStream, StreamEntry};
use crate::environment::Environment;
use crate::error::{Kind, Result};
use crate::format::frame::RunKind;
use crate::log::Finding;
use crate::log::remains::{Known, Remains, StateFrame};

/// How much later than its command says a stream's first segment may have been made, in milliseconds.
const CREATION_MS_MAX: u64 = 100;
/// How far the next id is moved on where it is not known how many were given.
pub(crate) const IDS_SKIPPED: u64 = 1 << 20;

/// What the files of a stream tell of its creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// The stream's id.
    pub id: u64,
    /// When its first segment was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// How many shards it has.
    pub shards: u32,
}

/// What is left of the control plane's state.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    pub streams: Vec<StreamEntry>,
    pub next_stream_id: u64,
    pub account: AccountSettings,
    /// Nothing is missing.
    pub is_whole: bool,
    pub findings: Vec<Finding>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// Reads what is left of the control log in `directory`. `beginnings` looks at the files of all streams.
///
/// # Errors
/// `FormatNewer`, `Io`.
pub(crate) fn rescue(
    environment: &Environment,
    directory: &Path,
    beginnings: &dyn Fn() -> Result<Vec<Beginning>>,
) -> Result<Rescued> {
    let mut remains = Remains::find(environment.clone(), config(directory), Known::default())?;
    for part in &remains.parts {
        let read = remains.read(part)?;
        remains.findings.extend(read.findings);
    }
    let frames = remains.state_frames()?;
    let mut replay = Replay {
        state: State::new(),
        is_certain: true,
        refused: Vec::new(),
        matched: Vec::new(),
        creations: creations(&frames),
        beginnings,
    };
    let mut last_checksum = 0;
    for frame in &frames {
        if frame.previous_checksum != last_checksum {
            replay.is_certain = false;
        }
        last_checksum = frame.checksum;
        replay.apply(frame)?;
    }
    let Replay { mut state, refused, matched, is_certain, .. } = replay;
    let is_whole = remains.is_whole() && refused.is_empty() && is_certain && !frames.is_empty();
    let mut notes = Vec::new();
    if frames.is_empty() {
        notes.push("nothing of it is left".to_owned());
    }
    if let Some(first) = refused.first() {
        notes.push(format!("{} commands of the control log were left out, the first because: {first}", refused.len()));
    }
    notes.extend(matched);
    if !is_whole {
        state.skip_to(state.next_stream_id().saturating_add(IDS_SKIPPED));
        notes.push(
            "settings that were changed last may be missing: retention, horizons, creations and deletions".to_owned(),
        );
    }
    Ok(Rescued {
        streams: state.streams().cloned().collect(),
        next_stream_id: state.next_stream_id(),
        account: state.account,
        is_whole,
        findings: remains.findings,
        notes,
    })
}

/// Every creation that can be read: when, and with how many shards.
fn creations(frames: &[StateFrame]) -> Vec<(u64, u32)> {
    let commands = frames.iter().flat_map(|frame| &frame.runs).filter(|(kind, _)| *kind == RunKind::Command);
    let creations = commands.filter_map(|(_, payload)| match Command::decode(payload) {
        Ok(Command::CreateStream(CreateStream { created_ms, config, .. })) => Some((created_ms, config.shards)),
        _ => None,
    });
    creations.collect()
}

impl Beginning {
    /// Whether these files may be those of a stream that was created then.
    fn is_of(&self, created_ms: u64, shards: u32) -> bool {
        (created_ms..=created_ms.saturating_add(CREATION_MS_MAX)).contains(&self.created_ms) && self.shards == shards
    }
}

struct Replay<'a> {
    state: State,
    /// No command is missing before this one.
    is_certain: bool,
    refused: Vec<String>,
    matched: Vec<String>,
    creations: Vec<(u64, u32)>,
    beginnings: &'a dyn Fn() -> Result<Vec<Beginning>>,
}

impl Replay<'_> {
    fn apply(&mut self, frame: &StateFrame) -> Result<()> {
        for (kind, payload) in &frame.runs {
            let applied = match kind {
                RunKind::State => State::from_snapshot(payload).map(|state| {
                    // All before it is void.
                    self.state = state;
                    self.is_certain = true;
                    self.refused.clear();
                }),
                RunKind::Command => Command::decode(payload).and_then(|command| self.command(&command)),
                RunKind::Opening | RunKind::Records | RunKind::ShardChange | RunKind::Other(_) => Ok(()),
            };
            match applied {
                Err(error) if error.kind() == Kind::Corrupt => self.refused.push(error.message().to_owned()),
                other => other?,
            }
        }
        self.is_certain &= frame.is_whole;
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        match command {
            Command::CreateStream(CreateStream { name, created_ms, config, .. }) if !self.is_certain => {
                let Some(id) = self.stream_created_at(*created_ms, config)? else {
                    self.refused.push(format!("it is not certain which stream was created as {name:?}"));
                    return Ok(());
                };
                self.state.skip_to(id);
                self.state.apply(command)?;
                self.matched.push(format!("stream {name}: its files were found by the time of its creation"));
                Ok(())
            }
            _ => self.state.apply(command),
        }
    }

    fn stream_created_at(&self, created_ms: u64, config: &StreamConfig) -> Result<Option<u64>> {
        let is_it = |beginning: &Beginning| {
            beginning.id >= self.state.next_stream_id() && beginning.is_of(created_ms, config.shards)
        };
        let beginnings = (self.beginnings)()?;
        let mut found = beginnings.iter().filter(|beginning| is_it(beginning));
        Ok(match (found.next(), found.next()) {
            (Some(only), None) => {
                let rivals = self.creations.iter().filter(|(created_ms, shards)| only.is_of(*created_ms, *shards));
                (rivals.count() == 1).then_some(only.id)
            }
            _ => None,
        })
    }
}
