/**
 * Standard output: text and JSON with backpressure, and readers that leave early (`| head`).
 *
 * A closed pipe is no failure: {@link Output.closed} tells producers to stop, and the program ends with 0.
 */
import type { Writable } from 'node:stream'

/** Bytes gathered before one write: a write a line would cost more than the line. */
const CHUNK_CHARACTERS = 64 * 1024

/** Buffered text to a stream that may close at any time. */
export class Output {
  readonly #stream: Writable
  readonly #gone = new AbortController()
  #pending = ''

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // Nothing can be told to a reader that left, and any other fault of the stream ends the output as well.
      this.#gone.abort(error)
    })
  }

  /** Aborts when the reader of the pipe left. */
  get closed(): AbortSignal {
    return this.#gone.signal
  }

  /** What went wrong with the stream, unless its reader merely left. */
  get failure(): Error | undefined {
    const reason = this.#gone.signal.reason as NodeJS.ErrnoException | undefined
    return reason === undefined || reason.code === 'EPIPE' || reason.code === 'ECONNRESET' ? undefined : reason
  }

  /** Adds text as it is. */
  text(text: string): void {
    this.#pending += text
  }

  /** Adds a line. Returns whether {@link flush} is due. */
  line(text: string): boolean {
    this.#pending += `${text}\n`
    return this.#pending.length >= CHUNK_CHARACTERS
  }

  /** Adds a value as indented JSON. */
  json(value: unknown): void {
    this.line(JSON.stringify(value, null, 2))
  }

  /** Writes what was gathered; resolves when the stream takes more. */
  async flush(): Promise<void> {
    if (this.#pending.length === 0 || this.closed.aborted) return
    const text = this.#pending
    this.#pending = ''
    if (!this.#stream.write(text)) await this.#settled((done) => this.#stream.once('drain', done))
  }

  /** Writes what was gathered and waits until the operating system has taken it. */
  async end(): Promise<void> {
    const text = this.#pending
    this.#pending = ''
    if (this.closed.aborted) return
    await this.#settled((done) => this.#stream.write(text, done))
  }

  /** Resolves when `wait` calls back, or when the reader leaves. */
  async #settled(wait: (done: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.closed.removeEventListener('abort', done)
        resolve()
      }
      this.closed.addEventListener('abort', done)
      wait(done)
    })
  }
}
