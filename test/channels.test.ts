/** Channels of a process that embeds the store: each record in one object, told how it goes, refused what is wrong. */
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test, vi } from 'vitest'
import { json, type Channel, type CreateChannelOptions, type Millrace, type ServeChannels } from '../src/index.js'
import { codeOf, openStore } from './store.js'
import { emptyFolder } from './support.js'

const ARCHIVE = { bucket: 'archive', format: 'json', freshnessSeconds: 1 } as const
const SOON = { timeout: 20_000 }

async function openNumbers(millrace: Millrace) {
  return await millrace.createStream('numbers', { shards: 2, codec: json<number>(), ifNotExists: true })
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ partitionKey: `key ${i}`, data: from + i }))

/** The lines of all objects below a folder, and how many objects these are. */
function delivered(folder: string): { readonly objects: number; readonly lines: readonly string[] } {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const objects = entries.filter(({ name }) => !name.endsWith('.partial'))
  const lines = objects.flatMap(({ parentPath, name }) => {
    const body = readFileSync(join(parentPath, name))
    const plain = name.endsWith('.gz') ? gunzipSync(body) : body
    return plain.toString().split('\n').filter(Boolean)
  })
  return { objects: objects.length, lines }
}

async function hasDelivered(channel: Channel, records: number): Promise<void> {
  await vi.waitFor(() => expect(channel.describe().delivered.records).toBe(records), SOON)
}

test('a record put after the creation is in exactly one object, also after the store was opened again', async () => {
  const [folder, directory] = [emptyFolder(), emptyFolder()]
  const first = await openStore(folder)
  const stream = await openNumbers(first)
  await stream.putMany(numbers(-5, 0))
  const channel = await stream.createChannel('archive', { ...ARCHIVE, compression: 'gzip' })
  await first.deliverChannels({ directory })
  await stream.putMany(numbers(0, 10))
  await hasDelivered(channel, 10)
  await stream.putMany(numbers(10, 20))
  await first.close()

  const second = await openStore(folder)
  const again = await openNumbers(second)
  await again.putMany(numbers(20, 30))
  const before = delivered(directory)
  const reopened = again.channel('archive')
  expect(reopened.describe()).toMatchObject({ status: 'paused', delivered: { objects: 0, records: 0 } })
  await second.deliverChannels({ directory })
  await hasDelivered(reopened, 30 - before.lines.length)
  expect(reopened.describe().status).toBe('active')
  const after = delivered(directory)
  expect(after.lines.map(Number).toSorted((one, other) => one - other)).toEqual([...Array(30).keys()])
  expect(after.objects).toBe(before.objects + reopened.describe().delivered.objects)
})

test('a channel whose bucket is not there is retried, its description says why, and nothing is lost', async () => {
  const directory = emptyFolder()
  const inTheWay = join(directory, 'archive')
  writeFileSync(inTheWay, 'a file where the bucket should be')
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  const channel = await stream.createChannel('archive', ARCHIVE)
  await millrace.deliverChannels({ directory })
  await stream.putMany(numbers(0, 3))
  await vi.waitFor(() => expect(channel.describe().status).toBe('retrying'), SOON)
  const { failure } = channel.describe()
  expect(failure?.reason).toContain('could not write the object')
  expect(failure?.reason).toContain(inTheWay)
  expect(failure?.attempts).toBeGreaterThanOrEqual(1)
  expect(Date.now() - (failure?.since.getTime() ?? 0)).toBeLessThan(60_000)
  rmSync(inTheWay)
  await hasDelivered(channel, 3)
  expect(channel.describe()).toMatchObject({ status: 'active' })
  expect(channel.describe()).not.toHaveProperty('failure')
  expect(delivered(directory)).toEqual({ objects: 1, lines: ['0', '1', '2'] })
})

test('what is not of the format is a dead letter', async () => {
  const directory = emptyFolder()
  const millrace = await openStore()
  const stream = await millrace.createStream('clicks')
  const options = { ...ARCHIVE, keyTemplate: 'all/', deadLetterBucket: 'dead', deadLetterPrefix: 'of/{channel}/' }
  const channel = await stream.createChannel('archive', options)
  await millrace.deliverChannels({ directory })
  for (const data of ['{"page":"/"}', 'no JSON']) await stream.put({ partitionKey: 'ann', data: Buffer.from(data) })
  await hasDelivered(channel, 1)
  await vi.waitFor(() => expect(channel.describe().delivered.deadLetters).toBe(1), SOON)
  expect(delivered(join(directory, 'archive/all')).lines).toEqual(['{"page":"/"}'])
  const [letter = ''] = delivered(join(directory, 'dead/of/archive')).lines
  expect(JSON.parse(letter)).toMatchObject({ partitionKey: 'ann', data: Buffer.from('no JSON').toString('base64') })
})

