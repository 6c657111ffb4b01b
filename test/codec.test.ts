/** Codecs: values come back as they were, and never through another codec than the one that wrote them. */
import { expect, expectTypeOf, test } from 'vitest'
import { MillraceError, json, lz4, raw, type Codec, type Stream } from '../src/index.js'
import { allRecords, bytes, codeOf, openStore } from './store.js'

interface Click {
  readonly user: string
  readonly at: number
  readonly tags: readonly string[]
}

const click: Click = { user: 'Ünal', at: 1.5, tags: ['a', '日本'] }
const fromStart = { from: 'TRIM_HORIZON', follow: false } as const

test.each([
  ['json', json<Click>()],
  ['lz4(json)', lz4(json<Click>())],
])('%s gives values back as they were and is named in the stream', async (name, codec: Codec<Click>) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('clicks', { codec })
  expectTypeOf(stream).toEqualTypeOf<Stream<Click>>()
  await stream.put({ partitionKey: 'k', data: click })
  stream.append({ partitionKey: 'k', data: click })
  await stream.flush()
  const values = (await allRecords(stream.read(fromStart))).map(({ data }) => data)
  expect(values).toEqual([click, click])
  expect(stream.describe().codec).toBe(name)
})

test('lz4 makes what repeats smaller and gives it back whole, at every size', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('packed', { codec: lz4(), durability: 'os' })
  const sizes = [0, 1, 100, 10_000, 1_000_000]
  for (const size of sizes) stream.append({ partitionKey: 'k', data: new Uint8Array(size).fill(7) })
  await stream.flush()
  const records = await allRecords(stream.read(fromStart))
  expect(records.map(({ data }) => data.length)).toEqual(sizes)
  expect(records.at(-1)?.bytes.length).toBeLessThan(10_000)
})

test('another codec than the stored one is refused and both are named', async () => {
  const millrace = await openStore()
  await millrace.createStream('clicks', { codec: json<Click>() })
  const opening = millrace.stream('clicks', { codec: raw })
  await expect(opening).rejects.toThrow(/'json', got 'raw'/)
  expect(await codeOf(millrace.stream('clicks'))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  await millrace.stream('clicks', { codec: json<Click>() })
})

test('a value that the codec cannot take is refused, and a block that lies about its size is not unpacked', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('clicks', { codec: json() })
  expect(await codeOf(stream.put({ partitionKey: 'k', data: undefined }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  expect(await codeOf(() => lz4().decode(new Uint8Array([255, 255, 255, 255, 0])))).toBe('ERR_MILLRACE_CORRUPT')
  expect(await codeOf(() => lz4().decode(bytes('')))).toBe('ERR_MILLRACE_CORRUPT')
})

test('lz4 takes any bytes for a block or for damage, and never for more bytes than they state', () => {
  const random = seeded(4)
  const outcomes = { unpacked: 0, refused: 0 }
  for (let round = 0; round < 20_000; round += 1) {
    const block = damaged(
      random,
      lz4().encode(Buffer.from(JSON.stringify({ n: random(1e9), text: 'x'.repeat(random(200)) }))),
    )
    try {
      const unpacked = lz4().decode(block)
      expect(unpacked.length).toBe(Buffer.from(block).readUInt32LE(0))
      outcomes.unpacked += 1
    } catch (error) {
      if (!MillraceError.is(error)) throw error
      expect(error.code).toBe('ERR_MILLRACE_CORRUPT')
      outcomes.refused += 1
    }
  }
  expect(Math.min(outcomes.unpacked, outcomes.refused)).toBeGreaterThan(1_000)
})

/** Numbers below a bound, the same ones in each run. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** A copy of a block that is cut off, or has some other bytes, or is all others. */
function damaged(random: (below: number) => number, block: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(block)
  const kind = random(4)
  if (kind === 0) return copy.subarray(0, random(copy.length))
  const changes = kind === 1 ? copy.length : random(3)
  for (let change = 0; change < changes; change += 1) copy[random(copy.length)] = random(256)
  return copy
}

test('a codec of the user is typed through to the record', async () => {
  const millrace = await openStore()
  const upper: Codec<string> = {
    name: 'upper',
    encode: (value) => bytes(value.toUpperCase()),
    decode: (data) => new TextDecoder().decode(data),
  }
  const stream = await millrace.createStream('texts', { codec: upper })
  await stream.put({ partitionKey: 'k', data: 'hello' })
  const [record] = await allRecords(stream.read(fromStart))
  expectTypeOf(record?.data).toEqualTypeOf<string | undefined>()
  expect(record?.data).toBe('HELLO')
})
