//! A page that a native thread writes and JavaScript polls: the least that a polled reader can cost.
//!
//! ```text
//! byte 0   u64  number of stores so far; JavaScript spins on its low four bytes
//! byte 8   f64  time of the last store, nanoseconds of `nowNs`
//! ```

use std::ptr::from_ref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use napi::Env;
use napi::bindgen_prelude::ArrayBuffer;
use napi_derive::napi;

use crate::clock::{Pace, monotonic_ns, pause};

const PAGE_BYTES: usize = 4096;

#[repr(align(4096))]
struct Page {
    words: [AtomicU64; PAGE_BYTES / size_of::<AtomicU64>()],
}

const _: () = assert!(size_of::<Page>() == PAGE_BYTES);

/// One shared page. It is never freed, because neither the thread nor the collector can know who looks at it last;
/// a run of the bench makes a handful.
#[napi]
pub struct StampPage {
    page: &'static Page,
}

#[napi]
impl StampPage {
    /// A page of zeros.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self { page: Box::leak(Box::new(Page { words: [const { AtomicU64::new(0) }; _] })) }
    }

    /// The page as an ArrayBuffer. To be called once for each page: Node refuses one address registered twice.
    #[napi]
    pub fn buffer<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        let bytes = from_ref(self.page).cast_mut().cast::<u8>();
        // SAFETY: the page is leaked, so the address stays valid for as long as any ArrayBuffer does, and it consists
        // of atomics only, so that stores by the thread do not invalidate what JavaScript reads.
        unsafe { ArrayBuffer::from_external(env, bytes, PAGE_BYTES, (), |_, ()| {}) }
    }

    /// Stores the time and then the next number, `count` times, from a native thread of its own, which lets
    /// `interval_us` microseconds pass before each.
    #[napi]
    pub fn store_from_thread(&self, pace: Pace, interval_us: u32, count: u32) {
        let page = self.page;
        thread::spawn(move || {
            for _ in 0..count {
                pause(pace, interval_us);
                page.words[1].store(monotonic_ns().to_bits(), Ordering::Relaxed);
                page.words[0].fetch_add(1, Ordering::Release);
            }
        });
    }
}
