/**
 * `npm run sanitize`: the engine's promise tests under the address sanitizer, then under the thread sanitizer, each
 * where the toolchain has it. What it has not is named with the reason. `--only NAME` runs the tests whose name
 * contains NAME.
 *
 * The address sanitizer's runtime comes with the stable toolchain. The thread sanitizer takes a standard library that
 * was built with it: without, each `Arc` that is dropped by another thread looks like a race. That needs the
 * component rust-src.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { asProgram, Refusal, root, run } from './shared.mjs'

const lanes = [
  { name: 'address', runtime: 'asan', cargo: [], needs: undefined },
  {
    name: 'thread',
    runtime: 'tsan',
    cargo: ['-Zbuild-std'],
    needs: ['lib/rustlib/src/rust/library', 'its standard library cannot be built: rustup component add rust-src'],
  },
]

/** What the toolchain lacks for a lane, in words; nothing if it is all there. */
function lacks({ name, runtime, needs }, sysroot, host) {
  const folder = join(sysroot, 'lib', 'rustlib', host, 'lib')
  const library = existsSync(folder) && readdirSync(folder).some((file) => file.endsWith(`_rt.${runtime}.a`))
  if (!library) return `the toolchain has no runtime of the ${name} sanitizer`
  return needs === undefined || existsSync(join(sysroot, needs[0])) ? undefined : needs[1]
}

async function rustc(...args) {
  const { status, output } = await run('rustc', args, { capture: true, quiet: true })
  if (status !== 0) throw new Refusal('sanitize: rustc cannot be started.')
  return output.trim()
}

await asProgram(async () => {
  const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : ''
  const sysroot = await rustc('--print', 'sysroot')
  const host = /^host: (.*)$/m.exec(await rustc('-vV'))?.[1] ?? ''
  const summary = []
  for (const lane of lanes) {
    const reason = lacks(lane, sysroot, host)
    if (reason !== undefined) {
      summary.push(`${lane.name} sanitizer: skipped: ${reason}`)
      continue
    }
    const folder = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'sanitize', lane.name)
    const options = ['--package', 'millrace', '--locked', '--profile', 'models', '--target', host]
    const { status } = await run(
      'cargo',
      ['test', ...options, ...lane.cargo, '--target-dir', folder, '--test', 'promises', only],
      // The flag is unstable, the runtime is not: the stable compiler is told that we know. Maps are made and unmade by
      // the C library, where a sanitizer sees it: otherwise a map at the address of an earlier one looks like a race.
      { env: { RUSTC_BOOTSTRAP: '1', RUSTFLAGS: `-Zsanitizer=${lane.name} --cfg rustix_use_libc` } },
    )
    summary.push(`${lane.name} sanitizer: ${status === 0 ? 'ok' : 'FAILED'}`)
    if (status !== 0) process.exitCode = 1
  }
  console.log(`\n${summary.join('\n')}`)
})
