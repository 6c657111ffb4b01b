//! Verification of a whole store: opens it, reads every frame of every stream, and closes it again.

use std::path::Path;
use std::sync::Arc;

use millrace::{Engine, Finding, Kind, OpenOptions, Result};
use napi::Status;
use napi::bindgen_prelude::{AsyncTask, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::task::{Blocking, promise};

type Progress = ThreadsafeFunction<FnArgs<(f64, f64)>, (), FnArgs<(f64, f64)>, Status, false, true>;

/// Bytes that are not what was written.
#[napi(object)]
pub struct NativeDamage {
    pub stream: String,
    pub segment: String,
    pub offset: u32,
    pub message: String,
}

/// What was read, and what is damaged.
#[napi(object)]
pub struct NativeVerification {
    pub streams: u32,
    pub segments: f64,
    pub frames: f64,
    pub records: f64,
    pub bytes: f64,
    pub damages: Vec<NativeDamage>,
}

/// Verifies the store in a directory. `on_progress` gets the bytes read and their total, and must not throw.
#[napi(ts_return_type = "Promise<NativeVerification>", catch_unwind)]
pub fn verify_store(
    directory: String,
    on_progress: Function<'_, FnArgs<(f64, f64)>, ()>,
) -> napi::Result<AsyncTask<Blocking<NativeVerification>>> {
    let progress = on_progress.build_threadsafe_function::<FnArgs<(f64, f64)>>().weak::<true>().build()?;
    let progress: Arc<Progress> = Arc::new(progress);
    Ok(promise(move || verify(directory.as_ref(), &progress)))
}

fn verify(directory: &Path, progress: &Progress) -> Result<NativeVerification> {
    let engine = Engine::open(directory, OpenOptions { create: false, ..OpenOptions::default() })?;
    let mut report =
        NativeVerification { streams: 0, segments: 0.0, frames: 0.0, records: 0.0, bytes: 0.0, damages: Vec::new() };
    for summary in engine.list_streams()? {
        report.streams += 1;
        if let Err(error) = verify_stream(&engine, &summary.name, progress, &mut report) {
            // Where the store is in use, a stream may be deleted meanwhile.
            if matches!(error.kind(), Kind::StreamNotFound | Kind::StreamDeleting) {
                report.streams -= 1;
                continue;
            }
            let message = error.to_string();
            report.damages.push(NativeDamage { stream: summary.name, segment: String::new(), offset: 0, message });
        }
    }
    engine.close()?;
    Ok(report)
}

fn verify_stream(engine: &Engine, name: &str, progress: &Progress, report: &mut NativeVerification) -> Result<()> {
    let stream = engine.stream(name)?;
    let before = report.bytes;
    let outcome = stream.verify(|done, total| {
        let position = (before + done as f64, before + total as f64);
        let _nobody_waits = progress.call(position.into(), ThreadsafeFunctionCallMode::NonBlocking);
        true
    })?;
    report.segments += outcome.segments as f64;
    report.frames += outcome.frames as f64;
    report.records += outcome.records as f64;
    report.bytes += outcome.bytes as f64;
    let mut findings = stream.describe().findings;
    findings.extend(outcome.findings.into_iter().filter(|finding| !findings.contains(finding)).collect::<Vec<_>>());
    report.damages.extend(findings.iter().map(|finding| damage(name, finding)));
    Ok(())
}

fn damage(stream: &str, finding: &Finding) -> NativeDamage {
    NativeDamage {
        stream: stream.to_owned(),
        segment: format!("{:08x}.seg", finding.segment),
        offset: finding.bytes.start,
        message: finding.to_string(),
    }
}
