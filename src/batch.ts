/**
 * Records as they come out: descriptors that the native module wrote, and flyweights over them.
 *
 * A batch owns nothing: it names a range of a {@link Window} (descriptors) and one source of bytes (a mapped
 * segment, or a slab of owned copies). Both are never written again where a batch points, so that records can be
 * kept as long as the program likes; a kept record keeps its window and source in memory.
 */
import assert from 'node:assert'
import { inspect } from 'node:util'
import { asciiKey } from './keys.js'

const HEADER_BYTES = 64
const DESCRIPTOR_BYTES = 32
const META_WORDS = 4
/** Set in a descriptor's key length when the key holds more than ASCII. */
const WIDE_KEY = 0x8000_0000

/**
 * Descriptors of records, as arrays side by side, filled from the front.
 *
 * Native layout: a header of sixteen u32 (see `native/node/src/window.rs`), then for each record a u64 sequence, then
 * for each a float64 arrival time, then for each four u32: offset and length of the data, length of the key
 * (which ends where the data starts; the highest bit marks a key beyond ASCII), and the shard.
 */
export class Window {
  readonly bytes: Uint8Array
  readonly header: Uint32Array
  readonly sequences: BigUint64Array
  readonly arrivals: Float64Array
  readonly meta: Uint32Array
  /** Descriptors that batches point at. */
  used = 0

  constructor(readonly capacity: number) {
    const buffer = new ArrayBuffer(HEADER_BYTES + capacity * DESCRIPTOR_BYTES)
    this.bytes = new Uint8Array(buffer)
    this.header = new Uint32Array(buffer, 0, HEADER_BYTES / 4)
    this.sequences = new BigUint64Array(buffer, HEADER_BYTES, capacity)
    this.arrivals = new Float64Array(buffer, HEADER_BYTES + capacity * 8, capacity)
    this.meta = new Uint32Array(buffer, HEADER_BYTES + capacity * 16, capacity * META_WORDS)
  }
}

/** What the descriptors of a batch point into: a mapped segment, or a slab. */
export class Source {
  /** Kept, because asking a `Buffer` for it is a call into C++. */
  readonly memory: ArrayBufferLike

  constructor(readonly bytes: Buffer) {
    assert(bytes.byteOffset === 0, 'descriptors count from the start of the buffer')
    this.memory = bytes.buffer
  }

  /** Whether the program gave the memory away (a transfer), or there never was any. */
  get isGone(): boolean {
    return this.bytes.length === 0
  }
}

/** What a batch needs of its stream to make values lazily. */
export interface RecordSource<T> {
  decode(bytes: Uint8Array): T
  sequenceNumber(shard: number, sequence: bigint): string
}

/**
 * Records that were read together, in the order of the log.
 *
 * @example
 * for await (const batch of clicks.read({ from: 'TRIM_HORIZON', follow: false })) {
 *   for (let i = 0; i < batch.length; i += 1) total += batch.data(i).length
 * }
 */
export class Batch<T = Uint8Array> implements Iterable<StreamRecord<T>> {
  /** Number of records. */
  readonly length: number
  /** Milliseconds between the arrival of this batch's last record and of the stream's newest when it was read. */
  readonly millisBehindLatest: number
  readonly #window: Window
  readonly #first: number
  readonly #bytes: Buffer
  readonly #memory: ArrayBufferLike
  readonly #source: RecordSource<T>

  /** @internal */
  constructor(window: Window, length: number, bytes: Source, millisBehindLatest: number, source: RecordSource<T>) {
    this.length = length
    this.millisBehindLatest = millisBehindLatest
    this.#window = window
    this.#first = window.used
    this.#bytes = bytes.bytes
    this.#memory = bytes.memory
    this.#source = source
  }

  /** The record at `index`, 0 to `length - 1`. */
  get(index: number): StreamRecord<T> {
    this.#at(index)
    return new StreamRecord(this, index)
  }

  /** The records one after the other. */
  [Symbol.iterator](): IterableIterator<StreamRecord<T>> {
    return new BatchIterator(this)
  }

