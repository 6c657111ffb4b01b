/**
 * The write side of a stream: stages records, hands whole batches to the log, settles promises a group commit at a
 * time, and bounds what is in flight.
 *
 * - A batch is what one native call carries. Batches are acknowledged in order, so the queue in flight is settled
 *   from its front by comparing positions with one watermark.
 * - When a batch leaves: a full buffer at once; for `put` at the end of the current microtasks, because its caller
 *   waits; for `append` at the end of the turn (`setImmediate`), because nobody does and records that arrive one
 *   microtask apart then share a batch; at a flush at once.
 * - A batch that the log refuses fails exactly its own puts, and a record that the limits of its shard refuse fails
 *   alone. Records of `append` that were refused are counted, and the next `append` or flush throws.
 */
import {
  streamAppend,
  streamArmAcknowledged,
  streamSubmit,
  streamSubmitSynced,
  streamTakeRefused,
  type NativeStream,
} from './binding.js'
import { checkWhole } from './checks.js'
import { MillraceError, closed, fromNative, mapped } from './errors.js'
import { keepAlive, unlisten, wakeSoon } from './events.js'
import type { AppendLimits, PutRecord } from './options.js'
import { LazyPutResult, Sent, refusalOf, type PartialPutGroup, type PutGroup, type PutResult } from './put-result.js'
import { STAGING_BYTES, Staging, checkRecord, parseHashKey, stagedBytesMax } from './staging.js'

const IN_FLIGHT_BYTES_DEFAULT = 64 * 1024 * 1024
const IN_FLIGHT_RECORDS_DEFAULT = 1024 * 1024
/** Records whose keys `appendMany` fetches at a time: about as many cache lines as a processor waits for at once. */
const GROUP_RECORDS = 16

