//! Steps: what changes tables. They are what is kept on disk, as JSON, in groups that are done together or not at all.

use serde::{Deserialize, Serialize};

use crate::table::Definition;
use crate::value::Item;

/// The version of the steps that this code writes, and the newest that it reads.
pub const STEPS_VERSION: u32 = 1;

/// A change of the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// A table is made, or becomes this.
    Table(Box<Definition>),
    /// A table goes, with its items.
    Drop {
        /// Its name.
        table: String,
    },
    /// An item takes the place of the one with its key.
    Put {
        /// The table's name.
        table: String,
        /// The whole item.
        item: Item,
    },
    /// An item goes.
    Delete {
        /// The table's name.
        table: String,
        /// The attributes of its key.
        key: Item,
    },
    /// A transaction was done, and is not done again under its token.
    Token {
        /// The token.
        token: String,
        /// What tells its request from another.
        digest: u64,
        /// When it was done, in milliseconds since 1970.
        #[serde(rename = "atMs")]
        at_ms: u64,
    },
}

/// Why bytes are no steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepsError {
    /// A newer version wrote them.
    Newer(u32),
    /// They are damaged, or never were steps; the text says how.
    Malformed(String),
}

#[derive(Serialize)]
struct GroupOut<'s> {
    version: u32,
    steps: &'s [Step],
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct GroupIn {
    steps: Vec<Step>,
}

impl Step {
    /// The bytes of a group.
    #[must_use]
    pub fn encode_all(steps: &[Step]) -> Vec<u8> {
        serde_json::to_vec(&GroupOut { version: STEPS_VERSION, steps }).expect("steps have no keys but text")
    }

    /// The steps of a group.
    ///
    /// # Errors
    /// [`StepsError`] where the bytes are none, or a newer version's.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Step>, StepsError> {
        let malformed = |error: serde_json::Error| StepsError::Malformed(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version > STEPS_VERSION {
            return Err(StepsError::Newer(version));
        }
        Ok(serde_json::from_slice::<GroupIn>(bytes).map_err(malformed)?.steps)
    }
}
