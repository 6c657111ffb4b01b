//! Why a server does not start, and what an error of the engine is on the wire.

use std::fmt;

use millrace::{Error, Kind, ThroughputExceeded};
use millrace_kinesis::{ErrorName, ServiceError};
use millrace_neighbours::{Fault, FaultName};

/// Why a server did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An option is outside of what it documents. Correct it.
    Options(String),
    /// The address cannot be listened on, a file cannot be read or written, or the system has no more threads. The text
    /// says which.
    Io(String, std::io::Error),
    /// The certificate, its key or the authority are none. The text says which.
    Certificate(String),
    /// The store could not be used.
    Engine(Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Options(message) | StartError::Certificate(message) => f.write_str(message),
            StartError::Io(what, error) => write!(f, "{what}: {error}"),
            StartError::Engine(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Io(_, error) => Some(error),
            StartError::Engine(error) => Some(error),
            StartError::Options(_) | StartError::Certificate(_) => None,
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Error {
        match error {
            StartError::Options(message) | StartError::Certificate(message) => {
                Error::new(Kind::InvalidArgument, message)
            }
            StartError::Io(what, error) => Error::io(what, error),
            StartError::Engine(error) => error,
        }
    }
}

impl From<Error> for StartError {
    fn from(error: Error) -> StartError {
        StartError::Engine(error)
    }
}

/// What an error of the engine is on the wire, where the operation has no words of its own for it.
pub(crate) fn of_engine(error: &Error) -> ServiceError {
    let name = match error.kind() {
        Kind::InvalidArgument | Kind::RecordTooLarge | Kind::InvalidKey | Kind::SequenceInvalid => {
            ErrorName::InvalidArgument
        }
        Kind::StreamNotFound | Kind::StreamDeleting | Kind::ShardNotFound => ErrorName::ResourceNotFound,
        Kind::StreamExists => ErrorName::ResourceInUse,
        Kind::ThroughputExceeded => ErrorName::ProvisionedThroughputExceeded,
        Kind::LimitExceeded => ErrorName::LimitExceeded,
        Kind::Closed => ErrorName::ServiceUnavailable,
        _ => ErrorName::InternalFailure,
    };
    match name {
        // What happened to the disk is for the log; the caller gets the code, by which the log is searched.
        ErrorName::InternalFailure => {
            tracing::error!(code = error.code(), "{}", error.message());
            ServiceError::new(name, format!("Internal service failure: {}", error.code()))
        }
        name => ServiceError::new(name, error.message()),
    }
}

/// There is no room for a record or a read under the limits of its shard.
pub(crate) fn exceeded(account: &str, error: &Error) -> ServiceError {
    ServiceError::new(ErrorName::ProvisionedThroughputExceeded, rate_exceeded(account, error))
}

/// Which shard has no room, in the service's words.
pub(crate) fn rate_exceeded(account: &str, error: &Error) -> String {
    match error.exceeded() {
        Some(ThroughputExceeded { stream, shard, .. }) => {
            format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.")
        }
        None => error.message().to_owned(),
    }
}

/// What the door refuses, as the neighbours of Kinesis name it.
pub(crate) fn fault_of(error: &ServiceError) -> Fault {
    let name = match error.name {
        ErrorName::MissingAuthenticationToken => FaultName::MissingAuthenticationToken,
        ErrorName::IncompleteSignature => FaultName::IncompleteSignature,
        ErrorName::InvalidSignature => FaultName::InvalidSignature,
        ErrorName::UnrecognizedClient => FaultName::UnrecognizedClient,
        ErrorName::RequestEntityTooLarge => FaultName::RequestTooLarge,
        ErrorName::Serialization => FaultName::Malformed,
        ErrorName::ServiceUnavailable => FaultName::ServiceUnavailable,
        _ => FaultName::Internal,
    };
    Fault::new(name, error.message.as_deref().unwrap_or_default())
}
