//! What the engine takes from outside: time, randomness, files and threads, so that a test can hold all four.

use std::fmt::Debug;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::disk::{Disk, OsDisk};

/// A source of random numbers for incarnations.
pub trait Entropy: Send + Sync + Debug {
    /// A number that nobody can foresee.
    fn random(&self) -> u64;
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random numbers")
    }
}

/// Who does the engine's background work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Services {
    /// Threads of the engine's own: two, and a third once channels are delivered.
    #[default]
    Threads,
    /// Whoever calls [`crate::Engine::serve`]: nothing happens in between, so that one thread can play all parts in an
    /// order of its choice. Nobody syncs for an append then but a caller's `flush`.
    Caller,
}

/// A part of the background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Syncs what was appended, and marks what is durable.
    Committer,
    /// Prepares and seals segments, and lets records expire once a minute.
    Keeper,
    /// Delivers what is due of channels.
    Courier,
}

/// Time, randomness, files and threads.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub entropy: Arc<dyn Entropy>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Who does the background work.
    pub services: Services,
    /// Whether streams count what passes. Without it their metrics stay empty: for whoever measures what counting costs.
    pub meters: bool,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            disk: Arc::new(OsDisk),
            services: Services::Threads,
            meters: true,
        }
    }
}
