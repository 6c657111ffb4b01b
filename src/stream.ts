/**
 * One stream as a program holds it: validates, encodes, and passes on to the appender and to readers.
 */
import type {
  NativeConsumer,
  NativeEngine,
  NativeReadRequest,
  NativeReader,
  NativeReshard,
  NativeShard,
  NativeStream,
} from './binding.js'
import type { RecordSource } from './batch.js'
import { checkName, checkWhole } from './checks.js'
import type { Codec } from './codec.js'
import { Consumer } from './consumer.js'
import { aborted, closed, fromNative, mapped, mappedAsync, type MillraceError } from './errors.js'
import { describeShard, describeStream, nativeFilter, shardNumber } from './describe.js'
import { Bell, notifier } from './events.js'
import type { Advice, ReplayedMetrics, StreamMetrics } from './metrics.js'
import { parseAdvice, parseMetrics, parseReplayed } from './metrics.js'
import type {
  PutRecord,
  ReadOptions,
  ReshardOptions,
  ShardDescription,
  ShardFilter,
  StreamDescription,
} from './options.js'
import type { Appender } from './put.js'
import { PartialPutGroup, PutGroup, type PutOutcome, type PutResult } from './put-result.js'
import { Queue } from './queue.js'
import { describeQueue, nativeQueueOptions, type CreateQueueOptions, type QueueSummary } from './queue-options.js'
import { readRequest } from './read-request.js'
import { Reader } from './reader.js'
import { Segments } from './segments.js'
import { parseHashKey } from './staging.js'
import { StreamChannels } from './stream-channels.js'
import { Subscription, type SubscribeOptions } from './subscription.js'

/** What a stream must know; made by `Millrace`. @internal */
export interface StreamSetup<T> {
  readonly name: string
  readonly native: NativeStream
  readonly codec: Codec<T>
  readonly appender: Appender
  readonly copyOnly: boolean
  readonly engine: NativeEngine
}

/**
 * A durable, ordered, replayable stream of records. Made by {@link Millrace.createStream} and
 * {@link Millrace.stream}.
 *
 * @example
 * const { shardId, sequenceNumber } = await clicks.put({ partitionKey: 'user-42', data })
 */
export class Stream<T = Uint8Array> extends StreamChannels {
  readonly #setup: StreamSetup<T>
  readonly #appender: Appender
  readonly #encode: (value: T) => Uint8Array
  readonly #source: RecordSource<T>
  readonly #segments = new Segments()
  readonly #readers = new Set<Reader<T>>()
  readonly #queues = new Set<Queue<T>>()
  /** What readers wait for that see records before their sync, and after it. */
  #publishedBell: Bell | undefined
  #durableBell: Bell | undefined
  #closed = false

