/** The command line program as its users run it: the built file, as a child process over a store of the test's. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect } from 'vitest'
import { CHILD_MS_MAX } from './support.js'

/** The built program. */
export const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

/** A program's end, its outputs apart. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program to its end, over the store in `store`. */
export function runProgram(store: string, args: readonly string[], input: string | Buffer = ''): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, MILLRACE_DATA: store },
    input,
    // While a child runs, nothing else does here: a time limit of the test alone would never be looked at.
    timeout: CHILD_MS_MAX,
    maxBuffer: 64 * 1024 * 1024,
  })
  return { code: status, stdout, stderr }
}

/** The program over a store that each test has to itself. */
export interface OwnStore {
  /** A folder that goes with the test; the store stands in it. */
  readonly directory: string
  readonly store: string
  readonly run: (...args: string[]) => Outcome
  /** Its standard output; it must end well. */
  readonly ok: (...args: string[]) => string
  /** What it wrote with `--json`. */
  readonly json: <T>(...args: string[]) => T
}

/** Gives each test of a file a fresh store, and removes it afterwards. */
export function ownStore(): OwnStore {
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))
  const store = () => join(directory, 'store')
  const run = (...args: string[]): Outcome => runProgram(store(), args)
  const ok = (...args: string[]): string => {
    const outcome = run(...args)
    expect(outcome, args.join(' ')).toMatchObject({ code: 0 })
    return outcome.stdout
  }
  return {
    get directory() {
      return directory
    },
    get store() {
      return store()
    },
    run,
    ok,
    json: <T>(...args: string[]): T => JSON.parse(ok(...args, '--json')) as T,
  }
}

/** The program while it runs. */
export interface Running {
  readonly pid: number
  readonly ended: Promise<number | null>
  readonly output: () => string
  readonly errors: () => string
  readonly heard: (text: string) => Promise<void>
  readonly type: (text: string) => void
  readonly kill: (signal: NodeJS.Signals) => void
}

/** Starts the program and leaves it running, its standard input open, for `msMax` at the longest. */
export function startProgram(store: string, args: readonly string[], msMax: number = CHILD_MS_MAX): Running {
  return start(process.execPath, [MAIN, ...args], { env: { ...process.env, MILLRACE_DATA: store }, msMax })
}

/** How any other program is started. */
interface StartOptions {
  readonly cwd?: string
  readonly env: NodeJS.ProcessEnv
  readonly msMax: number
}

/** Starts any program and leaves it running, its standard input open. */
export function start(program: string, args: readonly string[], { cwd, env, msMax }: StartOptions): Running {
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // What a test forgets must not outlive it.
    timeout: msMax,
  })
  // A program that was told to stop does not read the rest of its input.
  child.stdin.on('error', () => {})
  let output = ''
  let errors = ''
  let listener = (): void => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    listener()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => resolve(code))
  })
  const heard = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      listener = () => {
        if (output.includes(text)) resolve()
      }
      listener()
      void ended.then((code) => reject(new Error(`ended with ${code} before it wrote '${text}': ${output}${errors}`)))
    })
  return {
    pid: child.pid as number,
    ended,
    output: () => output,
    errors: () => errors,
    heard,
    type: (text) => child.stdin.write(text),
    kill: (signal) => child.kill(signal),
  }
}

/** The path of the first file below `root` that contains `text`. */
export function fileWith(root: string, text: string): string | undefined {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .find((path) => existsSync(path) && readFileSync(path).includes(text))
}
