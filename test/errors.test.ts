/** Bad input gets a typed error that says what was expected and what came, and harms nothing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERROR_CODES, Millrace, MillraceError, type Stream } from '../src/index.js'
import { allRecords, appendKeys, bytes, codeOf, openStore } from './store.js'
import { emptyFolder, root, run } from './support.js'

const data = bytes('x')

/** Calls that must fail, each with its code and what the message must tell. */
const REFUSED: readonly [string, (stream: Stream) => unknown, string, RegExp][] = [
  ['an empty key', (s) => s.append({ partitionKey: '', data }), 'INVALID_KEY', /1 to 256 characters/],
  ['257 characters', (s) => s.append({ partitionKey: 'x'.repeat(257), data }), 'INVALID_KEY', /got 257/],
  ['257 wide ones', (s) => s.append({ partitionKey: '🚀'.repeat(257), data }), 'INVALID_KEY', /got/],
  ['a lone surrogate', (s) => s.append({ partitionKey: 'a\ud800', data }), 'INVALID_KEY', /well-formed/],
  ['a number as key', (s) => s.append({ partitionKey: 7 as never, data }), 'INVALID_KEY', /string, got number/],
  [
    'a string as data',
    (s) => s.append({ partitionKey: 'k', data: 'x' as never }),
    'INVALID_ARGUMENT',
    /Uint8Array, got/,
  ],
  ['no data', (s) => s.append({ partitionKey: 'k' } as never), 'INVALID_ARGUMENT', /Uint8Array, got undefined/],
  [
    'a record too large',
    (s) => s.append({ partitionKey: 'k', data: new Uint8Array(1024 * 1024) }),
    'RECORD_TOO_LARGE',
    /at most 1048576 bytes together, got 1048577/,
  ],
  [
    'a hash key too large',
    (s) => s.append({ partitionKey: 'k', data, explicitHashKey: 1n << 128n }),
    'INVALID_ARGUMENT',
    /2\^128/,
  ],
  [
    'a hash key in words',
    (s) => s.append({ partitionKey: 'k', data, explicitHashKey: 'one' }),
    'INVALID_ARGUMENT',
    /got one/,
  ],
  ['an unknown shard', (s) => s.read({ shard: 'shardId-000000000009' }), 'SHARD_NOT_FOUND', /9/],
  ['a shard by another name', (s) => s.read({ shard: 'nine' }), 'SHARD_NOT_FOUND', /got 'nine'/],
  ['a malformed sequence number', (s) => s.read({ from: { at: '12' } }), 'SEQUENCE_INVALID', /12/],
  ['a position of no kind', (s) => s.read({ from: 'SOMEWHERE' as never }), 'INVALID_ARGUMENT', /TRIM_HORIZON/],
  ['a time that is none', (s) => s.read({ from: { timestamp: Number.NaN } }), 'INVALID_ARGUMENT', /NaN/],
  ['a time to come', (s) => s.read({ from: { timestamp: Date.now() + 60_000 } }), 'INVALID_ARGUMENT', /future/],
  ['no records a batch', (s) => s.read({ maxRecords: 0 }), 'INVALID_ARGUMENT', /1 to 65536, got 0/],
  ['a retention too short', (s) => s.setRetention('1h'), 'INVALID_ARGUMENT', /24h to 8760h/],
]

test.each(REFUSED)('%s is refused and the stream goes on', async (_name, call, code, message) => {
  const millrace = await openStore()
  const stream = await millrace.createStream('refusing')
  await appendKeys(stream, ['before'])
  const error = await Promise.resolve()
    .then(() => call(stream))
    .catch((thrown: unknown) => thrown)
  expect(MillraceError.is(error) ? error.code : error).toBe(`ERR_MILLRACE_${code}`)
  expect((error as Error).message).toMatch(message)
  await appendKeys(stream, ['after'])
  const records = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(['before', 'after'])
})

test('streams that cannot be are refused and the store goes on', async () => {
  const millrace = await openStore()
  const invalid = 'ERR_MILLRACE_INVALID_ARGUMENT'
  expect(await codeOf(millrace.createStream(''))).toBe(invalid)
  expect(await codeOf(millrace.createStream('a/b'))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { shards: 0 }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { shards: 10_001 }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { shards: 1.5 }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { maxRecordBytes: 2 ** 40 }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { durability: 'sometimes' as never }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { durability: { interval: 0 } }))).toBe(invalid)
  expect(await codeOf(millrace.createStream('s', { retention: '9000h' }))).toBe(invalid)
  expect(await codeOf(millrace.stream('absent'))).toBe('ERR_MILLRACE_STREAM_NOT_FOUND')
  expect(await codeOf(millrace.deleteStream('absent'))).toBe('ERR_MILLRACE_STREAM_NOT_FOUND')
  expect(millrace.listStreams()).toEqual([])
  await millrace.createStream('s')
})

