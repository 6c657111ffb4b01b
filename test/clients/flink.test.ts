/**
 * Apache Flink with its Kinesis connector, as `docs/recipes/flink.md` has it: a job that sums orders by customer and minute,
 * and that fails once on the way, writes the exact sums. It reads by each of the connector's ways.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { JAVA, recipe } from './recipe.js'
import { serve } from './server.js'
import { clientOf, create, putAll, readUntil } from './streams.js'
import { start } from '../program.js'

const ORDERS = 20_000
const CUSTOMERS = 50
const SHARDS = 4
const MINUTE_MS = 60_000
/** The time of the first order, in milliseconds: the beginning of a minute. */
const BEGIN_MS = 28_000_000 * MINUTE_MS
/** All orders lie within this time, in milliseconds. */
const SPAN_MS = 20 * MINUTE_MS
/** The longest that a job goes on, in milliseconds. */
const JOB_MS_MAX = 180_000

interface Order {
  readonly customer: string
  readonly cents: number
  readonly atMs: number
}

/** What the job tells at a checkpoint. */
interface Progress {
  /** Orders that are counted in the state. */
  readonly counted: number
  /** Orders that have come by, some of them twice. */
  readonly passed: number
  readonly failed: boolean
}

function orders(): Order[] {
  return Array.from({ length: ORDERS }, (_, index) => ({
    customer: `customer-${(index * 7) % CUSTOMERS}`,
    cents: 1 + ((index * 7919) % 1000),
    atMs: BEGIN_MS + Math.floor((index * SPAN_MS) / ORDERS),
  }))
}

/** What each customer ordered in each minute, as the job's lines name them: `customer,milliseconds`. */
function sumsOf(all: readonly Order[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { customer, cents, atMs } of all) {
    const minute = `${customer},${Math.floor(atMs / MINUTE_MS) * MINUTE_MS}`
    sums.set(minute, (sums.get(minute) ?? 0) + cents)
  }
  return sums
}

const entryOf = ({ customer, cents, atMs }: Order) => ({
  PartitionKey: customer,
  Data: Buffer.from(`${customer},${cents},${atMs}`),
})

/** Orders long after all others, one in each shard: by them the job knows that every minute is over. */
function closing(): { PartitionKey: string; ExplicitHashKey: string; Data: Buffer }[] {
  const order = entryOf({ customer: 'closing', cents: 0, atMs: BEGIN_MS + SPAN_MS + 180 * MINUTE_MS })
  return Array.from({ length: SHARDS }, (_, shard) => ({
    ...order,
    ExplicitHashKey: ((BigInt(shard) << 128n) / BigInt(SHARDS)).toString(),
  }))
}

const prepared = recipe('flink', JAVA)
const reason = 'missing' in prepared ? ` (skipped: ${prepared.missing})` : ''

describe.skipIf('missing' in prepared)(`Flink${reason}`, () => {
  test.each([
    ['KinesisStreamsSource', 'source', false],
    ['FlinkKinesisConsumer, polling', 'polling', false],
    ['FlinkKinesisConsumer, enhanced fan-out', 'fan-out', false],
    ['KinesisStreamsSource, over TLS', 'source', true],
    ['FlinkKinesisConsumer, enhanced fan-out, over TLS', 'fan-out', true],
  ])('%s: after a failure every order is in its sum once', { timeout: 2 * JOB_MS_MAX }, async (_, reader, tls) => {
    if ('missing' in prepared) return
    const server = await serve({ tls, msMax: JOB_MS_MAX })
    const client = clientOf(server)
    await create(client, SHARDS, 'orders')
    await create(client, 1, 'sums')
    const command = `exec ${prepared.runs[0]?.replace(' source', ` ${reader}`)}`
    writeFileSync(join(prepared.folder, 'server.properties'), server.propertiesFor('flink'))
    const env = { ...process.env, ...server.javaEnv() }
    const job = start('sh', ['-c', command], { cwd: prepared.folder, env, msMax: JOB_MS_MAX })
    onTestFinished(async () => {
      job.kill('SIGKILL')
      await job.ended
    })
    const all = orders()
    for (const half of [0, ORDERS / 2]) {
      await putAll(client, 'orders', all.slice(half, half + ORDERS / 2).map(entryOf))
      await job.heard(`{"counted":${half + ORDERS / 2},`)
    }
    await putAll(client, 'orders', closing())
    const expected = sumsOf(all)
    const lines = await readUntil(client, 'sums', (texts) => minutesOf(texts).size >= expected.size)
    // The sink may write a line again after a failure, but never another sum.
    for (const line of lines) expect(`${minuteOf(line)},${expected.get(minuteOf(line))}`).toBe(line)
    expect(minutesOf(lines)).toEqual(new Set(expected.keys()))
    const told = JSON.parse(job.output().trim().split('\n').at(-1) ?? '') as Progress
    expect(told.failed).toBe(true)
    expect(told.passed).toBeGreaterThanOrEqual(ORDERS + 100)
  })
})

const minuteOf = (line: string): string => line.slice(0, line.lastIndexOf(','))
const minutesOf = (lines: readonly string[]): Set<string> => new Set(lines.map(minuteOf))
