//! The one error type of the engine: a kind that says what the caller does next, a message that says
//! what was expected and what came, and the cause.
//!
//! Kinds are few and stable; `Kind::code` is the string that Rust, JavaScript and later HTTP share.

use std::fmt;

use crate::limits::Refusal;
use crate::shard::ShardId;

/// What went wrong, told by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An argument is outside of what the method documents. Correct the call.
    InvalidArgument,
    /// The record is larger than the stream's `max_record_bytes`. Split it or raise the limit (10 MiB at most).
    RecordTooLarge,
    /// The partition key is empty, longer than 256 characters, or not UTF-8. Correct the key.
    InvalidKey,
    /// No stream has this name. Create it, or look at the list.
    StreamNotFound,
    /// A stream of this name exists. Open it, or choose another name.
    StreamExists,
    /// The stream is being deleted: nothing can be appended to or read from it.
    StreamDeleting,
    /// The stream has no such shard.
    ShardNotFound,
    /// The stream has no registered consumer of this name. Register it, or look at the list.
    ConsumerNotFound,
    /// The stream has a registered consumer of this name. Use it, or choose another name.
    ConsumerExists,
    /// The consumer's subscription was taken over by a newer one, or another one is too young to be taken over.
    SubscriptionInUse,
    /// The stream has no queue of this name. Create it, or look at the list.
    QueueNotFound,
    /// The stream has a queue of this name. Use it, or choose another name.
    QueueExists,
    /// No channel has this name. Create it, or look at the list.
    ChannelNotFound,
    /// A channel of this name exists. Use it, or choose another name.
    ChannelExists,
    /// The text is no receipt that this queue gave out.
    ReceiptInvalid,
    /// The receipt is not in force any more. What its record needs is another delivery's to do.
    ReceiptExpired,
    /// The sequence number is malformed, or belongs to another stream or shard.
    SequenceInvalid,
    /// The engine or stream was closed. Open it again.
    Closed,
    /// Another process holds the data directory. The message names it.
    Locked,
    /// The directory holds no Millrace store (and is not empty, or creating was not allowed).
    NotAStore,
    /// The store was written by a newer version. Upgrade this one.
    FormatNewer,
    /// The disk is full. Nothing was lost; free space or shorten the retention, then try again.
    DiskFull,
    /// The directory cannot be written by this process. Correct its permissions or mount.
    ReadOnly,
    /// The operating system reported another input or output error.
    Io,
    /// Bytes on disk are not what was written. The message says which; `millrace verify` lists all.
    Corrupt,
    /// An earlier sync or write failed: nothing more is acknowledged until the store is opened again.
    Poisoned,
    /// The sync of an append failed: it may or may not be there after the next open.
    OutcomeUnknown,
    /// This file system or platform cannot do what was asked.
    Unsupported,
    /// A shard was asked for more than its limits allow. Try again after the time that the error tells, back off, or add
    /// shards.
    ThroughputExceeded,
    /// A thing can be had or done only so many times, and was. The message says how many, and when again.
    LimitExceeded,
    /// A defect of Millrace itself. Please report it.
    Internal,
}

impl Kind {
    /// All kinds, in the order of the documentation's table.
    pub const ALL: [Kind; 31] = [
        Kind::InvalidArgument,
        Kind::RecordTooLarge,
        Kind::InvalidKey,
        Kind::StreamNotFound,
        Kind::StreamExists,
        Kind::StreamDeleting,
        Kind::ShardNotFound,
        Kind::ConsumerNotFound,
        Kind::ConsumerExists,
        Kind::SubscriptionInUse,
        Kind::QueueNotFound,
        Kind::QueueExists,
        Kind::ChannelNotFound,
        Kind::ChannelExists,
        Kind::ReceiptInvalid,
        Kind::ReceiptExpired,
        Kind::SequenceInvalid,
        Kind::Closed,
        Kind::Locked,
        Kind::NotAStore,
        Kind::FormatNewer,
        Kind::DiskFull,
        Kind::ReadOnly,
        Kind::Io,
        Kind::Corrupt,
        Kind::Poisoned,
        Kind::OutcomeUnknown,
        Kind::Unsupported,
        Kind::ThroughputExceeded,
        Kind::LimitExceeded,
        Kind::Internal,
    ];

