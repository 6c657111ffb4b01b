//! Structured choices out of the fuzzer's bytes. Where they have run out, every choice is the first one, so that a
//! short input is a simple case.

use libfuzzer_sys::arbitrary::Unstructured;

/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    63,
    64,
    4_095,
    4_096,
    0x7fff_ffff,
    0xffff_ffc0,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_1000,
    0xffff_ffff_ffff_0000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// The fuzzer's bytes, taken from the front.
pub struct Source<'a>(Unstructured<'a>);

impl<'a> Source<'a> {
    /// Takes from these bytes.
    pub fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(Unstructured::new(bytes))
    }

    /// One byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: u32) -> u32 {
        self.u32() % count.max(1)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Whether something happens that happens once in `times`.
    pub fn one_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    /// A number: an edge, something near `near`, or anything.
    pub fn number(&mut self, near: u64) -> u64 {
        match self.byte() % 4 {
            0 => EDGES[usize::from(self.byte()) % EDGES.len()],
            1 => near.wrapping_add(u64::from(self.byte())).wrapping_sub(128),
            2 => near.wrapping_add(u64::from(self.byte()) * 64).wrapping_sub(64 * 128),
            _ => self.u64(),
        }
    }

    /// The same in 32 bits.
    pub fn number_32(&mut self, near: u32) -> u32 {
        let [a, b, c, d, ..] = self.number(u64::from(near)).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// At most `bytes_max` bytes.
    pub fn bytes(&mut self, bytes_max: usize) -> &'a [u8] {
        let wanted = usize::try_from(self.u32()).unwrap_or(0) % (bytes_max + 1);
        let length = wanted.min(self.0.len());
        self.0.bytes(length).unwrap_or(&[])
    }

    /// Whether the bytes have run out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}
