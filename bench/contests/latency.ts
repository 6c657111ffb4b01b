/**
 * From the publish call to the callback in the same process: pushed beside a bare thread-safe function, polled beside a
 * bare poll of a shared word.
 *
 * A latency starts before the publish call, so that it contains the append; the limits start at the bare store or
 * wake. Engine and limit are sent from the same kind of thread at the same pace, because all of it is several times
 * slower from a thread that slept.
 */
import type { Durability } from 'millrace'
import { type Bench, openFresh } from '../bench.js'
import { Counterpart } from '../counterpart.js'
import type { Pace } from '../limits.js'
import { type Latencies, percentileSides, type Times } from '../percentiles.js'
import { type Contest, median, type OpenContest, ratioAtMost, type Side, type Target } from '../rows.js'
import {
  collectWakes,
  collectWakesFromThread,
  pollPage,
  pollStamps,
  publishPaced,
  publishStamp,
  readStamps,
  type Sending,
  stampedRecord,
} from '../stamps.js'
import { FRAME_BYTES } from './put.js'

const INTERVAL_US = 1000
const STREAM = 'clock'

/** Publishes before the first round, without a pause, so that the code under test is compiled. */
const WARM_UP = 20_000

const PUSHED = ratioAtMost(1.3)
const POLLED = ratioAtMost(1.5)
const ANOTHER_WORKER = ratioAtMost(1.5)

/** How much the wake-up under `synced` may take of the bare one, beside the sync. */
const WAKE_SHARE = 1.3

/** How a sender in another thread is called in the names of rows: one that has other work, or one that was idle. */
const SENDER: Readonly<Record<Pace, string>> = { spin: 'busy publisher', sleep: 'sleeping publisher' }
const PACES = ['spin', 'sleep'] as const

/** One contest a way from a publisher to a reader. */
export function latencyContests(bench: Bench): Contest[] {
  const rounds = bench.quick ? 3 : 7
  const contest = (name: string, open: () => Promise<OpenContest>): Contest => ({
    name: `latency ${name}`,
    rounds,
    open,
  })
  return [
    contest('pushed, same thread', () => pushedFromHere(bench)),
    ...PACES.map((pace) => contest(`pushed, ${SENDER[pace]}`, () => pushedFromThread(bench, pace))),
    ...PACES.map((pace) => contest(`polled, ${SENDER[pace]}`, () => polled(bench, pace))),
    ...PACES.map((pace) => contest(`to another worker, ${SENDER[pace]}`, () => toAnotherWorker(bench, pace))),
    contest('synced', () => synced(bench)),
    contest('at half the maximum rate', () => atHalfRate(bench)),
  ]
}

function messages({ quick }: Bench): number {
  return quick ? 200 : 1500
}

/** A thousand messages a second. */
function calmly(bench: Bench, pace: Pace): Sending {
  return { pace, intervalUs: INTERVAL_US, count: messages(bench) }
}

async function pushedFromHere(bench: Bench): Promise<OpenContest> {
  const { limits } = bench
  const { millrace, remove } = await openFresh(bench, 'latency')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const record = stampedRecord()
  const publish = () => publishStamp(stream, limits, record)
  await readStamps(limits, stream, WARM_UP, () => {
    for (let i = 0; i < WARM_UP; i++) publish()
  })
  const count = messages(bench)
  const engine = async () => {
    const publishNs: number[] = []
    const start = () => everyInterval(count, () => publishNs.push(publish()))
    return { latencies: await readStamps(limits, stream, count, start), publishNs }
  }
  const bare = () => collectWakes(limits, count, (waker) => everyInterval(count, () => waker.wake()))
  return { sides: latencySides('pushed, same thread', WAKE, bare, engine, PUSHED), close: remove }
}

async function pushedFromThread(bench: Bench, pace: Pace): Promise<OpenContest> {
  const { run, close } = await openPushed(bench, 'os')
  const bare = () => collectWakesFromThread(bench.limits, calmly(bench, pace))
  const engine = () => run(calmly(bench, pace))
  return { sides: latencySides(`pushed, ${SENDER[pace]}`, WAKE, bare, engine, PUSHED), close }
}

