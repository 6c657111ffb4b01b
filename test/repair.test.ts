/** A repair keeps all that is good, in a copy, and says what it left out. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Millrace, json } from '../src/index.js'
import { allRecords, appendKeys, codeOf, keys, openStore } from './store.js'
import { CHILD_MS_MAX, emptyFolder } from './support.js'

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

/** The files of a folder by name, without who holds the store. */
function contents(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const files = entries.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !path.endsWith('LOCK'))
  return new Map(files.map((path) => [path, readFileSync(path, 'latin1')]))
}

/** Flips a bit of the newest file below `folder` that contains `text`. */
function flip(folder: string, text: string): void {
  const hit = [...contents(folder)].filter(([, bytes]) => bytes.includes(text)).toSorted()
  const [path, bytes] = hit.at(-1) as [string, string]
  const changed = Buffer.from(bytes, 'latin1')
  const at = changed.indexOf(text)
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
  writeFileSync(path, changed)
}

/** A closed store with two streams; in one of them a hundred records stand in a frame each. */
async function closedStore(): Promise<string> {
  const folder = join(emptyFolder(), 'store')
  const millrace = await Millrace.open(folder)
  const stream = await millrace.createStream('clicks', { shards: 4, retention: '7d' })
  for (let i = 0; i < 100; i += 1) await appendKeys(stream, [`key-${i}.`])
  const packed = await millrace.createStream('packed', { codec: json<{ a: number }>() })
  await packed.put({ partitionKey: 'k', data: { a: 1 } })
  await millrace.close()
  return folder
}

/** Sequence numbers, shards, times and keys of all records of `clicks`. */
async function recordsOf(folder: string, name = 'clicks') {
  const millrace = await openStore(folder)
  const records = await allRecords((await millrace.stream(name)).read(fromStart))
  const plain = records.map(({ shardId, sequenceNumber, partitionKey, approximateArrivalTimestamp }) => ({
    shardId,
    sequenceNumber,
    partitionKey,
    at: approximateArrivalTimestamp.getTime(),
  }))
  await millrace.close()
  return plain
}

test('a sound store repairs to an equal one', async () => {
  const folder = await closedStore()
  const copy = `${folder}-copy`
  const before = contents(folder)
  const progress: [number, number][] = []
  const report = await Millrace.repair(folder, copy, { onProgress: (...step) => progress.push(step) })
  expect(contents(folder)).toEqual(before)
  expect(report.damages).toEqual([])
  expect(report.streams).toMatchObject([
    { name: 'clicks', recovered: false, records: 100 },
    { name: 'packed', recovered: false, records: 1 },
  ])
  expect(progress.at(-1)?.[0]).toBe(progress.at(-1)?.[1])
  expect(await recordsOf(copy)).toEqual(await recordsOf(folder))
  const [old, repaired] = [await openStore(folder), await openStore(copy)]
  expect(repaired.listStreams()).toEqual(old.listStreams())
  expect(repaired.warnings).toEqual([])
})

test('a damaged run is left out, named with its shard and the sequence numbers that its producers hold', async () => {
  const folder = await closedStore()
  const all = await recordsOf(folder)
  flip(folder, 'data of key-50.')
  const copy = `${folder}-copy`
  const { damages } = await Millrace.repair(folder, copy)
  const lost = all[50] as (typeof all)[number]
  expect(damages).toHaveLength(1)
  expect(damages[0]).toMatchObject({ stream: 'clicks', kind: 'damaged', shardIds: [lost.shardId], records: 1 })
  expect(damages[0]?.sequenceNumbers?.first).toBe(String(lost.sequenceNumber))
  expect(BigInt(damages[0]?.sequenceNumbers?.next ?? 0)).toBeGreaterThan(BigInt(lost.sequenceNumber))
  expect((await Millrace.verify(folder)).damages).toEqual(damages)
  expect(await recordsOf(copy)).toEqual(all.filter((record) => record !== lost))
  expect((await Millrace.verify(copy)).damages).toEqual([])
  const stream = await (await openStore(copy)).stream('clicks')
  await appendKeys(stream, ['after'])
})

