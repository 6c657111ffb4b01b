/**
 * From the publish call to the callback in the same process, policy `os`, at 1,000 records a second: pushed beside a
 * bare thread-safe function, polled beside a bare poll of a shared word.
 *
 * A latency starts before the publish call, so that it contains the append; the limits start at the bare store or
 * wake. Engine and limit wake from the same kind of thread at the same pace, because all of it is several times slower
 * from a thread that slept.
 */
import type { Reader, Stream } from 'millrace'
import { type Bench, openFresh } from '../bench.js'
import type { Pace, Waker } from '../limits.js'
import { type Job, Publisher, publishStamp, stampedRecord, stampOf } from '../publisher.js'
import { type Contest, type OpenContest, percentile, ratioAtMost, type Side } from '../rows.js'

const INTERVAL_MS = 1
const STREAM = 'clock'

/** How long a poll loop spins between two looks at how much has come. */
const POLL_MS = 50

/** Publishes before the first round, without a pause, so that the code under test is compiled. */
const WARM_UP = 20_000

/**
 * Pushed from the reader's own thread, which sleeps in between, and pushed and polled from another thread: once from
 * one that is busy in between, once from one that sleeps, after which every cache is cold.
 */
export function latencyContests(bench: Bench): Contest[] {
  const rounds = bench.quick ? 2 : 5
  const paces = ['spin', 'sleep'] as const
  return [
    { name: 'latency pushed, same thread', rounds, open: () => pushedFromHere(bench) },
    ...paces.map((pace) => {
      return { name: `latency pushed, ${PUBLISHER[pace]}`, rounds, open: () => pushedFromThread(bench, pace) }
    }),
    ...paces.map((pace) => ({ name: `latency polled, ${PUBLISHER[pace]}`, rounds, open: () => polled(bench, pace) })),
  ]
}

/** How a publisher in another thread is called in the names of rows. */
const PUBLISHER: Readonly<Record<Pace, string>> = { spin: 'busy publisher', sleep: 'sleeping publisher' }

function messages({ quick }: Bench): number {
  return quick ? 200 : 2000
}

async function pushedFromHere(bench: Bench): Promise<OpenContest> {
  const { millrace, remove } = await openFresh(bench, 'latency')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const record = stampedRecord()
  const publish = () => publishStamp(stream, bench.limits, record)
  await readStamps(bench, stream, WARM_UP, (count) => {
    for (let i = 0; i < count; i++) publish()
  })
  const engine = async () => {
    const publishNs: number[] = []
    const start = (count: number) => everyInterval(count, () => publishNs.push(publish()))
    return { latencies: await readStamps(bench, stream, messages(bench), start), publishNs }
  }
  const bare = () => collectWakes(bench, (waker, count) => everyInterval(count, () => waker.wake()))
  return { sides: latencySides('pushed', 'same thread', bare, engine), close: remove }
}

async function pushedFromThread(bench: Bench, pace: Pace): Promise<OpenContest> {
  const { stream, publisher, close } = await openPublished(bench)
  const run = async (job: Job): Promise<Run> => {
    let published: Promise<Float64Array> | undefined
    const latencies = await readStamps(bench, stream, job.count, () => {
      published = publisher.publish(job)
    })
    return { latencies, publishNs: [...((await published) ?? [])] }
  }
  await run({ count: WARM_UP, intervalMs: 0, pace: 'spin' })
  const engine = () => run({ count: messages(bench), intervalMs: INTERVAL_MS, pace })
  const bare = () => collectWakes(bench, (waker, count) => waker.wakeFromThread(pace, INTERVAL_MS * 1000, count))
  return { sides: latencySides('pushed', PUBLISHER[pace], bare, engine), close }
}

async function polled(bench: Bench, pace: Pace): Promise<OpenContest> {
  const { stream, publisher, close } = await openPublished(bench)
  const run = async (job: Job): Promise<Run> => {
    using reader = stream.read({ from: 'LATEST', mode: 'polled' })
    const published = publisher.publish(job)
    const latencies = pollStamps(bench, reader, job.count)
    return { latencies, publishNs: [...(await published)] }
  }
  await run({ count: WARM_UP, intervalMs: 0, pace: 'spin' })
  const engine = () => run({ count: messages(bench), intervalMs: INTERVAL_MS, pace })
  return { sides: latencySides('polled', PUBLISHER[pace], async () => pollPage(bench, pace), engine), close }
}

