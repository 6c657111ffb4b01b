/**
 * A registered consumer of a stream: who reads through pipes of its own.
 */
import type { NativeConsumer, NativeStream } from './binding.js'
import { mappedAsync } from './errors.js'
import type { SubscribeOptions, Subscription } from './subscription.js'

/** What a consumer must know; made by `Stream`. @internal */
export interface ConsumerSetup<T> {
  readonly native: NativeStream
  readonly consumer: NativeConsumer
  readonly subscribe: (name: string, options: SubscribeOptions) => Subscription<T>
}

/**
 * A registered consumer. Made by {@link Stream.registerConsumer}, {@link Stream.consumer} and {@link Stream.consumers}.
 *
 * @example
 * const billing = await clicks.registerConsumer('billing')
 * for await (const event of billing.subscribe({ from: 'TRIM_HORIZON' })) handle(event.records)
 */
export class Consumer<T = Uint8Array> {
  /** Its name, which no other consumer of the stream has. */
  readonly name: string
  /** When it was registered. */
  readonly createdAt: Date
  /** What was noted at it when it was registered or last tagged, as far as this handle knows. */
  readonly tags: Readonly<Record<string, string>>
  readonly #setup: ConsumerSetup<T>

  /** @internal */
  constructor(setup: ConsumerSetup<T>) {
    this.#setup = setup
    this.name = setup.consumer.name
    this.createdAt = new Date(setup.consumer.createdAtMs)
    this.tags = setup.consumer.tags
  }

  /**
   * Reads a shard, or the whole stream, through a pipe of this consumer's own. The position is fixed at this call, also
   * for `'LATEST'`. An older subscription of this consumer that has a shard in common ends with
   * `ERR_MILLRACE_SUBSCRIPTION_IN_USE`, in whatever thread it is.
   *
   * Throws `ERR_MILLRACE_CONSUMER_NOT_FOUND`, `ERR_MILLRACE_SHARD_NOT_FOUND`, `ERR_MILLRACE_SEQUENCE_INVALID`,
   * `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_ABORTED`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * for await (const event of billing.subscribe({ from: { after: checkpoint }, signal })) {
   *   for (const record of event.records) bill(record.data)
   *   await save(event.continuationSequenceNumber)
   * }
   */
  subscribe(options: SubscribeOptions = {}): Subscription<T> {
    return this.#setup.subscribe(this.name, options)
  }

  /** Replaces its tags: at most 50, keys of 1 to 128 and values of 0 to 256 characters. */
  async tag(tags: Readonly<Record<string, string>>): Promise<void> {
    await mappedAsync(() => this.#setup.native.tagConsumer(this.name, { ...tags }))
  }

  /**
   * Ends the registration, and the subscriptions of this consumer with `ERR_MILLRACE_CONSUMER_NOT_FOUND`.
   *
   * Rejects with `ERR_MILLRACE_CONSUMER_NOT_FOUND`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  async deregister(): Promise<void> {
    await mappedAsync(() => this.#setup.native.deregisterConsumer(this.name))
  }
}
