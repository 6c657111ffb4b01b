/**
 * The write side of a stream: stages records, hands whole batches to the log, settles promises a group commit at a
 * time, and bounds what is in flight.
 *
 * - A batch is what one native call carries. Batches are acknowledged in order, so the queue in flight is settled
 *   from its front by comparing positions with one watermark.
 * - When a batch leaves: a full buffer at once; for `put` at the end of the current microtasks, because its caller
 *   waits; for `append` at the end of the turn (`setImmediate`), because nobody does and records that arrive one
 *   microtask apart then share a batch; at a flush at once.
 * - A batch that the log refuses fails exactly its own puts. Records of `append` that were refused are counted, and
 *   the next `append` or flush throws.
 */
import type { NativeStream } from './binding.js'
import { formatShardId } from './batch.js'
import { checkWhole } from './checks.js'
import { MillraceError, closed, fromNative, mapped } from './errors.js'
import { keepAlive, unlisten } from './events.js'
import type { AppendLimits } from './options.js'
import { Staging, checkRecord, stagedBytesMax } from './staging.js'

const IN_FLIGHT_BYTES_DEFAULT = 64 * 1024 * 1024
const IN_FLIGHT_RECORDS_DEFAULT = 1024 * 1024

/** Where a record was written. */
export interface PutResult {
  /** Such as `'shardId-000000000000'`. */
  readonly shardId: string
  /** 56 decimal digits; as an integer it grows over a shard. */
  readonly sequenceNumber: string
}

/** Puts of one batch that one promise waits for: records `first` to `first + count - 1`. */
interface Waiting {
  readonly first: number
  count: number
  readonly resolve: (batch: Sent) => void
  readonly reject: (error: MillraceError) => void
}

/** Records that are staged together, and later in flight together. */
class Sent {
  readonly waiting: Waiting[] = []
  /** Records staged by `append`, for which no promise waits. */
  appended = 0
  bytes = 0
  records = 0
  position = 0
  shards: Uint32Array | null = null
  sequences: BigUint64Array | null = null
}

/** Formats where a record was written only when asked: most callers never look. */
class LazyPutResult implements PutResult {
  readonly #native: NativeStream
  readonly #batch: Sent
  readonly #index: number

  constructor(native: NativeStream, batch: Sent, index: number) {
    this.#native = native
    this.#batch = batch
    this.#index = index
  }

  get shardId(): string {
    return formatShardId(this.#shard)
  }

  get sequenceNumber(): string {
    const sequence = this.#batch.sequences?.[this.#index] as bigint
    return mapped(() => this.#native.sequenceNumber(this.#shard, sequence))
  }

  get #shard(): number {
    return this.#batch.shards?.[this.#index] as number
  }

  toJSON(): PutResult {
    return { shardId: this.shardId, sequenceNumber: this.sequenceNumber }
  }
}

/** What the appender must know of its stream. */
export interface AppenderOptions {
  readonly limits: AppendLimits
  readonly name: string
  readonly maxRecordBytes: number
  /** Whether an acknowledgement waits for the sync (policy `synced`), or only for the publication. */
  readonly acknowledgedWhenDurable: boolean
}

/** Stages, submits and settles the appends of one stream handle. */
export class Appender {
  readonly #native: NativeStream
  readonly #options: AppenderOptions
  readonly #bytesMax: number
  readonly #recordsMax: number
  readonly #staging = new Staging()
  /** The native id under which the durable watermark wakes this handle. */
  readonly #wakeId: number
  #current = new Sent()
  readonly #inFlight: Sent[] = []
  #inFlightBytes = 0
  #inFlightRecords = 0
  #scheduled: 'no' | 'turn' | 'microtask' = 'no'
  #refused: { error: MillraceError; records: number } | undefined
  readonly #draining: (() => void)[] = []
  #closed = false

  constructor(native: NativeStream, wakeId: number, options: AppenderOptions) {
    this.#native = native
    this.#wakeId = wakeId
    this.#options = options
    const { maxInFlightBytes = IN_FLIGHT_BYTES_DEFAULT, maxInFlightRecords = IN_FLIGHT_RECORDS_DEFAULT } =
      options.limits
    this.#bytesMax = checkWhole('maxInFlightBytes', maxInFlightBytes, 1, Number.MAX_SAFE_INTEGER)
    this.#recordsMax = checkWhole('maxInFlightRecords', maxInFlightRecords, 1, Number.MAX_SAFE_INTEGER)
  }

