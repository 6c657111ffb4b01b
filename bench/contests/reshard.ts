/**
 * What an operator does to shards: a split in the middle of full load, as the writer feels it, and a stream of 10,000
 * shards.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Stream } from 'millrace'
import { type Bench, makeFreshKeys, makePayloads, openFresh, settle } from '../bench.js'
import { atMost, type Contest, type OpenContest, percentile, type Side } from '../rows.js'

const RECORD_BYTES = 100
const BATCH_RECORDS = 500
const SHARDS = 4
const SHARDS_MAX = 10_000
/** Batches between two changes of the shards, and between two turns of the event loop, in which a change is told of. */
const BATCHES_PER_CHANGE = 200
const BATCHES_PER_TURN = 10

/** A split under load, and many shards. */
export function reshardContests(bench: Bench): Contest[] {
  return [
    { name: 'shards split under load', rounds: bench.quick ? 3 : 7, open: () => openSplits(bench) },
    { name: 'shards in great number', rounds: bench.quick ? 3 : 7, open: () => openMany(bench) },
  ]
}

async function openSplits(bench: Bench): Promise<OpenContest> {
  const { millrace, remove } = await openFresh(bench, 'reshard')
  const stream = await millrace.createStream('reshard', { shards: SHARDS, durability: 'os' })
  const writer = new Writer(bench, stream)
  const batches = bench.quick ? 2_000 : 10_000
  let latest: readonly number[] = []
  const write = async (change: () => Promise<unknown>): Promise<number> => {
    settle(bench)
    latest = await writer.write(batches, change)
    return percentile(latest, 0.999)
  }
  const quietly = () => Promise.resolve()
  await write(quietly)
  const name = (rank: string, load: string) => `append of 500 records, ${rank}, ${load}`
  const alone = (rank: string) => name(rank, 'shards as they are')
  const sides: Side[] = [
    { name: alone('p99.9'), unit: 'µs', measure: () => write(quietly) },
    { name: alone('longest'), unit: 'µs', measure: () => Math.max(...latest) },
    {
      name: name('p99.9', 'shards split and merged'),
      unit: 'µs',
      measure: () => write(() => changeShards(stream)),
      against: alone('p99.9'),
      target: atMost(5000),
    },
    {
      name: name('longest', 'shards split and merged'),
      unit: 'µs',
      measure: () => Math.max(...latest),
      against: alone('longest'),
    },
  ]
  return { sides, close: remove }
}

/** Splits the first open shard, or merges the two that it was split into. */
async function changeShards(stream: Stream<Uint8Array>): Promise<void> {
  const open = stream.listShards().filter(({ status }) => status === 'open')
  const [first, second] = open
  if (open.length <= SHARDS) await stream.splitShard(first!.shardId)
  else await stream.mergeShards(first!.shardId, second!.shardId)
}

/** Appends as fast as it goes. */
class Writer {
  readonly #bench: Bench
  readonly #stream: Stream<Uint8Array>
  readonly #keys = makeFreshKeys()
  readonly #payloads = makePayloads(RECORD_BYTES)
  #next = 0

  constructor(bench: Bench, stream: Stream<Uint8Array>) {
    this.#bench = bench
    this.#stream = stream
  }

  /** Microseconds of each batch; beside them, `change` goes on now and then. */
  async write(batches: number, change: () => Promise<unknown>): Promise<number[]> {
    const took: number[] = []
    const changes: Promise<unknown>[] = []
    for (let batch = 0; batch < batches; batch++) {
      if (batch % BATCHES_PER_CHANGE === 0) {
        await changes.at(-1)
        changes.push(change())
      }
      took.push(this.#writeBatch())
      if (batch % BATCHES_PER_TURN === 0) await turn()
    }
    await Promise.all(changes)
    return took
  }

  #writeBatch(): number {
    const { limits } = this.#bench
    const started = limits.nowNs()
    for (let i = 0; i < BATCH_RECORDS; i++) {
      const partitionKey = this.#keys[this.#next % this.#keys.length]!
      this.#stream.append({ partitionKey, data: this.#payloads[i & 63]! })
      this.#next += 1
    }
    this.#stream.flushSync()
    return (limits.nowNs() - started) / 1000
  }
}

async function openMany(bench: Bench): Promise<OpenContest> {
  const { millrace, remove } = await openFresh(bench, 'many-shards')
  let described = Number.NaN
  let listed = Number.NaN
  const create = async (round: number): Promise<number> => {
    const name = `many-${round}`
    const started = performance.now()
    const stream = await millrace.createStream(name, { shards: SHARDS_MAX, durability: 'os' })
    const created = performance.now()
    const { shards } = stream.describe()
    const describedAt = performance.now()
    described = shards === SHARDS_MAX ? describedAt - created : Number.NaN
    listed = stream.listShards().length === SHARDS_MAX ? performance.now() - describedAt : Number.NaN
    await millrace.deleteStream(name)
    return created - started
  }
  const sides: Side[] = [
    { name: 'create a stream of 10,000 shards', unit: 'ms', measure: create, target: atMost(2000) },
    { name: 'describe a stream of 10,000 shards', unit: 'ms', measure: () => described, target: atMost(50) },
    { name: 'list all shards of it', unit: 'ms', measure: () => listed, target: atMost(50) },
  ]
  return { sides, close: remove }
}
