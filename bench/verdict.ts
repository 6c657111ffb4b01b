/**
 * Whether one build is slower than another, from runs in pairs.
 *
 * The two runs of a pair follow each other at once, so that a pair's ratio is free of whatever the machine does for
 * longer than that. The interval of the sign test bounds the median of the ratios without a word about how they are
 * distributed: of n ratios in their order, the k-th from below and from above, with the largest k for which a coin
 * would fall more one-sided in at most one of twenty series of n throws. One wild pair moves neither end.
 */
import { median } from './rows.js'

/** What the pairs of one row say. Ratios are of speed: more than 1 is faster, whatever the row's unit. */
export interface Verdict {
  readonly speed: number
  readonly low: number
  readonly high: number
  readonly says: 'slower' | 'faster' | 'equal within noise' | 'too few pairs'
}

/** How often at most a difference is seen where there is none. */
const CHANCE = 0.05

/** Fewer pairs than these show nothing at that chance, however much they agree. */
export const PAIRS_MIN = 6

/** A row of the same contest, measured by two builds, a value a pair. */
export interface PairedRow {
  readonly unit: string
  readonly old: readonly number[]
  readonly fresh: readonly number[]
}

/** Judges the pairs of one row. */
export function judgePairs({ unit, old, fresh }: PairedRow): Verdict {
  const ratios = fresh.map((value, pair) => {
    const [a, b] = moreIsBetter(unit) ? [value, old[pair]] : [old[pair], value]
    // Nothing against nothing, such as memory that did not grow, is no change.
    return a === b ? 1 : (a ?? Number.NaN) / (b ?? Number.NaN)
  })
  const sorted = ratios.toSorted((a, b) => a - b)
  const cut = outermost(sorted.length)
  const [low, high] = [sorted[cut - 1] ?? Number.NaN, sorted[sorted.length - cut] ?? Number.NaN]
  const speed = median(sorted)
  if (cut === 0)
    return { speed, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN, says: 'too few pairs' }
  return { speed, low, high, says: high < 1 ? 'slower' : low > 1 ? 'faster' : 'equal within noise' }
}

/** Whether a row got slower beyond the noise, and by more than `tolerance` (0.1 for a tenth). */
export function isRegression({ says, speed }: Verdict, tolerance: number): boolean {
  return says === 'slower' && speed < 1 - tolerance
}

/** Rates grow with speed; times and sizes shrink. */
function moreIsBetter(unit: string): boolean {
  return unit.endsWith('/s')
}

/** The k of the interval for n pairs; 0 where there is none. */
function outermost(n: number): number {
  let [k, term, tail] = [0, 0.5 ** n, 0]
  while (2 * (tail + term) <= CHANCE) {
    tail += term
    term *= (n - k) / (k + 1)
    k += 1
  }
  return k
}
