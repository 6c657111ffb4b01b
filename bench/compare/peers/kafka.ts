/**
 * Kafka, one broker without ZooKeeper, by kafkajs and by Confluent's client, which speaks the same interface over
 * librdkafka. One topic with one partition, `acks=all`.
 *
 * With one broker there is no replica to wait for, so the default acknowledges from the page cache; `flush.messages=1`
 * on the topic syncs before it acknowledges.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Consumer, Kafka, Producer } from 'kafkajs'
import { javaProgram } from '../acquire.js'
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
import { Unavailable } from '../unavailable.js'

/** The heap that Kafka's own start script gives it. */
const JVM = ['-Xms1G', '-Xmx1G', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-Djava.awt.headless=true']

/** What differs between the two clients. */
interface Client {
  readonly name: string
  readonly open: (broker: string) => Promise<Connection>
}

/** A client's doors to a broker. Both have the types of kafkajs; the options that differ are given here. */
interface Connection {
  readonly kafka: Kafka
  readonly producer: () => Producer
  readonly consumer: (start: Start) => Consumer
  readonly subscribe: (consumer: Consumer, topic: string, start: Start) => Promise<void>
}

/** Where a new group begins. */
type Start = 'earliest' | 'latest'

/** Both clients at both promises, all on one broker. */
export function kafkaPeers(): Peer[] {
  return [kafkajs, librdkafka].flatMap((through) => [peer(through, 'os'), peer(through, 'synced')])
}

function peer(through: Client, promised: 'os' | 'synced'): Peer {
  return {
    name: `Kafka, ${promised === 'os' ? 'default' : 'flush.messages=1'} (${through.name})`,
    product: `kafka-${through.name}`,
    promised,
    runs: 'as a server',
    window: 4,
    server: ({ servers }) => servers.use(broker),
    open: async ({ servers }, log) => {
      const { port } = await servers.use(broker)
      const connection = await through.open(`127.0.0.1:${port}`)
      await makeTopic(connection.kafka, log, promised)
      const producer = connection.producer()
      await producer.connect()
      return new KafkaLog(connection, producer, log)
    },
  }
}

async function makeTopic(kafka: Kafka, topic: string, promised: 'os' | 'synced'): Promise<void> {
  const configEntries = promised === 'synced' ? [{ name: 'flush.messages', value: '1' }] : []
  const admin = kafka.admin()
  await admin.connect()
  const topics = await admin.listTopics()
  if (!topics.includes(topic)) {
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }] })
  }
  await admin.disconnect()
}

const kafkajs: Client = {
  name: 'kafkajs',
  open: async (address) => {
    const { Kafka, logLevel, Partitioners } = await client('kafkajs', () => import('kafkajs'))
    const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
    return {
      kafka,
      producer: () => kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner }),
      consumer: () => kafka.consumer({ groupId: randomUUID() }),
      subscribe: (consumer, topic, start) => consumer.subscribe({ topic, fromBeginning: start === 'earliest' }),
    }
  },
}

const librdkafka: Client = {
  name: 'librdkafka',
  open: async (address) => {
    const name = '@confluentinc/kafka-javascript'
    const { KafkaJS } = await client(name, () => import('@confluentinc/kafka-javascript'))
    const kafka = new KafkaJS.Kafka({ kafkaJS: { brokers: [address], logLevel: KafkaJS.logLevel.NOTHING } })
    const consumer = (start: Start) =>
      kafka.consumer({ kafkaJS: { groupId: randomUUID(), fromBeginning: start === 'earliest' } })
    const subscribe = (consumer: Consumer, topic: string) => consumer.subscribe({ topic })
    // The interface is that of kafkajs, the types are written anew, and differ where nothing here looks.
    return { kafka, producer: () => kafka.producer(), consumer, subscribe } as unknown as Connection
  },
}

const broker: ServerKind = {
  name: 'Kafka broker',
  ports: 2,
  command: async (directory, [port, controller]) => {
    const { program, args } = javaProgram('kafka')
    const config = join(directory, 'server.properties')
    writeFileSync(config, settings(directory, port!, controller!))
    const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
    const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', id, '--config', config]
    const { status, stderr } = spawnSync(program, [...args, ...format], { encoding: 'utf8', timeout: 60_000 })
    if (status !== 0) throw new Unavailable(`Kafka's storage cannot be formatted: ${stderr.slice(-200)}`)
    return { program, args: [...JVM, ...args, 'kafka.Kafka', config] }
  },
}

/** One node that is all there is; it is not given up when it is held while others are measured. */
function settings(directory: string, port: number, controller: number): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=${join(directory, 'data')}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=600000
`
}

class KafkaLog implements Log {
  readonly #connection: Connection
  readonly #producer: Producer
  readonly #topic: string

  constructor(connection: Connection, producer: Producer, topic: string) {
    this.#connection = connection
    this.#producer = producer
    this.#topic = topic
  }

  async append(entries: Entries): Promise<void> {
    const messages = entries.map(({ partitionKey, data }) => ({ key: partitionKey, value: data }))
    await this.#producer.send({ topic: this.#topic, messages })
  }

  flush(): void {}

  put(entry: Entry): Promise<void> {
    return this.append([entry])
  }

  /** From the first batch on, which is not counted: before it the consumer joins its group. */
  async replay(records: number): Promise<Replayed> {
    const consumer = this.#connection.consumer('earliest')
    await consumer.connect()
    await this.#connection.subscribe(consumer, this.#topic, 'earliest')
    let [started, first, read, bytes] = [0, 0, 0, 0]
    const milliseconds = await new Promise<number>((resolve, reject) => {
      const eachBatch = async ({ batch }: { batch: { messages: readonly Message[] } }) => {
        if (first === 0) [started, first] = [performance.now(), batch.messages.length]
        read += batch.messages.length
        const touched = touch(batch.messages)
        if (read > first) bytes += touched
        if (read >= records) resolve(performance.now() - started)
      }
      consumer.run({ eachBatch }).catch(reject)
    })
    await consumer.disconnect()
    return { records: read - first, bytes, milliseconds }
  }

  async subscribe(onData: (data: Uint8Array) => void): Promise<Unsubscribe> {
    const consumer = this.#connection.consumer('latest')
    await consumer.connect()
    await this.#connection.subscribe(consumer, this.#topic, 'latest')
    await consumer.run({
      eachMessage: async ({ message }) => {
        if (message.value !== null) onData(message.value)
      },
    })
    return () => consumer.disconnect()
  }

  close(): Promise<void> {
    return this.#producer.disconnect()
  }
}

function touch(messages: readonly Message[]): number {
  let bytes = 0
  for (const { key, value } of messages) bytes += (value?.length ?? 0) + (key === null ? 0 : latin1(key).length)
  return bytes
}

/** What both clients hand over. */
interface Message {
  readonly key: Buffer | null
  readonly value: Buffer | null
}
