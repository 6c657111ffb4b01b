//! The commands of the control log and their bytes: one JSON object each, told apart by its field `command`.
//!
//! Invariants: a command carries all that applying it needs (times too, so that a replay has the same result), and
//! decoding is strict: bytes that are no command are corrupt, while a command, a field or a choice that this version
//! does not know was written by a newer one. Neither is ever skipped, because the state after it would be wrong.

use serde::{Deserialize, Serialize};

use super::config::{Durability, Retention, StreamConfig};
use crate::error::{Error, Kind, Result};

/// One step of the control plane's state. Streams are named by their id, which is never given twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// Creates a stream; its id is the state's next one.
    CreateStream {
        /// The name, unique among the streams that exist.
        name: String,
        /// The wall clock at creation, in milliseconds since 1970.
        created_ms: u64,
        /// What the stream is created with.
        config: StreamConfig,
    },
    /// Marks a stream as being deleted: from now its files may go.
    DeleteStream {
        /// The stream.
        id: u64,
    },
    /// The files of a stream being deleted are gone, and its name is free.
    StreamRemoved {
        /// The stream.
        id: u64,
    },
    /// Changes how long records are kept.
    SetRetention {
        /// The stream.
        id: u64,
        /// The new retention.
        retention: Retention,
    },
    /// Changes what an acknowledgement promises.
    SetDurability {
        /// The stream.
        id: u64,
        /// The new policy.
        durability: Durability,
    },
    /// The stream may be appended to from now: should the process die, its log must be recovered from its own files.
    StreamOpened {
        /// The stream.
        id: u64,
    },
    /// The stream was closed in order, and all of it is durable: the next open need not scan.
    StreamClosed {
        /// The stream.
        id: u64,
        /// Where its log ends.
        tail: CleanTail,
    },
    /// Records before the horizon are not returned any more. A horizon never goes back.
    HorizonAdvanced {
        /// The stream.
        id: u64,
        /// The first record that still is returned.
        horizon: Horizon,
        /// The expiry clock that decided so, in milliseconds since 1970.
        expiry_clock_ms: u64,
    },
}

/// Where the log of a stream that was closed in order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CleanTail {
    /// The last segment.
    pub segment: u64,
    /// The end of its last frame, in bytes from the start of the segment's file.
    pub offset: u32,
    /// The sequence after the last one given.
    pub next_sequence: u64,
    /// The checksum of the last frame, which the next frame's header repeats.
    pub last_frame_checksum: u32,
    /// The arrival time of the last record, in milliseconds since 1970; arrival times never decrease.
    pub last_arrival_ms: u64,
}

/// The trim horizon: the place of the first record that still is returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Horizon {
    /// The segment that holds it.
    pub segment: u64,
    /// The offset of its frame, in bytes from the start of the segment's file.
    pub offset: u32,
    /// Its sequence.
    pub sequence: u64,
}

impl Horizon {
    /// Whether moving from `self` to `next` would bring back a record that was given up.
    #[must_use]
    pub fn goes_back_to(&self, next: &Horizon) -> bool {
        next.sequence < self.sequence || (next.segment, next.offset) < (self.segment, self.offset)
    }
}

impl Command {
    /// The bytes of this command in the control log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command holds nothing but numbers, strings and their structures")
    }

    /// The command that `bytes` of the control log are.
    ///
    /// # Errors
    /// `FormatNewer` for a command, or a part of one, that this version does not know; `Corrupt` for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Command> {
        serde_json::from_slice(bytes).map_err(|error| undecodable("a command of the control log", &error))
    }
}

