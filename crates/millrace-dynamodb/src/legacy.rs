//! Conditions, updates and keys as they were said before there were expressions. The KCL still says them so. They are
//! read into what expressions are read into, and so mean the same.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{ServiceError, invalid_parameter};
use crate::expression::update::{Operand as UpdateOperand, SetValue};
use crate::expression::{Comparator, Condition, Operand, Path, Update};
use crate::json::Wire;
use crate::value::AttributeValue;

/// What is expected of an attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Expected {
    value: Option<Wire>,
    exists: Option<bool>,
    comparison_operator: Option<ComparisonOperator>,
    attribute_value_list: Option<Vec<Wire>>,
}

/// What a filter, or a key condition, asks of an attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeCondition {
    comparison_operator: ComparisonOperator,
    attribute_value_list: Option<Vec<Wire>>,
}

/// A change of an attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeUpdate {
    value: Option<Wire>,
    #[serde(default)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    Add,
    #[default]
    Put,
    Delete,
}

/// Whether all conditions have to hold, or any.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConditionalOperator {
    /// All.
    #[default]
    And,
    /// Any.
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ComparisonOperator {
    Eq,
    Ne,
    Le,
    Lt,
    Ge,
    Gt,
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
    In,
    Between,
}

/// The condition that these expectations make; none where there are none.
///
/// # Errors
/// The service's validation error where one contradicts itself.
pub fn expectations(
    expected: Option<BTreeMap<String, Expected>>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, ServiceError> {
    let conditions = expected.unwrap_or_default().into_iter().map(|(name, expected)| expected.into_condition(&name));
    joined(conditions.collect::<Result<_, _>>()?, operator)
}

/// The condition that these filters or key conditions make; none where there are none.
///
/// # Errors
/// The service's validation error where one has the wrong operands.
pub fn conditions(
    conditions: Option<BTreeMap<String, AttributeCondition>>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, ServiceError> {
    let one = |(name, condition): (String, AttributeCondition)| {
        compare(&name, condition.comparison_operator, values(condition.attribute_value_list)?)
    };
    joined(conditions.unwrap_or_default().into_iter().map(one).collect::<Result<_, _>>()?, operator)
}

/// The update that these changes make.
///
/// # Errors
/// The service's validation error where one lacks its value, or has one of a type that it does not take.
pub fn updates(updates: BTreeMap<String, AttributeUpdate>) -> Result<Update, ServiceError> {
    let mut update = Update::default();
    for (name, AttributeUpdate { value, action }) in updates {
        let value = value.map(Wire::into_value).transpose()?;
        let path = Path::of(name);
        match (action, value) {
            (Action::Put, Some(value)) => update.set.push((path, SetValue::Operand(UpdateOperand::Value(value)))),
            (Action::Delete, None) => update.remove.push(path),
            (Action::Add, Some(value)) if matches!(value.type_name(), "N" | "SS" | "NS" | "BS") => {
                update.add.push((path, value));
            }
            (Action::Delete, Some(value)) if matches!(value.type_name(), "SS" | "NS" | "BS") => {
                update.delete.push((path, value));
            }
            (Action::Put | Action::Add, None) => {
                return Err(invalid_parameter("Only DELETE action is allowed when no attribute value is specified"));
            }
            (Action::Add | Action::Delete, Some(value)) => {
                let (action, kind) = (format!("{action:?}").to_uppercase(), value.type_name());
                return Err(invalid_parameter(format_args!("{action} action is not supported for the type {kind}")));
            }
        }
    }
    Ok(update)
}

fn joined(
    mut conditions: Vec<Condition>,
    operator: Option<ConditionalOperator>,
) -> Result<Option<Condition>, ServiceError> {
    if operator.is_some() && conditions.len() < 2 {
        return Err(invalid_parameter(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ));
    }
    Ok(match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(match operator.unwrap_or_default() {
            ConditionalOperator::And => Condition::All(conditions),
            ConditionalOperator::Or => Condition::Any(conditions),
        }),
    })
}

impl Expected {
    fn into_condition(self, name: &str) -> Result<Condition, ServiceError> {
        let Expected { value, exists, comparison_operator, attribute_value_list } = self;
        let value = value.map(Wire::into_value).transpose()?;
        let wrong = |reason: &str| Err(invalid_parameter(format_args!("{reason} for Attribute: {name}")));
        match (comparison_operator, exists, value) {
            (Some(_), Some(_), _) => wrong("Exists and ComparisonOperator cannot be used together"),
            (Some(_), None, Some(_)) if attribute_value_list.is_some() => {
                wrong("Value and AttributeValueList cannot be used together")
            }
            (Some(operator), None, Some(value)) => compare(name, operator, vec![value]),
            (Some(operator), None, None) => compare(name, operator, values(attribute_value_list)?),
            (None, _, _) if attribute_value_list.is_some() => {
                wrong("AttributeValueList can only be used with a ComparisonOperator")
            }
            (None, Some(false), None) => Ok(Condition::NotExists(Path::of(name))),
            (None, Some(false), Some(_)) => wrong("Value cannot be used when Exists is set to false"),
            (None, _, Some(value)) => compare(name, ComparisonOperator::Eq, vec![value]),
            (None, Some(true), None) => wrong("Value must be provided when Exists is set to true"),
            (None, None, None) => wrong("Value must be provided when Exists is null"),
        }
    }
}

fn values(list: Option<Vec<Wire>>) -> Result<Vec<AttributeValue>, ServiceError> {
    Ok(list.unwrap_or_default().into_iter().map(Wire::into_value).collect::<Result<_, _>>()?)
}

fn compare(name: &str, operator: ComparisonOperator, values: Vec<AttributeValue>) -> Result<Condition, ServiceError> {
    use ComparisonOperator as Is;
    let path = Path::of(name);
    let attribute = Operand::Path(path.clone());
    let values: Vec<_> = values.into_iter().map(Operand::Value).collect();
    let comparator = match operator {
        Is::Eq => Comparator::Equal,
        Is::Ne => Comparator::NotEqual,
        Is::Le => Comparator::LessOrEqual,
        Is::Lt => Comparator::Less,
        Is::Ge => Comparator::GreaterOrEqual,
        Is::Gt => Comparator::Greater,
        Is::NotNull => return exactly(operator, values).map(|[]| Condition::Exists(path)),
        Is::Null => return exactly(operator, values).map(|[]| Condition::NotExists(path)),
        Is::Contains => return exactly(operator, values).map(|[part]| Condition::Contains(attribute, part)),
        Is::NotContains => {
            let [part] = exactly(operator, values)?;
            return Ok(Condition::Not(Box::new(Condition::Contains(attribute, part))));
        }
        Is::BeginsWith => return exactly(operator, values).map(|[start]| Condition::BeginsWith(attribute, start)),
        Is::In if values.is_empty() => return Err(wrong_count(operator, 0)),
        Is::In => return Ok(Condition::In(attribute, values)),
        Is::Between => {
            return exactly(operator, values).map(|[low, high]| Condition::Between(attribute, low, high));
        }
    };
    exactly(operator, values).map(|[value]| Condition::Compare(attribute, comparator, value))
}

/// The operands, where there are as many as the operator takes.
fn exactly<const N: usize>(operator: ComparisonOperator, operands: Vec<Operand>) -> Result<[Operand; N], ServiceError> {
    operands.try_into().map_err(|operands: Vec<_>| wrong_count(operator, operands.len()))
}

fn wrong_count(operator: ComparisonOperator, count: usize) -> ServiceError {
    invalid_parameter(format_args!("Invalid number of argument(s) for the {operator:?} ComparisonOperator: {count}"))
}
