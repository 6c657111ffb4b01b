/**
 * From the results to `docs/performance.md` and the charts beside it. The page's words are written by hand; what stands
 * between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` is made here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Chart, chartsOf } from './charts/catalog.js'
import { drawRatios } from './charts/kinds.js'
import { describeTarget, figure, times } from './format.js'
import { type Machine, machineText, projectRoot, type Run } from './machine.js'
import { OTHERS_MAX } from './report.js'
import type { ComparisonResult, ContestResult, GroupResult, Results } from './results.js'
import type { JudgedRow, JudgedTarget, Row } from './rows.js'

/** The page, and the folder of its charts. */
export const pageFile = join(projectRoot, 'docs', 'performance.md')
export const chartsFolder = join(projectRoot, 'docs', 'performance')

/** Everything that is generated. */
export interface Rendered {
  readonly page: string
  /** The text of each chart by the name of its file. */
  readonly charts: ReadonlyMap<string, string>
}

/** Puts the results into the page's sections; a group without a section is an error, because nobody would see it. */
export function render(page: string, { groups, comparison }: Results): Rendered {
  const sections = new Map<string, string>()
  const charts = new Map<string, string>()
  const add = (name: string, text: string, drawn: readonly Chart[]) => {
    sections.set(name, [text, ...drawn.map(({ file, alt }) => `![${alt}](performance/${file})`)].join('\n\n'))
    for (const { file, svg } of drawn) charts.set(file, svg)
  }
  const rows = [...groups.values()].flatMap(({ contests }) => contests.flatMap((contest) => contest.rows))
  add('targets', targetsTable(rows), ratioCharts(rows))
  for (const group of groups.values()) add(group.group, groupText(group), chartsOf(group))
  if (comparison !== undefined) sections.set('compare', comparisonText(comparison))
  return { page: fill(page, sections), charts }
}

/** Writes the page and the charts, and removes charts that nothing makes any more. */
export function writeRendered({ page, charts }: Rendered): void {
  writeFileSync(pageFile, page)
  mkdirSync(chartsFolder, { recursive: true })
  for (const file of listCharts()) if (!charts.has(file)) rmSync(join(chartsFolder, file))
  for (const [file, svg] of charts) writeFileSync(join(chartsFolder, file), svg)
}

/** What stands in the tree now, for comparison with what the results render to. */
export function readRendered(): Rendered {
  const charts = listCharts().map((file): [string, string] => [file, readFileSync(join(chartsFolder, file), 'utf8')])
  return { page: readFileSync(pageFile, 'utf8'), charts: new Map(charts) }
}

function listCharts(): string[] {
  return existsSync(chartsFolder) ? readdirSync(chartsFolder).filter((name) => name.endsWith('.svg')) : []
}

