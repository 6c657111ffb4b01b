/**
 * Messages that carry the time at which they were sent, and the ways to receive them: pushed and polled, from the engine
 * and from a bare thread-safe function or a bare page. Whatever receives returns the microseconds of each message.
 */
import type { Reader, Stream } from 'millrace'
import type { Limits, Pace, StampPage, Waker } from './limits.js'

/** How a sender goes about it. */
export interface Sending {
  readonly pace: Pace
  readonly intervalUs: number
  readonly count: number
}

/** Bytes of a stamped record; the first eight are the time of the publish call, a float64 of `nowNs`. */
const RECORD_BYTES = 100

/** How long a poll loop spins between two looks at how much has come. */
const POLL_MS = 50

/** Bytes that are stamped again and again, and the view that stamps them. */
export interface StampedRecord {
  readonly data: Uint8Array
  readonly view: DataView
}

/** Makes the bytes of a stamped record. */
export function stampedRecord(): StampedRecord {
  const data = new Uint8Array(RECORD_BYTES)
  return { data, view: new DataView(data.buffer) }
}

/** Publishes one record that carries the time, and returns the nanoseconds that took. */
export function publishStamp(stream: Stream<Uint8Array>, limits: Limits, record: StampedRecord): number {
  const startedNs = limits.nowNs()
  record.view.setFloat64(0, startedNs, true)
  stream.append({ partitionKey: 'clock', data: record.data })
  stream.flushSync()
  return limits.nowNs() - startedNs
}

/** Publishes as told, and returns the nanoseconds of each call. It blocks the event loop meanwhile. */
export function publishPaced(stream: Stream<Uint8Array>, limits: Limits, sending: Sending): Float64Array {
  const record = stampedRecord()
  const took = new Float64Array(sending.count)
  for (let i = 0; i < sending.count; i++) {
    pause(limits, sending)
    took[i] = publishStamp(stream, limits, record)
  }
  return took
}

/** Follows the stream until `count` messages have come; `start` is called when the reader stands at the tail. */
export async function readStamps(
  limits: Limits,
  stream: Stream<Uint8Array>,
  count: number,
  start: () => void,
): Promise<number[]> {
  const latencies: number[] = []
  const reader = stream.read({ from: 'LATEST' })
  const reading = (async () => {
    for await (const batch of reader) {
      const now = limits.nowNs()
      for (let i = 0; i < batch.length; i++) latencies.push((now - stampOf(batch.data(i))) / 1000)
      if (latencies.length >= count) return
    }
  })()
  start()
  await reading
  return latencies
}

/** Polls the stream, without a turn of the event loop, until `count` messages have come. */
export function pollStamps(limits: Limits, reader: Reader<Uint8Array>, count: number): number[] {
  const latencies: number[] = []
  while (latencies.length < count) {
    const batch = reader.pollFor(POLL_MS)
    const now = limits.nowNs()
    if (batch === undefined) continue
    for (let i = 0; i < batch.length; i++) latencies.push((now - stampOf(batch.data(i))) / 1000)
  }
  return latencies
}

/** Lets a bare thread-safe function wake this thread, until it has been woken `count` times. */
export function collectWakes(
  limits: Limits,
  count: number,
  start: (waker: Pick<Waker, 'wake' | 'wakeFromThread'>) => void,
): Promise<number[]> {
  const latencies: number[] = []
  return new Promise((resolve) => {
    const waker = new limits.Waker((stampNs) => {
      latencies.push((limits.nowNs() - stampNs) / 1000)
      if (latencies.length < count) return
      waker.close()
      resolve(latencies)
    })
    start(waker)
  })
}

/** Lets a native thread wake this one through a bare thread-safe function. */
export function collectWakesFromThread(limits: Limits, { pace, intervalUs, count }: Sending): Promise<number[]> {
  return collectWakes(limits, count, (waker) => waker.wakeFromThread(pace, intervalUs, count))
}

/** Polls a bare page that a native thread stamps; a stamp that was overwritten before it was seen is not counted. */
export function pollPage(limits: Limits, { pace, intervalUs, count }: Sending): number[] {
  const page: StampPage = new limits.StampPage()
  const bytes = page.buffer()
  const number = new Int32Array(bytes, 0, 1)
  const stamp = new Float64Array(bytes, 8, 1)
  const latencies: number[] = []
  page.storeFromThread(pace, intervalUs, count)
  let seen = 0
  while (seen < count) {
    const stored = Atomics.load(number, 0)
    if (stored === seen) continue
    latencies.push((limits.nowNs() - stamp[0]!) / 1000)
    seen = stored
  }
  return latencies
}

function stampOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getFloat64(0, true)
}

/** Nobody ever wakes who waits here. */
const sleeper = new Int32Array(new SharedArrayBuffer(4))

function pause(limits: Limits, { pace, intervalUs }: Sending): void {
  if (pace === 'sleep') return void Atomics.wait(sleeper, 0, 0, intervalUs / 1000)
  const until = limits.nowNs() + intervalUs * 1000
  while (limits.nowNs() < until);
}
