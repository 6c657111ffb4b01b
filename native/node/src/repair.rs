//! Repair of a store: what is good goes into a copy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millrace::{Environment, Repair, RepairedStream, Result, repair};
use napi::bindgen_prelude::{AsyncTask, FnArgs, Function};
use napi_derive::napi;

use crate::task::{Blocking, promise};
use crate::verify::{NativeDamage, describe_damage, reporter};

/// Stops a repair that is under way.
#[napi]
#[derive(Default)]
pub struct NativeStop {
    stopped: Arc<AtomicBool>,
}

#[napi]
impl NativeStop {
    /// Nothing is stopped yet.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> NativeStop {
        NativeStop::default()
    }

    /// Stops what it was given to, after the segment at hand.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// A stream of the copy.
#[napi(object)]
pub struct NativeRepairedStream {
    pub name: String,
    pub recovered: bool,
    pub segments: f64,
    pub records: f64,
    pub bytes: f64,
}

/// What was kept, and what was left out.
#[napi(object)]
pub struct NativeRepair {
    /// It was stopped; there is no copy.
    pub stopped: bool,
    pub streams: Vec<NativeRepairedStream>,
    pub damages: Vec<NativeDamage>,
}

/// Copies what is good of the store in `from` to a new one in `to`. `on_progress` gets the bytes read and their total,
/// and must not throw.
#[napi(ts_return_type = "Promise<NativeRepair>", catch_unwind)]
pub fn repair_store(
    from: String,
    to: String,
    stop: &NativeStop,
    on_progress: Function<'_, FnArgs<(f64, f64)>, ()>,
) -> napi::Result<AsyncTask<Blocking<NativeRepair>>> {
    let progress = reporter(&on_progress)?;
    let stopped = Arc::clone(&stop.stopped);
    Ok(promise(move || repaired(from.as_ref(), to.as_ref(), &stopped, progress)))
}

fn repaired(from: &Path, to: &Path, stopped: &AtomicBool, mut progress: impl FnMut(u64, u64)) -> Result<NativeRepair> {
    let outcome = repair(from, to, &Environment::default(), |done, total| {
        progress(done, total);
        !stopped.load(Ordering::Acquire)
    })?;
    let stopped = outcome.is_none();
    let Repair { streams, damages } = outcome.unwrap_or_default();
    Ok(NativeRepair {
        stopped,
        streams: streams.into_iter().map(describe_stream).collect(),
        damages: damages.into_iter().map(describe_damage).collect(),
    })
}

fn describe_stream(stream: RepairedStream) -> NativeRepairedStream {
    NativeRepairedStream {
        name: stream.name,
        recovered: stream.is_recovered,
        segments: stream.segments as f64,
        records: stream.records as f64,
        bytes: stream.bytes as f64,
    }
}
