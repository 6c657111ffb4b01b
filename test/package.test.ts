/**
 * The published package: both tarballs install into an empty folder without a Rust toolchain on the path, and run the
 * quick start as an ES module and as CommonJS.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest'
import { asCommonJs, QUICK_START_OUTPUT, quickStart, root, run } from './support.js'

const PACK_MS_MAX = 600_000
const INSTALL_MS_MAX = 120_000
const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH/

const scratch = mkdtempSync(join(tmpdir(), 'millrace-package-'))
const packages = join(scratch, 'packages')
const app = join(scratch, 'app')
const withoutCargo = { PATH: pathWithoutCargo() }
const platformPackage = `@millrace/${process.platform}-${process.arch}-gnu`
let tarballs: readonly string[] = []
/** Why the installed package cannot be looked at, if npm could not reach its registry. */
let unreachable: string | undefined

/** The search path without any folder that holds cargo; node and npm are linked into a folder of their own. */
function pathWithoutCargo(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const links = join(scratch, 'bin')
  mkdirSync(links)
  symlinkSync(process.execPath, join(links, 'node'))
  const npm = folders.map((folder) => join(folder, 'npm')).find((file) => existsSync(file))
  if (npm !== undefined) symlinkSync(realpathSync(npm), join(links, 'npm'))
  return [links, ...folders.filter((folder) => !existsSync(join(folder, 'cargo')))].join(delimiter)
}

beforeAll(async () => {
  const packed = await run(process.execPath, ['.ci/pack.mjs', '--output', packages], root)
  expect(packed.status, packed.output).toBe(0)
  tarballs = readdirSync(packages)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(packages, name))

  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{ "private": true }')
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  const installed = await run('npm', ['install', ...flags, ...tarballs], app, withoutCargo)
  if (installed.status !== 0 && UNREACHABLE.test(installed.output)) unreachable = 'npm cannot reach its registry'
  else expect(installed.status, installed.output).toBe(0)
}, PACK_MS_MAX)

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Skips, with the reason in the report, what needs the installed package when nothing could be installed. */
function needsInstall(context: TestContext): void {
  context.skip(unreachable !== undefined, unreachable)
}

async function runInApp(name: string, code: string, env = withoutCargo) {
  writeFileSync(join(app, name), code)
  return run(process.execPath, [name], app, env)
}

test('there are two tarballs, and only the platform package holds a binary', async () => {
  expect(tarballs).toHaveLength(2)
  const binaries = await Promise.all(tarballs.map(async (file) => (await run('tar', ['tzf', file], root)).output))
  expect(binaries.filter((listing) => listing.includes('.node\n'))).toHaveLength(1)
  for (const listing of binaries) expect(listing).toMatch(/LICENSE[\s\S]*package\.json|package\.json[\s\S]*LICENSE/)
})

test('no cargo is on the path that the package is installed and run with', async () => {
  await expect(run('cargo', ['--version'], scratch, withoutCargo)).rejects.toThrow('ENOENT')
})

test('the quick start runs as an ES module', { timeout: INSTALL_MS_MAX }, async (context) => {
  needsInstall(context)
  const { status, output } = await runInApp('quick-start.mjs', quickStart('js').replaceAll('./data', './data-esm'))
  expect(output).toMatch(QUICK_START_OUTPUT)
  expect(status).toBe(0)
})

test('the quick start runs as CommonJS', { timeout: INSTALL_MS_MAX }, async (context) => {
  needsInstall(context)
  const code = asCommonJs(quickStart('js')).replaceAll('./data', './data-cjs')
  const { status, output } = await runInApp('quick-start.cjs', code)
  expect(output).toMatch(QUICK_START_OUTPUT)
  expect(status).toBe(0)
})

test('an ES module and CommonJS in one process share one engine', async (context) => {
  needsInstall(context)
  const code = `
    import { createRequire } from 'node:module'
    import * as esm from 'millrace'
    const cjs = createRequire(import.meta.url)('millrace')
    const one = await esm.Millrace.open('./data-both')
    const two = await cjs.Millrace.open('./data-both')
    await one.createStream('shared')
    console.log('streams', two.listStreams().length)
    try { await two.createStream('shared') } catch (error) { console.log(esm.MillraceError.is(error), error.code) }
    await two.close()
    await one.close()`
  const { output } = await runInApp('both.mjs', code)
  expect(output).toBe('streams 1\ntrue ERR_MILLRACE_STREAM_EXISTS\n')
})

test('the command line program is installed and answers', async (context) => {
  needsInstall(context)
  const { status, output } = await run(join(app, 'node_modules/.bin/millrace'), ['--version'], app, withoutCargo)
  expect(output.trim()).toBe('0.1.0')
  expect(status).toBe(0)
})

test('without a platform package the error names platform, C library and remedy', async (context) => {
  needsInstall(context)
  const bare = join(scratch, 'bare')
  mkdirSync(join(bare, 'node_modules'), { recursive: true })
  for (const name of readdirSync(join(app, 'node_modules'))) {
    if (name !== '@millrace') symlinkSync(join(app, 'node_modules', name), join(bare, 'node_modules', name))
  }
  const flags = ['--preserve-symlinks', '--input-type=module', '--eval', "await import('millrace')"]
  const { status, output } = await run(process.execPath, flags, bare, withoutCargo)
  expect(status).not.toBe(0)
  expect(output).toContain(`platform ${process.platform}, architecture ${process.arch}, libc glibc`)
  expect(output).toContain(`npm install ${platformPackage}`)
})

test('publint and are-the-types-wrong find nothing wrong with the main package', { timeout: 60_000 }, async () => {
  const main = tarballs.find((file) => /millrace-\d/.test(file)) ?? ''
  const publint = await run(join(root, 'node_modules/.bin/publint'), ['run', main, '--strict'], root)
  expect(publint.status, publint.output).toBe(0)
  const attw = await run(join(root, 'node_modules/.bin/attw'), [main, '--profile', 'node16'], root)
  expect(attw.status, attw.output).toBe(0)
})
