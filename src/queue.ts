/**
 * A queue on a stream: records handed out one consumer at a time, each until it is acknowledged.
 *
 * A receiver that found nothing waits for the bell of the stream's readers, and for the moment at which a record in
 * flight becomes visible again; it is armed first and looks second, so that no change is missed.
 */
import type { NativeMessage, NativeQueue, NativeReceived, NativeStream } from './binding.js'
import { formatShardId } from './batch.js'
import { checkWhole } from './checks.js'
import { aborted, fromNative, invalidArgument, mapped, mappedAsync, type MillraceError } from './errors.js'
import { keepAlive, type Bell } from './events.js'
import { nativeAttributes, type QueueAttributes, type QueueMetrics, type ReceiveOptions } from './queue-options.js'

/** How long one call of the loop over messages waits, in seconds; it asks again then. */
const LOOP_WAIT_S = 20
const WAIT_S_MAX = 20
const TIMEOUT_S_MAX = 43_200

/** What a queue must know; made by `Stream`. @internal */
export interface QueueSetup<T> {
  readonly name: string
  readonly native: NativeQueue
  readonly stream: NativeStream
  readonly bell: Bell
  readonly decode: (bytes: Uint8Array) => T
  /** Rejects when the stream was closed. */
  readonly checkOpen: () => void
  readonly onClose: (queue: Queue<T>) => void
}

/** A receipt that could not be settled, and why. */
export interface SettleFailure {
  /** The receipt, as it was passed. */
  readonly receipt: string
  /** `ERR_MILLRACE_RECEIPT_INVALID`, `ERR_MILLRACE_RECEIPT_EXPIRED`, or what else is wrong with it. */
  readonly error: MillraceError
}

/** What became of the receipts of a call. */
export interface Settled {
  /** The receipts that were settled. */
  readonly successful: readonly string[]
  /** Those that were not. */
  readonly failed: readonly SettleFailure[]
}

/** A record as a queue hands it out. It owns its bytes. */
export class Message<T = Uint8Array> {
  /** What settles this delivery: new each time that the record is received. */
  readonly receipt: string
  /** The same at every delivery and in every queue of the stream: the record's sequence number. */
  readonly recordId: string
  /** The record's partition key. */
  readonly partitionKey: string
  /** The shard that the record is in. */
  readonly shardId: string
  /** The data as bytes. */
  readonly bytes: Uint8Array
  /** When the record arrived in the stream. */
  readonly approximateArrivalTimestamp: Date
  /** When the record was first received. */
  readonly firstReceiveTimestamp: Date
  /** How often it was received without being acknowledged, this time included. */
  readonly receiveCount: number
  readonly #queue: Queue<T>
  readonly #decode: (bytes: Uint8Array) => T

  /** @internal */
  constructor(native: NativeMessage, queue: Queue<T>, decode: (bytes: Uint8Array) => T) {
    this.receipt = native.receipt
    this.recordId = native.recordId
    this.partitionKey = native.partitionKey
    this.shardId = formatShardId(native.shard)
    this.bytes = native.data
    this.approximateArrivalTimestamp = new Date(native.arrivedMs)
    this.firstReceiveTimestamp = new Date(native.firstReceivedMs)
    this.receiveCount = native.receiveCount
    this.#queue = queue
    this.#decode = decode
  }

  /** The data as the stream's codec decodes it; decoded anew at each call. */
  get data(): T {
    return this.#decode(this.bytes)
  }

  /** Acknowledges it: see {@link Queue.ack}. Rejects with the error of this receipt. */
  async ack(): Promise<void> {
    throwFirst(await this.#queue.ack([this]))
  }

  /** Hides it for so many seconds from now on, 0 to 43,200; with 0 it is visible at once. */
  async extend(seconds: number): Promise<void> {
    throwFirst(await this.#queue.extend([this], seconds))
  }
}

/** Something that names a delivery: a message, or its receipt. */
export type Receipt =
  | string
  | {
      /** The receipt. */
      readonly receipt: string
    }

/**
 * A queue on a stream. Made by {@link Stream.createQueue} and {@link Stream.queue}.
 *
 * @example
 * const shipping = await orders.createQueue('shipping')
 * for await (const message of shipping) {
 *   await ship(message.data)
 *   await message.ack()
 * }
 */
export class Queue<T = Uint8Array> {
  readonly #setup: QueueSetup<T>
  /** Ends the waits of receivers, each of which then looks again. */
  readonly #waiting = new Set<() => void>()
  #closedBy: MillraceError | undefined

  /** @internal */
  constructor(setup: QueueSetup<T>) {
    this.#setup = setup
  }

  /** The queue's name. */
  get name(): string {
    return this.#setup.name
  }

  /**
   * Receives records, those that were received before first. Resolves with none when `waitSeconds` have passed and
   * nothing is visible.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_LIMIT_EXCEEDED` (120,000 records in flight),
   * `ERR_MILLRACE_QUEUE_NOT_FOUND` (it was deleted), `ERR_MILLRACE_ABORTED`, `ERR_MILLRACE_DISK_FULL`,
   * `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const messages = await shipping.receive({ max: 10, waitSeconds: 9, visibilitySeconds: 60 })
   */
  receive(options: ReceiveOptions = {}): Promise<Message<T>[]> {
    return this.#receive(options, false)
  }

  /**
   * Receives dead letters: records that were received as often as the queue allows and never acknowledged. They are
   * acknowledged, extended or restored with the receipt that comes with them. Rejects as {@link receive} does.
   */
  deadLetters(options: ReceiveOptions = {}): Promise<Message<T>[]> {
    return this.#receive(options, true)
  }

  /**
   * Acknowledges deliveries: their records are not handed out again. Resolves when that is as durable as the stream's
   * policy promises. A delivery can be acknowledged as long as its record was not received again.
   *
   * Rejects with what concerns all of them; what is wrong with one stands in `failed`.
   */
  async ack(messages: readonly Receipt[]): Promise<Settled> {
    return await this.#settle(messages, (receipts) => this.#setup.native.acknowledge(receipts))
  }

  /** Hides records in flight for so many seconds from now on, 0 to 43,200; with 0 they are visible at once. */
  async extend(messages: readonly Receipt[], seconds: number): Promise<Settled> {
    checkWhole('seconds', seconds, 0, TIMEOUT_S_MAX)
    return await this.#settle(messages, async (receipts) =>
      this.#setup.native.hide(
        receipts,
        receipts.map(() => seconds),
      ),
    )
  }

