//! Bare file writes, each followed by one `fdatasync`: what a log without frames, keys and indexes would pay.
//!
//! Files are prepared apart from the timed part, because a segment of the engine is prepared off the append path too.

use std::fs::{File, OpenOptions};
use std::io::Result;
use std::os::unix::fs::FileExt;

use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, syncfs};

use crate::clock::{Pace, monotonic_ns, pause};

const PREPARE_BYTES: usize = 1 << 20;

/// In what state a file is before the timed writes begin.
#[napi(string_enum = "lowercase")]
pub enum FileState {
    /// Empty: each write makes the file longer, so each sync writes the inode as well.
    Growing,
    /// Blocks are reserved, but the file system still has to mark them as written.
    Allocated,
    /// Written and synced once over its whole length, so that a sync has only data to write.
    Rewritten,
}

/// Makes the file at `path` anew, in the given state and `bytes` long (an empty file if it is to grow), and syncs it.
#[napi]
pub fn prepare_file(path: String, state: FileState, bytes: f64) -> napi::Result<()> {
    Ok(prepare(&path, state, whole(bytes))?)
}

/// Writes `bytes_per_sync` bytes at `offset` and after it, `syncs` times, each followed by one fdatasync.
/// Returns the nanoseconds of each write with its sync.
#[napi]
pub fn synced_writes(path: String, offset: f64, bytes_per_sync: u32, syncs: u32) -> napi::Result<Float64Array> {
    Ok(Float64Array::new(write_and_sync(&path, whole(offset), bytes_per_sync as usize, syncs, || ())?))
}

/// Like `synced_writes`, but lets `interval_us` microseconds pass before each write: a disk that is not asked all the
/// time answers later.
#[napi]
pub fn paced_synced_writes(
    path: String,
    offset: f64,
    bytes_per_sync: u32,
    syncs: u32,
    pace: Pace,
    interval_us: u32,
) -> napi::Result<Float64Array> {
    let wait = || pause(pace, interval_us);
    Ok(Float64Array::new(write_and_sync(&path, whole(offset), bytes_per_sync as usize, syncs, wait)?))
}

/// Writes `bytes_per_write` bytes at 0 and after it, `writes` times, without any sync, and returns bytes per second:
/// how fast the page cache takes data.
#[napi]
pub fn cached_writes(path: String, bytes_per_write: u32, writes: u32) -> napi::Result<f64> {
    let file = OpenOptions::new().write(true).open(path)?;
    let block = vec![0x77_u8; bytes_per_write as usize];
    let started = monotonic_ns();
    for number in 0..writes {
        file.write_all_at(&block, u64::from(number) * u64::from(bytes_per_write))?;
    }
    Ok(f64::from(bytes_per_write) * f64::from(writes) / (monotonic_ns() - started) * 1e9)
}

/// Asks the system to drop the file's pages from memory, as far as they are on disk and nobody maps them.
#[napi]
pub fn drop_from_cache(path: String) -> napi::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed).map_err(std::io::Error::from)?)
}

/// Writes out everything that the file system of `path` still holds in memory, so that one measurement does not pay
/// for the dirty pages of the one before.
#[napi]
pub fn sync_file_system(path: String) -> napi::Result<()> {
    Ok(syncfs(File::open(path)?).map_err(std::io::Error::from)?)
}

fn prepare(path: &str, state: FileState, bytes: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    match state {
        FileState::Growing => {}
        FileState::Allocated => fallocate(&file, FallocateFlags::empty(), 0, bytes)?,
        FileState::Rewritten => fill(&file, bytes)?,
    }
    file.sync_all()
}

fn fill(file: &File, bytes: u64) -> Result<()> {
    let block = vec![0x11_u8; PREPARE_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let length = usize::try_from(bytes - offset).map_or(PREPARE_BYTES, |left| left.min(PREPARE_BYTES));
        file.write_all_at(&block[..length], offset)?;
        offset += length as u64;
    }
    Ok(())
}

fn write_and_sync(path: &str, mut offset: u64, bytes_per_sync: usize, syncs: u32, wait: impl Fn()) -> Result<Vec<f64>> {
    let file = OpenOptions::new().write(true).open(path)?;
    let block = vec![0x77_u8; bytes_per_sync];
    let mut took = Vec::with_capacity(syncs as usize);
    for _ in 0..syncs {
        wait();
        let started = monotonic_ns();
        file.write_all_at(&block, offset)?;
        file.sync_data()?;
        took.push(monotonic_ns() - started);
        offset += bytes_per_sync as u64;
    }
    Ok(took)
}

/// JavaScript has no integer of 64 bits but the BigInt; sizes of files come as whole, positive float64.
pub fn whole(bytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size below 2^53 is exact, and `as` saturates what is not a size"
    )]
    let bytes = bytes as u64;
    bytes
}
