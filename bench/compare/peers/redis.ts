/** Redis Streams by ioredis: one stream, an XADD a record, 500 of them in a pipeline. */
import type { Redis } from 'ioredis'
import { redisServer } from '../acquire.js'
import {
  client,
  type Entries,
  type Entry,
  latin1,
  type Log,
  type Peer,
  type Replayed,
  type Unsubscribe,
} from '../peer.js'
import type { ServerKind } from '../servers.js'

/** Entries that one command of a replay brings. */
const READ_ENTRIES = 1000

/** The append-only file synced once a second, and before each answer. */
export function redisPeers(): Peer[] {
  return [peer('everysec', 'os', 4), peer('always', 'synced', 8)]
}

function peer(appendfsync: 'everysec' | 'always', promised: 'os' | 'synced', window: number): Peer {
  const name = `Redis Streams, ${appendfsync}`
  const kind: ServerKind = {
    name,
    command: async (directory, [port]) => {
      const { program, args, env = {} } = redisServer()
      // The append-only file is the log; snapshots beside it would be written twice.
      const options = ['--bind', '127.0.0.1', '--port', String(port), '--dir', directory, '--save', '']
      return { program, args: [...args, ...options, '--appendonly', 'yes', '--appendfsync', appendfsync], env }
    },
  }
  return {
    name,
    product: 'redis',
    promised,
    runs: 'as a server',
    window,
    server: ({ servers }) => servers.use(kind),
    open: async ({ servers }, log) => {
      const { Redis } = await client('ioredis', () => import('ioredis'))
      const { port } = await servers.use(kind)
      const connect = () => new Redis(port, '127.0.0.1')
      const redis = connect()
      // A server that has just been started answers only when it has read its file.
      await redis.ping()
      return new RedisLog(redis, connect, log)
    },
  }
}

/** Entries of a stream as they come: each its id and its fields. */
type RawEntries = [id: Buffer, fields: Buffer[]][]

class RedisLog implements Log {
  readonly #redis: Redis
  readonly #connect: () => Redis
  readonly #name: string

  constructor(redis: Redis, connect: () => Redis, name: string) {
    this.#redis = redis
    this.#connect = connect
    this.#name = name
  }

  async append(entries: Entries): Promise<void> {
    const pipeline = this.#redis.pipeline()
    for (const { partitionKey, data } of entries) pipeline.xadd(this.#name, '*', 'k', partitionKey, 'd', data)
    const answers = await pipeline.exec()
    const failed = answers?.find(([error]) => error !== null)
    if (failed?.[0]) throw failed[0]
  }

  flush(): void {}

  async put({ partitionKey, data }: Entry): Promise<void> {
    await this.#redis.xadd(this.#name, '*', 'k', partitionKey, 'd', data)
  }

  async replay(records: number): Promise<Replayed> {
    const started = performance.now()
    let read = 0
    let bytes = 0
    for (let from = '-'; read < records;) {
      const entries: RawEntries = await this.#redis.xrangeBuffer(this.#name, from, '+', 'COUNT', READ_ENTRIES)
      for (const [, [, key, , data]] of entries) bytes += data!.length + latin1(key!).length
      read += entries.length
      if (entries.length < READ_ENTRIES) break
      from = `(${latin1(entries.at(-1)![0])}`
    }
    return { records: read, bytes, milliseconds: performance.now() - started }
  }

  async subscribe(onData: (data: Uint8Array) => void): Promise<Unsubscribe> {
    const redis = this.#connect()
    let from = '$'
    const reading = (async () => {
      for (;;) {
        const answer = (await redis.callBuffer(
          'XREAD',
          'COUNT',
          READ_ENTRIES,
          'BLOCK',
          0,
          'STREAMS',
          this.#name,
          from,
        )) as [name: Buffer, entries: RawEntries]
        for (const [id, [, , , data]] of answer[1]) {
          from = latin1(id)
          onData(data!)
        }
      }
    })().catch(() => {
      // The connection was closed, which is how a blocked read is ended.
    })
    return async () => {
      redis.disconnect()
      await reading
    }
  }

  async close(): Promise<void> {
    await this.#redis.quit()
  }
}