/// What JSON that does not decode means: the strict derived decoders say "unknown" for what a newer version may have
/// added, and for nothing else.
pub(super) fn undecodable(what: &str, error: &serde_json::Error) -> Error {
    let reason = error.to_string();
    if reason.starts_with("unknown field") || reason.starts_with("unknown variant") {
        let message = format!("{what} was written by a newer version of Millrace ({reason}); upgrade this one");
        return Error::new(Kind::FormatNewer, message);
    }
    Error::new(Kind::Corrupt, format!("expected {what} as JSON, got something else: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(Command, &'static str)> {
        let config = StreamConfig { codec: Some("json".into()), ..StreamConfig::default() };
        let tail = CleanTail {
            segment: 7,
            offset: 4_096,
            next_sequence: u64::MAX,
            last_frame_checksum: u32::MAX,
            last_arrival_ms: 1_767_225_600_000,
        };
        let horizon = Horizon { segment: 3, offset: 128, sequence: 99 };
        vec![
            (
                Command::CreateStream { name: "clicks".into(), created_ms: 5, config },
                r#"{"command":"createStream","name":"clicks","createdMs":5,"config":{"shards":1,"retention":{"hours":24},"durability":"synced","maxRecordBytes":1048576,"preallocateBytes":0,"codec":"json"}}"#,
            ),
            (Command::DeleteStream { id: 1 }, r#"{"command":"deleteStream","id":1}"#),
            (Command::StreamRemoved { id: 1 }, r#"{"command":"streamRemoved","id":1}"#),
            (
                Command::SetRetention { id: 1, retention: Retention::Unbounded },
                r#"{"command":"setRetention","id":1,"retention":"unbounded"}"#,
            ),
            (
                Command::SetDurability { id: 1, durability: Durability::Interval { ms: 20 } },
                r#"{"command":"setDurability","id":1,"durability":{"interval":{"ms":20}}}"#,
            ),
            (Command::StreamOpened { id: 1 }, r#"{"command":"streamOpened","id":1}"#),
            (
                Command::StreamClosed { id: 1, tail },
                r#"{"command":"streamClosed","id":1,"tail":{"segment":7,"offset":4096,"nextSequence":18446744073709551615,"lastFrameChecksum":4294967295,"lastArrivalMs":1767225600000}}"#,
            ),
            (
                Command::HorizonAdvanced { id: 1, horizon, expiry_clock_ms: 12 },
                r#"{"command":"horizonAdvanced","id":1,"horizon":{"segment":3,"offset":128,"sequence":99},"expiryClockMs":12}"#,
            ),
        ]
    }

    #[test]
    fn every_command_has_its_golden_bytes_and_comes_back_from_them() {
        for (command, golden) in all() {
            assert_eq!(String::from_utf8(command.encode()).expect("JSON is UTF-8"), golden);
            assert_eq!(Command::decode(golden.as_bytes()).expect("golden bytes decode"), command);
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_told_apart_from_damage() {
        let newer = [
            r#"{"command":"registerConsumer","id":1}"#,
            r#"{"command":"deleteStream","id":1,"force":true}"#,
            r#"{"command":"setRetention","id":1,"retention":{"records":5}}"#,
            r#"{"command":"setDurability","id":1,"durability":"replicated"}"#,
            r#"{"command":"setDurability","id":1,"durability":{"replicated":{"nodes":3}}}"#,
            r#"{"command":"horizonAdvanced","id":1,"horizon":{"segment":3,"offset":128,"sequence":99,"shard":1},"expiryClockMs":12}"#,
        ];
        for bytes in newer {
            assert_eq!(Command::decode(bytes.as_bytes()).expect_err(bytes).kind(), Kind::FormatNewer, "{bytes}");
        }
        let corrupt = [
            "",
            "null",
            "{}",
            "[]",
            r#"{"command":5}"#,
            r#"{"id":1}"#,
            r#"{"command":"deleteStream"}"#,
            r#"{"command":"deleteStream","id":-1}"#,
        ];
        for bytes in corrupt {
            assert_eq!(Command::decode(bytes.as_bytes()).expect_err(bytes).kind(), Kind::Corrupt, "{bytes}");
        }
    }

    #[test]
    fn every_truncation_is_corrupt() {
        for (command, _) in all() {
            let bytes = command.encode();
            for length in 0..bytes.len() {
                let error = Command::decode(&bytes[..length]).expect_err("a truncated command is none");
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
            }
        }
    }

    #[test]
    fn a_horizon_goes_back_by_sequence_or_by_place() {
        let here = Horizon { segment: 2, offset: 64, sequence: 10 };
        assert!(!here.goes_back_to(&here));
        assert!(!here.goes_back_to(&Horizon { segment: 3, offset: 0, sequence: 10 }));
        assert!(here.goes_back_to(&Horizon { segment: 3, offset: 0, sequence: 9 }));
        assert!(here.goes_back_to(&Horizon { segment: 2, offset: 0, sequence: 10 }));
        assert!(here.goes_back_to(&Horizon { segment: 1, offset: 128, sequence: 11 }));
    }
}
