//! Crash images: a history is stopped at random operations, and what the disk may hold then is opened with the real
//! code, which may be stopped again while it recovers.

use crate::disk::{EIO, Failure, Fault, Operation, Survival};
use crate::history::{Life, Moment, Script, live};
use crate::ledger::End;

/// What a campaign has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Histories that were begun from nothing.
    pub histories: u64,
    /// Images that were opened and examined.
    pub images: u64,
    /// Of them, those that a loss of power left.
    pub power: u64,
    /// Of them, those that were left while the store was being opened after a crash.
    pub interrupted: u64,
    /// Operations on disks.
    pub operations: u64,
    /// Operations that failed as planned.
    pub failed: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { histories, images, power, interrupted, operations, failed } = self;
        write!(
            f,
            "crash images: {images} examined ({power} after a loss of power, {interrupted} moments of recoveries among \
             their origins) of {histories} histories, {operations} operations, {failed} of which failed"
        )
    }
}

impl Counts {
    fn note(&mut self, life: &Life) {
        self.operations += life.operations;
        self.failed += life.failed;
    }
}

/// How deep crashes follow each other.
const DEPTH: usize = 3;

/// Plays the history of a seed, crashes it, and crashes what follows.
///
/// # Errors
/// What the engine has broken, and at which crashes.
pub fn play(seed: u64, counts: &mut Counts) -> Result<(), String> {
    play_on(seed, Vec::new(), counts)
}

/// The same on a disk that has these faults from the beginning of the history on.
///
/// # Errors
/// What the engine has broken, and at which crashes.
pub fn play_on(seed: u64, faults: Vec<Fault>, counts: &mut Counts) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let is_rough = random.bool();
    let mut faults = faults;
    faults.extend((is_rough && random.bool()).then(|| failed_sync(&mut random)));
    let script = Script { steps: 60, captures: 6, is_rough, faults, ..Script::quiet(random.u64(..)) };
    let life = live(Moment::default(), &script).map_err(|complaint| complaint.to_string())?;
    counts.histories += 1;
    counts.note(&life);
    crash(life, DEPTH, &mut random, counts)
}

fn crash(life: Life, depth: usize, random: &mut fastrand::Rng, counts: &mut Counts) -> Result<(), String> {
    for moment in life.moments.into_iter().chain([life.last]) {
        for _ in 0..random.usize(1..=2) {
            let operation = moment.operation;
            let cause = Cause::any(&moment, random);
            let (what, moment) = break_down(&moment, cause, random);
            let (steps, captures) = if depth > 1 { (random.usize(..12), 2) } else { (random.usize(..3), 0) };
            let is_rough = random.u32(..4) == 0;
            let faults = Vec::from_iter((is_rough && random.bool()).then(|| failed_sync(random)));
            let script = Script { steps, captures, faults, is_rough, ..Script::quiet(random.u64(..)) };
            counts.images += 1;
            counts.power += u64::from(cause != Cause::Kill);
            let place = |fault: &dyn std::fmt::Display| format!("{what} at operation {operation}: {fault}");
            let next = live(moment, &script).map_err(|complaint| place(&complaint))?;
            counts.note(&next);
            if depth > 1 {
                counts.interrupted += next.moments.len() as u64;
                crash(next, depth - 1, random, counts).map_err(|fault| place(&fault))?;
            }
        }
    }
    Ok(())
}

fn failed_sync(random: &mut fastrand::Rng) -> Fault {
    let times = if random.bool() { 1 } else { u64::MAX };
    Fault { operation: Operation::Sync, after: random.u64(..40), times, failure: Failure::Errno(EIO) }
}

/// Why a store ends in disorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its process is killed; the machine goes on.
    Kill,
    /// The power fails, and of what was not synced so much is left.
    Power(Survival),
}

impl Cause {
    fn any(moment: &Moment, random: &mut fastrand::Rng) -> Cause {
        if random.u32(..4) == 0 { Cause::Kill } else { Cause::any_loss_of_power(moment, random) }
    }

    /// The power fails, in some way.
    pub fn any_loss_of_power(moment: &Moment, random: &mut fastrand::Rng) -> Cause {
        Cause::Power(match random.u32(..8) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 | 3 => Survival::AnyOfEachSector,
            4 | 5 => Survival::SomePages(random.u8(1..8)),
            6 => Survival::Before(random.u64(..=moment.operation)),
            _ => Survival::From(random.u64(..=moment.operation)),
        })
    }
}

/// Lets a store end at a moment; says how, and what is left.
pub fn break_down(moment: &Moment, cause: Cause, random: &mut fastrand::Rng) -> (String, Moment) {
    let mut after = moment.clone();
    match cause {
        Cause::Kill => {
            // Harmless but after a failed sync; and then only until the store was opened again.
            let evict = random.bool();
            let end = match (moment.has_failed, moment.has_failed_to_sync) {
                (_, true) => End::Lost,
                (true, false) => End::Torn,
                (false, false) => End::Killed,
            };
            after.world = moment.world.without_process(evict);
            after.ledger.end = end.max(moment.ledger.end);
            ("a kill".to_owned(), after)
        }
        Cause::Power(survival) => {
            after.world = moment.world.without_power(survival, random);
            after.ledger.end = End::Lost;
            (format!("a loss of power ({survival:?})"), after)
        }
    }
}
