//! How the engine's errors cross into JavaScript.

/// The engine's error as JavaScript gets it.
pub fn coded(error: &millrace::Error) -> napi::Error {
    napi::Error::from_reason(coded_text(error))
}

/// An error of a defect: an argument that our own TypeScript must not have passed.
pub fn internal(message: &str) -> napi::Error {
    with_code(millrace::Kind::Internal.code(), message)
}

/// The text that stands for an error wherever only a string can cross; behind it, where the error tells that, in how
/// many milliseconds to try again.
pub fn coded_text(error: &millrace::Error) -> String {
    let text = join(error.code(), error.message());
    match error.retry_after_ms() {
        Some(ms) => format!("{text}\0{ms}"),
        None => text,
    }
}

fn with_code(code: &str, message: &str) -> napi::Error {
    napi::Error::from_reason(join(code, message))
}

fn join(code: &str, message: &str) -> String {
    format!("{code}\0{message}")
}
