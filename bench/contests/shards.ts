/**
 * What shards cost: appends in batches to streams of 4 to 10,000 shards, and the replay of one shard of 1,000, from the
 * page cache and from the disk.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Durability } from 'millrace'
import { BatchAppender } from '../appender.js'
import { type Bench, openFresh, settle } from '../bench.js'
import { runTask, shardName } from '../child.js'
import { atLeast, type Contest, type OpenContest, ratioAtLeast, type Side } from '../rows.js'

const RECORD_BYTES = 100
const SHARDS_MIN = 4
const SHARDS_MAX = 1000
/** As many as a stream can have. */
const SHARDS_MOST = 10_000
const WARM_UP_MS = 100

/** Appends of one shape to streams of several numbers of shards. */
interface Shape {
  readonly durability: Durability & string
  readonly batchRecords: number
  readonly shards: readonly number[]
  /** Whether the rate with 1,000 shards and more is promised, and not only told. */
  readonly promised: boolean
}

const SHAPES: readonly Shape[] = [
  { durability: 'os', batchRecords: 10_000, shards: [SHARDS_MIN, 10, 100, SHARDS_MAX, SHARDS_MOST], promised: true },
  { durability: 'synced', batchRecords: 10_000, shards: [SHARDS_MIN, SHARDS_MAX], promised: true },
  { durability: 'os', batchRecords: 500, shards: [SHARDS_MIN, 100, SHARDS_MAX], promised: false },
  { durability: 'synced', batchRecords: 500, shards: [SHARDS_MIN, SHARDS_MAX], promised: false },
]

/** Appends to shards, and the replay of one. */
export function shardContests(bench: Bench): Contest[] {
  return [
    ...SHAPES.map((shape): Contest => {
      const name = `shards append ${describe(shape)}`
      return { name, rounds: bench.quick ? 3 : 7, open: () => openAppends(bench, shape) }
    }),
    { name: 'shards replay', rounds: bench.quick ? 2 : 5, open: () => openReplay(bench) },
  ]
}

function describe({ durability, batchRecords }: Shape): string {
  return `${durability}, batches of ${batchRecords.toLocaleString('en')}`
}

async function openAppends(bench: Bench, shape: Shape): Promise<OpenContest> {
  const { durability, batchRecords, promised } = shape
  const { millrace, remove } = await openFresh(bench, 'shards')
  const appender = new BatchAppender(RECORD_BYTES, batchRecords)
  const name = (shards: number) => `append to ${shards.toLocaleString('en')} shards, ${describe(shape)}`
  const sides: Side[] = []
  for (const shards of shape.shards) {
    const stream = await millrace.createStream(`shards-${shards}`, { shards, durability })
    const run = async (milliseconds: number) => {
      if (durability === 'os') return appender.appendFor(stream, milliseconds)
      return await appender.appendInFlightFor(stream, milliseconds)
    }
    await run(WARM_UP_MS)
    const measure = () => {
      settle(bench)
      return run(bench.quick ? 200 : 500)
    }
    sides.push({
      name: name(shards),
      unit: 'records/s',
      measure,
      against: shards === SHARDS_MIN ? undefined : name(SHARDS_MIN),
      target: promised && shards >= SHARDS_MAX ? ratioAtLeast(0.8) : undefined,
      point: { chart: 'shards', series: describe(shape), x: shards },
    })
  }
  return { sides, close: remove }
}

/** A process a round, because what a process has mapped does not leave the page cache. */
async function openReplay(bench: Bench): Promise<OpenContest> {
  const directory = bench.workspace.path('shards')
  const records = bench.quick ? 4_000_000 : 20_000_000
  await runTask(bench, { do: 'fill shards', directory, shards: SHARDS_MAX, records })
  settle(bench)
  const whole = 'replay of all of 1,000 shards, cached'
  const read = async (shard: string | undefined) => {
    return (await runTask(bench, { do: 'read shard', directory, shard })).readRate ?? Number.NaN
  }
  const one = (round: number) => read(shardName(100 * (round + 1)))
  const cold = (round: number) => {
    for (const file of filesBelow(directory)) bench.limits.dropFromCache(file)
    return one(round)
  }
  const sides: Side[] = [
    { name: whole, unit: 'records/s', measure: () => read(undefined) },
    {
      name: 'replay of one shard of 1,000, cached',
      unit: 'records/s',
      measure: one,
      against: whole,
      target: atLeast(5e6),
    },
    { name: 'replay of one shard of 1,000, cold', unit: 'records/s', measure: cold, against: whole },
  ]
  return { sides, close: async () => bench.workspace.discard('shards') }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
