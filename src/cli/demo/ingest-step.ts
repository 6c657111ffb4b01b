/** Steps 1 and 2: flights go in while readers follow, and both sides agree on what there was. */
import { MillraceError, type Stream } from '../../index.js'
import { bytes, count, duration, plural, rate } from '../format.js'
import { Progress } from '../progress.js'
import { stopIfAborted } from '../session.js'
import type { Flight, FlightSource } from './flights.js'
import { Follower } from './follower.js'
import { Ledger } from './ledger.js'
import type { Report } from './report.js'

/** Records appended before readers get a turn of the event loop. */
const RECORDS_PER_TURN = 2000
/** Longer than the clock's resolution, so that no record stands on both sides of the instant. */
const INSTANT_GAP_MS = 3

/** What the writer recorded of its own work, for later steps to check against. */
export interface Written {
  readonly ledger: Ledger
  /** What was written from the instant on. */
  readonly sinceInstant: Ledger
  /** A moment in the middle of the ingestion, in milliseconds since the epoch. */
  readonly instant: number
}

/** How the ingestion is to go. */
interface IngestSettings {
  /** Flights to be written. */
  readonly total: number
  readonly quiet: boolean
  readonly signal: AbortSignal
}

/** Ingests flights, follows them, and compares. */
export async function ingestStep(
  report: Report,
  stream: Stream,
  source: FlightSource,
  settings: IngestSettings,
): Promise<Written> {
  const { total, signal } = settings
  const shards = stream.describe().shardList.map(({ shardId }) => shardId)
  await report.step(`Ingest ${count(total)} flights while ${shards.length + 1} readers follow`)
  await report.say(source.description)
  const whole = new Follower(stream, undefined, signal)
  const byShard = new Follower(stream, shards, signal)
  const writer = new Writer(stream, settings)
  const started = performance.now()
  await writer.writeAll(source, () => Math.min(whole.ledger.records, byShard.ledger.records))
  const wrote = performance.now() - started
  const { ledger } = writer
  await Promise.all([whole.finish(ledger.records, signal), byShard.finish(ledger.records, signal)])
  const followed = performance.now() - started
  stopIfAborted(signal)
  await tellWriting(report, writer, wrote)
  const seen = whole.ledger.records + byShard.ledger.records
  await report.fact({
    what: `followed live by ${shards.length + 1} readers`,
    amount: count(seen),
    took: duration(followed),
    rate: rate(seen, followed),
  })
  await report.say(
    `readers were at most ${count(writer.behindMost)} records behind, ` +
      `and done ${duration(followed - wrote)} after the writer`,
  )
  await agreeStep(report, ledger, whole, byShard)
  return { ledger, sinceInstant: writer.sinceInstant, instant: writer.instant }
}

async function tellWriting(report: Report, { ledger, appending }: Writer, wrote: number): Promise<void> {
  const amount = `${count(ledger.records)} (${bytes(ledger.bytes)})`
  const records = ledger.records
  await report.fact({
    what: 'decoded, encoded, appended and synced',
    amount,
    took: duration(wrote),
    rate: rate(records, wrote),
  })
  await report.fact({
    what: 'of that in append calls',
    amount,
    took: duration(appending),
    rate: rate(records, appending),
  })
}

async function agreeStep(report: Report, written: Ledger, whole: Follower, byShard: Follower): Promise<void> {
  await report.step('Compare writer and readers')
  await report.say(`a count and an order-sensitive checksum for each of ${plural(written.keys, 'airport')}`)
  await report.check('records seen by the reader of the whole stream', written.records, whole.ledger.records)
  await report.check('records seen by the readers of single shards', written.records, byShard.ledger.records)
  await report.check('airports that differ, whole stream', 0, written.differences(whole.ledger).length)
  await report.check('airports that differ, shard by shard', 0, written.differences(byShard.ledger).length)
}

/** Appends flights and keeps the books. */
class Writer {
  readonly ledger = new Ledger()
  readonly sinceInstant = new Ledger()
  instant = 0
  /** Milliseconds spent in append calls and in waiting for room. */
  appending = 0
  /** Most records that the slowest reader was behind. */
  behindMost = 0
  readonly #stream: Stream
  readonly #settings: IngestSettings

  constructor(stream: Stream, settings: IngestSettings) {
    this.#stream = stream
    this.#settings = settings
  }

  /** Writes all flights and has them acknowledged; `followed` tells how many the slowest reader has seen. */
  async writeAll(source: FlightSource, followed: () => number): Promise<void> {
    const { total, quiet } = this.#settings
    const progress = new Progress({ label: 'ingest', total, counts: 'records', quiet })
    try {
      for await (const group of source.groups(total)) {
        await this.#writeGroup(group, () => {
          const { records } = this.ledger
          this.behindMost = Math.max(this.behindMost, records - followed())
          progress.update(records)
        })
      }
      await this.#stream.flush()
    } finally {
      progress.stop()
    }
  }

  async #writeGroup(flights: readonly Flight[], onTurn: () => void): Promise<void> {
    for (let first = 0; first < flights.length; first += RECORDS_PER_TURN) {
      const turn = flights.slice(first, first + RECORDS_PER_TURN)
      const encoded = turn.map((flight) => Buffer.from(JSON.stringify(flight)))
      if (this.instant === 0 && this.ledger.records * 2 >= this.#settings.total) await this.#chooseInstant()
      await this.#append(turn, encoded)
      turn.forEach(({ origin }, index) => this.#book(origin, encoded[index] as Buffer))
      onTurn()
      await new Promise(setImmediate)
      stopIfAborted(this.#settings.signal)
    }
  }

  async #append(flights: readonly Flight[], encoded: readonly Buffer[]): Promise<void> {
    const started = performance.now()
    for (let i = 0; i < flights.length; i += 1) {
      const record = { partitionKey: (flights[i] as Flight).origin, data: encoded[i] as Buffer }
      try {
        this.#stream.append(record)
      } catch (error) {
        if (!MillraceError.is(error) || error.code !== 'ERR_MILLRACE_BACKPRESSURE') throw error
        await this.#stream.drain({ signal: this.#settings.signal })
        this.#stream.append(record)
      }
    }
    this.appending += performance.now() - started
  }

  #book(key: string, data: Buffer): void {
    this.ledger.add(key, data)
    if (this.instant !== 0) this.sinceInstant.add(key, data)
  }

  /** Everything before is acknowledged before the instant, everything after arrives after it. */
  async #chooseInstant(): Promise<void> {
    await this.#stream.flush()
    await new Promise((resolve) => setTimeout(resolve, INSTANT_GAP_MS))
    this.instant = Date.now()
    await new Promise((resolve) => setTimeout(resolve, INSTANT_GAP_MS))
  }
}