    /// The stable string of this kind.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Kind::InvalidArgument => "ERR_MILLRACE_INVALID_ARGUMENT",
            Kind::RecordTooLarge => "ERR_MILLRACE_RECORD_TOO_LARGE",
            Kind::InvalidKey => "ERR_MILLRACE_INVALID_KEY",
            Kind::StreamNotFound => "ERR_MILLRACE_STREAM_NOT_FOUND",
            Kind::StreamExists => "ERR_MILLRACE_STREAM_EXISTS",
            Kind::StreamDeleting => "ERR_MILLRACE_STREAM_DELETING",
            Kind::ShardNotFound => "ERR_MILLRACE_SHARD_NOT_FOUND",
            Kind::ConsumerNotFound => "ERR_MILLRACE_CONSUMER_NOT_FOUND",
            Kind::ConsumerExists => "ERR_MILLRACE_CONSUMER_EXISTS",
            Kind::SubscriptionInUse => "ERR_MILLRACE_SUBSCRIPTION_IN_USE",
            Kind::QueueNotFound => "ERR_MILLRACE_QUEUE_NOT_FOUND",
            Kind::QueueExists => "ERR_MILLRACE_QUEUE_EXISTS",
            Kind::ChannelNotFound => "ERR_MILLRACE_CHANNEL_NOT_FOUND",
            Kind::ChannelExists => "ERR_MILLRACE_CHANNEL_EXISTS",
            Kind::ReceiptInvalid => "ERR_MILLRACE_RECEIPT_INVALID",
            Kind::ReceiptExpired => "ERR_MILLRACE_RECEIPT_EXPIRED",
            Kind::SequenceInvalid => "ERR_MILLRACE_SEQUENCE_INVALID",
            Kind::Closed => "ERR_MILLRACE_CLOSED",
            Kind::Locked => "ERR_MILLRACE_LOCKED",
            Kind::NotAStore => "ERR_MILLRACE_NOT_A_STORE",
            Kind::FormatNewer => "ERR_MILLRACE_FORMAT_NEWER",
            Kind::DiskFull => "ERR_MILLRACE_DISK_FULL",
            Kind::ReadOnly => "ERR_MILLRACE_READ_ONLY",
            Kind::Io => "ERR_MILLRACE_IO",
            Kind::Corrupt => "ERR_MILLRACE_CORRUPT",
            Kind::Poisoned => "ERR_MILLRACE_POISONED",
            Kind::OutcomeUnknown => "ERR_MILLRACE_OUTCOME_UNKNOWN",
            Kind::Unsupported => "ERR_MILLRACE_UNSUPPORTED",
            Kind::ThroughputExceeded => "ERR_MILLRACE_THROUGHPUT_EXCEEDED",
            Kind::LimitExceeded => "ERR_MILLRACE_LIMIT_EXCEEDED",
            Kind::Internal => "ERR_MILLRACE_INTERNAL",
        }
    }
}

/// An error of the engine.
///
/// ```
/// use millrace::{Error, Kind};
/// let error = Error::new(Kind::InvalidKey, "expected a key of 1 to 256 characters, got 0");
/// assert_eq!(error.code(), "ERR_MILLRACE_INVALID_KEY");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<std::io::Error>,
    throughput: Option<Box<ThroughputExceeded>>,
}

/// What a [`Kind::ThroughputExceeded`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughputExceeded {
    /// The stream's name.
    pub stream: String,
    /// The shard.
    pub shard: ShardId,
    /// The limit, by how much it was exceeded, and when to try again.
    pub refusal: Refusal,
}

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` whose message says what was expected and what came.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, throughput: None }
    }

    /// An error of the operating system while doing `what`: full disks and read-only places get kinds of their own.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (kind, advice) = match source.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
                (Kind::DiskFull, "; free space or shorten the retention, then try again")
            }
            K::PermissionDenied | K::ReadOnlyFilesystem => {
                (Kind::ReadOnly, "; this process needs permission to write there")
            }
            _ => (Kind::Io, ""),
        };
        Error { kind, message: format!("{what}: {source}{advice}"), source: Some(source), throughput: None }
    }

    /// The error of a shard of `stream` that was asked for more than its limits allow.
    #[must_use]
    pub fn throughput(stream: &str, shard: ShardId, refusal: Refusal) -> Self {
        let Refusal { limit, per_second, exceeded_by, retry_after_ms } = refusal;
        let (name, unit) = (limit.name(), limit.unit());
        let advice = match retry_after_ms {
            Some(ms) => format!("try again in {ms} ms"),
            None => "that is more than it ever takes at once: do it in parts".to_owned(),
        };
        let message = format!(
            "expected at most {per_second} {unit} a second at {shard} of stream {stream} ({name}), got {exceeded_by} \
             {unit} more than are left now; {advice}"
        );
        let throughput = ThroughputExceeded { stream: stream.to_owned(), shard, refusal };
        Error { throughput: Some(Box::new(throughput)), ..Error::new(Kind::ThroughputExceeded, message) }
    }

    /// The same error, of a file that its message names.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Error { message: format!("{}: {}", path.display(), self.message), ..self }
    }

    /// The same error, of a stream that its message names.
    pub(crate) fn of_stream(self, name: &str) -> Self {
        Error { message: format!("stream {name}: {}", self.message), ..self }
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable string of the kind.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Which limit of which shard was exceeded, where the kind is [`Kind::ThroughputExceeded`].
    #[must_use]
    pub fn exceeded(&self) -> Option<&ThroughputExceeded> {
        self.throughput.as_deref()
    }

    /// In how many milliseconds the same call would be admitted if nobody else came first; `None` where the error is of
    /// another kind, or the call asks for more than is ever there at once.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.throughput.as_ref()?.refusal.retry_after_ms
    }

    /// What was expected and what came.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
