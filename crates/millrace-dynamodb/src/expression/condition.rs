//! Conditions: what has to hold of an item, judged on the item as it is.

use std::borrow::Cow;

use super::path::Path;
use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// What has to hold of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    HasType(Operand, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// A value that a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Path),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub const ALL: [Comparator; 6] = [
        Comparator::Equal,
        Comparator::NotEqual,
        Comparator::Less,
        Comparator::LessOrEqual,
        Comparator::Greater,
        Comparator::GreaterOrEqual,
    ];

    pub fn sign(self) -> &'static str {
        match self {
            Comparator::Equal => "=",
            Comparator::NotEqual => "<>",
            Comparator::Less => "<",
            Comparator::LessOrEqual => "<=",
            Comparator::Greater => ">",
            Comparator::GreaterOrEqual => ">=",
        }
    }

    /// Whether it needs values that have an order.
    pub fn orders(self) -> bool {
        !matches!(self, Comparator::Equal | Comparator::NotEqual)
    }

    /// Whether two values compare so. Values of different types, and of types without an order, compare in no way but
    /// by being different.
    pub fn holds(self, left: &AttributeValue, right: &AttributeValue) -> bool {
        let order = match (left, right) {
            (AttributeValue::S(left), AttributeValue::S(right)) => left.cmp(right),
            (AttributeValue::N(left), AttributeValue::N(right)) => left.cmp(right),
            (AttributeValue::B(left), AttributeValue::B(right)) => left.cmp(right),
            _ => {
                return match self {
                    Comparator::Equal => left == right,
                    Comparator::NotEqual => left != right,
                    _ => false,
                };
            }
        };
        match self {
            Comparator::Equal => order.is_eq(),
            Comparator::NotEqual => order.is_ne(),
            Comparator::Less => order.is_lt(),
            Comparator::LessOrEqual => order.is_le(),
            Comparator::Greater => order.is_gt(),
            Comparator::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operand {
    /// The value; `None` where the item has none there.
    fn value<'i>(&'i self, item: &'i Item) -> Option<Cow<'i, AttributeValue>> {
        match self {
            Operand::Path(path) => path.value_in(item).map(Cow::Borrowed),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Size(path) => {
                let length = path.value_in(item)?.length()?;
                Some(Cow::Owned(AttributeValue::N(Number::from(u64::try_from(length).ok()?))))
            }
        }
    }
}

impl Condition {
    /// Whether it holds of an item; of one that is not there, as of one without attributes.
    pub fn holds(&self, item: &Item) -> bool {
        let values = |left: &Operand, right: &Operand, judge: fn(&AttributeValue, &AttributeValue) -> bool| {
            left.value(item).zip(right.value(item)).is_some_and(|(left, right)| judge(&left, &right))
        };
        match self {
            Condition::All(all) => all.iter().all(|condition| condition.holds(item)),
            Condition::Any(any) => any.iter().any(|condition| condition.holds(item)),
            Condition::Not(condition) => !condition.holds(item),
            Condition::Compare(left, comparator, right) => match (left.value(item), right.value(item)) {
                (Some(left), Some(right)) => comparator.holds(&left, &right),
                // What is not there differs from whatever is.
                (None, None) => false,
                _ => *comparator == Comparator::NotEqual,
            },
            Condition::Between(operand, low, high) => {
                values(operand, low, |value, low| Comparator::GreaterOrEqual.holds(value, low))
                    && values(operand, high, |value, high| Comparator::LessOrEqual.holds(value, high))
            }
            Condition::In(operand, among) => {
                among.iter().any(|one| values(operand, one, |value, one| Comparator::Equal.holds(value, one)))
            }
            Condition::Exists(path) => path.value_in(item).is_some(),
            Condition::NotExists(path) => path.value_in(item).is_none(),
            Condition::HasType(operand, wanted) => operand.value(item).is_some_and(|value| value.type_name() == wanted),
            Condition::BeginsWith(operand, start) => values(operand, start, begins_with),
            Condition::Contains(operand, part) => values(operand, part, contains),
        }
    }
}

fn begins_with(value: &AttributeValue, start: &AttributeValue) -> bool {
    match (value, start) {
        (AttributeValue::S(text), AttributeValue::S(start)) => text.starts_with(start.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(start)) => bytes.starts_with(start),
        _ => false,
    }
}

fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(set), AttributeValue::S(part)) => set.contains(part),
        (AttributeValue::Ns(set), AttributeValue::N(part)) => set.contains(part),
        (AttributeValue::Bs(set), AttributeValue::B(part)) => set.contains(part),
        (AttributeValue::L(list), part) => list.contains(part),
        _ => false,
    }
}
