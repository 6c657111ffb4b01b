/** The records that every peer is given, and the loops that hand them over. */
import { setImmediate as turn } from 'node:timers/promises'
import { makeFreshKeys } from '../bench.js'
import type { Entries, Entry, Log, Peer } from './peer.js'

/** Records a batch, where the peer batches. */
const BATCH = 500

/** Batches made beforehand, unless a caller wants fewer; they are handed over again and again, in this order. */
const BATCHES = 1000

/** Batches of records of one size, with uniform keys, that go on where they stopped. */
export class Source {
  readonly #batches: readonly Entries[]
  #next = 0

  constructor(recordBytes: number, { batch = BATCH, batches = BATCHES } = {}) {
    const keys = makeFreshKeys()
    const payloads = Array.from({ length: 64 }, (_, i) => Buffer.alloc(recordBytes, i + 1))
    this.#batches = Array.from({ length: batches }, (_, which) =>
      Array.from({ length: batch }, (_, i): Entry => {
        const at = which * batch + i
        return { partitionKey: keys[at % keys.length]!, data: payloads[at & 63]! }
      }),
    )
  }

  /** The next batch. */
  next(): Entries {
    const batch = this.#batches[this.#next % this.#batches.length]!
    this.#next += 1
    return batch
  }

  /** The first record of the next batch. */
  one(): Entry {
    return this.next()[0]!
  }
}

/** When to stop: after a time, or after a number of records, whichever is first. */
export interface Until {
  readonly milliseconds: number
  readonly records?: number
}

/** Appends batches with as many in flight as the peer declares; resolves when all are acknowledged. */
export async function appendUntil(
  { window }: Pick<Peer, 'window'>,
  log: Log,
  source: Source,
  { milliseconds, records = Number.POSITIVE_INFINITY }: Until,
): Promise<{ records: number; rate: number }> {
  const inFlight = new InFlight(window)
  const started = performance.now()
  let appended = 0
  do {
    const batch = source.next()
    const done = log.append(batch)
    appended += batch.length
    if (done !== undefined) await inFlight.add(done)
  } while (appended < records && performance.now() - started < milliseconds)
  await inFlight.empty()
  await log.flush()
  return { records: appended, rate: (appended / (performance.now() - started)) * 1000 }
}

/** Puts one record at a time, each awaited; returns the microseconds of each. */
export async function putUntil(log: Log, source: Source, { milliseconds, records }: Until): Promise<number[]> {
  const took: number[] = []
  const started = performance.now()
  while (took.length < (records ?? Number.POSITIVE_INFINITY) && performance.now() - started < milliseconds) {
    const entry = source.one()
    const before = performance.now()
    await log.put(entry)
    took.push((performance.now() - before) * 1000)
    // A peer that answers at once would otherwise keep timers and sockets from their turn.
    if (took.length % 256 === 0) await turn()
  }
  return took
}

/** Promises of which at most so many are pending; the first failure is thrown by whoever waits next. */
export class InFlight {
  readonly #limit: number
  readonly #pending = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Takes a promise, and waits while more than the limit are pending. */
  async add(promise: Promise<void>): Promise<void> {
    this.watch(promise)
    while (this.#pending.size >= this.#limit) await Promise.race(this.#pending)
    this.#rethrow()
  }

  /** Takes a promise and does not wait. */
  watch(promise: Promise<void>): void {
    const settled = promise
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#pending.delete(settled))
    this.#pending.add(settled)
  }

  /** Waits until nothing is pending. */
  async empty(): Promise<void> {
    await Promise.all(this.#pending)
    this.#rethrow()
  }

  #rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
