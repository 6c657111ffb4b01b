/**
 * Rows of latencies: the median and the 99th percentile of the same calls, beside the same of a limit.
 */
import { percentile, type Side, type Target } from './rows.js'

/** Microseconds of each call. */
export type Times = readonly number[] | Float64Array

/** Calls of one kind. */
export interface Latencies {
  /** The rows are called so, with `, p50` and `, p99` behind it. */
  readonly name: string
  readonly series: 'Millrace' | 'limit'
  readonly chart: string
  /** Under what name the chart shows it. */
  readonly x: string
  /** The name of the limit's latencies. */
  readonly against?: string | undefined
  /** What is promised for the median. */
  readonly target?: Target | undefined
  /** Makes the calls of one round. */
  readonly run: (round: number) => Times | Promise<Times>
}

/** Two rows; the second looks at the calls that the first has made in the same round. */
export function percentileSides({ name, series, chart, x, against, target, run }: Latencies): [Side, Side] {
  let latest: readonly number[] = []
  const measure = async (round: number) => {
    latest = Array.from(await run(round))
    return percentile(latest, 0.5)
  }
  const side = (rank: string): Omit<Side, 'measure'> => {
    const limit = against === undefined ? undefined : `${against}, ${rank}`
    return { name: `${name}, ${rank}`, unit: 'µs', against: limit, point: { chart, series: `${series} ${rank}`, x } }
  }
  return [
    { ...side('p50'), measure, target },
    { ...side('p99'), measure: () => percentile(latest, 0.99) },
  ]
}