  /**
   * The bytes of a record's data: a view of the log, or of an owned copy. Writing into it never reaches the log.
   */
  data(index: number): Uint8Array {
    const word = this.#at(index) * META_WORDS
    const meta = this.#window.meta
    return new Uint8Array(this.#memory, word32(meta, word), word32(meta, word + 1))
  }

  /** The data as the stream's codec decodes it. */
  value(index: number): T {
    return this.#source.decode(this.data(index))
  }

  /** Number of bytes of a record's data. */
  dataLength(index: number): number {
    return word32(this.#window.meta, this.#at(index) * META_WORDS + 1)
  }

  /** A record's partition key. */
  partitionKey(index: number): string {
    const word = this.#at(index) * META_WORDS
    const meta = this.#window.meta
    const end = word32(meta, word)
    const length = word32(meta, word + 2)
    if (length < WIDE_KEY) return asciiKey(this.#bytes, end, length)
    return this.#bytes.toString('utf8', end - (length - WIDE_KEY), end)
  }

  /** A record's sequence number: 56 decimal digits, made when asked for. */
  sequenceNumber(index: number): string {
    const at = this.#at(index)
    const sequence = this.#window.sequences[at] as bigint
    return this.#source.sequenceNumber(word32(this.#window.meta, at * META_WORDS + 3), sequence)
  }

  /** When a record arrived, in milliseconds since the epoch. */
  arrivalTime(index: number): number {
    return this.#window.arrivals[this.#at(index)] as number
  }

  /** The shard that a record is in, such as `'shardId-000000000000'`. */
  shardId(index: number): string {
    return formatShardId(word32(this.#window.meta, this.#at(index) * META_WORDS + 3))
  }

  #at(index: number): number {
    // `>>> 0` sends what is negative or no integer out of the range or to another number; the compare finds both.
    if (index >>> 0 !== index || index >= this.length) {
      throw new RangeError(`index: expected 0 to ${this.length - 1}, got ${index}`)
    }
    return this.#first + index
  }
}

/** One record. It reads from its batch when asked, and can be kept. */
export class StreamRecord<T = Uint8Array> {
  readonly #batch: Batch<T>
  readonly #index: number

  /** @internal */
  constructor(batch: Batch<T>, index: number) {
    this.#batch = batch
    this.#index = index
  }

  /** The data as the stream's codec decodes it; decoded anew at each call. */
  get data(): T {
    return this.#batch.value(this.#index)
  }

  /** The data as bytes. */
  get bytes(): Uint8Array {
    return this.#batch.data(this.#index)
  }

  /** The partition key. */
  get partitionKey(): string {
    return this.#batch.partitionKey(this.#index)
  }

  /** 56 decimal digits; as an integer it grows over a shard. */
  get sequenceNumber(): string {
    return this.#batch.sequenceNumber(this.#index)
  }

  /** Such as `'shardId-000000000000'`. */
  get shardId(): string {
    return this.#batch.shardId(this.#index)
  }

  /** When the record arrived; it never decreases over a stream. */
  get approximateArrivalTimestamp(): Date {
    return new Date(this.#batch.arrivalTime(this.#index))
  }

  /** What a log shows of the record. @internal */
  [inspect.custom](): object {
    const { shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp, data } = this
    return { shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp, data }
  }
}

class BatchIterator<T> implements IterableIterator<StreamRecord<T>> {
  readonly #batch: Batch<T>
  #next = 0

  constructor(batch: Batch<T>) {
    this.#batch = batch
  }

  next(): IteratorResult<StreamRecord<T>> {
    if (this.#next >= this.#batch.length) return { done: true, value: undefined }
    const value = new StreamRecord(this.#batch, this.#next)
    this.#next += 1
    return { done: false, value }
  }

  [Symbol.iterator](): this {
    return this
  }
}

/** The outward name of a shard. */
export function formatShardId(shard: number): string {
  return `shardId-${String(shard).padStart(12, '0')}`
}

/** An element that the batch's own bounds guarantee to exist. */
function word32(words: Uint32Array, index: number): number {
  return words[index] as number
}