async function polled(bench: Bench, pace: Pace): Promise<OpenContest> {
  const { poll, close } = await openBoth(bench)
  const bare = async () => pollPage(bench.limits, calmly(bench, pace))
  const engine = () => poll(calmly(bench, pace))
  return { sides: latencySides(`polled, ${SENDER[pace]}`, POLL, bare, engine, POLLED), close }
}

/** The reader lives in a worker thread, and this thread publishes. */
async function toAnotherWorker(bench: Bench, pace: Pace): Promise<OpenContest> {
  const { limits } = bench
  const { stream, counterpart, close } = await openBetweenThreads(bench, 'os')
  const run = async (sending: Sending): Promise<Exchange> => {
    const { received } = await counterpart.follow(sending.count)
    const publishNs = publishPaced(stream, limits, sending)
    return { latencies: await received, publishNs }
  }
  await run({ pace: 'spin', intervalUs: 0, count: WARM_UP })
  const sending = calmly(bench, pace)
  const bare = () => counterpart.wake(sending)
  const sides = latencySides(`to another worker, ${SENDER[pace]}`, WAKE, bare, () => run(sending), ANOTHER_WORKER)
  return { sides, close }
}

/** The sum of what cannot be avoided, the sync of the same bytes and the wake-up, stands as a limit of its own. */
async function synced(bench: Bench): Promise<OpenContest> {
  const { limits } = bench
  const { run, close } = await openPushed(bench, 'synced')
  const sending = { ...calmly(bench, 'spin'), count: messages(bench) / 2 }
  const file = bench.workspace.path('latency.limit')
  limits.prepareFile(file, 'rewritten', FRAME_BYTES * sending.count)
  let syncs: readonly number[] = []
  let wakes: readonly number[] = []
  const sync = () => {
    const { count, intervalUs, pace } = sending
    syncs = [...limits.pacedSyncedWrites(file, 0, FRAME_BYTES, count, pace, intervalUs)].map((ns) => ns / 1000)
    return syncs
  }
  const wake = async () => (wakes = await collectWakesFromThread(limits, sending))
  // Sorted, so that percentiles are added to percentiles.
  const sum = () => {
    const [sortedSyncs, sortedWakes] = [syncs, wakes].map((all) => all.toSorted((a, b) => a - b))
    return sortedSyncs!.map((us, i) => us + WAKE_SHARE * sortedWakes![i]!)
  }
  const chart = (name: string, rest: Omit<Latencies, 'name' | 'chart' | 'x'>) => {
    return percentileSides({ name, chart: 'latency', x: 'pushed, synced', ...rest })
  }
  const limit = `the sync and ${WAKE_SHARE} × the wake-up`
  const sides = [
    ...withoutPoints(chart('bare append + fdatasync, 1,000 a second', { series: 'limit', run: sync })),
    ...withoutPoints(chart('bare thread-safe function, beside synced', { series: 'limit', run: wake })),
    ...chart(limit, { series: 'limit', run: sum }),
    ...chart('publish → callback, pushed, synced', {
      series: 'Millrace',
      run: async () => (await run(sending)).latencies,
      against: limit,
      target: ratioAtMost(1),
    }),
  ]
  return { sides, close }
}

/** As often as a thread can publish single records, halved; each record is a publish call of its own. */
async function atHalfRate(bench: Bench): Promise<OpenContest> {
  const { limits } = bench
  const { run, poll, close } = await openBoth(bench)
  const count = bench.quick ? 50_000 : 200_000
  const full: Sending = { pace: 'spin', intervalUs: 0, count }
  let half: Sending = full
  const measureMaximum = async () => {
    const callUs = median([...(await run(full)).publishNs]) / 1000
    half = { ...full, intervalUs: Math.max(1, Math.round(callUs)) }
    return 1e6 / callUs
  }
  const pushed = 'pushed, half the maximum rate'
  const polledName = 'polled, half the maximum rate'
  const sides: Side[] = [
    { name: 'publish calls of one record, one after the other', unit: 'calls/s', measure: measureMaximum },
    ...latencySides(
      pushed,
      WAKE,
      () => collectWakesFromThread(limits, paceOf(half)),
      () => run(half),
      PUSHED,
    ),
    ...latencySides(
      polledName,
      POLL,
      async () => pollPage(limits, paceOf(half)),
      () => poll(half),
      POLLED,
    ),
  ]
  return { sides, close }
}

