/**
 * A contest sets the engine beside a physical limit: its sides run one after the other, round after round, so that
 * whatever else the machine does meets all of them alike. Figures are medians of rounds, a ratio is the median of the
 * rounds' ratios.
 *
 * Nothing here knows of streams or files.
 */

/** What a row promises, as the design states it. */
export interface Target {
  /** Whether the bound holds for the figure itself or for its ratio to the limit. */
  readonly of: 'median' | 'ratio'
  /** The smallest or the largest figure that keeps the promise. */
  readonly bound: { readonly atLeast: number } | { readonly atMost: number }
}

/** The figure itself is promised to reach `median`. */
export function atLeast(median: number): Target {
  return { of: 'median', bound: { atLeast: median } }
}

/** The figure itself is promised to stay within `median`. */
export function atMost(median: number): Target {
  return { of: 'median', bound: { atMost: median } }
}

/** The figure is promised to reach this share of its limit. */
export function ratioAtLeast(ratio: number): Target {
  return { of: 'ratio', bound: { atLeast: ratio } }
}

/** The figure is promised to stay within this multiple of its limit. */
export function ratioAtMost(ratio: number): Target {
  return { of: 'ratio', bound: { atMost: ratio } }
}

/** One thing that is measured once in every round. */
export interface Side {
  /** Unique over the whole run. */
  readonly name: string
  /** The unit of what `measure` returns. */
  readonly unit: string
  /** Measures once; preparation that must not count happens before its clock starts. */
  readonly measure: (round: number) => number | Promise<number>
  /** The name of the side in the same contest that this one is divided by. */
  readonly against?: string | undefined
  /** What is promised; of several promises each is judged. */
  readonly target?: Target | readonly Target[] | undefined
  /** Where the row stands in a chart that is more than a list of rows. */
  readonly point?: Point | undefined
}

/** The place of a row in a chart: rows of one series are joined, in the order of `x`. */
export interface Point {
  readonly chart: string
  readonly series: string
  readonly x: number | string
}

/** Sides that belong together, with what they need before and after. */
export interface Contest {
  /** What `--filter` looks at. */
  readonly name: string
  readonly rounds: number
  readonly open: () => Promise<OpenContest>
}

/** A contest whose files and streams exist. */
export interface OpenContest {
  readonly sides: readonly Side[]
  readonly close: () => Promise<void>
}

/** One line of the result, as it is written to the JSON file. */
export interface Row {
  readonly name: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** The name of the limit's row, or null for a limit and for a figure that has none. */
  readonly against: string | null
  /** This row divided by `against`, or null. */
  readonly ratio: number | null
}

/** A promise, and whether the row keeps it. */
export interface JudgedTarget extends Target {
  readonly kept: boolean
}

/** A row with all of its rounds and with its promises, as the results keep it. */
export interface JudgedRow extends Row {
  /** The figure of each round, in their order. */
  readonly values: readonly number[]
  /** The ratio of each round, or null for a row that is set beside nothing. */
  readonly ratios: readonly number[] | null
  readonly targets: readonly JudgedTarget[]
  /** Whether all promises are kept; null where nothing is promised. */
  readonly kept: boolean | null
  readonly point?: Point
}

/** Runs all rounds of one contest. */
export async function runContest(contest: Contest): Promise<JudgedRow[]> {
  const { sides, close } = await contest.open()
  try {
    return judge(sides, await interleave(sides, contest.rounds))
  } finally {
    await close()
  }
}

/** The middle of the values; of two middles, their mean. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

/** The value below which `share` (0 to 1) of the values lie, interpolated. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)] ?? Number.NaN
  const above = sorted[Math.ceil(place)] ?? Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

async function interleave(sides: readonly Side[], rounds: number): Promise<Map<string, number[]>> {
  const samples = new Map(sides.map((side): [string, number[]] => [side.name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) samples.get(side.name)?.push(await side.measure(round))
  }
  return samples
}

function judge(sides: readonly Side[], samples: ReadonlyMap<string, number[]>): JudgedRow[] {
  return sides.map((side) => {
    const values = samples.get(side.name) ?? []
    const limit = side.against === undefined ? undefined : samples.get(side.against)
    const ratios = limit === undefined ? null : values.map((value, round) => value / (limit[round] ?? Number.NaN))
    const row: Row = {
      name: side.name,
      unit: side.unit,
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      against: side.against ?? null,
      ratio: ratios === null ? null : median(ratios),
    }
    const targets = listTargets(side).map((target) => ({ ...target, kept: keeps(row, target) }))
    const kept = targets.length === 0 ? null : targets.every((target) => target.kept)
    return { ...row, values, ratios, targets, kept, ...(side.point && { point: side.point }) }
  })
}

function listTargets({ target }: Side): readonly Target[] {
  if (target === undefined) return []
  return 'of' in target ? [target] : target
}

function keeps(row: Row, { of, bound }: Target): boolean {
  const figure = of === 'median' ? row.median : (row.ratio ?? Number.NaN)
  return 'atLeast' in bound ? figure >= bound.atLeast : figure <= bound.atMost
}
