/** The channels of a stream: made, found and listed. */
import type { NativeStream } from './binding.js'
import { Channel } from './channel.js'
import {
  describeChannel,
  nativeChannelConfig,
  type ChannelDescription,
  type CreateChannelOptions,
} from './channel-options.js'
import { checkName } from './checks.js'
import { fromNative, mapped } from './errors.js'
import { nativeTags } from './settings.js'
import { StreamSettings } from './stream-settings.js'

/** The channels of a {@link Stream}. */
export abstract class StreamChannels extends StreamSettings {
  /** The stream, checked to be open. @internal */
  protected abstract open(): NativeStream

  /**
   * Creates a channel, which delivers what arrives from now on to a bucket: each record in one object. It is durable when
   * the promise resolves. {@link Millrace.deliverChannels} says where the buckets are; until it is called, or
   * {@link Millrace.serve}, nothing is delivered and nothing is lost.
   *
   * Rejects with `ERR_MILLRACE_CHANNEL_EXISTS` (unless this stream has it and `ifNotExists`),
   * `ERR_MILLRACE_LIMIT_EXCEEDED` (100 channels a stream), `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_DISK_FULL`,
   * `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * const archive = await clicks.createChannel('archive', { bucket: 'clicks', format: 'json', freshnessSeconds: 60 })
   */
  async createChannel(name: string, options: CreateChannelOptions): Promise<Channel> {
    const stream = this.open()
    checkName('name', name)
    const config = nativeChannelConfig(options)
    const tags = nativeTags(options.tags ?? {})
    try {
      await stream.createChannel(name, config, tags)
    } catch (thrown) {
      const error = fromNative(thrown)
      // The name may be that of another stream's channel, which nobody wants opened instead.
      const isThere = error.code === 'ERR_MILLRACE_CHANNEL_EXISTS' && this.channels().some((one) => one.name === name)
      if (!isThere || options.ifNotExists !== true) throw error
    }
    return this.channel(name)
  }

  /** The channel of this name. Throws `ERR_MILLRACE_CHANNEL_NOT_FOUND` where the stream has none. */
  channel(name: string): Channel {
    checkName('name', name)
    const channel = new Channel(name, () => this.open())
    channel.describe()
    return channel
  }

  /**
   * All channels, in the order of their creation.
   *
   * Throws `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * for (const { name, failure } of clicks.channels()) if (failure !== undefined) console.error(name, failure.reason)
   */
  channels(): ChannelDescription[] {
    const stream = this.open()
    return mapped(() => stream.listChannels()).map(describeChannel)
  }
}
