/** The picture of `millrace top`, in terminals of all sizes, of figures of all kinds. */
import { expect, test } from 'vitest'
import { topView } from '../src/cli/top/view.js'
import type { Flow, Observation, Passed, StreamMetrics } from '../src/index.js'

const NOW = Date.UTC(2026, 0, 1)

function passed(records: number): Passed {
  const flow: Flow = { records, bytes: records * 1_000, throttled: 0 }
  return { total: flow, second: flow, tenSeconds: flow, minute: flow }
}

const latency = { count: 5, sumNs: 5e6, p50Ns: 1e3, p90Ns: 2e3, p99Ns: 4_200, maxNs: 5e6 }
const operation = { calls: 1, failed: 0, records: 1, bytes: 1, recordsFailed: 0, recordsThrottled: 0, latency }

function stream(name: string, shards: number): StreamMetrics {
  return {
    stream: name,
    incoming: passed(1_000),
    outgoing: passed(500),
    putRecord: operation,
    putRecords: operation,
    getRecords: operation,
    subscriptions: {
      started: 0,
      failed: 0,
      rateExceeded: 0,
      events: 0,
      eventsFailed: 0,
      eventRecords: 0,
      eventBytes: 0,
      millisBehindLatest: 0,
    },
    sync: { ...latency, p99Ns: 3_400_000 },
    iteratorAgeMs: 1_500,
    openShards: shards,
    shards: Array.from({ length: shards }, (_, i) => ({
      shardId: `shardId-${String(i).padStart(12, '0')}`,
      open: true,
      incoming: passed(i * 10),
      outgoing: passed(i),
      iteratorAgeMs: 0,
    })),
    keys: [
      {
        key: 'user-42',
        hashKey: '1',
        shardId: 'shardId-000000000001',
        share: 0.31,
        shareError: 0,
        records: 310,
        bytes: 310_000,
      },
    ],
  }
}

function observed(streams: StreamMetrics[], ageMs = 500): Observation {
  return { pid: 42, since: new Date(NOW - 60_000), writtenAt: new Date(NOW - ageMs), streams }
}

function view(observation: Observation, width = 100, height = 40): string {
  return topView(observation, { now: NOW, width, height }).join('\n')
}

test('rates, ages, durations, the busiest shards first and hot keys', () => {
  const picture = view(observed([stream('clicks', 12)]))
  expect(picture).toContain('process 42 since 2025-12-31T23:59:00.000Z')
  expect(picture).toMatch(/^clicks +12 +1\.0 k\/s +977 KiB\/s +500\/s +488 KiB\/s +1\.5 s +0\/s +4\.2 µs +3\.4 ms$/m)
  const shards = [...picture.matchAll(/shardId-0*(\d+)/g)].map(([, number]) => Number(number))
  expect(shards).toEqual([11, 10, 9, 8, 7, 6, 5, 4])
  expect(picture).toMatch(/^shardId-000000000011 .*█{12}$/m)
  expect(picture).toContain('… and 4 shards with less')
  expect(picture).toContain('hot keys: user-42 31.0 %')
})

test('figures that are old tell totals, no rates', () => {
  const picture = view(observed([stream('clicks', 2)], 60_000))
  expect(picture).toContain('idle for 60 s')
  expect(picture).toMatch(/^clicks +2 +0\/s +0 B\/s +0\/s +0 B\/s/m)
})

test.each([20, 40, 60, 80, 91, 92, 200])('no line is wider than a terminal of %d columns', (width) => {
  const picture = view(observed([stream('a-stream-with-a-rather-long-name', 9), stream('日本語', 1)]), width)
  for (const line of picture.split('\n')) expect([...line].length).toBeLessThanOrEqual(width)
})

test('a low terminal gets as many lines as it has, the last one saying that there is more', () => {
  const lines = topView(observed([stream('clicks', 12)]), { now: NOW, width: 80, height: 5 })
  expect(lines).toHaveLength(5)
  expect(lines.at(-1)).toBe('…')
})

test('no process, and a process that has done nothing, are told apart', () => {
  expect(view({ streams: [] })).toContain('no process on this machine has the store open')
  const idle = view({ pid: 7, since: new Date(NOW), streams: [] })
  expect(idle).toContain('process 7')
  expect(idle).toContain('Nothing has happened')
})

test('a key that would move the cursor is shown without', () => {
  const hostile = { ...stream('clicks', 1), keys: [{ ...stream('x', 1).keys[0]!, key: '\u001B[2J\rkey' }] }
  const picture = view(observed([hostile]))
  expect(picture).not.toContain('\u001B')
  expect(picture).toContain('\uFFFD[2J\uFFFDkey')
})
