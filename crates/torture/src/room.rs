//! Where stores are tried out: directories in memory, chance from seeds, and the ways to open an engine there.

use std::path::Path;
use std::sync::{Arc, Mutex};

use millrace::clock::ManualClock;
use millrace::{Engine, Entropy, Environment, OpenOptions, Result, Services};
use tempfile::TempDir;

use crate::disk::SimDisk;

/// A new directory, in memory where the machine has such a file system.
#[must_use]
pub fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// Randomness that is the same for the same seed.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<fastrand::Rng>);

impl SeededEntropy {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn random(&self) -> u64 {
        self.0.lock().expect("no panic holds it").u64(..)
    }
}

/// Opens a store on a simulated disk, with nobody but the caller to serve it.
///
/// # Errors
/// Those of [`Engine::open`].
pub fn open(
    disk: &SimDisk,
    root: &Path,
    clock: &Arc<ManualClock>,
    seed: u64,
    segment_bytes_max: u32,
) -> Result<Engine> {
    let environment = Environment {
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(SeededEntropy::new(seed)),
        disk: Arc::new(disk.clone()),
        services: Services::Caller,
        ..Environment::default()
    };
    Engine::open(root, OpenOptions { environment, segment_bytes_max, ..OpenOptions::default() })
}
