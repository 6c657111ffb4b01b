//! What is logged, as lines of JSON on standard error. A server's log is its own: it leaves whatever else the process logs
//! alone.

use tracing::Dispatch;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::options::LogLevel;

/// Where a server's events go.
pub(crate) fn dispatch(level: LogLevel) -> Dispatch {
    let filter = match level {
        LogLevel::Off => return Dispatch::none(),
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_filter(filter);
    Dispatch::new(Registry::default().with(lines))
}
