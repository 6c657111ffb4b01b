//! Memory maps: the only file of this crate with `unsafe` in it.
//!
//! Invariants that the callers uphold and this file relies on:
//! - a file that is mapped is never truncated (recovery truncates before the first map is made; retention unlinks
//!   or renames, and reuses only files that nobody maps);
//! - bytes below a log's published tail never change, and no one asks for a slice above it, except recovery, which
//!   runs before there is a writer.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
#[cfg(not(loom))]
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
#[cfg(loom)]
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

#[cfg(loom)]
use crate::sync::atomic::{AtomicU32, Ordering};

/// Advice is given in whole pages of memory, counted from a mapping's start; no machine has larger ones.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// One mapping of the kernel, released when it is dropped.
#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: a mapping is a range of addresses of the whole process; no thread owns it.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access only hands out shared slices and atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, bytes: usize, protection: ProtFlags, flags: MapFlags) -> io::Result<Mapping> {
        // SAFETY: the kernel chooses the address, so no existing mapping is replaced.
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, flags, fd, 0) }?;
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("the kernel mapped at address zero"))?;
        Ok(Mapping { start, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `bytes` are those of a mapping that this value made and alone owns.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be unmapped");
    }
}

/// A shared, read-only map of a segment file: what the engine reads through.
#[derive(Debug)]
pub struct SharedMap(Mapping);

impl SharedMap {
    /// Maps the first `bytes` of a file.
    pub fn new(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<SharedMap> {
        Mapping::new(fd, bytes, ProtFlags::READ, MapFlags::SHARED).map(SharedMap)
    }

    /// The bytes in `range`, or `None` where it leaves the map.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.0.bytes {
            return None;
        }
        // SAFETY: the range was checked to lie inside of the mapping.
        let start = unsafe { self.0.start.as_ptr().cast::<u8>().add(range.start) };
        // SAFETY: mapped memory of that length, unchanged while borrowed (this file's second invariant).
        Some(unsafe { std::slice::from_raw_parts(start, range.len()) })
    }

    /// Makes the page table entries of a range, so that its bytes are read without page faults. Advice: what cannot be
    /// done (an older kernel, a bad sector) is left to the first look at the page.
    pub fn populate(&self, range: Range<usize>) {
        let start = range.start / PAGE_BYTES_MAX * PAGE_BYTES_MAX;
        if range.end > self.0.bytes || start >= range.end {
            return;
        }
        // SAFETY: the range was checked to lie inside of the mapping.
        let first = unsafe { self.0.start.as_ptr().cast::<u8>().add(start) };
        // SAFETY: pages of a mapping of our own that lives; this advice changes no byte and no protection.
        let _left_to_faults =
            unsafe { rustix::mm::madvise(first.cast(), range.end - start, Advice::LinuxPopulateRead) };
    }

    /// The length of the map in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.bytes
    }

    /// Whether the map has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }
}

/// A shared, writable map of a segment file, for the one writer of a log.
#[derive(Debug)]
pub struct WritableMap(Mapping);

impl WritableMap {
    /// Maps the first `bytes` of a file whose blocks are all allocated.
    pub fn new(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<WritableMap> {
        Mapping::new(fd, bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED).map(WritableMap)
    }

    /// Stores bytes at an offset; `false`, and nothing stored, where they would leave the map. The caller holds the
    /// log's append lock and stores behind the published tail, where nobody reads yet.
    #[must_use]
    pub fn store(&self, bytes: &[u8], offset: usize) -> bool {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.0.bytes) {
            return false;
        }
        // SAFETY: the range was checked to lie inside of the mapping.
        let target = unsafe { self.0.start.as_ptr().cast::<u8>().add(offset) };
        // SAFETY: writable memory of that length; slices of other maps end before the published tail, and the one
        // writer's lock keeps others away.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        true
    }

    /// Makes the pages that hold the bytes of `range` ready for stores; changes no byte. What lies beyond the map is
    /// passed over.
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let page = rustix::param::page_size();
        let (start, end) = (range.start / page * page, range.end.min(self.0.bytes));
        if start >= end {
            return Ok(());
        }
        // SAFETY: the start was checked to lie inside of the mapping, and is that of a page.
        let first = unsafe { self.0.start.as_ptr().cast::<u8>().add(start) };
        // SAFETY: mapped memory of that length; the kernel does there what a store of the present bytes would do.
        let populated = unsafe { rustix::mm::madvise(first.cast(), end - start, Advice::LinuxPopulateWrite) };
        Ok(populated?)
    }
}

/// A private copy-on-write map of a segment file, to be given to a language that may write into it: what it writes
/// reaches neither the file nor any other map.
#[derive(Debug)]
pub struct PrivateMap(Mapping);

impl PrivateMap {
    /// Maps the first `bytes` of a file. Swap space is not reserved for copies that are hardly ever made.
    pub fn new(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<PrivateMap> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Mapping::new(fd, bytes, protection, MapFlags::PRIVATE | MapFlags::NORESERVE).map(PrivateMap)
    }

