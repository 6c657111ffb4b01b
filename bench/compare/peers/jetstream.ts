/** NATS JetStream by its own client: one stream in files, the key as a header, an acknowledgement a message. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JetStreamClient, JsMsg } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { natsServer } from '../acquire.js'
import { client, type Entries, type Entry, type Log, type Peer, type Replayed, type Unsubscribe } from '../peer.js'
import type { ServerKind } from '../servers.js'

/** The header that carries a record's key: subjects are few by design, keys are many. */
const KEY = 'k'

/** Messages that a consumer asks for ahead of those it has. */
const READ_AHEAD = 5000

/** Synced every two minutes, as JetStream does by default, and before each acknowledgement. */
export function jetStreamPeers(): Peer[] {
  return [peer('default', 'os', ''), peer('sync always', 'synced', 'sync_interval: always')]
}

function peer(setting: string, promised: 'os' | 'synced', line: string): Peer {
  const name = `JetStream, ${setting}`
  const kind: ServerKind = {
    name,
    command: async (directory, [port]) => {
      const { program, args } = natsServer()
      const config = join(directory, 'server.conf')
      const settings = [`listen: "127.0.0.1:${port}"`, `jetstream { store_dir: "${directory}"\n ${line} }`]
      writeFileSync(config, `${settings.join('\n')}\n`)
      return { program, args: [...args, '--config', config] }
    },
  }
  return {
    name,
    product: 'nats',
    promised,
    runs: 'as a server',
    window: 4,
    server: ({ servers }) => servers.use(kind),
    open: async ({ servers }, log) => {
      const nats = await client('@nats-io/transport-node', () => import('@nats-io/transport-node'))
      const jet = await client('@nats-io/jetstream', () => import('@nats-io/jetstream'))
      const { port } = await servers.use(kind)
      const connection = await nats.connect({ servers: `127.0.0.1:${port}` })
      const manager = await jet.jetstreamManager(connection)
      await manager.streams.add({ name: log, subjects: [log], storage: jet.StorageType.File })
      return new JetStreamLog(connection, jet.jetstream(connection), log, nats.headers)
    },
  }
}

class JetStreamLog implements Log {
  readonly #connection: NatsConnection
  readonly #stream: JetStreamClient
  readonly #name: string
  readonly #headers: () => MsgHdrs

  constructor(connection: NatsConnection, stream: JetStreamClient, name: string, headers: () => MsgHdrs) {
    this.#connection = connection
    this.#stream = stream
    this.#name = name
    this.#headers = headers
  }

  async append(entries: Entries): Promise<void> {
    await Promise.all(entries.map((entry) => this.put(entry)))
  }

  flush(): void {}

  async put({ partitionKey, data }: Entry): Promise<void> {
    const headers = this.#headers()
    headers.set(KEY, partitionKey)
    // Beside a server that syncs for each message, a batch waits longer than the client's five seconds.
    await this.#stream.publish(this.#name, data, { headers, timeout: 60_000 })
  }

  async replay(records: number): Promise<Replayed> {
    const consumer = await this.#stream.consumers.get(this.#name)
    const started = performance.now()
    const messages = await consumer.consume({ max_messages: READ_AHEAD })
    let read = 0
    let bytes = 0
    for await (const message of messages) {
      bytes += message.data.length + (message.headers?.get(KEY).length ?? 0)
      read += 1
      if (read >= records) break
    }
    const milliseconds = performance.now() - started
    await messages.close()
    return { records: read, bytes, milliseconds }
  }

  async subscribe(onData: (data: Uint8Array) => void): Promise<Unsubscribe> {
    const { DeliverPolicy } = await import('@nats-io/jetstream')
    const consumer = await this.#stream.consumers.get(this.#name, { deliver_policy: DeliverPolicy.New })
    const callback = (message: JsMsg) => onData(message.data)
    const messages = await consumer.consume({ max_messages: READ_AHEAD, callback })
    return async () => {
      await messages.close()
    }
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }
}
