/** The README's quick starts and commands do what they say, as a user would run them: copied, type-checked and run. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compile, consumer } from './consumer.js'
import { emptyFolder, QUICK_START_OUTPUT, quickStart, readmeBlock, root, run } from './support.js'

test('the TypeScript quick start compiles under strict settings and runs', { timeout: 60_000 }, async () => {
  const folder = consumer()
  writeFileSync(join(folder, 'quick-start.ts'), quickStart('ts'))
  await compile(folder, ['quick-start.ts'])

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
