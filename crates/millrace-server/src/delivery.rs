//! Where the channels of a store deliver to, with a server and without one.

use std::sync::Arc;

use millrace::clock::{Clock, SystemClock};
use millrace::disk::OsDisk;
use millrace::{Destination, DirectoryDestination, Engine};
use tracing::Dispatch;

use crate::buckets::S3;
use crate::error::StartError;
use crate::log::LoggedDestination;
use crate::options::Buckets;

/// Delivers the channels of a store to these buckets, as a server does that is started with them, and logs nothing: for a
/// process that serves nothing. It goes on until the engine is closed or told otherwise.
///
/// # Errors
/// [`StartError`], which says what is wrong with the endpoint or the store.
pub fn deliver_channels(engine: &Engine, buckets: Buckets) -> Result<(), StartError> {
    begin(engine, buckets, Arc::new(SystemClock), Dispatch::none())
}

/// The same, with a log of what was delivered and what was not.
pub(crate) fn begin(engine: &Engine, buckets: Buckets, clock: Arc<dyn Clock>, log: Dispatch) -> Result<(), StartError> {
    let logged = |destination: Arc<dyn Destination>| Arc::new(LoggedDestination::new(destination, log));
    let folders = |root| Arc::new(DirectoryDestination::new(root, Arc::new(OsDisk)));
    let begun = match buckets {
        Buckets::Store => engine.deliver_channels_by_default(logged(folders(engine.directory().join("channels")))),
        Buckets::Directory(directory) => engine.deliver_channels(logged(folders(directory))),
        Buckets::Endpoint(endpoint) => engine.deliver_channels(logged(Arc::new(S3::new(endpoint, clock)?))),
    };
    begun.map_err(StartError::Engine)
}
