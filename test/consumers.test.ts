/** Registered consumers: each reads through a pipe of its own, at its own speed, and goes on where it noted that it was. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { json, type Consumer, type Stream, type SubscribeOptions, type SubscriptionEvent } from '../src/index.js'
import { appendKeys, bytes, codeOf, keys, openStore } from './store.js'
import { emptyFolder, root } from './support.js'

const entry = JSON.stringify(join(root, 'dist/index.js'))

/** Keys of the next `count` records of a subscription, and its last event. */
async function follow(consumer: Consumer, count: number, options: SubscribeOptions = { from: 'TRIM_HORIZON' }) {
  const seen: string[] = []
  let last: SubscriptionEvent | undefined
  for await (const event of consumer.subscribe(options)) {
    for (const record of event.records) seen.push(record.partitionKey)
    last = event
    if (seen.length >= count) break
  }
  return { seen, last: last as SubscriptionEvent }
}

async function openStream(folder?: string): Promise<Stream> {
  const millrace = await openStore(folder)
  return await millrace.createStream('clicks', { shards: 4, durability: 'os' })
}

test('consumers are registered, tagged, listed and deregistered', async () => {
  const stream = await openStream()
  const billing = await stream.registerConsumer('billing', { tags: { team: 'money' } })
  expect(billing).toMatchObject({ name: 'billing', tags: { team: 'money' } })
  expect(Math.abs(Date.now() - billing.createdAt.getTime())).toBeLessThan(60_000)
  await stream.registerConsumer('audit')
  await billing.tag({ team: 'ads' })
  expect(stream.consumers().map(({ name, tags }) => [name, tags])).toEqual([
    ['billing', { team: 'ads' }],
    ['audit', {}],
  ])
  expect(await codeOf(stream.registerConsumer('audit'))).toBe('ERR_MILLRACE_CONSUMER_EXISTS')
  expect(await codeOf(stream.registerConsumer('a/b'))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  await billing.deregister()
  expect(await codeOf(() => stream.consumer('billing'))).toBe('ERR_MILLRACE_CONSUMER_NOT_FOUND')
  expect(await codeOf(() => billing.subscribe())).toBe('ERR_MILLRACE_CONSUMER_NOT_FOUND')
  expect(await codeOf(billing.deregister())).toBe('ERR_MILLRACE_CONSUMER_NOT_FOUND')
})

test('each consumer sees all records in order, and goes on behind any event', async () => {
  const stream = await openStream()
  const consumer = await stream.registerConsumer('billing')
  const written = keys(500)
  await appendKeys(stream, written)
  const whole = await follow(consumer, 500)
  expect(whole.seen.toSorted()).toEqual(written.toSorted())
  const again: string[] = []
  let from: SubscribeOptions['from'] = 'TRIM_HORIZON'
  for (let events = 0; again.length < 500; events += 1) {
    const { seen, last } = await follow(consumer, 1, { from, maxRecords: 1 + (events % 90) })
    again.push(...seen)
    from = { after: last.continuationSequenceNumber }
  }
  expect(again).toEqual(whole.seen)
})

test('a subscription of one shard tells how far it is behind, and its codec decodes', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('typed', { shards: 2, durability: 'os', codec: json<number>() })
  for (let i = 0; i < 40; i += 1) stream.append({ partitionKey: `key-${i}`, data: i })
  await stream.flush()
  const consumer = await stream.registerConsumer('one')
  const events = consumer.subscribe({ shard: 'shardId-000000000001', from: 'TRIM_HORIZON' })
  const { value } = await events.next()
  const event = value as SubscriptionEvent<number>
  expect(event.records.length).toBeGreaterThan(5)
  for (const record of event.records) {
    expect(record.shardId).toBe('shardId-000000000001')
    expect(record.partitionKey).toBe(`key-${record.data}`)
  }
  expect(event.millisBehindLatest).toBe(0)
  expect(event.continuationSequenceNumber).toMatch(/^495\d{53}$/)
  events.close()
  expect(await events.next()).toEqual({ done: true, value: undefined })
})

test('an event without records comes at once and then after five seconds, and can be gone on behind', async () => {
  const stream = await openStream()
  const consumer = await stream.registerConsumer('quiet')
  const events = consumer.subscribe()
  const first = (await events.next()).value as SubscriptionEvent
  expect([first.records.length, [...first.records], first.millisBehindLatest]).toEqual([0, [], 0])
  const started = performance.now()
  const second = (await events.next()).value as SubscriptionEvent
  expect(second.records.length).toBe(0)
  expect(performance.now() - started).toBeGreaterThan(4900)
  await appendKeys(stream, ['late'])
  const third = (await events.next()).value as SubscriptionEvent
  expect([...third.records].map((record) => record.partitionKey)).toEqual(['late'])
  events.close()
  const { seen } = await follow(consumer, 1, { from: { after: second.continuationSequenceNumber } })
  expect(seen).toEqual(['late'])
}, 20_000)

test('a newer subscription ends the older one, deregistration ends all, and so do a signal and the end of the store', async () => {
  const stream = await openStream()
  const consumer = await stream.registerConsumer('billing')
  const waiting = (options?: SubscribeOptions) => {
    const events = consumer.subscribe(options)
    return events.next().then(() => codeOf(events.next()))
  }
  const shard = 'shardId-000000000002'
  const older = waiting({ shard })
  const other = waiting({ shard: 'shardId-000000000000' })
  await new Promise((resolve) => setImmediate(resolve))
  const newer = waiting({ shard })
  expect(await older).toBe('ERR_MILLRACE_SUBSCRIPTION_IN_USE')
  await new Promise((resolve) => setImmediate(resolve))
  await consumer.deregister()
  expect(await Promise.all([other, newer])).toEqual(Array(2).fill('ERR_MILLRACE_CONSUMER_NOT_FOUND'))

  const audit = await stream.registerConsumer('audit')
  const abort = new AbortController()
  const aborted = audit.subscribe({ signal: abort.signal })
  await aborted.next()
  const ended = codeOf(aborted.next())
  abort.abort()
  expect(await ended).toBe('ERR_MILLRACE_ABORTED')
})

