/** Splits and merges: shards while records come in, readers at the end of a shard, and what is refused. */
import { expect, test } from 'vitest'
import type { ShardDescription, Stream } from '../src/index.js'
import { allRecords, bytes, codeOf, openStore, take, text } from './store.js'

const FIRST = 'shardId-000000000000'
const MIDDLE = 1n << 127n
const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

/** Writes one record of a hash key. */
async function put(stream: Stream, explicitHashKey: bigint, data: string): Promise<string> {
  return (await stream.put({ partitionKey: 'key', explicitHashKey, data: bytes(data) })).shardId
}

function ids(shards: readonly ShardDescription[] | undefined): number[] | undefined {
  return shards?.map(({ shardId }) => Number(shardId.slice('shardId-'.length)))
}

test('a split gives each child one half, or what it is told, and closes the parent', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('split')
  expect(await put(stream, 0n, 'before')).toBe(FIRST)
  const children = await stream.splitShard(FIRST)
  expect(ids(children)).toEqual([1, 2])
  expect(children[1]?.hashKeyRange.startingHashKey).toBe(String(MIDDLE))
  expect(await put(stream, MIDDLE, 'after')).toBe('shardId-000000000002')
  await stream.splitShard('shardId-000000000001', { at: 1000n })
  expect(await put(stream, 999n, 'lower')).toBe('shardId-000000000003')
  expect(await put(stream, 1000n, 'upper')).toBe('shardId-000000000004')
  const [parent, ...rest] = stream.describe().shardList
  expect(parent).toMatchObject({ shardId: FIRST, status: 'closed', parentShardId: undefined })
  expect(rest.map(({ status }) => status)).toEqual(['closed', 'open', 'open', 'open'])
  expect(rest[0]?.parentShardId).toBe(FIRST)
  const ending = parent?.sequenceNumberRange.endingSequenceNumber as string
  expect(BigInt(ending) >= BigInt(parent?.sequenceNumberRange.startingSequenceNumber as string)).toBe(true)
  expect(stream.describe().shards).toBe(3)
  expect(millrace.listStreams()[0]?.shards).toBe(3)
})

test('a merge names both parents, and a number of shards gives even ranges', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('merge', { shards: 2 })
  const merged = await stream.mergeShards(FIRST, 'shardId-000000000001')
  expect(merged).toMatchObject({ parentShardId: FIRST, adjacentParentShardId: 'shardId-000000000001' })
  expect(ids(await stream.updateShardCount(2))).toEqual([3, 4])
  await stream.updateShardCount(3)
  const open = stream.listShards({ filter: 'AT_LATEST' })
  const like = (await millrace.createStream('like', { shards: 3 })).describe().shardList
  expect(open.map(({ hashKeyRange }) => hashKeyRange)).toEqual(like.map(({ hashKeyRange }) => hashKeyRange))
})

