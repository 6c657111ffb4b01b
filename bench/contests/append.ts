/**
 * Appends of 100 B and 1 KiB under each durability policy, beside plain file writes that promise the same.
 */
import type { Durability, Millrace } from 'millrace'
import { Appender, type Handover } from '../appender.js'
import { type Bench, makeSharedKeys, openFresh, settle } from '../bench.js'
import { atLeast, type Contest, ratioAtLeast, type Side, type Target } from '../rows.js'
import { plainWrites } from './files.js'

const SHARDS = 4

/** Lets the compiler and the first, small segments pass before anything counts. */
const WARM_UP_MS = 100

/** A size of records, with the rates that are promised for it. */
interface Size {
  readonly name: string
  readonly bytes: number
  readonly os: readonly Target[]
  readonly synced: readonly Target[]
}

const SIZES: readonly Size[] = [
  { name: '100 B', bytes: 100, os: [atLeast(8e6), ratioAtLeast(0.5)], synced: [atLeast(5e6), ratioAtLeast(1.5)] },
  { name: '1 KiB', bytes: 1024, os: [], synced: [] },
]

/** Appends acknowledged from the page cache, and appends acknowledged by the disk. */
export function appendContests(bench: Bench): Contest[] {
  return [...SIZES.flatMap((size) => [unsynced(bench, size), synced(bench, size)]), coldKeys(bench)]
}

function unsynced(bench: Bench, { name, bytes, os }: Size): Contest {
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, `append-unsynced-${bytes}`)
    const { limit, side } = unsyncedSides(bench, millrace, name, bytes)
    const sides = [
      limit,
      await side('os', { durability: 'os', target: os }),
      await side('interval 10 ms', { durability: { interval: 10 } }),
    ]
    return { sides, close: remove }
  }
  return { name: `append ${name} unsynced`, rounds: bench.quick ? 3 : 5, open }
}

/** Keys that were last touched 100,000 records ago: a contest of its own, for the sake of the disk's space. */
function coldKeys(bench: Bench): Contest {
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, 'append-cold')
    const { limit, side } = unsyncedSides(bench, millrace, '100 B', 100, ', beside cold keys')
    const keys = makeSharedKeys()
    const sides = [
      limit,
      await side('os, keys cold in memory', { durability: 'os', keys }),
      await side('os, keys cold in memory, appendMany', { durability: 'os', keys, handover: 'appendMany' }),
    ]
    return { sides, close: remove }
  }
  return { name: 'append 100 B cold keys', rounds: bench.quick ? 3 : 5, open }
}

function unsyncedSides(bench: Bench, millrace: Millrace, size: string, bytes: number, more = '') {
  const name = `fs.writeSync of 500 × ${size}, no sync${more}`
  const plain = { recordBytes: bytes, sync: 'never', file: 'growing', milliseconds: milliseconds(bench) } as const
  const side = (label: string, rest: Pick<Appends, 'durability'> & Partial<Appends>) => {
    return appends(bench, millrace, { name: `append ${size}, ${label}`, bytes, against: name, ...rest })
  }
  return { limit: plainWrites(bench, name, plain), side }
}

function synced(bench: Bench, { name, bytes, synced: target }: Size): Contest {
  const limit = `fs.writeSync of 500 × ${name} + fdatasync, pre-written file`
  const plain = { recordBytes: bytes, sync: 'each write', milliseconds: milliseconds(bench) } as const
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, `append-synced-${bytes}`)
    const sides = [
      plainWrites(bench, `fs.writeSync of 500 × ${name} + fdatasync, growing file`, { ...plain, file: 'growing' }),
      plainWrites(bench, limit, { ...plain, file: 'rewritten' }),
      await appends(bench, millrace, {
        name: `append ${name}, synced in groups`,
        bytes,
        durability: 'synced',
        against: limit,
        target,
      }),
    ]
    if (target.length > 0) {
      const cold = { durability: 'synced', keys: makeSharedKeys(), against: limit } as const
      sides.push(
        await appends(bench, millrace, { name: `append ${name}, synced, keys cold in memory`, bytes, ...cold }),
      )
    }
    return { sides, close: remove }
  }
  return { name: `append ${name} synced`, rounds: bench.quick ? 3 : 5, open }
}

/** What one side of the engine appends. */
interface Appends {
  readonly name: string
  readonly bytes: number
  readonly durability: Durability
  readonly against: string
  readonly target?: readonly Target[]
  /** Keys in the order of their use; fresh ones where none are given. */
  readonly keys?: readonly string[]
  /** Default: `append`. */
  readonly handover?: Handover
}

async function appends(bench: Bench, millrace: Millrace, options: Appends): Promise<Side> {
  const { name, bytes, durability, against, target, keys, handover } = options
  const stream = await millrace.createStream(name.replaceAll(/\W+/g, '-'), { shards: SHARDS, durability })
  const appender = new Appender(bytes, keys, handover)
  await appender.appendFor(stream, WARM_UP_MS)
  const measure = () => {
    settle(bench)
    return appender.appendFor(stream, milliseconds(bench))
  }
  return { name, unit: 'records/s', measure, against, target }
}

function milliseconds({ quick }: Bench): number {
  return quick ? 300 : 1000
}
