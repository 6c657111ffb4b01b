//! Updates: how an item is changed. All values are those of the item before it; then all changes are made at once.

use super::Kind;
use super::path::{Element, Path};
use crate::error::{ServiceError, invalid, invalid_parameter};
use crate::key::KeySchema;
use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// The changes of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub set: Vec<(Path, SetValue)>,
    pub remove: Vec<Path>,
    pub add: Vec<(Path, AttributeValue)>,
    pub delete: Vec<(Path, AttributeValue)>,
}

/// What a place is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetValue {
    Operand(Operand),
    Sum(Operand, Operand),
    Difference(Operand, Operand),
}

/// A value that an update is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Path(Path),
    Value(AttributeValue),
    IfNotExists(Path, Box<Operand>),
    Append(Box<Operand>, Box<Operand>),
}

/// A change of one place, with its value.
enum Change {
    Set(AttributeValue),
    Remove,
}

impl Update {
    /// The places that are changed.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let set = self.set.iter().map(|(path, _)| path);
        let changed = self.add.iter().chain(&self.delete).map(|(path, _)| path);
        set.chain(&self.remove).chain(changed)
    }

    /// No two changes may concern the same place.
    ///
    /// # Errors
    /// The service's validation error that names both.
    pub fn check_overlaps(&self) -> Result<(), ServiceError> {
        Path::check_apart(self.paths(), Kind::Update)
    }

    /// A key stays what it is.
    ///
    /// # Errors
    /// The service's validation error where an attribute of the key would be changed.
    pub fn check_key(&self, schema: &KeySchema) -> Result<(), ServiceError> {
        match self.paths().find(|path| schema.has(&path.attribute)) {
            None => Ok(()),
            Some(path) => Err(invalid_parameter(format_args!(
                "Cannot update attribute {}. This attribute is part of the key",
                path.attribute
            ))),
        }
    }

    /// The item after the update.
    ///
    /// # Errors
    /// The service's validation error where a value or a place is not there or of the wrong type.
    pub fn apply(&self, item: &Item) -> Result<Item, ServiceError> {
        let mut changes = Vec::new();
        for (path, value) in &self.set {
            changes.push((path, Change::Set(value.evaluate(item)?)));
        }
        for (path, value) in &self.add {
            changes.push((path, Change::Set(sum_or_union(path.value_in(item), value)?)));
        }
        for (path, value) in &self.delete {
            match path.value_in(item) {
                None => {}
                Some(old) => {
                    changes.push((path, difference(old, value)?.map_or(Change::Remove, Change::Set)));
                }
            }
        }
        let mut updated = item.clone();
        for (path, change) in &changes {
            if let Change::Set(value) = change {
                set(&mut updated, path, value.clone())?;
            }
        }
        // From the last place to the first, so that elements of a list do not move before they are removed.
        let removed = changes.iter().filter(|(_, change)| matches!(change, Change::Remove)).map(|(path, _)| *path);
        let mut removed: Vec<&Path> = self.remove.iter().chain(removed).collect();
        removed.sort_unstable();
        removed.iter().rev().try_for_each(|path| remove(&mut updated, path))?;
        Ok(updated)
    }
}

impl SetValue {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue, ServiceError> {
        let number = |operand: &Operand| match operand.evaluate(item)? {
            AttributeValue::N(number) => Ok(number),
            _ => Err(wrong_type()),
        };
        Ok(match self {
            SetValue::Operand(operand) => operand.evaluate(item)?,
            SetValue::Sum(left, right) => AttributeValue::N(number(left)?.plus(number(right)?)?),
            SetValue::Difference(left, right) => AttributeValue::N(number(left)?.minus(number(right)?)?),
        })
    }
}

impl Operand {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue, ServiceError> {
        match self {
            Operand::Value(value) => Ok(value.clone()),
            Operand::Path(path) => path.value_in(item).cloned().ok_or_else(|| {
                invalid("The provided expression refers to an attribute that does not exist in the item")
            }),
            Operand::IfNotExists(path, otherwise) => match path.value_in(item) {
                Some(value) => Ok(value.clone()),
                None => otherwise.evaluate(item),
            },
            Operand::Append(first, second) => match (first.evaluate(item)?, second.evaluate(item)?) {
                (AttributeValue::L(mut first), AttributeValue::L(second)) => {
                    first.extend(second);
                    Ok(AttributeValue::L(first))
                }
                _ => Err(wrong_type()),
            },
        }
    }
}

fn wrong_type() -> ServiceError {
    invalid("An operand in the update expression has an incorrect data type")
}

fn wrong_place() -> ServiceError {
    invalid("The document path provided in the update expression is invalid for update")
}

/// What adding a value leads to: a number to a number, elements to a set.
fn sum_or_union(old: Option<&AttributeValue>, value: &AttributeValue) -> Result<AttributeValue, ServiceError> {
    use AttributeValue::{Bs, N, Ns, Ss};
    Ok(match (old, value) {
        (None, N(value)) => N(Number::ZERO.plus(*value)?),
        (None, Ss(_) | Ns(_) | Bs(_)) => value.clone(),
        (Some(N(old)), N(value)) => N(old.plus(*value)?),
        (Some(Ss(old)), Ss(value)) => Ss(old.union(value).cloned().collect()),
        (Some(Ns(old)), Ns(value)) => Ns(old.union(value).copied().collect()),
        (Some(Bs(old)), Bs(value)) => Bs(old.union(value).cloned().collect()),
        _ => return Err(wrong_type()),
    })
}

/// What taking elements out of a set leaves; `None` where that is none.
fn difference(old: &AttributeValue, value: &AttributeValue) -> Result<Option<AttributeValue>, ServiceError> {
    use AttributeValue::{Bs, Ns, Ss};
    let left = match (old, value) {
        (Ss(old), Ss(value)) => Ss(old.difference(value).cloned().collect()),
        (Ns(old), Ns(value)) => Ns(old.difference(value).copied().collect()),
        (Bs(old), Bs(value)) => Bs(old.difference(value).cloned().collect()),
        _ => return Err(wrong_type()),
    };
    Ok(Some(left).filter(|set| set.length() != Some(0)))
}

/// The value that holds the last element of a path; there has to be one.
fn holder<'i>(item: &'i mut Item, path: &Path) -> Option<&'i mut AttributeValue> {
    let through = &path.elements[..path.elements.len().checked_sub(1)?];
    through.iter().try_fold(item.get_mut(&path.attribute)?, |value, element| element.value_in_mut(value))
}

fn set(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), ServiceError> {
    let Some(last) = path.elements.last() else {
        item.insert(path.attribute.clone(), value);
        return Ok(());
    };
    match (last, holder(item, path)) {
        (Element::Name(name), Some(AttributeValue::M(map))) => drop(map.insert(name.clone(), value)),
        (Element::Index(index), Some(AttributeValue::L(list))) => match list.get_mut(*index) {
            Some(place) => *place = value,
            // Behind the end it joins the end.
            None => list.push(value),
        },
        _ => return Err(wrong_place()),
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) -> Result<(), ServiceError> {
    let Some(last) = path.elements.last() else {
        item.remove(&path.attribute);
        return Ok(());
    };
    match (last, holder(item, path)) {
        (Element::Name(name), Some(AttributeValue::M(map))) => drop(map.remove(name)),
        (Element::Index(index), Some(AttributeValue::L(list))) => {
            if *index < list.len() {
                list.remove(*index);
            }
        }
        _ => return Err(wrong_place()),
    }
    Ok(())
}