  /** Stages a record that nobody waits for. */
  append(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): void {
    if (this.#refused !== undefined) throw this.#takeRefused()
    this.#stage(partitionKey, data, hashKey)
    this.#current.appended += 1
    if (this.#scheduled === 'no') {
      this.#scheduled = 'turn'
      setImmediate(this.#submitScheduled)
    }
  }

  /** Stages a record and resolves when it is acknowledged. */
  put(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): Promise<PutResult> {
    this.#stage(partitionKey, data, hashKey)
    const first = this.#current.records - 1
    const promise = new Promise<PutResult>((resolve, reject) => {
      const settle = (batch: Sent): void => resolve(new LazyPutResult(this.#native, batch, first))
      this.#current.waiting.push({ first, count: 1, resolve: settle, reject })
    })
    this.#scheduleSoon()
    return promise
  }

  /** Stages a record as the next of `group`, whose results come in order. */
  putInto(group: PutGroup, partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): void {
    this.#stage(partitionKey, data, hashKey)
    group.extend(this.#current, this.#native)
    this.#scheduleSoon()
  }

  /** Whether `append` or `put` would take a record of this size now. */
  accepts(partitionKey: string, data: Uint8Array): boolean {
    const bytes = stagedBytesMax(partitionKey, data)
    return this.#inFlightBytes + bytes <= this.#bytesMax && this.#inFlightRecords < this.#recordsMax
  }

  /** Resolves when all that was staged before is acknowledged. */
  async flush(): Promise<void> {
    this.#checkOpen()
    this.#submit()
    if (this.#refused !== undefined) throw this.#takeRefused()
    const last = this.#inFlight.at(-1)
    if (last === undefined) return
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => resolve()
      const fail = (error: MillraceError): void => reject(this.#refused === undefined ? error : this.#takeRefused())
      last.waiting.push({ first: 0, count: 0, resolve: settle, reject: fail })
    })
  }

  /** Returns when all that was staged before is acknowledged. */
  flushSync(): void {
    this.#checkOpen()
    this.#submit()
    if (this.#inFlight.length > 0) {
      mapped(() => this.#native.syncNow())
      this.#settle()
    }
    if (this.#refused !== undefined) throw this.#takeRefused()
  }

  /** Resolves when there is room for more: at most half of the limits is in flight. */
  async drain(signal: AbortSignal | undefined, abort: (signal: AbortSignal) => MillraceError): Promise<void> {
    this.#checkOpen()
    if (signal?.aborted) throw abort(signal)
    if (this.#hasRoom()) return
    this.#submit()
    if (this.#hasRoom()) return
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#draining.splice(this.#draining.indexOf(wake), 1)
        reject(abort(signal as AbortSignal))
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#draining.push(wake)
    })
  }

  /** Acknowledges or fails all that is staged, then takes no more. */
  async close(): Promise<void> {
    if (this.#closed) return
    try {
      await this.flush()
    } finally {
      this.#closed = true
      unlisten(this.#wakeId)
    }
  }

  /** Called by the native channel when the durable watermark moved or will never move again. */
  onAcknowledged(): void {
    if (this.#inFlight.length > 0) this.#settle()
  }

  #stage(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): void {
    if (this.#closed) throw closed(`stream '${this.#options.name}'`)
    checkRecord(partitionKey, data, this.#options.maxRecordBytes)
    const bytes = stagedBytesMax(partitionKey, data)
    if (this.#inFlightBytes + bytes > this.#bytesMax || this.#inFlightRecords >= this.#recordsMax) this.#makeRoom(bytes)
    if (!this.#staging.fits(partitionKey, data)) this.#submit()
    this.#staging.add(partitionKey, data, hashKey)
    const current = this.#current
    current.records += 1
    current.bytes += bytes
    this.#inFlightBytes += bytes
    this.#inFlightRecords += 1
  }

  /** Takes what was acknowledged since the last wake-up; throws when that is not enough. */
  #makeRoom(bytes: number): void {
    this.#submit()
    if (this.#inFlight.length > 0) this.#settle()
    // A record larger than the limit passes when nothing else is in flight; otherwise it could never be written.
    if (this.#inFlightRecords === 0) return
    if (this.#inFlightBytes + bytes <= this.#bytesMax && this.#inFlightRecords < this.#recordsMax) return
    throw new MillraceError(
      'ERR_MILLRACE_BACKPRESSURE',
      `expected at most ${this.#bytesMax} bytes and ${this.#recordsMax} records in flight on stream ` +
        `'${this.#options.name}', got ${this.#inFlightBytes + bytes} and ${this.#inFlightRecords + 1}; await drain()`,
    )
  }

  #scheduleSoon(): void {
    if (this.#scheduled === 'microtask') return
    this.#scheduled = 'microtask'
    queueMicrotask(this.#submitScheduled)
  }

  readonly #submitScheduled = (): void => {
    this.#scheduled = 'no'
    this.#submit()
  }

  /** One native call for all that is staged. What the log refuses is settled here, it never throws. */
  #submit(): void {
    const batch = this.#current
    if (batch.records === 0) return
    this.#current = new Sent()
    if (batch.waiting.length > 0) {
      batch.shards = new Uint32Array(batch.records)
      batch.sequences = new BigUint64Array(batch.records)
    }
    const staging = this.#staging
    try {
      batch.position = this.#native.append(staging.bytes, staging.length, staging.count, batch.shards, batch.sequences)
    } catch (error) {
      this.#release(batch)
      this.#fail(batch, fromNative(error))
      this.#wakeDrained()
      return
    } finally {
      staging.clear()
    }
    if (this.#options.acknowledgedWhenDurable) this.#enqueue(batch)
    else this.#acknowledge(batch)
  }

  #enqueue(batch: Sent): void {
    this.#inFlight.push(batch)
    if (this.#inFlight.length > 1) return
    keepAlive.hold()
    this.#settle()
  }

  /** Arms the wake-up first and looks second, so that a watermark that moves in between is not missed. */
  #settle(): void {
    let failure: MillraceError | undefined
    const watermark = this.#native.armAcknowledged()
    let acknowledged = 0
    while (acknowledged < this.#inFlight.length) {
      const batch = this.#inFlight[acknowledged] as Sent
      if (batch.position > watermark) {
        failure ??= this.#failure()
        if (failure === undefined) break
        this.#release(batch)
        this.#fail(batch, failure)
      } else {
        this.#acknowledge(batch)
      }
      acknowledged += 1
    }
    this.#inFlight.splice(0, acknowledged)
    if (acknowledged > 0 && this.#inFlight.length === 0) keepAlive.release()
    this.#wakeDrained()
  }

  #failure(): MillraceError | undefined {
    const message = this.#native.failure()
    return message === null ? undefined : fromNative(new Error(message))
  }

  #acknowledge(batch: Sent): void {
    this.#release(batch)
    for (const waiting of batch.waiting) waiting.resolve(batch)
    this.#wakeDrained()
  }

  #fail(batch: Sent, error: MillraceError): void {
    if (batch.appended > 0) this.#refused = { error, records: (this.#refused?.records ?? 0) + batch.appended }
    for (const waiting of batch.waiting) waiting.reject(error)
  }

  #release(batch: Sent): void {
    this.#inFlightBytes -= batch.bytes
    this.#inFlightRecords -= batch.records
  }

  #takeRefused(): MillraceError {
    const { error, records } = this.#refused as { error: MillraceError; records: number }
    this.#refused = undefined
    return new MillraceError(error.code, `${records} appended records failed: ${error.message}`, { cause: error })
  }

  #hasRoom(): boolean {
    return this.#inFlightBytes * 2 <= this.#bytesMax && this.#inFlightRecords * 2 <= this.#recordsMax
  }

  #wakeDrained(): void {
    if (this.#draining.length === 0 || !this.#hasRoom()) return
    for (const wake of this.#draining.splice(0)) wake()
  }

  #checkOpen(): void {
    if (this.#closed) throw closed(`stream '${this.#options.name}'`)
  }
}

/** The puts of one `putMany`: one promise a batch that they went into, not one a record. */
export class PutGroup {
  readonly #pieces: Promise<PutResult[]>[] = []
  #batch: Sent | undefined
  #piece: Waiting | undefined

  /** Adds the record that was staged last. */
  extend(batch: Sent, native: NativeStream): void {
    const index = batch.records - 1
    const piece = this.#piece
    if (this.#batch === batch && piece !== undefined && piece.first + piece.count === index) {
      piece.count += 1
      return
    }
    const promise = new Promise<PutResult[]>((resolve, reject) => {
      const settle = (sent: Sent): void => {
        const { first, count } = waiting
        resolve(Array.from({ length: count }, (_, i) => new LazyPutResult(native, sent, first + i)))
      }
      const waiting: Waiting = { first: index, count: 1, resolve: settle, reject }
      batch.waiting.push(waiting)
      this.#piece = waiting
    })
    // The caller may still be staging when a piece fails; `results` reports it.
    promise.catch(() => {})
    this.#batch = batch
    this.#pieces.push(promise)
  }

  /** All results, in the order of the records. */
  async results(): Promise<PutResult[]> {
    return (await Promise.all(this.#pieces)).flat()
  }
}
