//! What the engine takes from outside: time, randomness and files, so that a test can hold all three.

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

/// Time, randomness and files.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub entropy: Arc<dyn Entropy>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), disk: Arc::new(OsDisk) }
    }
}
