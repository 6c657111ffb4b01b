/**
 * The results that are checked in: one file a group of contests below `bench/results`, each contest with the run that
 * measured it, so that a run of some contests leaves the others as they are.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Machine, projectRoot, type Run } from './machine.js'
import type { JudgedRow, Row } from './rows.js'

/** What one contest gave, and in which run. */
export interface ContestResult {
  readonly contest: string
  readonly run: Run
  /** The share of the processors' time that went to other programs and the kernel's threads meanwhile, 0 to 1; null: not known. */
  readonly others: number | null
  readonly rows: readonly JudgedRow[]
}

/** One file: contests that belong together. */
export interface GroupResult {
  readonly group: string
  readonly contests: readonly ContestResult[]
}

/** What the comparison with other products leaves, which is a package of its own. */
export interface ComparisonResult {
  readonly machine: Machine | string
  readonly date: string
  readonly run?: 'quick' | 'full'
  readonly peers?: readonly { readonly name: string; readonly version?: string; readonly leftOut?: string }[]
  readonly rows: readonly (Row & { readonly contest?: string })[]
  /** Contests that were measured on another day or machine than the rest. */
  readonly later?: readonly { readonly contests: string; readonly measured: string }[]
}

/** Everything that the page shows. */
export interface Results {
  readonly groups: ReadonlyMap<string, GroupResult>
  readonly comparison: ComparisonResult | undefined
}

const COMPARISON = 'compare.json'

/** The order of the groups on the page. */
const ORDER = ['limits', 'append', 'disk', 'put', 'replay', 'latency', 'readers', 'shards', 'size', 'store']

/** The folder of the results. */
export const resultsFolder = join(projectRoot, 'bench', 'results')

/** Reads all files of the folder. */
export function loadResults(folder = resultsFolder): Results {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : []
  const read = <T>(name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T
  const groups = names.filter((name) => name !== COMPARISON).map((name) => read<GroupResult>(name))
  groups.sort((a, b) => ORDER.indexOf(a.group) - ORDER.indexOf(b.group))
  return {
    groups: new Map(groups.map((group) => [group.group, group])),
    comparison: names.includes(COMPARISON) ? read<ComparisonResult>(COMPARISON) : undefined,
  }
}

/** Puts new contests in the place of the old ones of their names; `order` has the names of all that there are. */
export function mergeContests(
  old: readonly ContestResult[],
  fresh: readonly ContestResult[],
  order: readonly string[],
): ContestResult[] {
  const byName = new Map([...old, ...fresh].map((result) => [result.contest, result]))
  return order.flatMap((name) => byName.get(name) ?? [])
}

/** Writes one group's file. */
export function saveGroup(group: GroupResult, folder = resultsFolder): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${group.group}.json`), `${stringify(group)}\n`)
}

/** A row a line, so that a change shows row by row; five significant digits are more than any run can repeat. */
function stringify({ group, contests }: GroupResult): string {
  const line = (value: unknown) => JSON.stringify(value, rounded)
  const blocks = contests.map(({ contest, run, others, rows }) => {
    const lines = rows.map((row) => `      ${line(row)}`).join(',\n')
    return `  {"contest": ${line(contest)},\n    "run": ${line(run)},\n    "others": ${line(others)},\n    "rows": [\n${lines}\n    ]}`
  })
  return `{"group": ${line(group)}, "contests": [\n${blocks.join(',\n')}\n]}`
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}
