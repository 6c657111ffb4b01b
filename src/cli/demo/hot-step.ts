/** The hot shard: found by the engine's advice while flights come in, split, and its load shared from then on. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Millrace, Stream, StreamMetrics } from '../../index.js'
import { bar, count, duration, rate, table } from '../format.js'
import { stopIfAborted } from '../session.js'
import type { Flight, FlightSource } from './flights.js'
import { Follower } from './follower.js'
import { Ledger } from './ledger.js'
import type { Report } from './report.js'

const STREAM = 'departures'
const SHARDS = 4
/** Airports whose departures are written: with so few keys, chance does not even them out over the shards. */
const HUBS = 12
/** The hubs are those of the first so many flights. */
const FLIGHTS_LOOKED_AT = 50_000
/** Departures written a turn, and turns a second: below what a laptop does without noticing. */
const DEPARTURES_A_TURN = 100
const TURN_MS = 10
/** Rates are of whole seconds: two of them, and what is left of the one that goes on. */
const LOOK_AFTER_MS = 2_500
const BAR_CELLS = 24

/** Writes departures of a few hubs, splits the shard that gets too many, and shows the rates before and after. */
export async function hotStep(
  report: Report,
  store: Millrace,
  source: FlightSource,
  signal: AbortSignal,
): Promise<void> {
  await report.step('Split the hot shard while departures come in')
  const departures = await hubDepartures(source)
  await report.say(`departures of the ${HUBS} busiest airports, keyed by airport, in ${SHARDS} shards`)
  const stream = await store.createStream(STREAM, { shards: SHARDS })
  const writer = new PacedWriter(stream, departures, signal)
  const follower = new Follower(stream, undefined, signal)
  const writing = writer.run()
  try {
    await pause(LOOK_AFTER_MS, undefined, { signal })
    const before = stream.metrics()
    await report.say(`records a second by shard:\n${chart(before)}`)
    const after = await splitAndLook(report, stream, before, signal)
    await report.say(`records a second by shard, after the split:\n${chart(after)}`)
    await report.check(
      'hottest shard has less of the load than before',
      'yes',
      peak(after) < peak(before) ? 'yes' : 'no',
    )
  } finally {
    writer.stop()
    await writing
  }
  stopIfAborted(signal)
  await follower.finish(writer.ledger.records, signal)
  await report.check('departures read over the split', writer.ledger.records, follower.ledger.records)
  await report.check('airports that differ over the split', 0, writer.ledger.differences(follower.ledger).length)
}

async function splitAndLook(
  report: Report,
  stream: Stream,
  before: StreamMetrics,
  signal: AbortSignal,
): Promise<StreamMetrics> {
  const advice = stream.advise().find(({ kind }) => kind === 'split')
  await report.check(
    'hot shard named by the advice',
    hottest(before),
    advice?.kind === 'split' ? advice.hot.shardId : 'none',
  )
  if (advice?.kind !== 'split') return stream.metrics()
  await report.say(`advice: ${advice.text}.`)
  const started = performance.now()
  await stream.splitShard(advice.hot.shardId, { at: advice.startingHashKey })
  await report.fact({
    what: 'split a shard under load',
    amount: `${SHARDS} → ${SHARDS + 1} shards`,
    took: duration(performance.now() - started),
    rate: '',
  })
  await pause(LOOK_AFTER_MS, undefined, { signal })
  return stream.metrics()
}

/** Departures of the airports that have most of them, in their order. */
async function hubDepartures(source: FlightSource): Promise<Flight[]> {
  const flights: Flight[] = []
  for await (const group of source.groups(FLIGHTS_LOOKED_AT)) flights.push(...group)
  const departures = new Map<string, number>()
  for (const { origin } of flights) departures.set(origin, (departures.get(origin) ?? 0) + 1)
  const hubs = new Set(
    [...departures]
      .sort(([, left], [, right]) => right - left)
      .slice(0, HUBS)
      .map(([airport]) => airport),
  )
  return flights.filter(({ origin }) => hubs.has(origin))
}

/** Appends departures at a steady pace until it is told to stop. */
class PacedWriter {
  readonly ledger = new Ledger()
  readonly #stream: Stream
  readonly #departures: readonly Flight[]
  readonly #signal: AbortSignal
  #stopped = false

  constructor(stream: Stream, departures: readonly Flight[], signal: AbortSignal) {
    this.#stream = stream
    this.#departures = departures
    this.#signal = signal
  }

  stop(): void {
    this.#stopped = true
  }

  async run(): Promise<void> {
    for (let next = 0; !this.#stopped && !this.#signal.aborted; next += DEPARTURES_A_TURN) {
      for (let i = next; i < next + DEPARTURES_A_TURN; i += 1) {
        // Where the departures end, they begin anew.
        const departure = this.#departures[i % this.#departures.length] as Flight
        const data = Buffer.from(JSON.stringify({ ...departure, row: i }))
        this.#stream.append({ partitionKey: departure.origin, data })
        this.ledger.add(departure.origin, data)
      }
      await pause(TURN_MS)
    }
    await this.#stream.flush()
  }
}

/** A bar for each open shard, of what came in within the last whole second. */
function chart(metrics: StreamMetrics): string {
  const all = metrics.incoming.second.records
  const rows = metrics.shards
    .filter(({ open }) => open)
    .map(({ shardId, incoming: { second } }) => {
      const share = all === 0 ? 0 : second.records / all
      return [shardId, rate(second.records, 1_000), `${count(Math.round(share * 100))} %`, bar(share * 2, BAR_CELLS)]
    })
  return table(['SHARD', 'RECORDS', 'OF ALL', ''], rows, ['left', 'right', 'right', 'left'])
}

function hottest({ shards }: StreamMetrics): string {
  const by = [...shards].sort((left, right) => right.incoming.second.records - left.incoming.second.records)
  return by[0]?.shardId ?? 'none'
}

/** The part of the load that the hottest open shard has. */
function peak({ shards, incoming }: StreamMetrics): number {
  const most = Math.max(...shards.filter(({ open }) => open).map((shard) => shard.incoming.second.records))
  return most / Math.max(incoming.second.records, 1)
}