test('a sequence number of another stream or shard is told apart', async () => {
  const millrace = await openStore()
  const [one, two] = [
    await millrace.createStream('one', { shards: 2 }),
    await millrace.createStream('two', { shards: 2 }),
  ]
  const { sequenceNumber, shardId } = await one.put({ partitionKey: 'k', data })
  const other = one.describe().shardList.find((shard) => shard.shardId !== shardId)?.shardId as string
  expect(await codeOf(() => two.read({ from: { at: sequenceNumber } }))).toBe('ERR_MILLRACE_SEQUENCE_INVALID')
  expect(await codeOf(() => one.read({ from: { at: sequenceNumber }, shard: other }))).toBe(
    'ERR_MILLRACE_SEQUENCE_INVALID',
  )
})

test('a deleted stream ends its readers and puts with a typed error', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('going')
  const reading = codeOf(stream.read().next())
  await millrace.deleteStream('going')
  const gone = /^ERR_MILLRACE_(STREAM_DELETING|STREAM_NOT_FOUND|CLOSED)$/
  expect(await reading).toMatch(gone)
  expect(await codeOf(stream.put({ partitionKey: 'k', data }))).toMatch(gone)
  expect(await codeOf(() => stream.read())).toMatch(gone)
})

test('a put that races a deletion, and one that waits for room when the store closes, settle', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('racing')
  const put = stream.put({ partitionKey: 'k', data }).then(
    () => 'written',
    (error: MillraceError) => error.code,
  )
  await millrace.deleteStream('racing')
  expect(await put).toMatch(/^(written|ERR_MILLRACE_(STREAM_DELETING|CLOSED|OUTCOME_UNKNOWN))$/)

  const narrow = await millrace.createStream('narrow', { maxInFlightRecords: 10 })
  const many = codeOf(narrow.putMany(Array.from({ length: 1000 }, () => ({ partitionKey: 'k', data }))))
  await millrace.close()
  expect(await many).toBe('ERR_MILLRACE_CLOSED')
})

test('a second process is refused and told who holds the store; when the holder is killed the store opens', async () => {
  const folder = emptyFolder()
  const program = `
    import { Millrace } from ${JSON.stringify(join(root, 'dist/index.js'))}
    await Millrace.open(${JSON.stringify(folder)})
    console.log('open')
    setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  const error = await Millrace.open(folder).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'ERR_MILLRACE_LOCKED' })
  expect((error as Error).message).toContain(String(holder.pid))
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await openStore(folder)
})

test('a full disk refuses what does not fit and names how much; what was acknowledged stays and more fits later', async () => {
  const folder = emptyFolder()
  // The largest file that the process may make stands for the disk: a segment beyond it cannot be allocated.
  const program = `
    import { Millrace } from ${JSON.stringify(join(root, 'dist/index.js'))}
    const millrace = await Millrace.open(${JSON.stringify(folder)})
    const stream = await millrace.createStream('filled', { durability: 'os' })
    let acknowledged = 0
    for (let refused; refused === undefined; ) {
      for (let i = 0; i < 10; i += 1) stream.append({ partitionKey: 'k', data: new Uint8Array(10_000) })
      await stream.flush().then(() => (acknowledged += 10), (error) => (refused = error))
      if (refused) console.log(JSON.stringify({ acknowledged, code: refused.code, retryable: refused.retryable, message: refused.message }))
    }
    const { length } = stream.read({ from: 'TRIM_HORIZON', follow: false }).nextSync()
    await millrace.close().catch((error) => console.log(error.message))`
  const limited = `ulimit -f 3000; exec "$0" --input-type=module -e "$1"`
  const { status, output } = await run('bash', ['-c', limited, process.execPath, program], root)
  expect({ status, output }).toMatchObject({ status: 0 })
  const told = JSON.parse(output.split('\n')[0] as string)
  expect(told).toMatchObject({ code: 'ERR_MILLRACE_DISK_FULL', retryable: true })
  expect(told.message).toMatch(/^10 appended records failed: /)
  const stream = await (await openStore(folder)).stream('filled')
  expect((await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))).length).toBe(told.acknowledged)
  await appendKeys(stream, ['after'])
})

test('errors of another copy of the package are recognised by their code, others are not', () => {
  const foreign = Object.assign(new Error('from elsewhere'), { code: 'ERR_MILLRACE_CLOSED' })
  expect(MillraceError.is(foreign)).toBe(true)
  for (const other of [new Error('plain'), Object.assign(new Error('system'), { code: 'ENOENT' }), null, 'text']) {
    expect(MillraceError.is(other)).toBe(false)
  }
  expect(ERROR_CODES.length).toBe(new Set(ERROR_CODES).size)
})
