/** Threads and the end of the process: nothing crashes, nothing hangs, nothing acknowledged is lost. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Millrace } from '../src/index.js'
import { allRecords, keys, openStore } from './store.js'
import { emptyFolder, root, run } from './support.js'

const entry = JSON.stringify(join(root, 'dist/index.js'))

/** A worker that runs a module's text with `Millrace`, `folder`, `port` and `tag`. */
function worker(folder: string, tag: number, body: string): Worker {
  const code = `
    const { parentPort: port, workerData: { folder, tag } } = require('node:worker_threads')
    const main = async ({ Millrace }) => { ${body} }
    import(${entry}).then(main)`
  return new Worker(code, { eval: true, workerData: { folder, tag } })
}

test('threads write into one store, each in its own order, while another reads', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const stream = await millrace.createStream('shared', { shards: 3, durability: 'os' })
  const body = `
    const millrace = await Millrace.open(folder)
    const stream = await millrace.stream('shared')
    for (let i = 0; i < 500; i += 1) {
      stream.append({ partitionKey: 'thread-' + tag, data: Buffer.from(String(i)) })
      if (i % 50 === 0) await stream.flush()
    }
    await millrace.close()`
  await Promise.all([1, 2, 3, 4].map((tag) => once(worker(folder, tag, body), 'exit')))
  const records = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  for (const tag of [1, 2, 3, 4]) {
    const own = records.filter(({ partitionKey }) => partitionKey === `thread-${tag}`)
    expect(own.map(({ data }) => Number(Buffer.from(data).toString()))).toEqual([...Array(500).keys()])
  }
})

test('workers that are terminated with puts, reads and wake-ups in flight crash nobody', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const stream = await millrace.createStream('torn', { shards: 2 })
  const body = `
    const millrace = await Millrace.open(folder)
    const stream = await millrace.stream('torn')
    const follow = async (options) => { for await (const batch of stream.read(options)) for (const r of batch) r.data }
    void follow({ from: 'TRIM_HORIZON' })
    void follow({ from: 'LATEST', visibility: 'published' })
    void follow({ from: 'LATEST', mode: 'polled' })
    const write = async () => {
      for (;;) {
        await Promise.all(Array.from({ length: 20 }, (_, i) => stream.put({ partitionKey: 'k' + i, data: Buffer.alloc(50) })))
        port.postMessage('written')
      }
    }
    void write()`
  for (let round = 0; round < 8; round += 1) {
    const threads = [1, 2].map((tag) => worker(folder, tag, body))
    await Promise.all(threads.map((thread) => once(thread, 'message')))
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
  const { sequenceNumber } = await stream.put({ partitionKey: 'after', data: new Uint8Array(1) })
  const records = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.at(-1)?.sequenceNumber).toBe(sequenceNumber)
  expect(records.length).toBeGreaterThanOrEqual(8 * 2 * 20)
}, 60_000)

test('workers that end by themselves without closing leave the store to the others', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  await millrace.createStream('left')
  const body = `
    const millrace = await Millrace.open(folder)
    const stream = await millrace.stream('left')
    await stream.put({ partitionKey: 'thread-' + tag, data: Buffer.from('x') })
    stream.read({ from: 'TRIM_HORIZON' }).nextSync().data(0)`
  await Promise.all([...Array(6).keys()].map((tag) => once(worker(folder, tag, body), 'exit')))
  const stream = await millrace.stream('left')
  const found = (await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))).map((r) => r.partitionKey)
  expect(found.toSorted()).toEqual(keys(6, 'thread'))
})

test('a hundred threads that end with calls of every kind in flight leave nothing behind', async () => {
  const folder = emptyFolder()
  const seed = Math.floor(Math.random() * 2 ** 32)
  const script = join(root, 'test/workers/rounds.mjs')
  const args = ['--expose-gc', script, join(root, 'dist/index.js'), folder, String(seed), '100']
  const { status, output } = await run(process.execPath, args, root)
  expect(status, `seed ${seed}: ${output}`).toBe(0)
  const { ended, failures, left, records } = JSON.parse(output)
  expect({ failures, left }, `seed ${seed}`).toEqual({ failures: [], left: [] })
  expect(ended.terminated + ended.exited + ended.early).toBe(100)
  expect(Math.min(ended.terminated, ended.exited, ended.early)).toBeGreaterThan(0)
  console.log(`threads ended with calls in flight, seed ${seed}: ${JSON.stringify(ended)}, ${records} records`)
  // The directory is free for another process, and whole.
  const code = `
    import { Millrace } from ${entry}
    const { damages, streams } = await Millrace.verify(${JSON.stringify(folder)})
    console.log(damages.length, streams > 0)`
  const reopened = await run(process.execPath, ['--input-type=module', '-e', code], root)
  expect(reopened).toEqual({ status: 0, output: '0 true\n' })
}, 120_000)