  /** Makes dead letters records like any other again, received no time yet. Resolves and rejects as {@link ack}. */
  async restore(messages: readonly Receipt[]): Promise<Settled> {
    return await this.#settle(messages, (receipts) => this.#setup.native.restore(receipts))
  }

  /** How many records the queue has. Waiting ones are counted in the log, up to 1,000,000. */
  async metrics(): Promise<QueueMetrics> {
    this.#checkOpen()
    const { visible, inFlight, deadVisible, deadInFlight } = await mappedAsync(() => this.#setup.native.metrics())
    return { visible, inFlight, deadLetters: { visible: deadVisible, inFlight: deadInFlight } }
  }

  /**
   * Changes the visibility timeout or what becomes of records that nobody acknowledges. Records in flight keep the
   * timeout that they were received with.
   */
  async update(attributes: QueueAttributes): Promise<void> {
    this.#checkOpen()
    const { stream, name } = this.#setup
    const known = mapped(() => stream.listQueues()).find((queue) => queue.name === name)
    await mappedAsync(() => stream.updateQueue(name, nativeAttributes(attributes, known?.config)))
  }

  /** Deletes the queue: its receipts end, receivers reject, and its records stay in the stream. */
  async delete(): Promise<void> {
    this.#checkOpen()
    await mappedAsync(() => this.#setup.stream.deleteQueue(this.name))
    this.#setup.onClose(this)
    this.closeWith(fromNative(new Error(`ERR_MILLRACE_QUEUE_NOT_FOUND\u0000queue '${this.name}' was deleted`)))
  }

  /**
   * Messages one after the other, for ever. What a loop that is left has received and not come to is visible to others
   * at once.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void> {
    for (;;) {
      const messages = await this.receive({ waitSeconds: LOOP_WAIT_S })
      let next = 0
      try {
        while (next < messages.length) {
          next += 1
          yield messages[next - 1] as Message<T>
        }
      } finally {
        const rest = messages.slice(next)
        if (rest.length > 0 && this.#closedBy === undefined) await this.extend(rest, 0)
      }
    }
  }

  /** Ends the queue's handle: receivers that wait reject. @internal */
  closeWith(error: MillraceError): void {
    this.#closedBy ??= error
    for (const wake of this.#waiting) wake()
  }

  async #receive(options: ReceiveOptions, deadLetters: boolean): Promise<Message<T>[]> {
    const { signal } = options
    const waitMs = checkWhole('waitSeconds', options.waitSeconds ?? 0, 0, WAIT_S_MAX) * 1000
    const request = {
      deadLetters,
      max: checkWhole('max', options.max ?? 10, 1, 10),
      ...(options.visibilitySeconds === undefined
        ? {}
        : { visibilityTimeoutS: checkWhole('visibilitySeconds', options.visibilitySeconds, 0, TIMEOUT_S_MAX) }),
    }
    const until = performance.now() + waitMs
    for (;;) {
      if (signal?.aborted === true) throw aborted(signal)
      this.#checkOpen()
      const left = until - performance.now()
      const received = mapped(() => this.#setup.native.receive(request, left > 0))
      if (received.messages.length > 0 || left <= 0) return this.#messages(received)
      await this.#wait(Math.min(left, received.lookAgainMs ?? left), signal)
    }
  }

  #messages({ messages }: NativeReceived): Message<T>[] {
    return messages.map((message) => new Message(message, this, this.#setup.decode))
  }

  /** Waits for the bell, for so many milliseconds at most. */
  async #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { bell } = this.#setup
    keepAlive.hold()
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting
      // A millisecond more than less: who looks too early would look twice.
      const timer = setTimeout(done, Math.ceil(ms))
      waiting.add(done)
      bell.wait(done)
      signal?.addEventListener('abort', done, { once: true })
      function done(): void {
        clearTimeout(timer)
        waiting.delete(done)
        bell.forget(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
    })
    keepAlive.release()
  }

  async #settle(
    messages: readonly Receipt[],
    call: (receipts: string[]) => Promise<(string | null | undefined)[]>,
  ): Promise<Settled> {
    this.#checkOpen()
    const receipts = messages.map((message) => receiptOf(message))
    const failures = await mappedAsync(() => call(receipts))
    const successful: string[] = []
    const failed: SettleFailure[] = []
    for (const [index, receipt] of receipts.entries()) {
      const failure = failures[index]
      if (failure === null || failure === undefined) successful.push(receipt)
      else failed.push({ receipt, error: fromNative(new Error(failure)) })
    }
    return { successful, failed }
  }

  #checkOpen(): void {
    if (this.#closedBy !== undefined) throw this.#closedBy
    this.#setup.checkOpen()
  }
}

function receiptOf(message: Receipt): string {
  const receipt = typeof message === 'string' ? message : message?.receipt
  if (typeof receipt === 'string') return receipt
  throw invalidArgument(`expected a message or its receipt, got ${JSON.stringify(message)}`)
}

function throwFirst({ failed }: Settled): void {
  const [first] = failed
  if (first !== undefined) throw first.error
}
