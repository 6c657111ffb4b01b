/** Kinesis over HTTP: `millrace serve` with signatures verified, beside the emulators, by one load generator. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { atMost, type Contest, type OpenContest, percentile, ratioAtLeast, type Side } from '../../rows.js'
import type { Field } from '../field.js'
import { kinesaliteKind, kinesisLocalKind } from '../peers/kinesis.js'
import { serveKind } from '../peers/serve.js'
import type { Server, ServerKind } from '../servers.js'
import { messages, Wire } from '../wire.js'
import { Source } from '../workload.js'
import { withKnownLimits } from './append.js'

const RECORD_BYTES = 100
/** Requests made beforehand, which are sent in turn. */
const REQUESTS = 16
/** Calls under way at once. */
const CONNECTIONS = 8
/** What the kernel counts processor time in. */
const TICK_MS = 10
const PUSHED_PER_SECOND = 1000
const IDLE = 1000
const StreamName = 'wire'
const SHARD = 'shardId-000000000000'

const MILLRACE = 'millrace serve, os'

/** Rates of PutRecords; the way of one record to a subscriber; the memory of subscribers to whom nothing comes. */
export function wireContests(field: Field): Contest[] {
  return [
    { name: 'wire PutRecords 500 × 100 B', rounds: field.quick ? 2 : 5, open: () => openPutRecords(field) },
    { name: 'wire SubscribeToShard', rounds: field.quick ? 1 : 3, open: () => openSubscribe(field) },
  ]
}

/** A server that takes part. */
interface Contender {
  readonly name: string
  readonly kind: ServerKind
  /** Takes part in every run; the others where they are chosen as peers. */
  readonly isOurs: boolean
  /** Calls under way at once, where 8 keep the server for more than a minute. */
  readonly connections?: number
}

const CONTENDERS: readonly Contender[] = [
  { name: MILLRACE, kind: serveKind('os'), isOurs: true },
  { name: 'millrace serve, synced', kind: serveKind('synced'), isOurs: true },
  { name: 'kinesalite', kind: kinesaliteKind, isOurs: false },
  { name: 'kinesis-local', kind: kinesisLocalKind, isOurs: false, connections: 1 },
]

/** A contender that answers. */
interface Open extends Contender {
  readonly server: Server
}

/** Opens a contender, unless it was not chosen or has left the run. */
async function enter(field: Field, contender: Contender): Promise<Open[]> {
  const isPeer = field.peers.some(({ name }) => name === contender.name)
  if (field.reason(contender.name) !== undefined || !(isPeer || contender.isOurs)) return []
  try {
    const server = await field.place.servers.use(contender.kind)
    await withWire(server, CONNECTIONS, makeStream)
    return [{ ...contender, server }]
  } catch (error) {
    field.leaveOut(contender.name, String(error))
    return []
  }
}

/** Connections for one piece of work: a server that is held between measurements gives up those that it has. */
async function withWire<T>(server: Server, connections: number, work: (wire: Wire) => Promise<T>): Promise<T> {
  const wire = new Wire(server.port, connections)
  try {
    return await work(wire)
  } finally {
    wire.close()
  }
}

async function makeStream(wire: Wire): Promise<void> {
  await wire.call('CreateStream', { StreamName, ShardCount: 1 })
  for (;;) {
    const { StreamDescription } = (await wire.call('DescribeStream', { StreamName })) as {
      StreamDescription: { StreamStatus: string }
    }
    if (StreamDescription.StreamStatus === 'ACTIVE') return
    await delay(50)
  }
}

