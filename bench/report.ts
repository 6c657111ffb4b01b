/**
 * What a run shows: the facts of the machine, a table on the terminal, and the rows as JSON.
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import type { JudgedRow, Row, Target } from './rows.js'

/** Prints the machine, on which every figure depends. */
export function printMachine(directory: string, mode: string): void {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`
  console.log(
    `machine  ${availableParallelism()} cores (${model}), ${memory}, Linux ${release()}, Node ${process.version}`,
  )
  console.log(`files    ${directory}, ${fileSystemOf(directory)}`)
  console.log(`run      ${mode}; figures are medians of interleaved rounds, ratios medians of the rounds' ratios\n`)
}

/** Prints one row under the headings of `printHeadings`. */
export function printRow(row: JudgedRow): void {
  const spread = `${figure(row.min)} – ${figure(row.max)}`
  const ratio = row.ratio === null ? '' : `${row.ratio.toFixed(2)} ×`
  const cells = [
    row.name.padEnd(58),
    figure(row.median).padStart(9),
    row.unit.padEnd(10),
    spread.padEnd(19),
    ratio.padStart(8),
  ]
  console.log(`${cells.join(' ')}  ${verdict(row)}${row.against === null ? '' : `  of: ${row.against}`}`.trimEnd())
}

/** Prints the names of the columns. */
export function printHeadings(): void {
  const cells = ['what', 'median', 'unit', 'min – max', 'ratio']
  const widths = [58, -9, 10, 19, -8]
  const text = cells.map((cell, i) =>
    Number(widths[i]) < 0 ? cell.padStart(-Number(widths[i])) : cell.padEnd(Number(widths[i])),
  )
  console.log(`${text.join(' ')}  target`)
}

/** Counts the promises that this run kept. */
export function printSummary(rows: readonly JudgedRow[], seconds: number): void {
  const promised = rows.filter((row) => row.kept !== undefined)
  const missed = promised.filter((row) => row.kept === false)
  console.log(`\n${promised.length - missed.length} of ${promised.length} targets kept, in ${seconds.toFixed(0)} s`)
  for (const row of missed) console.log(`missed: ${row.name} (${verdict(row)})`)
}

/** Writes the rows, without what only the table needs. */
export function writeJson(path: string, rows: readonly JudgedRow[]): void {
  const plain = rows.map(({ name, unit, median, min, max, against, ratio }): Row => {
    return { name, unit, median, min, max, against, ratio }
  })
  writeFileSync(path, `${JSON.stringify(plain, undefined, 2)}\n`)
}

function verdict({ target, kept }: JudgedRow): string {
  if (target === undefined) return ''
  return `${kept === true ? 'ok' : 'MISSED'} ${describe(target)}`
}

function describe({ of, bound }: Target): string {
  const sign = 'atLeast' in bound ? '≥' : '≤'
  const limit = 'atLeast' in bound ? bound.atLeast : bound.atMost
  return of === 'ratio' ? `${sign} ${limit} ×` : `${sign} ${figure(limit)}`
}

/** Three significant digits, millions and thousands shortened. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 1e6) return `${short(value / 1e6)} M`
  if (size >= 1e4) return `${short(value / 1e3)} k`
  return short(value)
}

function short(value: number): string {
  if (value === 0) return '0'
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}

/** The type of the file system that holds `directory`, from the longest mount point that leads to it. */
function fileSystemOf(directory: string): string {
  const path = realpathSync(directory)
  let best = { mount: '', text: 'unknown file system' }
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const mount = before.split(' ')[4] ?? ''
    const holds = path === mount || path.startsWith(mount === '/' ? '/' : `${mount}/`)
    if (mount === '' || !holds || mount.length < best.mount.length) continue
    const [type, device] = after.split(' ')
    best = { mount, text: `${type} on ${device}` }
  }
  return best.text
}