test('a store whose control log is damaged is verified and saved, and the error of opening it says how', async () => {
  const folder = await closedStore()
  const all = await recordsOf(folder)
  flip(join(folder, 'control'), 'nextStreamId')
  const error = await Millrace.open(folder).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'ERR_MILLRACE_CORRUPT', message: expect.stringContaining('millrace repair') })
  const { damages, records } = await Millrace.verify(folder)
  expect(records).toBe(101)
  expect(damages.filter(({ stream }) => stream === 'control log').length).toBeGreaterThan(0)
  const report = await Millrace.repair(folder, `${folder}-copy`)
  expect(report.streams.map(({ name, recovered }) => [name, recovered])).toEqual([
    ['recovered-0000000000000001', true],
    ['recovered-0000000000000002', true],
  ])
  const keysOf = (records: typeof all) => records.map(({ partitionKey, shardId }) => [partitionKey, shardId])
  expect(keysOf(await recordsOf(`${folder}-copy`, 'recovered-0000000000000001'))).toEqual(keysOf(all))
})

test('a store that is open, a target that is used, and a signal refuse a repair', async () => {
  const folder = await closedStore()
  const copy = `${folder}-copy`
  expect(await codeOf(Millrace.repair(folder, folder))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(Millrace.repair(folder, join(folder, 'copy')))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(Millrace.repair(emptyFolder(), copy))).toBe('ERR_MILLRACE_NOT_A_STORE')
  expect(await codeOf(Millrace.repair(folder, copy, { signal: AbortSignal.abort() }))).toBe('ERR_MILLRACE_ABORTED')
  const during = new AbortController()
  const repair = Millrace.repair(folder, copy, { signal: during.signal })
  during.abort()
  expect(await codeOf(repair)).toBe('ERR_MILLRACE_ABORTED')
  expect(existsSync(copy) || existsSync(`${copy}.unfinished`)).toBe(false)
  const open = await openStore(folder)
  expect(await codeOf(Millrace.repair(folder, copy))).toBe('ERR_MILLRACE_LOCKED')
  await open.close()
})

test('the command prints what it kept and what not, and its exit code says which', async () => {
  const folder = await closedStore()
  const millrace = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: CHILD_MS_MAX })
  const sound = millrace('repair', folder, '--to', `${folder}-sound`)
  expect(sound).toMatchObject({ status: 0, stderr: '' })
  expect(sound.stdout).toMatch(/kept 101 records of 2 streams[\s\S]*clicks +100 +1[\s\S]*nothing was left out/)
  flip(folder, 'data of key-50.')
  const damaged = millrace('repair', '--data', folder, '--to', `${folder}-damaged`)
  expect(damaged.status).toBe(3)
  expect(damaged.stdout).toMatch(
    /kept 100 records[\s\S]*1 finding:[\s\S]*clicks, 0000000\d\.seg, bytes [\d,]+ to [\d,]+/,
  )
  expect(damaged.stdout).toMatch(
    /at most 1 record of shardId-\d{12}\n {2}sequence numbers from 495\d{53}\n +before 495\d{53}/,
  )
  const verified = millrace('verify', '--data', folder)
  expect(verified.status).toBe(3)
  expect(verified.stdout).toContain(`millrace repair ${folder} --to NEW_DIRECTORY`)
  const asJson = millrace('repair', folder, '--to', `${folder}-json`, '--json')
  expect(JSON.parse(asJson.stdout)).toMatchObject({ streams: [{ records: 99 }, { records: 1 }], damages: [{}] })
  expect(millrace('repair', folder, '--to', `${folder}-json`)).toMatchObject({ status: 2, stdout: '' })
})

test('a repair that is killed leaves a whole copy or none, and the next one makes it', async () => {
  const folder = join(emptyFolder(), 'store')
  const millrace = await Millrace.open(folder)
  for (let i = 0; i < 8; i += 1) await appendKeys(await millrace.createStream(`stream-${i}`), keys(500))
  await millrace.close()
  for (let round = 0; round < 4; round += 1) {
    const copy = `${folder}-copy-${round}`
    const child = spawn(process.execPath, [MAIN, 'repair', folder, '--to', copy], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.on('close', resolve))
    // Killed with as many streams of the copy begun as rounds have passed.
    const streams = join(`${copy}.unfinished`, 'streams')
    const begun = (): number => (existsSync(streams) ? readdirSync(streams).length : 0)
    while (child.exitCode === null && begun() < round * 2) await new Promise((resolve) => setImmediate(resolve))
    child.kill('SIGKILL')
    await ended
    if (!existsSync(copy)) expect((await Millrace.repair(folder, copy)).damages).toEqual([])
    expect(existsSync(`${copy}.unfinished`)).toBe(false)
    expect(await Millrace.verify(copy)).toMatchObject({ streams: 8, records: 4000, damages: [] })
  }
})
