//! Expressions: the small languages in which requests say conditions, updates, keys and projections.
//!
//! All are read by one parser over one row of tokens. An expression has at most 4 KB, is nested no deeper than
//! [`NESTING_MAX`], and has at most 300 operators, so that neither reading nor judging one can cost more than that.

pub(crate) mod condition;
pub(crate) mod key_condition;
mod parser;
pub(crate) mod path;
mod placeholders;
mod projection;
mod reserved;
mod token;
mod update_parser;

pub(crate) mod update;

pub(crate) use condition::{Comparator, Condition, Operand};
pub(crate) use path::Path;
pub(crate) use placeholders::Placeholders;
pub(crate) use projection::Projection;
pub(crate) use update::Update;

use parser::Parser;

use crate::error::{ServiceError, invalid};

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4_096;
/// How many operators and functions an expression has at most.
const OPERATORS_MAX: usize = 300;
/// How deep parentheses, negations and functions may stand in each other.
const NESTING_MAX: usize = 64;

/// Which expression of a request: its errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Condition,
    Filter,
    KeyCondition,
    Projection,
    Update,
}

impl Kind {
    /// The name of the parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Condition => "ConditionExpression",
            Kind::Filter => "FilterExpression",
            Kind::KeyCondition => "KeyConditionExpression",
            Kind::Projection => "ProjectionExpression",
            Kind::Update => "UpdateExpression",
        }
    }

    /// An error of this expression.
    pub fn error(self, reason: impl std::fmt::Display) -> ServiceError {
        invalid(format!("Invalid {}: {reason}", self.as_str()))
    }
}

impl Condition {
    /// Reads a condition, a filter, or the condition of a key.
    ///
    /// # Errors
    /// The service's validation error where it is none.
    pub(crate) fn parse(kind: Kind, text: &str, placeholders: &mut Placeholders) -> Result<Condition, ServiceError> {
        let mut parser = Parser::new(kind, text, placeholders)?;
        let condition = parser.condition()?;
        parser.end()?;
        Ok(condition)
    }
}

impl Projection {
    /// Reads a projection.
    ///
    /// # Errors
    /// The service's validation error where it is none.
    pub(crate) fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Projection, ServiceError> {
        let mut parser = Parser::new(Kind::Projection, text, placeholders)?;
        let paths = parser.paths()?;
        parser.end()?;
        Projection::of(paths)
    }
}

impl Update {
    /// Reads an update.
    ///
    /// # Errors
    /// The service's validation error where it is none.
    pub(crate) fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Update, ServiceError> {
        let mut parser = Parser::new(Kind::Update, text, placeholders)?;
        let update = parser.update()?;
        update.check_overlaps()?;
        Ok(update)
    }
}

#[cfg(test)]
mod tests;
