//! Tags: what an operator notes at a stream, a consumer or a queue, as pairs of a key and a value that mean nothing to
//! the engine. The rules are those of AWS.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::Step;
use super::state::State;
use crate::error::{Error, Kind, Result};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The most tags of one thing.
pub(super) const TAGS_MAX: usize = 50;
/// The most characters of a tag's key.
const KEY_CHARS_MAX: usize = 128;
/// The most characters of a tag's value.
const VALUE_CHARS_MAX: usize = 256;
/// What a key must not begin with, in whatever case: AWS keeps it for itself.
const RESERVED: &str = "aws:";

/// Checks tags against the rules of AWS: at most 50; keys of 1 to 128 characters that do not begin with `aws:`, values
/// of 0 to 256, both of letters, digits, spaces and `_ . : / = + - @ %`.
///
/// # Errors
/// `InvalidArgument` for a key or a value, `LimitExceeded` for too many.
pub(super) fn validate_tags(tags: &Tags) -> Result<()> {
    for (key, value) in tags {
        validate_key(key)?;
        validate_text("a tag's value", value, 0, VALUE_CHARS_MAX)?;
    }
    check_count(tags.len())
}

fn check_count(count: usize) -> Result<()> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    let message = format!("expected at most {TAGS_MAX} tags, got {count}; remove some first");
    Err(Error::new(Kind::LimitExceeded, message))
}

fn validate_key(key: &str) -> Result<()> {
    validate_text("a tag's key", key, 1, KEY_CHARS_MAX)?;
    let beginning: String = key.chars().take(RESERVED.len()).collect();
    if beginning.eq_ignore_ascii_case(RESERVED) {
        let message = format!("expected a tag's key that does not begin with {RESERVED:?}, got {key:?}");
        return Err(Error::new(Kind::InvalidArgument, message));
    }
    Ok(())
}

fn validate_text(what: &str, text: &str, least: usize, most: usize) -> Result<()> {
    let rule = || format!("expected {what} of {least} to {most} letters, digits, spaces or _ . : / = + - @ %");
    let allowed = |c: &char| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@%".contains(*c);
    let fault = match (text.chars().find(|c| !allowed(c)), text.chars().count()) {
        (Some(stray), _) => format!("got one with {stray:?}"),
        (None, count) if !(least..=most).contains(&count) => format!("got {count} characters"),
        (None, _) => return Ok(()),
    };
    Err(Error::new(Kind::InvalidArgument, format!("{}, {fault}", rule())))
}

/// Adds tags to a stream; those of a key that it has are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagStream {
    /// The stream.
    pub id: u64,
    /// The tags, at least one.
    pub tags: Tags,
}

impl Step for TagStream {
    fn validate(&self, state: &State) -> Result<()> {
        let present = &state.active(self.id)?.config.tags;
        check_any("tag", self.tags.len())?;
        validate_tags(&self.tags)?;
        let new = self.tags.keys().filter(|key| !present.contains_key(*key)).count();
        check_count(present.len() + new)
    }

    fn apply(&self, state: &mut State) {
        let tags = self.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
        state.valid(self.id).config.tags.extend(tags);
    }
}

/// Removes tags from a stream; keys that it does not have are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UntagStream {
    /// The stream.
    pub id: u64,
    /// Their keys, at least one.
    pub keys: BTreeSet<String>,
}

impl Step for UntagStream {
    fn validate(&self, state: &State) -> Result<()> {
        state.active(self.id)?;
        check_any("key of a tag", self.keys.len())?;
        self.keys.iter().try_for_each(|key| validate_key(key))
    }

    fn apply(&self, state: &mut State) {
        state.valid(self.id).config.tags.retain(|key, _| !self.keys.contains(key));
    }
}

fn check_any(what: &str, count: usize) -> Result<()> {
    match count {
        0 => Err(Error::new(Kind::InvalidArgument, format!("expected at least one {what}, got none"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::check_golden;

    fn tags<const N: usize>(tags: [(&str, &str); N]) -> Tags {
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        check_golden(&[
            (
                TagStream { id: 1, tags: tags([("team", "orders"), ("env", "")]) }.into(),
                r#"{"command":"tagStream","id":1,"tags":{"env":"","team":"orders"}}"#,
            ),
            (
                UntagStream { id: 1, keys: ["team".to_owned()].into() }.into(),
                r#"{"command":"untagStream","id":1,"keys":["team"]}"#,
            ),
        ]);
    }

    #[test]
    fn tags_keep_to_the_rules_of_aws() {
        let (long_key, long_value) = ("k".repeat(128), "é".repeat(256));
        let good = tags([("a", ""), (&long_key, &long_value), ("Straße 5:/=+-@%_.", "ok"), ("awsome", "x")]);
        validate_tags(&good).expect("by the rules");
        let refused = [
            (tags([("", "x")]), "got 0 characters"),
            (tags([(&"k".repeat(129), "x")]), "1 to 128 letters"),
            (tags([("k", &"v".repeat(257))]), "got 257 characters"),
            (tags([("k", "a\nb")]), r"got one with '\n'"),
            (tags([("k;", "")]), "got one with ';'"),
            (tags([("aws:k", "")]), r#"does not begin with "aws:""#),
            (tags([("AWS:k", "")]), r#"does not begin with "aws:""#),
        ];
        for (tags, expected) in refused {
            let error = validate_tags(&tags).expect_err(expected);
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().contains(expected), "expected {expected:?} in {:?}", error.message());
        }
        let many: Tags = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(validate_tags(&many).expect_err("51 tags").kind(), Kind::LimitExceeded);
    }
}
