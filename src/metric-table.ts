/**
 * The one table of metrics for exporters: what CloudWatch calls each, its unit, and where its value stands.
 *
 * Counters only grow while a store is open. `docs/operations.md` has the same table in words; a test holds them
 * together.
 */
import type { Latencies, ShardMetrics, StreamMetrics } from './metrics.js'

/** A counter grows; a gauge is what it is at the moment. */
export interface Metric<T> {
  /** The name in CloudWatch, or one in its style for what only Millrace has. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  /** `By`, `{record}`, `{call}` … as OpenTelemetry writes units. */
  readonly unit: string
  readonly help: string
  readonly value: (from: T) => number
}

/** Durations of calls. */
export interface LatencyMetric {
  readonly name: string
  readonly help: string
  readonly value: (from: StreamMetrics) => Latencies
}

/** What passes: of a stream and of each of its shards. */
const FLOW_METRICS: readonly Metric<Pick<StreamMetrics, 'incoming' | 'outgoing'>>[] = [
  counter('IncomingBytes', 'By', 'Bytes of keys and data appended', (of) => of.incoming.total.bytes),
  counter('IncomingRecords', '{record}', 'Records appended', (of) => of.incoming.total.records),
  counter('OutgoingBytes', 'By', 'Bytes of keys and data read', (of) => of.outgoing.total.bytes),
  counter('OutgoingRecords', '{record}', 'Records read', (of) => of.outgoing.total.records),
  counter(
    'WriteProvisionedThroughputExceeded',
    '{record}',
    'Records refused by a throughput limit',
    (of) => of.incoming.total.throttled,
  ),
  counter(
    'ReadProvisionedThroughputExceeded',
    '{call}',
    'Reads refused by a throughput limit',
    (of) => of.outgoing.total.throttled,
  ),
]

/** Metrics of a stream. */
export const STREAM_METRICS: readonly Metric<StreamMetrics>[] = [
  ...FLOW_METRICS,
  counter('PutRecord.Bytes', 'By', 'Bytes of keys and data appended record by record', (of) => of.putRecord.bytes),
  counter('PutRecord.Success', '{call}', 'Appends of one record that succeeded', (of) => succeeded(of.putRecord)),
  counter('PutRecords.Bytes', 'By', 'Bytes of keys and data appended in batches', (of) => of.putRecords.bytes),
  counter('PutRecords.Success', '{call}', 'Appends of several records that succeeded', (of) =>
    succeeded(of.putRecords),
  ),
  counter(
    'PutRecords.TotalRecords',
    '{record}',
    'Records in appends of several',
    (of) => of.putRecords.records + of.putRecords.recordsFailed,
  ),
  counter(
    'PutRecords.SuccessfulRecords',
    '{record}',
    'Records in appends of several that were appended',
    (of) => of.putRecords.records,
  ),
  counter(
    'PutRecords.FailedRecords',
    '{record}',
    'Records in appends of several that failed, throttled ones not counted',
    (of) => of.putRecords.recordsFailed - of.putRecords.recordsThrottled,
  ),
  counter(
    'PutRecords.ThrottledRecords',
    '{record}',
    'Records in appends of several that a throughput limit refused',
    (of) => of.putRecords.recordsThrottled,
  ),
  counter('GetRecords.Bytes', 'By', 'Bytes of keys and data read', (of) => of.getRecords.bytes),
  counter('GetRecords.Records', '{record}', 'Records read', (of) => of.getRecords.records),
  counter('GetRecords.Success', '{call}', 'Reads that found records', (of) => succeeded(of.getRecords)),
  gauge(
    'GetRecords.IteratorAgeMilliseconds',
    'ms',
    'Largest age of the records read in the last minute',
    (of) => of.iteratorAgeMs,
  ),
  counter('SubscribeToShard.Success', '{call}', 'Subscriptions that began', (of) => of.subscriptions.started),
  counter(
    'SubscribeToShard.RateExceeded',
    '{call}',
    'Subscriptions that a rate limit refused',
    (of) => of.subscriptions.rateExceeded,
  ),
  counter('SubscribeToShardEvent.Bytes', 'By', 'Bytes sent in events', (of) => of.subscriptions.eventBytes),
  counter('SubscribeToShardEvent.Records', '{record}', 'Records sent in events', (of) => of.subscriptions.eventRecords),
  counter('SubscribeToShardEvent.Success', '{event}', 'Events sent', (of) => of.subscriptions.events),
  gauge(
    'SubscribeToShardEvent.MillisBehindLatest',
    'ms',
    'How far behind the newest record the last event was',
    (of) => of.subscriptions.millisBehindLatest,
  ),
  gauge('OpenShards', '{shard}', 'Open shards', (of) => of.openShards),
]

/** Metrics of a shard. */
export const SHARD_METRICS: readonly Metric<ShardMetrics>[] = [
  ...FLOW_METRICS,
  gauge(
    'IteratorAgeMilliseconds',
    'ms',
    'Largest age of the records read in the last minute',
    (of) => of.iteratorAgeMs,
  ),
]

/** Durations of a stream's calls. */
export const LATENCY_METRICS: readonly LatencyMetric[] = [
  { name: 'PutRecord.Latency', help: 'Duration of appends of one record', value: (of) => of.putRecord.latency },
  { name: 'PutRecords.Latency', help: 'Duration of appends of several records', value: (of) => of.putRecords.latency },
  { name: 'GetRecords.Latency', help: 'Duration of reads that found records', value: (of) => of.getRecords.latency },
  { name: 'Sync.Latency', help: 'Duration of syncs of the log', value: (of) => of.sync },
]

/** The quantiles of a latency. */
export const QUANTILES: readonly (readonly [number, (of: Latencies) => number])[] = [
  [0.5, (of) => of.p50Ns],
  [0.9, (of) => of.p90Ns],
  [0.99, (of) => of.p99Ns],
  [1, (of) => of.maxNs],
]

/** `PutRecords.ThrottledRecords` as `put_records<separator>throttled_records`. */
export function snakeCase(name: string, separator: '.' | '_'): string {
  return name
    .split('.')
    .map((part) => part.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase())
    .join(separator)
}

function succeeded(operation: { readonly calls: number; readonly failed: number }): number {
  return operation.calls - operation.failed
}

function counter<T>(name: string, unit: string, help: string, value: (from: T) => number): Metric<T> {
  return { name, kind: 'counter', unit, help, value }
}

function gauge<T>(name: string, unit: string, help: string, value: (from: T) => number): Metric<T> {
  return { name, kind: 'gauge', unit, help, value }
}
