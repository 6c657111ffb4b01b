/**
 * From the publish call to the subscriber's callback, both in this process and on one thread: at 1,000 records a second,
 * and at half of what the peer can publish and deliver when nothing holds it back. Each record carries the time at
 * which it was published.
 */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { type Contest, type OpenContest, percentile, type Side } from '../../rows.js'
import type { Entrant, Field } from '../field.js'
import type { Entry, Log, Peer } from '../peer.js'
import { InFlight, Source } from '../workload.js'
import { withKnownLimits } from './append.js'
import { chronicleSides } from './chronicle.js'

const RECORD_BYTES = 100
const MILLRACE = 'Millrace, os'
const STEADY_RATE = 1000

/** Records handed over together at most. */
const BATCH = 500

/** Records on their way at most while the greatest rate is looked for. */
const ON_THE_WAY = 20_000

/** How long a peer may take until what was published has come. */
const ARRIVAL_MS = 10_000

/** How long a subscriber may take until the first record comes. */
const SUBSCRIBED_MS = 20_000

/** Peers that tell of new records; a map, a table and a file do not. */
export function latencyContests(field: Field): Contest[] {
  const rounds = field.quick ? 2 : 3
  return [
    {
      name: 'latency at 1,000/s',
      rounds,
      open: () => openLatency(field, 'latency at 1,000/s', steady),
    },
    { name: 'latency at half of the maximum', rounds, open: () => openHalf(field, 'latency at half of the maximum') },
  ]
}

async function openHalf(field: Field, contest: string): Promise<OpenContest> {
  const greatest = new Map<string, number>()
  const opened = await openLatency(field, contest, async ({ peer, log }) => {
    greatest.delete(peer.name)
    const rate = await greatestRate(peer, log, field.quick ? 300 : 1000)
    greatest.set(peer.name, rate)
    return rate / 2
  })
  const names = field.peers
    .map(({ name }) => name)
    .filter((name) => opened.sides.some((side) => side.name.includes(name)))
  const rates = names.map((name): Side => {
    return { name: `publish and deliver: ${name}`, unit: 'records/s', measure: () => greatest.get(name) ?? Number.NaN }
  })
  return { sides: [...opened.sides, ...rates], close: opened.close }
}

/** At which pace a peer is published to. */
type Pace = (entrant: Entrant) => Promise<number>

const steady: Pace = async () => STEADY_RATE

async function openLatency(field: Field, contest: string, pace: Pace): Promise<OpenContest> {
  const all = await field.enter(
    contest,
    field.peers.filter((peer) => !SILENT.has(peer.product)),
  )
  const seconds = field.quick ? 0.5 : 2
  const millrace = `${contest}: ${MILLRACE}, p50`
  const sides = all.flatMap((entrant): Side[] => {
    let latencies: number[] = []
    const measure = () => {
      latencies = []
      return field.measure(entrant.peer, async () => {
        latencies = await latenciesAt(entrant.log, await pace(entrant), seconds)
        return percentile(latencies, 0.5)
      })
    }
    const name = `${contest}: ${entrant.peer.name}`
    const against = entrant.peer.name === MILLRACE ? {} : { against: millrace }
    return [
      { name: `${name}, p50`, unit: 'µs', measure, ...against },
      { name: `${name}, p99`, unit: 'µs', measure: () => percentile(latencies, 0.99) },
    ]
  })
  sides.push(...chronicleSides(field, contest, pace === steady ? STEADY_RATE : 'half', millrace))
  return { sides: withKnownLimits(sides), close: () => field.leave(all) }
}

/** Products without a way to be told of new records. */
const SILENT = new Set(['fs', 'lmdb', 'sqlite', 'level'])

/** Publishes at a steady rate; returns the microseconds that each record took. */
async function latenciesAt(log: Log, rate: number, seconds: number): Promise<number[]> {
  const latencies: number[] = []
  const subscription = await subscribe(log, (stamp) => latencies.push((performance.now() - stamp) * 1000))
  const count = Math.max(10, Math.round(rate * seconds))
  const inFlight = new InFlight(Number.POSITIVE_INFINITY)
  const started = performance.now()
  for (let published = 0; published < count;) {
    const due = Math.min(count, Math.floor(((performance.now() - started) * rate) / 1000))
    for (; published < due; published = Math.min(due, published + BATCH)) {
      const done = log.append(stamped(Math.min(BATCH, due - published)))
      if (done !== undefined) inFlight.watch(done)
    }
    await delay(1)
  }
  await inFlight.empty()
  await arrived(() => latencies.length >= count, `did not keep up with ${Math.round(rate)} records/s`)
  await subscription()
  return latencies
}

/** Publishes as fast as the subscriber takes it; returns records per second until the last has come. */
async function greatestRate({ window, name }: Peer, log: Log, milliseconds: number): Promise<number> {
  let seen = 0
  const subscription = await subscribe(log, () => {
    seen += 1
  })
  const inFlight = new InFlight(window)
  const started = performance.now()
  let published = 0
  while (performance.now() - started < milliseconds) {
    // The reader has this thread too: each batch gives it a turn.
    await turn()
    if (published - seen > ON_THE_WAY) continue
    const done = log.append(stamped(BATCH))
    published += BATCH
    if (done !== undefined) await inFlight.add(done)
  }
  await inFlight.empty()
  await arrived(() => seen >= published, `${name} did not deliver all that it took`)
  const rate = (published / (performance.now() - started)) * 1000
  await subscription()
  return rate
}

/** Subscribes, and returns when records come; those that only show this are not counted. */
async function subscribe(log: Log, onStamp: (stamp: number) => void): Promise<() => Promise<void>> {
  const seen = { probes: 0 }
  const end = await log.subscribe?.((data) => {
    const stamp = new DataView(data.buffer, data.byteOffset).getFloat64(0, true)
    if (stamp === PROBE) seen.probes += 1
    else onStamp(stamp)
  })
  const deadline = performance.now() + SUBSCRIBED_MS
  let probes = 0
  while (seen.probes === 0 && performance.now() < deadline) {
    await log.append([entry(PROBE)])
    await log.flush()
    probes += 1
    await delay(Math.min(20 * probes, 200))
  }
  if (seen.probes === 0) throw new Error(`no record came to a subscriber within ${SUBSCRIBED_MS / 1000} s`)
  await delay(100)
  return async () => {
    await end?.()
  }
}

/** The stamp of records that only find out whether a subscriber listens. */
const PROBE = -1

const keys = new Source(RECORD_BYTES, { batch: 1 })

function stamped(count: number): Entry[] {
  const now = performance.now()
  return Array.from({ length: count }, () => entry(now))
}

/** Bytes of its own for each record: a client may send them long after the call. */
function entry(stamp: number): Entry {
  const data = Buffer.alloc(RECORD_BYTES)
  data.writeDoubleLE(stamp)
  return { partitionKey: keys.one().partitionKey, data }
}

async function arrived(done: () => boolean, otherwise: string): Promise<void> {
  const deadline = performance.now() + ARRIVAL_MS
  while (!done()) {
    if (performance.now() > deadline) throw new Error(otherwise)
    await turn()
  }
}
