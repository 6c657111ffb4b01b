/**
 * What a registered consumer reads, as events: batches with a place to go on behind, and an event without records when
 * nothing came for a while, so that a consumer of a quiet shard can note how far it has come.
 *
 * A subscription is a reader below. It asks for the next batch when it is asked for the next event and not before, so
 * that a slow consumer falls behind in the log and holds nothing.
 */
import { Batch, Window, type RecordSource } from './batch.js'
import type { ReadOptions, ShardDescription } from './options.js'
import type { Reader } from './reader.js'
import { Memory } from './segments.js'
import { Sequence } from './sequence.js'

/** An event comes at least this often, in milliseconds, with records or without (Kinesis: 5 seconds). */
const EVENT_EVERY_MS = 5000

const NOTHING = { memory: new Memory(Buffer.alloc(0)) }
const NO_DESCRIPTORS = new Window(1)

/** Options of {@link Consumer.subscribe}: those of {@link Stream.read} that make sense for events. */
export type SubscribeOptions = Pick<
  ReadOptions,
  'from' | 'shard' | 'visibility' | 'copy' | 'maxRecords' | 'maxBytes' | 'signal'
>

/** What a consumer is given at a time. */
export interface SubscriptionEvent<T = Uint8Array> {
  /** The records, as {@link Reader} gives them; none where there was nothing new for five seconds. */
  readonly records: Batch<T>
  /**
   * Goes on behind this event: `subscribe({ from: { after: continuationSequenceNumber } })` with the same `shard`. It
   * moves on where nothing was written for this subscription, too.
   */
  readonly continuationSequenceNumber: string
  /** Milliseconds that the consumer is behind the newest record; 0 at the tail. */
  readonly millisBehindLatest: number
  /**
   * In the last event of a subscription of a shard that was split or merged: what it was split or merged into. All of
   * the shard's records came before; go on with a subscription of each of these from `'TRIM_HORIZON'`.
   */
  readonly childShards?: readonly ShardDescription[]
}

/**
 * The events of a registered consumer. Made by {@link Consumer.subscribe}. Leaving the loop ends it.
 *
 * @example
 * await using events = billing.subscribe({ shard: 'shardId-000000000000', from: 'TRIM_HORIZON' })
 * for await (const event of events) for (const record of event.records) bill(record.data)
 */
export class Subscription<T = Uint8Array> extends Sequence<SubscriptionEvent<T>> {
  readonly #reader: Reader<T>
  readonly #source: RecordSource<T>
  /** The batch that was asked for and has not come: kept over events without records. */
  #asked: Promise<IteratorResult<Batch<T>>> | undefined
  /** Events are given one after the other, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve()
  #isFirst = true
  #toldChildren = false

  /** @internal */
  constructor(reader: Reader<T>, source: RecordSource<T>) {
    super()
    this.#reader = reader
    this.#source = source
  }

  /**
   * The next event. The first one comes at once, later ones at least every five seconds.
   *
   * Rejects with `ERR_MILLRACE_SUBSCRIPTION_IN_USE` once a newer subscription of the consumer took this one over,
   * `ERR_MILLRACE_CONSUMER_NOT_FOUND` once it was deregistered, `ERR_MILLRACE_CORRUPT`, which names what is lost,
   * `ERR_MILLRACE_ABORTED`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  override next(): Promise<IteratorResult<SubscriptionEvent<T>>> {
    const event = this.#last.then(() => this.#nextEvent())
    this.#last = event.catch(() => {})
    return event
  }

  /** Goes on behind the damage at which `next` rejected with `ERR_MILLRACE_CORRUPT`. */
  skipDamage(): void {
    this.#reader.skipDamage()
  }

  /** Ends the subscription. Calls that wait end with `done`. */
  override close(): void {
    this.#reader.close()
  }

  async #nextEvent(): Promise<IteratorResult<SubscriptionEvent<T>>> {
    if (this.#isFirst) {
      this.#isFirst = false
      const records = this.#reader.nextSync()
      if (records !== undefined) return { done: false, value: eventOf(records) }
      return this.#reader.ended ? this.#end() : { done: false, value: this.#emptyEvent() }
    }
    this.#asked ??= this.#ask()
    const result = await this.#within(this.#asked, EVENT_EVERY_MS).catch((error) => {
      this.#asked = undefined
      throw error
    })
    if (result === undefined) return { done: false, value: this.#emptyEvent() }
    this.#asked = undefined
    return result.done === true ? this.#end() : { done: false, value: eventOf(result.value) }
  }

  /** The end, after the event that tells a closed shard's children. */
  #end(): IteratorResult<SubscriptionEvent<T>> {
    const { childShards } = this.#reader
    if (childShards === undefined || this.#toldChildren) return { done: true, value: undefined }
    this.#toldChildren = true
    return { done: false, value: { ...this.#emptyEvent(), childShards } }
  }

  /** Asks the reader; an answer that nobody waits for any more is no failure of the process. */
  #ask(): Promise<IteratorResult<Batch<T>>> {
    const asked = this.#reader.next()
    asked.catch(() => {})
    return asked
  }

  /** What was asked for, or `undefined` when it has not come after so many milliseconds. */
  async #within(asked: Promise<IteratorResult<Batch<T>>>, ms: number): Promise<IteratorResult<Batch<T>> | undefined> {
    const due = performance.now() + ms
    for (;;) {
      const left = due - performance.now()
      const result = await before(asked, Math.max(0, Math.min(left, this.#reader.waitMs)))
      if (result !== undefined) return result
      if (performance.now() >= due) return undefined
      // The stream's limits may let more pass by now.
      this.#reader.lookAgain()
    }
  }

  #emptyEvent(): SubscriptionEvent<T> {
    const records = new Batch<T>(NO_DESCRIPTORS, 0, 0, NOTHING, 0, this.#source)
    return { records, continuationSequenceNumber: this.#reader.continuation, millisBehindLatest: 0 }
  }
}

/** The event of a batch, which holds a record at least. */
function eventOf<T>(records: Batch<T>): SubscriptionEvent<T> {
  const continuationSequenceNumber = records.sequenceNumber(records.length - 1)
  return { records, continuationSequenceNumber, millisBehindLatest: records.millisBehindLatest }
}

/** What a promise comes to, or `undefined` when it has not after so many milliseconds. */
async function before<R>(promise: Promise<R>, ms: number): Promise<R | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