test('channels deliver to an endpoint that speaks S3 without a server', async () => {
  const bucket = createServer((request, response) => void request.resume().on('end', () => response.end()))
  await once(bucket.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void bucket.close())
  const asked = once(bucket, 'request')
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  await stream.createChannel('archive', { ...ARCHIVE, storageClass: 'glacier-ir', bucketOwner: '123456789012' })
  await millrace.deliverChannels({ endpoint: `http://127.0.0.1:${(bucket.address() as AddressInfo).port}` })
  await stream.putMany(numbers(0, 1))
  const [{ method, url, headers }] = await asked
  expect([method, url]).toEqual(['PUT', expect.stringMatching(/^\/archive\/numbers\/.*archive-.*\.jsonl$/)])
  expect(headers).toMatchObject({ 'x-amz-storage-class': 'GLACIER_IR', 'x-amz-expected-bucket-owner': '123456789012' })
})

test('a server without buckets of its own leaves delivery as it is, and one with buckets moves it', async () => {
  const [directory, other] = [emptyFolder(), emptyFolder()]
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  const channel = await stream.createChannel('archive', ARCHIVE)
  await millrace.deliverChannels({ directory })
  await using quiet = await millrace.serve({ port: 0, log: 'off' })
  await millrace.deliverChannels()
  await stream.putMany(numbers(0, 1))
  await hasDelivered(channel, 1)
  await quiet.stop()
  await using moved = await millrace.serve({ port: 0, log: 'off', channels: { directory: other } })
  await moved.stop()
  await stream.putMany(numbers(1, 2))
  await hasDelivered(channel, 2)
  expect([delivered(directory).lines, delivered(other).lines]).toEqual([['0'], ['1']])
})

test('nobody has to say where the buckets are: they are folders of the store then', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const stream = await openNumbers(millrace)
  const channel = await stream.createChannel('archive', ARCHIVE)
  await millrace.deliverChannels()
  await stream.putMany(numbers(0, 1))
  await hasDelivered(channel, 1)
  expect(delivered(join(folder, 'channels/archive/numbers')).lines).toEqual(['0'])
})

test('a channel is told as it was created, changed, and gone when it is deleted', async () => {
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  const plain = await stream.createChannel('plain', { bucket: 'archive', format: 'text' })
  expect(plain.describe()).toEqual({
    name: 'plain',
    createdAt: expect.any(Date),
    status: 'paused',
    delivered: { objects: 0, bytes: 0, records: 0, deadLetters: 0 },
    freshnessSeconds: 300,
    bucket: 'archive',
    format: 'text',
    keyTemplate: '{stream}/{timestamp:yyyy/MM/dd/HH}/',
    compression: 'none',
    deadLetterBucket: 'archive',
    deadLetterPrefix: 'errors/',
    tags: {},
  })
  const options = {
    bucket: 'archive',
    format: 'bytes',
    freshnessSeconds: 900,
    keyTemplate: '{sequence}-',
    compression: 'gzip',
    deadLetterBucket: 'dead',
    deadLetterPrefix: '{channel}/',
    bucketOwner: '123456789012',
    storageClass: 'intelligent-tiering',
    encryptionKey: 'alias/archive',
    tags: { team: 'ops' },
  } as const
  const full = await stream.createChannel('full', options)
  expect(full.describe()).toMatchObject(options)
  await full.update({ freshnessSeconds: 60 })
  await full.tag({ team: 'money' })
  expect(stream.channels()).toMatchObject([
    { name: 'plain', freshnessSeconds: 300 },
    { ...options, name: 'full', freshnessSeconds: 60, tags: { team: 'money' } },
  ])
  await full.delete()
  expect(stream.channels().map(({ name }) => name)).toEqual(['plain'])
  const gone = [() => full.describe(), full.update({ freshnessSeconds: 1 }), full.tag({}), full.delete()]
  for (const call of [...gone, () => stream.channel('full')]) {
    expect(await codeOf(call)).toBe('ERR_MILLRACE_CHANNEL_NOT_FOUND')
  }
  await millrace.close()
  const closed = [() => plain.describe(), plain.delete(), () => stream.channels(), millrace.deliverChannels()]
  for (const call of closed) expect(await codeOf(call)).toBe('ERR_MILLRACE_CLOSED')
})

