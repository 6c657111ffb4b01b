/** What streams tell of themselves, and what the exporters make of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { metrics as otel } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { expect, test, vi } from 'vitest'
import { Millrace, type StreamMetrics } from '../src/index.js'
import { LATENCY_METRICS, SHARD_METRICS, STREAM_METRICS, snakeCase } from '../src/metric-table.js'
import { instrument } from '../src/opentelemetry.js'
import { PROMETHEUS_CONTENT_TYPE, prometheusText } from '../src/prometheus.js'
import { allRecords, bytes, codeOf, keys, openStore } from './store.js'
import { emptyFolder, root } from './support.js'

const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

/** A store with one stream of four shards that 300 records went through. */
async function busyStore(): Promise<{ millrace: Millrace; metrics: StreamMetrics }> {
  const millrace = await openStore()
  const stream = await millrace.createStream('clicks', { shards: 4 })
  await stream.putMany(keys(300).map((partitionKey) => ({ partitionKey, data: bytes('some data') })))
  expect(await allRecords(stream.read(fromStart))).toHaveLength(300)
  return { millrace, metrics: stream.metrics() }
}

test('metrics are those of all that was put and read, for the stream and each shard', async () => {
  const { millrace, metrics } = await busyStore()
  const volume = keys(300).reduce((sum, key) => sum + key.length + 'some data'.length, 0)
  expect(metrics.incoming.total).toEqual({ records: 300, bytes: volume, throttled: 0 })
  expect(metrics.outgoing.total).toEqual(metrics.incoming.total)
  expect(metrics.shards.map(({ shardId }) => shardId)).toEqual([0, 1, 2, 3].map((n) => `shardId-00000000000${n}`))
  const sum = (of: (shard: StreamMetrics['shards'][number]) => number): number =>
    metrics.shards.reduce((all, shard) => all + of(shard), 0)
  expect(sum(({ incoming }) => incoming.total.records)).toBe(300)
  expect(sum(({ outgoing }) => outgoing.total.bytes)).toBe(volume)
  expect(metrics.putRecord.records + metrics.putRecords.records).toBe(300)
  expect(metrics.sync.count).toBeGreaterThan(0)
  expect(millrace.metrics()).toMatchObject([{ stream: 'clicks', openShards: 4 }])
})

test('even load needs no advice, and a closed stream gives none', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('quiet')
  expect(stream.advise()).toEqual([])
  await millrace.close()
  expect(await codeOf(() => stream.advise())).toBe('ERR_MILLRACE_CLOSED')
  expect(await codeOf(() => stream.metrics())).toBe('ERR_MILLRACE_CLOSED')
})

test("a log's last minute tells of its keys after the store was opened anew", async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('skewed', { shards: 4 })
  const rows = keys(4_000).map((key, i) => ({ partitionKey: i % 10 < 9 ? 'hot' : key, data: bytes('x'.repeat(200)) }))
  await stream.putMany(rows)
  const { metrics, advice } = await stream.replayMetrics()
  expect(metrics.incoming.total.records).toBe(4_000)
  expect(metrics.keys[0]).toMatchObject({ key: 'hot' })
  expect(metrics.keys[0]?.share).toBeCloseTo(0.9, 1)
  expect(advice[0]).toMatchObject({
    kind: 'spreadKey',
    key: { key: 'hot' },
    hot: { shardId: metrics.keys[0]?.shardId },
  })
  expect(advice[0]?.text).toContain('a split does not help')
})

test('another look at the store, without a claim, sees the figures of the process that has it open', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const stream = await millrace.createStream('seen')
  await stream.put({ partitionKey: 'k', data: bytes('x') })
  await vi.waitFor(
    async () => {
      const { pid, since, streams } = await Millrace.observe(folder)
      expect([pid, since instanceof Date]).toEqual([process.pid, true])
      expect(streams[0]).toMatchObject({ stream: 'seen', incoming: { total: { records: 1 } } })
    },
    { timeout: 10_000, interval: 100 },
  )
})

