/**
 * A store: one data directory, its streams, and their life.
 *
 * Handles are per environment; worker threads that open the same directory share one engine in the native module.
 */
import { NativeEngine, externalBuffersAllowed, observeStore, verifyStore } from './binding.js'
import { checkName, checkWhole } from './checks.js'
import { checkCodec, raw, type Codec } from './codec.js'
import { describeSummary, nativeDurability } from './describe.js'
import { retentionHours } from './duration.js'
import { MillraceError, aborted, closed, fromNative, mapped, mappedAsync } from './errors.js'
import { listen, notifier, unlisten } from './events.js'
import { parseObservation, type Observation, type StreamMetrics } from './metrics.js'
import type { CreateStreamOptions, OpenOptions, StreamOptions, StreamSummary, TestingOptions } from './options.js'
import { Appender } from './put.js'
import { repair, type RepairOptions, type RepairReport } from './repair.js'
import { nativeBuckets, Server, type ServeChannels, type ServeOptions } from './server.js'
import { checkMode, nativeLimits, nativeTags } from './settings.js'
import { Stream } from './stream.js'
import { describeDamage, progressIsTold, type VerifyOptions, type VerifyReport } from './verify.js'

const RECORD_BYTES_DEFAULT = 1024 * 1024
/** As Kinesis: 4 MB/s written. */
const ON_DEMAND_SHARDS = 4
const U32_MAX = 0xffff_ffff
const CLOCK_FACTOR_MAX = 1_000_000
const COPY_WARNING = 'this runtime forbids external buffers: records are handed over as copies, which reads more slowly'

/**
 * An open store.
 *
 * @example
 * await using millrace = await Millrace.open('./data')
 * const clicks = await millrace.createStream('clicks', { shards: 4, retention: '7d' })
 */
export class Millrace implements AsyncDisposable {
  readonly #native: NativeEngine
  readonly #streams = new Map<string, Promise<Stream<unknown>>>()
  /** Those of `#streams` that are open by now. */
  readonly #opened = new Map<string, Stream<unknown>>()
  readonly #servers = new Set<Server>()
  readonly #copyOnly: boolean
  #closing: Promise<void> | undefined

  private constructor(native: NativeEngine) {
    this.#native = native
    this.#copyOnly = !externalBuffersAllowed()
  }

  /**
   * Opens the store in `directory`, and creates it when that is empty or absent. What was acknowledged before a
   * crash is there again; `warnings` tells what had to be repaired.
   *
   * Rejects with `ERR_MILLRACE_LOCKED` (another process has it), `ERR_MILLRACE_NOT_A_STORE`,
   * `ERR_MILLRACE_FORMAT_NEWER`, `ERR_MILLRACE_READ_ONLY`, `ERR_MILLRACE_CORRUPT`, `ERR_MILLRACE_IO`,
   * `ERR_MILLRACE_UNSUPPORTED` or `ERR_MILLRACE_ABORTED`.
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Millrace> {
    checkName('directory', directory)
    const { signal } = options
    if (signal?.aborted) throw aborted(signal)
    const nativeOptions = { create: options.create ?? true, ...checkTesting(options.testing) }
    const native = await mappedAsync(() => NativeEngine.open(directory, nativeOptions))
    if (signal?.aborted) {
      await mappedAsync(() => native.close())
      throw aborted(signal)
    }
    return new Millrace(native)
  }

  /**
   * Reads every frame of every stream of the store in `directory` and reports all damage, also where the store or a
   * stream could not be opened. Nothing is changed, and no process can open the store for writing meanwhile.
   *
   * Rejects with `ERR_MILLRACE_LOCKED` (another process has it), `ERR_MILLRACE_NOT_A_STORE`,
   * `ERR_MILLRACE_FORMAT_NEWER`, `ERR_MILLRACE_UNSUPPORTED` or `ERR_MILLRACE_IO`.
   *
   * @example
   * const { damages } = await Millrace.verify('./data')
   */
  static async verify(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
    checkName('directory', directory)
    const { onProgress } = options
    const report = await mappedAsync(() => verifyStore(directory, (done, total) => onProgress?.(done, total)))
    await progressIsTold()
    return { ...report, damages: report.damages.map(describeDamage) }
  }