test('what cannot be done has a code, and changes nothing', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('refused', { shards: 4 })
  await stream.splitShard('shardId-000000000001')
  const before = stream.describe().shardList
  const third = 'shardId-000000000003'
  expect(await codeOf(stream.splitShard('shardId-000000000009'))).toBe('ERR_MILLRACE_SHARD_NOT_FOUND')
  expect(await codeOf(stream.splitShard('no shard'))).toBe('ERR_MILLRACE_SHARD_NOT_FOUND')
  expect(await codeOf(stream.splitShard('shardId-000000000001'))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(stream.splitShard(FIRST, { at: MIDDLE }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(stream.splitShard(FIRST, { at: '-1' }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(stream.mergeShards(FIRST, third))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  for (const count of [0, 2, 11, 10_001, 1.5]) {
    expect(await codeOf(stream.updateShardCount(count))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  // @ts-expect-error no such filter
  expect(await codeOf(() => stream.listShards({ filter: 'NEWEST' }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(stream.describe().shardList).toEqual(before)
  for (const count of [6, 5, 6, 5, 6, 5, 6, 5, 6, 5]) await stream.updateShardCount(count)
  expect(await codeOf(stream.updateShardCount(6))).toBe('ERR_MILLRACE_LIMIT_EXCEEDED')
})

test.each(['pushed', 'polled'] as const)(
  'a %s reader of one shard ends with it and tells its children',
  async (mode) => {
    const millrace = await openStore()
    const stream = await millrace.createStream('ends', { shards: 2 })
    const reader = stream.read({ shard: FIRST, from: 'TRIM_HORIZON', mode })
    const reading = allRecords(reader)
    for (let i = 0; i < 50; i += 1) await put(stream, 0n, String(i))
    expect(reader.childShards).toBe(undefined)
    const children = await stream.splitShard(FIRST)
    await put(stream, 0n, 'of a child')
    expect((await reading).map(({ data }) => text(data))).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
    expect(reader.ended).toBe(true)
    expect(reader.childShards).toEqual(children)
    expect(await reader.next()).toEqual({ done: true, value: undefined })
    const late = stream.read({ shard: FIRST, from: 'LATEST' })
    expect(await late.next()).toEqual({ done: true, value: undefined })
    expect(late.childShards).toEqual(children)
  },
)

test('a reader that is told to goes on in the children, and keeps the order of each key', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('family', { shards: 2 })
  const reader = stream.read({ shard: FIRST, from: 'TRIM_HORIZON', withChildren: true })
  const reading = take(reader, 60)
  let written = 0
  const write = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1, written += 1) await put(stream, BigInt(i % 2) << 126n, String(written))
    await put(stream, MIDDLE, 'of another shard')
  }
  await write()
  const [lower, upper] = await stream.splitShard(FIRST)
  await write()
  await stream.splitShard(lower?.shardId as string)
  await write()
  await stream.splitShard(upper?.shardId as string)
  await write()
  await stream.updateShardCount(3)
  for (let i = 0; i < 20; i += 1, written += 1) await put(stream, 0n, String(written))
  const seen = (await reading).map(({ data }) => text(data))
  expect(seen).toEqual(Array.from({ length: 60 }, (_, i) => String(i)))
  reader.close()
})

test('shards are listed as they were at any time', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('listed')
  await put(stream, 0n, 'first')
  await new Promise((resolve) => setTimeout(resolve, 5))
  const before = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 5))
  await stream.splitShard(FIRST)
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(ids(stream.listShards())).toEqual([0, 1, 2])
  expect(ids(stream.listShards({ filter: 'AT_LATEST' }))).toEqual([1, 2])
  expect(ids(stream.listShards({ filter: 'AT_TRIM_HORIZON' }))).toEqual([0])
  expect(ids(stream.listShards({ filter: 'FROM_TRIM_HORIZON' }))).toEqual([0, 1, 2])
  expect(ids(stream.listShards({ filter: { afterShardId: FIRST } }))).toEqual([1, 2])
  expect(ids(stream.listShards({ filter: { atTimestamp: before } }))).toEqual([0])
  expect(ids(stream.listShards({ filter: { fromTimestamp: new Date(before) } }))).toEqual([0, 1, 2])
  expect(ids(stream.listShards({ filter: { atTimestamp: Date.now() } }))).toEqual([1, 2])
  const future = { atTimestamp: Date.now() + 60_000 }
  expect(await codeOf(() => stream.listShards({ filter: future }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
})

test('a split while records are put loses none and refuses none', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('load', { durability: 'os' })
  const puts: Promise<unknown>[] = []
  for (let round = 0; round < 6; round += 1) {
    for (let i = 0; i < 500; i += 1) puts.push(stream.put({ partitionKey: `key-${i}`, data: bytes(String(round)) }))
    await stream.splitShard(stream.listShards({ filter: 'AT_LATEST' })[0]?.shardId as string)
  }
  await Promise.all(puts)
  await stream.sync()
  const rounds = new Map<string, string[]>()
  for (const { partitionKey, data } of await allRecords(stream.read(fromStart))) {
    rounds.set(partitionKey, [...(rounds.get(partitionKey) ?? []), text(data)])
  }
  expect(rounds.size).toBe(500)
  for (const seen of rounds.values()) expect(seen).toEqual(['0', '1', '2', '3', '4', '5'])
})
