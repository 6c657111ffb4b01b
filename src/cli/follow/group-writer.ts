/**
 * Puts groups of lines into the stream, each line once.
 *
 * After a kill the stream may hold lines that the noted place does not cover: what stands behind the place's sequence
 * number and has a line's key and data is that line, and is not put again. Only an equal record that somebody else put
 * meanwhile would be taken for it.
 */
import { createHash } from 'node:crypto'
import type { PutResult, StartAt, Stream } from '../../index.js'
import type { BadRecords } from '../input/bad-records.js'
import { putAll } from '../input/put-all.js'
import type { BadRecord, InputRecord } from '../input/records.js'

/** How far an earlier run has come for certain. */
export interface Noted {
  /** The highest sequence number of the lines that are done with; `null` before the first. */
  readonly after: string | null
  /** Before which moment nothing of the file was put, in milliseconds since the epoch. */
  readonly since: number
}

/** Writes groups to one stream. */
export class GroupWriter {
  readonly #stream: Stream
  readonly #bad: BadRecords
  readonly #noted: Noted
  readonly #signal: AbortSignal
  /** The highest sequence number of all lines so far. */
  #after: string | null
  /** Whether the stream may hold lines of the next group. */
  #recalls: boolean
  /** How often each record of the stream was taken for a line. */
  readonly #taken = new Map<string, number>()
  /** Records that were put and are on disk. */
  acknowledged = 0
  /** Bytes of data in them. */
  acknowledgedBytes = 0
  /** Lines that the stream held already. */
  recalled = 0

  /** With `noted` an earlier run may have put more than it says. */
  constructor(stream: Stream, bad: BadRecords, noted: Noted | undefined, signal: AbortSignal) {
    this.#stream = stream
    this.#bad = bad
    this.#noted = noted ?? { after: null, since: Date.now() }
    this.#after = this.#noted.after
    this.#recalls = noted !== undefined
    this.#signal = signal
  }

  /** What holds before anything is put. */
  get begun(): Noted {
    return this.#noted
  }

  /**
   * What may be noted with the place behind the last group; `undefined` while nothing was put, because what is found
   * in the stream again must be found from the same point on the next time.
   */
  get noted(): Noted | undefined {
    return this.acknowledged === 0 ? undefined : { after: this.#after, since: this.#noted.since }
  }

  /**
   * Puts a group up to its first bad record, unless those are skipped. All of it is on disk when the promise resolves,
   * whatever the stream's durability is.
   */
  async write(group: readonly (InputRecord | BadRecord)[]): Promise<void> {
    const firstBad = this.#bad.skips ? -1 : group.findIndex((record) => 'problem' in record)
    const entries = firstBad === -1 ? group : group.slice(0, firstBad)
    await this.#put(await this.#missing(entries.filter((record) => 'key' in record)))
    for (const record of group) if ('problem' in record) this.#bad.add(`${record.where}: ${record.problem}`)
  }

  /** A group is bounded by what is read at a time, so that all of it is under way at once. */
  async #put(records: readonly InputRecord[]): Promise<void> {
    const faults = await putAll(this.#stream, records, this.#signal, (record, result) => this.#count(record, result))
    await this.#stream.sync()
    for (const { record, error } of faults) this.#bad.refused(error, record)
  }

  #count({ data }: InputRecord, { sequenceNumber }: PutResult): void {
    this.acknowledged += 1
    this.acknowledgedBytes += data.length
    // All sequence numbers of a stream have the same number of digits, so that text compares as numbers do.
    if (this.#after === null || sequenceNumber > this.#after) this.#after = sequenceNumber
  }

  /** The records that the stream does not hold yet. */
  async #missing(records: readonly InputRecord[]): Promise<readonly InputRecord[]> {
    if (!this.#recalls || records.length === 0) return records
    const held = await this.#heldOf(new Set(records.map(digest)))
    const missing = records.filter((record) => {
      const id = digest(record)
      const taken = this.#taken.get(id) ?? 0
      if (taken >= (held.get(id) ?? 0)) return true
      this.#taken.set(id, taken + 1)
      return false
    })
    this.recalled += records.length - missing.length
    // Groups are put one after the other: behind one that is not whole there is none.
    this.#recalls = missing.length === 0
    return missing
  }

  /** How often each of `wanted` stands in the stream behind what was noted. */
  async #heldOf(wanted: ReadonlySet<string>): Promise<Map<string, number>> {
    const { after, since } = this.#noted
    const from: StartAt = after === null ? { timestamp: since } : { after }
    const held = new Map<string, number>()
    for await (const batch of this.#stream.read({ from, follow: false, signal: this.#signal })) {
      for (const { partitionKey, data } of batch) {
        const id = digest({ key: partitionKey, data })
        if (wanted.has(id)) held.set(id, (held.get(id) ?? 0) + 1)
      }
    }
    return held
  }
}

function digest({ key, data }: Pick<InputRecord, 'key' | 'data'>): string {
  return createHash('sha256')
    .update(`${Buffer.byteLength(key)} ${key} `)
    .update(data)
    .digest('base64')
}
