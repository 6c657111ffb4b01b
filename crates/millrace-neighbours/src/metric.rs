//! Metrics that were validated, as far as the service's documentation says how, and reduced to what is kept of them.

use crate::fault::{Fault, FaultName};
use crate::input::{Datum, Double, Few, PutMetricData, StatisticSet};

/// The most metrics of a request.
pub const METRICS_MAX: usize = 1_000;
/// The most values of one metric in a request.
pub const VALUES_MAX: usize = 150;
/// The most dimensions of a metric.
pub(crate) const DIMENSIONS_MAX: usize = 30;
/// The longest name of a namespace, a metric or a dimension, in bytes: all are ASCII.
const NAME_BYTES_MAX: usize = 255;
/// The longest value of a dimension, in bytes.
const DIMENSION_VALUE_BYTES_MAX: usize = 1_024;
/// What begins the namespaces of the service itself.
const RESERVED: &str = "AWS/";
/// How far back and how far ahead a moment may lie, in seconds: two weeks, two hours.
const PAST_S_MAX: f64 = 1_209_600.0;
const FUTURE_S_MAX: f64 = 7_200.0;
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// A metric of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What tells it from others of its name, sorted by name.
    pub dimensions: Vec<(String, String)>,
    /// What is counted; `None` where the request says nothing.
    pub unit: &'static str,
    /// What was measured.
    pub sample: Sample,
}

