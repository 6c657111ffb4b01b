/** Shards that split and merge while everybody writes and reads: those who read the whole stream hold the order of each key. */
import type { ShardDescription, Stream } from 'millrace'
import { pause, type Context } from '../context.js'
import { SHIFTING } from '../plan.js'
import { Breach } from '../tally.js'
import { open } from './produce.js'

/** Between so many open shards the stream wanders. */
const SHARDS = { least: 1, most: 8 } as const
/** How many hash keys there are. */
const HASH_KEYS = 2n ** 128n

/** Changes one shard or two after the other, and sees each time that the open ones hold all hash keys. */
export async function reshard(context: Context): Promise<void> {
  const { random, counters, millrace, pace } = context
  while (!context.signal.aborted) {
    const stream = await open(millrace, SHIFTING)
    const shards = openShards(stream)
    const splits = shards.length <= SHARDS.least || (shards.length < SHARDS.most && random.chance(50))
    if (splits) await stream.splitShard(random.pick(shards).shardId)
    else {
      const at = random.whole(0, shards.length - 2)
      const [one, other] = shards.slice(at) as [ShardDescription, ShardDescription]
      await stream.mergeShards(one.shardId, other.shardId)
    }
    counters.add('reshards')
    checkTiling(openShards(stream))
    await pause(context, (random.fraction() * pace.retentionMs) / 10)
  }
}

/** The open shards in the order of their hash keys. */
function openShards(stream: Stream): ShardDescription[] {
  return stream.listShards({ filter: 'AT_LATEST' }).toSorted((left, right) => (startOf(left) < startOf(right) ? -1 : 1))
}

function checkTiling(shards: readonly ShardDescription[]): void {
  let next = 0n
  for (const shard of shards) {
    if (startOf(shard) !== next) throw new Breach(`${shard.shardId} begins at ${startOf(shard)} and not at ${next}`)
    next = BigInt(shard.hashKeyRange.endingHashKey) + 1n
  }
  if (next !== HASH_KEYS) throw new Breach(`the open shards of ${SHIFTING} end at ${next}`)
}

function startOf(shard: ShardDescription): bigint {
  return BigInt(shard.hashKeyRange.startingHashKey)
}
