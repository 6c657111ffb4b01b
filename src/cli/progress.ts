/**
 * A progress bar on a terminal's standard error, and silence everywhere else.
 *
 * It never touches standard output, so that it cannot mix with what programs read.
 */
import { Presets, SingleBar } from 'cli-progress'
import { bytes, count, duration, rate } from './format.js'

/** The bar redraws at most this often: more would cost time that the work needs. */
const REDRAWS_PER_SECOND = 10

/** What a progress bar counts. */
export interface ProgressOptions {
  /** What runs, such as `ingest`. */
  readonly label: string
  /** The work in all, in bytes or records; `undefined` when nobody knows (standard input). */
  readonly total: number | undefined
  /** Whether to show nothing at all. */
  readonly quiet: boolean
}

/** Shows work done of a total, records and their rate, and the time left. */
export class Progress {
  readonly #bar: SingleBar | undefined
  readonly #started = performance.now()
  readonly #total: number | undefined

  constructor(options: ProgressOptions) {
    this.#total = options.total
    if (options.quiet || !process.stderr.isTTY) return
    const known = options.total !== undefined
    this.#bar = new SingleBar(
      {
        format: known
          ? `${options.label} {bar} {percentage}% │ {records} │ {rate} │ {left}`
          : `${options.label} │ {done} │ {records} │ {rate} │ {elapsed}`,
        stream: process.stderr,
        fps: REDRAWS_PER_SECOND,
        barsize: 28,
        hideCursor: true,
        clearOnComplete: true,
        gracefulExit: false,
      },
      Presets.shades_classic,
    )
    this.#bar.start(options.total ?? 0, 0, this.#payload(0, 0))
  }

  /** Tells how far the work has come. */
  update(done: number, records: number): void {
    this.#bar?.update(this.#total === undefined ? 0 : Math.min(done, this.#total), this.#payload(done, records))
  }

  /** Takes the bar off the screen. */
  stop(): void {
    this.#bar?.stop()
  }

  /** Milliseconds since the work began. */
  get elapsed(): number {
    return performance.now() - this.#started
  }

  #payload(done: number, records: number): Record<string, string> {
    const elapsed = this.elapsed
    const left = this.#total === undefined || done === 0 ? 0 : (elapsed * (this.#total - done)) / done
    return {
      done: bytes(done),
      records: `${count(records)} records`,
      rate: rate(records, elapsed),
      left: done === 0 ? '…' : `${duration(Math.max(left, 0))} left`,
      elapsed: duration(elapsed),
    }
  }
}
