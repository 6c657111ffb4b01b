/**
 * What an activity works with: the store, the seed's choices, the ledger, the counters, and how it is told to stop.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Millrace, MillraceError, OpenOptions } from 'millrace'
import type { Ledger, LedgerMemory } from './ledger.js'
import type { Payloads } from './payload.js'
import { keptBy, type Pace } from './plan.js'
import type { Random } from './random.js'
import { Tally } from './tally.js'

/** What is counted, by all threads together. */
export const COUNTED = [
  'recordsAcknowledged',
  'kibAcknowledged',
  'backpressure',
  'recordsRead',
  'recordsExpired',
  'readersRestarted',
  'readersToldOfDeletion',
  'viewsHeld',
  'viewsChecked',
  'streamsCreated',
  'streamsDeleted',
  'reshards',
  'flushes',
  'descriptions',
  'verifications',
  'audits',
] as const

/** A counter's name. */
export type Counted = (typeof COUNTED)[number]

/** Counters that all threads share. */
export class Counters {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(memory = new SharedArrayBuffer(COUNTED.length * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  add(name: Counted, count = 1): void {
    Atomics.add(this.#words, COUNTED.indexOf(name), Math.round(count))
  }

  get(name: Counted): number {
    // Beyond 2^31 the sum is taken modulo 2^32, which is enough for days.
    return Atomics.load(this.#words, COUNTED.indexOf(name)) >>> 0
  }
}

/** Words by which the main thread steers the others. */
export const STEER = { pressure: 0, nextStream: 1, words: 2 } as const

/** What a thread is started with. */
export interface ThreadData {
  /** The module of the package, so that no thread needs a loader of its own. */
  readonly entry: string
  readonly directory: string
  readonly seed: number
  readonly name: string
  readonly activities: readonly string[]
  readonly pace: Pace
  readonly ledger: LedgerMemory
  readonly counters: SharedArrayBuffer
  readonly steer: SharedArrayBuffer
  /** For tests of the soak itself: what to break. */
  readonly plant: string | undefined
}

/** What a thread says. */
export type ThreadMessage =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'breach'; readonly text: string }
  | { readonly kind: 'ended' }

/** How the store of a soak is opened. The option stands in no declaration: it is for tests alone. */
export function openOptions({ clockFactor, segmentBytesMax }: Pace): OpenOptions {
  return { testing: { clockFactor, segmentBytesMax } } as OpenOptions
}

/** See the head of this file. */
export interface Context {
  readonly millrace: Millrace
  readonly directory: string
  readonly random: Random
  readonly ledger: Ledger
  readonly payloads: Payloads
  readonly counters: Counters
  readonly pace: Pace
  readonly signal: AbortSignal
  readonly steer: Int32Array
  readonly plant: string | undefined
  readonly verify: (directory: string) => Promise<{ readonly damages: readonly unknown[] }>
}

/** A tally for a stream. */
export function tallyFor(context: Context, stream: number, fromStart: boolean): Tally {
  return new Tally(context, stream, keptBy(context.pace, stream), fromStart)
}

/** Waits, unless the activity is told to stop meanwhile. */
export async function pause(context: Context, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: context.signal }).catch(() => {})
}

/** The code of an error of the package; anything else is thrown on. */
export function codeOf(error: unknown): MillraceError['code'] {
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_MILLRACE_')) {
    return (error as MillraceError).code
  }
  throw error
}

/** What whoever uses a stream may hear when it is deleted meanwhile. */
export function isGone(error: unknown): boolean {
  const told = ['ERR_MILLRACE_STREAM_DELETING', 'ERR_MILLRACE_STREAM_NOT_FOUND', 'ERR_MILLRACE_CLOSED']
  return told.includes(codeOf(error))
}
