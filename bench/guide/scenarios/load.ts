/** A paced writer, and counts of what became of its records, interval by interval. */
import { performance } from 'node:perf_hooks'

/** How long an interval is whose counts become one point, in seconds. */
export const INTERVAL_S = 0.5
/** Records leave so often, in milliseconds. */
const TICK_MS = 20

/** Counts by name, as rates over the intervals of a run. */
export class Rates {
  readonly #started = performance.now()
  readonly #counts = new Map<string, number[]>()

  /** Seconds since the run began. */
  get elapsed(): number {
    return (performance.now() - this.#started) / 1000
  }

  /** Counts one more of `name`, now. */
  count(name: string, times = 1): void {
    const interval = Math.floor(this.elapsed / INTERVAL_S)
    const counts = this.#counts.get(name) ?? []
    counts[interval] = (counts[interval] ?? 0) + times
    this.#counts.set(name, counts)
  }

  /** All that was counted under `name`. */
  total(name: string): number {
    return (this.#counts.get(name) ?? []).reduce((sum, count = 0) => sum + count, 0)
  }

  /** What was counted under `name` as points: the middle of each whole interval, and the rate in it. */
  points(name: string, seconds: number): [number, number][] {
    const counts = this.#counts.get(name) ?? []
    return Array.from({ length: Math.floor(seconds / INTERVAL_S) }, (_, interval) => [
      (interval + 0.5) * INTERVAL_S,
      (counts[interval] ?? 0) / INTERVAL_S,
    ])
  }
}

/** Calls `send` as often as `perSecond` says at that time, for so many seconds, in small groups. */
export async function paced(
  seconds: number,
  perSecond: (at: number) => number,
  send: (index: number) => void,
): Promise<void> {
  const started = performance.now()
  let owed = 0
  let sent = 0
  let last = 0
  for (let at = 0; at < seconds; at = (performance.now() - started) / 1000) {
    owed += (at - last) * perSecond(at)
    last = at
    for (; owed >= 1; owed -= 1) {
      send(sent)
      sent += 1
    }
    await new Promise((resolve) => {
      setTimeout(resolve, TICK_MS)
    })
  }
}