/// The statistics of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How many values.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Sample {
    /// Of a value that was measured so many times.
    #[must_use]
    pub fn of(value: f64, count: f64) -> Sample {
        Sample { count, sum: value * count, min: value, max: value }
    }

    /// Of both.
    #[must_use]
    pub fn and(self, other: Sample) -> Sample {
        Sample {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

impl Metric {
    /// The namespace and the metrics of a request, at a time in seconds since 1970.
    ///
    /// # Errors
    /// `MissingParameter`, `InvalidParameterValue`, `InvalidParameterCombination`.
    ///
    /// ```
    /// use millrace_neighbours::{Metric, decode};
    /// let given = decode::json(br#"{"Namespace":"App","MetricData":[{"MetricName":"Clicks","Values":[1,3],"Counts":[2,1]}]}"#)?;
    /// let (namespace, metrics) = Metric::all_of(&given, 0.0)?;
    /// assert_eq!((namespace, metrics[0].sample.count, metrics[0].sample.sum), ("App", 3.0, 5.0));
    /// # Ok::<(), millrace_neighbours::Fault>(())
    /// ```
    pub fn all_of(given: &PutMetricData, now_s: f64) -> Result<(&str, Vec<Metric>), Fault> {
        let namespace = namespace(given.namespace.as_deref())?;
        let mut lists: Vec<(String, &Few<Datum, METRICS_MAX>)> = Vec::new();
        lists.extend(given.metric_data.as_ref().map(|data| ("MetricData".to_owned(), data)));
        if let Some(entities) = &given.entity_metric_data {
            check_size("EntityMetricData", entities)?;
            for (index, of_entity) in entities.items().iter().enumerate() {
                let path = format!("EntityMetricData.member.{}.MetricData", index + 1);
                lists.extend(of_entity.metric_data.as_ref().map(|data| (path, data)));
            }
        }
        let count = lists.iter().map(|(_, data)| data.length()).fold(0, usize::saturating_add);
        if count == 0 {
            return Err(combination("At least one of the parameters must be specified.".to_owned()));
        }
        if count > METRICS_MAX {
            return Err(too_many("MetricData", METRICS_MAX));
        }
        for (path, data) in &lists {
            check_size(path, data)?;
        }
        let all = lists.iter().flat_map(|(path, data)| {
            let numbered = data.items().iter().enumerate();
            numbered.map(move |(index, datum)| Named { path: format!("{path}.member.{}", index + 1), datum })
        });
        let metrics: Result<Vec<Metric>, Fault> = all.map(|named| named.metric(now_s)).collect();
        Ok((namespace, metrics?))
    }
}

fn namespace(given: Option<&str>) -> Result<&str, Fault> {
    let namespace = text("Namespace", given, NAME_BYTES_MAX)?;
    if namespace.starts_with(':') || namespace.starts_with(RESERVED) {
        return Err(invalid_value("Namespace", namespace));
    }
    Ok(namespace)
}

/// A metric with the path by which errors name it.
struct Named<'a> {
    path: String,
    datum: &'a Datum,
}

impl Named<'_> {
    fn metric(&self, now_s: f64) -> Result<Metric, Fault> {
        let name = text(&self.at("MetricName"), self.datum.metric_name.as_deref(), NAME_BYTES_MAX)?;
        self.check_timestamp(now_s)?;
        Ok(Metric { name: name.to_owned(), dimensions: self.dimensions()?, unit: self.unit()?, sample: self.sample()? })
    }

    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    fn check_timestamp(&self, now_s: f64) -> Result<(), Fault> {
        let Some(moment) = self.datum.timestamp else { return Ok(()) };
        let age_s = now_s - moment.0;
        // What is no number is neither.
        if (-FUTURE_S_MAX..=PAST_S_MAX).contains(&age_s) {
            return Ok(());
        }
        let within = "must specify a time within the past two weeks, and no more than two hours in the future";
        Err(Fault::new(FaultName::InvalidParameterValue, format!("The parameter {} {within}.", self.at("Timestamp"))))
    }

    fn dimensions(&self) -> Result<Vec<(String, String)>, Fault> {
        let Some(given) = &self.datum.dimensions else { return Ok(Vec::new()) };
        let path = self.at("Dimensions");
        check_size(&path, given)?;
        let mut dimensions = Vec::with_capacity(given.items().len());
        for (index, dimension) in given.items().iter().enumerate() {
            let at = |member| format!("{path}.member.{}.{member}", index + 1);
            let name = text(&at("Name"), dimension.name.as_deref(), NAME_BYTES_MAX)?;
            if name.starts_with(':') {
                return Err(invalid_value(&at("Name"), name));
            }
            let value = text(&at("Value"), dimension.value.as_deref(), DIMENSION_VALUE_BYTES_MAX)?;
            dimensions.push((name.to_owned(), value.to_owned()));
        }
        dimensions.sort_unstable();
        match dimensions.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(invalid_value(&path, &pair[0].0)),
            None => Ok(dimensions),
        }
    }

    fn unit(&self) -> Result<&'static str, Fault> {
        let given = self.datum.unit.as_deref().unwrap_or("None");
        let known = UNITS.into_iter().find(|unit| *unit == given);
        known.ok_or_else(|| invalid_value(&self.at("Unit"), given))
    }

    /// One value, many, or their statistics.
    fn sample(&self) -> Result<Sample, Fault> {
        let Datum { value, values, statistic_values, .. } = self.datum;
        let given =
            [("Value", value.is_some()), ("Values", values.is_some()), ("StatisticValues", statistic_values.is_some())];
        let given: Vec<String> = given.iter().filter(|(_, is)| *is).map(|(member, _)| self.at(member)).collect();
        if let [one, other, ..] = given.as_slice() {
            let message =
                format!("The parameters {one} and {other} are mutually exclusive and you have specified both.");
            return Err(combination(message));
        }
        match (value, values, statistic_values) {
            (Some(value), ..) => Ok(Sample::of(self.number("Value", *value)?, 1.0)),
            (_, Some(values), _) => self.sample_of_values(values),
            (.., Some(set)) => self.sample_of_set(set),
            _ => Err(missing(&self.at("Value"))),
        }
    }

    fn sample_of_values(&self, values: &Few<Double, VALUES_MAX>) -> Result<Sample, Fault> {
        check_size(&self.at("Values"), values)?;
        let counts = self.datum.counts.as_ref();
        if counts.is_some_and(|counts| counts.length() != values.length()) {
            let (values, counts) = (self.at("Values"), self.at("Counts"));
            let message = format!("The parameters {values} and {counts} must be of the same size.");
            return Err(Fault::new(FaultName::InvalidParameterValue, message));
        }
        let mut sample: Option<Sample> = None;
        for (index, value) in values.items().iter().enumerate() {
            let count = counts
                .and_then(|counts| counts.items().get(index))
                .map_or(Ok(1.0), |count| self.count("Counts", *count))?;
            let next = Sample::of(self.number("Values", *value)?, count);
            sample = Some(sample.map_or(next, |so_far| so_far.and(next)));
        }
        sample.ok_or_else(|| missing(&self.at("Values.member.1")))
    }

    fn sample_of_set(&self, set: &StatisticSet) -> Result<Sample, Fault> {
        let member = |name: &str, given: Option<Double>| {
            given.ok_or_else(|| missing(&self.at(name))).and_then(|value| self.number(name, value))
        };
        let count = set.sample_count.ok_or_else(|| missing(&self.at("StatisticValues.SampleCount")))?;
        let sample = Sample {
            count: self.count("StatisticValues.SampleCount", count)?,
            sum: member("StatisticValues.Sum", set.sum)?,
            min: member("StatisticValues.Minimum", set.minimum)?,
            max: member("StatisticValues.Maximum", set.maximum)?,
        };
        if sample.min > sample.max {
            let message = format!(
                "The parameter {} must not be greater than {}.",
                self.at("StatisticValues.Minimum"),
                self.at("StatisticValues.Maximum")
            );
            return Err(Fault::new(FaultName::InvalidParameterValue, message));
        }
        Ok(sample)
    }

    /// A number between -2^360 and 2^360.
    fn number(&self, member: &str, Double(value): Double) -> Result<f64, Fault> {
        if value.abs() <= 2_f64.powi(360) {
            Ok(value)
        } else {
            Err(invalid_value(&self.at(member), &value.to_string()))
        }
    }

    fn count(&self, member: &str, count: Double) -> Result<f64, Fault> {
        let count = self.number(member, count)?;
        if count >= 0.0 { Ok(count) } else { Err(invalid_value(&self.at(member), &count.to_string())) }
    }
}

