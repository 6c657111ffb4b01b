/** What tests do themselves on the streams that their clients read and write: by the AWS SDK for JavaScript. */
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import {
  CreateStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordsCommand,
  type PutRecordsRequestEntry,
} from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { onTestFinished } from 'vitest'
import type { Server } from './server.js'

/** The most that one request puts. */
const BATCH = 500
/** How long a reader waits before it asks again, in milliseconds: a shard answers five requests a second. */
const POLL_MS = 250

/** A client of this server. */
export function clientOf({ env, authority }: Server): KinesisClient {
  const variable = (name: string): string => env[name] ?? ''
  const agent = authority === undefined ? undefined : new Agent({ ca: readFileSync(authority), keepAlive: true })
  const client = new KinesisClient({
    requestHandler: agent === undefined ? new NodeHttpHandler() : new NodeHttpHandler({ httpsAgent: agent }),
    endpoint: variable('AWS_ENDPOINT_URL_KINESIS'),
    region: variable('AWS_REGION'),
    credentials: {
      accessKeyId: variable('AWS_ACCESS_KEY_ID'),
      secretAccessKey: variable('AWS_SECRET_ACCESS_KEY'),
    },
  })
  onTestFinished(() => client.destroy())
  return client
}

/** Makes streams of so many shards. */
export async function create(client: KinesisClient, shards: number, ...names: readonly string[]): Promise<void> {
  for (const name of names) await client.send(new CreateStreamCommand({ StreamName: name, ShardCount: shards }))
}

/** Puts all of these, those that are refused again and again. */
export async function putAll(
  client: KinesisClient,
  stream: string,
  entries: readonly PutRecordsRequestEntry[],
): Promise<void> {
  for (let index = 0; index < entries.length; index += BATCH) {
    let left = entries.slice(index, index + BATCH)
    while (left.length > 0) {
      const { Records: answers = [] } = await client.send(new PutRecordsCommand({ StreamName: stream, Records: left }))
      left = left.filter((_, at) => answers[at]?.ErrorCode !== undefined)
    }
  }
}

/** The text of all records of a stream, shard by shard as they come, until `isAll` says that no more is wanted. */
export async function readUntil(
  client: KinesisClient,
  stream: string,
  isAll: (texts: readonly string[]) => boolean,
): Promise<string[]> {
  const { Shards: shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }))
  const iterators = new Map<string, string | undefined>()
  for (const { ShardId } of shards) {
    const from = { StreamName: stream, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const
    iterators.set(ShardId ?? '', (await client.send(new GetShardIteratorCommand(from))).ShardIterator)
  }
  const texts: string[] = []
  while (!isAll(texts)) {
    for (const [shard, iterator] of iterators) {
      const { Records: records = [], NextShardIterator: next } = await client.send(
        new GetRecordsCommand({ ShardIterator: iterator }),
      )
      iterators.set(shard, next)
      texts.push(...records.map(({ Data }) => Buffer.from(Data ?? []).toString()))
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return texts
}
