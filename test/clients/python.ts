/**
 * A Python with boto3, in a virtual environment of the test setup's own beside `node_modules`: made once, and made anew
 * when the version changes.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support.js'

/** The release of boto3 that tests run. */
const BOTO3 = '1.44.8'
/** Installing takes a while on a slow line. */
const INSTALL_MS_MAX = 300_000

/** The Python to run, or why there is none. */
export type Python = { readonly program: string } | { readonly missing: string }

/** Finds Python, and installs boto3 for it where that was not done. */
export function pythonWithBoto3(): Python {
  const folder = join(root, 'node_modules', '.cache', 'millrace', `boto3-${BOTO3}`)
  const program = join(folder, 'bin', 'python')
  const done = join(folder, 'done')
  if (existsSync(done)) return { program }
  rmSync(folder, { recursive: true, force: true })
  const made = run('python3', ['-m', 'venv', folder])
  if (made !== undefined) return { missing: `Python 3 with venv is missing: ${made}` }
  const installed = run(program, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `boto3==${BOTO3}`])
  if (installed !== undefined) return { missing: `boto3 ${BOTO3} could not be installed: ${installed}` }
  writeFileSync(done, '')
  return { program }
}

/** What went wrong, if anything did. */
function run(program: string, args: readonly string[]): string | undefined {
  const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: INSTALL_MS_MAX })
  if (status === 0) return undefined
  return error?.message ?? stderr.trim().split('\n').at(-1) ?? `exit status ${status}`
}
