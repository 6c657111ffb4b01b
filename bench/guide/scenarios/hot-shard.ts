/** One shard of three is offered most of the records and refuses a part of them, until it is split. */
import { createHash } from 'node:crypto'
import { Millrace, MillraceError, type ShardDescription } from '../../../src/index.js'
import type { Picture } from '../draw.js'
import { paced, Rates } from './load.js'

const SECONDS = 12
const SPLIT_AT_S = 6
const RECORDS_PER_SECOND = 2000
/** Of a hundred records so many are offered to the hot shard. */
const HOT_PERCENT = 70
const KEYS = 3000
const DATA = new Uint8Array(100)
const SHARD = 'shardId-000000000001'

/** Runs it in a store of its own in `folder`. */
export async function hotShard(folder: string): Promise<Record<string, Picture>> {
  await using millrace = await Millrace.open(folder)
  const stream = await millrace.createStream('orders', { shards: 3, limits: 'aws' })
  const before = stream.listShards({ filter: 'AT_LATEST' })
  const offered: { readonly at: number; readonly key: string }[] = []
  const rates = new Rates()
  const puts: Promise<void>[] = []
  const key = keysFor(before)
  const put = (index: number): void => {
    const partitionKey = key(index)
    offered.push({ at: rates.elapsed, key: partitionKey })
    puts.push(stream.put({ partitionKey, data: DATA }).then(({ shardId }) => rates.count(shardId), refusedBy(rates)))
  }
  const split = after(SPLIT_AT_S, () => stream.splitShard(SHARD))
  await paced(SECONDS, () => RECORDS_PER_SECOND, put)
  await Promise.all([...puts, split])
  const all = stream.listShards()
  const open = all.filter(({ status }) => status === 'open')
  const halves = [offered.filter(({ at }) => at < SPLIT_AT_S), offered.filter(({ at }) => at >= SPLIT_AT_S)] as const
  const moment = (name: string, shards: readonly ShardDescription[], keys: readonly { readonly key: string }[]) => ({
    name,
    shards: shards.map((shard) => ({
      ...partsOf(shard),
      share: keys.filter((one) => holds(shard, one.key)).length / keys.length,
    })),
  })
  return {
    'hash-keys': {
      kind: 'hash keys',
      title: 'The hash keys of three shards, and the records that came for them, before and after a split',
      moments: [moment('before', before, halves[0]), moment('after', open, halves[1])],
    },
    'hot-shard': {
      kind: 'timeline',
      title: `${RECORDS_PER_SECOND} records a second on three shards that take 1,000 each`,
      x: 'seconds',
      unit: 'records/s',
      series: [...all.map(({ shardId }) => shardId), 'refused'].map((name) => ({
        name: name === 'refused' ? name : `shard ${Number(name.slice(-12))}`,
        points: rates.points(name, SECONDS),
      })),
      events: [{ x: SPLIT_AT_S, text: 'split of shard 1' }],
    },
  }
}

/** Counts a refusal; any other error is one. */
function refusedBy(rates: Rates): (error: unknown) => void {
  return (error) => {
    if (!MillraceError.is(error) || error.code !== 'ERR_MILLRACE_THROUGHPUT_EXCEEDED') throw error
    rates.count('refused')
  }
}

function after<R>(seconds: number, work: () => Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    setTimeout(() => work().then(resolve, reject), seconds * 1000)
  })
}

/** The key of each record: most of them for the hot shard, spread over its keys. */
function keysFor(shards: readonly ShardDescription[]): (index: number) => string {
  const hot = shards.find(({ shardId }) => shardId === SHARD) as ShardDescription
  const keys = Array.from({ length: KEYS }, (_, index) => `customer-${index}`)
  const [inside, outside] = [keys.filter((key) => holds(hot, key)), keys.filter((key) => !holds(hot, key))]
  return (index) => {
    const among = (index * 37) % 100 < HOT_PERCENT ? inside : outside
    return among[(index * 7919) % among.length] as string
  }
}

function holds({ hashKeyRange }: ShardDescription, key: string): boolean {
  const hash = BigInt(`0x${createHash('md5').update(key).digest('hex')}`)
  return BigInt(hashKeyRange.startingHashKey) <= hash && hash <= BigInt(hashKeyRange.endingHashKey)
}

function partsOf({ shardId, hashKeyRange }: ShardDescription): { shardId: string; from: number; to: number } {
  const part = (hashKey: bigint): number => Number(hashKey >> 75n) / 2 ** 53
  return {
    shardId,
    from: part(BigInt(hashKeyRange.startingHashKey)),
    to: part(BigInt(hashKeyRange.endingHashKey) + 1n),
  }
}
