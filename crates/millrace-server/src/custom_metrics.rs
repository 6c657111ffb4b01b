//! The metrics that clients put: what PutMetricData brought since the server started, added up a series, and how
//! `/metrics` tells it.
//!
//! Whoever may call can name as many series as they like, so there is a bound on their number and on what their names
//! take. Behind it new series are counted and forgotten, and those that are known go on.

use std::collections::BTreeMap;
use std::fmt::Write;

use millrace_neighbours::{Metric, Sample};
use parking_lot::Mutex;

/// The most series, and the most bytes of their names.
const SERIES_MAX: usize = 10_000;
const NAMES_BYTES_MAX: usize = 16 << 20;
/// The name of all of them, which the labels tell apart.
const METRIC: &str = "millrace_custom_metric";

/// What tells a series from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    namespace: String,
    name: String,
    unit: &'static str,
    /// `Name=Value` of each dimension, with commas between.
    dimensions: String,
}

impl Series {
    fn of(namespace: &str, metric: &Metric) -> Series {
        let mut dimensions = String::new();
        for (index, (name, value)) in metric.dimensions.iter().enumerate() {
            dimensions.push_str(if index > 0 { "," } else { "" });
            push_escaped(name, &mut dimensions, &['\\', ',', '=']);
            dimensions.push('=');
            push_escaped(value, &mut dimensions, &['\\', ',', '=']);
        }
        Series { namespace: namespace.to_owned(), name: metric.name.clone(), unit: metric.unit, dimensions }
    }

    fn bytes(&self) -> usize {
        self.namespace.len() + self.name.len() + self.dimensions.len()
    }

    fn labels(&self) -> String {
        let mut labels = String::with_capacity(self.bytes() + 64);
        let pairs = [
            ("namespace", &*self.namespace),
            ("name", &*self.name),
            ("unit", self.unit),
            ("dimensions", &*self.dimensions),
        ];
        for (index, (label, value)) in pairs.into_iter().enumerate() {
            labels.push_str(if index > 0 { "," } else { "" });
            let _written = write!(labels, "{label}=\"");
            push_escaped(value, &mut labels, &['\\', '"']);
            labels.push('"');
        }
        labels
    }
}

/// All series.
#[derive(Debug, Default)]
pub(crate) struct CustomMetrics(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    series: BTreeMap<Series, Sample>,
    names_bytes: usize,
    forgotten: u64,
}

impl CustomMetrics {
    /// Adds what a request brought.
    pub fn put(&self, namespace: &str, metrics: &[Metric]) {
        let mut kept = self.0.lock();
        for metric in metrics {
            kept.add(Series::of(namespace, metric), metric.sample);
        }
    }

    /// Writes all of them behind what is there; nothing before the first.
    pub fn write(&self, text: &mut String) {
        let kept = self.0.lock();
        if kept.series.is_empty() {
            return;
        }
        let _written = write!(
            text,
            "# HELP {METRIC}_series Series of metrics that clients put.\n# TYPE {METRIC}_series gauge\n{METRIC}_series {}\n\
             # HELP {METRIC}_forgotten_total Values whose series was one too many.\n\
             # TYPE {METRIC}_forgotten_total counter\n{METRIC}_forgotten_total {}\n",
            kept.series.len(),
            kept.forgotten
        );
        let lines: Vec<(String, &Sample)> =
            kept.series.iter().map(|(series, sample)| (series.labels(), sample)).collect();
        let _written = write!(text, "# HELP {METRIC} Metrics that clients put.\n# TYPE {METRIC} summary\n");
        for (labels, sample) in &lines {
            let _written = writeln!(text, "{METRIC}_sum{{{labels}}} {}", sample.sum);
            let _written = writeln!(text, "{METRIC}_count{{{labels}}} {}", sample.count);
        }
        let _written = writeln!(text, "# TYPE {METRIC}_min gauge");
        for (labels, sample) in &lines {
            let _written = writeln!(text, "{METRIC}_min{{{labels}}} {}", sample.min);
        }
        let _written = writeln!(text, "# TYPE {METRIC}_max gauge");
        for (labels, sample) in &lines {
            let _written = writeln!(text, "{METRIC}_max{{{labels}}} {}", sample.max);
        }
    }
}