async function openPutRecords(field: Field): Promise<OpenContest> {
  const row = (name: string) => `wire PutRecords 500 × 100 B: ${name}`
  field.place.servers.letAllRun()
  const entrants: Open[] = []
  for (const contender of CONTENDERS) entrants.push(...(await enter(field, contender)))
  const source = new Source(RECORD_BYTES, { batches: REQUESTS })
  const batches = Array.from({ length: REQUESTS }, () => source.next())
  const bodies = batches.map((batch) => ({
    StreamName,
    Records: batch.map(({ partitionKey, data }) => ({ PartitionKey: partitionKey, Data: data.toString('base64') })),
  }))
  const milliseconds = field.quick ? 500 : 1500
  const loads = new Map<string, Load>()
  const rates = entrants.map((entrant): Side => {
    const measure = () => {
      loads.delete(entrant.name)
      return field.measure({ name: entrant.name, server: async () => entrant.server }, async () => {
        const load = await putRecords(entrant, bodies, milliseconds)
        loads.set(entrant.name, load)
        return load.rate
      })
    }
    const against = entrant.name === MILLRACE ? {} : { against: row(MILLRACE) }
    return { name: row(entrant.name), unit: 'records/s', measure, ...against }
  })
  const costs = entrants.map(({ name }): Side => {
    const target = name === MILLRACE ? { target: atMost(1.5) } : {}
    const measure = () => loads.get(name)?.cpuUs ?? Number.NaN
    return { name: `${row(name)}, processor time of the server a record`, unit: 'µs', measure, ...target }
  })
  const isKinesaliteThere = entrants.some(({ name }) => name === 'kinesalite')
  const beside: Side = {
    name: row(`${MILLRACE}, beside kinesalite`),
    unit: 'records/s',
    measure: () => loads.get(MILLRACE)?.rate ?? Number.NaN,
    against: row('kinesalite'),
    target: ratioAtLeast(50),
  }
  const close = async () => {
    field.place.servers.letAllRun()
    for (const { server } of entrants) {
      await withWire(server, 1, (wire) => wire.call('DeleteStream', { StreamName })).catch(() => {})
    }
  }
  return { sides: withKnownLimits([...rates, ...costs, ...(isKinesaliteThere ? [beside] : [])]), close }
}

/** What a server did in one measurement. */
interface Load {
  /** Records a second. */
  readonly rate: number
  /** Processor time of the server, in microseconds a record. */
  readonly cpuUs: number
}

/** Sends the requests in turn, on every connection one after the other, and looks at what each was answered. */
async function putRecords({ server, connections = CONNECTIONS }: Open, bodies: readonly object[], ms: number) {
  return await withWire(server, connections, async (wire): Promise<Load> => {
    const requests = bodies.map((body) => wire.sign('PutRecords', body))
    const [started, cpu] = [performance.now(), cpuMs(server.pid)]
    let calls = 0
    const connection = async () => {
      do {
        const answer = await wire.send(requests[calls++ % requests.length]!)
        if (!answer.includes('"FailedRecordCount":0')) throw new Error(`records were refused: ${answer.slice(0, 150)}`)
      } while (performance.now() - started < ms)
    }
    await Promise.all(Array.from({ length: connections }, connection))
    const records = calls * 500
    const rate = (records / (performance.now() - started)) * 1000
    return { rate, cpuUs: ((cpuMs(server.pid) - cpu) * 1000) / records }
  })
}

