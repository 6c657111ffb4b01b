//! The bound on memory: what a decoder allocates may depend on the length of its input, never on a number in it.

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What any decoder may allocate beside a multiple of its input: error messages, small tables.
const BASE_BYTES: usize = 64 << 10;

/// Runs `decode` and fails where it had more than `factor` bytes allocated at once for each byte of its input.
pub fn bounded<T>(input_bytes: usize, factor: usize, decode: impl FnOnce() -> T) -> T {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let decoded = decode();
    let bytes = HEAP.peak_usage().saturating_sub(before);
    let bytes_max = BASE_BYTES + factor * input_bytes;
    assert!(bytes <= bytes_max, "{input_bytes} bytes made a decoder allocate {bytes}, more than {bytes_max}");
    decoded
}
