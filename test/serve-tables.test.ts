/** The tables of leases over the wire: what the KCL and MultiLangDaemon do with DynamoDB, by the SDK that AWS publishes. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  ConditionalCheckFailedException,
  DynamoDB,
  type ScanCommandInput,
  TransactionCanceledException,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb'
import { expect, onTestFinished, test } from 'vitest'
import { runProgram, startProgram } from './program.js'
import { emptyFolder } from './support.js'

const TableName = 'application'
const IndexName = 'LeaseOwnerToLeaseKeyIndex'

/** `millrace serve` over one store, again and again at one port, and a client that tries each call once. */
class Served {
  readonly folder = emptyFolder()
  #port = '0'
  #running: ReturnType<typeof startProgram> | undefined

  constructor() {
    onTestFinished(() => this.#running?.kill('SIGKILL'))
  }

  async start(): Promise<DynamoDB> {
    this.#running = startProgram(this.folder, ['serve', '--port', this.#port, '--log', 'off'])
    await this.#running.heard('\n')
    this.#port = /:(\d+)\s*$/.exec(this.#running.output())?.[1] ?? ''
    const credentials = { accessKeyId: 'anybody', secretAccessKey: 'anything' }
    const endpoint = `http://127.0.0.1:${this.#port}`
    const client = new DynamoDB({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 })
    onTestFinished(() => client.destroy())
    return client
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#running?.kill(signal)
    await this.#running?.ended
  }
}

const key = (leaseKey: string) => ({ leaseKey: { S: leaseKey } })
const number = (value: number) => ({ N: String(value) })

/** The KCL's table, as it makes and then awaits it. */
async function createLeases(client: DynamoDB): Promise<void> {
  await client.createTable({
    TableName,
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    BillingMode: 'PAY_PER_REQUEST',
    Tags: [{ Key: 'team', Value: 'streams' }],
  })
  await waitUntilTableExists({ client, maxWaitTime: 30 }, { TableName })
  await client.updateTable({
    TableName,
    AttributeDefinitions: [
      { AttributeName: 'leaseKey', AttributeType: 'S' },
      { AttributeName: 'leaseOwner', AttributeType: 'S' },
    ],
    GlobalSecondaryIndexUpdates: [
      {
        Create: {
          IndexName,
          KeySchema: [
            { AttributeName: 'leaseOwner', KeyType: 'HASH' },
            { AttributeName: 'leaseKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      },
    ],
  })
}

/** A lease that nobody has yet, unless there is one. */
function createLease(client: DynamoDB, leaseKey: string) {
  const lease = {
    ...key(leaseKey),
    leaseCounter: number(0),
    ownerSwitchesSinceCheckpoint: number(0),
    checkpoint: { S: 'TRIM_HORIZON' },
    checkpointSubSequenceNumber: number(0),
    parentShardId: { SS: ['shardId-000000000000', 'shardId-000000000001'] },
  }
  return client.putItem({ TableName, Item: lease, Expected: { leaseKey: { Exists: false } } })
}

/** Takes a lease from its counter on; nobody may have renewed it since. */
function take(client: DynamoDB, leaseKey: string, owner: string, counter: number) {
  return client.updateItem({
    TableName,
    Key: key(leaseKey),
    Expected: { leaseCounter: { Value: number(counter) } },
    AttributeUpdates: {
      leaseOwner: { Value: { S: owner }, Action: 'PUT' },
      leaseCounter: { Value: number(counter + 1), Action: 'PUT' },
      ownerSwitchesSinceCheckpoint: { Value: number(1), Action: 'ADD' },
    },
    ReturnValues: 'ALL_NEW',
  })
}

async function scanAll(client: DynamoDB, input: ScanCommandInput): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = []
  let ExclusiveStartKey: ScanCommandInput['ExclusiveStartKey']
  do {
    const page = await client.scan({ ...input, ...(ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey }) })
    items.push(...(page.Items ?? []))
    ExclusiveStartKey = page.LastEvaluatedKey
  } while (ExclusiveStartKey !== undefined)
  return items
}

test('a_lease_table_does_what_the_kcl_asks_of_it', { timeout: 60_000 }, async () => {
  const client = await new Served().start()
  await expect(client.describeTable({ TableName })).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  await createLeases(client)
  const { Table } = await client.describeTable({ TableName })
  expect(Table).toMatchObject({ TableStatus: 'ACTIVE', BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' } })
  expect(Table?.GlobalSecondaryIndexes).toMatchObject([{ IndexName, IndexStatus: 'ACTIVE' }])
  await expect(createLeases(client)).rejects.toMatchObject({ name: 'ResourceInUseException' })

  for (let shard = 0; shard < 20; shard += 1) await createLease(client, `shard-${shard}`)
  await expect(createLease(client, 'shard-0')).rejects.toBeInstanceOf(ConditionalCheckFailedException)
  const taken = await take(client, 'shard-0', 'worker-1', 0)
  expect(taken.Attributes).toMatchObject({ leaseOwner: { S: 'worker-1' }, leaseCounter: { N: '1' } })
  await expect(take(client, 'shard-0', 'worker-2', 0)).rejects.toBeInstanceOf(ConditionalCheckFailedException)
  const { Item } = await client.getItem({ TableName, Key: key('shard-0'), ConsistentRead: true })
  expect(Item).toMatchObject({ leaseOwner: { S: 'worker-1' }, ownerSwitchesSinceCheckpoint: { N: '1' } })

  const owned = await client.query({
    TableName,
    IndexName,
    KeyConditionExpression: 'leaseOwner = :owner',
    ExpressionAttributeValues: { ':owner': { S: 'worker-1' } },
  })
  expect(owned.Items).toEqual([{ leaseKey: { S: 'shard-0' }, leaseOwner: { S: 'worker-1' } }])
  const segments = [0, 1, 2].map((Segment) => scanAll(client, { TableName, Segment, TotalSegments: 3, Limit: 3 }))
  expect((await Promise.all(segments)).flat()).toHaveLength(20)

  await client.deleteItem({ TableName, Key: key('shard-0') })
  expect((await client.getItem({ TableName, Key: key('shard-0') })).Item).toBeUndefined()
  await client.deleteTable({ TableName })
  expect((await client.listTables({})).TableNames).toEqual([])
})

test('the_lock_client_and_the_tables_beside_the_leases_find_what_they_call', { timeout: 60_000 }, async () => {
  const client = await new Served().start()
  await createLeases(client)
  // The lock is there no more, or another owner's: conditions as the lock client says them.
  const Item = { ...key('leader'), ownerName: { S: 'a' }, recordVersionNumber: { S: '1' } }
  const absent = { ConditionExpression: 'attribute_not_exists(#k)', ExpressionAttributeNames: { '#k': 'leaseKey' } }
  await client.putItem({ TableName, Item, ...absent })
  const failed = client.putItem({ TableName, Item, ...absent, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' })
  await expect(failed).rejects.toMatchObject({ name: 'ConditionalCheckFailedException', Item })
  const heartbeat = await client.updateItem({
    TableName,
    Key: key('leader'),
    UpdateExpression: 'SET #r = :next',
    ConditionExpression: 'attribute_exists(leaseKey) AND #r = :seen AND ownerName = :a',
    ExpressionAttributeNames: { '#r': 'recordVersionNumber' },
    ExpressionAttributeValues: { ':next': { S: '2' }, ':seen': { S: '1' }, ':a': { S: 'a' } },
    ReturnValues: 'UPDATED_NEW',
  })
  expect(heartbeat.Attributes).toEqual({ recordVersionNumber: { S: '2' } })

  const check = (version: string) => ({
    ConditionCheck: {
      TableName,
      Key: key('leader'),
      ConditionExpression: 'recordVersionNumber = :seen',
      ExpressionAttributeValues: { ':seen': { S: version } },
    },
  })
  const put = { Put: { TableName, Item: { ...key('state'), migrated: { BOOL: true } } } }
  const canceled = client.transactWriteItems({ TransactItems: [put, check('1')] })
  const reasons = await canceled.catch((error: unknown) => error)
  expect(reasons).toBeInstanceOf(TransactionCanceledException)
  expect(reasons).toMatchObject({ CancellationReasons: [{ Code: 'None' }, { Code: 'ConditionalCheckFailed' }] })
  expect((await client.getItem({ TableName, Key: key('state') })).Item).toBeUndefined()
  await client.transactWriteItems({ TransactItems: [put, check('2')] })
  expect((await client.getItem({ TableName, Key: key('state') })).Item).toEqual(put.Put.Item)

  await client.updateContinuousBackups({
    TableName,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  })
  const { ContinuousBackupsDescription: backups } = await client.describeContinuousBackups({ TableName })
  expect(backups?.PointInTimeRecoveryDescription?.PointInTimeRecoveryStatus).toBe('ENABLED')
  const { Table } = await client.describeTable({ TableName })
  const { Tags } = await client.listTagsOfResource({ ResourceArn: Table?.TableArn ?? '' })
  expect(Tags).toEqual([{ Key: 'team', Value: 'streams' }])
  await expect(client.createBackup({ TableName, BackupName: 'a' })).rejects.toThrow('does not support CreateBackup')
})

test('no_acknowledged_lease_is_lost_by_kills_and_restarts_under_load', { timeout: 90_000 }, async () => {
  const served = new Served()
  const client = await served.start()
  await createLeases(client)
  const workers = Array.from({ length: 8 }, (_, worker) => ({ leaseKey: `shard-${worker}`, counter: 0 }))
  for (const { leaseKey } of workers) await createLease(client, leaseKey)
  const load = { isOver: false, renewals: 0 }
  /** What the lease says once there is a server again. */
  const look = async (leaseKey: string): Promise<number> => {
    for (;;) {
      try {
        const { Item } = await client.getItem({ TableName, Key: key(leaseKey), ConsistentRead: true })
        return Number(Item?.['leaseCounter']?.N)
      } catch {
        await delay(20)
      }
    }
  }
  const renew = async (worker: (typeof workers)[number]) => {
    while (!load.isOver) {
      const renewed = await take(client, worker.leaseKey, worker.leaseKey, worker.counter).catch(() => undefined)
      // A call that was under way when the server ended may have been done, and what was acknowledged before is there.
      const counter = renewed === undefined ? await look(worker.leaseKey) : worker.counter + 1
      expect([worker.counter, worker.counter + 1]).toContain(counter)
      worker.counter = counter
      load.renewals += 1
    }
  }
  const renewing = Promise.all(workers.map(renew))
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    const before = load.renewals
    while (load.renewals < before + 200) await delay(1)
    await served.end(signal)
    await served.start()
  }
  load.isOver = true
  await renewing
  for (const { leaseKey, counter } of workers) expect(await look(leaseKey)).toBe(counter)
  await served.end('SIGTERM')
  expect(runProgram(served.folder, ['verify'])).toMatchObject({ code: 0 })
})
