/**
 * Records as they come out: descriptors that the native module wrote, and flyweights over them.
 *
 * A batch owns nothing: it names a range of a {@link Window} (descriptors) and one source of bytes (a mapped
 * segment, or a slab of owned copies). Both are never written again where a batch points, so that records can be
 * kept as long as the program likes; a kept record keeps its window and source in memory.
 */
import { inspect } from 'node:util'
import { asciiKey } from './keys.js'
import type { Memory, RecordBytes } from './segments.js'

const HEADER_WORDS = 16
const RECORD_WORDS = 3
const RUN_WORDS = 6
/** A window has room for so many batches: a large one keeps more memory for a record that is kept. */
const BATCHES = 4
/** Runs that a window counts on a batch to have; where there are more, batches end earlier. */
const RUNS_EXPECTED = 64
/** Set in a descriptor's key length when the key holds more than ASCII. */
const WIDE_KEY = 0x8000_0000

/**
 * Descriptors of records, filled from the front, and of their runs, filled from the back.
 *
 * Native layout: a header of sixteen u32 (see `native/node/src/window.rs`); for each record three u32: offset and
 * length of the data, and length of the key (which ends where the data starts; the highest bit marks a key beyond
 * ASCII). For each run, counted from the end: a u64 sequence of its first record, a float64 arrival time, two u32:
 * the shard, and the index of its first record.
 */
export class Window {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly #longs: BigUint64Array
  readonly #doubles: Float64Array
  /** Records that batches point at. */
  used = 0
  /** Runs that batches point at. */
  runs = 0

  constructor(readonly records: number) {
    const words = BATCHES * batchWords(records) + HEADER_WORDS
    // Not zeroed: nobody reads a descriptor that was not written.
    const { buffer } = (this.bytes = Buffer.allocUnsafeSlow(words * 4))
    this.words = new Uint32Array(buffer)
    this.#longs = new BigUint64Array(buffer)
    this.#doubles = new Float64Array(buffer)
  }

  /** Whether a batch fits that has not many more runs than usual. */
  get isRoomy(): boolean {
    const used = HEADER_WORDS + this.used * RECORD_WORDS + this.runs * RUN_WORDS
    return this.words.length - used >= batchWords(this.records)
  }

  /** Index of a run's first record. */
  firstOf(run: number): number {
    return word32(this.words, this.words.length - run * RUN_WORDS - 1)
  }

  shardOf(run: number): number {
    return word32(this.words, this.words.length - run * RUN_WORDS - 2)
  }

  arrivalOf(run: number): number {
    return this.#doubles[this.#doubles.length - run * (RUN_WORDS / 2) - 2] as number
  }

  sequenceOf(run: number): bigint {
    return this.#longs[this.#longs.length - run * (RUN_WORDS / 2) - 3] as bigint
  }
}

/** Words for a batch of so many records, an even number as doubles want it. */
function batchWords(records: number): number {
  return RECORD_WORDS * (records + (records % 2)) + RUN_WORDS * Math.min(records, RUNS_EXPECTED)
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
  /** The window's words: one load less in the hot calls. */
  readonly #words: Uint32Array
  /** The first descriptor's first word. */
  readonly #first: number
  readonly #runs: number
  readonly #runsEnd: number
  /** The run that was asked for last. */
  #run: number
  readonly #bytes: RecordBytes
  #view: Buffer | undefined
  #buffer: ArrayBufferLike | undefined
  readonly #source: RecordSource<T>

  /** Takes the next `length` records and `runs` runs of the window. @internal */
  constructor(
    window: Window,
    length: number,
    runs: number,
    bytes: RecordBytes,
    millisBehindLatest: number,
    source: RecordSource<T>,
  ) {
    this.length = length
    this.millisBehindLatest = millisBehindLatest
    this.#window = window
    this.#words = window.words
    this.#first = HEADER_WORDS + window.used * RECORD_WORDS
    this.#run = this.#runs = window.runs
    window.used += length
    window.runs += runs
    this.#runsEnd = window.runs
    this.#bytes = bytes
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
    const at = this.#at(index)
    const words = this.#words
    return new Uint8Array(this.#buffer ?? this.#look().buffer, word32(words, at), word32(words, at + 1))
  }

  /** The data as the stream's codec decodes it. */
  value(index: number): T {
    return this.#source.decode(this.data(index))
  }

  /** Number of bytes of a record's data. */
  dataLength(index: number): number {
    return word32(this.#words, this.#at(index) + 1)
  }

  /** A record's partition key. */
  partitionKey(index: number): string {
    const at = this.#at(index)
    const words = this.#words
    const end = word32(words, at)
    const length = word32(words, at + 2)
    const bytes = this.#view ?? this.#look().view
    if (length < WIDE_KEY) return asciiKey(bytes, end, length)
    return bytes.toString('utf8', end - (length - WIDE_KEY), end)
  }

  /** A record's sequence number: 56 decimal digits, made when asked for. */
  sequenceNumber(index: number): string {
    const run = this.#runOf(index)
    const window = this.#window
    const sequence = window.sequenceOf(run) + BigInt(this.#recordAt(index) - window.firstOf(run))
    return this.#source.sequenceNumber(window.shardOf(run), sequence)
  }

  /** When a record arrived, in milliseconds since the epoch. */
  arrivalTime(index: number): number {
    return this.#window.arrivalOf(this.#runOf(index))
  }

  /** The shard that a record is in, such as `'shardId-000000000000'`. */
  shardId(index: number): string {
    return formatShardId(this.#window.shardOf(this.#runOf(index)))
  }

  /** The bytes, which are mapped when the first of the segment's batches is asked for them. */
  #look(): Memory {
    const { memory } = this.#bytes
    this.#buffer = memory.buffer
    this.#view = memory.view
    return memory
  }

  /** The first word of a record's descriptor. */
  #at(index: number): number {
    // `>>> 0` sends what is negative or no integer out of the range or to another number; the compare finds both.
    if (index >>> 0 !== index || index >= this.length) throw outOfRange(index, this.length)
    return this.#first + index * RECORD_WORDS
  }

  /** The index of a record in the window. */
  #recordAt(index: number): number {
    return (this.#at(index) - HEADER_WORDS) / RECORD_WORDS
  }

  /** The run of a record: mostly the one that was asked for last, or the one behind it. */
  #runOf(index: number): number {
    const record = this.#recordAt(index)
    if (!this.#holds(this.#run, record)) {
      this.#run = this.#holds(this.#run + 1, record) ? this.#run + 1 : this.#findRun(record)
    }
    return this.#run
  }

  #holds(run: number, record: number): boolean {
    if (run >= this.#runsEnd || record < this.#window.firstOf(run)) return false
    return run + 1 === this.#runsEnd || record < this.#window.firstOf(run + 1)
  }

  /** The last run whose first record is not behind `record`. */
  #findRun(record: number): number {
    let low = this.#runs
    let high = this.#runsEnd
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.#window.firstOf(middle) <= record) low = middle
      else high = middle
    }
    return low
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

/** Made out of line, so that the check of an index stays short. */
function outOfRange(index: number, length: number): RangeError {
  return new RangeError(`index: expected 0 to ${length - 1}, got ${index}`)
}

/** An element that the batch's own bounds guarantee to exist. */
function word32(words: Uint32Array, index: number): number {
  return words[index] as number
}
