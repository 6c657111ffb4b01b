/**
 * A worker thread that publishes stamped records at a steady pace, so that the main thread can spin or sleep meanwhile.
 *
 * It asks nothing of the main thread while it publishes: that one may be blocked in a poll loop.
 */
// oxlint-disable unicorn/require-post-message-target-origin -- worker threads have no origin; the rule is for windows.
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Millrace, type Stream } from 'millrace'
import { type Limits, loadLimits, type Pace } from './limits.js'

/** Bytes of a stamped record; the first eight are the time of the publish call, a float64 of `nowNs`. */
const RECORD_BYTES = 100

/** What the worker is told once. */
interface Setting {
  readonly directory: string
  readonly stream: string
}

/** What it is told for each run. */
export interface Job {
  readonly count: number
  readonly intervalMs: number
  readonly pace: Pace
}

/** On Node 20 a worker does not inherit the loader of TypeScript; this registers it before the module is loaded. */
const bootstrap = `
  import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => {
    register()
    return import(${JSON.stringify(import.meta.url)})
  })
`

/** A publisher in a thread of its own. */
export class Publisher {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Starts the thread and waits until it has opened the stream. */
  static async start(setting: Setting): Promise<Publisher> {
    const worker = new Worker(bootstrap, { eval: true, workerData: setting })
    await once(worker, 'message')
    return new Publisher(worker)
  }

  /** Starts publishing; the promise resolves with the nanoseconds that each publish call took. */
  async publish(job: Job): Promise<Float64Array> {
    const done = once(this.#worker, 'message') as Promise<[Float64Array]>
    this.#worker.postMessage(job)
    return (await done)[0]
  }

  /** Ends the thread after it has closed its handle. */
  async stop(): Promise<void> {
    const exited = once(this.#worker, 'exit')
    this.#worker.postMessage(undefined)
    await exited
  }
}

/** Publishes one record that carries the time, and returns the nanoseconds that took. */
export function publishStamp(stream: Stream<Uint8Array>, limits: Limits, record: StampedRecord): number {
  const startedNs = limits.nowNs()
  record.view.setFloat64(0, startedNs, true)
  stream.append({ partitionKey: 'clock', data: record.data })
  stream.flushSync()
  return limits.nowNs() - startedNs
}

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

/** Reads the stamp back. */
export function stampOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getFloat64(0, true)
}

async function serve({ directory, stream: name }: Setting): Promise<void> {
  const limits = loadLimits()
  const millrace = await Millrace.open(directory)
  const stream = await millrace.stream(name)
  const record = stampedRecord()
  parentPort?.on('message', async (job: Job | undefined) => {
    if (job !== undefined) return parentPort?.postMessage(publishPaced(stream, limits, record, job))
    await millrace.close()
    return parentPort?.close()
  })
  parentPort?.postMessage('ready')
}

function publishPaced(
  stream: Stream<Uint8Array>,
  limits: Limits,
  record: StampedRecord,
  { count, intervalMs, pace }: Job,
): Float64Array {
  const took = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    pause(limits, pace, intervalMs)
    took[i] = publishStamp(stream, limits, record)
  }
  return took
}

/** Nobody ever wakes who waits here. */
const sleeper = new Int32Array(new SharedArrayBuffer(4))

function pause(limits: Limits, pace: Pace, milliseconds: number): void {
  if (pace === 'sleep') return void Atomics.wait(sleeper, 0, 0, milliseconds)
  const until = limits.nowNs() + milliseconds * 1e6
  while (limits.nowNs() < until);
}

if (!isMainThread) await serve(workerData as Setting)