    /// The first byte. Valid until this value is dropped.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr().cast()
    }

    /// The length of the map in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.bytes
    }

    /// Whether the map has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }
}

/// The size of a page that is shared with pollers, in bytes.
pub const TAIL_PAGE_BYTES: usize = 4096;

/// A page of two 32-bit counters that pollers watch without a call: word 0 counts publications, word 1 durable
/// advances; both wrap. Only the engine can write to it.
#[derive(Debug)]
pub struct TailPage {
    #[cfg(not(loom))]
    fd: OwnedFd,
    #[cfg(not(loom))]
    map: Mapping,
    // A model checker sees no mapped memory; its two words stand in for the page.
    #[cfg(loom)]
    words: Arc<[AtomicU32; 2]>,
}

#[cfg(not(loom))]
impl TailPage {
    /// A page of zeros in anonymous shared memory.
    pub fn new() -> io::Result<TailPage> {
        let fd = rustix::fs::memfd_create("millrace-tail", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, TAIL_PAGE_BYTES as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let map = Mapping::new(fd.as_fd(), TAIL_PAGE_BYTES, protection, MapFlags::SHARED)?;
        Ok(TailPage { fd, map })
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < TAIL_PAGE_BYTES / 4, "a word of the page");
        // SAFETY: inside of the page, aligned to 4 bytes, since mappings start at page boundaries.
        let word = unsafe { self.map.start.as_ptr().cast::<AtomicU32>().add(index) };
        // SAFETY: mapped as long as `self` lives, and only ever accessed as an atomic.
        unsafe { &*word }
    }

    /// A map of the page at an address of its own, for one poller. A poller's write faults or stays with it: the map
    /// is read-only.
    pub fn view(&self) -> io::Result<TailView> {
        Mapping::new(self.fd.as_fd(), TAIL_PAGE_BYTES, ProtFlags::READ, MapFlags::SHARED).map(TailView)
    }
}

#[cfg(loom)]
impl TailPage {
    /// Two words of zero.
    pub fn new() -> io::Result<TailPage> {
        Ok(TailPage { words: Arc::new([AtomicU32::new(0), AtomicU32::new(0)]) })
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        &self.words[index]
    }

    /// The words.
    pub fn view(&self) -> io::Result<TailView> {
        Ok(TailView(Arc::clone(&self.words)))
    }
}

impl TailPage {
    /// Counts one publication. Who sees the count sees what was published before.
    pub fn published(&self) {
        self.word(0).fetch_add(1, Ordering::Release);
    }

    /// Counts one advance of the durable watermark. Who sees the count sees the watermark.
    pub fn durable(&self) {
        self.word(1).fetch_add(1, Ordering::Release);
    }
}

/// A poller's own read-only map of a [`TailPage`].
#[cfg(not(loom))]
#[derive(Debug)]
pub struct TailView(Mapping);

/// The words of a [`TailPage`].
#[cfg(loom)]
#[derive(Debug)]
pub struct TailView(pub Arc<[AtomicU32; 2]>);

#[cfg(not(loom))]
impl TailView {
    /// The first byte of the page, [`TAIL_PAGE_BYTES`] long. Valid until this value is dropped.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr().cast()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_write_into_a_private_map_reaches_neither_file_nor_shared_map() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&[7; 8192]).expect("written");
        let shared = SharedMap::new(file.as_fd(), 8192).expect("mapped");
        let private = PrivateMap::new(file.as_fd(), 8192).expect("mapped");
        // SAFETY: the first byte of a writable mapping that lives.
        unsafe { private.as_ptr().write(9) };
        assert_eq!(shared.bytes(0..1), Some(&[7][..]));
        assert_eq!(shared.bytes(8190..8193), None);
    }

    #[test]
    fn pages_made_ready_for_stores_keep_their_bytes() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&[7; 12_288]).expect("written");
        let (shared, writable) = (SharedMap::new(file.as_fd(), 12_288), WritableMap::new(file.as_fd(), 12_288));
        let (shared, writable) = (shared.expect("mapped"), writable.expect("mapped"));
        assert!(writable.store(&[9; 10], 5_000));
        // A kernel before 5.14 does not know how, and then nothing happens.
        let _slower_without = writable.populate(100..1 << 20);
        writable.populate(1 << 20..2 << 20).expect("nothing to do beyond the map");
        let mut expected = [7; 12_288];
        expected[5_000..5_010].fill(9);
        assert_eq!(shared.bytes(0..12_288), Some(&expected[..]));
    }

    #[test]
    fn a_view_sees_what_the_page_counts() {
        let page = TailPage::new().expect("a page");
        let view = page.view().expect("a view");
        page.published();
        page.durable();
        page.published();
        // SAFETY: aligned words of a mapping that lives.
        let words = unsafe { std::slice::from_raw_parts(view.as_ptr().cast::<u32>(), 2) };
        assert_eq!(words, [2, 1]);
    }
}
