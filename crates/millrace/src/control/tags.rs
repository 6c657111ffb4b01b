//! Tags: what an operator notes at a resource, as pairs of a key and a value that mean nothing to the engine.
//!
//! The limits are those of Kinesis: 50 tags, keys of 1 to 128 and values of 0 to 256 characters; the letters, digits,
//! spaces and `_ . : / = + - @` of any language.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

const TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

/// Checks tags against the limits.
///
/// # Errors
/// `InvalidArgument`, which says what was expected and what came.
pub(super) fn validate_tags(tags: &Tags) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!("expected at most {TAGS_MAX} tags, got {}", tags.len())));
    }
    tags.iter().try_for_each(|(key, value)| {
        validate_text("a tag's key", key, 1..=KEY_CHARACTERS_MAX)?;
        validate_text("a tag's value", value, 0..=VALUE_CHARACTERS_MAX)
    })
}

fn validate_text(what: &str, text: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<()> {
    let allowed = |c: &char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(*c);
    if let Some(stray) = text.chars().find(|c| !allowed(c)) {
        return Err(invalid(format!("expected {what} of letters, digits, spaces and _ . : / = + - @, got {stray:?}")));
    }
    let characters = text.chars().count();
    if lengths.contains(&characters) {
        return Ok(());
    }
    Err(invalid(format!("expected {what} of {} to {} characters, got {characters}", lengths.start(), lengths.end())))
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(count: usize, key: &str, value: &str) -> Tags {
        (0..count).map(|index| (format!("{key}{index}"), value.to_owned())).collect()
    }

    #[test]
    fn tags_are_held_to_the_limits_of_kinesis() {
        for good in [Tags::new(), tags(50, "team: ", ""), tags(1, &"k".repeat(127), &"é".repeat(256))] {
            validate_tags(&good).expect("within the limits");
        }
        let bad = [
            (tags(51, "k", ""), "at most 50 tags, got 51"),
            (tags(1, &"k".repeat(128), ""), "1 to 128 characters, got 129"),
            (Tags::from([(String::new(), String::new())]), "1 to 128 characters, got 0"),
            (tags(1, "k", &"v".repeat(257)), "0 to 256 characters, got 257"),
            (tags(1, "k", "a;b"), "got ';'"),
        ];
        for (tags, expected) in bad {
            let error = validate_tags(&tags).expect_err(expected);
            assert!(error.kind() == Kind::InvalidArgument && error.message().contains(expected), "{error}");
        }
    }
}
