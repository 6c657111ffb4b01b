//! The store of an environment. Environments that open one directory share one engine, which counts them.

use std::sync::Arc;

use millrace::clock::ScaledClock;
use millrace::{Engine, Environment, OpenOptions, Result};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::describe::{NativeStreamConfig, NativeStreamSummary, retention, summarize};
use crate::error::coded;
use crate::notifier::NativeNotifier;
use crate::stream::NativeStream;
use crate::task::{Blocking, promise};

/// How to open a store.
#[napi(object)]
pub struct NativeOpenOptions {
    /// An empty or absent directory becomes a store.
    pub create: bool,
    /// For tests only: how many times faster than the machine's the store's clock runs.
    pub clock_factor: Option<u32>,
    /// For tests only: how long a segment grows, in bytes.
    pub segment_bytes_max: Option<u32>,
    /// For the bench only: whether streams count what passes.
    pub meters: Option<bool>,
}

impl NativeOpenOptions {
    fn into_engine(self) -> Result<OpenOptions> {
        let mut options = OpenOptions { create: self.create, ..OpenOptions::default() };
        if let Some(factor) = self.clock_factor {
            options.environment = Environment { clock: Arc::new(ScaledClock::new(factor)?), ..options.environment };
        }
        options.environment.meters = self.meters.unwrap_or(options.environment.meters);
        options.segment_bytes_max = self.segment_bytes_max.unwrap_or(options.segment_bytes_max);
        Ok(options)
    }
}

/// An open store.
#[napi]
pub struct NativeEngine {
    pub(crate) engine: Arc<Engine>,
}

impl NativeEngine {
    /// The engine, for what serves its streams.
    pub fn share(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }
}

#[napi]
impl NativeEngine {
    /// Opens the store in a directory.
    #[napi(ts_return_type = "Promise<NativeEngine>", catch_unwind)]
    pub fn open(directory: String, options: NativeOpenOptions) -> AsyncTask<Blocking<NativeEngine>> {
        promise(move || {
            let engine = Engine::open(directory.as_ref(), options.into_engine()?)?;
            Ok(NativeEngine { engine: Arc::new(engine) })
        })
    }

    /// Creates a stream, durably.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn create_stream(&self, name: String, config: NativeStreamConfig) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.create_stream(&name, config.into_engine()?).map(|_| ()))
    }

    /// Opens a stream; recovery may run. `acknowledged_id` fires when an acknowledgement that was waited for came.
    #[napi(ts_return_type = "Promise<NativeStream>", catch_unwind)]
    pub fn open_stream(
        &self,
        name: String,
        notifier: &NativeNotifier,
        acknowledged_id: u32,
    ) -> AsyncTask<Blocking<NativeStream>> {
        let engine = Arc::clone(&self.engine);
        let alarm = notifier.alarm(acknowledged_id);
        promise(move || Ok(NativeStream::new(engine.stream(&name)?, alarm)))
    }

    /// All streams, in the order of their creation.
    #[napi(catch_unwind)]
    pub fn list_streams(&self) -> napi::Result<Vec<NativeStreamSummary>> {
        let streams = self.engine.list_streams().map_err(|error| coded(&error))?;
        Ok(streams.into_iter().map(summarize).collect())
    }

    /// Deletes a stream.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn delete_stream(&self, name: String) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.delete_stream(&name))
    }

    /// Changes how many hours a stream's records stay; 0 is unbounded.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn set_retention(&self, name: String, hours: u32) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.set_retention(&name, retention(hours)))
    }

    /// Takes the wall clock for right after a jump paused the expiry.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn accept_clock(&self) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.accept_clock())
    }

    /// What was noticed and repaired, as sentences.
    #[napi(catch_unwind)]
    pub fn warnings(&self) -> Vec<String> {
        self.engine.warnings()
    }

    /// Closes this environment's hold of the store.
    #[napi(ts_return_type = "Promise<void>", catch_unwind)]
    pub fn close(&self) -> AsyncTask<Blocking<()>> {
        let engine = Arc::clone(&self.engine);
        promise(move || engine.close())
    }
}
