/**
 * Appends from JavaScript as a service on its hot path does it: `append` without waiting, `drain` when too much is in
 * flight, one `flush` at the end, which counts.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { MillraceError, type PutRecord, type Stream } from 'millrace'
import { makeFreshKeys, makePayloads } from './bench.js'

/** How records are handed over: one by one, or an array at a time. */
export type Handover = 'append' | 'appendMany'

/** Appends between two looks at the clock. */
const APPENDS_PER_LOOK = 512

/** Records of one size with uniform keys, that go on where they stopped. */
export class Appender {
  readonly #keys: readonly string[]
  readonly #payloads: Uint8Array[]
  readonly #handover: Handover
  #appended = 0

  /** Records carry `recordBytes` bytes of data, and the keys in their order, again and again. */
  constructor(recordBytes: number, keys: readonly string[] = makeFreshKeys(), handover: Handover = 'append') {
    this.#keys = keys
    this.#handover = handover
    this.#payloads = makePayloads(recordBytes)
  }

  /** Appends for `milliseconds`, waits for the acknowledgement of all of it, and returns records per second. */
  async appendFor(stream: Stream<Uint8Array>, milliseconds: number): Promise<number> {
    const deadline = performance.now() + milliseconds
    return this.#run(stream, (appended) => performance.now() < deadline || appended === 0)
  }

  /** Appends `records` records, waits for the acknowledgement of all of them, and returns records per second. */
  async appendRecords(stream: Stream<Uint8Array>, records: number): Promise<number> {
    return this.#run(stream, (appended) => appended < records)
  }

  async #run(stream: Stream<Uint8Array>, goOn: (appended: number) => boolean): Promise<number> {
    const first = this.#appended
    const started = performance.now()
    while (goOn(this.#appended - first)) {
      try {
        if (this.#handover === 'append') this.#appendSome(stream)
        else await this.#appendArray(stream)
      } catch (error) {
        if (!MillraceError.is(error) || error.code !== 'ERR_MILLRACE_BACKPRESSURE') throw error
        await stream.drain()
      }
    }
    await stream.flush()
    return ((this.#appended - first) / (performance.now() - started)) * 1000
  }

  async #appendArray(stream: Stream<Uint8Array>): Promise<void> {
    const records = Array.from({ length: APPENDS_PER_LOOK }, (_, i) => {
      const at = this.#appended + i
      return { partitionKey: this.#keys[at % this.#keys.length]!, data: this.#payloads[at & 63]! }
    })
    for (let next = 0; (next = stream.appendMany(records, next)) < records.length;) await stream.drain()
    this.#appended += records.length
  }

  #appendSome(stream: Stream<Uint8Array>): void {
    for (let i = 0; i < APPENDS_PER_LOOK; i++) {
      const partitionKey = this.#keys[this.#appended % this.#keys.length]!
      stream.append({ partitionKey, data: this.#payloads[this.#appended & 63]! })
      this.#appended += 1
    }
  }
}

/** Records that a {@link BatchAppender} has made beforehand, and uses again and again. */
const PREPARED_RECORDS = 400_000

/** Appends arrays of one length, each of which leaves before the next is made. */
export class BatchAppender {
  readonly #batches: readonly (readonly PutRecord<Uint8Array>[])[]
  readonly #appended = new WeakMap<Stream<Uint8Array>, number>()
  #next = 0

  /** Records carry `recordBytes` bytes of data; there are `batchRecords` of them in an array. */
  constructor(recordBytes: number, batchRecords: number) {
    const keys = makeFreshKeys()
    const payloads = makePayloads(recordBytes)
    this.#batches = Array.from({ length: PREPARED_RECORDS / batchRecords }, (_, batch) =>
      Array.from({ length: batchRecords }, (_, i) => {
        return { partitionKey: keys[batch * batchRecords + i]!, data: payloads[i & 63]! }
      }),
    )
  }

  /** Records that were appended to the stream so far. */
  appendedTo(stream: Stream<Uint8Array>): number {
    return this.#appended.get(stream) ?? 0
  }

  /** Appends one array and returns when it is acknowledged. */
  appendBatch(stream: Stream<Uint8Array>): void {
    const batch = this.#take(stream)
    for (let next = 0; (next = stream.appendMany(batch, next)) < batch.length;) stream.flushSync()
    stream.flushSync()
  }

  /** Appends arrays for `milliseconds`, each acknowledged before the next; returns records per second. */
  appendFor(stream: Stream<Uint8Array>, milliseconds: number): number {
    const before = this.appendedTo(stream)
    const started = performance.now()
    do this.appendBatch(stream)
    while (performance.now() < started + milliseconds)
    return ((this.appendedTo(stream) - before) / (performance.now() - started)) * 1000
  }

  /** The same with many arrays in flight: each leaves at the end of its turn, and only the last is waited for. */
  async appendInFlightFor(stream: Stream<Uint8Array>, milliseconds: number): Promise<number> {
    const before = this.appendedTo(stream)
    const started = performance.now()
    do {
      const batch = this.#take(stream)
      for (let next = 0; (next = stream.appendMany(batch, next)) < batch.length;) await stream.drain()
      await turn()
    } while (performance.now() < started + milliseconds)
    await stream.flush()
    return ((this.appendedTo(stream) - before) / (performance.now() - started)) * 1000
  }

  #take(stream: Stream<Uint8Array>): readonly PutRecord<Uint8Array>[] {
    const batch = this.#batches[this.#next % this.#batches.length]!
    this.#next += 1
    this.#appended.set(stream, this.appendedTo(stream) + batch.length)
    return batch
  }
}
