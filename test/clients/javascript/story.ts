/** The story that every client of the tests does, by the AWS SDK for JavaScript: see `python/story.py`. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as sdk from '@aws-sdk/client-kinesis'

const StreamName = 'clicks'
const BULK = 500

const { version } = createRequire(import.meta.url)('@aws-sdk/client-kinesis/package.json') as { version: string }
const kinesis = new sdk.Kinesis({ maxAttempts: 1 })
const operations = new Set<string>()
const errors = new Set<string>()

// Every call that was answered counts, whoever made it.
kinesis.middlewareStack.add(
  (next, { commandName = '' }) =>
    async (args) => {
      const answer = await next(args)
      operations.add(commandName.replace(/Command$/, ''))
      return answer
    },
  { step: 'initialize' },
)

/** The call is refused with an error of this class. */
async function fails(expected: abstract new (...args: never[]) => Error, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, expected)
  errors.add(expected.name)
}

/** Makes the stream and puts what is read later; returns the data of each key. */
async function puts(): Promise<{ data: Map<string, Buffer>; arn: string }> {
  await kinesis.createStream({ StreamName, ShardCount: 2 })
  await sdk.waitUntilStreamExists({ client: kinesis, maxWaitTime: 20 }, { StreamName })
  const { StreamDescriptionSummary: summary } = await kinesis.describeStreamSummary({ StreamName })
  assert.equal(summary?.StreamStatus, 'ACTIVE')
  const data = new Map<string, Buffer>()
  for (let index = 0; index < BULK; index += 1) {
    data.set(`key-${index}`, Buffer.from(`record ${index} ${'é'.repeat(index % 97)}`))
  }
  const Records = [...data].map(([PartitionKey, Data]) => ({ PartitionKey, Data }))
  assert.equal((await kinesis.putRecords({ StreamName, Records })).FailedRecordCount, 0)
  data.set('bytes', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
  const single = await kinesis.putRecord({ StreamName, PartitionKey: 'bytes', Data: data.get('bytes') })
  assert.match(single.SequenceNumber ?? '', /^495\d{53}$/)
  return { data, arn: summary?.StreamARN ?? '' }
}

/** Reads every shard to its end and compares; returns how many records each shard holds. */
async function reads(data: ReadonlyMap<string, Buffer>): Promise<Map<string, number>> {
  const { Shards = [] } = await kinesis.listShards({ StreamName })
  assert.equal(Shards.length, 2)
  const read = new Map<string, Buffer>()
  const counts = new Map<string, number>()
  for (const { ShardId } of Shards) {
    const place = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const
    const { ShardIterator } = await kinesis.getShardIterator(place)
    const { Records = [] } = await kinesis.getRecords({ ShardIterator })
    counts.set(ShardId ?? '', Records.length)
    for (const { PartitionKey = '', Data = new Uint8Array() } of Records) read.set(PartitionKey, Buffer.from(Data))
  }
  assert.deepEqual([...read].toSorted(), [...data].toSorted())
  return counts
}

async function tags(ResourceARN: string): Promise<void> {
  await kinesis.addTagsToStream({ StreamName, Tags: { team: 'búsqueda', cost: '7' } })
  const { Tags = [] } = await kinesis.listTagsForStream({ StreamName })
  assert.deepEqual(Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])), { cost: '7', team: 'búsqueda' })
  await kinesis.removeTagsFromStream({ StreamName, TagKeys: ['cost'] })
  await kinesis.tagResource({ ResourceARN, Tags: { owner: 'me' } })
  await kinesis.untagResource({ ResourceARN, TagKeys: ['team'] })
  const left = await kinesis.listTagsForResource({ ResourceARN })
  assert.deepEqual(left.Tags, [{ Key: 'owner', Value: 'me' }])
}

async function subscribes(StreamARN: string, counts: ReadonlyMap<string, number>): Promise<void> {
  const { Consumer } = await kinesis.registerStreamConsumer({ StreamARN, ConsumerName: 'counter' })
  const ConsumerARN = Consumer?.ConsumerARN
  const described = await kinesis.describeStreamConsumer({ ConsumerARN })
  assert.equal(described.ConsumerDescription?.ConsumerStatus, 'ACTIVE')
  assert.equal((await kinesis.listStreamConsumers({ StreamARN })).Consumers?.length, 1)
  const [[ShardId, count] = ['', 0]] = counts
  const StartingPosition = { Type: 'TRIM_HORIZON' } as const
  const { EventStream } = await kinesis.subscribeToShard({ ConsumerARN, ShardId, StartingPosition })
  let pushed = 0
  for await (const { SubscribeToShardEvent: event } of EventStream ?? []) {
    pushed += event?.Records?.length ?? 0
    if (pushed >= count) break
  }
  assert.equal(pushed, count)
  await kinesis.deregisterStreamConsumer({ ConsumerARN })
}

