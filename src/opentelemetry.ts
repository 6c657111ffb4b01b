/**
 * Metrics for OpenTelemetry: `millrace/opentelemetry`.
 *
 * The meter comes from the program, so nothing of OpenTelemetry is loaded here; only its types are needed, those of
 * `@opentelemetry/api`, an optional peer dependency.
 */
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import { LATENCY_METRICS, QUANTILES, SHARD_METRICS, STREAM_METRICS, snakeCase, type Metric } from './metric-table.js'
import type { StreamMetrics } from './metrics.js'

/** What has metrics: an open store. */
export interface MetricsSource {
  /** Metrics of the streams in use. */
  metrics(): readonly StreamMetrics[]
}

/** What is observed. */
export interface InstrumentOptions {
  /**
   * Whether each shard is observed too: seven time series a shard.
   * @default true
   */
  readonly shards?: boolean
}

/**
 * Lets a meter observe the streams of a store whenever its reader collects. Returns what ends it.
 *
 * Instruments are called `millrace.incoming_bytes`, `millrace.put_records.throttled_records` and so on, with the attribute
 * `stream`, those of shards `millrace.shard.…` with `shard` as well, latencies in seconds with `quantile`.
 *
 * @example
 * const stop = instrument(metrics.getMeter('millrace'), millrace)
 */
export function instrument(meter: Meter, source: MetricsSource, options: InstrumentOptions = {}): () => void {
  const streams = STREAM_METRICS.map((metric) => ({ metric, observable: observe(meter, 'millrace', metric) }))
  const shardMetrics = options.shards === false ? [] : SHARD_METRICS
  const shards = shardMetrics.map((metric) => ({ metric, observable: observe(meter, 'millrace.shard', metric) }))
  const latencies = LATENCY_METRICS.map(({ name, help, value }) => ({
    value,
    observable: meter.createObservableGauge(`millrace.${snakeCase(name, '.')}`, { description: help, unit: 's' }),
  }))
  const observables = [...streams, ...shards, ...latencies].map(({ observable }) => observable)
  const callback = (result: BatchObservableResult): void => {
    for (const of of source.metrics()) {
      const { stream } = of
      for (const { metric, observable } of streams) result.observe(observable, metric.value(of), { stream })
      for (const shard of shards.length === 0 ? [] : of.shards) {
        const attributes = { stream, shard: shard.shardId }
        for (const { metric, observable } of shards) result.observe(observable, metric.value(shard), attributes)
      }
      for (const { value, observable } of latencies) {
        const durations = value(of)
        for (const [quantile, take] of QUANTILES) {
          result.observe(observable, take(durations) / 1e9, { stream, quantile: String(quantile) })
        }
      }
    }
  }
  meter.addBatchObservableCallback(callback, observables)
  return () => meter.removeBatchObservableCallback(callback, observables)
}

function observe<T>(meter: Meter, prefix: string, { name, kind, unit, help }: Metric<T>): Observable {
  const options = { description: help, unit }
  const instrumentName = `${prefix}.${snakeCase(name, '.')}`
  return kind === 'counter'
    ? meter.createObservableCounter(instrumentName, options)
    : meter.createObservableGauge(instrumentName, options)
}