/** A stream that another thread publishes to. */
async function openPublished(bench: Bench) {
  const { millrace, remove } = await openFresh(bench, 'latency')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const publisher = await Publisher.start({ directory: bench.workspace.path('latency'), stream: STREAM })
  const close = async () => {
    await publisher.stop()
    await remove()
  }
  return { stream, publisher, close }
}

/** One round of the engine. */
interface Run {
  /** Microseconds from before each publish call to the callback. */
  readonly latencies: readonly number[]
  /** Nanoseconds that each publish call took. */
  readonly publishNs: readonly number[]
}

function latencySides(
  mode: 'pushed' | 'polled',
  how: string,
  bare: () => Promise<number[]>,
  engine: () => Promise<Run>,
): Side[] {
  const limit = `${mode === 'pushed' ? 'bare thread-safe function' : 'bare poll of a shared word'}, ${how}, p50`
  const name = `publish → callback, ${mode}, ${how}`
  let latest: Run = { latencies: [], publishNs: [] }
  const measure = async () => {
    latest = await engine()
    return percentile(latest.latencies, 0.5)
  }
  const afterPublish = () => {
    return percentile(
      latest.latencies.map((latency, i) => latency - (latest.publishNs[i] ?? Number.NaN) / 1000),
      0.5,
    )
  }
  return [
    { name: limit, unit: 'µs', measure: async () => percentile(await bare(), 0.5) },
    { name: `${name}, p50`, unit: 'µs', measure, against: limit, target: ratioAtMost(2) },
    { name: `published → callback, ${mode}, ${how}, p50`, unit: 'µs', measure: afterPublish, against: limit },
    { name: `${name}, p99`, unit: 'µs', measure: () => percentile(latest.latencies, 0.99) },
  ]
}

/** Follows the stream until every message has come; returns each one's microseconds. */
async function readStamps(
  bench: Bench,
  stream: Stream<Uint8Array>,
  count: number,
  start: (count: number) => void,
): Promise<number[]> {
  const latencies: number[] = []
  const reader = stream.read({ from: 'LATEST' })
  const reading = (async () => {
    for await (const batch of reader) {
      const now = bench.limits.nowNs()
      for (let i = 0; i < batch.length; i++) latencies.push((now - stampOf(batch.data(i))) / 1000)
      if (latencies.length >= count) return
    }
  })()
  start(count)
  await reading
  return latencies
}

/** Lets a bare thread-safe function wake this thread; returns each wake's microseconds. */
function collectWakes(
  bench: Bench,
  start: (waker: Pick<Waker, 'wake' | 'wakeFromThread'>, count: number) => void,
): Promise<number[]> {
  const count = messages(bench)
  const latencies: number[] = []
  return new Promise((resolve) => {
    const waker = new bench.limits.Waker((stampNs) => {
      latencies.push((bench.limits.nowNs() - stampNs) / 1000)
      if (latencies.length < count) return
      waker.close()
      resolve(latencies)
    })
    start(waker, count)
  })
}

function everyInterval(count: number, act: () => void): void {
  let left = count
  const timer = setInterval(() => {
    act()
    left -= 1
    if (left === 0) clearInterval(timer)
  }, INTERVAL_MS)
}

function pollStamps(bench: Bench, reader: Reader<Uint8Array>, count: number): number[] {
  const latencies: number[] = []
  while (latencies.length < count) {
    const batch = reader.pollFor(POLL_MS)
    const now = bench.limits.nowNs()
    if (batch === undefined) continue
    for (let i = 0; i < batch.length; i++) latencies.push((now - stampOf(batch.data(i))) / 1000)
  }
  return latencies
}

function pollPage(bench: Bench, pace: Pace): number[] {
  const page = new bench.limits.StampPage()
  const bytes = page.buffer()
  const number = new Int32Array(bytes, 0, 1)
  const stamp = new Float64Array(bytes, 8, 1)
  const latencies: number[] = []
  page.storeFromThread(pace, INTERVAL_MS * 1000, messages(bench))
  let seen = 0
  while (seen < messages(bench)) {
    const stored = Atomics.load(number, 0)
    if (stored === seen) continue
    latencies.push((bench.limits.nowNs() - stamp[0]!) / 1000)
    seen = stored
  }
  return latencies
}
