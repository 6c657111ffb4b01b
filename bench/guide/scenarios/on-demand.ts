/** An on-demand stream that follows a busy afternoon, on a clock that runs thirty times as fast. */
import { performance } from 'node:perf_hooks'
import { Millrace } from '../../../src/index.js'
import type { Picture } from '../draw.js'

const CLOCK_FACTOR = 30
const HOURS = 3
const SECONDS = (HOURS * 3600) / CLOCK_FACTOR
/** Records a second of the stream's own time. */
const CALM = 400
const BUSY = 3600
const KEYS = 5000
const TICK_MS = 20
const SAMPLE_S = 2
const DATA = new Uint8Array(1)
/** Records a second that a shard takes. */
const OF_A_SHARD = 1000

/** Runs it in a store of its own in `folder`. */
export async function onDemand(folder: string): Promise<Record<string, Picture>> {
  await using millrace = await Millrace.open(folder, { testing: { clockFactor: CLOCK_FACTOR } })
  const stream = await millrace.createStream('afternoon', { mode: 'on-demand', durability: 'os' })
  const traffic: [number, number][] = []
  const capacity: [number, number][] = []
  const started = performance.now()
  let [sent, owed, last, sampledAt, sampledSent] = [0, 0, 0, 0, 0]
  const hours = (at: number): number => (at * CLOCK_FACTOR) / 3600
  for (let at = 0; at < SECONDS; at = (performance.now() - started) / 1000) {
    owed += (at - last) * rateAt(hours(at)) * CLOCK_FACTOR
    last = at
    for (; owed >= 1; owed -= 1, sent += 1)
      stream.append({ partitionKey: `visitor-${(sent * 7919) % KEYS}`, data: DATA })
    await stream.flush()
    if (at - sampledAt >= SAMPLE_S) {
      traffic.push([hours((at + sampledAt) / 2), (sent - sampledSent) / (at - sampledAt) / CLOCK_FACTOR])
      capacity.push([hours(at), stream.describe().shards * OF_A_SHARD])
      ;[sampledAt, sampledSent] = [at, sent]
    }
    await new Promise((resolve) => {
      setTimeout(resolve, TICK_MS)
    })
  }
  return {
    'on-demand': {
      kind: 'timeline',
      title: 'An on-demand stream over three hours',
      x: 'hours',
      unit: 'records/s',
      series: [
        { name: 'what its shards take', steps: true, points: capacity },
        { name: 'what comes', points: traffic },
      ],
      events: [],
    },
  }
}

/** What comes at an hour: calm, a steep climb, a plateau, and calm again. */
function rateAt(hour: number): number {
  const climb = Math.min(Math.max(hour - 0.5, 0), 1)
  const fall = Math.min(Math.max(hour - 2.2, 0) * 2, 1)
  return CALM + (BUSY - CALM) * (climb - fall * climb)
}
