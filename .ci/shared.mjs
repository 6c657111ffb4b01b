/**
 * What the set-up, build, pack and check scripts share: running a program with a name and a time, and finding out
 * whether a step's inputs changed since it last succeeded. Plain Node, because it runs before anything is installed.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** A failure that the reader can act on: its message is printed alone, without a stack. */
export class Refusal extends Error {}

/** Seconds since `started` (milliseconds of `performance.now()`), as text. */
export function secondsSince(started) {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`
}

/** The path of a program that a development dependency installed. */
export function tool(name) {
  return join(root, 'node_modules', '.bin', name)
}

/**
 * Runs a program to its end. Its output goes to ours, and with `capture` is returned too.
 * Resolves to `{ status, output }`; a program that cannot be started has status 127. With `minutes`, one that takes longer
 * is ended together with all that it started, says so, and has status 124.
 */
export function run(program, args, { capture = false, quiet = false, env = {}, cwd = root, minutes } = {}) {
  return new Promise((resolve) => {
    const piped = capture || quiet
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', piped ? 'pipe' : 'inherit', piped ? 'pipe' : 'inherit'],
      detached: minutes !== undefined,
    })
    const watch = minutes === undefined ? undefined : watchOver(child, minutes)
    let output = ''
    const take = (stream) => (chunk) => {
      output += chunk
      if (!quiet) stream.write(chunk)
    }
    child.stdout?.on('data', take(process.stdout))
    child.stderr?.on('data', take(process.stderr))
    child.on('error', (error) => {
      watch?.end()
      resolve({ status: 127, output: String(error.message) })
    })
    child.on('close', (status, signal) => {
      watch?.end()
      resolve({ status: watch?.overdue ? 124 : signal === null ? status : 128, output })
    })
  })
}

/** Ends the process group of `child` after so many minutes, and passes on to it the signals that end us. */
function watchOver(child, minutes) {
  const signalGroup = (signal) => child.pid !== undefined && process.kill(-child.pid, signal)
  const watch = { overdue: false, end }
  const limit = setTimeout(() => {
    watch.overdue = true
    console.error(`ended after ${minutes} minutes: ${child.spawnargs.join(' ')}`)
    signalGroup('SIGKILL')
  }, minutes * 60_000)
  const signals = ['SIGINT', 'SIGTERM']
  for (const signal of signals) process.once(signal, signalGroup)
  return watch

  function end() {
    clearTimeout(limit)
    for (const signal of signals) process.off(signal, signalGroup)
  }
}

/** Every file at or below the given paths (relative to the root), sorted, without what is installed or built. */
export function filesUnder(paths) {
  const found = []
  const visit = (path) => {
    const full = join(root, path)
    if (!existsSync(full)) return
    if (!statSync(full).isDirectory()) found.push(path)
    else for (const name of readdirSync(full)) if (!builtNames.has(name)) visit(`${path}/${name}`)
  }
  for (const path of paths) visit(path)
  return found.toSorted()
}

const builtNames = new Set(['node_modules', 'target', 'index.cjs', 'index.d.cts'])

/** A digest of the contents of all files at or below `paths`, of their names, and of the machine's kind. */
function digestOf(paths) {
  const digest = createHash('sha256').update(`${process.platform}-${process.arch}\0`)
  for (const path of filesUnder(paths)) {
    if (path.endsWith('.node')) continue
    digest
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0')
  }
  return digest.digest('hex')
}

/**
 * Runs `work` unless its outputs exist and its inputs are those of its last success. Contents are compared and not
 * times, because a fresh checkout gives every file the same time.
 * Resolves to true when the work was done.
 */
export async function whenChanged({ name, inputs, outputs, force }, work) {
  const stamp = join(root, 'node_modules', '.cache', 'millrace', `${name}.sha256`)
  const digest = digestOf(inputs)
  const fresh = outputs.every((output) => existsSync(join(root, output)))
  if (!force && fresh && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return false
  rmSync(stamp, { force: true })
  await work()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, digest)
  return true
}

/** Runs `main`, and turns a refusal into one sentence on standard error and exit code 1. */
export async function asProgram(main) {
  try {
    await main()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
