/** A server that ends under load and comes back at its port: what an application with the AWS SDK sees of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { Kinesis } from '@aws-sdk/client-kinesis'
import { expect, onTestFinished, test } from 'vitest'
import { startProgram } from './program.js'
import { emptyFolder } from './support.js'

const StreamName = 'clicks'
const SHARDS = 2
const WRITERS = 3
/** Calls that a writer makes between two ends of the server. */
const CALLS = 30
/** Records a call. */
const BATCH = 50
/** How often a client tries a call before it gives up: long enough for a server that starts. */
const ATTEMPTS_MAX = 30

/** `millrace serve` over one store, again and again at one port. */
class Served {
  readonly #folder: string
  #port = '0'
  #running: ReturnType<typeof startProgram> | undefined

  constructor(folder: string) {
    this.#folder = folder
    onTestFinished(() => this.#running?.kill('SIGKILL'))
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    this.#running = startProgram(this.#folder, ['serve', '--port', this.#port, '--limits', 'off', '--log', 'off'])
    await this.#running.heard('\n')
    this.#port = /:(\d+)\s*$/.exec(this.#running.output())?.[1] ?? ''
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#running?.kill(signal)
    await this.#running?.ended
  }
}

/** A client that goes on trying, as the SDK does where it is told so often. */
function patientClient(endpoint: string): Kinesis {
  const credentials = { accessKeyId: 'anybody', secretAccessKey: 'anything' }
  const kinesis = new Kinesis({ endpoint, region: 'us-east-1', credentials, maxAttempts: ATTEMPTS_MAX })
  onTestFinished(() => kinesis.destroy())
  return kinesis
}

/** What was acknowledged: the text of a record by its sequence number. */
type Acknowledged = Map<string, string>

async function write(kinesis: Kinesis, writer: string, acknowledged: Acknowledged): Promise<void> {
  for (let call = 0; call < CALLS; call += 1) {
    const texts = Array.from({ length: BATCH }, (_, index) => `${writer}-${call}-${index}`)
    const Records = texts.map((text) => ({ PartitionKey: text, Data: Buffer.from(text) }))
    const put = await kinesis.putRecords({ StreamName, Records })
    for (const [index, { SequenceNumber = '' }] of (put.Records ?? []).entries()) {
      acknowledged.set(SequenceNumber, texts[index] ?? '')
    }
  }
}

/** Follows a shard until `done` says so, by one chain of iterators that outlives the servers that gave them. */
async function follow(kinesis: Kinesis, shard: number, read: [string, string][], done: () => boolean): Promise<void> {
  const place = { StreamName, ShardId: `shardId-${String(shard).padStart(12, '0')}` }
  let { ShardIterator } = await kinesis.getShardIterator({ ...place, ShardIteratorType: 'TRIM_HORIZON' })
  for (;;) {
    const isLast = done()
    const { Records = [], NextShardIterator } = await kinesis.getRecords({ ShardIterator })
    ShardIterator = NextShardIterator
    for (const { SequenceNumber = '', Data = new Uint8Array() } of Records) {
      read.push([SequenceNumber, Buffer.from(Data).toString()])
    }
    if (isLast && Records.length === 0) return
    await delay(10)
  }
}

test(
  'clients_go_on_after_kills_and_restarts_under_load_and_nothing_acknowledged_is_lost',
  { timeout: 90_000 },
  async () => {
    const served = new Served(emptyFolder())
    await served.start()
    const kinesis = patientClient(served.url)
    await kinesis.createStream({ StreamName, ShardCount: SHARDS })
    const acknowledged: Acknowledged = new Map()
    const read: [string, string][][] = Array.from({ length: SHARDS }, () => [])
    let isWritten = false
    const readers = read.map((into, shard) => follow(patientClient(served.url), shard, into, () => isWritten))
    for (const [round, signal] of (['SIGKILL', 'SIGTERM', 'SIGKILL'] as const).entries()) {
      const before = acknowledged.size
      const writers = Array.from({ length: WRITERS }, (_, writer) => write(kinesis, `${round}-${writer}`, acknowledged))
      const written = Promise.all(writers)
      // In the middle of the load, not before it and not behind it.
      while (acknowledged.size < before + (WRITERS * CALLS * BATCH) / 3) await delay(1)
      await served.end(signal)
      expect(acknowledged.size).toBeLessThan(before + WRITERS * CALLS * BATCH)
      await served.start()
      await written
    }
    isWritten = true
    await Promise.all(readers)
    await served.end('SIGTERM')

    const found = new Map(read.flat())
    expect(acknowledged.size).toBe(3 * WRITERS * CALLS * BATCH)
    expect([...acknowledged].filter(([number, text]) => found.get(number) !== text)).toEqual([])
    for (const shard of read) {
      const numbers = shard.map(([number]) => BigInt(number))
      expect(numbers.every((number, index) => index === 0 || number > numbers[index - 1]!)).toBe(true)
    }
    // A call that was under way is tried again, and may so be stored twice; nothing else is.
    expect(new Set(found.values()).size).toBe(acknowledged.size)
  },
)
