/**
 * `npm run bench -- --against REV`: the same contests, run by this build and by that of another revision in turn, each
 * run in a process of its own, and a verdict for each row.
 *
 * The bench of this revision measures both: with its own bench each, a change of the bench would look like one of the
 * engine. A contest that the other engine cannot run is named.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { figure } from './format.js'
import { targetFolder } from './limits.js'
import { projectRoot } from './machine.js'
import { median, type Row } from './rows.js'
import { isRegression, judgePairs, type PairedRow, PAIRS_MIN, type Verdict } from './verdict.js'
import type { Workspace } from './workspace.js'

/** What is compared, and how thoroughly. */
export interface Comparison {
  readonly workspace: Workspace
  /** A revision of this repository, or a folder with a build. */
  readonly against: string
  readonly contests: readonly string[]
  readonly pairs: number
  /** By how much a row may be slower, 0.1 for a tenth. */
  readonly tolerance: number
}

/** A row of `--json`. */
type MeasuredRow = Row & { readonly limit: boolean }

/** The rows of one contest by one build, or why there are none. */
type Measured = { readonly rows: readonly MeasuredRow[] } | { readonly failure: string }

const NAME_WIDTH = 62

/** Compares all contests; resolves to whether no row got slower by more than is tolerated. */
export async function compareWith(comparison: Comparison): Promise<boolean> {
  const { workspace, against, contests, pairs, tolerance } = comparison
  if (pairs < PAIRS_MIN) throw new Error(`expected at least ${PAIRS_MIN} pairs, got ${pairs}: fewer can show nothing`)
  const old = builtEngine(findBuild(workspace, against))
  const fresh = builtEngine(projectRoot)
  console.log(`this build beside ${against}: ${pairs} pairs of quick runs a contest, in turn`)
  console.log(
    `speed above 1 is faster; in brackets where its median lies; slower by more than ${tolerance * 100} % fails\n`,
  )
  const regressions: string[] = []
  for (const contest of contests) {
    const rows = await pairRuns(workspace, contest, pairs, { old, fresh })
    for (const row of rows) {
      const verdict = judgePairs(row)
      printPaired(row, verdict)
      if (!row.limit && isRegression(verdict, tolerance)) regressions.push(row.name)
    }
  }
  console.log(regressions.length === 0 ? '\nno row is slower beyond noise and tolerance' : '\nslower:')
  for (const name of regressions) console.log(`  ${name}`)
  return regressions.length === 0
}

/** The folder of a build: the one that was named, or a worktree of the revision, built here. */
function findBuild(workspace: Workspace, against: string): string {
  if (existsSync(against) && statSync(against).isDirectory()) return resolve(against)
  const commit = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${against}^{commit}`], inProject)
  if (commit.status !== 0) throw new Error(`expected a revision or a folder, got '${against}'`)
  const folder = workspace.path('against')
  workspace.afterRemoval(() => spawnSync('git', ['worktree', 'prune'], inProject))
  must('git', ['worktree', 'add', '--detach', '--quiet', folder, commit.stdout.trim()], projectRoot)
  linkDependencies(folder)
  console.log(`building ${against} (${commit.stdout.trim().slice(0, 10)})`)
  must(process.execPath, ['.ci/build.mjs'], folder)
  return folder
}

const inProject = { cwd: projectRoot, encoding: 'utf8' } as const

/** Hard links in place of an installation; what that build would not take for its own is left out. */
function linkDependencies(folder: string): void {
  const installed = realpathSync(join(projectRoot, 'node_modules'))
  const copy = join(folder, 'node_modules')
  const linked = spawnSync('cp', ['-al', installed, copy]).status === 0
  if (!linked) {
    rmSync(copy, { recursive: true, force: true })
    must('cp', ['-a', installed, copy], projectRoot)
  }
  rmSync(join(copy, '.cache'), { recursive: true, force: true })
}

/** The address of a build's module, which `redirect.mjs` puts in the place of `millrace`. */
function builtEngine(folder: string): string {
  const module = join(folder, 'dist', 'index.js')
  if (!existsSync(module)) throw new Error(`expected a build in ${folder}, which has no dist/index.js`)
  return pathToFileURL(module).href
}

/** Runs a contest by both builds, as often as there are pairs; the other one begins each time. */
async function pairRuns(
  workspace: Workspace,
  contest: string,
  pairs: number,
  engines: { readonly old: string; readonly fresh: string },
): Promise<(PairedRow & { readonly name: string; readonly limit: boolean })[]> {
  const runs: Record<'old' | 'fresh', (readonly MeasuredRow[])[]> = { old: [], fresh: [] }
  for (let pair = 0; pair < pairs; pair++) {
    for (const side of pair % 2 === 0 ? (['old', 'fresh'] as const) : (['fresh', 'old'] as const)) {
      const measured = await measureOnce(workspace, contest, engines[side])
      if ('rows' in measured) runs[side].push(measured.rows)
      else if (side === 'fresh') throw new Error(`this build failed in '${contest}': ${measured.failure}`)
      else {
        console.log(`the other build lacks '${contest}': it cannot run this contest (${measured.failure})`)
        return []
      }
    }
  }
  const valuesOf = (side: 'old' | 'fresh', name: string) =>
    runs[side].flatMap((rows) => rows.find((row) => row.name === name)?.median ?? [])
  return (runs.fresh[0] ?? []).flatMap(({ name, unit, limit }) => {
    const paired = { name, unit, limit, old: valuesOf('old', name), fresh: valuesOf('fresh', name) }
    if (paired.old.length === paired.fresh.length) return paired
    console.log(`the other build lacks the row '${name}'`)
    return []
  })
}

/** One round of one contest in a process of its own. */
async function measureOnce(workspace: Workspace, contest: string, engine: string): Promise<Measured> {
  const json = workspace.path('rows.json')
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  const args = [main, '--quick', '--rounds', '1', '--no-save', '--filter', contest, '--dir', workspace.directory]
  const redirect = new URL('redirect.mjs', import.meta.url).href
  const child = spawn(process.execPath, [...process.execArgv, ...args, '--json', json], {
    cwd: projectRoot,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: `--import ${redirect}`, MILLRACE_BENCH_ENGINE: engine },
  })
  workspace.adopt(child)
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  const [status] = await once(child, 'close')
  if (status === 0) return { rows: JSON.parse(readFileSync(json, 'utf8')) as MeasuredRow[] }
  return { failure: /^\w*Error\b.*$/m.exec(errors)?.[0] ?? `it ended with ${status}` }
}

function printPaired(row: PairedRow & { readonly name: string; readonly limit: boolean }, verdict: Verdict): void {
  const { speed, low, high, says } = verdict
  const cells = [
    row.name.padEnd(NAME_WIDTH),
    `${figure(median(row.old))} → ${figure(median(row.fresh))} ${row.unit}`.padEnd(32),
    `${speed.toFixed(2)} × (${low.toFixed(2)} – ${high.toFixed(2)})`.padEnd(22),
    row.limit ? `${says} (no engine in it)` : says,
  ]
  console.log(cells.join(' '))
}

function must(program: string, args: readonly string[], cwd: string): void {
  const env = { ...process.env, CARGO_TARGET_DIR: targetFolder }
  const { status } = spawnSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'], env })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed; its output stands above`)
}
