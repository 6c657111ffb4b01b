//! What the server counts, and how `/metrics` tells it, in the text format of Prometheus.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::behind::{OPERATIONS, OperationName};

/// Upper bounds of the latency's buckets, in microseconds.
const BUCKETS_US: [u64; 10] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// What one operation did.
#[derive(Debug, Default)]
struct OperationCounters {
    succeeded: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    us: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len()],
}

/// What the server counts since it started.
#[derive(Debug)]
pub(crate) struct Counters {
    operations: HashMap<OperationName, OperationCounters>,
    /// Connections that are open.
    pub connections: AtomicI64,
    /// Subscriptions that run.
    pub subscriptions: AtomicI64,
    /// Records that were put.
    pub records_in: AtomicU64,
    /// Records that were handed out.
    pub records_out: AtomicU64,
}

impl Default for Counters {
    fn default() -> Counters {
        let operations = OPERATIONS.iter().flat_map(|of_service| of_service());
        Counters {
            operations: operations.map(|operation| (operation, OperationCounters::default())).collect(),
            connections: AtomicI64::default(),
            subscriptions: AtomicI64::default(),
            records_in: AtomicU64::default(),
            records_out: AtomicU64::default(),
        }
    }
}

impl Counters {
    /// An operation was answered with this code after so many microseconds.
    pub fn answered(&self, operation: OperationName, status: u16, us: u64) {
        let Some(counters) = self.operations.get(&operation) else { return };
        let outcome = match status {
            200..=299 => &counters.succeeded,
            500.. => &counters.failed,
            _ => &counters.refused,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        counters.us.fetch_add(us, Ordering::Relaxed);
        if let Some(bucket) = BUCKETS_US.iter().position(|bound| us <= *bound) {
            counters.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(4_096);
        let totals = [
            ("connections", "gauge", "Connections that are open.", self.connections.load(Ordering::Relaxed)),
            ("subscriptions", "gauge", "Subscriptions that run.", self.subscriptions.load(Ordering::Relaxed)),
            ("records_in_total", "counter", "Records that were put.", signed(&self.records_in)),
            ("records_out_total", "counter", "Records that were handed out.", signed(&self.records_out)),
        ];
        for (name, kind, help, value) in totals {
            let _written = writeln!(
                text,
                "# HELP millrace_server_{name} {help}\n# TYPE millrace_server_{name} {kind}\nmillrace_server_{name} {value}"
            );
        }
        let mut used: Vec<_> = self.operations.iter().filter(|(_, counters)| counters.count() > 0).collect();
        used.sort_unstable_by_key(|(name, _)| **name);
        text.push_str("# HELP millrace_server_requests_total Requests that were answered.\n");
        text.push_str("# TYPE millrace_server_requests_total counter\n");
        for (name, counters) in &used {
            let labels = labels(name);
            let outcomes =
                [("success", &counters.succeeded), ("refused", &counters.refused), ("failed", &counters.failed)];
            for (outcome, count) in outcomes {
                let count = count.load(Ordering::Relaxed);
                let _written =
                    writeln!(text, "millrace_server_requests_total{{{labels},outcome=\"{outcome}\"}} {count}");
            }
        }
        text.push_str("# HELP millrace_server_latency_seconds How long requests took.\n");
        text.push_str("# TYPE millrace_server_latency_seconds histogram\n");
        used.iter().for_each(|(name, counters)| counters.write_latency(&labels(name), &mut text));
        text
    }
}

impl OperationCounters {
    fn count(&self) -> u64 {
        [&self.succeeded, &self.refused, &self.failed].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn write_latency(&self, labels: &str, text: &mut String) {
        const NAME: &str = "millrace_server_latency_seconds";
        let mut below = 0;
        for (bound, count) in BUCKETS_US.iter().zip(&self.buckets) {
            below += count.load(Ordering::Relaxed);
            let (whole, micros) = (bound / 1_000_000, bound % 1_000_000);
            let _written = writeln!(text, "{NAME}_bucket{{{labels},le=\"{whole}.{micros:06}\"}} {below}");
        }
        let (count, us) = (self.count(), self.us.load(Ordering::Relaxed));
        let _written = writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let (seconds, micros) = (us / 1_000_000, us % 1_000_000);
        let _written = writeln!(text, "{NAME}_sum{{{labels}}} {seconds}.{micros:06}");
        let _written = writeln!(text, "{NAME}_count{{{labels}}} {count}");
    }
}

fn labels(name: &OperationName) -> String {
    format!("service=\"{}\",operation=\"{}\"", name.service, name.operation)
}

fn signed(count: &AtomicU64) -> i64 {
    i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_once_and_told_with_its_latency() {
        let counters = Counters::default();
        let of_kinesis = |operation| OperationName { service: "kinesis", operation };
        counters.answered(of_kinesis("PutRecords"), 200, 90);
        counters.answered(of_kinesis("PutRecords"), 400, 900);
        counters.answered(of_kinesis("PutRecords"), 500, 5_000_000);
        counters.answered(of_kinesis("Unknown"), 200, 1);
        let text = counters.text();
        for line in [
            "millrace_server_requests_total{service=\"kinesis\",operation=\"PutRecords\",outcome=\"success\"} 1",
            "millrace_server_requests_total{service=\"kinesis\",operation=\"PutRecords\",outcome=\"refused\"} 1",
            "millrace_server_requests_total{service=\"kinesis\",operation=\"PutRecords\",outcome=\"failed\"} 1",
            "millrace_server_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecords\",le=\"0.000100\"} 1",
            "millrace_server_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecords\",le=\"1.000000\"} 2",
            "millrace_server_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecords\",le=\"+Inf\"} 3",
            "millrace_server_latency_seconds_sum{service=\"kinesis\",operation=\"PutRecords\"} 5.000990",
            "millrace_server_connections 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        assert!(!text.contains("Unknown"));
    }
}
