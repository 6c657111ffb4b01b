//! Requests of the query protocol: a form whose names are paths, such as `MetricData.member.1.Dimensions.member.2.Name`.

use std::borrow::Cow;

use millrace_kinesis::parse_basic_iso;

use super::{check_length, malformed};
use crate::fault::{Fault, FaultName};
use crate::input::{Datum, Double, Few, Moment, PutMetricData, StatisticSet};
use crate::metric::shown;

/// The most parameters of a request: far above the largest that the service takes, which has 150 values and as many counts.
const PARAMETERS_MAX: usize = 100_000;

/// The parameters of a request, in the order in which they came.
///
/// ```
/// use millrace_neighbours::decode::Form;
/// let form = Form::read(b"Action=GetCallerIdentity&Version=2011-06-15")?;
/// assert_eq!((form.get("Action"), form.get("Version")), (Some("GetCallerIdentity"), Some("2011-06-15")));
/// # Ok::<(), millrace_neighbours::Fault>(())
/// ```
#[derive(Debug)]
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// `MalformedInput` for more than a hundred thousand parameters, `RequestEntityTooLarge`.
    pub fn read(body: &'a [u8]) -> Result<Form<'a>, Fault> {
        check_length(body)?;
        let pairs: Vec<_> = form_urlencoded::parse(body).take(PARAMETERS_MAX + 1).collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(malformed(&format_args!("Expected at most {PARAMETERS_MAX} parameters in a request")));
        }
        Ok(Form(pairs))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// PutMetricData as the parameters give it.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a value that is no number or no time.
    pub fn put_metric_data(&self) -> Result<PutMetricData, Fault> {
        let mut given = PutMetricData::default();
        for (name, value) in &self.0 {
            let parameter = Parameter { name, value };
            let mut path = name.split('.');
            match path.next() {
                Some("Namespace") => given.namespace = Some(value.to_string()),
                Some("MetricData") => parameter.set_datum(given.metric_data.get_or_insert_default(), path)?,
                Some("EntityMetricData") => {
                    let Some(number) = number(&mut path) else { continue };
                    let Some(of_entity) = given.entity_metric_data.get_or_insert_default().at(number) else { continue };
                    if path.next() == Some("MetricData") {
                        parameter.set_datum(of_entity.metric_data.get_or_insert_default(), path)?;
                    }
                }
                _ => {}
            }
        }
        Ok(given)
    }
}

/// The rest of a parameter's path.
type Path<'p> = std::str::Split<'p, char>;

/// The number behind `member`.
fn number(path: &mut Path<'_>) -> Option<usize> {
    path.next().filter(|name| *name == "member")?;
    path.next()?.parse().ok().filter(|number| *number > 0)
}

/// One parameter. What the model does not have is passed over.
struct Parameter<'p> {
    name: &'p str,
    value: &'p str,
}

impl Parameter<'_> {
    fn set_datum<const N: usize>(&self, data: &mut Few<Datum, N>, mut path: Path<'_>) -> Result<(), Fault> {
        let Some(datum) = number(&mut path).and_then(|number| data.at(number)) else { return Ok(()) };
        match path.next() {
            Some("MetricName") => datum.metric_name = Some(self.value.to_owned()),
            Some("Unit") => datum.unit = Some(self.value.to_owned()),
            Some("Value") => datum.value = Some(self.double()?),
            Some("Timestamp") => datum.timestamp = Some(self.moment()?),
            Some("StatisticValues") => self.set_statistic(datum.statistic_values.get_or_insert_default(), path)?,
            Some("Values") => self.set_double(datum.values.get_or_insert_default(), path)?,
            Some("Counts") => self.set_double(datum.counts.get_or_insert_default(), path)?,
            Some("Dimensions") => {
                let dimensions = datum.dimensions.get_or_insert_default();
                let Some(dimension) = number(&mut path).and_then(|number| dimensions.at(number)) else { return Ok(()) };
                match path.next() {
                    Some("Name") => dimension.name = Some(self.value.to_owned()),
                    Some("Value") => dimension.value = Some(self.value.to_owned()),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn set_statistic(&self, set: &mut StatisticSet, mut path: Path<'_>) -> Result<(), Fault> {
        let place = match path.next() {
            Some("SampleCount") => &mut set.sample_count,
            Some("Sum") => &mut set.sum,
            Some("Minimum") => &mut set.minimum,
            Some("Maximum") => &mut set.maximum,
            _ => return Ok(()),
        };
        *place = Some(self.double()?);
        Ok(())
    }

    fn set_double<const N: usize>(&self, list: &mut Few<Double, N>, mut path: Path<'_>) -> Result<(), Fault> {
        if let Some(place) = number(&mut path).and_then(|number| list.at(number)) {
            *place = self.double()?;
        }
        Ok(())
    }

    fn double(&self) -> Result<Double, Fault> {
        self.value.parse().map(Double).map_err(|_| self.invalid("a number"))
    }

    fn moment(&self) -> Result<Moment, Fault> {
        seconds_of_iso(self.value).map(Moment).ok_or_else(|| self.invalid("a time such as 2026-01-31T23:59:59Z"))
    }

    fn invalid(&self, expected: &str) -> Fault {
        let (name, value) = (shown(self.name), shown(self.value));
        let message = format!("The parameter {name} must be {expected}, got {value:?}.");
        Fault::new(FaultName::InvalidParameterValue, message)
    }
}

/// The seconds since 1970 of a time in UTC, as ISO 8601 has it with hyphens and colons; a fraction does not count.
fn seconds_of_iso(text: &str) -> Option<f64> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let is_fraction = fraction.is_empty() || fraction.strip_prefix('.')?.bytes().all(|digit| digit.is_ascii_digit());
    let hyphens_and_colons = whole.char_indices().filter(|(_, c)| "-:".contains(*c)).map(|(index, _)| index);
    if !is_fraction || !hyphens_and_colons.eq([4, 7, 13, 16]) {
        return None;
    }
    let basic: String = whole.chars().filter(|c| !"-:".contains(*c)).chain(['Z']).collect();
    let seconds = parse_basic_iso(&basic)? / 1_000;
    // A year has four digits.
    Some(i32::try_from(seconds).map_or(f64::MAX, f64::from))
}
