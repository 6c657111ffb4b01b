/**
 * Which charts there are: each group of contests names its own, and what they show of its rows.
 */
import type { JudgedRow } from '../rows.js'
import type { GroupResult } from '../results.js'
import { drawBars, drawLines, drawPercentiles } from './kinds.js'

/** A file beside the page. */
export interface Chart {
  readonly file: string
  /** What a reader who cannot see it is told. */
  readonly alt: string
  readonly svg: string
}

/** What a chart shows of a group. */
type Recipe = {
  readonly file: string
  readonly title: string
  readonly unit: string
} & (
  | { readonly kind: 'bars'; readonly contests: string }
  | { readonly kind: 'percentiles' }
  | { readonly kind: 'lines'; readonly x: string }
)

/** Charts of points are named by their file in the rows' own `point`. */
const RECIPES: Readonly<Record<string, readonly Recipe[]>> = {
  limits: [
    {
      kind: 'bars',
      file: 'cached-writes',
      title: 'Writes to the page cache',
      unit: 'GiB/s',
      contests: 'cached writes',
    },
    { kind: 'bars', file: 'syncs', title: 'One append with its fdatasync, p50', unit: 'µs', contests: 'syncs' },
    { kind: 'bars', file: 'wake-ups', title: 'From thread to thread, p50', unit: 'µs', contests: 'wake-ups' },
  ],
  append: [
    { kind: 'bars', file: 'append-100', title: 'Append of 100 B', unit: 'records/s', contests: 'append 100 B' },
    { kind: 'bars', file: 'append-1k', title: 'Append of 1 KiB', unit: 'records/s', contests: 'append 1 KiB' },
  ],
  disk: [{ kind: 'bars', file: 'disk', title: 'Large synced writes', unit: 'MiB/s', contests: 'append 1 KiB' }],
  put: [{ kind: 'percentiles', file: 'put', title: 'One record at a time, synced', unit: 'µs' }],
  replay: [
    { kind: 'bars', file: 'replay', title: 'Replay of 100 B into JavaScript', unit: 'records/s', contests: 'replay' },
  ],
  latency: [{ kind: 'percentiles', file: 'latency', title: 'From publish to callback', unit: 'µs' }],
  readers: [{ kind: 'lines', file: 'readers', title: 'A paced writer and its readers', unit: 'µs', x: 'readers' }],
  shards: [{ kind: 'lines', file: 'shards', title: 'Append of 100 B over shards', unit: 'records/s', x: 'shards' }],
  size: [
    {
      kind: 'lines',
      file: 'size',
      title: 'Append and tail read over the data stored',
      unit: 'records/s',
      x: 'GB stored',
    },
  ],
}

/** The charts of one group that its rows suffice for. */
export function chartsOf(group: GroupResult): Chart[] {
  return (RECIPES[group.group] ?? []).flatMap((recipe) => {
    const rows = rowsFor(recipe, group)
    return rows.length === 0 ? [] : [{ file: `${recipe.file}.svg`, alt: recipe.title, svg: draw(recipe, rows) }]
  })
}

function rowsFor(recipe: Recipe, { contests }: GroupResult): JudgedRow[] {
  const all = contests.flatMap(({ contest, rows }) => rows.map((row) => ({ contest, row })))
  const chosen = all.filter(({ contest, row }) => {
    if (recipe.kind === 'bars') return contest.startsWith(recipe.contests) && row.unit === recipe.unit
    return row.point?.chart === recipe.file
  })
  return chosen.map(({ row }) => row)
}

function draw(recipe: Recipe, rows: readonly JudgedRow[]): string {
  const { title, unit } = recipe
  if (recipe.kind === 'bars') return drawBars(title, unit, rows)
  return recipe.kind === 'percentiles' ? drawPercentiles(title, unit, rows) : drawLines(title, unit, recipe.x, rows)
}
