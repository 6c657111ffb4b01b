//! Faults: each operation on the disk fails in turn, once and for good, in the life of a new store and in the life of
//! one that has crashed. Then the process is killed, or the power fails, and the disk is well again.

use crate::crash::{Cause, break_down};
use crate::disk::{EIO, ENOSPC, Failure, Fault, Operation, Survival};
use crate::history::{Life, Moment, Script, live};

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Lives in which the disk failed.
    pub lives: u64,
    /// Operations that failed as planned.
    pub faults: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { lives, faults } = self;
        write!(f, "faults: {faults} injected in {lives} lives, each of which was killed and lost its power")
    }
}

/// How an operation fails in a sweep: how often, and how.
fn ways(operation: Operation) -> Vec<(u64, Failure)> {
    let (once, always) = (1, u64::MAX);
    let broken = [(once, Failure::Errno(EIO)), (always, Failure::Errno(EIO))];
    let full = [(once, Failure::Errno(ENOSPC)), (always, Failure::Errno(ENOSPC))];
    match operation {
        Operation::Write => [&broken[..], &full, &[(once, Failure::Arrived(ENOSPC))]].concat(),
        Operation::Allocate => [broken, full].concat(),
        Operation::Create | Operation::Rename => [&broken[..1], &full].concat(),
        Operation::Sync => broken.to_vec(),
        Operation::Open
        | Operation::Read
        | Operation::Map
        | Operation::Remove
        | Operation::List
        | Operation::SyncDirectory => broken[..1].to_vec(),
    }
}

/// Lets every operation of the seed's life of a new store fail, then every operation of its life after a crash.
///
/// # Errors
/// What the engine has broken, and at which fault.
pub fn sweep(seed: u64, counts: &mut Counts) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let script = Script { steps: 20, ..Script::quiet(random.u64(..)) };
    let first = sweep_life(&Moment::default(), &script, counts)?;
    let (_, crashed) = break_down(&first.last, Cause::Power(Survival::AnyOfEachSector), &mut random);
    let script = Script { steps: 6, ..Script::quiet(random.u64(..)) };
    sweep_life(&crashed, &script, counts).map(drop)
}

/// Returns the life without a fault.
fn sweep_life(from: &Moment, script: &Script, counts: &mut Counts) -> Result<Life, String> {
    let undisturbed = live(from.clone(), script).map_err(|complaint| format!("without a fault: {complaint}"))?;
    for operation in Operation::ALL {
        for (times, failure) in ways(operation) {
            for after in 0..undisturbed.asked[&operation] {
                let fault = Fault { operation, after, times, failure };
                one_fault(from, script, fault, counts).map_err(|complaint| format!("{fault:?}: {complaint}"))?;
            }
        }
    }
    Ok(undisturbed)
}

fn one_fault(from: &Moment, script: &Script, fault: Fault, counts: &mut Counts) -> Result<(), String> {
    // Chance of its own, so that the fault can be replayed without those before it.
    let mut random = fastrand::Rng::with_seed(script.seed ^ (fault.after << 8) ^ fault.operation as u64);
    let script = Script { faults: vec![fault], ..script.clone() };
    let life = live(from.clone(), &script).map_err(|complaint| complaint.to_string())?;
    counts.lives += 1;
    counts.faults += life.failed;
    for cause in [Cause::Kill, Cause::any_loss_of_power(&life.last, &mut random)] {
        let (what, moment) = break_down(&life.last, cause, &mut random);
        let after = Script { steps: 2, ..Script::quiet(random.u64(..)) };
        live(moment, &after).map_err(|complaint| format!("then {what}: {complaint}"))?;
    }
    Ok(())
}

/// A failure that the disk has now and then.
pub(crate) fn any_fault(random: &mut fastrand::Rng) -> Fault {
    let errno = if random.bool() { EIO } else { ENOSPC };
    let operation = match random.u32(..4) {
        0 | 1 if errno == EIO => Operation::Sync,
        2 => Operation::Allocate,
        _ => Operation::Write,
    };
    let times = if random.bool() { 1 } else { u64::MAX };
    Fault { operation, after: random.u64(..6), times, failure: Failure::Errno(errno) }
}