  /** @internal */
  constructor(setup: StreamSetup<T>) {
    super()
    this.#setup = setup
    this.#appender = setup.appender
    this.#encode = setup.codec.encode.bind(setup.codec)
    this.#source = {
      decode: setup.codec.decode.bind(setup.codec),
      sequenceNumber: (shard, sequence) => mapped(() => setup.native.sequenceNumber(shard, sequence)),
    }
  }

  /** The stream's name. */
  get name(): string {
    return this.#setup.name
  }

  /** Whether it was deleted, in whatever thread. @internal */
  get isDeleted(): boolean {
    return this.#setup.native.isDeleted()
  }

  /** The name of the codec that the stream was created with. */
  get codecName(): string {
    return this.#setup.codec.name
  }

  /**
   * Writes one record. Resolves when it is acknowledged as the stream's durability promises; puts of one turn
   * travel together and resolve in order.
   *
   * Rejects with `ERR_MILLRACE_INVALID_KEY`, `ERR_MILLRACE_RECORD_TOO_LARGE`, `ERR_MILLRACE_INVALID_ARGUMENT`,
   * `ERR_MILLRACE_BACKPRESSURE`, `ERR_MILLRACE_DISK_FULL`, `ERR_MILLRACE_POISONED`, `ERR_MILLRACE_OUTCOME_UNKNOWN`,
   * `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  put(record: PutRecord<T>): Promise<PutResult> {
    try {
      const hashKey = parseHashKey(record.explicitHashKey)
      return this.#appender.put(record.partitionKey, this.#encode(record.data), hashKey)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Writes many records and resolves with their results in the same order. It waits for room by itself, so the
   * iterable may be long; it is no transaction: when it rejects, records before the failing one may be written.
   *
   * @example
   * const results = await clicks.putMany(rows.map((row) => ({ partitionKey: row.user, data: row.bytes })))
   */
  putMany(records: Iterable<PutRecord<T>>): Promise<PutResult[]>
  /**
   * The same, as PutRecords of Kinesis has it: what the log refuses is told record by record, and the others are
   * written. Records that must not be written at all, such as one with an empty key, still reject the call.
   *
   * @example
   * const outcomes = await clicks.putMany(records, { partial: true })
   * const again = records.filter((_, i) => outcomes[i]?.ok === false)
   */
  putMany(records: Iterable<PutRecord<T>>, options: { readonly partial: true }): Promise<PutOutcome[]>
  async putMany(
    records: Iterable<PutRecord<T>>,
    options: { readonly partial?: boolean } = {},
  ): Promise<PutResult[] | PutOutcome[]> {
    const group = options.partial === true ? new PartialPutGroup() : new PutGroup()
    for (const record of records) {
      const hashKey = parseHashKey(record.explicitHashKey)
      const data = this.#encode(record.data)
      while (!this.#appender.putInto(group, record.partitionKey, data, hashKey)) {
        await this.#appender.drain(undefined, aborted)
      }
    }
    return await group.results()
  }

  /**
   * Stages one record and returns: for hot paths. It leaves at the end of the event loop's turn, when the buffer is
   * full, or at a flush. `flush` tells when it is acknowledged.
   *
   * Throws as `put` rejects. When earlier appended records were refused by the log, the next `append`, `flush` or
   * `flushSync` throws that error once and names how many they were.
   *
   * @example
   * for (const row of rows) clicks.append({ partitionKey: row.user, data: row.bytes })
   * await clicks.flush()
   */
  append(record: PutRecord<T>): void {
    const hashKey = record.explicitHashKey
    const data = this.#encode(record.data)
    this.#appender.append(record.partitionKey, data, hashKey === undefined ? undefined : parseHashKey(hashKey))
  }

  /**
   * Appends records from index `from` on, until there is no more room, and returns the index of the first that was
   * not taken: `records.length` when all were. The fastest way to write an array, because it fetches keys into the
   * processor's cache a group at a time.
   *
   * Throws as {@link append} does, but for backpressure; the records before the one that is refused are taken.
   *
   * @example
   * for (let next = 0; (next = clicks.appendMany(records, next)) < records.length; ) await clicks.drain()
   */
  appendMany(records: readonly PutRecord<T>[], from = 0): number {
    return this.#appender.appendMany(records, from, this.#encode)
  }

  /** Resolves when all that was put or appended before is acknowledged as the stream's durability promises. */
  flush(): Promise<void> {
    return this.#appender.flush()
  }

  /** Like {@link flush}, but blocks the event loop until it is so. */
  flushSync(): void {
    this.#appender.flushSync()
  }

  /** Resolves when all that was put or appended before is on disk, whatever the stream's durability is. */
  async sync(): Promise<void> {
    await this.#appender.flush()
    await mappedAsync(() => this.#setup.native.sync())
  }

  /** Resolves when there is room again after `ERR_MILLRACE_BACKPRESSURE`: half of the limits are free. */
  drain(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#appender.drain(options.signal, aborted)
  }

  /**
   * Reads from a position on. The position is fixed at this call, also for `'LATEST'`.
   *
   * Throws `ERR_MILLRACE_SHARD_NOT_FOUND`, `ERR_MILLRACE_SEQUENCE_INVALID`, `ERR_MILLRACE_INVALID_ARGUMENT`,
   * `ERR_MILLRACE_ABORTED`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`; a step can also reject with
   * `ERR_MILLRACE_CORRUPT`, which names what is lost.
   *
   * @example
   * for await (const batch of clicks.read({ from: { timestamp: Date.now() - 60_000 }, signal })) {
   *   for (const record of batch) console.log(record.partitionKey, record.data)
   * }
   */
  read(options: ReadOptions = {}): Reader<T> {
    const { native } = this.#setup
    return this.#open(options, (request, bell) => native.openReader(request, notifier(), bell.id))
  }

  /**
   * Registers a consumer, which reads through pipes of its own. It is durable when the promise resolves.
   *
   * Rejects with `ERR_MILLRACE_CONSUMER_EXISTS`, `ERR_MILLRACE_LIMIT_EXCEEDED` (1,000 consumers and queues a stream, 20 under `aws`),
   * `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const billing = await clicks.registerConsumer('billing', { tags: { team: 'money' } })
   */
  async registerConsumer(
    name: string,
    options: {
      /**
       * Notes of an operator: at most 50.
       * @default {}
       */
      readonly tags?: Readonly<Record<string, string>>
    } = {},
  ): Promise<Consumer<T>> {
    this.#checkOpen()
    checkName('name', name)
    return this.#consumer(await mappedAsync(() => this.#setup.native.registerConsumer(name, { ...options.tags })))
  }

  /** The registered consumer of this name. Throws `ERR_MILLRACE_CONSUMER_NOT_FOUND` where there is none. */
  consumer(name: string): Consumer<T> {
    this.#checkOpen()
    checkName('name', name)
    return this.#consumer(mapped(() => this.#setup.native.consumer(name)))
  }

  /** All registered consumers, in the order of their registration. */
  consumers(): Consumer<T>[] {
    this.#checkOpen()
    return mapped(() => this.#setup.native.listConsumers()).map((consumer) => this.#consumer(consumer))
  }

  /**
   * Creates a queue, which hands out each record until it is acknowledged, and opens it. It is durable when the promise
   * resolves.
   *
   * Rejects with `ERR_MILLRACE_QUEUE_EXISTS` (unless `ifNotExists`), `ERR_MILLRACE_LIMIT_EXCEEDED` (1,000 consumers and
   * queues a stream), `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_DISK_FULL`, `ERR_MILLRACE_STREAM_DELETING` or
   * `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const shipping = await orders.createQueue('shipping', { from: 'TRIM_HORIZON', visibilitySeconds: 60 })
   */
  async createQueue(name: string, options: CreateQueueOptions = {}): Promise<Queue<T>> {
    this.#checkOpen()
    checkName('name', name)
    try {
      await this.#setup.native.createQueue(name, nativeQueueOptions(options))
    } catch (thrown) {
      const error = fromNative(thrown)
      if (error.code !== 'ERR_MILLRACE_QUEUE_EXISTS' || options.ifNotExists !== true) throw error
    }
    return await this.queue(name)
  }

  /** Opens a queue. Rejects with `ERR_MILLRACE_QUEUE_NOT_FOUND`, or as {@link createQueue} does. */
  async queue(name: string): Promise<Queue<T>> {
    this.#checkOpen()
    checkName('name', name)
    const bell = this.#bell(false)
    const native = await mappedAsync(() => this.#setup.native.openQueue(name, notifier(), bell.id))
    const queue = new Queue<T>({
      name,
      native,
      stream: this.#setup.native,
      bell,
      decode: this.#source.decode,
      checkOpen: () => this.#checkOpen(),
      onClose: (ended) => this.#queues.delete(ended),
    })
    this.#queues.add(queue)
    return queue
  }

  /** All queues, in the order of their creation. */
  queues(): QueueSummary[] {
    this.#checkOpen()
    return mapped(() => this.#setup.native.listQueues()).map(describeQueue)
  }

  /** The stream's settings, shards and sizes as they are now. */
  override describe(): StreamDescription {
    this.#checkOpen()
    return describeStream(mapped(() => this.#setup.native.describe()))
  }

  /**
   * What has happened in the stream since it was opened: totals, rates, durations, ages and heavy keys, for the stream
   * and each shard. All threads of the process count together.
   *
   * @example
   * const { incoming, keys } = clicks.metrics()
   * console.log(incoming.minute.records, 'records a second, most of', keys[0]?.key)
   */
  metrics(): StreamMetrics {
    this.#checkOpen()
    return parseMetrics(mapped(() => this.#setup.native.metrics()))
  }

  /**
   * What to do about the load of the last minute: which hot shard to split and where, which key to spread over several,
   * which cold neighbours to merge. Empty where all is well.
   *
   * @example
   * for (const { text } of clicks.advise()) console.log(text)
   */
  advise(): Advice[] {
    this.#checkOpen()
    return parseAdvice(mapped(() => this.#setup.native.advise()))
  }

  /**
   * Metrics and advice from the records themselves, those of the last minute before the newest one: for a store that was
   * opened only now. It reads that minute, in a thread of its own.
   *
   * Rejects with `ERR_MILLRACE_CORRUPT`, `ERR_MILLRACE_IO`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  async replayMetrics(): Promise<ReplayedMetrics> {
    this.#checkOpen()
    return parseReplayed(await mappedAsync(() => this.#setup.native.replayMetrics()))
  }

  /**
   * The shards that a filter lets pass, by default all that can be read, in the order of their ids.
   *
   * Throws `ERR_MILLRACE_INVALID_ARGUMENT` for a time in the future, `ERR_MILLRACE_SHARD_NOT_FOUND`,
   * `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const open = clicks.listShards({ filter: 'AT_LATEST' })
   */
  listShards(options: { readonly filter?: ShardFilter } = {}): readonly ShardDescription[] {
    this.#checkOpen()
    const filter = nativeFilter(options.filter ?? 'FROM_TRIM_HORIZON')
    return mapped(() => this.#setup.native.listShards(filter)).map(describeShard)
  }

  /**
   * Splits an open shard in two and resolves with them: the hash keys of the upper one begin at `at`, by default in the
   * middle. From then on records go to the children; the parent can be read until its records have expired. Writing and
   * reading go on meanwhile.
   *
   * Rejects with `ERR_MILLRACE_SHARD_NOT_FOUND`, with `ERR_MILLRACE_INVALID_ARGUMENT` for a shard that is closed or a
   * hash key that is not greater than one plus the shard's starting hash key and less than its ending one, with
   * `ERR_MILLRACE_LIMIT_EXCEEDED`, `ERR_MILLRACE_STREAM_DELETING`, `ERR_MILLRACE_DISK_FULL`, `ERR_MILLRACE_POISONED` or
   * `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const [lower, upper] = await clicks.splitShard('shardId-000000000000')
   */
  async splitShard(
    shardId: string,
    options: { readonly at?: bigint | string } & ReshardOptions = {},
  ): Promise<readonly ShardDescription[]> {
    this.#checkOpen()
    const [shard, at] = [shardNumber(shardId), parseHashKey(options.at, 'at')?.toString()]
    if (options.dryRun === true) return this.#plan({ shard, ...(at === undefined ? {} : { at }) })
    return (await mappedAsync(() => this.#setup.native.splitShard(shard, at))).map(describeShard)
  }

  /**
   * Merges two open shards whose hash keys adjoin into one, and resolves with it.
   *
   * Rejects as {@link splitShard} does, with `ERR_MILLRACE_INVALID_ARGUMENT` for shards that are closed or do not adjoin.
   *
   * @example
   * const merged = await clicks.mergeShards('shardId-000000000001', 'shardId-000000000002')
   */
  async mergeShards(shardId: string, adjacentShardId: string, options: ReshardOptions = {}): Promise<ShardDescription> {
    this.#checkOpen()
    const [shard, adjacent] = [shardNumber(shardId), shardNumber(adjacentShardId)]
    if (options.dryRun === true) return this.#plan({ shard, adjacent })[0] as ShardDescription
    const [merged] = await mappedAsync(() => this.#setup.native.mergeShards(shard, adjacent))
    return describeShard(merged as NativeShard)
  }

  /**
   * Changes the number of open shards to `count`, all of the same size, in one step. Resolves with the shards that were
   * opened for it; those that had the right size already stay.
   *
   * Rejects as {@link splitShard} does, with `ERR_MILLRACE_INVALID_ARGUMENT` for more than double the present number, less
   * than half of it or more than 10,000, and with `ERR_MILLRACE_LIMIT_EXCEEDED` when it was changed ten times within 24
   * hours.
   *
   * @example
   * await clicks.updateShardCount(8)
   */
  async updateShardCount(count: number, options: ReshardOptions = {}): Promise<readonly ShardDescription[]> {
    this.#checkOpen()
    checkWhole('count', count, 1, 10_000)
    if (options.dryRun === true) return this.#plan({ count })
    return (await mappedAsync(() => this.#setup.native.updateShardCount(count))).map(describeShard)
  }

  /** Ends readers with `error`, and acknowledges or fails what is in flight. @internal */
  async closeWith(error: MillraceError): Promise<void> {
    if (this.#closed) return
    try {
      await this.#appender.close()
    } finally {
      this.#closed = true
      for (const reader of this.#readers) reader.closeWith(error)
      for (const queue of this.#queues) queue.closeWith(error)
      this.#publishedBell?.close()
      this.#durableBell?.close()
    }
  }

  /** @internal */
  protected override async change(change: (engine: NativeEngine, name: string) => Promise<void>): Promise<void> {
    this.#checkOpen()
    await mappedAsync(() => change(this.#setup.engine, this.#setup.name))
  }

  /** @internal */
  protected override open(): NativeStream {
    this.#checkOpen()
    return this.#setup.native
  }

  /** @internal */
  protected override limitRecords(maxRecordBytes: number): void {
    this.#appender.maxRecordBytes = maxRecordBytes
  }

  /** Opens a reader, or what reads as one. */
  #open(options: ReadOptions, open: (request: NativeReadRequest, bell: Bell) => NativeReader): Reader<T> {
    this.#checkOpen()
    const request = readRequest(options, this.#setup.copyOnly)
    const bell = this.#bell(request.published)
    const reader = new Reader<T>({
      open: () => open(request, bell),
      bell,
      source: this.#source,
      segments: this.#segments,
      follow: options.follow ?? true,
      polled: options.mode === 'polled',
      maxRecords: request.maxRecords,
      signal: options.signal,
      onClose: (ended) => this.#readers.delete(ended),
    })
    this.#readers.add(reader)
    return reader
  }

  /** What rings for those who see records before their sync, or after it. */
  #bell(published: boolean): Bell {
    return published ? (this.#publishedBell ??= new Bell()) : (this.#durableBell ??= new Bell())
  }

  #consumer(consumer: NativeConsumer): Consumer<T> {
    const { native } = this.#setup
    const subscribe = (name: string, options: SubscribeOptions): Subscription<T> => {
      const open = (request: NativeReadRequest, bell: Bell): NativeReader =>
        native.openSubscription(name, request, notifier(), bell.id)
      return new Subscription<T>(this.#open(options, open), this.#source)
    }
    return new Consumer<T>({ native, consumer, subscribe })
  }

  #plan(change: NativeReshard): ShardDescription[] {
    return mapped(() => this.#setup.native.planReshard(change)).map(describeShard)
  }

  #checkOpen(): void {
    if (this.#closed) throw closed(`stream '${this.#setup.name}'`)
  }
}
