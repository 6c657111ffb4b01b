//! The errors of the neighbours: one table of their names, in the spelling of each protocol.

use std::fmt;

macro_rules! fault_names {
    ($($(#[$doc:meta])* $variant:ident = $shape:literal, $code:literal, $status:literal;)*) => {
        /// The name of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultName {
            $($(#[$doc])* $variant,)*
        }

        impl FaultName {
            /// As the newer protocols name it, in `__type`.
            #[must_use]
            pub fn shape(self) -> &'static str {
                match self { $(FaultName::$variant => $shape,)* }
            }

            /// As the query protocol names it, in `Code`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(FaultName::$variant => $code,)* }
            }

            /// The HTTP code of an answer with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(FaultName::$variant => $status,)* }
            }
        }
    };
}

fault_names! {
    /// A value is none that the service takes.
    InvalidParameterValue = "InvalidParameterValueException", "InvalidParameterValue", 400;
    /// What must be there is not.
    MissingParameter = "MissingRequiredParameterException", "MissingParameter", 400;
    /// Two that exclude each other are there, or neither.
    InvalidParameterCombination = "InvalidParameterCombinationException", "InvalidParameterCombination", 400;
    /// The body is not of its protocol, or a value has the wrong type.
    Malformed = "SerializationException", "MalformedInput", 400;
    /// The service has no such operation, or this server does not do it.
    UnknownOperation = "UnknownOperationException", "InvalidAction", 400;
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403;
    /// The signature lacks a part.
    IncompleteSignature = "IncompleteSignatureException", "IncompleteSignature", 403;
    /// The signature is not that of this request.
    InvalidSignature = "InvalidSignatureException", "SignatureDoesNotMatch", 403;
    /// Nobody has this access key.
    UnrecognizedClient = "UnrecognizedClientException", "InvalidClientTokenId", 403;
    /// The body is larger than any request can be.
    RequestTooLarge = "RequestEntityTooLargeException", "RequestEntityTooLarge", 413;
    /// The server is being stopped; try again.
    ServiceUnavailable = "ServiceUnavailableException", "ServiceUnavailable", 503;
    /// Something failed that the caller cannot mend; try again.
    Internal = "InternalServiceFault", "InternalServiceError", 500;
}

/// An error as a neighbour answers with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which error.
    pub name: FaultName,
    /// What the caller is told.
    pub message: String,
}

impl Fault {
    /// An error with a message.
    pub fn new(name: FaultName, message: impl Into<String>) -> Fault {
        Fault { name, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.shape(), self.message)
    }
}

impl std::error::Error for Fault {}
