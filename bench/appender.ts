/**
 * Appends from JavaScript as a service on its hot path does it: `append` without waiting, `drain` when too much is in
 * flight, one `flush` at the end, which counts.
 */
import { MillraceError, type Stream } from 'millrace'
import { makeFreshKeys, makePayloads } from './bench.js'

/** Appends between two looks at the clock. */
const APPENDS_PER_LOOK = 512

/** Records of one size with uniform keys, that go on where they stopped. */
export class Appender {
  readonly #keys: readonly string[]
  readonly #payloads: Uint8Array[]
  #appended = 0

  /** Records carry `recordBytes` bytes of data, and the keys in their order, again and again. */
  constructor(recordBytes: number, keys: readonly string[] = makeFreshKeys()) {
    this.#keys = keys
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
        this.#appendSome(stream)
      } catch (error) {
        if (!MillraceError.is(error) || error.code !== 'ERR_MILLRACE_BACKPRESSURE') throw error
        await stream.drain()
      }
    }
    await stream.flush()
    return ((this.#appended - first) / (performance.now() - started)) * 1000
  }

  #appendSome(stream: Stream<Uint8Array>): void {
    for (let i = 0; i < APPENDS_PER_LOOK; i++) {
      const partitionKey = this.#keys[this.#appended % this.#keys.length]!
      stream.append({ partitionKey, data: this.#payloads[this.#appended & 63]! })
      this.#appended += 1
    }
  }
}