  /**
   * Copies all that is good of the store in `from` to a new store in `to`, a directory that is missing or empty, and
   * reports what was left out. `from` stays as it is; no process can open it for writing meanwhile.
   *
   * The copy has the same streams, records, sequence numbers and arrival times. It is written under the name of `to`
   * with `.unfinished` behind it and gets its own when all of it is on disk; what an interrupted repair leaves there,
   * the next one removes.
   *
   * Rejects with `ERR_MILLRACE_LOCKED` (a process has `from` open), `ERR_MILLRACE_INVALID_ARGUMENT` (`to` is not empty,
   * or lies in `from`), `ERR_MILLRACE_NOT_A_STORE`, `ERR_MILLRACE_FORMAT_NEWER`, `ERR_MILLRACE_DISK_FULL`,
   * `ERR_MILLRACE_READ_ONLY`, `ERR_MILLRACE_UNSUPPORTED`, `ERR_MILLRACE_IO` or `ERR_MILLRACE_ABORTED`.
   *
   * @example
   * const { streams, damages } = await Millrace.repair('./data', './data-repaired')
   */
  static async repair(from: string, to: string, options: RepairOptions = {}): Promise<RepairReport> {
    checkName('from', from)
    checkName('to', to)
    return await repair(from, to, options)
  }

  /**
   * Looks at the figures of the process that has the store in `directory` open, without a claim on it: what `millrace top`
   * shows. They are up to a second old. In another container, or on another host, no process is seen.
   *
   * Rejects with `ERR_MILLRACE_NOT_A_STORE`, `ERR_MILLRACE_FORMAT_NEWER`, `ERR_MILLRACE_READ_ONLY` or `ERR_MILLRACE_IO`.
   *
   * @example
   * const { pid, streams } = await Millrace.observe('./data')
   */
  static async observe(directory: string): Promise<Observation> {
    checkName('directory', directory)
    return parseObservation(await mappedAsync(() => observeStore(directory)))
  }

