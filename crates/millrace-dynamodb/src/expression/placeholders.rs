//! What stands for names and values in the expressions of a request.

use std::collections::{BTreeMap, BTreeSet};

use super::Kind;
use crate::error::{ServiceError, invalid};
use crate::value::AttributeValue;

/// The names and values of a request, and which of them its expressions used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used_names: BTreeSet<String>,
    used_values: BTreeSet<String>,
}

impl Placeholders {
    /// Checks the placeholders that a request gives.
    ///
    /// # Errors
    /// The service's validation error where one is empty or misspelt.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, AttributeValue>>,
    ) -> Result<Placeholders, ServiceError> {
        if names.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(invalid("ExpressionAttributeNames must not be empty"));
        }
        if values.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(invalid("ExpressionAttributeValues must not be empty"));
        }
        let (names, values) = (names.unwrap_or_default(), values.unwrap_or_default());
        if let Some(name) = names.keys().find(|name| !is_placeholder(name, '#')) {
            return Err(invalid(format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{name}\""
            )));
        }
        if let Some((placeholder, _)) = names.iter().find(|(_, name)| name.is_empty()) {
            return Err(invalid(format!(
                "ExpressionAttributeNames contains invalid value: Empty attribute name for key {placeholder}"
            )));
        }
        if let Some(value) = values.keys().find(|value| !is_placeholder(value, ':')) {
            return Err(invalid(format!(
                "ExpressionAttributeValues contains invalid key: Syntax error; key: \"{value}\""
            )));
        }
        Ok(Placeholders { names, values, ..Placeholders::default() })
    }

    /// The name that a placeholder stands for.
    pub fn name(&mut self, kind: Kind, placeholder: &str) -> Result<String, ServiceError> {
        let name = self.names.get(placeholder).cloned().ok_or_else(|| {
            kind.error(format_args!(
                "An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            ))
        })?;
        self.used_names.insert(placeholder.to_owned());
        Ok(name)
    }

    /// The value that a placeholder stands for.
    pub fn value(&mut self, kind: Kind, placeholder: &str) -> Result<AttributeValue, ServiceError> {
        let value = self.values.get(placeholder).cloned().ok_or_else(|| {
            kind.error(format_args!(
                "An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            ))
        })?;
        self.used_values.insert(placeholder.to_owned());
        Ok(value)
    }

    /// All placeholders must have been used, and there must be expressions that can.
    ///
    /// # Errors
    /// The service's validation error that names those that were not.
    pub fn finish(&self, has_expressions: bool) -> Result<(), ServiceError> {
        let lists = [
            ("ExpressionAttributeNames", self.names.keys().collect::<Vec<_>>(), &self.used_names),
            ("ExpressionAttributeValues", self.values.keys().collect(), &self.used_values),
        ];
        for (parameter, given, used) in lists {
            if !given.is_empty() && !has_expressions {
                return Err(invalid(format!("{parameter} can only be specified when using expressions")));
            }
            let unused: Vec<&str> = given.into_iter().filter(|key| !used.contains(*key)).map(String::as_str).collect();
            if !unused.is_empty() {
                let keys = unused.join(", ");
                return Err(invalid(format!("Value provided in {parameter} unused in expressions: keys: {{{keys}}}")));
            }
        }
        Ok(())
    }
}

/// Whether a key of the map is a sign and a word.
fn is_placeholder(key: &str, sign: char) -> bool {
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    key.strip_prefix(sign).is_some_and(|word| !word.is_empty() && is_word(word))
}
