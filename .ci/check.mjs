/**
 * `npm test`: every check in order, from the cheapest to the dearest; it stops at the first that fails and names it.
 * The last line sums the tests of vitest and cargo. `npm test -- --only NAME` runs the checks whose name contains NAME.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runOnLoopback } from './loopback.mjs'
import { runModels } from './models.mjs'
import { run as runUnbounded, secondsSince, tool } from './shared.mjs'

/** The crates with tests in Rust. */
const ENGINE = ['millrace', 'millrace-kinesis', 'millrace-server', 'millrace-torture']
  .flatMap((name) => ['--package', name])
  .concat('--locked')

/** A program that hangs is ended and named, long before whoever runs the checks gives up on all of them. */
const run = (program, args, options) => runUnbounded(program, args, { minutes: 25, ...options })

const totals = { passed: 0, failed: 0, skipped: 0 }
const scratch = mkdtempSync(join(tmpdir(), 'millrace-check-'))

/** A check by a part of the Rust toolchain that not every installation brings: named as skipped where it is absent. */
const cargo = (name, subcommand, args) => ({
  name,
  work: async () => {
    const { status } = await run('cargo', [subcommand, '--version'], { quiet: true })
    if (status !== 0) return `skipped: cargo ${subcommand} is not installed`
    return (await run('cargo', [subcommand, ...args])).status === 0
  },
})

/** A check that is one program: it passes when the program exits with 0. */
const program = (name, command, args, options) => ({
  name,
  work: async () => (await run(command, args, options)).status === 0,
})

const checks = [
  program('format (oxfmt)', tool('oxfmt'), ['--check']),
  cargo('format (rustfmt)', 'fmt', ['--all', '--check']),
  program('lint (oxlint)', tool('oxlint'), ['--deny-warnings']),
  program('types (tsc)', tool('tsc'), ['--project', 'tsconfig.json']),
  { name: 'dead code (knip)', work: checkDeadCode },
  program('api documentation (typedoc)', tool('typedoc'), ['--emit', 'none', '--logLevel', 'Warn']),
  cargo('lint (clippy)', 'clippy', ['--workspace', '--locked', '--', '--deny', 'warnings']),
  // Built as a test, a binding registers nothing with Node, and all of it looks unused: only the engine has Rust tests.
  cargo('lint of the engine with its tests (clippy)', 'clippy', [
    ...ENGINE,
    '--all-targets',
    '--',
    '--deny',
    'warnings',
  ]),
  cargo('licences and sources (cargo deny)', 'deny', ['check', 'bans', 'licenses', 'sources']),
  { name: 'tests (cargo)', work: testRust },
  { name: 'interleavings (loom, shuttle)', work: testInterleavings },
  { name: 'fuzzing (libFuzzer)', work: () => lastLine('.ci/fuzz.mjs', '--seconds', '8') },
  { name: 'crash images and faults (torture)', work: () => lastLine('.ci/torture.mjs') },
  // A build of its own, and slow tests: by hand, before a release.
  { name: 'sanitizers', work: async () => 'skipped: takes minutes; npm run sanitize' },
  { name: 'tests (vitest)', work: testTypeScript },
  { name: 'tests with clients (vitest)', work: testClients },
  { name: 'soak (short)', work: soakShortly },
]

/** Knip loads modules in a way that older releases of Node 20 do not know. */
async function checkDeadCode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major === 20 && minor < 19) return 'skipped: knip needs Node.js 20.19'
  return (await run(tool('knip'), ['--no-progress'])).status === 0
}

/** Runs cargo's tests and adds up the summary line of each test program. */
async function testRust() {
  const { status, output } = await run('cargo', ['test', '--profile', 'checked', ...ENGINE, '--no-fail-fast'], {
    capture: true,
  })
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    totals.passed += Number(passed)
    totals.failed += Number(failed)
    totals.skipped += Number(ignored)
  }
  return status === 0
}

/** Runs a script; resolves to its last line, which tells how much it did, or to false where it fails. */
async function lastLine(script, ...args) {
  const { status, output } = await run('node', [script, ...args], { capture: true })
  return status === 0 && output.trimEnd().split('\n').at(-1)
}

/** Runs the models of the engine's threads, and says how many orders of their steps were explored. */
async function testInterleavings() {
  const { passed, failed, explored } = await runModels()
  totals.passed += passed
  totals.failed += failed
  return failed === 0 ? `ok, ${explored.join(', ')}` : false
}

/** What has clients that are installed from elsewhere. */
const CLIENTS = 'test/clients/'

/** All tests but those. */
async function testTypeScript() {
  return (await vitest(run, '--exclude', `${CLIENTS}**`)).status === 0
}

/** Installs the clients, which a look through their tests does, and runs the tests without any network but loopback. */
async function testClients() {
  // A fresh clone downloads them, and builds some from source.
  const { status: installed } = await run(tool('vitest'), ['list', CLIENTS], { quiet: true, minutes: 30 })
  if (installed !== 0) return false
  const { status, reason } = await vitest(runOnLoopback, CLIENTS)
  if (status !== 0) return false
  return reason === undefined ? 'ok, in a network of loopback alone' : `ok, in the network of the machine: ${reason}`
}

/** Runs vitest and takes the counts from its report, which is more to rely on than its screen. */
async function vitest(runIt, ...chosen) {
  const report = join(mkdtempSync(join(scratch, 'vitest-')), 'report.json')
  const args = ['run', ...chosen, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const ended = await runIt(tool('vitest'), args, { minutes: 45 })
  if (!existsSync(report)) return { ...ended, status: ended.status || 1 }
  const counts = JSON.parse(readFileSync(report, 'utf8'))
  totals.passed += counts.numPassedTests
  totals.failed += counts.numFailedTests
  totals.skipped += counts.numPendingTests + counts.numTodoTests
  return ended
}

/** A soak of twenty seconds; the verdict tells what it did. */
async function soakShortly() {
  const report = join(scratch, 'soak.json')
  const args = ['test/soak/main.ts', '--minutes', '0.35', '--directory', scratch, '--json', report]
  const { status } = await run(tool('tsx'), args)
  if (status !== 0) return false
  const { seed, done } = JSON.parse(readFileSync(report, 'utf8'))
  const counts = [
    'records acknowledged',
    'records read and checked',
    'threads terminated in flight',
    'processes killed',
  ]
  return `ok, seed ${seed}: ${counts.map((name) => `${done[name].toLocaleString('en')} ${name}`).join(', ')}`
}

/** Runs the chosen checks up to the first that fails; resolves to the lines of the summary and whether all passed. */
async function runChecks(chosen) {
  const summary = []
  for (const { name, work } of chosen) {
    console.log(`\n== ${name}`)
    const started = performance.now()
    const result = await work()
    const verdict = result === true ? 'ok' : result === false ? 'FAILED' : result
    summary.push(`${secondsSince(started).padStart(8)}  ${name}: ${verdict}`)
    if (result === false) return { summary, failedCheck: name }
  }
  return { summary, failedCheck: undefined }
}

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : ''
const { summary, failedCheck } = await runChecks(checks.filter(({ name }) => name.includes(only)))
rmSync(scratch, { recursive: true, force: true })

console.log(`\n== summary\n${summary.join('\n')}`)
if (failedCheck !== undefined) {
  // A check without tests of its own counts as one failure, so that the last line never reads like success.
  if (totals.failed === 0) totals.failed = 1
  console.log(`Stopped at: ${failedCheck}`)
  process.exitCode = 1
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
