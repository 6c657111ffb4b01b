/**
 * What a registered consumer reads, as events: batches with a place to go on behind, and an event without records when
 * nothing came for a while, so that a consumer of a quiet shard can note how far it has come.
 *
 * A subscription is a reader below. It asks for the next batch when it is asked for the next event and not before, so
 * that a slow consumer falls behind in the log and holds nothing.
 */
import type { NativeReader } from './binding.js'
import { Batch, Window, type RecordSource } from './batch.js'
import { mapped } from './errors.js'
import type { ReadOptions } from './options.js'
import type { Reader } from './reader.js'
import { Memory } from './segments.js'

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
}

/** What a subscription must know; made by {@link Consumer.subscribe}. @internal */
export interface SubscriptionSetup<T> {
  readonly reader: Reader<T>
  readonly native: () => NativeReader
  readonly source: RecordSource<T>
}

/**
 * The events of a registered consumer. Made by {@link Consumer.subscribe}. Leaving the loop ends it.
 *
 * @example
 * await using events = billing.subscribe({ shard: 'shardId-000000000000', from: 'TRIM_HORIZON' })
 * for await (const event of events) for (const record of event.records) bill(record.data)
 */
export class Subscription<T = Uint8Array>
  implements AsyncIterableIterator<SubscriptionEvent<T>>, AsyncDisposable, Disposable
{
  readonly #setup: SubscriptionSetup<T>
  /** The batch that was asked for and has not come: kept over events without records. */
  #asked: Promise<IteratorResult<Batch<T>>> | undefined
  /** Events are given one after the other, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve()
  #isFirst = true

  /** @internal */
  constructor(setup: SubscriptionSetup<T>) {
    this.#setup = setup
  }

  /**
   * The next event. The first one comes at once, later ones at least every five seconds.
   *
   * Rejects with `ERR_MILLRACE_SUBSCRIPTION_IN_USE` once a newer subscription of the consumer took this one over,
   * `ERR_MILLRACE_CONSUMER_NOT_FOUND` once it was deregistered, `ERR_MILLRACE_CORRUPT`, which names what is lost,
   * `ERR_MILLRACE_ABORTED`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  next(): Promise<IteratorResult<SubscriptionEvent<T>>> {
    const event = this.#last.then(() => this.#nextEvent())
    this.#last = event.catch(() => {})
    return event
  }

  /** Goes on behind the damage at which `next` rejected with `ERR_MILLRACE_CORRUPT`. */
  skipDamage(): void {
    this.#setup.reader.skipDamage()
  }

  /** Ends the subscription. Calls that wait end with `done`. */
  close(): void {
    this.#setup.reader.close()
  }

  /** Ends the subscription when a `for await` loop is left. */
  async return(): Promise<IteratorResult<SubscriptionEvent<T>>> {
    this.close()
    return { done: true, value: undefined }
  }

  /** The subscription itself. */
  [Symbol.asyncIterator](): this {
    return this
  }

  /** Ends the subscription at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Ends the subscription at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  async #nextEvent(): Promise<IteratorResult<SubscriptionEvent<T>>> {
    const { reader } = this.#setup
    if (this.#isFirst) {
      this.#isFirst = false
      const records = reader.nextSync()
      return { done: false, value: records === undefined ? this.#emptyEvent() : eventOf(records) }
    }
    this.#asked ??= this.#ask()
    const result = await this.#within(this.#asked, EVENT_EVERY_MS)
    if (result === undefined) return { done: false, value: this.#emptyEvent() }
    return result.done === true ? { done: true, value: undefined } : { done: false, value: eventOf(result.value) }
  }

  /** Asks the reader; an answer that nobody waits for any more is no failure of the process. */
  #ask(): Promise<IteratorResult<Batch<T>>> {
    const asked = this.#setup.reader.next()
    asked.catch(() => {})
    return asked
  }

  /** What was asked for, or `undefined` when it has not come after so many milliseconds. */
  async #within(asked: Promise<IteratorResult<Batch<T>>>, ms: number): Promise<IteratorResult<Batch<T>> | undefined> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, ms, undefined)))
    let isLate = false
    try {
      const result = await Promise.race([asked, late])
      isLate = result === undefined
      return result
    } finally {
      clearTimeout(timer)
      if (!isLate) this.#asked = undefined
    }
  }

  #emptyEvent(): SubscriptionEvent<T> {
    const records = new Batch<T>(NO_DESCRIPTORS, 0, 0, NOTHING, 0, this.#setup.source)
    return {
      records,
      continuationSequenceNumber: mapped(() => this.#setup.native().continuation()),
      millisBehindLatest: 0,
    }
  }
}

/** The event of a batch, which holds a record at least. */
function eventOf<T>(records: Batch<T>): SubscriptionEvent<T> {
  const continuationSequenceNumber = records.sequenceNumber(records.length - 1)
  return { records, continuationSequenceNumber, millisBehindLatest: records.millisBehindLatest }
}
