/** Queues of a stream: handed out until acknowledged, woken and not polled, given back where a loop is left. */
import { expect, test } from 'vitest'
import { json, MillraceError, type Message, type Queue, type Stream } from '../src/index.js'
import { appendKeys, codeOf, keys, openStore, text } from './store.js'
import { emptyFolder } from './support.js'

async function openQueue(options: Parameters<Stream['createQueue']>[1] = {}, folder = emptyFolder()) {
  const millrace = await openStore(folder)
  const stream = await millrace.createStream('orders', { shards: 2, durability: 'os', ifNotExists: true })
  const queue = await stream.createQueue('work', { ifNotExists: true, ...options })
  return { millrace, stream, queue, folder }
}

const names = (messages: readonly Message[]) => messages.map((message) => message.partitionKey)

async function receiveAll(queue: Queue): Promise<Message[]> {
  const all: Message[] = []
  for (;;) {
    const messages = await queue.receive()
    if (messages.length === 0) return all
    all.push(...messages)
  }
}

test('a record is received, acknowledged and gone, and the rest is there again', async () => {
  const { stream, queue } = await openQueue()
  await appendKeys(stream, keys(12))
  const messages = await queue.receive({ visibilitySeconds: 0 })
  expect(messages).toHaveLength(10)
  const [first] = messages as [Message]
  expect(first).toMatchObject({ receiveCount: 1, shardId: expect.stringMatching(/^shardId-\d{12}$/) })
  expect(text(first.data)).toBe(`data of ${first.partitionKey}`)
  expect(first.recordId).toMatch(/^495\d{53}$/)
  expect(first.firstReceiveTimestamp.getTime()).toBeGreaterThanOrEqual(first.approximateArrivalTimestamp.getTime())
  await first.ack()
  expect(await codeOf(first.ack())).toBe('ERR_MILLRACE_RECEIPT_EXPIRED')
  const rest = await receiveAll(queue)
  expect(names(rest).toSorted()).toEqual(
    keys(12)
      .filter((key) => key !== first.partitionKey)
      .toSorted(),
  )
  expect(await queue.metrics()).toEqual({ visible: 0, inFlight: 11, deadLetters: { visible: 0, inFlight: 0 } })
  const { successful, failed } = await queue.ack([...rest, first.receipt, 'no receipt'])
  expect(successful).toEqual(rest.map(({ receipt }) => receipt))
  expect(failed.map(({ error }) => error.code)).toEqual([
    'ERR_MILLRACE_RECEIPT_EXPIRED',
    'ERR_MILLRACE_RECEIPT_INVALID',
  ])
  expect(failed.every(({ error }) => MillraceError.is(error))).toBe(true)
})

test('a receiver that waits is woken by an append, by a record that is given back, and by the end of a timeout', async () => {
  const { stream, queue } = await openQueue()
  const waiting = queue.receive({ waitSeconds: 20 })
  await appendKeys(stream, ['a'])
  const [message] = (await waiting) as [Message]
  expect(message.partitionKey).toBe('a')
  const again = queue.receive({ waitSeconds: 20, visibilitySeconds: 1 })
  await message.extend(0)
  expect(names(await again)).toEqual(['a'])
  const started = performance.now()
  expect(names(await queue.receive({ waitSeconds: 20 }))).toEqual(['a'])
  expect(performance.now() - started).toBeGreaterThan(900)
  expect(performance.now() - started).toBeLessThan(10_000)
  const empty = performance.now()
  expect(await queue.receive({ waitSeconds: 1 })).toEqual([])
  expect(performance.now() - empty).toBeGreaterThan(990)
}, 60_000)

test('a wait ends with its signal, with the queue and with the store', async () => {
  const { millrace, stream, queue } = await openQueue()
  const abort = new AbortController()
  const aborted = codeOf(queue.receive({ waitSeconds: 20, signal: abort.signal }))
  abort.abort()
  expect(await aborted).toBe('ERR_MILLRACE_ABORTED')
  const other = await stream.queue('work')
  const deleted = [codeOf(queue.receive({ waitSeconds: 20 })), codeOf(other.receive({ waitSeconds: 20 }))]
  await queue.delete()
  expect(await Promise.all(deleted)).toEqual(Array(2).fill('ERR_MILLRACE_QUEUE_NOT_FOUND'))
  expect(await codeOf(stream.queue('work'))).toBe('ERR_MILLRACE_QUEUE_NOT_FOUND')
  const next = await stream.createQueue('next')
  const closed = codeOf(next.receive({ waitSeconds: 20 }))
  await millrace.close()
  expect(await closed).toBe('ERR_MILLRACE_CLOSED')
  expect(await codeOf(next.ack([]))).toBe('ERR_MILLRACE_CLOSED')
})

