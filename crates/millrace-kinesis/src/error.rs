//! The service's errors: their names, their HTTP codes, and what their bodies look like.
//!
//! One table. An operation answers with the errors that the model names for it, or with one of those that every
//! operation of AWS knows.

use crate::value::{Structure, Value};
use crate::{Format, encode};

macro_rules! error_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)*) => {
        /// The name of an error of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorName {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorName {
            /// All names.
            pub const ALL: &[ErrorName] = &[$(ErrorName::$variant,)*];

            /// As it stands in `__type`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorName::$variant => $name,)* }
            }

            /// The HTTP code of an answer with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(ErrorName::$variant => $status,)* }
            }
        }
    };
}

error_names! {
    /// The caller may not do this.
    AccessDenied = "AccessDeniedException", 400;
    /// The request was a rehearsal, and would have been done.
    DryRunOperation = "DryRunOperationException", 400;
    /// The shard iterator is older than 300 s.
    ExpiredIterator = "ExpiredIteratorException", 400;
    /// The pagination token is older than 300 s.
    ExpiredNextToken = "ExpiredNextTokenException", 400;
    /// Something failed that the caller cannot mend; try again.
    InternalFailure = "InternalFailureException", 500;
    /// An argument that the model allows is none for this resource.
    InvalidArgument = "InvalidArgumentException", 400;
    /// The key's policy forbids it.
    KmsAccessDenied = "KMSAccessDeniedException", 400;
    /// The key is disabled.
    KmsDisabled = "KMSDisabledException", 400;
    /// The key is in a state that does not allow it.
    KmsInvalidState = "KMSInvalidStateException", 400;
    /// There is no such key.
    KmsNotFound = "KMSNotFoundException", 400;
    /// The account needs a subscription for the key service.
    KmsOptInRequired = "KMSOptInRequired", 400;
    /// Too many calls of the key service.
    KmsThrottling = "KMSThrottlingException", 400;
    /// A quota or the rate of an operation is used up.
    LimitExceeded = "LimitExceededException", 400;
    /// The shard's throughput is used up; try again later.
    ProvisionedThroughputExceeded = "ProvisionedThroughputExceededException", 400;
    /// The resource exists, or its state does not allow this now.
    ResourceInUse = "ResourceInUseException", 400;
    /// There is no such resource.
    ResourceNotFound = "ResourceNotFoundException", 400;
    /// Too many calls of a queue.
    Throttling = "ThrottlingException", 400;
    /// The request does not keep to the model.
    Validation = "ValidationException", 400;
    /// The body is not what the content type says, or a value has the wrong type.
    Serialization = "SerializationException", 400;
    /// There is no such operation.
    UnknownOperation = "UnknownOperationException", 400;
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 400;
    /// The signature lacks a part.
    IncompleteSignature = "IncompleteSignatureException", 400;
    /// The signature is not that of this request.
    InvalidSignature = "InvalidSignatureException", 400;
    /// Nobody has this access key.
    UnrecognizedClient = "UnrecognizedClientException", 400;
    /// The body is larger than any request can be.
    RequestEntityTooLarge = "RequestEntityTooLargeException", 413;
    /// The server is being stopped; try again.
    ServiceUnavailable = "ServiceUnavailableException", 503;
}

/// An error as the service answers with it.
///
/// ```
/// use millrace_kinesis::{ErrorName, Format, ServiceError};
/// let error = ServiceError::new(ErrorName::ResourceNotFound, "Stream a under account 000000000000 not found.");
/// assert_eq!(error.name.status(), 400);
/// assert_eq!(
///     error.body(Format::Json),
///     br#"{"__type":"ResourceNotFoundException","message":"Stream a under account 000000000000 not found."}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// Which error.
    pub name: ErrorName,
    /// What the caller is told; some errors of malformed bodies come without.
    pub message: Option<String>,
}

impl ServiceError {
    /// An error with a message.
    pub fn new(name: ErrorName, message: impl Into<String>) -> ServiceError {
        ServiceError { name, message: Some(message.into()) }
    }

    /// An error that the service gives without a message.
    #[must_use]
    pub fn bare(name: ErrorName) -> ServiceError {
        ServiceError { name, message: None }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self, format: Format) -> Vec<u8> {
        // The layer that decodes requests spells it otherwise than the service behind it.
        let member = if self.name == ErrorName::Serialization { "Message" } else { "message" };
        let body = Structure::new().with("__type", self.name.as_str()).with_some(member, self.message.as_deref());
        encode(format, &Value::Structure(body))
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name.as_str())?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl std::error::Error for ServiceError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    #[test]
    fn every_error_of_the_model_has_a_name_here() {
        for operation in Schema::get().operations() {
            for error in &operation.errors {
                assert!(ErrorName::ALL.iter().any(|name| name.as_str() == *error), "{}: {error}", operation.name);
            }
        }
    }

    #[test]
    fn bodies_are_those_of_the_recordings() {
        let malformed = ServiceError::new(ErrorName::Serialization, "Expected list or null");
        assert_eq!(
            malformed.body(Format::Json),
            br#"{"__type":"SerializationException","Message":"Expected list or null"}"#
        );
        let bare = ServiceError::bare(ErrorName::UnknownOperation);
        assert_eq!(bare.body(Format::Json), br#"{"__type":"UnknownOperationException"}"#);
        assert_eq!(bare.body(Format::Cbor), b"\xbf\x66__type\x78\x19UnknownOperationException\xff");
    }
}