impl Kept {
    fn add(&mut self, series: Series, sample: Sample) {
        if let Some(known) = self.series.get_mut(&series) {
            *known = known.and(sample);
            return;
        }
        if self.series.len() == SERIES_MAX || self.names_bytes + series.bytes() > NAMES_BYTES_MAX {
            if self.forgotten == 0 {
                let kept = self.series.len();
                tracing::warn!(kept, "clients put more series of metrics than are kept; new ones are forgotten");
            }
            self.forgotten += 1;
            return;
        }
        self.names_bytes += series.bytes();
        self.series.insert(series, sample);
    }
}

/// Names are printable ASCII, so that nothing but these needs an escape.
fn push_escaped(value: &str, text: &mut String, special: &[char]) {
    for c in value.chars() {
        if special.contains(&c) {
            text.push('\\');
        }
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, dimensions: &[(&str, &str)], value: f64) -> Metric {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Metric { name: name.to_owned(), dimensions, unit: "Count", sample: Sample::of(value, 1.0) }
    }

    fn text(metrics: &CustomMetrics) -> String {
        let mut text = String::new();
        metrics.write(&mut text);
        text
    }

    #[test]
    fn values_of_one_series_add_up_and_names_are_escaped() {
        let metrics = CustomMetrics::default();
        let odd = [("Stream", "a,b=\"c\"\\")];
        metrics.put("App", &[metric("Clicks", &odd, 1.5), metric("Clicks", &odd, -4.0), metric("Clicks", &[], 2.0)]);
        let labels = r#"{namespace="App",name="Clicks",unit="Count",dimensions="Stream=a\\,b\\=\"c\"\\\\"}"#;
        let text = text(&metrics);
        for line in [
            format!("millrace_custom_metric_sum{labels} -2.5"),
            format!("millrace_custom_metric_count{labels} 2"),
            format!("millrace_custom_metric_min{labels} -4"),
            format!("millrace_custom_metric_max{labels} 1.5"),
            r#"millrace_custom_metric_sum{namespace="App",name="Clicks",unit="Count",dimensions=""} 2"#.to_owned(),
            "millrace_custom_metric_series 2".to_owned(),
            "millrace_custom_metric_forgotten_total 0".to_owned(),
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn behind_the_bound_new_series_are_counted_and_known_ones_go_on() {
        let metrics = CustomMetrics::default();
        for number in 0..SERIES_MAX + 3 {
            metrics.put("App", &[metric(&format!("m{number}"), &[], 1.0)]);
        }
        metrics.put("App", &[metric("m0", &[], 1.0)]);
        let text = text(&metrics);
        assert!(text.contains(&format!("{METRIC}_series {SERIES_MAX}\n")) && text.contains("forgotten_total 3\n"));
        assert!(text.contains(r#"_sum{namespace="App",name="m0",unit="Count",dimensions=""} 2"#));
        assert!(!text.contains(&format!("\"m{SERIES_MAX}\"")));
    }

    #[test]
    fn long_names_have_a_bound_of_their_own() {
        let metrics = CustomMetrics::default();
        let value = "v".repeat(1_024);
        for number in 0..1_000 {
            let names: Vec<String> = (0..30).map(|index| format!("{number}-{index}")).collect();
            let dimensions: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
            metrics.put("App", &[metric("m", &dimensions, 1.0)]);
        }
        let kept = metrics.0.lock();
        assert!(kept.names_bytes <= NAMES_BYTES_MAX && kept.forgotten > 0 && kept.series.len() > 500);
    }
}