test('Prometheus gets each metric once, with its type, and a line for each stream and shard', async () => {
  const { metrics } = await busyStore()
  const text = prometheusText([metrics])
  expect(PROMETHEUS_CONTENT_TYPE).toContain('version=0.0.4')
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  expect(new Set(types).size).toBe(types.length)
  expect(types).toHaveLength(STREAM_METRICS.length + SHARD_METRICS.length + LATENCY_METRICS.length)
  expect(text).toContain('# TYPE millrace_put_records_throttled_records_total counter\n')
  expect(text).toContain('\nmillrace_incoming_records_total{stream="clicks"} 300\n')
  expect(
    text.match(/^millrace_shard_incoming_bytes_total\{stream="clicks",shard="shardId-\d{12}"\} \d+$/gm),
  ).toHaveLength(4)
  expect(text).toMatch(/^millrace_sync_latency_seconds\{stream="clicks",quantile="0.99"\} \d/m)
  // Every line is of the format: a comment, or a name with labels and a number.
  for (const line of text.trimEnd().split('\n')) {
    expect(line).toMatch(
      /^(?:# (?:HELP|TYPE) millrace_[a-z_]+ .+|millrace_[a-z_]+\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\} \S+)$/,
    )
  }
  expect(prometheusText([metrics], { shards: false })).not.toContain('shard=')
  expect(prometheusText([{ ...metrics, stream: 'a"b\\c\nd' }])).toContain('{stream="a\\"b\\\\c\\nd"} 300')
})

test('an OpenTelemetry reader collects the same values, until it is stopped', async () => {
  const { millrace, metrics } = await busyStore()
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  expect(otel.getMeterProvider()).not.toBe(provider)
  const source = { metrics: vi.fn<() => StreamMetrics[]>(() => millrace.metrics()) }
  const stop = instrument(provider.getMeter('millrace'), source)
  await reader.forceFlush()
  const collected = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: all }) => all))
  const named = (name: string) => collected.find(({ descriptor }) => descriptor.name === name)
  expect(named('millrace.incoming_records')?.dataPoints).toMatchObject([
    { value: 300, attributes: { stream: 'clicks' } },
  ])
  expect(named('millrace.incoming_records')?.descriptor.unit).toBe('{record}')
  expect(named('millrace.shard.incoming_bytes')?.dataPoints.map(({ value }) => value)).toEqual(
    metrics.shards.map(({ incoming }) => incoming.total.bytes),
  )
  expect(named('millrace.sync.latency')?.dataPoints).toHaveLength(4)
  expect(collected).toHaveLength(STREAM_METRICS.length + SHARD_METRICS.length + LATENCY_METRICS.length)
  expect(source.metrics).toHaveBeenCalledTimes(1)
  stop()
  await reader.forceFlush()
  expect(source.metrics).toHaveBeenCalledTimes(1)
  await provider.shutdown()
})

test('the table of metrics in docs/operations.md is that of the exporters', () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([A-Za-z.]+)` \| `(millrace_[a-z_]+)` \| (stream|shard) \|/gm)].map(
    ([, name, prometheus, level]) => `${level} ${name} ${prometheus}`,
  )
  const suffix = (kind: string): string => (kind === 'counter' ? '_total' : '')
  const expected = [
    ...STREAM_METRICS.map(({ name, kind }) => `stream ${name} millrace_${snakeCase(name, '_')}${suffix(kind)}`),
    ...LATENCY_METRICS.map(({ name }) => `stream ${name} millrace_${snakeCase(name, '_')}_seconds`),
    ...SHARD_METRICS.map(({ name, kind }) => `shard ${name} millrace_shard_${snakeCase(name, '_')}${suffix(kind)}`),
  ]
  expect(rows).toEqual(expected)
})