test('fifty consumers in other threads see all that a paced writer writes, and a slow one catches up', async () => {
  const folder = emptyFolder()
  const stream = await openStream(folder)
  const threads = 5
  const each = 10
  const total = 20_000
  const slow = await stream.registerConsumer('slow')
  const code = `
    const { parentPort: port, workerData: { folder, tag, each, total } } = require('node:worker_threads')
    const read = async (stream, name) => {
      const consumer = await stream.registerConsumer(name)
      let [seen, sum, last] = [0, 0, '']
      const events = consumer.subscribe({ from: 'LATEST', shard: 'shardId-000000000001' })
      await events.next()
      port.postMessage('subscribed')
      for await (const event of events) {
        for (const record of event.records) {
          if (record.sequenceNumber <= last) throw new Error('out of order')
          last = record.sequenceNumber
          seen += 1
          sum += Number(record.partitionKey)
        }
        if (seen >= total) return { seen, sum }
      }
    }
    import(${entry}).then(async ({ Millrace }) => {
      const millrace = await Millrace.open(folder)
      const stream = await millrace.stream('clicks')
      const names = Array.from({ length: each }, (_, i) => 'consumer-' + tag + '-' + i)
      port.postMessage(await Promise.all(names.map((name) => read(stream, name))))
      await millrace.close()
    })`
  const workers = Array.from(
    { length: threads },
    (_, tag) => new Worker(code, { eval: true, workerData: { folder, tag, each, total } }),
  )
  const exits = workers.map((worker) => once(worker, 'exit'))
  const results: { seen: number; sum: number }[] = []
  let subscribed = 0
  const ready = new Promise<void>((resolve) => {
    for (const worker of workers) {
      worker.on('message', (message) => {
        if (message !== 'subscribed') results.push(...message)
        else if ((subscribed += 1) === threads * each) resolve()
      })
    }
  })
  const behind = slow.subscribe({ from: 'LATEST', shard: 'shardId-000000000001' })
  await behind.next()
  await ready
  // A quarter of the hash keys is the second shard's; this one lies in it.
  const explicitHashKey = (1n << 126n) + 1n
  for (let written = 0; written < total;) {
    for (const until = written + 100; written < until; written += 1) {
      stream.append({ partitionKey: String(written), data: bytes('x'), explicitHashKey })
    }
    await stream.flush()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(exits)
  const sum = (total * (total - 1)) / 2
  expect(results).toEqual(Array.from({ length: threads * each }, () => ({ seen: total, sum })))
  let caughtUp = 0
  for await (const event of behind) {
    for (const record of event.records) caughtUp += Number(record.partitionKey)
    if (event.millisBehindLatest === 0) break
  }
  expect(caughtUp).toBe(sum)
}, 120_000)

test('a subscription of a shard that is split ends with its children, and one of the whole stream keeps the order of each key', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('split', { durability: 'os', codec: json<number>() })
  const write = async (from: number) => {
    for (let i = from; i < from + 100; i += 1) stream.append({ partitionKey: `key-${i % 7}`, data: i })
    await stream.flush()
  }
  await write(0)
  const [one, all] = [await stream.registerConsumer('one'), await stream.registerConsumer('all')]
  const events = one.subscribe({ shard: 'shardId-000000000000', from: 'TRIM_HORIZON' })
  const first = (await events.next()).value as SubscriptionEvent<number>
  const seen = [...first.records].map(({ data }) => data)
  const waiting = events.next()
  const children = await stream.splitShard('shardId-000000000000')
  await write(100)
  let last = (await waiting).value as SubscriptionEvent<number>
  for await (const event of events) last = event
  expect([...last.records]).toEqual([])
  expect(last.childShards?.map(({ shardId }) => shardId)).toEqual(children.map(({ shardId }) => shardId))
  expect(seen).toEqual([...Array(100).keys()])
  const from = { after: last.continuationSequenceNumber }
  const again = one.subscribe({ shard: 'shardId-000000000000', from })
  expect((await again.next()).value.childShards).toHaveLength(2)
  expect(await again.next()).toEqual({ done: true, value: undefined })

  const byKey = new Map<string, number[]>()
  let count = 0
  for await (const event of all.subscribe({ from: 'TRIM_HORIZON' })) {
    for (const { partitionKey, data } of event.records) {
      byKey.set(partitionKey, [...(byKey.get(partitionKey) ?? []), data])
      count += 1
    }
    if (count === 200) break
  }
  for (const values of byKey.values()) expect(values).toEqual(values.toSorted((a, b) => a - b))
})

test('a consumer is pushed a shard at the pace of the limits, and nothing is lost', async () => {
  const millrace = await openStore()
  const limits = { fanOutBytesPerSecond: 200_000 }
  const stream = await millrace.createStream('paced', { durability: 'os', limits })
  for (let i = 0; i < 600; i += 1) stream.append({ partitionKey: `key-${i}`, data: new Uint8Array(1000) })
  await stream.flush()
  const consumer = await stream.registerConsumer('slow')
  const started = performance.now()
  const { seen } = await follow(consumer, 600, { from: 'TRIM_HORIZON', maxBytes: 50_000 })
  expect(seen).toEqual(keys(600))
  expect(performance.now() - started).toBeGreaterThan(1500)
}, 30_000)
