/** Damaged bytes are told, never hidden, and cost no more than what they hit. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Millrace } from '../src/index.js'
import { allRecords, appendKeys, codeOf, openStore } from './store.js'
import { emptyFolder } from './support.js'

const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

/** A store with a hundred records, a frame each, of which the fiftieth has a flipped bit. */
async function damagedStore(): Promise<string> {
  const folder = emptyFolder()
  const millrace = await Millrace.open(folder)
  const stream = await millrace.createStream('damaged')
  for (let i = 0; i < 100; i += 1) await appendKeys(stream, [`key-${i}.`])
  await millrace.close()
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.seg'))
  const hit = files.map((name) => join(folder, name)).find((path) => readFileSync(path).includes('data of key-50.'))
  const bytes = readFileSync(hit as string)
  const at = bytes.indexOf('data of key-50.')
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(hit as string, bytes)
  return folder
}

test('a flipped bit in acknowledged data is an error that names the place, and reading goes on behind it', async () => {
  const millrace = await openStore(await damagedStore())
  const stream = await millrace.stream('damaged')
  const reader = stream.read(fromStart)
  const before: string[] = []
  const failure = await (async () => {
    for (;;) before.push(...[...((await reader.next()).value ?? [])].map(({ partitionKey }) => partitionKey))
  })().catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'ERR_MILLRACE_CORRUPT' })
  expect((failure as Error).message).toMatch(/damaged.*segment \d+ offset \d+|sequences from \d+/)
  expect(before).toEqual(Array.from({ length: 50 }, (_, i) => `key-${i}.`))
  expect(await codeOf(reader.next())).toBe('ERR_MILLRACE_CORRUPT')

  reader.skipDamage()
  const behind = (await allRecords(reader)).map(({ partitionKey }) => partitionKey)
  expect(behind).toEqual(Array.from({ length: 49 }, (_, i) => `key-${i + 51}.`))
})

test('verify reports the damage, counts what it read, and leaves the store usable', async () => {
  const folder = await damagedStore()
  const progress: number[] = []
  const report = await Millrace.verify(folder, { onProgress: (bytesRead) => progress.push(bytesRead) })
  expect(report.damages).toHaveLength(1)
  expect(report.damages[0]).toMatchObject({ stream: 'damaged', segment: expect.stringMatching(/\.seg$/) })
  expect(report.streams).toBe(1)
  expect(progress.length).toBeGreaterThan(0)
  const stream = await (await openStore(folder)).stream('damaged')
  await appendKeys(stream, ['after'])
})
