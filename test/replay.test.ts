/** Replay of much data: what a batch tells of its records, and pages that another thread maps ahead. */
import { expect, test } from 'vitest'
import type { Batch } from '../src/index.js'
import { allRecords, bytes, openStore, text } from './store.js'
import { emptyFolder } from './support.js'

const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

test('a batch tells the same of a record in whatever order it is asked', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('many-runs', { shards: 150, durability: 'os' })
  for (let i = 0; i < 4000; i += 1) {
    stream.append({ partitionKey: `key-${i % 997}`, data: bytes(String(i)) })
    if (i % 1500 === 0) await stream.flush()
  }
  await stream.flush()
  // One record a batch: each descriptor then has a run of its own.
  const expected = (await allRecords(stream.read({ ...fromStart, maxRecords: 1 }))).map(describe)
  for (const maxRecords of [7, 1024, 65_536]) {
    const batches: Batch[] = []
    for await (const batch of stream.read({ ...fromStart, maxRecords })) batches.push(batch)
    const asked = batches.map((batch) => inAnyOrder(batch.length).map((i) => [i, describe(batch.get(i))] as const))
    const told = asked.flatMap((batch) => batch.toSorted(([a], [b]) => a - b).map(([, record]) => record))
    expect(told).toEqual(expected)
  }
})

test('small runs far apart, which one shard of many has, come back as those of the whole stream', async () => {
  const folder = emptyFolder()
  const first = await openStore(folder)
  const written = await first.createStream('wide', { shards: 64, durability: 'os' })
  for (let i = 0; i < 20_000; i += 1) {
    written.append({ partitionKey: `key-${i % 9973}`, data: new Uint8Array(180).fill(i) })
    if (i % 1200 === 0) await written.flush()
  }
  await first.close()
  // The close has sealed what was finished: from here on the indexes say what the runs are.
  const millrace = await openStore(folder)
  const stream = await millrace.stream('wide')
  const whole = await allRecords(stream.read(fromStart))
  expect(whole).toHaveLength(20_000)
  for (const shard of ['shardId-000000000000', 'shardId-000000000031', 'shardId-000000000063']) {
    const expected = whole.filter((record) => record.shardId === shard).map(describe)
    for (const options of [{}, { maxRecords: 5 }, { copy: true }]) {
      const read = await allRecords(stream.read({ ...fromStart, shard, ...options }))
      expect(read.map(describe)).toEqual(expected)
    }
  }
})

test('a key comes back as it was put, whatever its length and wherever it is not ASCII', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('keys', { durability: 'os' })
  const written: string[] = []
  for (let length = 1; length <= 40; length += 1) {
    written.push('k'.repeat(length))
    for (let wide = 0; wide < length; wide += 1) written.push(`${'k'.repeat(wide)}é${'k'.repeat(length - wide - 1)}`)
  }
  for (const partitionKey of written) stream.append({ partitionKey, data: bytes(partitionKey) })
  await stream.flush()
  const records = await allRecords(stream.read(fromStart))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(written)
  expect(records.map(({ data }) => text(data))).toEqual(written)
})

test('a long replay can be left at any point, and one that is not reads every byte', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('long', { shards: 2, durability: 'os' })
  const records = 600
  for (let i = 0; i < records; i += 1) {
    stream.append({ partitionKey: `key-${i}`, data: new Uint8Array(128 * 1024).fill(i) })
    if (i % 16 === 15) await stream.flush()
  }
  await stream.flush()
  for (const batchesMax of [1, 5, 12, 20]) {
    const reader = stream.read({ ...fromStart, maxBytes: 1024 * 1024 })
    for (let i = 0; i < batchesMax; i += 1) await reader.next()
    reader.close()
  }
  // Two at once: the second has no helper where the machine has two processors.
  const sums = await Promise.all([sumOf(stream.read(fromStart)), sumOf(stream.read(fromStart))])
  const expected = Array.from({ length: records }, (_, i) => (i % 256) * 128 * 1024).reduce((a, b) => a + b)
  expect(sums).toEqual([expected, expected])
})

async function sumOf(reader: AsyncIterable<Batch>): Promise<number> {
  let sum = 0
  for await (const batch of reader) {
    for (const { bytes: data } of batch) for (const byte of data) sum += byte
  }
  return sum
}

function describe(record: ReturnType<Batch['get']>): object {
  const { shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp, bytes: data } = record
  return { shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp, data: text(data) }
}

/** Every index below `length` once, in an order that jumps back and forth. */
function inAnyOrder(length: number): number[] {
  return Array.from({ length }, (_, i) => i).toSorted((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009))
}
