/**
 * The judgement of what was watched: after a warm-up, the later half of the samples must not lie above the earlier half
 * by more than a bound.
 *
 * What is compared is the lower quartile of each half: garbage not yet collected, batches in flight and segments not yet
 * trimmed stand on top of what is really held, and a leak raises the floor. Each bound is a share of the earlier half
 * plus a constant, the constant being what the floor of a sound run was seen to move by (docs/testing.md, "Soak").
 */
import { WATCHED, type Figure, type Sample } from './resources.js'

const MIB = 2 ** 20

/** How far the floor of a figure may rise. */
interface Bound {
  /** As a part of the earlier half's floor. */
  readonly share: number
  /** And on top of it, in the figure's own unit. */
  readonly constant: number
}

/** How far each figure may rise. */
export const BOUNDS: Readonly<Record<Figure, Bound>> = {
  rss: { share: 0.15, constant: 64 * MIB },
  anonymous: { share: 0.15, constant: 48 * MIB },
  heapUsed: { share: 0.15, constant: 8 * MIB },
  external: { share: 0.15, constant: 48 * MIB },
  arrayBuffers: { share: 0.15, constant: 8 * MIB },
  // The store whose writers are killed takes up to 64 MiB, and is begun anew then.
  excessDisk: { share: 0.15, constant: 96 * MIB },
  descriptors: { share: 0.15, constant: 64 },
  maps: { share: 0.15, constant: 128 },
  threads: { share: 0, constant: 4 },
  delayMs: { share: 1, constant: 50 },
}

/** Fewer samples than this after the warm-up say nothing. */
const SAMPLES_LEAST = 8

/** What became of one figure. */
export interface Verdict {
  readonly figure: Figure
  /** Floor of the earlier and of the later half. */
  readonly earlier: number
  readonly later: number
  /** The most that `later` might have been. */
  readonly bound: number
  readonly highest: number
  readonly kept: boolean
}

/** Judges the samples taken since `warmMs`; `undefined` where they are too few to say anything. */
export function judge(samples: readonly Sample[], warmMs: number): Verdict[] | undefined {
  const warm = samples.filter(({ ms }) => ms >= warmMs)
  if (warm.length < SAMPLES_LEAST) return undefined
  const middle = Math.floor(warm.length / 2)
  return WATCHED.map((figure) => {
    const earlier = floorOf(warm.slice(0, middle), figure)
    const later = floorOf(warm.slice(middle), figure)
    const { share, constant } = BOUNDS[figure]
    const bound = earlier * (1 + share) + constant
    const highest = Math.max(...samples.map((sample) => sample[figure]))
    return { figure, earlier, later, bound, highest, kept: later <= bound }
  })
}

function floorOf(samples: readonly Sample[], figure: Figure): number {
  const values = samples.map((sample) => sample[figure]).sort((a, b) => a - b)
  return values[Math.floor(values.length / 4)] as number
}
