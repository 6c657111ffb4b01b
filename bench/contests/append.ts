/**
 * Appends of 100 B and 1 KiB under each durability policy, beside plain file writes that promise the same.
 */
import type { Durability, Millrace } from 'millrace'
import { Appender, type Handover } from '../appender.js'
import { type Bench, makeSharedKeys, openFresh, settle } from '../bench.js'
import { atLeast, type Contest, type Side, type Target } from '../rows.js'
import { plainWrites } from './files.js'

const SHARDS = 4

/** Lets the compiler and the first, small segments pass before anything counts. */
const WARM_UP_MS = 100

/** A size of records, with the rates that are promised for it. */
interface Size {
  readonly name: string
  readonly bytes: number
  readonly os: Target | undefined
  readonly synced: Target | undefined
}

const SIZES: readonly Size[] = [
  { name: '100 B', bytes: 100, os: atLeast(4e6), synced: atLeast(2e6) },
  { name: '1 KiB', bytes: 1024, os: undefined, synced: undefined },
]

/** Appends acknowledged from the page cache, and appends acknowledged by the disk. */
export function appendContests(bench: Bench): Contest[] {
  return SIZES.flatMap((size) => [unsynced(bench, size), synced(bench, size)])
}

function unsynced(bench: Bench, { name, bytes, os }: Size): Contest {
  const limit = `fs.writeSync of 500 × ${name}, no sync`
  const plain = { recordBytes: bytes, sync: 'never', file: 'growing', milliseconds: milliseconds(bench) } as const
  const open = async () => {
    const { millrace, remove } = await openFresh(bench, `append-unsynced-${bytes}`)
    const side = (label: string, more: Pick<Appends, 'durability'> & Partial<Appends>) => {
      return appends(bench, millrace, { name: `append ${name}, ${label}`, bytes, against: limit, ...more })
    }
    const sides = [
      plainWrites(bench, limit, plain),
      await side('os', { durability: 'os', target: os }),
      await side('interval 10 ms', { durability: { interval: 10 } }),
    ]
    if (os) {
      const cold = { durability: 'os', keys: makeSharedKeys() } as const
      sides.push(await side('os, keys cold in memory', cold))
      sides.push(await side('os, keys cold in memory, appendMany', { ...cold, handover: 'appendMany' }))
    }
    return { sides, close: remove }
  }
  return { name: `append ${name} unsynced`, rounds: bench.quick ? 3 : 5, open }
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
    if (target) {
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
  readonly target?: Target | undefined
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
  return quick ? 300 : 1500
}
