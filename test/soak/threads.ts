/** The threads of a soak: started, asked to end, or ended at an instant that the seed chooses. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ThreadData, ThreadMessage } from './context.js'

/** All threads that run at present. */
export class Threads {
  readonly #script: URL
  readonly #onBreach: (text: string) => void
  readonly #running = new Set<Worker>()
  /** Threads started, and ended with calls in flight. */
  started = 0
  terminated = 0

  constructor(script: URL, onBreach: (text: string) => void) {
    this.#script = script
    this.#onBreach = onBreach
  }

  /** How many run. */
  get size(): number {
    return this.#running.size
  }

  /** Starts a thread. */
  start(data: ThreadData): Worker {
    // The main thread's loader is of no use to plain JavaScript.
    const worker = new Worker(this.#script, { workerData: data, execArgv: [] })
    this.started += 1
    this.#running.add(worker)
    worker.on('message', (message: ThreadMessage) => {
      if (message.kind === 'breach') this.#onBreach(message.text)
    })
    worker.on('error', (error) => this.#onBreach(`${data.name}: ${String(error.stack)}`))
    worker.on('exit', () => this.#running.delete(worker))
    return worker
  }

  /** Ends a thread at once, whatever it is at. */
  async terminate(worker: Worker): Promise<void> {
    if (!this.#running.has(worker)) return
    this.terminated += 1
    await worker.terminate()
  }

  /** Asks all threads to come to their end; those that have not after `withinMs` are a breach, and are ended. */
  async stop(withinMs: number): Promise<void> {
    const ends = [...this.#running].map(async (worker) => {
      const ended = once(worker, 'exit')
      // A thread's port, not a window's.
      worker.postMessage('stop', [])
      const timer = setTimeout(() => {
        this.#onBreach(`a thread had not come to its end ${withinMs} ms after it was asked to`)
        void worker.terminate()
      }, withinMs)
      await ended
      clearTimeout(timer)
    })
    await Promise.all(ends)
  }
}
