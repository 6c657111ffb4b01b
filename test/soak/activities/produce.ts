/** Writing: single puts, bursts, batches and appends, under all policies, against limits that are often met. */
import type { Millrace, PutRecord, Stream } from 'millrace'
import { STEER, codeOf, isGone, pause, type Context } from '../context.js'
import type { ProducerAccount } from '../ledger.js'
import { keyOf, KEYS_MAX } from '../payload.js'
import { STANDING } from '../plan.js'
import type { Random } from '../random.js'

/** Small, so that backpressure is met all the time; one large record still fits. */
export const LIMITS = { maxInFlightBytes: 512 << 10, maxInFlightRecords: 3_000 } as const

/** Writes to one standing stream after the other. */
export async function produce(context: Context): Promise<void> {
  const { random } = context
  while (!context.signal.aborted) {
    const { name, id } = random.pick(STANDING)
    await writeTo(context, await open(context.millrace, name), id, random.whole(1, 40))
  }
}

/** A stream with this soak's limits. */
export function open(millrace: Millrace, name: string): Promise<Stream> {
  return millrace.stream(name, LIMITS)
}

/** One producer's life: so many turns, or until it is told to stop or the stream is gone. */
export async function writeTo(context: Context, stream: Stream, id: number, turns: number): Promise<void> {
  const { random } = context
  const account = context.ledger.register(id, random.pick([1, 2, 7, 50, KEYS_MAX]))
  const writer = new Writer(context, stream, account)
  try {
    for (let turn = 0; turn < turns && !context.signal.aborted; turn += 1) {
      if (Atomics.load(context.steer, STEER.pressure) > 0) await pause(context, 100)
      else await writer.write(random)
      await pause(context, random.chance(20) ? random.whole(1, 30) : 1)
    }
  } catch (error) {
    // A passing stream may go at any time, with what is in flight; what was acknowledged before went with it.
    if (!isGone(error)) throw error
  } finally {
    account.end()
  }
}

/** Writes as one producer. Only its own calls number its records, and what is refused for lack of room comes again. */
class Writer {
  readonly #context: Context
  readonly #stream: Stream
  readonly #account: ProducerAccount

  constructor(context: Context, stream: Stream, account: ProducerAccount) {
    this.#context = context
    this.#stream = stream
    this.#account = account
  }

  async write(random: Random): Promise<void> {
    const kind = random.whole(0, 99)
    if (kind < 20) await this.#burst(1)
    else if (kind < 45) await this.#burst(random.whole(1, 40))
    else if (kind < 65) await this.#putMany(random.whole(1, 800))
    else if (kind < 85) await this.#append(random.whole(1, 1_500))
    else await this.#appendMany(random.whole(1, 3_000))
    if (this.#context.plant === 'lost') this.#account.acknowledge(this.#account.begin() + 1)
  }

  /** Puts of one turn, each under another key, so that one that is refused may come after the others. */
  async #burst(wanted: number): Promise<void> {
    let waiting = Array.from({ length: Math.min(wanted, this.#account.keys) }, () => this.#next())
    const whole = waiting
    while (waiting.length > 0) {
      const results = await Promise.allSettled(waiting.map((record) => this.#stream.put(record)))
      for (const result of results) if (result.status === 'rejected') this.#checkFull(result.reason)
      waiting = waiting.filter((_, index) => results[index]?.status === 'rejected')
      if (waiting.length > 0) await this.#stream.drain()
    }
    this.#acknowledge(whole)
  }

  async #putMany(count: number): Promise<void> {
    const records = Array.from({ length: count }, () => this.#next())
    await this.#stream.putMany(records)
    this.#acknowledge(records)
  }

  async #append(count: number): Promise<void> {
    const records = Array.from({ length: count }, () => this.#next())
    for (const record of records) {
      while (!this.#tryAppend(record)) await this.#stream.drain()
    }
    await this.#flush(records)
  }

  async #appendMany(count: number): Promise<void> {
    const records = Array.from({ length: count }, () => this.#next())
    for (let next = 0; (next = this.#stream.appendMany(records, next)) < records.length;) {
      this.#context.counters.add('backpressure')
      await this.#stream.drain()
    }
    await this.#flush(records)
  }

  #tryAppend(record: PutRecord<Uint8Array>): boolean {
    try {
      this.#stream.append(record)
      return true
    } catch (error) {
      this.#checkFull(error)
      return false
    }
  }

  async #flush(records: readonly PutRecord<Uint8Array>[]): Promise<void> {
    if (this.#context.random.chance(10)) this.#stream.flushSync()
    else await this.#stream.flush()
    this.#context.counters.add('flushes')
    this.#acknowledge(records)
  }

  #next(): PutRecord<Uint8Array> {
    const { producer, keys } = this.#account
    const origin = { producer, keys, counter: this.#account.begin() }
    return { partitionKey: keyOf(origin), data: this.#context.payloads.make(origin) }
  }

  #acknowledge(records: readonly PutRecord<Uint8Array>[]): void {
    this.#account.acknowledge(this.#account.begun)
    const { counters } = this.#context
    counters.add('recordsAcknowledged', records.length)
    counters.add('kibAcknowledged', records.reduce((sum, { data }) => sum + data.length, 0) / 1024)
  }

  #checkFull(error: unknown): void {
    if (codeOf(error) !== 'ERR_MILLRACE_BACKPRESSURE') throw error
    this.#context.counters.add('backpressure')
  }
}
