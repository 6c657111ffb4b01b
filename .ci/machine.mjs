/**
 * What a machine must have before anything can be built: Node, cargo, and the locked npm dependencies, which are
 * installed when they are missing.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Refusal, root, run, secondsSince } from './shared.mjs'

const NODE_MIN = [20, 17]
const RUST_MIN = [1, 88]

/** Refuses a Node that is older than `engines` in package.json promises. */
export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return
  throw new Refusal(`Millrace needs Node.js ${NODE_MIN.join('.')} or newer; this is ${process.versions.node}.`)
}

/** Refuses a machine without a Rust toolchain that can build the engine. */
export async function checkCargo() {
  const { status, output } = await run('cargo', ['--version'], { capture: true, quiet: true })
  const version = /cargo (\d+)\.(\d+)/.exec(output)
  const [major, minor] = version === null ? [0, 0] : [Number(version[1]), Number(version[2])]
  if (status === 0 && (major > RUST_MIN[0] || (major === RUST_MIN[0] && minor >= RUST_MIN[1]))) return
  const found = status === 0 ? ` Found: ${output.trim()}.` : ''
  throw new Refusal(
    `Millrace builds its engine from source and needs a Rust toolchain (${RUST_MIN.join('.')} or newer): ` +
      `install it from rustup, or use the published package, which brings prebuilt binaries.${found}`,
  )
}

/** Installs the locked dependencies when none are installed or the lock file changed since. */
export async function ensureDependencies() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  const lock = join(root, 'package-lock.json')
  if (existsSync(installed) && (statSync(installed).mtimeMs >= statSync(lock).mtimeMs || sameLock(installed, lock))) {
    return
  }
  const started = performance.now()
  console.log('setup: installing the locked npm dependencies (npm ci)')
  const { status } = await run('npm', ['ci', '--no-fund', '--no-audit'])
  if (status !== 0) throw new Refusal('setup: npm ci failed; its output stands above.')
  console.log(`setup: dependencies installed in ${secondsSince(started)}`)
}

/** Whether what npm installed is what the lock file names, for a checkout that is newer than its node_modules. */
function sameLock(installed, lock) {
  const packagesOf = (path) => JSON.parse(readFileSync(path, 'utf8')).packages
  const present = packagesOf(installed)
  return Object.entries(packagesOf(lock)).every(
    ([path, entry]) => path === '' || entry.optional === true || present[path]?.version === entry.version,
  )
}
