//! How fast this machine copies memory, and how fast it makes the checksums that the engine makes.

use std::hint::black_box;

use crc_fast::{CrcAlgorithm, checksum};
use napi_derive::napi;

use crate::clock::monotonic_ns;

/// Copies `bytes` bytes `copies` times between two warm buffers and returns bytes per second.
#[napi]
pub fn memory_copy(bytes: u32, copies: u32) -> f64 {
    let source = vec![0xA5_u8; bytes as usize];
    let mut target = vec![0x5A_u8; bytes as usize];
    let started = monotonic_ns();
    for _ in 0..copies {
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
    }
    f64::from(bytes) * f64::from(copies) / (monotonic_ns() - started) * 1e9
}

/// CRC32C of `bytes` warm bytes, `times` times over; returns bytes per second. The engine uses the same crate.
#[napi]
pub fn checksums(bytes: u32, times: u32) -> f64 {
    let source = vec![0xA5_u8; bytes as usize];
    let started = monotonic_ns();
    for _ in 0..times {
        black_box(checksum(CrcAlgorithm::Crc32Iscsi, black_box(&source)));
    }
    f64::from(bytes) * f64::from(times) / (monotonic_ns() - started) * 1e9
}

/// Takes `bytes` bytes of memory from the system, touches each page and gives them back: the next who needs memory gets
/// pages that the machine's host has provided already, if there is a host.
#[napi]
pub fn touch_memory(bytes: f64) {
    drop(black_box(vec![0xA5_u8; usize::try_from(crate::disk::whole(bytes)).unwrap_or(0)]));
}
