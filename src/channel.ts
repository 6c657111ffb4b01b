/**
 * A channel of a stream: what arrives after its creation is delivered to a bucket, as objects.
 *
 * The engine delivers, in a thread of its own; nothing of it crosses into JavaScript.
 */
import type { NativeStream } from './binding.js'
import { checkFreshness, describeChannel, type ChannelAttributes, type ChannelDescription } from './channel-options.js'
import { invalidArgument, mapped, mappedAsync, MillraceError } from './errors.js'
import { nativeTags } from './settings.js'

/**
 * A channel. Made by {@link Stream.createChannel} and {@link Stream.channel}.
 *
 * @example
 * const archive = await clicks.createChannel('archive', { bucket: 'clicks', format: 'json', compression: 'gzip' })
 * await millrace.deliverChannels({ directory: './buckets' })
 * const { status, failure } = archive.describe()
 * if (status === 'retrying') console.error('not delivered since', failure?.since, failure?.reason)
 */
export class Channel {
  /** Its name, which no other channel of the store has. */
  readonly name: string
  /** The stream, checked to be open. */
  readonly #stream: () => NativeStream

  /** @internal */
  constructor(name: string, stream: () => NativeStream) {
    this.name = name
    this.#stream = stream
  }

  /**
   * Its settings, whether it delivers at present, and what it has delivered.
   *
   * Throws `ERR_MILLRACE_CHANNEL_NOT_FOUND` (it was deleted), `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  describe(): ChannelDescription {
    const stream = this.#stream()
    const native = mapped(() => stream.listChannels()).find(({ name }) => name === this.name)
    if (native !== undefined) return describeChannel(native)
    throw new MillraceError('ERR_MILLRACE_CHANNEL_NOT_FOUND', `expected a channel of the stream, got '${this.name}'`)
  }

  /**
   * Changes how old a record grows before it is delivered. It holds for records that wait already, too.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_CHANNEL_NOT_FOUND`, `ERR_MILLRACE_STREAM_DELETING` or
   * `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await archive.update({ freshnessSeconds: 60 })
   */
  async update(attributes: Required<ChannelAttributes>): Promise<void> {
    const stream = this.#stream()
    if (typeof attributes !== 'object' || attributes === null) {
      throw invalidArgument(`attributes: expected { freshnessSeconds }, got ${String(attributes)}`)
    }
    const seconds = checkFreshness(attributes.freshnessSeconds)
    await mappedAsync(() => stream.updateChannel(this.name, seconds))
  }

  /** Replaces its tags: at most 50, keys of 1 to 128 and values of 0 to 256 characters. Rejects as {@link update} does. */
  async tag(tags: Readonly<Record<string, string>>): Promise<void> {
    const stream = this.#stream()
    const wanted = nativeTags(tags)
    await mappedAsync(() => stream.tagChannel(this.name, wanted))
  }

  /**
   * Deletes the channel: what waits is not delivered any more, what was delivered stays where it is, and the records stay
   * in the stream.
   *
   * Rejects with `ERR_MILLRACE_CHANNEL_NOT_FOUND`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  async delete(): Promise<void> {
    const stream = this.#stream()
    await mappedAsync(() => stream.deleteChannel(this.name))
  }
}
