//! What streams tell of themselves, as `/metrics` tells it, in the text format of Prometheus: the names of CloudWatch, a
//! stream and a shard. The names are those of `millrace/prometheus`, and a test holds the two together.

use std::fmt::{Display, Write};

use millrace::ChannelReport;
use millrace::metrics::latency::Latencies;
use millrace::metrics::report::{Operation, ShardMetrics, StreamMetrics};
use millrace_kinesis::shard_name;

/// A metric's name, its kind, and where its value stands.
type Row<T> = (&'static str, Kind, fn(&T) -> u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}
use Kind::{Counter, Gauge};

const STREAM: &[Row<StreamMetrics>] = &[
    ("incoming_bytes", Counter, |of| of.incoming.total.bytes),
    ("incoming_records", Counter, |of| of.incoming.total.records),
    ("outgoing_bytes", Counter, |of| of.outgoing.total.bytes),
    ("outgoing_records", Counter, |of| of.outgoing.total.records),
    ("write_provisioned_throughput_exceeded", Counter, |of| of.incoming.total.throttled),
    ("read_provisioned_throughput_exceeded", Counter, |of| of.outgoing.total.throttled),
    ("put_record_bytes", Counter, |of| of.put_record.bytes),
    ("put_record_success", Counter, |of| succeeded(&of.put_record)),
    ("put_records_bytes", Counter, |of| of.put_records.bytes),
    ("put_records_success", Counter, |of| succeeded(&of.put_records)),
    ("put_records_total_records", Counter, |of| of.put_records.records + of.put_records.records_failed),
    ("put_records_successful_records", Counter, |of| of.put_records.records),
    ("put_records_failed_records", Counter, |of| {
        of.put_records.records_failed.saturating_sub(of.put_records.records_throttled)
    }),
    ("put_records_throttled_records", Counter, |of| of.put_records.records_throttled),
    ("get_records_bytes", Counter, |of| of.get_records.bytes),
    ("get_records_records", Counter, |of| of.get_records.records),
    ("get_records_success", Counter, |of| succeeded(&of.get_records)),
    ("get_records_iterator_age_milliseconds", Gauge, |of| of.iterator_age_ms),
    ("subscribe_to_shard_success", Counter, |of| of.subscriptions.started),
    ("subscribe_to_shard_rate_exceeded", Counter, |of| of.subscriptions.rate_exceeded),
    ("subscribe_to_shard_event_bytes", Counter, |of| of.subscriptions.event_bytes),
    ("subscribe_to_shard_event_records", Counter, |of| of.subscriptions.event_records),
    ("subscribe_to_shard_event_success", Counter, |of| of.subscriptions.events),
    ("subscribe_to_shard_event_millis_behind_latest", Gauge, |of| of.subscriptions.millis_behind_latest),
    ("open_shards", Gauge, |of| u64::from(of.open_shards)),
];

const SHARD: &[Row<ShardMetrics>] = &[
    ("shard_incoming_bytes", Counter, |of| of.incoming.total.bytes),
    ("shard_incoming_records", Counter, |of| of.incoming.total.records),
    ("shard_outgoing_bytes", Counter, |of| of.outgoing.total.bytes),
    ("shard_outgoing_records", Counter, |of| of.outgoing.total.records),
    ("shard_write_provisioned_throughput_exceeded", Counter, |of| of.incoming.total.throttled),
    ("shard_read_provisioned_throughput_exceeded", Counter, |of| of.outgoing.total.throttled),
    ("shard_iterator_age_milliseconds", Gauge, |of| of.iterator_age_ms),
];

const CHANNEL: &[Row<ChannelReport>] = &[
    ("channel_objects", Counter, |of| of.deliveries.objects),
    ("channel_bytes", Counter, |of| of.deliveries.bytes),
    ("channel_records", Counter, |of| of.deliveries.records),
    ("channel_dead_letters", Counter, |of| of.deliveries.dead_letters),
    ("channel_failed_attempts", Gauge, |of| of.failure.as_ref().map_or(0, |failure| u64::from(failure.attempts))),
];

/// A duration's name, and where it stands.
type LatencyRow = (&'static str, fn(&StreamMetrics) -> &Latencies);

const LATENCY: &[LatencyRow] = &[
    ("put_record_latency", |of| &of.put_record.latency),
    ("put_records_latency", |of| &of.put_records.latency),
    ("get_records_latency", |of| &of.get_records.latency),
    ("sync_latency", |of| &of.sync),
];

fn succeeded(operation: &Operation) -> u64 {
    operation.calls.saturating_sub(operation.failed)
}

/// Writes the metrics of streams, and, if that is wanted, of their shards, behind what is there.
pub(crate) fn write(streams: &[StreamMetrics], with_shards: bool, text: &mut String) {
    for (name, kind, value) in STREAM {
        let metric = head(name, *kind, text);
        for of in streams {
            line(text, &metric, &[("stream", &of.stream)], value(of));
        }
    }
    for (name, kind, value) in if with_shards { SHARD } else { &[] } {
        let metric = head(name, *kind, text);
        for (of, shard) in streams.iter().flat_map(|of| of.shards.iter().map(move |shard| (of, shard))) {
            line(text, &metric, &[("stream", &of.stream), ("shard", &shard_name(shard.shard))], value(shard));
        }
    }
    for (name, latencies) in LATENCY {
        let metric = format!("millrace_{name}_seconds");
        let _written = writeln!(text, "# TYPE {metric} summary");
        for of in streams {
            let Latencies { count, sum_ns, p50_ns, p90_ns, p99_ns, max_ns } = *latencies(of);
            for (quantile, ns) in [("0.5", p50_ns), ("0.9", p90_ns), ("0.99", p99_ns), ("1", max_ns)] {
                line(text, &metric, &[("stream", &of.stream), ("quantile", quantile)], seconds(ns));
            }
            line(text, &format!("{metric}_sum"), &[("stream", &of.stream)], seconds(sum_ns));
            line(text, &format!("{metric}_count"), &[("stream", &of.stream)], count);
        }
    }
}

/// Writes the metrics of channels behind what is there, if there are any.
pub(crate) fn write_channels(channels: &[ChannelReport], text: &mut String) {
    for (name, kind, value) in if channels.is_empty() { &[] } else { CHANNEL } {
        let metric = head(name, *kind, text);
        for of in channels {
            line(text, &metric, &[("stream", &of.stream.name), ("channel", &of.channel.name)], value(of));
        }
    }
}

/// Writes what a metric is; returns its name.
fn head(name: &str, kind: Kind, text: &mut String) -> String {
    let (suffix, kind) = if kind == Counter { ("_total", "counter") } else { ("", "gauge") };
    let metric = format!("millrace_{name}{suffix}");
    let _written = writeln!(text, "# TYPE {metric} {kind}");
    metric
}

/// The names of streams, shards and channels need no escapes.
fn line(text: &mut String, metric: &str, labels: &[(&str, &str)], value: impl Display) {
    let _written = write!(text, "{metric}{{");
    for (index, (name, label)) in labels.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _written = write!(text, "{comma}{name}=\"{label}\"");
    }
    let _written = writeln!(text, "}} {value}");
}

fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}
