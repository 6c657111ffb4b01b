//! Work that may block, on a thread of libuv's pool.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Task};

use crate::error::{coded, internal};

type Work<T> = Box<dyn FnOnce() -> millrace::Result<T> + Send>;

/// One call into the engine that may wait for the disk.
pub struct Blocking<T> {
    work: Option<Work<T>>,
}

/// A promise of what `work` returns.
pub fn promise<T>(work: impl FnOnce() -> millrace::Result<T> + Send + 'static) -> AsyncTask<Blocking<T>>
where
    T: ToNapiValue + TypeName + Send + 'static,
{
    AsyncTask::new(Blocking { work: Some(Box::new(work)) })
}

impl<T> Task for Blocking<T>
where
    T: ToNapiValue + TypeName + Send + 'static,
{
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        let work = self.work.take().ok_or_else(|| internal("a task was run twice"))?;
        // A panic here would end the process: libuv's thread cannot unwind. Nothing of the task is used afterwards.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => result.map_err(|error| coded(&error)),
            Err(payload) => Err(internal(&panic_text(&*payload))),
        }
    }

    fn resolve(&mut self, _env: Env, output: T) -> napi::Result<T> {
        Ok(output)
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the engine panicked: {}; please report it", text.unwrap_or("no message"))
}