function fill(page: string, sections: ReadonlyMap<string, string>): string {
  return [...sections].reduce((text, [name, content]) => {
    const [start, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`]
    const [from, to] = [text.indexOf(start), text.indexOf(end)]
    if (from < 0 || to < from) throw new Error(`docs/performance.md has no section between ${start} and ${end}`)
    return `${text.slice(0, from + start.length)}\n\n${content}\n\n${text.slice(to)}`
  }, page)
}

function targetsTable(rows: readonly JudgedRow[]): string {
  const targets = rows.flatMap((row) => row.targets.map((target) => ({ row, target })))
  const kept = targets.filter(({ target }) => target.kept).length
  const lines = targets.map(({ row, target }) =>
    tableLine([row.name, describeTarget(target), reached(row, target), target.kept ? 'kept' : '**missed**']),
  )
  return [
    `${kept} of ${targets.length} targets are kept.`,
    '',
    ...tableHead(['what', 'target', 'reached', 'verdict']),
    ...lines,
  ].join('\n')
}

function reached(row: JudgedRow, { of }: JudgedTarget): string {
  if (of === 'median') return `${figure(row.median)} ${row.unit}`
  return `${times(row.ratio ?? Number.NaN)} of ${row.against}`
}

function ratioCharts(rows: readonly JudgedRow[]): Chart[] {
  const promised = rows.filter(({ targets }) => targets.some(({ of }) => of === 'ratio'))
  if (promised.length === 0) return []
  const alt = 'Ratios to the limits, with what is promised'
  return [{ file: 'targets.svg', alt, svg: drawRatios(alt, promised) }]
}

function groupText({ contests }: GroupResult): string {
  const rows = contests.flatMap((contest) => contest.rows)
  const head = tableHead(['what', 'median', 'min – max', 'ratio (its min – max)', 'of', 'target'])
  return [...head, ...rows.map(rowLine), '', ...provenance(contests)].join('\n').trimEnd()
}

function rowLine(row: JudgedRow): string {
  const targets = row.targets.map((target) => `${describeTarget(target)} ${target.kept ? 'kept' : '**missed**'}`)
  const spread = row.ratios === null ? '' : ` (${plainSpread(row.ratios)})`
  const ratio = row.ratio === null ? '' : `${times(row.ratio)}${spread}`
  return tableLine([
    row.name,
    `${figure(row.median)} ${row.unit}`,
    plainSpread(row.values),
    ratio,
    row.against ?? '',
    targets.join(', '),
  ])
}

function plainSpread(values: readonly number[]): string {
  return `${figure(Math.min(...values))} – ${figure(Math.max(...values))}`
}

/** One line a run: what it measured, by which command, when, of what revision and where, and how undisturbed. */
function provenance(contests: GroupResult['contests']): string[] {
  const runs = new Map<string, { run: Run; measured: ContestResult[] }>()
  for (const result of contests) {
    const key = JSON.stringify(result.run)
    runs.set(key, { run: result.run, measured: [...(runs.get(key)?.measured ?? []), result] })
  }
  return [...runs.values()].flatMap(({ run, measured }) => {
    const names = measured.map(({ contest }) => `\`${contest}\``).join(', ')
    const what = runs.size === 1 ? 'Measured' : `${names}: measured`
    const size = run.quick ? '**quick run**, ' : ''
    const line = `${what} by \`${run.command}\`, ${size}${run.date}, revision ${run.commit}; ${machineText(run.machine)}.`
    return [line + disturbance(measured), '']
  })
}

/** Names the contests that others disturbed. */
function disturbance(measured: readonly ContestResult[]): string {
  const percent = ({ others }: ContestResult) => `${((others ?? 0) * 100).toFixed(0)} %`
  const disturbed = measured.filter(({ others }) => (others ?? 0) > OTHERS_MAX)
  if (disturbed.length === 0) return ''
  const list = disturbed.map((result) => `\`${result.contest}\` ${percent(result)}`).join(', ')
  return ` **Other work took so much of the processors meanwhile:** ${list}.`
}

function comparisonText({ machine, date, run, peers = [], rows, later = [] }: ComparisonResult): string {
  const head = tableHead(['what', 'median', 'min – max', 'ratio', 'of'])
  const where = typeof machine === 'string' ? machine : machineText(machine as Machine)
  const lines = rows.map((row: Row) =>
    tableLine([
      row.name,
      `${figure(row.median)} ${row.unit}`,
      `${figure(row.min)} – ${figure(row.max)}`,
      row.ratio === null ? '' : times(row.ratio),
      row.against ?? '',
    ]),
  )
  const size = run === 'quick' ? '**quick run**, ' : ''
  const took = peers.filter(({ leftOut }) => leftOut === undefined).map(({ name, version }) => named(name, version))
  const left = peers.flatMap(({ name, leftOut }) => (leftOut === undefined ? [] : [`${name} (${leftOut})`]))
  return [
    ...head,
    ...lines,
    '',
    `Measured by \`npm run bench:compare\`, ${size}${date}; ${where}.`,
    ...later.flatMap(({ contests, measured }) => ['', `\`${contests}\`: measured ${measured}.`]),
    ...(took.length === 0 ? [] : ['', `Peers: ${took.join(', ')}.`]),
    ...(left.length === 0 ? [] : ['', `Left out: ${left.join(', ')}.`]),
  ].join('\n')
}

function named(name: string, version: string | undefined): string {
  return version === undefined ? name : `${name} (${version})`
}

function tableHead(cells: readonly string[]): string[] {
  return [tableLine(cells), `|${'---|'.repeat(cells.length)}`]
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