/// A text of printable ASCII that is there, is not blank and not too long.
fn text<'a>(path: &str, given: Option<&'a str>, bytes_max: usize) -> Result<&'a str, Fault> {
    let text = given.ok_or_else(|| missing(path))?;
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.len() > bytes_max || !is_printable || text.trim().is_empty() {
        return Err(invalid_value(path, text));
    }
    Ok(text)
}

fn check_size<T, const N: usize>(path: &str, list: &Few<T, N>) -> Result<(), Fault> {
    match (list.is_over(), list.length() > N) {
        (false, _) => Ok(()),
        (true, true) => Err(too_many(path, N)),
        (true, false) => {
            let message = format!("The members of {path} must be numbered without a gap.");
            Err(Fault::new(FaultName::InvalidParameterValue, message))
        }
    }
}

fn missing(path: &str) -> Fault {
    Fault::new(FaultName::MissingParameter, format!("The parameter {path} is required."))
}

/// A text as messages show it: up to 255 characters.
pub(crate) fn shown(text: &str) -> &str {
    text.char_indices().nth(NAME_BYTES_MAX).map_or(text, |(end, _)| &text[..end])
}

fn invalid_value(path: &str, value: &str) -> Fault {
    let value = shown(value);
    Fault::new(FaultName::InvalidParameterValue, format!("The value {value} for parameter {path} is invalid."))
}

fn too_many(path: &str, most: usize) -> Fault {
    let message = format!("The collection {path} must not have a size greater than {most}.");
    Fault::new(FaultName::InvalidParameterValue, message)
}

fn combination(message: String) -> Fault {
    Fault::new(FaultName::InvalidParameterCombination, message)
}

#[cfg(test)]
mod tests;
