/** A store's life, and what streams say about themselves. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Millrace, MillraceError } from '../src/index.js'
import { allRecords, appendKeys, bytes, codeOf, keys, openStore, text } from './store.js'
import { emptyFolder } from './support.js'

test('what was put can be read, in the same and in the next life of the store', async () => {
  const folder = emptyFolder()
  const first = await Millrace.open(folder)
  const clicks = await first.createStream('clicks', { shards: 4 })
  const { shardId, sequenceNumber } = await clicks.put({ partitionKey: 'user-42', data: bytes('hello') })
  await first.close()

  const second = await openStore(folder)
  const again = await second.stream('clicks')
  const [record, ...rest] = await allRecords(again.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(rest).toEqual([])
  expect(record?.partitionKey).toBe('user-42')
  expect(text(record?.data as Uint8Array)).toBe('hello')
  expect([record?.shardId, record?.sequenceNumber]).toEqual([shardId, sequenceNumber])
})

test('a sequence number has 56 digits that begin with 495 and grows over a shard', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('numbers')
  const results = await stream.putMany(keys(100).map((partitionKey) => ({ partitionKey, data: bytes('x') })))
  const numbers = results.map(({ sequenceNumber }) => sequenceNumber)
  for (const number of numbers) expect(number).toMatch(/^495\d{53}$/)
  expect(numbers.toSorted()).toEqual(numbers)
  expect(new Set(numbers).size).toBe(100)
})

test('describe tells settings, shards that cover the hash key space without gaps, and sizes', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('described', { shards: 3, retention: '7d', durability: { interval: 50 } })
  await appendKeys(stream, keys(10))
  await stream.sync()
  const description = stream.describe()
  expect(description).toMatchObject({
    name: 'described',
    status: 'active',
    shards: 3,
    retentionHours: 168,
    durability: { interval: 50 },
    codec: 'raw',
    maxRecordBytes: 1024 * 1024,
  })
  expect(description.segments).toBeGreaterThan(0)
  expect(description.bytes).toBeGreaterThan(0)
  const ranges = description.shardList.map(({ hashKeyRange }) => hashKeyRange)
  expect(ranges[0]?.startingHashKey).toBe('0')
  expect(ranges.at(-1)?.endingHashKey).toBe(String((1n << 128n) - 1n))
  for (const [i, range] of ranges.slice(1).entries()) {
    expect(BigInt(range.startingHashKey)).toBe(BigInt(ranges[i]?.endingHashKey as string) + 1n)
  }
  expect(description.shardList.map(({ shardId }) => shardId)).toEqual([
    'shardId-000000000000',
    'shardId-000000000001',
    'shardId-000000000002',
  ])
})

test('streams are listed, kept apart, and gone when deleted', async () => {
  const millrace = await openStore()
  const one = await millrace.createStream('one')
  const two = await millrace.createStream('two', { durability: 'os' })
  await appendKeys(one, ['a'])
  await appendKeys(two, ['b', 'c'])
  expect(millrace.listStreams().map(({ name }) => name)).toEqual(['one', 'two'])
  const inTwo = await allRecords(two.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(inTwo.map(({ partitionKey }) => partitionKey)).toEqual(['b', 'c'])

  await millrace.deleteStream('one')
  expect(millrace.listStreams().map(({ name }) => name)).toEqual(['two'])
  expect(await codeOf(millrace.stream('one'))).toBe('ERR_MILLRACE_STREAM_NOT_FOUND')
  const anew = await millrace.createStream('one')
  expect(await allRecords(anew.read({ from: 'TRIM_HORIZON', follow: false }))).toEqual([])
})

test('ifNotExists opens what is there and keeps its settings', async () => {
  const millrace = await openStore()
  await millrace.createStream('kept', { shards: 2 })
  expect(await codeOf(millrace.createStream('kept'))).toBe('ERR_MILLRACE_STREAM_EXISTS')
  const again = await millrace.createStream('kept', { shards: 5, ifNotExists: true })
  expect(again.describe().shards).toBe(2)
  expect(await millrace.stream('kept')).toBe(again)
})

test('retention can be changed, and stays changed', async () => {
  const folder = emptyFolder()
  const first = await Millrace.open(folder)
  const stream = await first.createStream('kept')
  expect(stream.describe().retentionHours).toBe(24)
  await stream.setRetention('30d')
  expect(stream.describe().retentionHours).toBe(720)
  await stream.setRetention('unbounded')
  await first.close()
  const second = await openStore(folder)
  expect((await second.stream('kept')).describe().retentionHours).toBe('unbounded')
})

test('close is idempotent, acknowledges what is in flight, and ends every later call', async () => {
  const folder = emptyFolder()
  const millrace = await Millrace.open(folder)
  const stream = await millrace.createStream('closing')
  const reader = stream.read({ from: 'LATEST' })
  const put = stream.put({ partitionKey: 'in-flight', data: bytes('x') })
  stream.append({ partitionKey: 'staged', data: bytes('y') })
  const [closing, again] = [millrace.close(), millrace.close()]
  await Promise.all([closing, again])
  expect((await put).sequenceNumber).toMatch(/^495/)
  const closed = 'ERR_MILLRACE_CLOSED'
  expect(await codeOf(stream.put({ partitionKey: 'k', data: bytes('z') }))).toBe(closed)
  expect(await codeOf(() => stream.append({ partitionKey: 'k', data: bytes('z') }))).toBe(closed)
  expect(await codeOf(() => stream.describe())).toBe(closed)
  expect(await codeOf(() => stream.read())).toBe(closed)
  expect(await codeOf(stream.flush())).toBe(closed)
  expect(await codeOf(reader.next())).toBe(closed)
  expect(await codeOf(millrace.stream('closing'))).toBe(closed)
  expect(await codeOf(() => millrace.listStreams())).toBe(closed)

  const reopened = await openStore(folder)
  const records = await allRecords((await reopened.stream('closing')).read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(['in-flight', 'staged'])
})

test('a store that is opened twice in one process is one store, closed when the last handle is', async () => {
  const folder = emptyFolder()
  const [first, second] = [await openStore(folder), await openStore(folder)]
  await first.createStream('shared')
  const [writing, reading] = [await first.stream('shared'), await second.stream('shared')]
  await appendKeys(writing, ['through the first'])
  await first.close()
  const records = await allRecords(reading.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(['through the first'])
  await appendKeys(reading, ['through the second'])
})

test('an aborted signal ends open, read and drain with ERR_MILLRACE_ABORTED and its reason as cause', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('aborted')
  const reason = new Error('enough')
  const signal = AbortSignal.abort(reason)
  const aborted = 'ERR_MILLRACE_ABORTED'
  expect(await codeOf(Millrace.open(emptyFolder(), { signal }))).toBe(aborted)
  expect(await codeOf(() => stream.read({ signal }))).toBe(aborted)
  expect(await codeOf(stream.drain({ signal }))).toBe(aborted)
  const caught = await stream.drain({ signal }).catch((error: unknown) => error)
  expect(MillraceError.is(caught) && caught.cause).toBe(reason)
})

test('verify finds a sound store sound and counts its records', async () => {
  const folder = emptyFolder()
  const millrace = await Millrace.open(folder)
  await appendKeys(await millrace.createStream('sound', { shards: 2 }), keys(500))
  await millrace.close()
  const report = await Millrace.verify(folder)
  expect(report).toMatchObject({ streams: 1, records: 500, damages: [] })
  expect(report.frames).toBeGreaterThan(0)
})

test('a folder that holds something else is left alone', async () => {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'letter.txt'), 'dear reader')
  expect(await codeOf(Millrace.open(folder))).toBe('ERR_MILLRACE_NOT_A_STORE')
  expect(await codeOf(Millrace.open(emptyFolder(), { create: false }))).toBe('ERR_MILLRACE_NOT_A_STORE')
})
