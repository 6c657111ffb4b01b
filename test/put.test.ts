/** The write side: order, promises, limits. */
import { expect, test } from 'vitest'
import type { PutResult } from '../src/index.js'
import { allRecords, appendKeys, bytes, codeOf, keys, openStore } from './store.js'

const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

test.each(['synced', 'os', { interval: 5 }] as const)('puts resolve in order under %j', async (durability) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('ordered', { durability })
  const order: number[] = []
  const puts = keys(300).map((partitionKey, i) =>
    stream.put({ partitionKey, data: bytes(partitionKey) }).then((result) => {
      order.push(i)
      return result
    }),
  )
  const results = await Promise.all(puts)
  expect(order).toEqual([...order.keys()])
  const records = await allRecords(stream.read({ ...fromStart, visibility: 'published' }))
  expect(records.map(({ sequenceNumber }) => sequenceNumber)).toEqual(results.map((r) => r.sequenceNumber))
})

test('a put result names the record that a reader finds there', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('named', { shards: 7 })
  const results = new Map<string, PutResult>()
  for (const partitionKey of keys(200)) {
    results.set(partitionKey, await stream.put({ partitionKey, data: bytes(partitionKey) }))
  }
  for (const record of await allRecords(stream.read(fromStart))) {
    const { shardId, sequenceNumber } = results.get(record.partitionKey) as PutResult
    expect([record.shardId, record.sequenceNumber]).toEqual([shardId, sequenceNumber])
  }
})

test('append, put and putMany keep the order of the calls', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('mixed')
  stream.append({ partitionKey: 'a', data: bytes('1') })
  const put = stream.put({ partitionKey: 'b', data: bytes('2') })
  stream.append({ partitionKey: 'c', data: bytes('3') })
  const many = stream.putMany([
    { partitionKey: 'd', data: bytes('4') },
    { partitionKey: 'e', data: bytes('5') },
  ])
  stream.append({ partitionKey: 'f', data: bytes('6') })
  await Promise.all([put, many, stream.flush()])
  const records = await allRecords(stream.read(fromStart))
  expect(records.map(({ partitionKey }) => partitionKey).join('')).toBe('abcdef')
})

test('append needs no flush to leave: the turn of the event loop ends it', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('turned', { durability: 'os' })
  const reader = stream.read({ from: 'LATEST' })
  stream.append({ partitionKey: 'k', data: bytes('x') })
  const { value } = await reader.next()
  expect(value?.length).toBe(1)
})

test('flushSync returns when the records are acknowledged', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('sync')
  for (const partitionKey of keys(50)) stream.append({ partitionKey, data: bytes('x') })
  stream.flushSync()
  expect(stream.read(fromStart).nextSync()?.length).toBe(50)
})

test('putMany takes more than fits in flight at once and returns a result a record', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('many', { shards: 2, maxInFlightRecords: 100 })
  function* rows() {
    for (const partitionKey of keys(1234)) yield { partitionKey, data: bytes(partitionKey) }
  }
  const results = await stream.putMany(rows())
  expect(new Set(results.map(({ sequenceNumber }) => sequenceNumber)).size).toBe(1234)
})

test('records of every size up to the limit survive the way, whatever stands before them', async () => {
  const millrace = await openStore()
  const maxRecordBytes = 10 * 1024 * 1024
  const stream = await millrace.createStream('sizes', { maxRecordBytes, durability: 'os' })
  const sizes = [0, 1, 63, 64, 4095, 4096, 262_143, 262_144, 300_000, 1024 * 1024, maxRecordBytes - 1]
  for (const [i, size] of sizes.entries()) {
    stream.append({ partitionKey: 'k', data: new Uint8Array(size).fill(i + 1) })
  }
  await stream.flush()
  const records = await allRecords(stream.read(fromStart))
  expect(records.map(({ bytes: data }) => data.length)).toEqual(sizes)
  for (const [i, record] of records.entries()) {
    expect(record.bytes.every((byte) => byte === i + 1)).toBe(true)
  }
})

test('keys in every script come back as they were, at up to 256 characters', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('scripts', { shards: 3 })
  const written = ['a', 'naïve', '日本語', '🚀'.repeat(256), 'x'.repeat(256), 'mixed ✓ ascii', '\u0000', 'ÿ']
  await appendKeys(stream, written)
  const records = await allRecords(stream.read(fromStart))
  expect(new Set(records.map(({ partitionKey }) => partitionKey))).toEqual(new Set(written))
  for (const { partitionKey, bytes: data } of records) expect(data).toEqual(bytes(`data of ${partitionKey}`))
})

test('keys of all scripts, lengths and hash keys share a batch without taking each other for their own', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('scripts', { shards: 3 })
  const kinds = (i: number) =>
    [`user-${i}`, `schlüssel-${i}`, `鍵-${i}`, `🔑${i}`, 'k'.repeat(256), `é`][i % 6] as string
  const wanted = Array.from({ length: 9000 }, (_, i) => ({ partitionKey: kinds(i), data: bytes(`${i}:${kinds(i)}`) }))
  for (const [i, record] of wanted.entries()) {
    stream.append(i % 5 === 0 ? { ...record, explicitHashKey: BigInt(i) } : record)
  }
  await stream.flush()
  const read = await allRecords(stream.read(fromStart))
  expect(read.length).toBe(wanted.length)
  for (const { partitionKey, data } of read) {
    const [number, ...rest] = Buffer.from(data).toString().split(':')
    expect([kinds(Number(number)), rest.join(':')]).toEqual([partitionKey, partitionKey])
  }
})

