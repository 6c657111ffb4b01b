/**
 * A worker thread that publishes stamped records at a fixed pace, and one that receives them. The other side is the
 * thread that started it: that one may be blocked in a poll loop, or busy publishing.
 */
// oxlint-disable unicorn/require-post-message-target-origin -- worker threads have no origin; the rule is for windows.
import { once } from 'node:events'
import { isMainThread, parentPort, type Worker, workerData } from 'node:worker_threads'
import { Millrace, type Stream } from 'millrace'
import { type Limits, loadLimits } from './limits.js'
import { collectWakesFromThread, publishPaced, readStamps, type Sending } from './stamps.js'
import { startWorker } from './worker.js'

/** What the worker is told once. */
interface Setting {
  readonly directory: string
  readonly stream: string
}

/** What it is told for each run. */
type Job =
  /** Publishes; answers with the nanoseconds of each call. */
  | ({ readonly do: 'publish' } & Sending)
  /** Follows the stream; answers once when it stands at the tail, and then with the microseconds of each message. */
  | { readonly do: 'follow'; readonly count: number }
  /** Is woken by a native thread; answers with the microseconds of each wake-up. */
  | ({ readonly do: 'wake' } & Sending)

/** A thread of its own at the other end of a stream. */
export class Counterpart {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Starts the thread and waits until it has opened the stream. */
  static async start(setting: Setting): Promise<Counterpart> {
    return new Counterpart(await startWorker(import.meta.url, setting))
  }

  /** Starts publishing; the promise resolves with the nanoseconds that each publish call took. */
  publish(sending: Sending): Promise<Float64Array> {
    return this.#ask({ do: 'publish', ...sending })
  }

  /** Resolves when the thread's reader waits for messages; `received` resolves when all have come. */
  async follow(count: number): Promise<{ readonly received: Promise<Float64Array> }> {
    await this.#ask({ do: 'follow', count })
    return { received: this.#answer() }
  }

  /** Lets a native thread wake that thread through a bare thread-safe function. */
  wake(sending: Sending): Promise<Float64Array> {
    return this.#ask({ do: 'wake', ...sending })
  }

  /** Ends the thread after it has closed its handle. */
  async stop(): Promise<void> {
    const exited = once(this.#worker, 'exit')
    this.#worker.postMessage(undefined)
    await exited
  }

  #ask(job: Job): Promise<Float64Array> {
    const answer = this.#answer()
    this.#worker.postMessage(job)
    return answer
  }

  async #answer(): Promise<Float64Array> {
    const [answer] = (await once(this.#worker, 'message')) as [Float64Array]
    return answer
  }
}

async function serve({ directory, stream: name }: Setting): Promise<void> {
  const limits = loadLimits()
  const millrace = await Millrace.open(directory)
  const stream = await millrace.stream(name)
  parentPort?.on('message', async (job: Job | undefined) => {
    if (job !== undefined) return parentPort?.postMessage(await perform(job, stream, limits))
    await millrace.close()
    return parentPort?.close()
  })
  parentPort?.postMessage('ready')
}

async function perform(job: Job, stream: Stream<Uint8Array>, limits: Limits): Promise<Float64Array> {
  if (job.do === 'publish') return publishPaced(stream, limits, job)
  if (job.do === 'wake') return Float64Array.from(await collectWakesFromThread(limits, job))
  return Float64Array.from(await readStamps(limits, stream, job.count, () => parentPort?.postMessage('ready')))
}

if (!isMainThread) await serve(workerData as Setting)
