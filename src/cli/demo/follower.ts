/** Readers that follow the live tail while the demo writes, and end when they have seen all of it. */
import type { Stream } from '../../index.js'
import { isAbort } from '../session.js'
import { Ledger } from './ledger.js'

/** A reader that has seen nothing new for so long will not. */
const STALLED_MS = 15_000
const LOOK_EVERY_MS = 5

/** One or more readers that keep one ledger together. */
export class Follower {
  readonly ledger = new Ledger()
  readonly #end = new AbortController()
  readonly #readers: Promise<void>[] = []
  #failure: unknown

  /** Starts a reader of the whole stream, or one a shard if `shards` are given. Their ledger is shared. */
  constructor(stream: Stream, shards: readonly string[] | undefined, signal: AbortSignal) {
    const stop = AbortSignal.any([signal, this.#end.signal])
    const places = shards?.map((shard) => ({ shard })) ?? [{}]
    for (const place of places) {
      const reader = this.#follow(stream, place, stop)
      // Nobody awaits a reader before `finish`, which throws what went wrong until then.
      this.#readers.push(reader.catch((error: unknown) => void (this.#failure ??= error)))
    }
  }

  /** Resolves when `records` were seen, or when nothing has come for long; the readers are closed then. */
  async finish(records: number, signal: AbortSignal): Promise<void> {
    let seen = -1
    let moved = performance.now()
    while (this.ledger.records < records && !signal.aborted && performance.now() - moved < STALLED_MS) {
      if (this.#failure !== undefined) break
      if (this.ledger.records !== seen) {
        seen = this.ledger.records
        moved = performance.now()
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    }
    this.#end.abort()
    await Promise.all(this.#readers)
    if (this.#failure !== undefined) throw this.#failure
  }

  async #follow(stream: Stream, where: { readonly shard?: string }, signal: AbortSignal): Promise<void> {
    try {
      for await (const batch of stream.read({ from: 'TRIM_HORIZON', signal, ...where })) {
        for (let i = 0; i < batch.length; i += 1) this.ledger.add(batch.partitionKey(i), batch.data(i))
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error
    }
  }
}
