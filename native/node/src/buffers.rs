//! Memory of the engine that JavaScript sees without a copy: the only file of this crate with `unsafe` in it besides
//! `reader.rs`, which writes into JavaScript's buffers.

use std::sync::{Arc, Mutex, PoisonError};

use millrace::map::{TAIL_PAGE_BYTES, TailView};
use millrace::{SegmentHold, SegmentView};
use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, ObjectFinalize};
use napi_derive::napi;

use crate::error::coded;

/// Whether this runtime takes external buffers. Some forbid them (Electron, a sandboxed V8); a buffer made there is
/// a copy, which this finds out with eight bytes.
#[napi(catch_unwind)]
pub fn external_buffers_allowed(env: Env) -> napi::Result<bool> {
    let mut probe = Box::new([0_u8; 8]);
    let start = probe.as_mut_ptr();
    let bytes = probe.len();
    // SAFETY: the box moves into the finalizer, so that its bytes live until the buffer is gone.
    let buffer = unsafe { ArrayBuffer::from_external(&env, start, bytes, probe, |_env, probe| drop(probe)) }?;
    Ok(std::ptr::eq(buffer.as_ptr(), start))
}

/// What a held segment counts for as external memory at most, in bytes: it takes none, but it holds an open file and
/// disk space, so the collector should come by after some.
const HELD_BYTES_MAX: u32 = 4 << 20;

/// A segment that records in JavaScript point into. Its bytes stay as long as this lives, and are mapped when somebody
/// asks for them: a map counts with its whole length as external memory, and so makes the collector run.
#[napi(custom_finalize)]
pub struct NativeSegment(SegmentHold);

impl NativeSegment {
    pub fn new(env: Env, hold: SegmentHold) -> napi::Result<Self> {
        let segment = NativeSegment(hold);
        env.adjust_external_memory(segment.counted_bytes())?;
        Ok(segment)
    }

    fn counted_bytes(&self) -> i64 {
        i64::from(self.0.file_bytes().min(HELD_BYTES_MAX))
    }
}

#[napi]
impl NativeSegment {
    /// The segment's bytes as a buffer of its own.
    #[napi(catch_unwind)]
    pub fn map<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        segment_buffer(env, self.0.map_private().map_err(|error| coded(&error))?)
    }
}

impl ObjectFinalize for NativeSegment {
    fn finalize(self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-self.counted_bytes()).map(|_all| ())
    }
}

/// The whole of a segment. JavaScript may write into it: the map is private, a write reaches neither file nor engine.
fn segment_buffer(env: &Env, map: SegmentView) -> napi::Result<ArrayBuffer<'_>> {
    let (start, bytes) = (map.as_ptr(), map.len());
    let owner = Arc::new(Mutex::new(Some(map)));
    let let_go = |owner: &Mutex<Option<SegmentView>>| drop(owner.lock().unwrap_or_else(PoisonError::into_inner).take());
    // SAFETY: the finalizer shares the map, so that it lives until the buffer is gone. It is this buffer's own, so that
    // no address is registered twice.
    let buffer =
        unsafe { ArrayBuffer::from_external(env, start, bytes, Arc::clone(&owner), move |_env, owner| let_go(&owner)) };
    if buffer.is_err() {
        // No buffer was made, as where the thread is being terminated, and the binding then forgets what it was given.
        let_go(&owner);
    }
    buffer
}

/// The page of counters that a polled reader watches. It is mapped for reading only and must not be given to users.
pub fn tail_buffer(env: &Env, view: TailView) -> napi::Result<ArrayBuffer<'_>> {
    let start = view.as_ptr();
    // SAFETY: as for a segment; the page is that long, and `src/reader.ts` only loads from it.
    unsafe { ArrayBuffer::from_external(env, start, TAIL_PAGE_BYTES, view, |_env, view| drop(view)) }
}
