/**
 * What was written to a stream, and what workers of the tests have processed of it: they append a line a record to one file,
 * `worker shard sequence subsequence key data`, in the order in which they process.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type KinesisClient, ListShardsCommand } from '@aws-sdk/client-kinesis'
import { onTestFinished } from 'vitest'
import { start, type Running } from '../program.js'
import { emptyFolder } from '../support.js'
import type { Recipe } from './recipe.js'
import { serve, type ServeOptions, type Server } from './server.js'
import { clientOf, create, putAll } from './streams.js'

const KEYS = 40
/** Records that are put at once. */
const BATCH = 50
/** How long a writer waits after each batch, so that records come while other things happen, in milliseconds. */
const PACE_MS = 100
/** The longest that workers take for what was written, in milliseconds. */
const PROCESSED_MS_MAX = 120_000
/** How often is looked at the file, in milliseconds. */
const LOOK_MS = 200

/** A record that a worker has processed. */
export interface Processed {
  readonly worker: string
  readonly shard: string
  readonly sequence: bigint
  readonly subsequence: number
  readonly key: string
  readonly data: string
}

/** A server with the stream `events` of two shards, what is written to it, and what workers process of it. */
export interface Observed {
  readonly server: Server
  readonly client: KinesisClient
  readonly ledger: Ledger
}

/** Starts a server to observe workers at. */
export async function observe(options: ServeOptions): Promise<Observed> {
  const server = await serve(options)
  const client = clientOf(server)
  await create(client, 2, 'events')
  return { server, client, ledger: new Ledger(client, 'events', join(emptyFolder(), 'processed')) }
}

/** Starts a worker by the command of its recipe, which appends to a file; it ends with the test. */
export function startWorker({ folder, runs }: Recipe, file: string, env: NodeJS.ProcessEnv, msMax: number): Running {
  const worker = start('sh', ['-c', `exec ${runs[0]}`], {
    cwd: folder,
    env: { ...process.env, ...env, PROCESSED: file },
    msMax,
  })
  onTestFinished(async () => {
    worker.kill('SIGKILL')
    await worker.ended
  })
  return worker
}

export class Ledger {
  readonly #client: KinesisClient
  readonly #stream: string
  readonly #file: string
  readonly #written = new Set<string>()
  readonly #workers: Running[] = []

  constructor(client: KinesisClient, stream: string, file: string) {
    this.#client = client
    this.#stream = stream
    this.#file = file
  }

  /** Starts a worker of this name by the command of its recipe; it ends with the test. */
  start(recipe: Recipe, name: string, env: NodeJS.ProcessEnv, msMax: number): Running {
    const worker = startWorker(recipe, this.#file, { ...env, WORKER: name }, msMax)
    this.#workers.push(worker)
    return worker
  }

  /** Writes so many more records, and insists where the server is away. */
  async write(count: number): Promise<void> {
    const first = this.#written.size
    for (let index = first; index < first + count; index += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, first + count - index) }, (_, at) => index + at)
      await this.#insist(
        batch.map((number) => ({
          PartitionKey: `key-${number % KEYS}`,
          Data: Buffer.from(`record-${number}`),
        })),
      )
      for (const number of batch) this.#written.add(`record-${number}`)
      await pause(PACE_MS)
    }
  }

  async #insist(entries: Parameters<typeof putAll>[2]): Promise<void> {
    for (;;) {
      try {
        return await putAll(this.#client, this.#stream, entries)
      } catch (error) {
        if (
          !(error instanceof Error) ||
          !/ECONNREFUSED|ECONNRESET|socket hang up/.test(
            `${error.message} ${'code' in error ? String(error.code) : ''}`,
          )
        )
          throw error
      }
    }
  }

  /** Waits until all that was written has been processed. */
  async processed(): Promise<void> {
    const until = Date.now() + PROCESSED_MS_MAX
    for (;;) {
      const done = new Set(this.#lines().map(({ data }) => data))
      const missing = [...this.#written].filter((data) => !done.has(data))
      if (missing.length === 0) return
      if (Date.now() > until) throw new Error(`not processed: ${missing.join(' ')}\n${this.#errors()}`)
      await pause(LOOK_MS)
    }
  }

  /** What the workers told of themselves. */
  #errors(): string {
    return this.#workers.map((worker) => `${worker.errors()}${worker.output()}`).join('\n\n')
  }

  /** The worker that processed the latest record. */
  latest(): string {
    return this.#lines().at(-1)?.worker ?? ''
  }

  /** What of the library's promises does not hold for what was processed, each record at the first time. */
  async faults(): Promise<string[]> {
    const seen = new Set<string>()
    const lines = this.#lines().filter(({ sequence, subsequence }) => {
      const isFirst = !seen.has(`${sequence}/${subsequence}`)
      seen.add(`${sequence}/${subsequence}`)
      return isFirst
    })
    const processed = new Set(lines.map(({ data }) => data))
    return [
      ...[...this.#written].filter((data) => !processed.has(data)).map((data) => `${data} is missing`),
      ...[...processed].filter((data) => !this.#written.has(data)).map((data) => `${data} was not written`),
      ...disorder(lines, ({ shard }) => shard),
      ...disorder(lines, ({ key }) => key),
      ...(await this.#earlyChildren(lines)),
    ]
  }

  /** Shards of which something was processed before all of a parent was. */
  async #earlyChildren(lines: readonly Processed[]): Promise<string[]> {
    const { Shards: shards = [] } = await this.#client.send(new ListShardsCommand({ StreamName: this.#stream }))
    return shards.flatMap(({ ShardId, ParentShardId, AdjacentParentShardId }) => {
      const begin = lines.findIndex(({ shard }) => shard === ShardId)
      if (begin === -1) return []
      const late = [ParentShardId, AdjacentParentShardId].filter(
        (parent) => lines.findLastIndex(({ shard }) => shard === parent) > begin,
      )
      return late.map((parent) => `${ShardId} began before ${parent} ended`)
    })
  }

  #lines(): Processed[] {
    return processedIn(this.#file)
  }
}

/** What stands in a file of what was processed: nothing where there is none yet. */
export function processedIn(file: string): Processed[] {
  if (!existsSync(file)) return []
  const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return whole.map((line) => {
    const [worker = '', shard = '', sequence = '', subsequence = '', key = '', data = ''] = line.split(' ')
    return { worker, shard, sequence: BigInt(sequence), subsequence: Number(subsequence), key, data }
  })
}

/** Records that came before one that stands before them in the stream, within a group. */
function disorder(lines: readonly Processed[], groupOf: (line: Processed) => string): string[] {
  const last = new Map<string, Processed>()
  return lines.flatMap((line) => {
    const before = last.get(groupOf(line))
    last.set(groupOf(line), line)
    return before === undefined || isBehind(line, before) ? [] : [`${groupOf(line)}: ${line.data} after ${before.data}`]
  })
}

function isBehind(line: Processed, before: Processed): boolean {
  return line.sequence === before.sequence ? line.subsequence > before.subsequence : line.sequence > before.sequence
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
