//! The steps of tables as they stand on disk, groups of them one a line.
//!
//! Holds: memory is bounded by the input's length; what is accepted comes back from its own bytes; a step that does not
//! follow changes nothing; the state is what its snapshot leads to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_dynamodb::{Step, Tables};
use millrace_fuzz::bounded;

const BYTES_A_BYTE: usize = 256;

fuzz_target!(|input: &[u8]| {
    let mut tables = Tables::default();
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(steps) = bounded(line.len(), BYTES_A_BYTE, || Step::decode_all(line)) else { continue };
        assert_eq!(Step::decode_all(&Step::encode_all(&steps)).as_ref(), Ok(&steps));
        for step in &steps {
            let before = tables.clone();
            if tables.apply(step).is_err() {
                assert_eq!(tables, before);
            }
        }
    }
    let mut restored = Tables::default();
    for step in tables.snapshot().iter().flatten() {
        restored.apply(step).expect("a snapshot's steps follow");
    }
    assert_eq!(restored, tables);
});
