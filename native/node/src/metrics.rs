//! What streams tell of themselves, as JSON: their metrics have a place for each shard, and one text crosses the boundary
//! faster than ten thousand objects.

use millrace::metrics::advice::Advice;
use millrace::metrics::report::StreamMetrics;
use millrace::{Error, Kind, Result, Stream, observe};
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use serde::Serialize;

use crate::task::{Blocking, promise};

/// A piece of advice and its words.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    advice: &'a Advice,
    text: String,
}

#[derive(Serialize)]
struct Replayed<'a> {
    metrics: StreamMetrics,
    advice: Vec<Told<'a>>,
}

/// The figures of the process that has the store in a directory open, as JSON.
#[napi(ts_return_type = "Promise<string>", catch_unwind)]
pub fn observe_store(directory: String) -> AsyncTask<Blocking<String>> {
    promise(move || json(&observe(directory.as_ref())?))
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Result<String> {
    let failed = |error| Error::new(Kind::Internal, format!("expected plain values, got {error}"));
    serde_json::to_string(value).map_err(failed)
}

/// Advice with its words, as JSON.
pub fn told(advice: &[Advice]) -> Result<String> {
    json(&with_words(advice))
}

/// The metrics and the advice of a log's last minute, as JSON.
pub fn replayed(stream: &Stream) -> Result<String> {
    let (metrics, advice) = stream.replay_metrics()?;
    json(&Replayed { metrics, advice: with_words(&advice) })
}

fn with_words(advice: &[Advice]) -> Vec<Told<'_>> {
    advice.iter().map(|advice| Told { advice, text: advice.to_string() }).collect()
}
