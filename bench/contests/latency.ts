/**
 * From the publish call to the callback in the same process, policy `os`, at 1,000 records a second: pushed beside a
 * bare thread-safe function, polled beside a bare poll of a shared word.
 *
 * A latency starts before the publish call, so that it contains the append; the limits start at the bare store or
 * wake. Engine and limit wake from the same kind of thread, because a wake of one's own event loop is cheaper.
 */
import type { Reader, Stream } from 'millrace'
import { type Bench, openFresh } from '../bench.js'
import { Publisher, publishStamp, stampedRecord, stampOf } from '../publisher.js'
import { type Contest, type OpenContest, percentile, ratioAtMost, type Side } from '../rows.js'

const INTERVAL_MS = 1
const STREAM = 'clock'

/** How long a poll loop spins between two looks at how much has come. */
const POLL_MS = 50

/** Pushed from the reader's own thread and from another, and polled. */
export function latencyContests(bench: Bench): Contest[] {
  const rounds = bench.quick ? 3 : 5
  return [
    { name: 'latency pushed, same thread', rounds, open: () => pushedFromHere(bench) },
    { name: 'latency pushed, other thread', rounds, open: () => pushedFromThread(bench) },
    { name: 'latency polled', rounds, open: () => polled(bench) },
  ]
}

function messages({ quick }: Bench): number {
  return quick ? 300 : 2000
}

async function pushedFromHere(bench: Bench): Promise<OpenContest> {
  const limit = 'bare thread-safe function, woken from its own thread, p50'
  const { millrace, remove } = await openFresh(bench, 'pushed-here')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const record = stampedRecord()
  const engine = () => {
    return readStamps(bench, stream, (count) => everyInterval(count, () => publishStamp(stream, bench.limits, record)))
  }
  const bare = () => {
    return collectWakes(bench, (waker, count) => everyInterval(count, () => waker.wake()))
  }
  return { sides: pushedSides(limit, 'publish → callback, pushed, same thread', bare, engine), close: remove }
}

async function pushedFromThread(bench: Bench): Promise<OpenContest> {
  const limit = 'bare thread-safe function, woken from a native thread, p50'
  const { millrace, remove } = await openFresh(bench, 'pushed-thread')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const publisher = await Publisher.start({ directory: bench.workspace.path('pushed-thread'), stream: STREAM })
  const engine = () => {
    return readStamps(bench, stream, (count) => void publisher.publish({ count, intervalMs: INTERVAL_MS }))
  }
  const bare = () => collectWakes(bench, (waker, count) => waker.wakeFromThread(INTERVAL_MS * 1000, count))
  const close = async () => {
    await publisher.stop()
    await remove()
  }
  return { sides: pushedSides(limit, 'publish → callback, pushed, other thread', bare, engine), close }
}

async function polled(bench: Bench): Promise<OpenContest> {
  const limit = 'bare poll of a shared word, p50'
  const { millrace, remove } = await openFresh(bench, 'polled')
  const stream = await millrace.createStream(STREAM, { durability: 'os' })
  const publisher = await Publisher.start({ directory: bench.workspace.path('polled'), stream: STREAM })
  let latest: number[] = []
  let publishNs = new Float64Array()
  const measure = async () => {
    using reader = stream.read({ from: 'LATEST', mode: 'polled' })
    reader.poll()
    const published = publisher.publish({ count: messages(bench), intervalMs: INTERVAL_MS })
    latest = pollStamps(bench, reader)
    publishNs = Float64Array.from(await published)
    return percentile(latest, 0.5)
  }
  const sides: Side[] = [
    { name: limit, unit: 'µs', measure: () => percentile(pollPage(bench), 0.5) },
    { name: 'publish → callback, polled, p50', unit: 'µs', measure, against: limit, target: ratioAtMost(2) },
    { name: 'publish → callback, polled, p99', unit: 'µs', measure: () => percentile(latest, 0.99) },
    { name: 'of it the publish call itself, p50', unit: 'µs', measure: () => percentile([...publishNs], 0.5) / 1000 },
  ]
  const close = async () => {
    await publisher.stop()
    await remove()
  }
  return { sides, close }
}

function pushedSides(
  limit: string,
  name: string,
  bare: () => Promise<number[]>,
  engine: () => Promise<number[]>,
): Side[] {
  let latest: number[] = []
  const measure = async () => {
    latest = await engine()
    return percentile(latest, 0.5)
  }
  return [
    { name: limit, unit: 'µs', measure: async () => percentile(await bare(), 0.5) },
    { name: `${name}, p50`, unit: 'µs', measure, against: limit, target: ratioAtMost(2) },
    { name: `${name}, p99`, unit: 'µs', measure: () => percentile(latest, 0.99) },
  ]
}

/** Follows the stream until every message has come; returns each one's microseconds. */
async function readStamps(bench: Bench, stream: Stream<Uint8Array>, start: (count: number) => void): Promise<number[]> {
  const count = messages(bench)
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
  start: (waker: { wake(): void; wakeFromThread(intervalUs: number, count: number): void }, count: number) => void,
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

function pollStamps(bench: Bench, reader: Reader<Uint8Array>): number[] {
  const latencies: number[] = []
  while (latencies.length < messages(bench)) {
    const batch = reader.pollFor(POLL_MS)
    const now = bench.limits.nowNs()
    if (batch === undefined) continue
    for (let i = 0; i < batch.length; i++) latencies.push((now - stampOf(batch.data(i))) / 1000)
  }
  return latencies
}

function pollPage(bench: Bench): number[] {
  const page = new bench.limits.StampPage()
  const bytes = page.buffer()
  const number = new Int32Array(bytes, 0, 1)
  const stamp = new Float64Array(bytes, 8, 1)
  const latencies: number[] = []
  page.storeFromThread(INTERVAL_MS * 1000, messages(bench))
  let seen = 0
  while (seen < messages(bench)) {
    const stored = Atomics.load(number, 0)
    if (stored === seen) continue
    latencies.push((bench.limits.nowNs() - stamp[0]!) / 1000)
    seen = stored
  }
  return latencies
}
