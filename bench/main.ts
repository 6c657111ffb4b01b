/**
 * `npm run bench -- [--quick] [--json FILE] [--filter NAME] [--dir DIR]`: measures the engine beside the limits of the
 * machine and prints both. A missed target is a line in the table, not a failure of the run.
 */
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import type { Bench } from './bench.js'
import { contests } from './contests/all.js'
import { buildLimits, loadLimits } from './limits.js'
import { printHeadings, printMachine, printRow, printSummary, writeJson } from './report.js'
import { type JudgedRow, runContest } from './rows.js'
import { Workspace } from './workspace.js'

const HELP = `npm run bench -- [options]
  --quick        under a minute, with less data and fewer rounds
  --json FILE    write the rows {name, unit, median, min, max, against, ratio}
  --filter NAME  only the contests whose name contains NAME
  --list         print the names of the contests
  --dir DIR      where to put the data (default: the folder for temporary files)
  --help         this text`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      filter: { type: 'string', default: '' },
      list: { type: 'boolean', default: false },
      dir: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(HELP)
  buildLimits()
  const workspace = new Workspace(values.dir)
  const bench: Bench = { workspace, limits: loadLimits(), quick: values.quick }
  const chosen = contests(bench).filter((contest) => contest.name.includes(values.filter))
  if (values.list) return console.log(chosen.map((contest) => contest.name).join('\n'))
  if (chosen.length === 0) throw new Error(`no contest has ${values.filter} in its name; --list shows them`)
  const rows: JudgedRow[] = []
  const started = performance.now()
  printMachine(workspace.directory, values.quick ? 'quick' : 'full')
  printHeadings()
  for (const contest of chosen) {
    for (const row of await runContest(contest)) {
      printRow(row)
      rows.push(row)
    }
  }
  printSummary(rows, (performance.now() - started) / 1000)
  if (values.json !== undefined) writeJson(values.json, rows)
}

await main()
