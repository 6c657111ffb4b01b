/**
 * The check of what a reader is given, against the ledger: every record whole, each key's series without a gap that
 * retention does not explain, sequences that only grow, nothing that nobody wrote, nothing long after its time.
 *
 * One tally belongs to one position in one stream; a reader that is restarted where it stood goes on with its tally.
 */
import type { Batch } from 'millrace'
import type { Account, Ledger } from './ledger.js'
import type { Payloads } from './payload.js'

/** Clocks are read apart from each other, and milliseconds are rounded: a record may seem so much younger, in ms. */
const ROUNDING_MS = 50

/** How long the records of a stream stay, in milliseconds of real time. */
export interface Kept {
  /** Nothing that is younger may be missing. */
  readonly leastMs: number
  /** Nothing that is older may be served: the retention and the slack that docs/durability.md names. */
  readonly mostMs: number
}

/** What a tally judges by. */
export interface Witness {
  readonly ledger: Ledger
  readonly payloads: Payloads
}

/** A promise that was not kept. */
export class Breach extends Error {
  override readonly name = 'Breach'
}

/** See the head of this file. */
export class Tally {
  readonly #witness: Witness
  readonly #stream: number
  readonly #kept: Kept
  /** Whether the reader began at the horizon: then even the first records of a producer must be there. */
  readonly #fromStart: boolean
  /** For each producer the number that was read last under each of its keys, -1 before the first. */
  readonly #last = new Map<number, Int32Array>()
  readonly #sequences = new Map<string, string>()
  /** Records read. */
  records = 0
  /** Records that were not there any more, as their age explains. */
  expired = 0

  constructor(witness: Witness, stream: number, kept: Kept, fromStart: boolean) {
    this.#witness = witness
    this.#stream = stream
    this.#kept = kept
    this.#fromStart = fromStart
  }

  /** Checks a batch that was asked for at `askedMs` of the ledger's time. */
  take(batch: Batch, askedMs: number): void {
    for (let index = 0; index < batch.length; index += 1) {
      this.#follow(batch.shardId(index), batch.sequenceNumber(index))
      this.takeRecord(batch.partitionKey(index), batch.data(index), askedMs)
    }
  }

  /** Checks one record, but for its sequence. */
  takeRecord(partitionKey: string, data: Uint8Array, askedMs: number): void {
    const { producer, counter, keys } = this.#checked(() => this.#witness.payloads.check(partitionKey, data))
    const name = `record ${counter} of producer ${producer} in stream ${this.#stream}`
    const account = this.#witness.ledger.account(producer)
    if (account === undefined) throw new Breach(`${name} was served, though its producer is long forgotten`)
    if (account.stream !== this.#stream) throw new Breach(`${name} was written to stream ${account.stream}`)
    if (counter >= account.begun) throw new Breach(`${name} was never written: only ${account.begun} were begun`)
    const age = askedMs - this.#witness.ledger.arrivedBefore(producer, counter)
    if (age > this.#kept.mostMs) {
      throw new Breach(`${name} was served ${age.toFixed(0)} ms old, expected at most ${this.#kept.mostMs} ms`)
    }
    const last = this.#seriesOf(producer, keys)
    const before = last[counter % keys] as number
    if (counter <= before) throw new Breach(`${name} came after record ${before} of the same key`)
    if (before >= 0 || this.#fromStart) this.#explainGap(producer, before, counter, keys)
    last[counter % keys] = counter
    this.records += 1
  }

  /** Checks that all that was acknowledged before a read to the tail began was read, or has expired. */
  finish(accounts: readonly Account[]): void {
    for (const { producer, acknowledged, keys } of accounts) {
      const last = this.#last.get(producer)
      for (let key = 0; key < Math.min(keys, acknowledged); key += 1) {
        const wanted = acknowledged - 1 - ((acknowledged - 1 - key) % keys)
        const seen = last?.[key] ?? -1
        if (seen < wanted) this.#explainGap(producer, seen, wanted + keys, keys)
      }
    }
  }

  /** Forgets producers whose records are long gone. */
  prune(): void {
    for (const producer of this.#last.keys()) {
      if (this.#witness.ledger.account(producer) === undefined) this.#last.delete(producer)
    }
  }

  /** The records of one key between two that were read, or the end, must all have expired: the newest decides. */
  #explainGap(producer: number, before: number, counter: number, keys: number): void {
    const newest = counter - keys
    if (newest <= before || newest < 0) return
    const { ledger } = this.#witness
    const age = ledger.now() - ledger.arrivedAfter(producer, newest)
    if (age + ROUNDING_MS < this.#kept.leastMs) {
      throw new Breach(
        `record ${newest} of producer ${producer} in stream ${this.#stream} is missing: it is at most ` +
          `${age.toFixed(0)} ms old and stays ${this.#kept.leastMs} ms; before it came record ${before}`,
      )
    }
    this.expired += before < 0 ? Math.floor(newest / keys) + 1 : (newest - before) / keys
  }

  #follow(shard: string, sequence: string): void {
    const before = this.#sequences.get(shard)
    // Of one length, so that they are ordered as texts are.
    if (before !== undefined && sequence <= before) {
      throw new Breach(`sequence ${sequence} of ${shard} in stream ${this.#stream} came after ${before}`)
    }
    this.#sequences.set(shard, sequence)
  }

  #seriesOf(producer: number, keys: number): Int32Array {
    const known = this.#last.get(producer)
    if (known !== undefined) return known
    const series = new Int32Array(keys).fill(-1)
    this.#last.set(producer, series)
    return series
  }

  #checked<R>(check: () => R): R {
    try {
      return check()
    } catch (error) {
      throw new Breach(`stream ${this.#stream}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
