/**
 * What a run shows on the terminal: the facts of the machine, a table, the promises. And the rows as JSON, for
 * programs.
 */
import { writeFileSync } from 'node:fs'
import { describeTarget, figure, times } from './format.js'
import { describeMachine, machineText } from './machine.js'
import type { JudgedRow, Row } from './rows.js'

/** Prints the machine, on which every figure depends. */
export function printMachine(directory: string, mode: string): void {
  console.log(`machine  ${machineText(describeMachine(directory))}`)
  console.log(`files    ${directory}`)
  console.log(`run      ${mode}; figures are medians of interleaved rounds, ratios medians of the rounds' ratios\n`)
}

/** Prints one row under the headings of `printHeadings`. */
export function printRow(row: JudgedRow): void {
  const spread = `${figure(row.min)} – ${figure(row.max)}`
  const cells = [
    row.name.padEnd(62),
    figure(row.median).padStart(9),
    row.unit.padEnd(10),
    spread.padEnd(19),
    (row.ratio === null ? '' : times(row.ratio)).padStart(8),
  ]
  console.log(`${cells.join(' ')}  ${verdict(row)}${row.against === null ? '' : `  of: ${row.against}`}`.trimEnd())
}

/** More than this share of the processors' time for others, and a contest says little. */
export const OTHERS_MAX = 0.1

/** Warns of other work on the machine. */
export function printOthers(contest: string, others: number): void {
  console.log(`noisy: ${(others * 100).toFixed(0)} % of the processors went to others during '${contest}'`)
}

/** Prints the names of the columns. */
export function printHeadings(): void {
  const cells = [
    'what'.padEnd(62),
    'median'.padStart(9),
    'unit'.padEnd(10),
    'min – max'.padEnd(19),
    'ratio'.padStart(8),
  ]
  console.log(`${cells.join(' ')}  target`)
}

/** Counts the promises that this run kept. */
export function printSummary(rows: readonly JudgedRow[], seconds: number): void {
  const targets = rows.flatMap((row) => row.targets.map((target) => ({ row, target })))
  const missed = targets.filter(({ target }) => !target.kept)
  console.log(`\n${targets.length - missed.length} of ${targets.length} targets kept, in ${seconds.toFixed(0)} s`)
  for (const { row, target } of missed) {
    const reached = target.of === 'ratio' ? times(row.ratio ?? Number.NaN) : figure(row.median)
    console.log(`missed: ${row.name} (${reached}, promised ${describeTarget(target)})`)
  }
}

/** Writes the rows without their rounds; `limit` tells those that have no engine in them. */
export function writeJson(path: string, rows: readonly JudgedRow[]): void {
  const plain = rows.map(({ name, unit, median, min, max, against, ratio, targets }): Row & { limit: boolean } => {
    return { name, unit, median, min, max, against, ratio, limit: against === null && targets.length === 0 }
  })
  writeFileSync(path, `${JSON.stringify(plain, undefined, 2)}\n`)
}

function verdict({ targets }: JudgedRow): string {
  return targets.map((target) => `${target.kept ? 'ok' : 'MISSED'} ${describeTarget(target)}`).join(', ')
}
