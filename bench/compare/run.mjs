/**
 * `npm run bench:compare`: installs the clients of the peers below this folder when they are missing or their lock file
 * changed, and runs the comparison. The root's own dependencies and build are ready by then (`prebench:compare`).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asProgram, Refusal, run } from '../../.ci/shared.mjs'

const here = dirname(fileURLToPath(import.meta.url))

await asProgram(async () => {
  await ensureClients()
  // Not through the program of tsx, which kills what it runs before that has ended its servers and removed its files.
  const args = ['--import', import.meta.resolve('tsx'), join(here, 'main.ts'), ...process.argv.slice(2)]
  // An interrupt reaches the whole group; this process waits for the other.
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {})
  const { status } = await run(process.execPath, args, { cwd: process.cwd() })
  process.exitCode = status
})

/**
 * Clients with native code are optional: one that cannot be built here is left out by name in the table. The variable
 * lets one of them build over the machine's own libraries, where its prebuilt module cannot be had.
 */
async function ensureClients() {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  const stamp = join(here, 'node_modules', '.millrace-lock')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  console.log('setup: installing the clients of the peers (npm ci in bench/compare)')
  const { status } = await run('npm', ['ci'], { cwd: here, env: { CKJS_LINKING: 'dynamic' } })
  if (status !== 0) throw new Refusal('setup: npm ci in bench/compare failed; its output stands above.')
  mkdirSync(join(here, 'node_modules'), { recursive: true })
  writeFileSync(stamp, lock)
}
