//! What was told of the log of an application's state, and what must be true of it because of it. The state is how many
//! steps were taken: a step bears its number, and a snapshot says how many there were before it.

use std::sync::Mutex;

use millrace::{Engine, Error, Position, StateLog, StatePart};

use crate::disk::SimDisk;
use crate::ledger::{Complaint, End, Ledger, check, check_error, data_of, locked, must, number_of};
use crate::player::Goes;

/// How long steps are, in bytes, by their number: some of a segment hold many, some only few.
const STEP_BYTES: [usize; 5] = [10, 300, 200_000, 5_000, 450_000];
/// How long a part of a snapshot is, in bytes.
const PART_BYTES: usize = 3_000;

/// What was told of the log.
#[derive(Clone, Debug, Default)]
pub struct StateLedger {
    /// Whether there is one, and there will be.
    is_there: bool,
    /// How many steps were appended.
    appended: u64,
    /// How many of them were told to be durable.
    durable: u64,
    /// How many there may be: one that was refused may be there all the same.
    tried: u64,
}

impl StateLedger {
    /// The next step, which is about to be appended.
    pub fn step(&mut self) -> Vec<u8> {
        self.tried = self.tried.max(self.appended + 1);
        step_of(self.appended)
    }

    /// Notes that it was appended.
    pub fn step_is_appended(&mut self) {
        self.appended += 1;
    }

    /// A snapshot of the state, in so many parts.
    #[must_use]
    pub fn snapshot(&self, parts: u64) -> Vec<Vec<u8>> {
        snapshot_of(self.appended, parts)
    }

    /// Notes that all that was appended is durable.
    pub fn all_is_durable(&mut self) {
        self.durable = self.appended;
    }

    /// The store was opened again: opens the log, if it has one, and holds it against what was told.
    ///
    /// # Errors
    /// What does not follow from it.
    pub fn examine(&mut self, engine: &Engine, end: End) -> Result<Option<StateLog>, Complaint> {
        if !engine.has_state_log()? {
            must!(!self.is_there, "the log of the state is gone");
            return Ok(None);
        }
        self.open(engine, end).map(Some)
    }

    /// Opens the log, or makes it, and holds it against what was told.
    ///
    /// # Errors
    /// What does not follow from it.
    pub fn open(&mut self, engine: &Engine, end: End) -> Result<StateLog, Complaint> {
        let (mut count, mut fault) = (0, None);
        let log = engine.open_state_log(|part| {
            match take(count, &part) {
                Ok(next) => count = next,
                Err(what) => fault = fault.take().or(Some(what)),
            }
            Ok::<(), Error>(())
        })?;
        must!(fault.is_none(), "the log of the state: {}", fault.unwrap_or_default());
        let least = if end == End::Lost { self.durable } else { self.appended };
        must!(
            (least..=self.tried).contains(&count),
            "the state has {count} steps; {end:?}, {} were appended, {} of them durable, {} tried",
            self.appended,
            self.durable,
            self.tried
        );
        *self = StateLedger { is_there: true, appended: count, durable: count, tried: count };
        Ok(log)
    }
}

/// The application that has the log.
#[derive(Debug, Default)]
pub(crate) struct StateOwner {
    /// The log, and how far it was appended to.
    open: Option<(StateLog, Position)>,
}

impl StateOwner {
    /// Who has opened a log, or has none.
    pub fn of(log: Option<StateLog>) -> StateOwner {
        StateOwner { open: log.map(|log| (log, Position::default())) }
    }

    /// Most often appends steps; waits until they are durable, writes a snapshot, opens the log anew.
    pub fn act(
        &mut self,
        engine: &Engine,
        disk: &SimDisk,
        ledger: &Mutex<Ledger>,
        random: &mut fastrand::Rng,
    ) -> Result<Goes, Complaint> {
        let Some((log, end)) = &mut self.open else { return self.open(engine, disk, ledger) };
        let done = match random.u32(..10) {
            0..6 => (0..random.usize(1..4)).try_for_each(|_| {
                let step = locked(ledger).state.step();
                *end = log.append(step)?;
                locked(ledger).state.step_is_appended();
                Ok(())
            }),
            6..8 => log.sync_to(*end).map(|()| locked(ledger).state.all_is_durable()),
            8 => {
                let snapshot = locked(ledger).state.snapshot(random.u64(1..4));
                log.compact(snapshot).map(|()| locked(ledger).state.all_is_durable())
            }
            // After a failure only another open tells what the log holds.
            _ if disk.failed() > 0 => Ok(()),
            _ => {
                // Whoever lets go of a log is not told whether it ended well.
                self.open = None;
                return if disk.failed() > 0 { Ok(Goes::ToItsEnd) } else { self.open(engine, disk, ledger) };
            }
        };
        done.or_else(|error| check_error(error, disk)).map(|()| Goes::On)
    }

    fn open(&mut self, engine: &Engine, disk: &SimDisk, ledger: &Mutex<Ledger>) -> Result<Goes, Complaint> {
        // The ledger is looked at by captures meanwhile: until this is through, the old one counts.
        let mut told = locked(ledger).state.clone();
        match told.open(engine, End::Orderly) {
            Err(complaint) => return check(complaint, disk).map(|()| Goes::ToItsEnd),
            Ok(log) => *self = StateOwner::of(Some(log)),
        }
        locked(ledger).state = told;
        Ok(Goes::On)
    }
}

/// How many steps there are with the next part of the log; or what is wrong with it.
fn take(count: u64, part: &StatePart) -> Result<u64, String> {
    match part {
        StatePart::Steps(steps) if *steps == step_of(count) => Ok(count + 1),
        StatePart::Steps(steps) => Err(format!("expected step {count}, got {} other bytes", steps.len())),
        StatePart::Snapshot(parts) => {
            let told = parts.first().map_or(0, |part| number_of(part));
            let is_whole = *parts == snapshot_of(told, parts.len() as u64);
            // What stands before a snapshot leads to it, if anything of it is shown.
            if is_whole && (count == 0 || count == told) {
                Ok(told)
            } else {
                Err(format!("after {count} steps, no snapshot of them"))
            }
        }
    }
}

fn step_of(number: u64) -> Vec<u8> {
    data_of(number, STEP_BYTES[(number % 5) as usize])
}

fn snapshot_of(count: u64, parts: u64) -> Vec<Vec<u8>> {
    // Each part differs from the others, and begins with the number of steps.
    (0..parts).map(|part| [count.to_le_bytes().to_vec(), data_of(count ^ (part << 32), PART_BYTES)].concat()).collect()
}