async function reshards(): Promise<void> {
  const at = { ShardToSplit: 'shardId-000000000000', NewStartingHashKey: String(2n ** 126n) }
  await kinesis.splitShard({ StreamName, ...at })
  assert.equal((await kinesis.listShards({ StreamName })).Shards?.length, 4)
  const halves = { ShardToMerge: 'shardId-000000000002', AdjacentShardToMerge: 'shardId-000000000003' }
  await kinesis.mergeShards({ StreamName, ...halves })
  await kinesis.updateShardCount({ StreamName, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' })
  const { StreamDescriptionSummary: summary } = await kinesis.describeStreamSummary({ StreamName })
  assert.equal(summary?.OpenShardCount, 4)
}

async function administers(): Promise<void> {
  await kinesis.increaseStreamRetentionPeriod({ StreamName, RetentionPeriodHours: 48 })
  await kinesis.decreaseStreamRetentionPeriod({ StreamName, RetentionPeriodHours: 24 })
  const { StreamDescription } = await kinesis.describeStream({ StreamName })
  assert.equal(StreamDescription?.RetentionPeriodHours, 24)
  assert.equal((await kinesis.describeLimits({})).OpenShardCount, 4)
  assert.deepEqual((await kinesis.listStreams({})).StreamNames, [StreamName])
}

async function isRefused(): Promise<void> {
  await fails(sdk.ResourceNotFoundException, kinesis.describeStreamSummary({ StreamName: 'missing' }))
  await fails(sdk.ResourceInUseException, kinesis.createStream({ StreamName, ShardCount: 1 }))
  await fails(sdk.InvalidArgumentException, kinesis.getRecords({ ShardIterator: 'none' }))
  // What one shard takes in a second is 1 MiB.
  const large = () => kinesis.putRecord({ StreamName, PartitionKey: 'same', Data: Buffer.alloc(900_000) })
  await large()
  await fails(sdk.ProvisionedThroughputExceededException, large())
}

/** What a channel delivers is looked at by tests of its own: its first object is due after five minutes. */
async function delivers(StreamARN: string): Promise<void> {
  const { ChannelDescription } = await kinesis.createChannel({
    ChannelName: 'archive',
    ServiceExecutionRoleARN: 'arn:aws:iam::000000000000:role/delivery',
    StreamConfigurationList: [{ StreamARN, RecordConfiguration: { RecordFormatType: 'STRING' } }],
    S3DestinationConfiguration: {
      DataFreshnessInSeconds: 300,
      StorageConfiguration: {
        BucketARN: 'arn:aws:s3:::archive',
        ExpectedBucketOwner: '000000000000',
        CompressionType: 'GZIP',
      },
    },
  })
  const ChannelARN = ChannelDescription?.ChannelARN
  await kinesis.updateChannel({ ChannelARN, S3DestinationConfiguration: { DataFreshnessInSeconds: 600 } })
  const told = await kinesis.describeChannel({ ChannelARN })
  assert.equal(told.ChannelDescription?.S3DestinationConfiguration?.DataFreshnessInSeconds, 600)
  assert.equal((await kinesis.listChannels({})).ChannelSummaries?.length, 1)
  await kinesis.deleteChannel({ ChannelARN })
}

/** What is set and told again, and what on-demand streams alone have. */
async function configures(ResourceARN: string): Promise<void> {
  const Statement = [{ Effect: 'Allow', Principal: '*', Action: 'kinesis:Get*' }]
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
  await kinesis.putResourcePolicy({ ResourceARN, Policy })
  assert.equal((await kinesis.getResourcePolicy({ ResourceARN })).Policy, Policy)
  await kinesis.deleteResourcePolicy({ ResourceARN })
  const ShardLevelMetrics: sdk.MetricsName[] = ['IncomingBytes']
  const { DesiredShardLevelMetrics } = await kinesis.enableEnhancedMonitoring({ StreamName, ShardLevelMetrics })
  assert.deepEqual(DesiredShardLevelMetrics, ShardLevelMetrics)
  await kinesis.disableEnhancedMonitoring({ StreamName, ShardLevelMetrics })
  const key = { StreamName, EncryptionType: 'KMS', KeyId: 'alias/key' } as const
  await kinesis.startStreamEncryption(key)
  await kinesis.stopStreamEncryption(key)
  const StreamARN = ResourceARN
  await kinesis.updateMaxRecordSize({ StreamARN, MaxRecordSizeInKiB: 2_048 })
  await kinesis.updateStreamMode({ StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
  await kinesis.updateAccountSettings({ MinimumThroughputBillingCommitment: { Status: 'ENABLED' } })
  const { MinimumThroughputBillingCommitment: commitment } = await kinesis.describeAccountSettings({})
  assert.equal(commitment?.Status, 'ENABLED')
  await kinesis.updateStreamWarmThroughput({ StreamARN, WarmThroughputMiBps: 5 })
  const { StreamDescriptionSummary: summary } = await kinesis.describeStreamSummary({ StreamName })
  assert.deepEqual([summary?.MaxRecordSizeInKiB, summary?.WarmThroughput?.TargetMiBps], [2_048, 5])
}

const { data, arn } = await puts()
const counts = await reads(data)
await tags(arn)
await subscribes(arn, counts)
await reshards()
await administers()
await isRefused()
await delivers(arn)
await configures(arn)
await kinesis.deleteStream({ StreamName })
assert.deepEqual((await kinesis.listStreams({})).StreamNames, [])
kinesis.destroy()
const told = { version, operations: [...operations].toSorted(), errors: [...errors].toSorted(), cannot: {} }
console.log(JSON.stringify(told))
