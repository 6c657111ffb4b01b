//! All tables of a store: what is decided on, and what steps change.

use std::collections::BTreeMap;

use crate::error::{ErrorName, ServiceError};
use crate::step::Step;
use crate::table::Table;
use crate::value::{is_shallow, size_of_item};

/// For how long a transaction is not done again under its token, in milliseconds.
pub(crate) const TOKEN_LIFE_MS: u64 = 10 * 60_000;
/// A group of a snapshot is closed once it has about so many bytes.
const GROUP_BYTES: usize = 256 << 10;

/// A transaction that was done under a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub digest: u64,
    pub at_ms: u64,
}

/// The tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    tables: BTreeMap<String, Table>,
    tokens: BTreeMap<String, Done>,
}

/// A step does not follow on the state: it is damage, or a defect. The text says what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misstep(pub String);

impl Tables {
    /// The table of this name.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn get(&self, name: &str) -> Result<&Table, ServiceError> {
        self.tables
            .get(name)
            .ok_or_else(|| ServiceError::new(ErrorName::ResourceNotFound, "Requested resource not found"))
    }

    /// All tables, by their names.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    pub(crate) fn done(&self, token: &str, now_ms: u64) -> Option<Done> {
        self.tokens.get(token).copied().filter(|done| now_ms < done.at_ms.saturating_add(TOKEN_LIFE_MS))
    }

    /// Changes the state.
    ///
    /// # Errors
    /// [`Misstep`] where the step does not follow; nothing is changed then.
    pub fn apply(&mut self, step: &Step) -> Result<(), Misstep> {
        match step {
            Step::Table(definition) => match self.tables.get_mut(&definition.name) {
                Some(table) if table.definition.schema == definition.schema => {
                    table.redefine((**definition).clone());
                }
                Some(_) => return Err(Misstep(format!("expected {} with its own key", definition.name))),
                None => {
                    let table = Table::new((**definition).clone());
                    self.tables.insert(definition.name.clone(), table);
                }
            },
            Step::Drop { table } => drop(self.tables.remove(table).ok_or_else(|| no_table(table))?),
            Step::Put { table, item } => {
                let found = self.tables.get_mut(table).ok_or_else(|| no_table(table))?;
                let put = is_shallow(item).then(|| found.put(item.clone())).flatten();
                put.ok_or_else(|| Misstep(format!("expected an item with the key of {table}")))?;
            }
            Step::Delete { table, key } => {
                let found = self.tables.get_mut(table).ok_or_else(|| no_table(table))?;
                let key = found.definition.schema.key_in(key);
                found.delete(&key.ok_or_else(|| Misstep(format!("expected a key of {table}")))?);
            }
            Step::Token { token, digest, at_ms } => {
                self.tokens.retain(|_, done| *at_ms < done.at_ms.saturating_add(TOKEN_LIFE_MS));
                self.tokens.insert(token.clone(), Done { digest: *digest, at_ms: *at_ms });
            }
        }
        Ok(())
    }

    /// The steps that lead to this state from none, in groups of some hundred kilobytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Vec<Step>> {
        let mut groups = Vec::new();
        let mut group = Vec::new();
        let mut bytes = 0;
        for table in self.tables.values() {
            group.push(Step::Table(Box::new(table.definition.clone())));
            for (_, item) in table.items() {
                bytes += size_of_item(item);
                group.push(Step::Put { table: table.definition.name.clone(), item: item.clone() });
                if bytes > GROUP_BYTES {
                    groups.push(std::mem::take(&mut group));
                    bytes = 0;
                }
            }
        }
        let token = |(token, done): (&String, &Done)| Step::Token {
            token: token.clone(),
            digest: done.digest,
            at_ms: done.at_ms,
        };
        // By their times: an older one behind a newer one would be forgotten by none.
        let mut tokens: Vec<Step> = self.tokens.iter().map(token).collect();
        tokens.sort_by_key(|step| if let Step::Token { at_ms, .. } = step { *at_ms } else { 0 });
        group.extend(tokens);
        groups.push(group);
        groups
    }
}

fn no_table(name: &str) -> Misstep {
    Misstep(format!("expected a table {name}, got none"))
}
