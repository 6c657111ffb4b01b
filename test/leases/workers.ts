/** Workers that fight for leases as those of the KCL do, and write down what they did and saw. */
import { ConditionalCheckFailedException, type AttributeValue, type DynamoDB } from '@aws-sdk/client-dynamodb'
import type { Read, Write } from './history.js'

/** How a worker takes a lease. */
export type Take = (client: DynamoDB, lease: string, owner: string, counter: number) => Promise<void>

const key = (lease: string) => ({ leaseKey: { S: lease } })
const number = (value: number) => ({ N: String(value) })

/** As the KCL does: on the condition that nobody has had it since. */
export const takeOnCondition: Take = async (client, lease, owner, counter) => {
  await client.updateItem({
    TableName: 'leases',
    Key: key(lease),
    Expected: { leaseCounter: { Value: number(counter) } },
    AttributeUpdates: {
      leaseOwner: { Value: { S: owner }, Action: 'PUT' },
      leaseCounter: { Value: number(counter + 1), Action: 'PUT' },
    },
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  })
}

/** As nobody should: by what was seen before. */
export const takeBlindly: Take = async (client, lease, owner, counter) => {
  const Item = { ...key(lease), leaseOwner: { S: owner }, leaseCounter: number(counter + 1) }
  await client.putItem({ TableName: 'leases', Item })
}

/** A table of so many leases that nobody has. */
export async function createLeases(client: DynamoDB, leases: readonly string[]): Promise<void> {
  await client.createTable({
    TableName: 'leases',
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    BillingMode: 'PAY_PER_REQUEST',
  })
  for (let from = 0; from < leases.length; from += 25) {
    const puts = leases.slice(from, from + 25).map((lease) => ({ ...key(lease), leaseCounter: number(0) }))
    await client.batchWriteItem({ RequestItems: { leases: puts.map((Item) => ({ PutRequest: { Item } })) } })
  }
}

/** What an item says of its lease. */
const seen = (item: Record<string, AttributeValue> | undefined) => ({
  owner: item?.['leaseOwner']?.S,
  counter: Number(item?.['leaseCounter']?.N),
})

/**
 * Lets a worker look at leases of its choice and take each, so often. A few leases are wanted by all, so that conditions
 * fail; `random` gives a number from 0 below 1.
 */
export async function work(
  client: DynamoDB,
  owner: string,
  { leases, rounds, take, random }: { leases: readonly string[]; rounds: number; take: Take; random: () => number },
): Promise<(Write | Read)[]> {
  const history: (Write | Read)[] = []
  for (let round = 0; round < rounds; round += 1) {
    // Half of the time one of the first ten.
    const among = random() < 0.5 ? 10 : leases.length
    const lease = leases[Math.floor(random() * among)] ?? ''
    const reading = performance.now()
    const { Item } = await client.getItem({ TableName: 'leases', Key: key(lease), ConsistentRead: true })
    const { counter, owner: holder } = seen(Item)
    history.push({ kind: 'read', lease, begun: reading, ended: performance.now(), owner: holder, counter })
    const begun = performance.now()
    try {
      await take(client, lease, owner, counter)
      history.push({ kind: 'write', lease, begun, ended: performance.now(), owner, counter })
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      history.push({ kind: 'read', lease, begun, ended: performance.now(), ...seen(error.Item) })
    }
  }
  return history
}
