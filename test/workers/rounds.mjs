/**
 * Run by test/workers.test.ts with `--expose-gc`, as a process of its own, so that a crash is one of that process:
 * `node --expose-gc rounds.mjs ENTRY FOLDER SEED ROUNDS`. Starts and ends threads with calls of every kind in flight,
 * closes the store, and prints as JSON what it did and what is left of it.
 */
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const [entry, folder, seedText, roundsText] = process.argv.slice(2)
const { Millrace } = await import(entry)

/** What a thread is at when it ends; each says `ready` when its calls are in flight. */
const KINDS = {
  'puts pending': `
    for (;;) { const puts = Array.from({ length: 50 }, (_, i) => stream.put({ partitionKey: 'k' + i, data })); ready(); await Promise.all(puts) }`,
  'an iterator that waits': `
    void (async () => { for await (const batch of stream.read({ from: 'LATEST' })) batch.data(0) })()
    void (async () => { for await (const batch of stream.read({ mode: 'polled' })) batch.data(0) })()
    ready()`,
  'views held': `
    const held = []
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', maxRecords: 10 })) {
      held.push(batch, batch.data(0)); globalThis.held = held; ready(); if (held.length > 40) held.length = 0 }`,
  'views handed to another thread': `
    for await (const batch of stream.read({ from: 'TRIM_HORIZON', maxRecords: 10 })) {
      const { buffer } = batch.data(0)
      // Node.js refuses to move memory that is not its own; were it moved, it had to stay valid without this thread.
      try { port.postMessage({ buffer }, [buffer]) } catch { port.postMessage({ buffer: batch.data(0).slice().buffer }) }
      ready()
    }`,
  'a flush': `for (;;) { stream.append({ partitionKey: 'k', data }); const flushed = stream.flush(); ready(); await flushed }`,
  'a sync': `for (;;) { stream.append({ partitionKey: 'k', data }); const synced = stream.sync(); ready(); await synced }`,
  'a blocking flush': `for (;;) { stream.append({ partitionKey: 'k', data }); ready(); stream.flushSync(); await new Promise(setImmediate) }`,
  'an open': `for (;;) { const opening = Millrace.open(folder); ready(); await (await opening).close() }`,
  'a close': `stream.append({ partitionKey: 'k', data }); void millrace.close(); ready()`,
  'a creation': `for (let i = 0; ; i += 1) { const made = millrace.createStream(tag + '-' + i); ready(); await made; if (i > 8) break }`,
  'a deletion': `
    for (let i = 0; i < 9; i += 1) {
      const name = tag + '-' + i
      const made = await millrace.createStream(name)
      void made.read().next().catch(() => {})
      made.put({ partitionKey: 'k', data }).catch(() => {})
      const gone = millrace.deleteStream(name); ready(); await gone
    }`,
  subscriptions: `
    const consumer = await stream.registerConsumer(tag)
    const follow = async (options) => { for await (const event of consumer.subscribe(options)) for (const r of event.records) r.data }
    void follow({ from: 'TRIM_HORIZON', shard: 'shardId-000000000000' })
    void follow({ from: 'LATEST', shard: 'shardId-000000000001', visibility: 'published' })
    for (;;) { const put = stream.put({ partitionKey: 'k', data }); ready(); await put }`,
  'receivers that wait, and acknowledgements': `
    const queue = await stream.createQueue('work', { ifNotExists: true, visibilitySeconds: 1 }).catch(() => stream.queue('work'))
    void (async () => { for await (const message of queue) void message.ack().catch(() => {}) })()
    void queue.deadLetters({ waitSeconds: 20 })
    for (;;) { const put = stream.put({ partitionKey: 'k', data }); ready(); await put; await queue.metrics() }`,
  'a verification': `for (;;) { const verified = Millrace.verify(folder, { onProgress() {} }); ready(); await verified }`,
}

const BODY = (kind) => `
  const { parentPort: port, workerData: { folder, tag, exits } } = require('node:worker_threads')
  const data = Buffer.alloc(300, tag)
  let said = false
  const ready = () => {
    if (said) return
    said = true
    port.postMessage('ready')
    if (exits >= 0) setTimeout(() => process.exit(0), exits)
  }
  import(${JSON.stringify(entry)}).then(async ({ Millrace }) => {
    const millrace = await Millrace.open(folder)
    const stream = await millrace.stream('shared')
    ${KINDS[kind]}
    setInterval(() => {}, 1000)
  }).catch((error) => port.postMessage({ failed: String(error?.stack ?? error) }))`

let state = Number(seedText) >>> 0
/** A fraction by the seed (mulberry32). */
function fraction() {
  state = (state + 0x6d2b79f5) >>> 0
  let mixed = Math.imul(state ^ (state >>> 15), state | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

const ended = { terminated: 0, exited: 0, early: 0 }
const failures = []

async function round(number) {
  const kinds = Object.keys(KINDS)
  const kind = kinds[number % kinds.length]
  const delay = fraction() * 12
  const exits = fraction() < 0.25
  const early = !exits && fraction() < 0.15
  const workerData = { folder, tag: `t${number}`, exits: exits ? delay : -1 }
  const thread = new Worker(BODY(kind), { eval: true, workerData })
  const gone = once(thread, 'exit')
  // Looked at, so that memory that came from another thread is touched.
  const received = []
  const ready = new Promise((resolve) => {
    thread.on('message', (message) => {
      if (message.buffer !== undefined) return received.push(message.buffer)
      if (message.failed !== undefined) failures.push(`${kind}: ${message.failed}`)
      resolve()
    })
  })
  if (early) await sleep(fraction() * 60)
  else await Promise.race([ready, gone])
  if (exits) await gone
  else {
    await sleep(delay)
    await thread.terminate()
  }
  ended[early ? 'early' : exits ? 'exited' : 'terminated'] += 1
  for (const buffer of received) if (new Uint8Array(buffer).length === 0) failures.push(`${kind}: an empty buffer`)
}

/** Descriptors and maps of this process that refer to files of the store. */
function leftovers() {
  const descriptors = readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)]
    } catch {
      // The listing's own descriptor.
      return []
    }
  })
  return [...descriptors, ...readFileSync('/proc/self/maps', 'utf8').split('\n')].filter((line) =>
    line.includes(folder),
  )
}

/** The whole run, in a function of its own, so that nothing of it is held when it is over. */
async function run() {
  const millrace = await Millrace.open(folder)
  const stream = await millrace.createStream('shared', { shards: 2 })
  await stream.put({ partitionKey: 'first', data: Buffer.alloc(100) })
  const rounds = Number(roundsText)
  for (let number = 0; number < rounds; number += 2) await Promise.all([round(number), round(number + 1)])
  for (const consumer of stream.consumers()) await consumer.deregister()
  const { sequenceNumber } = await stream.put({ partitionKey: 'last', data: Buffer.alloc(1) })
  let records = 0
  let last = ''
  for await (const batch of stream.read({ from: 'TRIM_HORIZON', follow: false })) {
    records += batch.length
    last = batch.sequenceNumber(batch.length - 1)
  }
  if (last !== sequenceNumber) failures.push(`read up to ${last}, wrote up to ${sequenceNumber}`)
  await millrace.close()
  return records
}

const records = await run()
let left = []
for (let turn = 0; turn < 100; turn += 1) {
  globalThis.gc()
  // Finalizers run in a later turn.
  await sleep(10)
  left = leftovers()
  if (left.length === 0) break
}
const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1])
console.log(JSON.stringify({ ended, failures, records, left, threads }))
