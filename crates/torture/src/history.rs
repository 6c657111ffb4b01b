//! A random history of a store: what its user does, what its services do, what its clock does; then its end. All of it
//! follows from one seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millrace::clock::{Clock, ManualClock};

use crate::disk::{Fault, Operation, SimDisk, World};
use crate::ledger::{Complaint, Ledger, check_error, locked, must};
use crate::player::{Goes, Player};
use crate::room;
use crate::state::StateOwner;

/// Where the clocks begin, in milliseconds since 1970.
const START_MS: u64 = 1_767_225_600_000;

/// All that a history may go on from: what the disk holds, what was told, what time it is.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What the disk holds.
    pub world: World,
    /// What was told.
    pub ledger: Ledger,
    /// What the wall clock shows, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The operation on the disk before which it was taken.
    pub operation: u64,
    /// Whether the disk has failed in this life.
    pub has_failed: bool,
    /// Whether a sync has: nobody knows what the kernel kept of it.
    pub has_failed_to_sync: bool,
}

impl Default for Moment {
    fn default() -> Moment {
        Moment {
            world: World::default(),
            ledger: Ledger::default(),
            wall_ms: START_MS,
            operation: 0,
            has_failed: false,
            has_failed_to_sync: false,
        }
    }
}

/// How a life of a store goes.
#[derive(Clone, Debug)]
pub struct Script {
    /// What decides all that happens.
    pub seed: u64,
    /// How many things its user does.
    pub steps: usize,
    /// At how many random moments the world is taken.
    pub captures: usize,
    /// The failures that the disk is planned to have from the beginning.
    pub faults: Vec<Fault>,
    /// Whether the disk and the clock may do what they should not.
    pub is_rough: bool,
}

impl Script {
    /// A life in which nothing happens but its opening.
    #[must_use]
    pub fn quiet(seed: u64) -> Script {
        Script { seed, steps: 0, captures: 0, faults: Vec::new(), is_rough: false }
    }
}

/// What a life came to.
#[derive(Debug)]
pub struct Life {
    /// The moments that were taken.
    pub moments: Vec<Moment>,
    /// How it was when it ended, the engine still running.
    pub last: Moment,
    /// How many operations the disk was asked for.
    pub operations: u64,
    /// How often each kind of operation was asked for.
    pub asked: BTreeMap<Operation, u64>,
    /// How many operations failed as planned.
    pub failed: u64,
    /// What all operations were, in one number.
    pub trace: u64,
}

/// Opens a store as its last end has left it, holds it against what was told, and lives on as the script says.
///
/// # Errors
/// What the engine has broken.
pub fn live(from: Moment, script: &Script) -> Result<Life, Complaint> {
    let directory = room::directory();
    let root = directory.path().canonicalize().expect("a directory");
    let clock = Arc::new(ManualClock::new(from.wall_ms));
    let ledger = Arc::new(Mutex::new(from.ledger));
    let moments = Arc::new(Mutex::new(Vec::new()));
    let on_capture = {
        let (clock, ledger, moments) = (Arc::clone(&clock), Arc::clone(&ledger), Arc::clone(&moments));
        move |world, operation| {
            let ledger = locked(&ledger).clone();
            let wall_ms = clock.wall_ms();
            let moment = Moment { world, ledger, wall_ms, operation, has_failed: false, has_failed_to_sync: false };
            moments.lock().expect("no panic holds it").push(moment);
        }
    };
    let mut random = fastrand::Rng::with_seed(script.seed);
    let disk = SimDisk::new(&root, from.world, random.u64(..), Arc::new(on_capture)).expect("memory to lay it out in");
    for _ in 0..script.captures {
        // Many early ones: opening, and what follows it, has the most to lose.
        let reach = [12, 40, 200, 600][random.usize(..4)];
        disk.capture_after(random.u64(1..reach));
    }
    script.faults.iter().for_each(|fault| disk.plan(*fault));
    let segment_bytes_max = 64 << random.u32(10..12);
    let opened = room::open(&disk, &root, &clock, random.u64(..), segment_bytes_max);
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            check_error(error, &disk)?;
            let ledger = locked(&ledger).clone();
            return Ok(finish(&disk, ledger, &clock, &moments));
        }
    };
    let mut player = Player {
        random,
        disk,
        clock,
        ledger,
        engine,
        streams: BTreeMap::new(),
        state: StateOwner::default(),
        root,
        segment_bytes_max,
        is_rough: script.is_rough,
        skew_ms: 0,
    };
    let mut goes = player.examine()?;
    for _ in 0..script.steps {
        if goes == Goes::ToItsEnd {
            break;
        }
        goes = player.step()?;
        player.observe();
    }
    must!(!player.disk.has_retried_a_sync(), "a sync that failed was tried again");
    let ledger = player.ledger().clone();
    let life = finish(&player.disk, ledger, &player.clock, &moments);
    player.disk.kill();
    Ok(life)
}

fn finish(disk: &SimDisk, ledger: Ledger, clock: &ManualClock, moments: &Mutex<Vec<Moment>>) -> Life {
    let (failed, has_failed_to_sync) = (disk.failed(), disk.has_failed_to_sync());
    let has_failed = failed > 0;
    let mut moments = std::mem::take(&mut *moments.lock().expect("no panic holds it"));
    for moment in &mut moments {
        (moment.has_failed, moment.has_failed_to_sync) = (has_failed, has_failed_to_sync);
    }
    let operation = disk.operations();
    let wall_ms = clock.wall_ms();
    let last = Moment { world: disk.world(), ledger, wall_ms, operation, has_failed, has_failed_to_sync };
    let asked = Operation::ALL.into_iter().map(|operation| (operation, disk.asked(operation))).collect();
    Life { moments, last, operations: operation, asked, failed, trace: disk.trace() }
}
