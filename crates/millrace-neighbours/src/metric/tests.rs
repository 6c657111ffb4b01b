use super::*;
use crate::decode::{Form, json};

const NOW_S: f64 = 1_800_000_000.0;

fn refused(body: &str) -> (FaultName, String) {
    let given = json(body.as_bytes()).expect("JSON of the right types");
    let fault = Metric::all_of(&given, NOW_S).expect_err("a request that is refused");
    (fault.name, fault.message)
}

fn metric(datum: &str) -> Result<Metric, Fault> {
    let given = json(format!(r#"{{"Namespace":"App","MetricData":[{datum}]}}"#).as_bytes())?;
    Metric::all_of(&given, NOW_S).map(|(_, mut metrics)| metrics.remove(0))
}

#[test]
fn what_is_missing_is_named_by_its_path() {
    let missing = |path: &str| (FaultName::MissingParameter, format!("The parameter {path} is required."));
    assert_eq!(refused("{}"), missing("Namespace"));
    assert_eq!(refused(r#"{"Namespace":"App","MetricData":[{"Value":1}]}"#), missing("MetricData.member.1.MetricName"));
    assert_eq!(
        refused(r#"{"Namespace":"App","MetricData":[{"MetricName":"a","Value":1},{"MetricName":"b"}]}"#),
        missing("MetricData.member.2.Value")
    );
    assert_eq!(
        refused(r#"{"Namespace":"App","MetricData":[{"MetricName":"a","Value":1,"Dimensions":[{"Name":"x"}]}]}"#),
        missing("MetricData.member.1.Dimensions.member.1.Value")
    );
    assert_eq!(
        refused(r#"{"Namespace":"App","MetricData":[{"MetricName":"a","StatisticValues":{"SampleCount":1}}]}"#),
        missing("MetricData.member.1.StatisticValues.Sum")
    );
    assert_eq!(refused(r#"{"Namespace":"App"}"#).0, FaultName::InvalidParameterCombination, "neither kind of metrics");
}

#[test]
fn values_that_the_service_does_not_take_are_refused() {
    let value = |datum: &str| metric(datum).expect_err("refused");
    for (datum, name) in [
        (r#"{"MetricName":"a","Value":"NaN"}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":"-Infinity"}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":1e109}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":1,"Unit":"Furlongs"}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":1,"Timestamp":1798000000}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":1,"Timestamp":1800008000}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Value":1,"Values":[1]}"#, FaultName::InvalidParameterCombination),
        (r#"{"MetricName":"a","Values":[1,2],"Counts":[1]}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Values":[1],"Counts":[-1]}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"a","Values":[]}"#, FaultName::MissingParameter),
        (r#"{"MetricName":" ","Value":1}"#, FaultName::InvalidParameterValue),
        (r#"{"MetricName":"ä","Value":1}"#, FaultName::InvalidParameterValue),
        (
            r#"{"MetricName":"a","Value":1,"Dimensions":[{"Name":"x","Value":"1"},{"Name":"x","Value":"2"}]}"#,
            FaultName::InvalidParameterValue,
        ),
        (
            r#"{"MetricName":"a","StatisticValues":{"SampleCount":1,"Sum":1,"Minimum":2,"Maximum":1}}"#,
            FaultName::InvalidParameterValue,
        ),
    ] {
        assert_eq!(value(datum).name, name, "{datum}");
    }
    for namespace in ["AWS/Kinesis", ":a", "", &"a".repeat(256)] {
        let body = format!(r#"{{"Namespace":"{namespace}","MetricData":[{{"MetricName":"a","Value":1}}]}}"#);
        assert_eq!(refused(&body).0, FaultName::InvalidParameterValue, "{namespace}");
    }
}

#[test]
fn lists_are_as_long_as_the_service_lets_them_be() {
    let list = |count: usize, item: &str| vec![item; count].join(",");
    let metrics =
        |count| format!(r#"{{"Namespace":"App","MetricData":[{}]}}"#, list(count, r#"{"MetricName":"a","Value":1}"#));
    let given = json(metrics(METRICS_MAX).as_bytes()).expect("JSON");
    assert_eq!(Metric::all_of(&given, NOW_S).map(|(_, metrics)| metrics.len()), Ok(METRICS_MAX));
    let message = "The collection MetricData must not have a size greater than 1000.".to_owned();
    assert_eq!(refused(&metrics(METRICS_MAX + 1)), (FaultName::InvalidParameterValue, message));
    assert!(metric(&format!(r#"{{"MetricName":"a","Values":[{}]}}"#, list(VALUES_MAX, "1"))).is_ok());
    assert!(metric(&format!(r#"{{"MetricName":"a","Values":[{}]}}"#, list(VALUES_MAX + 1, "1"))).is_err());
    let dimensions = |count: usize| {
        let all: Vec<String> = (0..count).map(|index| format!(r#"{{"Name":"d{index}","Value":"v"}}"#)).collect();
        metric(&format!(r#"{{"MetricName":"a","Value":1,"Dimensions":[{}]}}"#, all.join(",")))
    };
    assert!(dimensions(DIMENSIONS_MAX).is_ok() && dimensions(DIMENSIONS_MAX + 1).is_err());
}

#[test]
fn a_metric_is_the_same_however_its_values_are_given() {
    let sample = |datum: &str| metric(datum).expect("a metric").sample;
    let expected = Sample { count: 3.0, sum: 5.0, min: 1.0, max: 3.0 };
    assert_eq!(sample(r#"{"MetricName":"a","Values":[1,3],"Counts":[2,1]}"#), expected);
    assert_eq!(
        sample(r#"{"MetricName":"a","StatisticValues":{"SampleCount":3,"Sum":5,"Minimum":1,"Maximum":3}}"#),
        expected
    );
    assert_eq!(Sample::of(1.0, 2.0).and(Sample::of(3.0, 1.0)), expected);
    let metric = metric(
        r#"{"MetricName":"a","Value":1,"Unit":"Bytes/Second","Dimensions":[{"Name":"b","Value":"2"},{"Name":"a","Value":"1"}]}"#,
    );
    let metric = metric.expect("a metric");
    assert_eq!(metric.unit, "Bytes/Second");
    assert_eq!(metric.dimensions, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
}

#[test]
fn metrics_of_entities_count_with_the_others() {
    let body = r#"{"Namespace":"App","EntityMetricData":[{"Entity":{"KeyAttributes":{"Type":"Service"}},"MetricData":[{"MetricName":"a","Value":1}]},{"MetricData":[{"MetricName":"b"}]}]}"#;
    let path = "EntityMetricData.member.2.MetricData.member.1.Value";
    assert_eq!(refused(body), (FaultName::MissingParameter, format!("The parameter {path} is required.")));
    let form = b"Namespace=App&EntityMetricData.member.1.MetricData.member.1.MetricName=a\
                 &EntityMetricData.member.1.MetricData.member.1.Value=1";
    let given = Form::read(form).and_then(|form| form.put_metric_data()).expect("a form");
    assert_eq!(Metric::all_of(&given, NOW_S).map(|(_, metrics)| metrics.len()), Ok(1));
}
