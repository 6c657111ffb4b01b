/**
 * `npm run bench:compare -- [options]`: Millrace beside its peers. A missed target is a line in the table, a peer that
 * cannot run here is left out by name; neither is a failure of the run.
 */
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bench } from '../bench.js'
import { buildLimits, loadLimits } from '../limits.js'
import { printHeadings, printMachine, printRow, printSummary } from '../report.js'
import { type JudgedRow, runContest } from '../rows.js'
import { Workspace } from '../workspace.js'
import { contests } from './contests/all.js'
import { CHRONICLE, Field, logFolder } from './field.js'
import type { Peer } from './peer.js'
import { peers } from './peers/all.js'
import { printLeftOut, writeResults } from './results.js'
import { Servers } from './servers.js'

const HELP = `npm run bench:compare -- [options]
  --quick        a few rounds of less data, and only what runs in this process unless --peer names more
  --filter NAME  only the contests whose name contains NAME
  --peer NAME    only Millrace and the peers whose name or product contains NAME; several with commas
  --list         print the names of the contests and of the peers
  --json FILE    write machine, date, peers and rows
  --dir DIR      where to put the data (default: .data beside this file)
  --help         this text`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      filter: { type: 'string', default: '' },
      peer: { type: 'string' },
      list: { type: 'boolean', default: false },
      json: { type: 'string' },
      dir: { type: 'string', default: fileURLToPath(new URL('.data', import.meta.url)) },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(HELP)
  buildLimits()
  // Before the workspace, so that at an exit the servers end before their files are removed.
  const servers = new Servers(() => workspace.path('servers'))
  const workspace = new Workspace(values.dir)
  const bench: Bench = { workspace, limits: loadLimits(), quick: values.quick }
  const place = { directory: logFolder(bench), servers, limits: bench.limits }
  mkdirSync(place.directory)
  const isChosen = chosenBy(values.peer)
  const field = new Field(bench, place, peers.filter(isChosen), isChosen(CHRONICLE))
  if (values.quick && values.peer === undefined) leaveServersOut(field)
  const chosen = contests(field).filter((contest) => contest.name.includes(values.filter))
  if (values.list) return list(field)
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
  printLeftOut(field)
  if (values.json !== undefined) writeResults(values.json, field, rows)
  await servers.stop()
  // A client that still holds a socket does not hold the run.
  process.exit()
}

/** Millrace always; the others by name or product. */
function chosenBy(names: string | undefined): (peer: Pick<Peer, 'name' | 'product'>) => boolean {
  const wanted = names?.split(',').map((name) => name.trim().toLowerCase())
  return ({ name, product }) =>
    product === 'millrace' ||
    wanted === undefined ||
    wanted.some((part) => name.toLowerCase().includes(part) || product.includes(part))
}

function leaveServersOut(field: Field): void {
  field.leaveOut(CHRONICLE.name, 'a quick run starts no servers; --peer names some')
  for (const { name, runs } of field.peers) {
    if (runs === 'as a server') field.leaveOut(name, 'a quick run starts no servers; --peer names some')
  }
}

function list(field: Field): void {
  console.log(
    contests(field)
      .map(({ name }) => name)
      .join('\n'),
  )
  console.log(
    `\n${field.peers.map(({ name, product, promised, runs }) => `${name} (${product}): ${promised}, ${runs}`).join('\n')}`,
  )
}

await main()
