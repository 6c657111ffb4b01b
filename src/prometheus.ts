/**
 * Metrics in the text format of Prometheus, version 0.0.4: `millrace/prometheus`.
 *
 * It needs no client library. Whoever has one (`prom-client`) puts this text behind its own: the names begin with
 * `millrace_`, so they meet nobody else's.
 */
import { LATENCY_METRICS, QUANTILES, SHARD_METRICS, STREAM_METRICS, snakeCase } from './metric-table.js'
import type { StreamMetrics } from './metrics.js'

/** The value of `Content-Type` for this text. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** What is written. */
export interface PrometheusOptions {
  /**
   * Whether each shard gets lines of its own: seven a shard.
   * @default true
   */
  readonly shards?: boolean
}

type Labels = Readonly<Record<string, string>>

/**
 * Metrics of streams as text that Prometheus scrapes.
 *
 * @example
 * createServer((request, response) => {
 *   response.setHeader('Content-Type', PROMETHEUS_CONTENT_TYPE).end(prometheusText(millrace.metrics()))
 * }).listen(9464)
 */
export function prometheusText(streams: readonly StreamMetrics[], options: PrometheusOptions = {}): string {
  const lines: string[] = []
  for (const { name, kind, help, value } of STREAM_METRICS) {
    const metric = metricName(name, kind)
    head(lines, metric, kind, help)
    for (const of of streams) line(lines, metric, { stream: of.stream }, value(of))
  }
  for (const { name, kind, help, value } of options.shards === false ? [] : SHARD_METRICS) {
    const metric = metricName(`Shard.${name}`, kind)
    head(lines, metric, kind, help)
    for (const { stream, shards } of streams) {
      for (const shard of shards) line(lines, metric, { stream, shard: shard.shardId }, value(shard))
    }
  }
  for (const { name, help, value } of LATENCY_METRICS) {
    const metric = `millrace_${snakeCase(name, '_')}_seconds`
    head(lines, metric, 'summary', help)
    for (const of of streams) {
      const latencies = value(of)
      for (const [quantile, take] of QUANTILES) {
        line(lines, metric, { stream: of.stream, quantile: String(quantile) }, take(latencies) / 1e9)
      }
      line(lines, `${metric}_sum`, { stream: of.stream }, latencies.sumNs / 1e9)
      line(lines, `${metric}_count`, { stream: of.stream }, latencies.count)
    }
  }
  return lines.join('')
}

function metricName(name: string, kind: 'counter' | 'gauge'): string {
  return `millrace_${snakeCase(name, '_')}${kind === 'counter' ? '_total' : ''}`
}

function head(lines: string[], metric: string, type: 'counter' | 'gauge' | 'summary', help: string): void {
  lines.push(`# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n`)
}

function line(lines: string[], metric: string, labels: Labels, value: number): void {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`)
  lines.push(`${metric}{${pairs.join(',')}} ${value}\n`)
}

/** The format's own escapes; any other character stands for itself. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
