/** Threads and the end of the process: nothing crashes, nothing hangs, nothing acknowledged is lost. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
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
