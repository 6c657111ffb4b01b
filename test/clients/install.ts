/**
 * What the clients of the tests need, installed once beside `node_modules` from the registry of their language: a folder
 * each, which counts when it is complete. A client that cannot be had here is told by name, with the reason.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support.js'

/** The longest that one step of an installation goes on, in milliseconds: a build from source on a slow line. */
const STEP_MS_MAX = 400_000

/** Where something was installed. */
export interface Installed {
  readonly folder: string
}

/** Why something cannot be had here. */
export interface Missing {
  readonly missing: string
}

/** A step of an installation: what it means when it fails, the program and its arguments, and where it runs. */
export type Step = readonly [failure: string, program: string, args: readonly string[], options?: StepOptions]

interface StepOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The folder of this name, filled by `fill` unless an earlier run did that from the same `sources` (files below `base`);
 * `fill` returns what went wrong.
 */
export function install(
  name: string,
  base: string,
  sources: readonly string[],
  fill: (folder: string) => string | undefined,
): Installed | Missing {
  const folder = join(root, 'node_modules', '.cache', 'millrace', 'clients', name)
  const done = join(folder, 'done')
  const wanted = sources.map((source) => readFileSync(join(base, source), 'utf8')).join('')
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted) return { folder }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const missing = fill(folder)
  if (missing !== undefined) return { missing }
  writeFileSync(done, wanted)
  return { folder }
}

/** Runs steps up to the first that fails, and says what failed. */
export function firstFailure(...steps: readonly Step[]): string | undefined {
  for (const [failure, program, args, options = {}] of steps) {
    const { status, error, stderr } = spawnSync(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      encoding: 'utf8',
      timeout: STEP_MS_MAX,
    })
    if (status === 0) continue
    const reason = error?.message ?? (stderr.trim().split('\n').at(-1) || `exit status ${status}`)
    return `${failure}: ${reason}`
  }
  return undefined
}
