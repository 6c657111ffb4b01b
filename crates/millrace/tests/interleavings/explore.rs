//! Which schedules a model is run in: chosen by a seed, so that a failure can be run again.
//!
//! A third of the schedules take a random thread at each step, which is good at narrow races between many. The others
//! give each thread a random priority and lower that of the running one now and then, so that one thread may stand
//! still for long while the others go far: "probabilistic concurrency testing" (Burckhardt and others, 2010).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::world::World;

/// A schedule of so many steps does not come to an end any more.
const STEPS_MAX: usize = 200_000;
const STACK_BYTES: usize = 1 << 19;
/// How many schedules a model is run in if nothing else is asked for.
const SCHEDULES: u64 = 200;

/// Runs a model in as many schedules as the environment asks for, each in a new, empty directory.
pub fn explore(name: &str, model: fn(&World)) {
    let number = |variable: &str, otherwise| {
        let text = std::env::var(variable).ok();
        text.map_or(otherwise, |text| text.parse().expect("a whole number"))
    };
    let first = number("MILLRACE_MODELS_SEED", 1);
    let last = first + number("MILLRACE_MODELS_SCHEDULES", SCHEDULES);
    let progress = Arc::new(Progress::default());

    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let directory = crate::world::directory();
    let path = directory.path().join("store");
    let runner = Runner::new(Seeded::new(first..last, Arc::clone(&progress)), config);
    let outcome = catch_unwind(AssertUnwindSafe(|| runner.run(move || model(&World::new(&path)))));
    match outcome {
        Ok(count) => {
            println!("model {name}: {count} schedules, {} steps", progress.steps.load(Ordering::Relaxed));
        }
        Err(panic) => {
            let seed = progress.seed.load(Ordering::Relaxed);
            println!("model {name} failed; again: npm run models -- --only {name} --seed {seed} --schedules 1");
            resume_unwind(panic);
        }
    }
}

#[derive(Debug, Default)]
struct Progress {
    seed: AtomicU64,
    steps: AtomicU64,
}

/// How threads are chosen in one schedule.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// Any, at each step.
    Uniform,
    /// The one of the highest priority; the running one falls behind all others once in so many steps.
    Priorities { falls_once_in: u64 },
}

/// A schedule for each seed of a range. Nothing is kept from one to the next.
#[derive(Debug)]
struct Seeded {
    seeds: std::ops::Range<u64>,
    progress: Arc<Progress>,
    random: Random,
    choice: Choice,
    priorities: HashMap<usize, u64>,
    lowest: u64,
}

impl Seeded {
    fn new(seeds: std::ops::Range<u64>, progress: Arc<Progress>) -> Seeded {
        let priorities = HashMap::new();
        Seeded { seeds, progress, random: Random(0), choice: Choice::Uniform, priorities, lowest: u64::MAX / 2 }
    }

    fn fall(&mut self, task: TaskId) {
        self.lowest -= 1;
        self.priorities.insert(usize::from(task), self.lowest);
    }

    fn priority(&mut self, task: TaskId) -> u64 {
        let fresh = u64::MAX / 2 + self.random.next() / 2;
        *self.priorities.entry(usize::from(task)).or_insert(fresh)
    }
}

impl Scheduler for Seeded {
    fn new_execution(&mut self) -> Option<Schedule> {
        let seed = self.seeds.next()?;
        self.progress.seed.store(seed, Ordering::Relaxed);
        self.random = Random(seed);
        self.priorities.clear();
        self.lowest = u64::MAX / 2;
        self.choice = match self.random.below(6) {
            0 | 1 => Choice::Uniform,
            _ => Choice::Priorities { falls_once_in: 8 << (2 * self.random.below(5)) },
        };
        Some(Schedule::new(seed))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        self.progress.steps.fetch_add(1, Ordering::Relaxed);
        let [_, _, ..] = runnable else { return runnable.first().map(|task| task.id()) };
        match self.choice {
            Choice::Uniform => {
                let others: Vec<_> =
                    runnable.iter().map(|task| task.id()).filter(|id| !is_yielding || Some(*id) != current).collect();
                others.get(usize::try_from(self.random.below(others.len() as u64)).ok()?).copied()
            }
            Choice::Priorities { falls_once_in } => {
                if let Some(current) = current
                    && (is_yielding || self.random.below(falls_once_in) == 0)
                {
                    self.fall(current);
                }
                let ids: Vec<_> = runnable.iter().map(|task| task.id()).collect();
                ids.into_iter().max_by_key(|id| self.priority(*id))
            }
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.random.next()
    }
}

/// SplitMix64: small, and good enough to choose among threads.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
