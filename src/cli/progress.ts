/**
 * A progress bar on a terminal's standard error, and silence everywhere else.
 *
 * It never touches standard output, so that it cannot mix with what programs read.
 */
import { Presets, SingleBar } from 'cli-progress'
import { bytes, duration, plural, rate } from './format.js'

/** The bar redraws at most this often: more would cost time that the work needs. */
const REDRAWS_PER_SECOND = 10
const BAR_CELLS = 28

/** What a progress bar shows. */
export interface ProgressOptions {
  /** What runs, such as `ingest`. */
  readonly label: string
  /** The work in all; `undefined` when nobody knows (standard input). */
  readonly total: number | undefined
  /** What the amount beside the bar counts. */
  readonly counts: 'records' | 'bytes'
  /** Whether to show nothing at all. */
  readonly quiet: boolean
}

/** Shows how much of a total is done, an amount and its rate, and the time left. */
export class Progress {
  readonly #options: ProgressOptions
  readonly #bar: SingleBar | undefined
  readonly #started = performance.now()
  #total: number | undefined

  constructor(options: ProgressOptions) {
    this.#options = options
    this.#total = options.total
    if (options.quiet || !process.stderr.isTTY) return
    const known = options.total !== undefined
    const format = known
      ? `${options.label} {bar} {percentage}% │ {amount} │ {speed} │ {left}`
      : `${options.label} │ {amount} │ {speed} │ {elapsed}`
    this.#bar = new SingleBar(
      {
        format,
        stream: process.stderr,
        fps: REDRAWS_PER_SECOND,
        barsize: BAR_CELLS,
        hideCursor: true,
        clearOnComplete: true,
        gracefulExit: false,
      },
      Presets.shades_classic,
    )
    this.#bar.start(options.total ?? 0, 0, this.#payload(0, 0))
  }

  /** Tells how much of the total is done, and the amount to be shown beside it. */
  update(done: number, amount: number = done): void {
    this.#bar?.update(this.#total === undefined ? 0 : Math.min(done, this.#total), this.#payload(done, amount))
  }

  /** Corrects the total while the work goes on. */
  setTotal(total: number): void {
    this.#total = total
    this.#bar?.setTotal(total)
  }

  /** Takes the bar off the screen. */
  stop(): void {
    this.#bar?.stop()
  }

  /** Milliseconds since the work began. */
  get elapsed(): number {
    return performance.now() - this.#started
  }

  #payload(done: number, amount: number): Record<string, string> {
    const { elapsed } = this
    const total = this.#total ?? 0
    const inBytes = this.#options.counts === 'bytes'
    return {
      amount: inBytes ? bytes(amount) : plural(amount, 'record'),
      speed: inBytes ? `${bytes((amount * 1000) / Math.max(elapsed, 1))}/s` : rate(amount, elapsed),
      left: done === 0 ? '…' : `${duration(Math.max((elapsed * (total - done)) / done, 0))} left`,
      elapsed: duration(elapsed),
    }
  }
}
