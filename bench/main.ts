/**
 * `npm run bench`: measures the engine beside the limits of the machine, keeps the results and renders the page about
 * them. A missed target is a line in the table, not a failure of the run.
 */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { compareWith } from './against.js'
import { watchOthers } from './contention.js'
import { type Group, groups } from './contests/all.js'
import { buildLimits, loadLimits } from './limits.js'
import { describeRun, type Run } from './machine.js'
import { pageFile, render, writeRendered } from './render.js'
import { OTHERS_MAX, printHeadings, printMachine, printOthers, printRow, printSummary, writeJson } from './report.js'
import { type ContestResult, loadResults, mergeContests, saveGroup } from './results.js'
import { type JudgedRow, runContest } from './rows.js'
import { Workspace } from './workspace.js'

const HELP = `npm run bench -- [options]
  --quick        about two minutes, with less data and fewer rounds; its rows are marked as such
  --filter NAME  only the contest NAME, or those whose name contains it; the results of others stay
  --list         print the names of the contests
  --dir DIR      where to put the data (default: the folder for temporary files)
  --json FILE    write the rows {name, unit, median, min, max, against, ratio, limit} to FILE as well
  --rounds N     so many rounds a contest, in place of its own number
  --no-save      neither keep the results in bench/results nor render docs/performance.md
  --against REV  compare with another revision, which is built here, or with a built checkout in the folder REV:
                 runs of both builds in pairs; ends with 1 if a row got slower
  --pairs N      so many pairs (default: 12)
  --tolerance P  so many per cent may a row be slower beyond the noise (default: 10)
  --render       only render docs/performance.md from the results
  --help         this text`

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  json: { type: 'string' },
  filter: { type: 'string', default: '' },
  list: { type: 'boolean', default: false },
  dir: { type: 'string', default: tmpdir() },
  'no-save': { type: 'boolean', default: false },
  render: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  against: { type: 'string' },
  pairs: { type: 'string', default: '12' },
  tolerance: { type: 'string', default: '10' },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS })
  if (values.help) return console.log(HELP)
  if (values.render) return renderPage()
  buildLimits()
  const workspace = new Workspace(values.dir)
  const all = withRounds(groups({ workspace, limits: loadLimits(), quick: values.quick }), values.rounds)
  const chosen = choose(all, values.filter)
  if (values.list) return console.log(chosen.flatMap(({ contests }) => contests.map(({ name }) => name)).join('\n'))
  if (chosen.length === 0) throw new Error(`no contest has ${values.filter} in its name; --list shows them`)
  if (values.against !== undefined) {
    const contests = chosen.flatMap(({ contests }) => contests.map(({ name }) => name))
    const { against } = values
    const [pairs, tolerance] = [Number(values.pairs), Number(values.tolerance) / 100]
    if (!(await compareWith({ workspace, against, contests, pairs, tolerance }))) process.exitCode = 1
    return
  }
  const run = describeRun(workspace.directory, values)
  printMachine(workspace.directory, values.quick ? 'quick' : 'full')
  const rows = await measure(chosen, all, run, !values['no-save'])
  if (values.json !== undefined) writeJson(values.json, rows)
  if (!values['no-save']) renderPage()
}

function choose(all: readonly Group[], filter: string): Group[] {
  const exact = all.some(({ contests }) => contests.some(({ name }) => name === filter))
  const takes = (name: string) => (exact ? name === filter : name.includes(filter))
  return all
    .map((group) => ({ ...group, contests: group.contests.filter(({ name }) => takes(name)) }))
    .filter(({ contests }) => contests.length > 0)
}

function withRounds(all: readonly Group[], text: string | undefined): readonly Group[] {
  if (text === undefined) return all
  const rounds = Number(text)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`expected --rounds to be a whole number, got ${text}`)
  return all.map((group) => ({ ...group, contests: group.contests.map((contest) => ({ ...contest, rounds })) }))
}

/** Runs the contests; a group is kept as soon as it is through, so that an interrupted run is not lost. */
async function measure(chosen: readonly Group[], all: readonly Group[], run: Run, save: boolean): Promise<JudgedRow[]> {
  const started = performance.now()
  const rows: JudgedRow[] = []
  printHeadings()
  for (const { name, contests } of chosen) {
    const fresh: ContestResult[] = []
    for (const contest of contests) {
      const share = watchOthers()
      const measured = await runContest(contest)
      const others = share()
      measured.forEach(printRow)
      if (others > OTHERS_MAX) printOthers(contest.name, others)
      rows.push(...measured)
      fresh.push({ contest: contest.name, run, others, rows: measured })
    }
    if (save) keep(name, fresh, all)
  }
  printSummary(rows, (performance.now() - started) / 1000)
  return rows
}

function keep(name: string, fresh: readonly ContestResult[], all: readonly Group[]): void {
  const old = loadResults().groups.get(name)?.contests ?? []
  const order = all.find((group) => group.name === name)?.contests.map((contest) => contest.name) ?? []
  saveGroup({ group: name, contests: mergeContests(old, fresh, order) })
}

function renderPage(): void {
  writeRendered(render(readFileSync(pageFile, 'utf8'), loadResults()))
}

await main()
