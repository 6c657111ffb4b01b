/** Limits refuse record by record, say when to try again, and leave everything else as it was; so do the settings. */
import { expect, test } from 'vitest'
import { MillraceError, retry, type LimitPolicy, type PutOutcome, type Stream } from '../src/index.js'
import { allRecords, bytes, openStore } from './store.js'

const data = bytes('x')
/** Batches that arrive at one moment get so many records a second. */
const THREE: LimitPolicy = { writeRecordsPerSecond: 3 }

async function limited(limits: LimitPolicy, durability: 'synced' | 'os' = 'synced'): Promise<Stream> {
  const millrace = await openStore()
  return await millrace.createStream('limited', { limits, durability, maxRecordBytes: 2 * 1024 * 1024 })
}

function records(count: number): { partitionKey: string; data: Uint8Array }[] {
  // Not all ASCII, so that a batch which is handed over twice must keep its keys' lengths.
  return Array.from({ length: count }, (_, i) => ({ partitionKey: `ключ-${i}`, data }))
}

async function keysOf(stream: Stream): Promise<string[]> {
  const read = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  return read.map(({ partitionKey }) => partitionKey)
}

function expectThrottled(error: unknown): void {
  expect(error).toBeInstanceOf(MillraceError)
  const { code, retryable, retryAfterMs, message } = error as MillraceError
  expect([code, retryable]).toEqual(['ERR_MILLRACE_THROUGHPUT_EXCEEDED', true])
  expect(retryAfterMs).toBeGreaterThan(0)
  expect(message).toMatch(/at most 3 records a second at shardId-000000000000 of stream limited .* try again in \d+ ms/)
}

test('putMany with partial tells of each record what became of it', async () => {
  const stream = await limited(THREE)
  const outcomes = await stream.putMany(records(5), { partial: true })
  expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, true, false, false])
  for (const outcome of outcomes) if (!outcome.ok) expectThrottled(outcome.error)
  const [first] = outcomes as [PutOutcome & { ok: true }]
  expect(first.sequenceNumber).toMatch(/^495\d{53}$/)
  expect(JSON.parse(JSON.stringify(first))).toEqual({
    ok: true,
    shardId: 'shardId-000000000000',
    sequenceNumber: first.sequenceNumber,
  })
  expect(await keysOf(stream)).toEqual(['ключ-0', 'ключ-1', 'ключ-2'])
})

test('putMany with partial still rejects what must not be written at all', async () => {
  const stream = await limited('unlimited')
  const bad = [...records(1), { partitionKey: '', data }]
  await expect(stream.putMany(bad, { partial: true })).rejects.toMatchObject({ code: 'ERR_MILLRACE_INVALID_KEY' })
})

test('of puts of one turn those fail that the limits refuse, and no other', async () => {
  const stream = await limited(THREE)
  const results = await Promise.allSettled(records(5).map((record) => stream.put(record)))
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
  for (const result of results) if (result.status === 'rejected') expectThrottled(result.reason)
  await expect(stream.putMany(records(5))).rejects.toMatchObject({ code: 'ERR_MILLRACE_THROUGHPUT_EXCEEDED' })
})

test.each(['synced', 'os'] as const)(
  'appends that are refused are counted, and told once, under %s',
  async (durability) => {
    const stream = await limited(THREE, durability)
    for (const record of records(5)) stream.append(record)
    const error = await stream.flush().catch((thrown: unknown) => thrown)
    expectThrottled(error)
    expect((error as MillraceError).message).toMatch(/^2 appended records failed: /)
    await stream.flush()
    expect(await keysOf(stream)).toEqual(['ключ-0', 'ключ-1', 'ключ-2'])
  },
)

test.each(['synced', 'os'] as const)(
  'flushSync tells of refused appends and keeps the others, under %s',
  async (durability) => {
    const stream = await limited(THREE, durability)
    for (const record of records(5)) stream.append(record)
    expect(() => stream.flushSync()).toThrow(/^2 appended records failed: /)
    stream.flushSync()
    expect(await keysOf(stream)).toHaveLength(3)
  },
)