test('a reader that waits in another thread is told when its stream is deleted', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const body = `
    const millrace = await Millrace.open(folder)
    const stream = await millrace.stream('awaited')
    const told = (reader) => reader.next().then(() => 'read', (error) => error.code)
    const waiting = [{}, { visibility: 'published' }, { mode: 'polled' }].map((options) => told(stream.read(options)))
    port.postMessage('waiting')
    port.postMessage(await Promise.all(waiting))
    await millrace.close()`
  for (const durability of ['synced', 'os', { interval: 60_000 }] as const) {
    await millrace.createStream('awaited', { durability })
    const thread = worker(folder, 1, body)
    const ended = once(thread, 'exit')
    await once(thread, 'message')
    const told = once(thread, 'message')
    await millrace.deleteStream('awaited')
    expect((await told)[0]).toEqual(Array(3).fill('ERR_MILLRACE_STREAM_DELETING'))
    await ended
  }
})

test('a store that one thread closes stays open for a reader that waits in another', async () => {
  const folder = emptyFolder()
  const first = await Millrace.open(folder)
  await first.createStream('shared')
  const body = `
    const millrace = await Millrace.open(folder)
    const reader = (await millrace.stream('shared')).read()
    const waiting = reader.next()
    port.postMessage('waiting')
    port.postMessage((await waiting).value.partitionKey(0))
    void millrace.close()
    port.postMessage(await reader.next().then(() => 'read', (error) => error.code))`
  const thread = worker(folder, 1, body)
  await once(thread, 'message')
  await first.close()
  const second = await openStore(folder)
  const read = once(thread, 'message')
  await (await second.stream('shared')).put({ partitionKey: 'late', data: new Uint8Array(1) })
  expect((await read)[0]).toBe('late')
  expect((await once(thread, 'message'))[0]).toBe('ERR_MILLRACE_CLOSED')
})

test('a stream that another thread deleted and made again is opened anew', async () => {
  const folder = emptyFolder()
  const millrace = await openStore(folder)
  const old = await millrace.createStream('again', { shards: 1 })
  await old.put({ partitionKey: 'old', data: new Uint8Array(1) })
  const body = `
    const millrace = await Millrace.open(folder)
    await millrace.deleteStream('again')
    const stream = await millrace.createStream('again', { shards: 3 })
    await stream.put({ partitionKey: 'new', data: Buffer.from('x') })
    await millrace.close()`
  await once(worker(folder, 1, body), 'exit')
  const stream = await millrace.stream('again')
  expect(stream.describe().shards).toBe(3)
  const records = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(['new'])
})

test.each(['synced', 'os'] as const)(
  'what is appended to a deleted stream is counted as refused, under %s',
  async (durability) => {
    const folder = emptyFolder()
    const millrace = await openStore(folder)
    const stream = await millrace.createStream('gone', { durability })
    const body = `
    const millrace = await Millrace.open(folder)
    await millrace.deleteStream('gone')
    await millrace.close()`
    await once(worker(folder, 1, body), 'exit')
    let taken = 0
    let told = 0
    const record = { partitionKey: 'k', data: new Uint8Array(1000) }
    const tell = (error: unknown) => {
      expect(error).toMatchObject({ code: 'ERR_MILLRACE_STREAM_DELETING' })
      told += Number(/^(\d+) appended records failed/.exec((error as Error).message)?.[1])
    }
    // More than a buffer holds, so that some of it leaves before the turn ends.
    for (let i = 0; i < 2000; i += 1) {
      try {
        stream.append(record)
        taken += 1
      } catch (error) {
        tell(error)
      }
    }
    await stream.flush().catch(tell)
    expect(told).toBe(taken)
    expect(taken).toBeGreaterThan(1000)
  },
)

/** Runs a program with `millrace` and a synced stream to its own end. */
async function program(body: string) {
  const folder = emptyFolder()
  const code = `
    import { Millrace } from ${entry}
    const millrace = await Millrace.open(${JSON.stringify(folder)})
    const stream = await millrace.createStream('s')
    ${body}`
  const ended = await run(process.execPath, ['--input-type=module', '-e', code], root)
  return { folder, ...ended }
}

test('an idle open store lets the process end', async () => {
  const { status, output } = await program(`const idle = stream.read(); console.log('end')`)
  expect({ status, output }).toEqual({ status: 0, output: 'end\n' })
})

test('a pending put keeps the process alive until it is acknowledged', async () => {
  const { status, output } = await program(`
    stream.put({ partitionKey: 'k', data: Buffer.from('x') }).then(({ shardId }) => console.log(shardId))`)
  expect({ status, output }).toEqual({ status: 0, output: 'shardId-000000000000\n' })
})

test('appended records leave before the process ends by itself', async () => {
  const { folder, status } = await program(`
    for (let i = 0; i < 10; i += 1) stream.append({ partitionKey: 'key-' + i, data: Buffer.from('x') })`)
  expect(status).toBe(0)
  const millrace = await openStore(folder)
  const stream = await millrace.stream('s')
  const records = await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))
  expect(records.map(({ partitionKey }) => partitionKey)).toEqual(keys(10))
})

test('a reader that waits keeps the process alive until it is closed', async () => {
  const { status, output } = await program(`
    const reader = stream.read()
    setTimeout(() => { console.log('close'); reader.close() }, 50)
    for await (const batch of reader) console.log(batch.length)
    console.log('ended')`)
  expect({ status, output }).toEqual({ status: 0, output: 'close\nended\n' })
})
