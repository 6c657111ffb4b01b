//! How keys of objects are made.
//!
//! A template is text with `{stream}`, `{channel}`, `{sequence}` and `{timestamp:FORMAT}` in it, each also with the `!`
//! before it that Firehose wants. A format is text in which `yyyy`, `MM`, `dd`, `HH`, `mm` and `ss` stand for a time in
//! UTC. Invariant: a template that parses makes keys whose components are neither empty nor `.` nor `..`, whatever the
//! names, so that a key never leads out of its bucket's directory.

use crate::clock::iso_utc;
use crate::error::{Error, Kind, Result};

/// The longest template, in characters.
const TEMPLATE_CHARS_MAX: usize = 1_024;

/// What is put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub stream: &'a str,
    pub channel: &'a str,
    /// The first sequence that the object was to hold.
    pub sequence: u64,
    /// When its first record arrived, in milliseconds since 1970.
    pub arrival_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Stream,
    Channel,
    Sequence,
    Time(String),
}

/// A template that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn parse(text: &str) -> Result<Template> {
        if !(1..=TEMPLATE_CHARS_MAX).contains(&text.chars().count()) {
            return Err(invalid(text, "1 to 1024 characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((placeholder, behind)) = after.split_once('}') else {
                return Err(invalid(text, "a } behind each {"));
            };
            parts.push(Part::Text(before.strip_suffix('!').unwrap_or(before).to_owned()));
            parts.push(part(placeholder).ok_or_else(|| {
                invalid(
                    text,
                    "{stream}, {channel}, {sequence} or {timestamp:yyyy/MM/dd/HH/mm/ss} and no other placeholder",
                )
            })?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Template(parts);
        // Names have no slash and are never dots alone once they are filled in, so one name tells of all.
        let values = Values { stream: "..", channel: "..", sequence: 0, arrival_ms: 0 };
        let leads_out = |component: &str| matches!(component, "" | "." | "..");
        let key = format!("{}x", template.fill(&values));
        if template.0.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}'))) {
            return Err(invalid(text, "a { before each }"));
        }
        if key.split('/').any(leads_out) {
            return Err(invalid(text, "components that are neither empty nor . or .."));
        }
        Ok(template)
    }

    /// The key, or what it begins with.
    pub fn fill(&self, values: &Values<'_>) -> String {
        self.0.iter().map(|part| part.fill(values)).collect()
    }
}

impl Part {
    fn fill(&self, values: &Values<'_>) -> String {
        match self {
            Part::Text(text) => text.clone(),
            Part::Stream => named(values.stream),
            Part::Channel => named(values.channel),
            Part::Sequence => format!("{:020}", values.sequence),
            Part::Time(format) => written(format, values.arrival_ms),
        }
    }
}

/// A name in a key. One of dots alone, which a file system would take for something else, gets a `_` behind it.
fn named(name: &str) -> String {
    if name.bytes().all(|byte| byte == b'.') { format!("{name}_") } else { name.to_owned() }
}

fn part(placeholder: &str) -> Option<Part> {
    match placeholder.split_once(':') {
        None if placeholder == "stream" => Some(Part::Stream),
        None if placeholder == "channel" => Some(Part::Channel),
        None if placeholder == "sequence" => Some(Part::Sequence),
        Some(("timestamp", format)) if !format.is_empty() => Some(Part::Time(format.to_owned())),
        _ => None,
    }
}

/// A time, written as a format says.
fn written(format: &str, ms: u64) -> String {
    let iso = iso_utc(ms);
    // 2026-01-31T23:59:59.999Z; the year may be longer.
    let (year, rest) = iso.split_once('-').expect("a date has a month");
    let fields = [("yyyy", year), ("MM", &rest[..2]), ("dd", &rest[3..5])];
    let times = [("HH", &rest[6..8]), ("mm", &rest[9..11]), ("ss", &rest[12..14])];
    fields.iter().chain(&times).fold(format.to_owned(), |text, (field, digits)| text.replace(field, digits))
}

fn invalid(text: &str, expected: &str) -> Error {
    Error::new(Kind::InvalidArgument, format!("expected a template of a key with {expected}, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> =
        Values { stream: "clicks", channel: "to-s3", sequence: 42, arrival_ms: 1_769_903_999_999 };

    #[test]
    fn a_key_names_stream_channel_sequence_and_hour() {
        let filled = |text: &str| Template::parse(text).expect(text).fill(&VALUES);
        assert_eq!(filled("{stream}/{timestamp:yyyy/MM/dd/HH}/"), "clicks/2026/01/31/23/");
        assert_eq!(filled("raw/dt=!{timestamp:yyyy-MM-dd}/!{channel}-"), "raw/dt=2026-01-31/to-s3-");
        assert_eq!(filled("{sequence}-{timestamp:mm.ss}"), "00000000000000000042-59.59");
        assert_eq!(filled("plain"), "plain");
    }

    #[test]
    fn no_template_leads_out_of_its_bucket() {
        for text in
            ["", "/a", "a//b", "../a", "a/../b", "a/./b", "{nothing}", "{", "a}", "{timestamp:}", "{timestamp:../}x"]
        {
            assert_eq!(Template::parse(text).expect_err(text).kind(), Kind::InvalidArgument, "{text}");
        }
        let dots = Values { stream: "..", channel: ".", ..VALUES };
        assert_eq!(Template::parse("{stream}/{channel}/").expect("names alone").fill(&dots), ".._/._/");
    }

    #[test]
    fn parts_that_dots_are_put_together_of_are_refused() {
        Template::parse(".{timestamp:.}/x").expect_err("two dots");
    }
}
