/**
 * `npm run models`: runs the engine in schedules that a seed chooses (shuttle), and its small protocols under every
 * order that the memory model allows (loom). `docs/testing.md` says what is modelled.
 *
 * `--schedules N` runs each model of the engine in N schedules (200), `--seed S` begins with that seed (1),
 * `--only NAME` runs the models whose name contains NAME.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { asProgram, Refusal, root, run } from './shared.mjs'

/** Few enough for every change to wait for. */
const SCHEDULES = 200

/** Each checker needs a build of its own, because its locks stand in place of the engine's. */
const checkers = [
  { name: 'loom', unit: 'orders', target: ['--lib'], prefix: 'models::' },
  { name: 'shuttle', unit: 'schedules', target: ['--test', 'interleavings'], prefix: '' },
]

/**
 * Runs the models. Resolves to the number of them that passed and failed, and to what was explored, in words.
 */
export async function runModels({ schedules = SCHEDULES, seed = 1, only = '' } = {}) {
  const totals = { passed: 0, failed: 0, explored: [] }
  for (const { name, unit, target, prefix } of checkers) {
    const folder = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'models', name)
    const build = ['--package', 'millrace', '--locked', '--profile', 'models', '--target-dir', folder]
    const { status, output } = await run(
      'cargo',
      ['test', '--quiet', ...build, ...target, prefix + only, '--', '--nocapture'],
      {
        capture: true,
        env: {
          RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} --cfg ${name}`.trim(),
          RUST_BACKTRACE: process.env.RUST_BACKTRACE ?? '0',
          MILLRACE_MODELS_SCHEDULES: String(schedules),
          MILLRACE_MODELS_SEED: String(seed),
        },
      },
    )
    const counts = /^test result: .*? (\d+) passed; (\d+) failed;/m.exec(output)
    totals.passed += Number(counts?.[1] ?? 0)
    totals.failed += Number(counts?.[2] ?? 1)
    const explored = [...output.matchAll(/model \w+: (\d+) /g)].reduce((sum, [, count]) => sum + Number(count), 0)
    totals.explored.push(`${explored} ${unit} (${name})`)
    if (status !== 0 && totals.failed === 0) totals.failed = 1
  }
  return totals
}

function whole(name, otherwise) {
  const index = process.argv.indexOf(name)
  if (index === -1) return otherwise
  const value = Number(process.argv[index + 1])
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new Refusal(`models: expected a whole number behind ${name}, got ${process.argv[index + 1]}.`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await asProgram(async () => {
    const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : ''
    const totals = await runModels({ schedules: whole('--schedules', SCHEDULES), seed: whole('--seed', 1), only })
    if (totals.passed + totals.failed === 0) throw new Refusal(`models: no model is called ${only}.`)
    console.log(`models: ${totals.passed} passed, ${totals.failed} failed; ${totals.explored.join(', ')}`)
    if (totals.failed > 0) process.exitCode = 1
  })
}