async function openSubscribe(field: Field): Promise<OpenContest> {
  const contender = CONTENDERS.find(({ name }) => name === MILLRACE)!
  field.place.servers.letAllRun()
  const [entrant] = await enter(field, contender)
  if (entrant === undefined) return { sides: [], close: async () => {} }
  const { server } = entrant
  const peer = { name: contender.name, server: async () => server }
  const consumer = await withWire(server, 1, (wire) => register(wire, 'reader'))
  let took: number[] = []
  const name = `wire SubscribeToShard: ${MILLRACE}`
  const push = () =>
    field.measure(peer, async () => {
      took = await pushed(server, consumer, field.quick ? 500 : 3000)
      return percentile(took, 0.5)
    })
  const idle = () =>
    field.measure(peer, async () => {
      // What a server gave back stays with it for a while, and hides what comes next.
      await server.restart()
      return await withWire(server, 1, (wire) => memoryOfIdle(server, wire))
    })
  const sides: Side[] = [
    {
      name: `${name}, from before the put to the subscriber at 1,000/s, p50`,
      unit: 'µs',
      measure: push,
      target: atMost(1000),
    },
    {
      name: `${name}, from before the put to the subscriber at 1,000/s, p99`,
      unit: 'µs',
      measure: () => percentile(took, 0.99),
    },
    { name: `${name}, memory of 1,000 idle subscriptions`, unit: 'MiB', measure: idle, target: atMost(100) },
  ]
  const close = async () => {
    field.place.servers.letAllRun()
    await withWire(server, 1, (wire) => wire.call('DeleteStream', { StreamName, EnforceConsumerDeletion: true }))
  }
  return { sides, close }
}

async function register(wire: Wire, ConsumerName: string): Promise<string> {
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`
  const { Consumer } = (await wire.call('RegisterStreamConsumer', { StreamARN, ConsumerName })) as {
    Consumer: { ConsumerARN: string }
  }
  return Consumer.ConsumerARN
}

/** The microseconds from before each put to its record in the subscriber's hands, both in this process. */
async function pushed(server: Server, ConsumerARN: string, records: number): Promise<number[]> {
  const [writer, listener] = [new Wire(server.port, CONNECTIONS), new Wire(server.port, 1)]
  const parameters = { ConsumerARN, ShardId: SHARD, StartingPosition: { Type: 'LATEST' } }
  const response = await listener.open(listener.sign('SubscribeToShard', parameters))
  const sentAt: number[] = []
  const took: number[] = []
  const listening = (async () => {
    for await (const payload of messages(response)) {
      const now = performance.now()
      const { Records = [] } = JSON.parse(payload.toString()) as { Records?: { Data: string }[] }
      for (const { Data } of Records) {
        took.push((now - sentAt[Number(Buffer.from(Data, 'base64').toString())]!) * 1000)
      }
      if (took.length >= records) return
    }
  })()
  const started = performance.now()
  const puts: Promise<unknown>[] = []
  for (let index = 0; index < records; index += 1) {
    const due = started + (index * 1000) / PUSHED_PER_SECOND
    // Timers are as fine as a millisecond, which is the pace.
    if (due > performance.now()) await delay(Math.ceil(due - performance.now()))
    const Data = Buffer.from(String(index)).toString('base64')
    sentAt[index] = performance.now()
    puts.push(writer.call('PutRecord', { StreamName, PartitionKey: 'k', Data }))
  }
  await Promise.all(puts)
  await listening
  writer.close()
  listener.close()
  return took
}

/** By how many MiB the server's memory grows with subscriptions to which nothing comes. */
async function memoryOfIdle(server: Server, wire: Wire): Promise<number> {
  const consumers: string[] = []
  for (let index = 0; index < IDLE - 1; index += 1) consumers.push(await register(wire, `idle-${index}`))
  const before = residentMib(server.pid)
  const idle = new Wire(server.port, IDLE)
  const StartingPosition = { Type: 'LATEST' }
  for (const ConsumerARN of consumers) {
    const { statusCode } = await idle.open(
      idle.sign('SubscribeToShard', { ConsumerARN, ShardId: SHARD, StartingPosition }),
    )
    if (statusCode !== 200) throw new Error(`a subscription was answered with ${statusCode}`)
  }
  // Each has its first event by then.
  await delay(1000)
  const grown = residentMib(server.pid) - before
  idle.close()
  for (const ConsumerARN of consumers) await wire.call('DeregisterStreamConsumer', { ConsumerARN })
  return grown
}

/** Processor time of a process, in milliseconds: of its own code and of the kernel for it. */
function cpuMs(pid: number): number {
  // The name stands in parentheses and may hold anything; user and system time are the 12th and 13th field behind it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}
