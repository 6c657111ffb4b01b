/**
 * What tests share that look at the package from outside: running a program, and the README's quick starts.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** The repository's root folder. */
export const root = join(import.meta.dirname, '..')

/** The longest that a test waits for a program in one piece, in milliseconds. A synchronous wait needs a limit of its own. */
export const CHILD_MS_MAX = 120_000

/** The longest that a program goes on for which a test waits beside its own time limit, in milliseconds. */
const PROGRAM_MS_MAX = 900_000

/** A program's end: its exit code (null after a signal) and all that it printed. */
export interface Finished {
  readonly status: number | null
  readonly output: string
}

/** Runs a program to its end in `cwd`, or until it is ended after `msMax`; `env` adds to or replaces the environment. */
export function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
  msMax: number = PROGRAM_MS_MAX,
): Promise<Finished> {
  return new Promise<Finished>((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [...stdio],
      timeout: msMax,
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += String(chunk)))
    child.stderr.on('data', (chunk) => (output += String(chunk)))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, output }))
  })
}

/** An empty folder that goes away with the test. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The first code block of `language` under a heading of the README. */
export function readmeBlock(heading: string, language: 'ts' | 'js' | 'sh'): string {
  const sections = readFileSync(join(root, 'README.md'), 'utf8').split(/^## /m)
  const section = sections.find((part) => part.startsWith(`${heading}\n`)) ?? ''
  const block = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(section)?.[1]
  if (block === undefined) throw new Error(`README.md has no ${language} block under "${heading}"`)
  return block
}

/** The quick start of the README. */
export function quickStart(language: 'ts' | 'js'): string {
  return readmeBlock('Quick start', language)
}

/** The one line that both quick starts print for the record that they wrote and read. */
export const QUICK_START_OUTPUT = /shardId-\d{12} 495\d{53}\n(?:.*\n)*user-42 \/pricing\n/

/** A module of quick start code as CommonJS: its import as a require, and its top-level awaits in a function. */
export function asCommonJs(code: string): string {
  const body = code.replaceAll(/^import (\{[^}]*\}) from ('[^']+')$/gm, 'const $1 = require($2)')
  return `(async () => {\n${body}\n})().catch((error) => {\n  console.error(error)\n  process.exitCode = 1\n})\n`
}