/** Its `then` is the least that a microtask costs. */
const resolved = Promise.resolve()

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
  /** The native stream's number, by which the hot calls find it. */
  readonly #handle: number
  readonly #options: AppenderOptions
  /** Most bytes of a record's key and data. */
  maxRecordBytes: number
  readonly #bytesMax: number
  readonly #recordsMax: number
  readonly #staging = new Staging()
  /** The native id under which the durable watermark wakes this handle. */
  readonly #wakeId: number
  /** The staging buffer that the native stream was given. */
  #handed: Uint8Array | undefined
  #current = new Sent()
  readonly #inFlight: Sent[] = []
  #inFlightBytes = 0
  #inFlightRecords = 0
  /** Up to how many bytes and records may be staged before anything has to be done first. */
  #sizeMax = 0
  #countMax = 0
  #scheduled: 'no' | 'turn' | 'microtask' = 'no'
  #refused: { error: MillraceError; records: number } | undefined
  /** Size of the record that was refused last: there is no room until it fits. */
  #wantedBytes = 0
  readonly #draining: (() => void)[] = []
  #closed = false

  constructor(native: NativeStream, wakeId: number, options: AppenderOptions) {
    this.#native = native
    this.#handle = native.handle()
    this.#wakeId = wakeId
    this.#options = options
    this.maxRecordBytes = options.maxRecordBytes
    const { maxInFlightBytes = IN_FLIGHT_BYTES_DEFAULT, maxInFlightRecords = IN_FLIGHT_RECORDS_DEFAULT } =
      options.limits
    this.#bytesMax = checkWhole('maxInFlightBytes', maxInFlightBytes, 1, Number.MAX_SAFE_INTEGER)
    this.#recordsMax = checkWhole('maxInFlightRecords', maxInFlightRecords, 1, Number.MAX_SAFE_INTEGER)
    this.#setRoom()
  }

  /** Stages a record that nobody waits for. */
  append(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): void {
    if (!this.tryAppend(partitionKey, data, hashKey)) throw this.#backpressure(partitionKey, data)
  }

  /** Like {@link append}, but returns `false` when there is no room. */
  tryAppend(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): boolean {
    if (this.#refused !== undefined) throw this.#takeRefused()
    if (!this.#stage(partitionKey, data, hashKey)) return false
    this.#current.appended += 1
    if (this.#scheduled === 'no') {
      this.#scheduled = 'turn'
      void resolved.then(this.#scheduleTurn)
    }
    return true
  }

  /** Stages records from index `from` on while there is room; returns the index of the first that was not taken. */
  appendMany<T>(records: readonly PutRecord<T>[], from: number, encode: (value: T) => Uint8Array): number {
    for (let start = from; start < records.length; start += GROUP_RECORDS) {
      const end = Math.min(start + GROUP_RECORDS, records.length)
      touchKeys(records, start, end)
      for (let index = start; index < end; index += 1) {
        const { partitionKey, data: value, explicitHashKey } = records[index] as PutRecord<T>
        const hashKey = explicitHashKey === undefined ? undefined : parseHashKey(explicitHashKey)
        if (!this.tryAppend(partitionKey, encode(value), hashKey)) return index
      }
    }
    return records.length
  }

  /** Stages a record and resolves when it is acknowledged. */
  put(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): Promise<PutResult> {
    if (!this.#stage(partitionKey, data, hashKey)) throw this.#backpressure(partitionKey, data)
    const first = this.#staging.count - 1
    const promise = new Promise<PutResult>((resolve, reject) => {
      const settle = (batch: Sent): void => resolve(new LazyPutResult(this.#native, batch, first))
      this.#current.waiting.push({ first, count: 1, partial: false, resolve: settle, reject })
    })
    this.#scheduleSoon()
    return promise
  }

  /** Stages a record as the next of `group`, whose results come in order; `false` when there is no room. */
  putInto(
    group: PutGroup | PartialPutGroup,
    partitionKey: string,
    data: Uint8Array,
    hashKey: bigint | undefined,
  ): boolean {
    if (!this.#stage(partitionKey, data, hashKey)) return false
    group.extend(this.#current, this.#staging.count - 1, this.#native)
    this.#scheduleSoon()
    return true
  }

  /** Resolves when all that was staged before is acknowledged. */
  async flush(): Promise<void> {
    this.#checkOpen()
    await this.#flush()
  }

  /** What was refused is told at the end: until then nobody who waits for what is in flight may be left behind. */
  async #flush(): Promise<void> {
    this.#submit()
    const refused = this.#refused === undefined ? undefined : this.#takeRefused()
    const last = this.#inFlight.at(-1)
    if (last !== undefined) {
      await new Promise<void>((resolve, reject) => {
        const settle = (): void => resolve()
        const fail = (error: MillraceError): void =>
          reject(refused ?? (this.#refused === undefined ? error : this.#takeRefused()))
        last.waiting.push({ first: 0, count: 0, partial: false, resolve: settle, reject: fail })
      })
    }
    if (refused !== undefined) throw refused
  }

  /** Returns when all that was staged before is acknowledged. */
  flushSync(): void {
    this.#checkOpen()
    const alone = this.#inFlight.length === 0 && this.#current.waiting.length === 0
    if (alone && this.#options.acknowledgedWhenDurable) this.#submitUnawaited(streamSubmitSynced)
    else this.#submit()
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

  /** Takes no more, and acknowledges or fails all that is staged. */
  async close(): Promise<void> {
    if (this.#closed) return
    // First, so that nobody stages anything behind the last flush.
    this.#closed = true
    this.#setRoom()
    try {
      await this.#flush()
    } finally {
      unlisten(this.#wakeId)
    }
  }

  /** Called by the native channel when the durable watermark moved or will never move again. */
  onAcknowledged(): void {
    if (this.#inFlight.length > 0) this.#settle()
  }

  /** Stages a record; `false` when there is no room for it. */
  #stage(partitionKey: string, data: Uint8Array, hashKey: bigint | undefined): boolean {
    checkRecord(partitionKey, data, this.maxRecordBytes)
    const bytesMax = stagedBytesMax(partitionKey, data)
    const staging = this.#staging
    // One comparison each for all that is rare: a full buffer, too much in flight, a closed stream.
    const isRoom = staging.size + bytesMax <= this.#sizeMax && staging.count < this.#countMax
    if (!isRoom && !this.#makeRoom(bytesMax)) {
      this.#wantedBytes = bytesMax
      return false
    }
    staging.add(partitionKey, data, hashKey, bytesMax)
    return true
  }

  /** Sets what {@link #stage} may take without a further look. */
  #setRoom(): void {
    this.#sizeMax = this.#closed ? -1 : Math.min(STAGING_BYTES, this.#bytesMax - this.#inFlightBytes)
    this.#countMax = this.#recordsMax - this.#inFlightRecords
  }

  #takes(bytes: number): boolean {
    const { size, count } = this.#staging
    return this.#inFlightBytes + size + bytes <= this.#bytesMax && this.#inFlightRecords + count < this.#recordsMax
  }

  /** Empties the buffer, and takes what was acknowledged since the last wake-up; whether that is enough. */
  #makeRoom(bytes: number): boolean {
    this.#checkOpen()
    this.#submit()
    if (this.#takes(bytes)) return true
    if (this.#inFlight.length > 0) this.#settle()
    // A record larger than the limit passes when nothing else is in flight; otherwise it could never be written.
    return this.#inFlightRecords === 0 || this.#takes(bytes)
  }

  #backpressure(partitionKey: string, data: Uint8Array): MillraceError {
    const bytes = stagedBytesMax(partitionKey, data)
    return new MillraceError(
      'ERR_MILLRACE_BACKPRESSURE',
      `expected at most ${this.#bytesMax} bytes and ${this.#recordsMax} records in flight on stream ` +
        `'${this.#options.name}', got ${this.#inFlightBytes + bytes} and ${this.#inFlightRecords + 1}; await drain()`,
    )
  }

  #scheduleSoon(): void {
    if (this.#scheduled === 'microtask') return
    this.#scheduled = 'microtask'
    void resolved.then(this.#submitScheduled)
  }

  /** Asks for the end of the turn only where nothing has left by then: that costs more than what is staged. */
  readonly #scheduleTurn = (): void => {
    if (this.#scheduled !== 'turn') return
    if (this.#staging.count > 0) setImmediate(this.#submitScheduled)
    else this.#scheduled = 'no'
  }

  readonly #submitScheduled = (): void => {
    this.#scheduled = 'no'
    this.#submit()
  }

  /** One native call for all that is staged. What the log refuses is settled here, it never throws. */
  #submit(): void {
    const staging = this.#staging
    if (staging.count === 0) return
    if (!this.#options.acknowledgedWhenDurable && this.#current.waiting.length === 0) {
      this.#submitUnawaited(streamSubmit)
      return
    }
    this.#submitBatch(staging.writeKeys())
  }

  /** Hands over what is staged, its keys written, for promises that wait or for an acknowledgement that comes later. */
  #submitBatch(keyBytes: number): void {
    const staging = this.#staging
    const batch = this.#current
    this.#current = new Sent()
    batch.bytes = staging.size
    batch.records = staging.count
    if (batch.waiting.length > 0) {
      batch.shards = new Uint32Array(batch.records)
      batch.sequences = new BigUint64Array(batch.records)
    }
    try {
      const { bytes, length, count } = staging
      batch.position = streamAppend(this.#handle, bytes, length, keyBytes, count, batch.shards, batch.sequences)
    } catch (thrown) {
      const error = fromNative(thrown)
      if (!isThrottled(error)) {
        this.#fail(batch, error)
        return
      }
      this.#refuse(batch)
    } finally {
      staging.clear()
    }
    if (this.#options.acknowledgedWhenDurable) {
      this.#enqueue(batch)
      if (this.#inFlight.length === 1) this.#settle()
    } else for (const waiting of batch.waiting) waiting.resolve(batch)
  }

  /** Hands over records that no promise waits for and that are acknowledged when `submit` returns: the short way. */
  #submitUnawaited(submit: typeof streamSubmit): void {
    const staging = this.#staging
    if (staging.count === 0) return
    if (this.#handed !== staging.bytes) this.#handStaging(staging.bytes)
    const keyBytes = staging.writeKeys()
    try {
      const fired = submit(this.#handle, staging.length, keyBytes, staging.count)
      if (fired !== 0) wakeSoon(fired)
      this.#current.appended = 0
    } catch (thrown) {
      const error = fromNative(thrown)
      if (isThrottled(error)) {
        // The short way takes all or nothing, and has taken nothing.
        this.#submitBatch(keyBytes)
        return
      }
      const batch = this.#current
      this.#current = new Sent()
      this.#fail(batch, error)
    }
    staging.clear()
  }

  /** Fails those records of a batch that the limits of their shards refused; the others go on. */
  #refuse(batch: Sent): void {
    const { refused, position } = mapped(() => streamTakeRefused(this.#handle))
    batch.position = position
    batch.refused = new Map(refused.map(({ index, error }) => [index, fromNative(new Error(error))]))
    const isAwaited = (index: number): boolean =>
      batch.waiting.some(({ first, count }) => index >= first && index < first + count)
    const unawaited = refused.filter(({ index }) => !isAwaited(index))
    batch.appended -= unawaited.length
    const [first] = unawaited
    if (first !== undefined) {
      const error = batch.refused.get(first.index) as MillraceError
      this.#refused = { error, records: (this.#refused?.records ?? 0) + unawaited.length }
    }
    batch.waiting = batch.waiting.filter((waiting) => {
      const error = waiting.partial ? undefined : refusalOf(batch, waiting)
      if (error !== undefined) waiting.reject(error)
      return error === undefined
    })
  }

  #handStaging(bytes: Buffer): void {
    mapped(() => this.#native.setStaging(bytes))
    this.#handed = bytes
  }

  #enqueue(batch: Sent): void {
    this.#inFlight.push(batch)
    this.#inFlightBytes += batch.bytes
    this.#inFlightRecords += batch.records
    this.#setRoom()
    if (this.#inFlight.length === 1) keepAlive.hold()
  }

  /** Arms the wake-up first and looks second, so that a watermark that moves in between is not missed. */
  #settle(): void {
    const watermark = streamArmAcknowledged(this.#handle)
    const acknowledged = this.#inFlight.findIndex(({ position }) => position > watermark)
    const failure = acknowledged < 0 ? undefined : this.#failure()
    const settled = this.#inFlight.splice(0, acknowledged < 0 || failure !== undefined ? Infinity : acknowledged)
    if (settled.length === 0) return
    for (const batch of settled) {
      this.#inFlightBytes -= batch.bytes
      this.#inFlightRecords -= batch.records
      if (failure !== undefined && batch.position > watermark) this.#fail(batch, failure)
      else for (const waiting of batch.waiting) waiting.resolve(batch)
    }
    this.#setRoom()
    if (this.#inFlight.length === 0) keepAlive.release()
    this.#wakeDrained()
  }

  #failure(): MillraceError | undefined {
    const message = this.#native.failure()
    return message === null ? undefined : fromNative(new Error(message))
  }

  #fail(batch: Sent, error: MillraceError): void {
    if (batch.appended > 0) this.#refused = { error, records: (this.#refused?.records ?? 0) + batch.appended }
    for (const waiting of batch.waiting) waiting.reject(error)
  }

  #takeRefused(): MillraceError {
    const { error, records } = this.#refused as { error: MillraceError; records: number }
    this.#refused = undefined
    const message = `${records} appended records failed: ${error.message}`
    const { retryAfterMs } = error
    return new MillraceError(error.code, message, {
      cause: error,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }

  #hasRoom(): boolean {
    if (this.#inFlightRecords === 0) return true
    const half = this.#inFlightBytes * 2 <= this.#bytesMax && this.#inFlightRecords * 2 <= this.#recordsMax
    return half && this.#inFlightBytes + this.#wantedBytes <= this.#bytesMax
  }

  #wakeDrained(): void {
    if (this.#draining.length === 0 || !this.#hasRoom()) return
    for (const wake of this.#draining.splice(0)) wake()
  }

  #checkOpen(): void {
    if (this.#closed) throw closed(`stream '${this.#options.name}'`)
  }
}

/** Whether limits refused records, and nothing else was wrong with their batch. */
function isThrottled(error: MillraceError): boolean {
  return error.code === 'ERR_MILLRACE_THROUGHPUT_EXCEEDED'
}

/** Where {@link touchKeys} leaves its sum, so that its loads are not optimised away. */
const touched = new Uint32Array(1)

/**
 * Looks at each key once. Keys that the program made long ago are no longer in the processor's cache, and this tight
 * loop fetches several at once, where the loop that stages them would wait for one after the other.
 */
function touchKeys(records: readonly PutRecord<unknown>[], start: number, end: number): void {
  let characters = 0
  for (let index = start; index < end; index += 1) characters += records[index]?.partitionKey?.length ?? 0
  touched[0] = characters
}
