//! The service's errors: their names, their HTTP codes, and what their bodies look like.

use serde_json::{Value, json};

use crate::json::InvalidValue;
use crate::number::NumberError;
use crate::value::Item;

/// Where the types of the service's own errors are at home.
const OWN: &str = "com.amazonaws.dynamodb.v20120810";
/// Where those are that every service of AWS knows.
const COMMON: &str = "com.amazon.coral.service";

macro_rules! error_names {
    ($($(#[$doc:meta])* $variant:ident = $home:expr, $name:literal, $status:literal;)*) => {
        /// The name of an error of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorName {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorName {
            /// The name alone.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorName::$variant => $name,)* }
            }

            /// Where the type is at home.
            fn home(self) -> &'static str {
                match self { $(ErrorName::$variant => $home,)* }
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
    /// The condition of a write does not hold.
    ConditionalCheckFailed = OWN, "ConditionalCheckFailedException", 400;
    /// A transaction was not done; its reasons say why, action by action.
    TransactionCanceled = OWN, "TransactionCanceledException", 400;
    /// A token of a transaction was used for another one.
    IdempotentParameterMismatch = OWN, "IdempotentParameterMismatchException", 400;
    /// There is no such table, or it is not to be had now.
    ResourceNotFound = OWN, "ResourceNotFoundException", 400;
    /// The table exists already, or is protected.
    ResourceInUse = OWN, "ResourceInUseException", 400;
    /// A limit of the service.
    LimitExceeded = OWN, "LimitExceededException", 400;
    /// There is no such table, for operations of backups.
    TableNotFound = OWN, "TableNotFoundException", 400;
    /// Something failed that the caller cannot mend; try again.
    InternalServerError = OWN, "InternalServerError", 500;
    /// The server is being stopped; try again.
    ServiceUnavailable = COMMON, "ServiceUnavailableException", 503;
    /// The request is none that the service takes.
    Validation = "com.amazon.coral.validate", "ValidationException", 400;
    /// The body is no JSON, or a value has the wrong type.
    Serialization = COMMON, "SerializationException", 400;
    /// There is no such operation, or none that Millrace has.
    UnknownOperation = COMMON, "UnknownOperationException", 400;
}

/// Why an action of a transaction kept it from being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancellationReason {
    /// `None` for an action with which all was well.
    pub code: &'static str,
    /// What was wrong.
    pub message: Option<String>,
    /// The item as it was, where it was asked for.
    pub item: Option<Item>,
}

/// An error as the service answers with it.
///
/// ```
/// use millrace_dynamodb::{ErrorName, ServiceError};
/// let error = ServiceError::new(ErrorName::ConditionalCheckFailed, "The conditional request failed");
/// assert_eq!(error.name.status(), 400);
/// let body = String::from_utf8(error.body())?;
/// assert!(body.contains("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// Which error.
    pub name: ErrorName,
    /// What the caller is told.
    pub message: String,
    /// The item whose condition failed, where it was asked for.
    pub item: Option<Item>,
    /// Of a transaction: one a action.
    pub reasons: Vec<CancellationReason>,
}

impl ServiceError {
    /// An error with a message.
    pub fn new(name: ErrorName, message: impl Into<String>) -> ServiceError {
        ServiceError { name, message: message.into(), item: None, reasons: Vec::new() }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        // The layer that decodes requests, and the transactions, spell it otherwise than the rest.
        let member = match self.name {
            ErrorName::Serialization | ErrorName::TransactionCanceled => "Message",
            _ => "message",
        };
        let mut body = json!({ "__type": format!("{}#{}", self.name.home(), self.name.as_str()) });
        body[member] = self.message.as_str().into();
        if let Some(item) = &self.item {
            body["Item"] = json!(item);
        }
        if !self.reasons.is_empty() {
            body["CancellationReasons"] = self.reasons.iter().map(CancellationReason::to_json).collect();
        }
        body.to_string().into_bytes()
    }
}

impl CancellationReason {
    /// With this action all was well.
    #[must_use]
    pub fn none() -> CancellationReason {
        CancellationReason { code: "None", message: None, item: None }
    }

    fn to_json(&self) -> Value {
        let mut reason = json!({ "Code": self.code });
        if let Some(message) = &self.message {
            reason["Message"] = message.as_str().into();
        }
        if let Some(item) = &self.item {
            reason["Item"] = json!(item);
        }
        reason
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name.as_str(), self.message)
    }
}

impl std::error::Error for ServiceError {}

impl From<InvalidValue> for ServiceError {
    fn from(error: InvalidValue) -> ServiceError {
        invalid(error.0)
    }
}

impl From<NumberError> for ServiceError {
    fn from(error: NumberError) -> ServiceError {
        invalid(error.to_string())
    }
}

/// The request is none that the service takes.
pub(crate) fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorName::Validation, message)
}

/// A value of a parameter is none that the service takes.
pub(crate) fn invalid_parameter(message: impl std::fmt::Display) -> ServiceError {
    invalid(format!("One or more parameter values were invalid: {message}"))
}

/// A parameter of the service that Millrace does not have.
pub(crate) fn unsupported(parameter: &str) -> ServiceError {
    invalid(format!("Millrace does not support {parameter}; docs/leases.md lists what its tables are for."))
}