test('a lone surrogate is refused, also where its other half begins the next key', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('surrogates')
  for (const partitionKey of ['a\ud83d', '\udd11b', '\ud83d']) {
    expect(await codeOf(() => stream.append({ partitionKey, data: bytes('x') }))).toBe('ERR_MILLRACE_INVALID_KEY')
  }
  await stream.flush()
  expect(await allRecords(stream.read(fromStart))).toEqual([])
})

test.each(['synced', 'os'] as const)(
  'full buffers, puts and flushes keep the order of a key under %s',
  async (durability) => {
    const millrace = await openStore()
    const stream = await millrace.createStream('ahead', { durability })
    const puts: Promise<PutResult>[] = []
    const record = (i: number) => ({ partitionKey: 'one', data: new Uint8Array(Uint32Array.of(i).buffer) })
    for (let i = 0; i < 100_000; i += 1) {
      if (i % 9973 === 0) puts.push(stream.put(record(i)))
      else stream.append(record(i))
      if (i % 33_331 === 0) stream.flushSync()
    }
    await stream.flush()
    await Promise.all(puts)
    const read = await allRecords(stream.read(fromStart))
    expect(read.map(({ data }) => Buffer.from(data).readUInt32LE())).toEqual([...Array(100_000).keys()])
  },
)

test('an explicit hash key chooses the shard, as a bigint or a decimal string', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('explicit', { shards: 4 })
  for (const { shardId, hashKeyRange } of stream.describe().shardList) {
    for (const explicitHashKey of [hashKeyRange.startingHashKey, BigInt(hashKeyRange.endingHashKey)]) {
      const result = await stream.put({ partitionKey: 'k', data: bytes('x'), explicitHashKey })
      expect(result.shardId).toBe(shardId)
    }
  }
})

test('the same key always goes to the same shard', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('sticky', { shards: 8 })
  const first = await stream.putMany(keys(50).map((partitionKey) => ({ partitionKey, data: bytes('1') })))
  const second = await stream.putMany(keys(50).map((partitionKey) => ({ partitionKey, data: bytes('2') })))
  expect(second.map(({ shardId }) => shardId)).toEqual(first.map(({ shardId }) => shardId))
  expect(new Set(first.map(({ shardId }) => shardId)).size).toBeGreaterThan(1)
})

test('backpressure refuses what is too much, drain tells when there is room, and nothing taken is lost', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('pressed', { maxInFlightRecords: 1000 })
  let taken = 0
  let refused = 0
  while (refused < 3) {
    try {
      stream.append({ partitionKey: 'k', data: new Uint8Array(1000) })
      taken += 1
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MILLRACE_BACKPRESSURE', retryable: true })
      refused += 1
      await stream.drain()
    }
  }
  await stream.flush()
  expect((await allRecords(stream.read(fromStart))).length).toBe(taken)
})

test('appendMany takes an array in order and says where it stopped when there is no more room', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('arrays', { maxInFlightRecords: 300 })
  const records = keys(5000).map((partitionKey) => ({ partitionKey, data: bytes(partitionKey) }))
  let stops = 0
  for (let next = 0; (next = stream.appendMany(records, next)) < records.length; stops += 1) await stream.drain()
  await stream.flush()
  const read = await allRecords(stream.read(fromStart))
  expect(read.map(({ partitionKey }) => partitionKey)).toEqual(keys(5000))
  expect(stops).toBeGreaterThan(0)
})

test('appendMany takes the records before one that is refused, and none behind it', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('refused')
  const records = keys(200).map((partitionKey) => ({ partitionKey, data: bytes('x') }))
  records[100] = { partitionKey: '', data: bytes('x') }
  expect(await codeOf(() => stream.appendMany(records))).toBe('ERR_MILLRACE_INVALID_KEY')
  expect(await codeOf(() => stream.appendMany([{ data: bytes('x') } as never]))).toBe('ERR_MILLRACE_INVALID_KEY')
  expect(await codeOf(stream.putMany([{ data: bytes('x') } as never]))).toBe('ERR_MILLRACE_INVALID_KEY')
  await stream.flush()
  const read = await allRecords(stream.read(fromStart))
  expect(read.map(({ partitionKey }) => partitionKey)).toEqual(keys(100))
})

test('a record larger than the limit in flight passes alone', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('large', { maxInFlightBytes: 1000 })
  await stream.put({ partitionKey: 'k', data: new Uint8Array(100_000) })
  const both = [1, 2].map(() => stream.put({ partitionKey: 'k', data: new Uint8Array(100_000) }))
  const outcomes = await Promise.allSettled(both)
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
})

test('a rejected record leaves its neighbours untouched', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('neighbours')
  const before = stream.put({ partitionKey: 'before', data: bytes('x') })
  const bad = codeOf(stream.put({ partitionKey: '', data: bytes('x') }))
  const after = stream.put({ partitionKey: 'after', data: bytes('x') })
  expect(await bad).toBe('ERR_MILLRACE_INVALID_KEY')
  await Promise.all([before, after])
  const records = await allRecords(stream.read(fromStart))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(['before', 'after'])
})