  /** Metrics of the streams that were opened with this handle; see {@link Stream.metrics}. */
  metrics(): StreamMetrics[] {
    this.#checkOpen()
    return [...this.#opened.values()].map((stream) => stream.metrics())
  }

  /** What was noticed and repaired, or works in a slower mode: sentences for a log. */
  get warnings(): readonly string[] {
    this.#checkOpen()
    const warnings = mapped(() => this.#native.warnings())
    return this.#copyOnly ? [...warnings, COPY_WARNING] : warnings
  }

  /**
   * Creates a stream. It is durable when the promise resolves.
   *
   * Rejects with `ERR_MILLRACE_STREAM_EXISTS` (unless `ifNotExists`), `ERR_MILLRACE_INVALID_ARGUMENT`,
   * `ERR_MILLRACE_DISK_FULL` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const clicks = await millrace.createStream('clicks', { shards: 4, codec: json<Click>() })
   */
  async createStream<T = Uint8Array>(name: string, options: CreateStreamOptions<T> = {}): Promise<Stream<T>> {
    this.#checkOpen()
    checkName('name', name)
    const codec = codecOf(options)
    const mode = checkMode(options.mode ?? 'provisioned')
    const config = {
      shards: checkWhole('shards', options.shards ?? (mode === 'on-demand' ? ON_DEMAND_SHARDS : 1), 0, U32_MAX),
      retentionHours: retentionHours(options.retention ?? '24h'),
      ...nativeDurability(options.durability ?? 'synced'),
      maxRecordBytes: checkWhole('maxRecordBytes', options.maxRecordBytes ?? RECORD_BYTES_DEFAULT, 0, U32_MAX),
      preallocateBytes: checkWhole('preallocate', options.preallocate ?? 0, 0, Number.MAX_SAFE_INTEGER),
      codec: codec.name,
      limits: nativeLimits(options.limits ?? 'unlimited'),
      mode,
      tags: nativeTags(options.tags ?? {}),
    }
    try {
      await this.#native.createStream(name, config)
    } catch (thrown) {
      const error = fromNative(thrown)
      if (error.code !== 'ERR_MILLRACE_STREAM_EXISTS' || options.ifNotExists !== true) throw error
    }
    return await this.stream<T>(name, options)
  }

  /**
   * Opens a stream that exists. A stream is opened once a store; a second call with the same codec returns the same
   * handle.
   *
   * Rejects with `ERR_MILLRACE_STREAM_NOT_FOUND`, `ERR_MILLRACE_STREAM_DELETING`, `ERR_MILLRACE_INVALID_ARGUMENT`
   * (another codec), `ERR_MILLRACE_CORRUPT` or `ERR_MILLRACE_CLOSED`.
   */
  async stream<T = Uint8Array>(name: string, options: StreamOptions<T> = {}): Promise<Stream<T>> {
    this.#checkOpen()
    checkName('name', name)
    const codec = codecOf(options)
    this.#forgetDeleted()
    let opening = this.#streams.get(name)
    if (opening === undefined) {
      opening = this.#openStream(name, codec, options) as Promise<Stream<unknown>>
      this.#streams.set(name, opening)
      opening.catch(() => this.#streams.delete(name))
    }
    const stream = await opening
    checkCodec(name, stream.codecName, codec)
    // Two codecs of one name are taken for the same: the name is all that is stored of a codec.
    return stream as Stream<T>
  }

  /** All streams of the store, in the order of their creation. */
  listStreams(): StreamSummary[] {
    this.#checkOpen()
    return mapped(() => this.#native.listStreams()).map(describeSummary)
  }

  /**
   * Deletes a stream and its records. Readers and puts that are under way fail with `ERR_MILLRACE_STREAM_DELETING`
   * or `ERR_MILLRACE_CLOSED`; batches that were handed over stay readable.
   *
   * Rejects with `ERR_MILLRACE_STREAM_NOT_FOUND` or `ERR_MILLRACE_CLOSED`.
   */
  async deleteStream(name: string): Promise<void> {
    this.#checkOpen()
    checkName('name', name)
    await mappedAsync(() => this.#native.deleteStream(name))
    const opening = this.#streams.get(name)
    this.#streams.delete(name)
    this.#opened.delete(name)
    await opening?.then((stream) => stream.closeWith(deleted(name))).catch(() => {})
  }

  /**
   * Takes the wall clock for right. A clock that jumps, and a store that was closed for more than an hour, pause the
   * expiry of records (a warning says so): nothing is deleted too early, and records stay longer, until this is called.
   *
   * Rejects with `ERR_MILLRACE_CLOSED` or `ERR_MILLRACE_IO`.
   *
   * @example
   * if (millrace.warnings.some((warning) => warning.includes('clock'))) await millrace.acceptClock()
   */
  async acceptClock(): Promise<void> {
    this.#checkOpen()
    await mappedAsync(() => this.#native.acceptClock())
  }

  /**
   * Delivers the channels of all streams to these buckets from now on, until the store is closed or another call says
   * otherwise: {@link serve} with `channels` does the same, so that a process that serves needs no call. It holds for all
   * threads that have the store open, and does not keep the process alive. Each time that the store is opened it has to be
   * said anew; channels go on where they stood. Why an object was not delivered is told by {@link Stream.channels}.
   *
   * Without `channels` they are delivered where they are already, or else to the folder `channels` of the store, in which
   * each bucket is a folder.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_IO` (there is no thread to be had) or
   * `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await clicks.createChannel('archive', { bucket: 'clicks', format: 'json' })
   * await millrace.deliverChannels({ directory: './buckets' }) // ./buckets/clicks/clicks/2026/01/31/23/archive-….jsonl
   */
  async deliverChannels(channels?: ServeChannels): Promise<void> {
    this.#checkOpen()
    const buckets = channels === undefined ? undefined : nativeBuckets(channels)
    await mappedAsync(() => this.#native.deliverChannels(buckets))
  }

  /**
   * Serves the store's streams as Amazon Kinesis Data Streams does: existing SDKs, the KCL and the AWS command line run
   * on the returned address unchanged. The server keeps the process alive until it is stopped; the store's `close` stops
   * it too. Without `credentials` anybody may call, on a loopback address alone.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_IO` (the address is taken, say), `ERR_MILLRACE_READ_ONLY`
   * or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const server = await millrace.serve({ port: 4567 })
   * console.log(server.url) // http://127.0.0.1:4567
   */
  async serve(options: ServeOptions = {}): Promise<Server> {
    this.#checkOpen()
    const server = await Server.start(this.#native, options, (ended) => this.#servers.delete(ended))
    this.#servers.add(server)
    if (this.#closing === undefined) return server
    await server.stop()
    throw closed('store')
  }

  /**
   * Acknowledges what is in flight, ends readers, and closes the store. Closing again waits for the same; any other
   * call afterwards fails with `ERR_MILLRACE_CLOSED`. Rejects when records in flight could not be acknowledged; the
   * store is closed even so.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Closes the store at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#servers].map((server) => server.stop()))
    const streams = await Promise.allSettled(this.#streams.values())
    const closings = streams.map((opened) =>
      opened.status === 'fulfilled' ? opened.value.closeWith(closed('store')) : Promise.resolve(),
    )
    const results = await Promise.allSettled(closings)
    await mappedAsync(() => this.#native.close())
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /**
   * Lets go of streams that another thread deleted: they hold files, and one of the same name may have been created
   * since.
   */
  #forgetDeleted(): void {
    for (const [name, stream] of this.#opened) {
      if (!stream.isDeleted) continue
      this.#opened.delete(name)
      this.#streams.delete(name)
      // What was in flight has heard of the deletion from the engine.
      stream.closeWith(deleted(name)).catch(() => {})
    }
  }

  async #openStream<T>(name: string, codec: Codec<T>, options: StreamOptions<T>): Promise<Stream<T>> {
    const wakeId = listen(() => appender.onAcknowledged())
    const native = await mappedAsync(() => this.#native.openStream(name, notifier(), wakeId)).catch((error) => {
      unlisten(wakeId)
      throw error
    })
    const description = mapped(() => native.describe())
    try {
      checkCodec(name, description.summary.codec ?? raw.name, codec)
    } catch (error) {
      unlisten(wakeId)
      throw error
    }
    const appender = new Appender(native, wakeId, {
      name,
      maxRecordBytes: description.maxRecordBytes,
      acknowledgedWhenDurable: description.summary.durability === 'synced',
      limits: options,
    })
    const stream = new Stream<T>({
      name,
      native,
      codec,
      appender,
      copyOnly: this.#copyOnly,
      engine: this.#native,
    })
    this.#opened.set(name, stream as Stream<unknown>)
    return stream
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closed('store')
  }
}

function deleted(name: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_STREAM_DELETING', `stream '${name}' was deleted`)
}

function checkTesting({ clockFactor, segmentBytesMax, meters }: TestingOptions = {}): TestingOptions {
  return {
    ...(meters === undefined ? {} : { meters }),
    ...(clockFactor === undefined ? {} : { clockFactor: checkWhole('clockFactor', clockFactor, 1, CLOCK_FACTOR_MAX) }),
    ...(segmentBytesMax === undefined
      ? {}
      : { segmentBytesMax: checkWhole('segmentBytesMax', segmentBytesMax, 0, U32_MAX) }),
  }
}

function codecOf<T>(options: StreamOptions<T>): Codec<T> {
  // Without the option `T` is its default, `Uint8Array`, which is what `raw` takes.
  return options.codec ?? (raw as Codec<unknown> as Codec<T>)
}
