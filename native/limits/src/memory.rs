//! How fast this machine copies memory.

use std::hint::black_box;

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