test('puts and appends of one batch are told apart', async () => {
  const stream = await limited({ writeRecordsPerSecond: 2 })
  const [first, second, third, fourth] = records(4)
  const put = stream.put(first as never)
  stream.append(second as never)
  stream.append(third as never)
  const refused = stream.put(fourth as never)
  await expect(refused).rejects.toMatchObject({ code: 'ERR_MILLRACE_THROUGHPUT_EXCEEDED' })
  await expect(stream.flush()).rejects.toThrow(/^1 appended records failed: /)
  expect((await put).shardId).toBe('shardId-000000000000')
})

test('large records draw on what a shard has saved up, and wait for it to fill again', async () => {
  // At one byte a second nothing comes back while the test runs.
  const stream = await limited({ writeBytesPerSecond: 1 })
  const large = Array.from({ length: 12 }, (_, i) => ({ partitionKey: `${i}`, data: new Uint8Array(1024 * 1024 - 2) }))
  const outcomes = await stream.putMany(large, { partial: true })
  expect(outcomes.filter(({ ok }) => ok)).toHaveLength(10)
})

test('a close that has refused appends to tell of settles what is in flight all the same', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('limited', { limits: THREE, durability: 'synced' })
  const inFlight = Promise.allSettled(records(3).map((record) => stream.put(record)))
  stream.append({ partitionKey: 'one too many', data })
  await expect(millrace.close()).rejects.toMatchObject({ code: 'ERR_MILLRACE_THROUGHPUT_EXCEEDED' })
  expect((await inFlight).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled'])
})

test('a limited read is refused as GetRecords is, says when to try again, and goes on where it stood', async () => {
  const stream = await limited({ readsPerSecond: 2, readBytesPerSecond: 1_000 })
  await stream.putMany(records(3))
  const shard = 'shardId-000000000000'
  const limits = { from: 'TRIM_HORIZON', shard, limited: true, maxRecords: 1 } as const
  const reader = stream.read(limits)
  const keys = [reader.nextSync()?.partitionKey(0), (await reader.next()).value?.partitionKey(0)]
  const refusal = await reader.next().catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: 'ERR_MILLRACE_THROUGHPUT_EXCEEDED', retryable: true })
  expect((refusal as MillraceError).message).toMatch(/at most 2 reads a second at shardId-000000000000/)
  expect((refusal as MillraceError).retryAfterMs).toBeGreaterThan(0)
  expect(await allRecords(stream.read({ from: 'TRIM_HORIZON', shard, follow: false }))).toHaveLength(3)
  const last = await retry(() => reader.next(), { attempts: 20 })
  keys.push(last.value?.partitionKey(0))
  expect(keys).toEqual(['ключ-0', 'ключ-1', 'ключ-2'])
  for (const wrong of [
    { ...limits, shard: undefined },
    { ...limits, withChildren: true },
  ]) {
    expect(() => stream.read(wrong as never)).toThrow(/limited: expected a shard and no withChildren/)
  }
})

test('limits and tags are told, changed while in use, and kept', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('set', { limits: 'aws', tags: { team: 'orders', Größe: 'XL' } })
  expect(stream.describe()).toMatchObject({ limits: 'aws', tags: { team: 'orders', Größe: 'XL' } })
  await stream.setLimits({ readsPerSecond: 7, writeBytesPerSecond: 2 ** 40 })
  await stream.tag({ team: 'checkout', environment: '' })
  await stream.untag(['Größe', 'absent'])
  expect(stream.describe().limits).toEqual({ readsPerSecond: 7, writeBytesPerSecond: 2 ** 40 })
  expect(stream.tags()).toEqual({ team: 'checkout', environment: '' })
  expect(millrace.listStreams()).toMatchObject([{ tags: { team: 'checkout' }, limits: { readsPerSecond: 7 } }])
  await stream.setLimits('unlimited')
  expect(stream.describe().limits).toBe('unlimited')
})

