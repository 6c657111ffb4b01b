//! What a request is told to have consumed: the units of the service, of which nobody is billed.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::value::{Item, size_of_item};

/// Whether an answer tells what it consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ReturnConsumed {
    #[default]
    None,
    Total,
    Indexes,
}

impl ReturnConsumed {
    /// Adds what was consumed of a table to an answer that is to tell it.
    pub fn tell(self, answer: &mut Value, table: &str, units: f64) {
        if self != ReturnConsumed::None {
            answer["ConsumedCapacity"] = self.entry(table, units);
        }
    }

    /// The same for an answer that tells of several tables.
    pub fn tell_all<'t>(self, answer: &mut Value, tables: impl Iterator<Item = (&'t str, f64)>) {
        if self != ReturnConsumed::None {
            answer["ConsumedCapacity"] = tables.map(|(table, units)| self.entry(table, units)).collect();
        }
    }

    fn entry(self, table: &str, units: f64) -> Value {
        let mut entry = json!({ "TableName": table, "CapacityUnits": units });
        if self == ReturnConsumed::Indexes {
            entry["Table"] = json!({ "CapacityUnits": units });
        }
        entry
    }
}

/// Units of a write: one for each kilobyte of the larger item.
pub(super) fn write_units(old: Option<&Item>, new: Option<&Item>) -> f64 {
    let bytes = old.map_or(0, size_of_item).max(new.map_or(0, size_of_item));
    units(bytes, 1_024)
}

/// Units of a read: one for each four kilobytes, half of it where the read need not be consistent.
pub(super) fn read_units(bytes: usize, is_consistent: bool) -> f64 {
    units(bytes, 4_096) * if is_consistent { 1.0 } else { 0.5 }
}

fn units(bytes: usize, unit_bytes: usize) -> f64 {
    u32::try_from(bytes.div_ceil(unit_bytes).max(1)).map_or(f64::MAX, f64::from)
}
