/**
 * What may be changed of a stream while it is in use. Each change is durable when its promise resolves, and holds for
 * all who use the stream.
 */
import type { NativeEngine } from './binding.js'
import { checkWhole } from './checks.js'
import { retentionHours } from './duration.js'
import type { CapacityMode, LimitPolicy, Retention, StreamDescription } from './options.js'
import { checkMode, nativeLimits, nativeTags } from './settings.js'

/** The settings of a {@link Stream}. */
export abstract class StreamSettings {
  /** The stream's settings, shards and sizes as they are now. */
  abstract describe(): StreamDescription

  /** Has the engine change something of the stream. @internal */
  protected abstract change(change: (engine: NativeEngine, name: string) => Promise<void>): Promise<void>

  /** Lets this handle know how large records can be. @internal */
  protected abstract limitRecords(maxRecordBytes: number): void

  /** Changes how long records stay. What is older goes at the next expiry; it never comes back. */
  async setRetention(retention: Retention): Promise<void> {
    await this.change((engine, name) => engine.setRetention(name, retentionHours(retention)))
  }

  /**
   * Changes what the stream's shards take and give a second. It holds from now on, for all who use the stream, and every
   * shard begins with a full second's worth.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await clicks.setLimits('aws')
   */
  async setLimits(limits: LimitPolicy): Promise<void> {
    await this.change((engine, name) => engine.setLimits(name, nativeLimits(limits)))
  }

  /**
   * Changes how large a record's key and data together can be, in bytes: 1,024 to 10,485,760. Larger ones that the
   * stream holds stay. Handles of other threads hear of it when they are opened next.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  async setMaxRecordBytes(maxRecordBytes: number): Promise<void> {
    const bytes = checkWhole('maxRecordBytes', maxRecordBytes, 0, 0xffff_ffff)
    await this.change((engine, name) => engine.setMaxRecordBytes(name, bytes))
    this.limitRecords(bytes)
  }

  /**
   * Switches who decides how many shards the stream has; it keeps those that it has. A switch to the mode that it has
   * does nothing.
   *
   * Rejects with `ERR_MILLRACE_LIMIT_EXCEEDED` (switched twice within the last 24 hours),
   * `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await clicks.setMode('on-demand')
   */
  async setMode(mode: CapacityMode): Promise<void> {
    await this.change((engine, name) => engine.setMode(name, checkMode(mode)))
  }

  /**
   * Warms an on-demand stream up for so many MiB/s written before they come, 1 to 10,000; 0 releases it. Resolves when it
   * has the shards for it. What is released goes by and by, as it stays quiet.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT` (a provisioned stream too), `ERR_MILLRACE_STREAM_DELETING` or
   * `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await clicks.setWarmThroughput(200)
   */
  async setWarmThroughput(mibPerSecond: number): Promise<void> {
    const mib = checkWhole('mibPerSecond', mibPerSecond, 0, 10_000)
    await this.change((engine, name) => engine.setWarmThroughput(name, mib))
  }

  /** What is noted at the stream, by key. */
  tags(): Readonly<Record<string, string>> {
    return this.describe().tags
  }

  /**
   * Adds tags, at least one; those of a key that the stream has are replaced. The rules are those of
   * {@link CreateStreamOptions.tags}.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_LIMIT_EXCEEDED` (more than 50),
   * `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   *
   * @example
   * await clicks.tag({ team: 'checkout', environment: 'production' })
   */
  async tag(tags: Readonly<Record<string, string>>): Promise<void> {
    await this.change((engine, name) => engine.tagStream(name, nativeTags(tags)))
  }

  /**
   * Removes the tags of these keys, at least one; keys that the stream does not have are passed over.
   *
   * Rejects with `ERR_MILLRACE_INVALID_ARGUMENT`, `ERR_MILLRACE_STREAM_DELETING` or `ERR_MILLRACE_CLOSED`.
   */
  async untag(keys: Iterable<string>): Promise<void> {
    await this.change((engine, name) => engine.untagStream(name, [...keys]))
  }
}