test('what nobody acknowledges is a dead letter, and a restored one begins anew', async () => {
  const { stream, queue } = await openQueue({ maxReceiveCount: 2, visibilitySeconds: 0 })
  await appendKeys(stream, keys(3))
  expect((await queue.receive()).map(({ receiveCount }) => receiveCount)).toEqual([1, 1, 1])
  expect((await queue.receive()).map(({ receiveCount }) => receiveCount)).toEqual([2, 2, 2])
  expect(await queue.receive()).toEqual([])
  const dead = await queue.deadLetters({ visibilitySeconds: 30 })
  expect(names(dead).toSorted()).toEqual(keys(3))
  expect((await queue.metrics()).deadLetters).toEqual({ visible: 0, inFlight: 3 })
  const [first, second, third] = dead as [Message, Message, Message]
  expect((await queue.restore([first])).failed).toEqual([])
  await second.ack()
  await third.extend(0)
  const restored = await queue.receive({ visibilitySeconds: 30 })
  expect(restored.map(({ partitionKey, receiveCount }) => [partitionKey, receiveCount])).toEqual([
    [first.partitionKey, 1],
  ])
  expect(names(await queue.deadLetters())).toEqual([third.partitionKey])
})

test('progress outlives the store that made it', async () => {
  const { millrace, stream, queue, folder } = await openQueue()
  await appendKeys(stream, keys(20))
  const messages = await queue.receive()
  await queue.ack(messages.slice(0, 4))
  await millrace.close()
  const again = await openQueue({}, folder)
  expect(await again.queue.metrics()).toMatchObject({ visible: 10, inFlight: 6 })
  expect((await again.queue.ack(messages.slice(4))).failed).toEqual([])
  expect(await again.queue.metrics()).toMatchObject({ visible: 10, inFlight: 0 })
})

test('a loop over messages goes on for ever, and gives back what it has not come to', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('typed', { durability: 'os', codec: json<number>() })
  const queue = await stream.createQueue('work')
  for (let i = 0; i < 30; i += 1) stream.append({ partitionKey: 'key', data: i })
  await stream.flush()
  const seen: number[] = []
  for await (const message of queue) {
    seen.push(message.data)
    await message.ack()
    if (seen.length === 15) break
  }
  expect(seen).toEqual([...Array(15).keys()])
  expect(await queue.metrics()).toMatchObject({ visible: 15, inFlight: 0 })
  expect((await queue.receive({ max: 5 })).map((message) => message.data)).toEqual([15, 16, 17, 18, 19])
})

test('queues begin where they are told to, are listed, changed, and hold to the limits', async () => {
  const { stream, queue } = await openQueue({ tags: { team: 'ops' } })
  await appendKeys(stream, keys(2))
  const old = await stream.createQueue('old', { from: 'TRIM_HORIZON', visibilitySeconds: 60, maxReceiveCount: 'none' })
  const late = await stream.createQueue('late', { from: { timestamp: Date.now() } })
  expect([(await old.receive()).length, (await late.receive()).length, (await queue.receive()).length]).toEqual([
    2, 0, 2,
  ])
  await queue.update({ visibilitySeconds: 5 })
  expect(stream.queues()).toMatchObject([
    { name: 'work', visibilitySeconds: 5, maxReceiveCount: 6, tags: { team: 'ops' } },
    { name: 'old', visibilitySeconds: 60, maxReceiveCount: 'none' },
    { name: 'late', visibilitySeconds: 30, maxReceiveCount: 6 },
  ])
  const refused = [
    codeOf(stream.createQueue('old')),
    codeOf(stream.createQueue('far', { from: { timestamp: Date.now() + 60_000 } })),
    codeOf(stream.createQueue('long', { visibilitySeconds: 43_201 })),
    codeOf(stream.createQueue('often', { maxReceiveCount: 1001 })),
    codeOf(queue.receive({ max: 11 })),
    codeOf(queue.receive({ waitSeconds: 21 })),
    codeOf(queue.extend([], -1)),
    codeOf(queue.ack([5 as never])),
  ]
  expect(await Promise.all(refused)).toEqual([
    'ERR_MILLRACE_QUEUE_EXISTS',
    ...Array(7).fill('ERR_MILLRACE_INVALID_ARGUMENT'),
  ])
})
