/** The read side: positions, following, polling, and memory that stays what it was. */
import { expect, test } from 'vitest'
import type { Batch } from '../src/index.js'
import { allRecords, appendKeys, bytes, codeOf, keys, openStore, take, text } from './store.js'

const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

test('a reader starts at the horizon, the tail, a sequence number, behind one, or a time', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('positions')
  await appendKeys(stream, keys(10, 'early'))
  const [fifth] = (await allRecords(stream.read(fromStart))).slice(5)
  const at = fifth?.sequenceNumber as string
  const read = async (from: Parameters<typeof stream.read>[0]) =>
    (await allRecords(stream.read({ ...from, follow: false }))).map(({ partitionKey }) => partitionKey)

  expect(await read({ from: 'TRIM_HORIZON' })).toEqual(keys(10, 'early'))
  expect(await read({ from: 'LATEST' })).toEqual([])
  expect(await read({ from: { at } })).toEqual(keys(10, 'early').slice(5))
  expect(await read({ from: { after: at } })).toEqual(keys(10, 'early').slice(6))
  expect(await read({ from: { timestamp: 0 } })).toEqual(keys(10, 'early'))
  expect(await read({ from: { timestamp: fifth?.approximateArrivalTimestamp as Date } })).toContain('early-5')
})

test('readers of single shards together see each record once, in the order of the shard', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('sharded', { shards: 5, durability: 'os' })
  for (let round = 0; round < 20; round += 1) await appendKeys(stream, keys(100, `round-${round}`))
  const whole = await allRecords(stream.read(fromStart))
  expect(whole.length).toBe(2000)
  let seen = 0
  for (const { shardId } of stream.describe().shardList) {
    const records = await allRecords(stream.read({ ...fromStart, shard: shardId, maxRecords: 64 }))
    const expected = whole.filter((record) => record.shardId === shardId).map(({ sequenceNumber }) => sequenceNumber)
    expect(records.map(({ sequenceNumber }) => sequenceNumber)).toEqual(expected)
    expect(expected.map(BigInt)).toEqual(expected.map(BigInt).toSorted((a, b) => (a < b ? -1 : 1)))
    seen += records.length
  }
  expect(seen).toBe(2000)
})

test.each(['pushed', 'polled'] as const)('a %s reader follows the tail without missing a record', async (mode) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('followed', { shards: 3, durability: 'os' })
  const reader = stream.read({ from: 'LATEST', mode })
  const reading = take(reader, 3000)
  for (let i = 0; i < 3000; i += 1) {
    stream.append({ partitionKey: `key-${i}`, data: bytes(String(i)) })
    if (i % 7 === 0) await stream.flush()
  }
  await stream.flush()
  const seen = (await reading).map(({ data }) => Number(text(data)))
  expect(seen.toSorted((a, b) => a - b)).toEqual([...seen.keys()])
})

test('a follower of a synced stream sees what is durable, each record once', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('synced')
  const reading = take(stream.read({ from: 'TRIM_HORIZON' }), 200)
  for (const partitionKey of keys(200)) await stream.put({ partitionKey, data: bytes('x') })
  expect((await reading).map(({ partitionKey }) => partitionKey)).toEqual(keys(200))
})

test('poll returns undefined until something was published, then the batch', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('polled', { durability: 'os' })
  const reader = stream.read({ from: 'LATEST' })
  expect(reader.poll()).toBe(undefined)
  expect(reader.pollFor(1)).toBe(undefined)
  for (let i = 0; i < 100; i += 1) {
    stream.append({ partitionKey: 'k', data: bytes(String(i)) })
    stream.flushSync()
    expect(text(reader.poll()?.data(0) as Uint8Array)).toBe(String(i))
    expect(reader.poll()).toBe(undefined)
  }
})

test('several readers at their own pace each see everything', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('shared', { durability: 'os' })
  const readers = [1, 10, 4096].map((maxRecords) => stream.read({ from: 'TRIM_HORIZON', maxRecords }))
  const reading = readers.map((reader) => take(reader, 500))
  for (const partitionKey of keys(500)) {
    stream.append({ partitionKey, data: bytes('x') })
    if (partitionKey.endsWith('5')) await stream.flush()
  }
  await stream.flush()
  for (const records of await Promise.all(reading)) {
    expect(records.map(({ partitionKey }) => partitionKey)).toEqual(keys(500))
  }
})

test.each([{ copy: false }, { copy: true }])('records that are kept stay what they were, %j', async (options) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('kept', { durability: 'os' })
  const reader = stream.read({ from: 'TRIM_HORIZON', ...options })
  const batches: Batch[] = []
  const expected: string[] = []
  for (let i = 0; i < 400; i += 1) {
    const data = `${i}:`.padEnd(100 + (i % 97) * 20, String.fromCharCode(97 + (i % 26)))
    expected.push(data)
    stream.append({ partitionKey: `k${i}`, data: bytes(data) })
    stream.flushSync()
    batches.push((await reader.next()).value as Batch)
  }
  const kept = batches.flatMap((batch) => [...batch])
  expect(kept.map(({ data }) => text(data))).toEqual(expected)
  expect(kept.map(({ partitionKey }) => partitionKey)).toEqual(expected.map((_, i) => `k${i}`))
})

