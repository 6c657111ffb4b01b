/**
 * Appends input in groups: while one group is being made durable the next is staged.
 *
 * Counts are of acknowledged records only, so that what a person reads is what a crash would leave.
 */
import { MillraceError, type Stream } from '../../index.js'
import type { BadRecords } from './bad-records.js'
import { putAll } from './put-all.js'
import type { BadRecord, InputRecord } from './records.js'

/** How input is appended. */
export interface FeederOptions {
  /** Records between two flushes. */
  readonly batch: number
  /** What becomes of bad records. */
  readonly bad: BadRecords
}

/** Feeds one stream. */
export class Feeder {
  readonly #stream: Stream
  readonly #options: FeederOptions
  /** Whether the stream may refuse records: then they are gathered and put, because an append cannot be told apart. */
  readonly #isLimited: boolean
  readonly #gathered: InputRecord[] = []
  #staged = 0
  #stagedBytes = 0
  #flushing: Promise<void> = Promise.resolve()
  /** Records that the log has acknowledged. */
  acknowledged = 0
  /** Bytes of data in them. */
  acknowledgedBytes = 0

  constructor(stream: Stream, options: FeederOptions) {
    this.#stream = stream
    this.#options = options
    this.#isLimited = stream.describe().limits !== 'unlimited'
  }

  /** Appends a group; resolves when the next may come. Stops early when `signal` aborts. */
  async feed(group: readonly (InputRecord | BadRecord)[], signal: AbortSignal): Promise<void> {
    for (const record of group) {
      if ('problem' in record) {
        this.#options.bad.add(`${record.where}: ${record.problem}`)
        continue
      }
      if (this.#isLimited) this.#gather(record)
      else await this.#append(record)
      if (this.#staged < this.#options.batch) continue
      await this.#flushBehind()
      if (signal.aborted) return
    }
  }

  /** Resolves when all that was fed is acknowledged. */
  async finish(): Promise<void> {
    await this.#flushBehind()
    await this.#flushing
  }

  async #append(record: InputRecord): Promise<void> {
    try {
      this.#tryAppend(record)
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'ERR_MILLRACE_BACKPRESSURE') {
        await this.#stream.drain()
        this.#tryAppend(record)
      } else {
        this.#options.bad.refused(error, record)
      }
    }
  }

  #gather(record: InputRecord): void {
    this.#gathered.push(record)
    this.#staged += 1
  }

  #tryAppend(record: InputRecord): void {
    this.#stream.append({ partitionKey: record.key, data: record.data })
    this.#staged += 1
    this.#stagedBytes += record.data.length
  }

  /** Starts a flush of what is staged, after the one before has ended: at most two groups are under way. */
  async #flushBehind(): Promise<void> {
    await this.#flushing
    const records = this.#staged
    const bytes = this.#stagedBytes
    this.#staged = 0
    this.#stagedBytes = 0
    const flush = async (): Promise<void> => {
      await this.#stream.flush()
      this.acknowledged += records
      this.acknowledgedBytes += bytes
    }
    this.#flushing = this.#isLimited ? this.#putGathered() : flush()
    // The next call reports a failure; until then it must not count as unhandled.
    this.#flushing.catch(() => {})
  }

  async #putGathered(): Promise<void> {
    const faults = await putAll(this.#stream, this.#gathered.splice(0), undefined, ({ data }) => {
      this.acknowledged += 1
      this.acknowledgedBytes += data.length
    })
    for (const { record, error } of faults) this.#options.bad.refused(error, record)
  }
}