/** The engine's publisher waits as long as its call takes, so that it is a call every two of these. */
function paceOf(half: Sending): Sending {
  return { ...half, intervalUs: half.intervalUs * 2 }
}

/** The names of the limits. */
const WAKE = 'bare thread-safe function'
const POLL = 'bare poll of a shared word'

/** One round of the engine. */
interface Exchange {
  /** Microseconds from before each publish call to the callback. */
  readonly latencies: Times
  /** Nanoseconds that each publish call took. */
  readonly publishNs: Times
}

function latencySides(
  how: string,
  bareName: string,
  bare: () => Promise<Times>,
  engine: () => Promise<Exchange>,
  target: Target,
): Side[] {
  const limit = `${bareName}, ${how}`
  const name = `publish → callback, ${how}`
  let latest: Exchange = { latencies: [], publishNs: [] }
  const run = async () => {
    latest = await engine()
    return latest.latencies
  }
  const publishUs = () => median(Array.from(latest.publishNs)) / 1000
  return [
    ...percentileSides({ name: limit, series: 'limit', chart: 'latency', x: how, run: bare }),
    ...percentileSides({ name, series: 'Millrace', chart: 'latency', x: how, against: limit, target, run }),
    { name: `the publish call alone, ${how}, p50`, unit: 'µs', measure: publishUs, against: `${name}, p50` },
  ]
}

/** Rows of the table that are no dots of the chart. */
function withoutPoints(sides: readonly Side[]): Side[] {
  return sides.map((side) => ({ ...side, point: undefined }))
}

/** A stream that another thread publishes to or follows. */
async function openBetweenThreads(bench: Bench, durability: Durability) {
  const { millrace, remove } = await openFresh(bench, 'latency')
  const stream = await millrace.createStream(STREAM, { durability })
  const counterpart = await Counterpart.start({ directory: bench.workspace.path('latency'), stream: STREAM })
  const close = async () => {
    await counterpart.stop()
    await remove()
  }
  return { stream, counterpart, close }
}

/** Both ways to receive here what another thread publishes under `os`, warmed up. */
async function openBoth(bench: Bench) {
  const { limits } = bench
  const { stream, counterpart, close } = await openBetweenThreads(bench, 'os')
  const run = pushing(bench, stream, counterpart)
  const poll = async (sending: Sending): Promise<Exchange> => {
    using reader = stream.read({ from: 'LATEST', mode: 'polled' })
    const published = counterpart.publish(sending)
    return { latencies: pollStamps(limits, reader, sending.count), publishNs: await published }
  }
  await run({ pace: 'spin', intervalUs: 0, count: WARM_UP })
  await poll({ pace: 'spin', intervalUs: 0, count: WARM_UP })
  return { run, poll, close }
}

async function openPushed(bench: Bench, durability: Durability) {
  const { stream, counterpart, close } = await openBetweenThreads(bench, durability)
  const run = pushing(bench, stream, counterpart)
  await run({ pace: 'spin', intervalUs: 0, count: durability === 'os' ? WARM_UP : WARM_UP / 40 })
  return { run, close }
}

type Published = Awaited<ReturnType<typeof openBetweenThreads>>

function pushing({ limits }: Bench, stream: Published['stream'], counterpart: Counterpart) {
  return async (sending: Sending): Promise<Exchange> => {
    let published: Promise<Float64Array> | undefined
    const latencies = await readStamps(limits, stream, sending.count, () => {
      published = counterpart.publish(sending)
    })
    return { latencies, publishNs: (await published) ?? [] }
  }
}

function everyInterval(count: number, act: () => void): void {
  let left = count
  const timer = setInterval(() => {
    act()
    left -= 1
    if (left === 0) clearInterval(timer)
  }, INTERVAL_US / 1000)
}