test('writing into the bytes of a record reaches neither the log nor later reads, and hides no later record', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('scribbled', { durability: 'os' })
  const reader = stream.read({ from: 'TRIM_HORIZON' })
  const written: string[] = []
  for (let i = 0; i < 300; i += 1) {
    written.push(`record ${i} `.padEnd(120, '.'))
    stream.append({ partitionKey: 'k', data: bytes(written[i] as string) })
    stream.flushSync()
    const { value } = await reader.next()
    expect(text(value?.data(0) as Uint8Array)).toBe(written[i])
    value?.data(0).fill(0)
  }
  const again = await allRecords(stream.read(fromStart))
  const copies = await allRecords(stream.read({ ...fromStart, copy: true }))
  expect(copies.map(({ data }) => text(data))).toEqual(written)
  again.forEach(({ data }) => data.fill(1))
  await millrace.close()
})

test('views outlive the reader, the deleted stream and the closed store', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('outlived', { durability: 'os' })
  await appendKeys(stream, keys(5000))
  const records = await allRecords(stream.read(fromStart))
  await millrace.deleteStream('outlived')
  await millrace.close()
  for (const { partitionKey, data } of records) expect(text(data)).toBe(`data of ${partitionKey}`)
})

test('batches stay within maxRecords and maxBytes, but always hand over a record', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('limited', { durability: 'os' })
  for (let i = 0; i < 100; i += 1) stream.append({ partitionKey: 'k', data: new Uint8Array(1000) })
  await stream.flush()
  const lengths = async (options: { maxRecords?: number; maxBytes?: number }) => {
    const found: number[] = []
    for await (const batch of stream.read({ ...fromStart, ...options })) found.push(batch.length)
    return found
  }
  expect(Math.max(...(await lengths({ maxRecords: 7 })))).toBe(7)
  expect(Math.max(...(await lengths({ maxBytes: 5000 })))).toBe(4)
  expect(await lengths({ maxBytes: 1 })).toEqual(Array(100).fill(1))
})

test('leaving a for await loop closes the reader; an aborted signal ends one that waits', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('left', { durability: 'os' })
  await appendKeys(stream, keys(10))
  const left = stream.read({ from: 'TRIM_HORIZON', maxRecords: 2 })
  for await (const batch of left) {
    expect(batch.length).toBe(2)
    break
  }
  expect(await left.next()).toEqual({ done: true, value: undefined })

  const controller = new AbortController()
  const waiting = codeOf(stream.read({ signal: controller.signal }).next())
  controller.abort()
  expect(await waiting).toBe('ERR_MILLRACE_ABORTED')
})

test('closing a reader ends all calls of next that wait', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('waiting')
  const reader = stream.read()
  const waiting = [reader.next(), reader.next()]
  reader.close()
  reader.close()
  expect(await Promise.all(waiting)).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ])
})

test('several calls of next that wait are answered in order', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('queued', { durability: 'os' })
  const reader = stream.read({ maxRecords: 1 })
  const waiting = keys(10).map(() => reader.next())
  await appendKeys(stream, keys(10))
  const seen = (await Promise.all(waiting)).map(({ value }) => value?.partitionKey(0))
  expect(seen).toEqual(keys(10))
})

test('what a thread publishes reaches all its waiting readers before the event loop turns', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('near', { durability: 'os' })
  const readers = keys(50).map(() => stream.read())
  let seen = 0
  const waiting = readers.map(async (reader) => {
    const { value } = await reader.next()
    seen += value?.length ?? 0
  })
  readers[7]?.close()
  for (let round = 0; round < 3; round += 1) stream.append({ partitionKey: 'k', data: bytes('x') })
  stream.flushSync()
  expect(seen).toBe(0)
  // Microtasks alone: no timer, no input and no thread's message comes in between.
  for (let hop = 0; hop < 100; hop += 1) await Promise.resolve()
  expect(seen).toBe(49 * 3)
  await Promise.all(waiting)
})

test('readers of one stream with different visibility are each woken by what they wait for', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('two-bells')
  const durable = stream.read()
  const published = stream.read({ visibility: 'published' })
  for (let round = 0; round < 20; round += 1) {
    const both = [durable.next(), published.next()]
    await stream.put({ partitionKey: 'k', data: bytes(String(round)) })
    for (const { value } of await Promise.all(both)) expect(text(value?.data(0) as Uint8Array)).toBe(String(round))
  }
})

test('pollFor returns at once at the end of a read that does not follow', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('ends', { durability: 'os' })
  await appendKeys(stream, keys(3))
  const reader = stream.read(fromStart)
  expect(reader.pollFor(60_000)?.length).toBe(3)
  expect(reader.pollFor(60_000)).toBe(undefined)
  expect(reader.ended).toBe(true)
})

test('the tail says how far behind a batch is', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('behind', { durability: 'os' })
  await appendKeys(stream, keys(10))
  const batch = stream.read(fromStart).nextSync()
  expect(batch?.millisBehindLatest).toBe(0)
})

test('an index outside of a batch is a RangeError', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('ranged', { durability: 'os' })
  await appendKeys(stream, keys(3))
  const batch = stream.read(fromStart).nextSync()
  for (const index of [-1, 3, 0.5, Number.NaN]) expect(() => batch?.get(index)).toThrow(RangeError)
})

test('memory that a program gave away is written to no more, and reading goes on in another', async () => {
  const stream = await (await openStore()).createStream('given')
  await appendKeys(stream, keys(20))
  const reader = stream.read({ from: 'TRIM_HORIZON', follow: false, copy: true, maxRecords: 5 })
  const first = reader.nextSync() as Batch
  const { buffer } = first.data(0)
  const given = new Uint8Array(structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }))
  const before = given.slice()
  const rest = await allRecords(reader)
  expect(rest.map(({ data }) => text(data))).toEqual(
    keys(20)
      .slice(5)
      .map((key) => `data of ${key}`),
  )
  expect(Buffer.compare(given, before)).toBe(0)
})
