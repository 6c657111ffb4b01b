//! What is logged, as lines of JSON on standard error. A server's log is its own: it leaves whatever else the process logs
//! alone.

use std::sync::Arc;

use millrace::{Destination, Object, Result};
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

/// A destination of channels that tells the log what could not be stored; it is tried again.
#[derive(Debug)]
pub(crate) struct LoggedDestination {
    destination: Arc<dyn Destination>,
    log: Dispatch,
}

impl LoggedDestination {
    pub fn new(destination: Arc<dyn Destination>, log: Dispatch) -> LoggedDestination {
        LoggedDestination { destination, log }
    }
}

impl Destination for LoggedDestination {
    fn put(&self, object: &Object<'_>) -> Result<()> {
        let stored = self.destination.put(object);
        tracing::dispatcher::with_default(&self.log, || match &stored {
            Ok(()) => tracing::debug!(bucket = object.bucket, key = object.key, bytes = object.body.len(), "delivered"),
            Err(error) => {
                tracing::warn!(bucket = object.bucket, key = object.key, %error, "not delivered, is tried again")
            }
        });
        stored
    }
}
