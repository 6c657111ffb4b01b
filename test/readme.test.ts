/** The README's quick starts and commands do what they say, as a user would run them: copied, type-checked and run. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { emptyFolder, QUICK_START_OUTPUT, quickStart, readmeBlock, root, run } from './support.js'

/** A folder that sees this checkout as its installed package, and the types of Node. */
function consumer(): string {
  const folder = emptyFolder()
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules/millrace'))
  symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

test('the TypeScript quick start compiles under strict settings and runs', { timeout: 60_000 }, async () => {
  const folder = consumer()
  writeFileSync(join(folder, 'quick-start.ts'), quickStart('ts'))
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ['node'],
    rootDir: '.',
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['quick-start.ts'] }))
  expect(await run(join(root, 'node_modules/.bin/tsc'), [], folder)).toEqual({ status: 0, output: '' })

  const { status, output } = await run(process.execPath, ['quick-start.js'], folder)
  expect(output).toMatch(QUICK_START_OUTPUT)
  expect(status).toBe(0)
})

test('the JavaScript quick start runs, and runs again on what it left', async () => {
  const folder = consumer()
  writeFileSync(join(folder, 'quick-start.js'), quickStart('js'))
  const first = await run(process.execPath, ['quick-start.js'], folder)
  expect(first.output).toMatch(QUICK_START_OUTPUT)
  const second = await run(process.execPath, ['quick-start.js'], folder)
  expect(second.output.match(/user-42 \/pricing/g)).toHaveLength(2)
  expect([first.status, second.status]).toEqual([0, 0])
})

test('the commands of the README run in their order', async () => {
  const folder = emptyFolder()
  const events = ['ann', 'bob', 'ann'].map((user, page) => JSON.stringify({ user, page: `/${page}` }))
  writeFileSync(join(folder, 'events.ndjson'), `${events.join('\n')}\n`)

  const script = `set -eu\nmillrace() { "$NODE" "$MAIN" "$@"; }\n${readmeBlock('Command line', 'sh')}`
  const env = { NODE: process.execPath, MAIN: join(root, 'dist/cli/main.js') }
  const { status, output } = await run('sh', ['-c', script], folder, env)
  expect(output.match(/"partitionKey":"(?:ann|bob)"/g)).toHaveLength(3)
  expect(status).toBe(0)
})