test('a name is that of one channel of the store, and ifNotExists opens that of its own stream alone', async () => {
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  await stream.createChannel('archive', ARCHIVE)
  expect(await codeOf(stream.createChannel('archive', ARCHIVE))).toBe('ERR_MILLRACE_CHANNEL_EXISTS')
  const same = await stream.createChannel('archive', { ...ARCHIVE, freshnessSeconds: 9, ifNotExists: true })
  expect(same.describe().freshnessSeconds).toBe(1)
  const other = await millrace.createStream('other')
  expect(await codeOf(other.createChannel('archive', { ...ARCHIVE, ifNotExists: true }))).toBe(
    'ERR_MILLRACE_CHANNEL_EXISTS',
  )
})

test('values that no channel can have are refused before anything is created', async () => {
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  const wrong: unknown[] = [
    undefined,
    null,
    'archive',
    {},
    { ...ARCHIVE, bucket: 'A' },
    { ...ARCHIVE, bucket: 7 },
    { ...ARCHIVE, bucket: '../archive' },
    { ...ARCHIVE, format: undefined },
    { ...ARCHIVE, format: 'xml' },
    { ...ARCHIVE, freshnessSeconds: 0 },
    { ...ARCHIVE, freshnessSeconds: 901 },
    { ...ARCHIVE, freshnessSeconds: 1.5 },
    { ...ARCHIVE, freshnessSeconds: '60' },
    { ...ARCHIVE, freshnessSeconds: 2 ** 32 + 60 },
    { ...ARCHIVE, keyTemplate: '../' },
    { ...ARCHIVE, keyTemplate: '{user}' },
    { ...ARCHIVE, keyTemplate: '' },
    { ...ARCHIVE, keyTemplate: 1 },
    { ...ARCHIVE, compression: 'zstd' },
    { ...ARCHIVE, deadLetterBucket: '' },
    { ...ARCHIVE, deadLetterPrefix: '/' },
    { ...ARCHIVE, bucketOwner: '12' },
    { ...ARCHIVE, bucketOwner: 123_456_789_012 },
    { ...ARCHIVE, storageClass: 'tape' },
    { ...ARCHIVE, encryptionKey: {} },
    { ...ARCHIVE, tags: { team: 1 } },
    { ...ARCHIVE, tags: 'team' },
  ]
  for (const options of wrong) {
    const creation = stream.createChannel('archive', options as CreateChannelOptions)
    expect(await codeOf(creation), JSON.stringify(options)).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  for (const name of ['', 'a name', '../x', 7, undefined]) {
    expect(await codeOf(stream.createChannel(name as string, ARCHIVE))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  expect(stream.channels()).toEqual([])
  const channel = await stream.createChannel('archive', ARCHIVE)
  for (const attributes of [undefined, {}, { freshnessSeconds: 901 }, { freshnessSeconds: null }]) {
    const update = channel.update(attributes as unknown as { freshnessSeconds: number })
    expect(await codeOf(update)).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  expect(await codeOf(channel.tag('team' as unknown as {}))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  const places: unknown[] = [
    null,
    'buckets',
    {},
    { directory: '' },
    { directory: 1 },
    { directory: 'buckets', endpoint: 'http://127.0.0.1:1' },
    { endpoint: 'archive' },
    { endpoint: 'ftp://127.0.0.1' },
    { endpoint: 'http://127.0.0.1:1', region: 1 },
    { endpoint: 'http://127.0.0.1:1', credential: {} },
    { endpoint: 'http://127.0.0.1:1', credential: null },
    { endpoint: 'http://127.0.0.1:1', credential: { accessKeyId: 'key', secretAccessKey: 1 } },
    { endpoint: 'http://127.0.0.1:1', credential: { accessKeyId: 'key', secretAccessKey: 's', sessionToken: 1 } },
  ]
  for (const place of places) {
    const delivery = millrace.deliverChannels(place as ServeChannels)
    expect(await codeOf(delivery), JSON.stringify(place)).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  expect(channel.describe().status).toBe('paused')
})

test('channels that are deleted with their stream are gone', async () => {
  const millrace = await openStore()
  const stream = await openNumbers(millrace)
  const channel = await stream.createChannel('archive', ARCHIVE)
  await millrace.deleteStream('numbers')
  expect(await codeOf(() => channel.describe())).toMatch(/ERR_MILLRACE_(STREAM_DELETING|CLOSED)/)
  const anew = await openNumbers(millrace)
  expect(anew.channels()).toEqual([])
  await anew.createChannel('archive', ARCHIVE)
})
