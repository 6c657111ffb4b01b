/**
 * A worker thread with many readers of one stream: some that keep up, and one that stands still until it is told to
 * catch up.
 */
// oxlint-disable unicorn/require-post-message-target-origin -- worker threads have no origin; the rule is for windows.
import { once } from 'node:events'
import { isMainThread, parentPort, type Worker, workerData } from 'node:worker_threads'
import { type Consumer, Millrace, type Reader, type Stream } from 'millrace'
import { startWorker } from './worker.js'

/** What the worker is told once. */
interface Setting {
  readonly directory: string
  readonly stream: string
}

/** How a record comes to a reader. */
export type As = 'reader' | 'consumer'

type Job =
  /** So many readers follow until each has seen so many records: plain ones, or registered consumers. */
  | { readonly do: 'follow'; readonly readers: number; readonly records: number; readonly as: As }
  /** A reader is opened at the tail, and left alone. */
  | { readonly do: 'stand still' }
  /** That reader reads up to the tail. */
  | { readonly do: 'catch up' }

/** Readers in a thread of their own. */
export class Crowd {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Starts the thread and waits until it has opened the stream. */
  static async start(setting: Setting): Promise<Crowd> {
    return new Crowd(await startWorker(import.meta.url, setting))
  }

  /** Resolves when all readers wait at the tail; `done` resolves with the milliseconds that their thread was busy. */
  async follow(readers: number, records: number, as: As = 'reader'): Promise<{ readonly done: Promise<number> }> {
    await this.#ask({ do: 'follow', readers, records, as })
    return { done: this.#answer() }
  }

  /** Resolves when the slow reader stands at the tail. */
  async standStill(): Promise<void> {
    await this.#ask({ do: 'stand still' })
  }

  /** Resolves with the records a second that the slow reader reads. */
  catchUp(): Promise<number> {
    return this.#ask({ do: 'catch up' })
  }

  /** Ends the thread after it has closed its handle. */
  async stop(): Promise<void> {
    const exited = once(this.#worker, 'exit')
    this.#worker.postMessage(undefined)
    await exited
  }

  #ask(job: Job): Promise<number> {
    const answer = this.#answer()
    this.#worker.postMessage(job)
    return answer
  }

  async #answer(): Promise<number> {
    const [answer] = (await once(this.#worker, 'message')) as [number]
    return answer
  }
}

async function serve({ directory, stream: name }: Setting): Promise<void> {
  const millrace = await Millrace.open(directory)
  const stream = await millrace.stream(name)
  let still: Reader<Uint8Array> | undefined
  const perform = async (job: Job): Promise<number> => {
    if (job.do === 'follow') return await follow(stream, job)
    if (job.do === 'catch up') return catchUp(still!)
    still = stream.read({ from: 'LATEST' })
    return 0
  }
  parentPort?.on('message', async (job: Job | undefined) => {
    if (job !== undefined) return parentPort?.postMessage(await perform(job))
    await millrace.close()
    return parentPort?.close()
  })
  parentPort?.postMessage('ready')
}

/** Milliseconds that this thread was busy until all had seen all. */
async function follow(
  stream: Stream<Uint8Array>,
  { readers, records, as }: Extract<Job, { do: 'follow' }>,
): Promise<number> {
  const consumers = as === 'consumer' ? await registered(stream, readers) : []
  const reading = Array.from({ length: readers }, (_, index) => readSome(stream, records, consumers[index]))
  parentPort?.postMessage('ready')
  const before = performance.eventLoopUtilization()
  await Promise.all(reading)
  return performance.eventLoopUtilization(before).active
}

async function readSome(stream: Stream<Uint8Array>, records: number, consumer?: Consumer<Uint8Array>): Promise<void> {
  const options = { from: 'LATEST', shard: 'shardId-000000000000' } as const
  let seen = 0
  if (consumer === undefined) {
    for await (const batch of stream.read(options)) if ((seen += batch.length) >= records) return
  } else {
    for await (const event of consumer.subscribe(options)) if ((seen += event.records.length) >= records) return
  }
}

/** So many registered consumers; those that are there already are taken. */
async function registered(stream: Stream<Uint8Array>, count: number): Promise<Consumer<Uint8Array>[]> {
  for (let index = stream.consumers().length; index < count; index += 1) {
    await stream.registerConsumer(`consumer-${index}`)
  }
  return stream.consumers().slice(0, count)
}

/** Records a second up to the tail. */
function catchUp(reader: Reader<Uint8Array>): number {
  const started = performance.now()
  let bytes = 0
  let records = 0
  for (let batch = reader.nextSync(); batch !== undefined; batch = reader.nextSync()) {
    for (let i = 0; i < batch.length; i++) bytes += batch.dataLength(i)
    records += batch.length
  }
  const rate = (records / (performance.now() - started)) * 1000
  reader.close()
  return bytes > 0 ? rate : Number.NaN
}

if (!isMainThread) await serve(workerData as Setting)
