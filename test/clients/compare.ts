/**
 * `npm run clients:compare`: the tests of the clients against `millrace serve` and against kinesis-local, one at a time; with
 * `-- --server NAME` against one of them, with `--client NAME` (`flink`) some of the tests alone. What came of each stands in
 * `compared.json`, and `docs/compatibility.md` shows it.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../support.js'
import { COMPARED, loadCompared, loadReports, type Compared, type Outcome } from './report.js'
import { renderInto } from './table.js'

const SERVERS = ['millrace', 'kinesis-local']
/** The KPL is left out: it wants all services behind one authority, and kinesis-local has one of them. */
const CLIENTS = ['stories', 'flink', 'kcl', 'aws-kcl', 'lifion']
/** In `stories.test.ts`, what meets a server of its own. */
const LEFT_OUT = /application of boto3/
/** The longest that all of it goes on for a server, in milliseconds. */
const SERVER_MS_MAX = 1_500_000
/** How much of a failure is kept, in characters. */
const REASON_MAX = 140

/** What vitest tells of a test, as far as it is looked at here. */
interface Told {
  readonly ancestorTitles: readonly string[]
  readonly title: string
  readonly status: string
  readonly duration?: number
  readonly failureMessages: readonly string[]
}

interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly Told[] }[]
}

/** What a server's clients did, each test under its client and its name. */
function outcomesWith(server: string, clients: readonly string[]): Map<string, Outcome> {
  const file = join(mkdtempSync(join(tmpdir(), 'millrace-compare-')), 'report.json')
  const files = clients.map((name) => `test/clients/${name}.test.ts`)
  const vitest = ['vitest', 'run', ...files, '--maxWorkers', '1', '--reporter', 'default', '--reporter', 'json']
  spawnSync('npx', [...vitest, '--outputFile', file], {
    cwd: root,
    env: { ...process.env, CLIENTS_SERVER: server },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: SERVER_MS_MAX,
  })
  const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as Report
  const told = testResults.flatMap(({ assertionResults }) => assertionResults)
  const run = told.filter(({ ancestorTitles, status }) => status !== 'skipped' && !LEFT_OUT.test(ancestorTitles.join()))
  return new Map(run.map((test) => [nameOf(test), outcomeOf(test)]))
}

/** A client and what it does, without the quotes that vitest puts around the names of stories. */
function nameOf({ ancestorTitles, title }: Told): string {
  return `${ancestorTitles.join(' ').replaceAll("'", '')}\n${title}`
}

function outcomeOf({ status, duration = 0, failureMessages }: Told): Outcome {
  const seconds = Math.round(duration / 1_000)
  if (status === 'passed') return { seconds }
  return { seconds, failure: reasonOf(failureMessages[0] ?? 'it did not end') }
}

/** The line that says most: a program's output names its error somewhere before the assertion about its status. */
function reasonOf(message: string): string {
  const lines = message.split(/: expected \S+ to be|\n {4}at /)[0]?.split('\n') ?? []
  const telling =
    lines.findLast((line) => /Exception|Error\b|expected|panic|not processed/.test(line)) ?? lines[0] ?? ''
  return telling.trim().replaceAll(root, '').slice(0, REASON_MAX)
}

function main(): void {
  const several = { type: 'string', multiple: true } as const
  const { values } = parseArgs({ options: { server: several, client: several } })
  const clients = values.client ?? CLIENTS
  const rows = new Map(loadCompared().map((row) => [`${row.client}\n${row.does}`, row.servers]))
  for (const server of values.server ?? SERVERS) {
    for (const [name, outcome] of outcomesWith(server, clients))
      rows.set(name, { ...rows.get(name), [server]: outcome })
  }
  const compared: Compared[] = [...rows].map(([name, servers]) => {
    const [client = '', does = ''] = name.split('\n')
    return { client, does, servers }
  })
  writeFileSync(COMPARED, `${JSON.stringify(compared, undefined, 2)}\n`)
  const page = join(root, 'docs', 'compatibility.md')
  writeFileSync(page, renderInto(readFileSync(page, 'utf8'), loadReports(), compared))
}

main()
