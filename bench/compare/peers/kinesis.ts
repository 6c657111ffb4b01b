/**
 * The two emulators of Kinesis that npm carries, by the AWS SDK over plain HTTP on loopback. One shard; consumers poll
 * with `GetRecords`, since neither pushes to the SDK without more.
 */
import { join } from 'node:path'
import type * as Sdk from '@aws-sdk/client-kinesis'
import { npmServer } from '../acquire.js'
import { client, type Entries, type Entry, type Log, type Peer, type Replayed, type Unsubscribe } from '../peer.js'
import type { ServerKind } from '../servers.js'

/** The most that GetRecords gives. */
const READ_RECORDS = 10_000

/** How long a stream may take until it is active. */
const ACTIVE_SECONDS = 20

/** kinesalite over LevelDB, which it does not sync. */
export const kinesaliteKind: ServerKind = {
  name: 'kinesalite',
  command: async (directory, [port]) => {
    const { program, args } = npmServer('kinesalite', 'cli.js')
    const options = ['--port', String(port), '--path', join(directory, 'data'), '--createStreamMs', '10']
    return { program, args: [...args, ...options] }
  },
}

/** kinesis-local, which keeps all records in memory. */
export const kinesisLocalKind: ServerKind = {
  name: 'kinesis-local',
  ports: 2,
  command: async (_, [port, secure]) => {
    const { program, args } = npmServer('kinesis-local', 'main.js')
    const env = {
      KINESIS_MOCK_PLAIN_PORT: String(port),
      KINESIS_MOCK_TLS_PORT: String(secure),
      KINESIS_MOCK_CERT_PATH: npmServer('kinesis-local', 'server.json').args[0]!,
      LOG_LEVEL: 'ERROR',
    }
    return { program, args, env }
  },
}

/** Both. */
export function kinesisPeers(): Peer[] {
  return [peer(kinesaliteKind, 'os'), peer(kinesisLocalKind, 'memory')]
}

function peer(kind: ServerKind, promised: 'os' | 'memory'): Peer {
  return {
    name: kind.name,
    product: kind.name,
    promised,
    runs: 'as a server',
    window: 4,
    server: ({ servers }) => servers.use(kind),
    open: async ({ servers }, log) => {
      const sdk = await client('@aws-sdk/client-kinesis', () => import('@aws-sdk/client-kinesis'))
      const http = await client('@smithy/node-http-handler', () => import('@smithy/node-http-handler'))
      const { port } = await servers.use(kind)
      const kinesis = new sdk.KinesisClient({
        endpoint: `http://127.0.0.1:${port}`,
        region: 'us-east-1',
        credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
        // The SDK's default is HTTP/2, which the emulators do not speak.
        requestHandler: new http.NodeHttpHandler(),
      })
      await makeStream(sdk, kinesis, log)
      return new KinesisLog(sdk, kinesis, log)
    },
  }
}

async function makeStream(sdk: typeof Sdk, kinesis: Sdk.KinesisClient, name: string): Promise<void> {
  const create = new sdk.CreateStreamCommand({ StreamName: name, ShardCount: 1 })
  await kinesis.send(create).catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== 'ResourceInUseException') throw error
  })
  const waiting = { client: kinesis, maxWaitTime: ACTIVE_SECONDS, minDelay: 1, maxDelay: 1 }
  await sdk.waitUntilStreamExists(waiting, { StreamName: name })
}

class KinesisLog implements Log {
  readonly #sdk: typeof Sdk
  readonly #kinesis: Sdk.KinesisClient
  readonly #name: string

  constructor(sdk: typeof Sdk, kinesis: Sdk.KinesisClient, name: string) {
    this.#sdk = sdk
    this.#kinesis = kinesis
    this.#name = name
  }

  async append(entries: Entries): Promise<void> {
    const Records = entries.map(({ partitionKey, data }) => ({ PartitionKey: partitionKey, Data: data }))
    const answer = await this.#kinesis.send(new this.#sdk.PutRecordsCommand({ StreamName: this.#name, Records }))
    if (answer.FailedRecordCount) throw new Error(`PutRecords refused ${answer.FailedRecordCount} records`)
  }

  flush(): void {}

  async put({ partitionKey, data }: Entry): Promise<void> {
    const record = { StreamName: this.#name, PartitionKey: partitionKey, Data: data }
    await this.#kinesis.send(new this.#sdk.PutRecordCommand(record))
  }

  async replay(records: number): Promise<Replayed> {
    let iterator = await this.#iterator('TRIM_HORIZON')
    const started = performance.now()
    let read = 0
    let bytes = 0
    while (iterator !== undefined && read < records) {
      const [batch, next] = await this.#read(iterator)
      for (const { Data, PartitionKey } of batch) bytes += (Data?.length ?? 0) + (PartitionKey?.length ?? 0)
      read += batch.length
      iterator = next
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  async subscribe(onData: (data: Uint8Array) => void): Promise<Unsubscribe> {
    let iterator = await this.#iterator('LATEST')
    const ended = new AbortController()
    const polling = (async () => {
      while (!ended.signal.aborted && iterator !== undefined) {
        const [batch, next] = await this.#read(iterator)
        for (const { Data } of batch) if (Data !== undefined) onData(Data)
        iterator = next
      }
    })()
    return async () => {
      ended.abort()
      await polling
    }
  }

  async #iterator(type: 'TRIM_HORIZON' | 'LATEST'): Promise<string | undefined> {
    const place = { StreamName: this.#name, ShardId: 'shardId-000000000000', ShardIteratorType: type }
    return (await this.#kinesis.send(new this.#sdk.GetShardIteratorCommand(place))).ShardIterator
  }

  async #read(iterator: string): Promise<[records: Sdk._Record[], next: string | undefined]> {
    const read = new this.#sdk.GetRecordsCommand({ ShardIterator: iterator, Limit: READ_RECORDS })
    const { Records = [], NextShardIterator } = await this.#kinesis.send(read)
    return [Records, NextShardIterator]
  }

  close(): void {
    this.#kinesis.destroy()
  }
}