test('records may grow once the stream allows it', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('growing')
  const large = { partitionKey: 'k', data: new Uint8Array(3 * 1024 * 1024) }
  await expect(stream.put(large)).rejects.toMatchObject({ code: 'ERR_MILLRACE_RECORD_TOO_LARGE' })
  await stream.setMaxRecordBytes(4 * 1024 * 1024)
  await stream.put(large)
  expect(stream.describe().maxRecordBytes).toBe(4 * 1024 * 1024)
})

test('an on-demand stream begins with four shards, is warmed up, and keeps its shards when its mode is switched', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('followed', { mode: 'on-demand' })
  expect(stream.describe()).toMatchObject({ mode: 'on-demand', shards: 4 })
  expect(stream.describe().warmThroughput).toBeUndefined()
  await stream.setWarmThroughput(10)
  expect(stream.describe()).toMatchObject({ shards: 16, warmThroughput: { targetMiBps: 10, currentMiBps: 16 } })
  await stream.setMode('on-demand')
  await stream.setMode('provisioned')
  expect(stream.describe()).toMatchObject({ mode: 'provisioned', shards: 16 })
  await stream.setMode('on-demand')
  await expect(stream.setMode('provisioned')).rejects.toMatchObject({ code: 'ERR_MILLRACE_LIMIT_EXCEEDED' })
  expect(stream.describe().mode).toBe('on-demand')
})

/** Settings that must be refused, each with its code and what the message must tell. */
const REFUSED: readonly [string, (stream: Stream) => Promise<void>, string, RegExp][] = [
  ['limits of no kind', (s) => s.setLimits('fast' as never), 'INVALID_ARGUMENT', /'unlimited', 'aws' or numbers/],
  ['no limits', (s) => s.setLimits(null as never), 'INVALID_ARGUMENT', /got null/],
  ['a rate of 0', (s) => s.setLimits({ readsPerSecond: 0 }), 'INVALID_ARGUMENT', /1 to 1099511627776, got 0/],
  ['half a read', (s) => s.setLimits({ readsPerSecond: 0.5 }), 'INVALID_ARGUMENT', /got 0.5/],
  ['a limit of another name', (s) => s.setLimits({ reads: 5 } as never), 'INVALID_ARGUMENT', /got reads/],
  ['a reserved tag', (s) => s.tag({ 'aws:x': '' }), 'INVALID_ARGUMENT', /does not begin with "aws:"/],
  ['no tag', (s) => s.tag({}), 'INVALID_ARGUMENT', /at least one/],
  ['a number as tag', (s) => s.tag({ n: 5 } as never), 'INVALID_ARGUMENT', /a string at 'n', got number/],
  ['51 tags', (s) => s.tag(Object.fromEntries(records(51).map((_, i) => [`${i}`, '']))), 'LIMIT_EXCEEDED', /50 tags/],
  ['a mode of no kind', (s) => s.setMode('serverless' as never), 'INVALID_ARGUMENT', /'provisioned' or 'on-demand'/],
  ['a provisioned stream to be warmed up', (s) => s.setWarmThroughput(8), 'INVALID_ARGUMENT', /on-demand, got a prov/],
  ['more warmth than there is', (s) => s.setWarmThroughput(10_001), 'INVALID_ARGUMENT', /0 to 10000, got 10001/],
  ['records too large', (s) => s.setMaxRecordBytes(10_485_761), 'INVALID_ARGUMENT', /1024 to 10485760/],
]

test.each(REFUSED)('%s is refused and nothing is changed', async (_name, change, code, message) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('kept', { limits: 'aws', tags: { a: 'b' } })
  const before = stream.describe()
  const error = await change(stream).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: `ERR_MILLRACE_${code}` })
  expect((error as Error).message).toMatch(message)
  expect(stream.describe()).toEqual(before)
})
