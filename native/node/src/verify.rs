//! Verification of a whole store: everything is read, nothing is changed.

use std::path::Path;
use std::sync::Arc;

use millrace::{Damage, Environment, Meaning, Result, Shards, verify};
use napi::Status;
use napi::bindgen_prelude::{AsyncTask, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::task::{Blocking, promise};

type Progress = ThreadsafeFunction<FnArgs<(f64, f64)>, (), FnArgs<(f64, f64)>, Status, false, true>;

/// Bytes that are not what was written.
#[napi(object)]
pub struct NativeDamage {
    /// The stream's name, `queue` and a queue's name, `control log`, `store`, or the path of a directory.
    pub stream: String,
    /// `damaged`, `cut`, `header`, `index` or `other`; where it is `other`, only `message` says more.
    pub kind: String,
    pub segment: String,
    pub offset: u32,
    pub end_offset: u32,
    /// The numbers of the shards concerned; absent where any may be.
    pub shards: Option<Vec<u32>>,
    /// How many sequences are concerned at most.
    pub records: f64,
    pub first_sequence_number: Option<String>,
    pub next_sequence_number: Option<String>,
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
    let progress = reporter(&on_progress)?;
    Ok(promise(move || verified(directory.as_ref(), progress)))
}

/// A way to tell JavaScript, from any thread, how far a long work has come: bytes done and in all.
pub fn reporter(on_progress: &Function<'_, FnArgs<(f64, f64)>, ()>) -> napi::Result<impl FnMut(u64, u64) + use<>> {
    let progress = on_progress.build_threadsafe_function::<FnArgs<(f64, f64)>>().weak::<true>().build()?;
    let progress: Arc<Progress> = Arc::new(progress);
    Ok(move |done: u64, total: u64| {
        let _nobody_waits = progress.call((done as f64, total as f64).into(), ThreadsafeFunctionCallMode::NonBlocking);
    })
}

fn verified(directory: &Path, mut progress: impl FnMut(u64, u64)) -> Result<NativeVerification> {
    let outcome = verify(directory, &Environment::default(), |done, total| {
        progress(done, total);
        true
    })?;
    Ok(NativeVerification {
        streams: u32::try_from(outcome.streams).unwrap_or(u32::MAX),
        segments: outcome.read.segments as f64,
        frames: outcome.read.frames as f64,
        records: outcome.read.records as f64,
        bytes: outcome.read.bytes as f64,
        damages: outcome.damages.into_iter().map(describe_damage).collect(),
    })
}

/// A damage as a plain object.
pub fn describe_damage(damage: Damage) -> NativeDamage {
    let Damage { place, finding, sequence_numbers, message } = damage;
    let (first, next) = sequence_numbers.map(|numbers| (numbers.start, numbers.end)).unzip();
    let Some(finding) = finding else {
        return NativeDamage {
            stream: place,
            kind: "other".to_owned(),
            segment: String::new(),
            offset: 0,
            end_offset: 0,
            shards: Some(Vec::new()),
            records: 0.0,
            first_sequence_number: None,
            next_sequence_number: None,
            message,
        };
    };
    let kind = match finding.meaning {
        Meaning::Damaged => "damaged",
        Meaning::PossiblyAcknowledged => "cut",
        Meaning::Unreadable => "header",
        Meaning::ShardChange => "shards",
        Meaning::Index => "index",
    };
    let has_records = finding.shards != Shards::Of(Vec::new());
    let records = if has_records { finding.sequences.end.saturating_sub(finding.sequences.start) } else { 0 };
    NativeDamage {
        stream: place,
        kind: kind.to_owned(),
        segment: format!("{:08x}.seg", finding.segment),
        offset: finding.bytes.start,
        end_offset: finding.bytes.end,
        shards: match finding.shards {
            Shards::Any => None,
            Shards::Of(shards) => Some(shards),
        },
        records: records as f64,
        first_sequence_number: first,
        next_sequence_number: next,
        message,
    }
}
