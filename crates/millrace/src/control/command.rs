//! The commands of the control log and their bytes: one JSON object each, told apart by its field `command`.
//!
//! Each noun of the control plane has a file of its own, with its commands and what they do; here they are one list.
//! A command is added by a struct that implements [`Step`] in the noun's file, a line below, its golden bytes in the
//! noun's tests and a row in `docs/format-control.md`.
//!
//! Invariants: a command carries all that applying it needs (times too, so that a replay has the same result), and
//! decoding is strict: bytes that are no command are corrupt, while a command, a field or a choice that this version
//! does not know was written by a newer one. Neither is ever skipped, because the state after it would be wrong.

use serde::{Deserialize, Serialize};

use super::account::{EndCommitment, StartCommitment};
use super::channel::{ChannelDelivered, CreateChannel, DeleteChannel, TagChannel, UpdateChannel};
use super::consumer::{DeregisterConsumer, RegisterConsumer, TagConsumer};
use super::distribution::SetRecordDistribution;
use super::encryption::SetEncryptionKey;
use super::monitoring::SetShardMetrics;
use super::policy::SetPolicy;
use super::queue::{CreateQueue, DeleteQueue, TagQueue, UpdateQueue};
use super::settings::{PeakNoted, SetLimits, SetMaxRecordBytes, SetMode, SetWarmThroughput};
use super::shards::ShardsChanged;
use super::state::State;
use super::stream::{
    CreateStream, DeleteStream, HorizonAdvanced, SetDurability, SetRetention, StreamClosed, StreamOpened, StreamRemoved,
};
use super::tags::{TagStream, UntagStream};
use crate::error::{Error, Kind, Result};

/// What a command does to the state that it meets. Pure: it sees nothing but the command and the state.
pub(super) trait Step {
    /// Judges the command against the state. What passes can be applied.
    fn validate(&self, state: &State) -> Result<()>;

    /// Applies the command, which this state has just judged to be valid.
    fn apply(&self, state: &mut State);
}

/// The list of commands: each is a struct of the same name, which is called like it, in camel case, on disk.
macro_rules! commands {
    ($($command:ident),+ $(,)?) => {
        /// One step of the control plane's state. Streams are named by their id, which is never given twice.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "command", rename_all = "camelCase")]
        #[non_exhaustive]
        pub enum Command {
            $(
                #[doc = concat!("See [`", stringify!($command), "`].")]
                $command($command)
            ),+
        }

        impl Command {
            pub(super) fn step(&self) -> &dyn Step {
                match self {
                    $(Command::$command(command) => command),+
                }
            }
        }

        $(impl From<$command> for Command {
            fn from(command: $command) -> Command {
                Command::$command(command)
            }
        })+
    };
}

commands! {
    CreateStream,
    DeleteStream,
    StreamRemoved,
    SetRetention,
    SetDurability,
    StreamOpened,
    StreamClosed,
    HorizonAdvanced,
    SetLimits,
    SetMaxRecordBytes,
    SetMode,
    SetWarmThroughput,
    PeakNoted,
    TagStream,
    UntagStream,
    RegisterConsumer,
    TagConsumer,
    DeregisterConsumer,
    CreateQueue,
    UpdateQueue,
    TagQueue,
    DeleteQueue,
    ShardsChanged,
    CreateChannel,
    UpdateChannel,
    TagChannel,
    ChannelDelivered,
    DeleteChannel,
    SetPolicy,
    SetEncryptionKey,
    SetShardMetrics,
    SetRecordDistribution,
    StartCommitment,
    EndCommitment,
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
pub(super) mod tests {
    use super::*;
    use crate::control::StreamConfig;

    /// Creates a stream of this name, and nothing else is said of it.
    pub fn create(name: &str) -> Command {
        CreateStream { name: name.into(), created_ms: 1, expiry_clock_ms: None, config: StreamConfig::default() }.into()
    }

    /// A stream, `clicks`, with the id 1, and what these commands make of it.
    pub fn with_stream(commands: &[Command]) -> State {
        let mut state = State::new();
        for command in std::iter::once(&create("clicks")).chain(commands) {
            state.apply(command).expect("the history is valid");
        }
        state
    }

    /// Holds commands against their golden bytes, in both directions, and every truncation of them against damage.
    pub fn check_golden(commands: &[(Command, &str)]) {
        for (command, golden) in commands {
            assert_eq!(String::from_utf8(command.encode()).expect("JSON is UTF-8"), *golden);
            assert_eq!(&Command::decode(golden.as_bytes()).expect("golden bytes decode"), command);
            for length in 0..golden.len() {
                let error = Command::decode(&golden.as_bytes()[..length]).expect_err("a truncated command is none");
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
            }
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_told_apart_from_damage() {
        let newer = [
            r#"{"command":"takeLease","id":1}"#,
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
}
