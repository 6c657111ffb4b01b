//! The figures that a process publishes of its streams: as they come, and as the text behind a header that fits.
//!
//! Holds: memory is bounded by the length of the input, and what is accepted is read again from its own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::fuzzing::{decode_published, encode_published, frame_published};
use millrace_fuzz::bounded;

fuzz_target!(|input: &[u8]| {
    for bytes in [input.to_vec(), frame_published(input)] {
        let Some(published) = bounded(bytes.len(), 64, || decode_published(&bytes)) else { continue };
        if published.streams.iter().all(|stream| stream.shards.len() <= 64) {
            assert_eq!(decode_published(&encode_published(&published)).as_ref(), Some(&published));
        }
    }
});
