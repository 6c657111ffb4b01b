/**
 * Whether what a stream holds matters to who appends to it or reads its end: rates and memory of a process that has
 * opened streams of three sizes, a hundred times apart from the least to the largest.
 */
import { type Bench, MIB, settle } from '../bench.js'
import { type Answer, runTask } from '../child.js'
import { type Contest, type OpenContest, ratioAtLeast, ratioAtMost, type Side, type Target } from '../rows.js'

/** Sizes in GB, and in quick runs. */
const SIZES = [0.1, 1, 10]
const SIZES_QUICK = [0.01, 0.1, 1]

/** What each process appends and reads back. */
const TAIL_BYTES = 128 * MIB
const TAIL_BYTES_QUICK = 64 * MIB

/** What is told of each size. */
const FIGURES: readonly {
  readonly name: string
  readonly unit: string
  readonly of: (answer: Answer) => number | undefined
  readonly target: Target
}[] = [
  { name: 'append 100 B, os', unit: 'records/s', of: ({ appendRate }) => appendRate, target: ratioAtLeast(0.9) },
  { name: 'read of the tail', unit: 'records/s', of: ({ readRate }) => readRate, target: ratioAtLeast(0.9) },
  { name: 'resident memory', unit: 'MiB', of: ({ residentMib }) => residentMib, target: ratioAtMost(1.1) },
]

/** One contest. */
export function sizeContests(bench: Bench): Contest[] {
  return [{ name: 'data size', rounds: bench.quick ? 3 : 7, open: () => openSizes(bench) }]
}

async function openSizes(bench: Bench): Promise<OpenContest> {
  const sizes = bench.quick ? SIZES_QUICK : SIZES
  for (const gb of sizes) await fill(bench, gb)
  const [least = Number.NaN, largest] = [sizes[0], sizes.at(-1)]
  const sides = sizes.flatMap((gb): Side[] => {
    let answer: Answer | undefined
    const run = async () => {
      // What one round appends is much, beside the least: it begins anew. The others are measured after the same work,
      // because a disk that was just written to is slower for a while.
      await fill(bench, least)
      const bytes = bench.quick ? TAIL_BYTES_QUICK : TAIL_BYTES
      // Its warm-up and its heap count too.
      settle(bench, bytes * 2 + 1024 * MIB)
      answer = await runTask(bench, { do: 'tail', directory: directoryOf(bench, gb), bytes })
    }
    return FIGURES.map(({ name, unit, of, target }, index) => ({
      name: `${name}, ${gb} GB stored`,
      unit,
      measure: async () => {
        if (index === 0) await run()
        return (answer && of(answer)) ?? Number.NaN
      },
      against: gb === least ? undefined : `${name}, ${least} GB stored`,
      target: gb === largest ? target : undefined,
      ...(unit === 'records/s' && { point: { chart: 'size', series: name, x: gb } }),
    }))
  })
  const close = async () => sizes.forEach((gb) => bench.workspace.discard(nameOf(gb)))
  return { sides, close }
}

async function fill(bench: Bench, gb: number): Promise<void> {
  bench.workspace.discard(nameOf(gb))
  await runTask(bench, { do: 'fill', directory: directoryOf(bench, gb), bytes: gb * 1e9, end: 'close' })
}

function directoryOf({ workspace }: Bench, gb: number): string {
  return workspace.path(nameOf(gb))
}

function nameOf(gb: number): string {
  return `size-${gb}`
}
