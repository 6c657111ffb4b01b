//! What a request for PutMetricData gives, before anybody has validated it: the members of the model that mean something
//! here. Members that are not named are passed over, as the service does with those that it does not know.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize as Derive;
use serde::de::{self, Deserialize, Deserializer, EnumAccess, IgnoredAny, SeqAccess, VariantAccess, Visitor};

use crate::metric::{DIMENSIONS_MAX, METRICS_MAX, VALUES_MAX};

/// The input of PutMetricData.
#[derive(Clone, Debug, Default, PartialEq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub struct PutMetricData {
    /// What the metrics belong to.
    pub namespace: Option<String>,
    /// The metrics.
    pub metric_data: Option<Few<Datum, METRICS_MAX>>,
    /// Metrics that belong to something that is described; the description is passed over.
    pub entity_metric_data: Option<Few<EntityMetricData, 2>>,
}

/// Metrics of one entity.
#[derive(Clone, Debug, Default, PartialEq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub struct EntityMetricData {
    /// The metrics.
    pub metric_data: Option<Few<Datum, METRICS_MAX>>,
}

/// Values of one metric.
#[derive(Clone, Debug, Default, PartialEq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub struct Datum {
    /// The metric's name.
    pub metric_name: Option<String>,
    /// What tells it from others of its name.
    pub dimensions: Option<Few<Dimension, DIMENSIONS_MAX>>,
    /// When it was measured.
    pub timestamp: Option<Moment>,
    /// One value.
    pub value: Option<Double>,
    /// The statistics of many values.
    pub statistic_values: Option<StatisticSet>,
    /// Many values.
    pub values: Option<Few<Double, VALUES_MAX>>,
    /// How often each of `values` was measured.
    pub counts: Option<Few<Double, VALUES_MAX>>,
    /// What is counted.
    pub unit: Option<String>,
}

/// A name and a value that tell a metric from others of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub struct Dimension {
    /// Its name.
    pub name: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// The statistics of many values.
#[derive(Clone, Debug, Default, PartialEq, Derive)]
#[serde(rename_all = "PascalCase", default)]
pub struct StatisticSet {
    /// How many.
    pub sample_count: Option<Double>,
    /// Their sum.
    pub sum: Option<Double>,
    /// The least.
    pub minimum: Option<Double>,
    /// The greatest.
    pub maximum: Option<Double>,
}

/// A list that holds `N` items at most. Of a longer one the items behind `N` are passed over and counted, so that nobody
/// fills the memory with what is refused in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T, const N: usize> {
    items: Vec<T>,
    length: usize,
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Few<T, N> {
        Few { items: Vec::new(), length: 0 }
    }
}

impl<T, const N: usize> Few<T, N> {
    /// The first `N` items.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// How many items were given.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether more than `N` were given, or a form has numbered them with a gap.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.length > self.items.len()
    }
}

impl<T: Default, const N: usize> Few<T, N> {
    /// The item of this number, counted from 1, which is there or the next; none where it is behind `N`, or leaves a gap.
    pub(crate) fn at(&mut self, number: usize) -> Option<&mut T> {
        self.length = self.length.max(number);
        if number == self.items.len() + 1 && number <= N {
            self.items.push(T::default());
        }
        self.items.get_mut(number.checked_sub(1)?)
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Few<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<T, N>, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = Few<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T, N>, A::Error> {
                let mut few = Few { items: Vec::new(), length: 0 };
                while few.length < N {
                    let Some(item) = list.next_element()? else { return Ok(few) };
                    few.items.push(item);
                    few.length += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    few.length += 1;
                }
                Ok(few)
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// A floating-point number, which may come as an integer, and in JSON as the name of one that is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Double(pub f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Double, D::Error> {
        deserializer.deserialize_any(Numbers).map(Double)
    }
}

/// A moment, in seconds since 1970; in CBOR behind the tag of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment(pub f64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        deserializer.deserialize_any(Numbers).map(Moment)
    }
}

/// Reads a number as whichever kind it comes.
struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    #[expect(clippy::cast_precision_loss, reason = "a double is what the model has, however the number is spelt")]
    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a double is what the model has, however the number is spelt")]
    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
        }
    }

    /// A tag of CBOR: the library tells it as a variant that holds the tag and what stands behind it.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<f64, A::Error> {
        let (_, behind) = tagged.variant::<IgnoredAny>()?;
        behind.tuple_variant(2, Tagged)
    }
}

struct Tagged;

impl<'de> Visitor<'de> for Tagged {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number behind a tag")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<f64, A::Error> {
        let _tag: Option<u64> = pair.next_element()?;
        pair.next_element::<Double>()?.map(|Double(value)| value).ok_or_else(|| de::Error::invalid_length(1, &self))
    }
}
