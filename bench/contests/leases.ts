/**
 * Renewals of leases over the wire: a conditional `UpdateItem` of `millrace.serve()`, as the KCL sends it, beside an
 * exchange with a server that does nothing but append as many bytes and wait for their fdatasync, and beside that append
 * alone; all at one pace. Native threads send each call when it is due, and its time counts from then.
 */
import { type Bench, openFresh } from '../bench.js'
import { percentileSides } from '../percentiles.js'
import { atMost, type Contest, type OpenContest } from '../rows.js'

const PER_SECOND = 1_000
const LEASES = 1_000
/** A divisor of the leases, so that the renewals of one lease keep their order. */
const CONNECTIONS = 20
/** What a renewal takes in the log: head, run and the lease as JSON. */
const FRAME_BYTES = 512
const APPEND = 'bare append + fdatasync of 512 B, 1,000 a second'
const EXCHANGE = 'bare exchange over TCP for an append + fdatasync of 512 B, 1,000 a second'

/** The contest of renewals. */
export function leaseContests(bench: Bench): Contest[] {
  return [{ name: 'leases', rounds: bench.quick ? 3 : 7, open: () => openLeases(bench) }]
}

async function openLeases(bench: Bench): Promise<OpenContest> {
  const calls = bench.quick ? 1_000 : 5_000
  const { millrace, remove } = await openFresh(bench, 'leases')
  const server = await millrace.serve({ port: 0, log: 'off' })
  const { host } = new URL(server.url)
  bench.limits.pacedRequests(host, makeLeases(), 1, 0)
  const counters = Array.from({ length: LEASES }, () => 0)
  const file = bench.workspace.path('leases.limit')
  bench.limits.prepareFile(file, 'rewritten', calls * FRAME_BYTES)
  const interval = 1_000_000 / PER_SECOND
  const appends = () => micros(bench.limits.pacedSyncedWrites(file, 0, FRAME_BYTES, calls, 'sleep', interval))
  const exchanges = () => {
    const requests = Array.from({ length: calls }, () => renewal(0, 0))
    return micros(bench.limits.pacedSyncedExchanges(file, FRAME_BYTES, requests, CONNECTIONS, interval))
  }
  const renewals = () => {
    const requests = Array.from({ length: calls }, (_, call) => {
      const shard = call % LEASES
      const counter = counters[shard] ?? 0
      counters[shard] = counter + 1
      return renewal(counter, shard)
    })
    return micros(bench.limits.pacedRequests(host, requests, CONNECTIONS, interval))
  }
  const [median, p99] = percentileSides({
    name: 'UpdateItem on a condition, 1,000 a second over the wire, synced',
    series: 'Millrace',
    chart: 'leases',
    x: 'UpdateItem on a condition',
    against: EXCHANGE,
    run: renewals,
  })
  const sides = [
    ...percentileSides({ name: APPEND, series: 'limit', chart: 'leases', x: 'append', run: appends }),
    ...percentileSides({
      name: EXCHANGE,
      series: 'limit',
      chart: 'leases',
      x: 'exchange',
      against: APPEND,
      run: exchanges,
    }),
    median,
    { ...p99, target: atMost(2_000) },
  ]
  const close = async () => {
    await server.stop()
    await remove()
  }
  return { sides, close }
}

const micros = (ns: Float64Array): Float64Array => ns.map((each) => each / 1_000)

function makeLeases(): string[] {
  const table = request('CreateTable', {
    TableName: 'leases',
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    BillingMode: 'PAY_PER_REQUEST',
  })
  const batches = Array.from({ length: LEASES / 25 }, (_, batch) => {
    const puts = Array.from({ length: 25 }, (_each, index) => ({ PutRequest: { Item: lease(batch * 25 + index) } }))
    return request('BatchWriteItem', { RequestItems: { leases: puts } })
  })
  return [table, ...batches]
}

const key = (shard: number) => ({ leaseKey: { S: `shardId-${String(shard).padStart(12, '0')}` } })

const lease = (shard: number) => ({
  ...key(shard),
  leaseOwner: { S: 'worker-7d0b6a52-1d4c-4d3e-8b1c-0f5d1c9a2e11' },
  leaseCounter: { N: '0' },
  ownerSwitchesSinceCheckpoint: { N: '0' },
  checkpoint: { S: '49590338271490256608559692538361571095921575989136588898' },
  checkpointSubSequenceNumber: { N: '0' },
})

function renewal(counter: number, shard: number): string {
  return request('UpdateItem', {
    TableName: 'leases',
    Key: key(shard),
    Expected: { leaseCounter: { Value: { N: String(counter) } } },
    AttributeUpdates: { leaseCounter: { Value: { N: String(counter + 1) }, Action: 'PUT' } },
  })
}

/** A call of a table, as it goes over the wire. */
function request(operation: string, body: object): string {
  const content = JSON.stringify(body)
  const lines = [
    'POST / HTTP/1.1',
    'host: localhost',
    'content-type: application/x-amz-json-1.0',
    `x-amz-target: DynamoDB_20120810.${operation}`,
    'x-amz-date: 20260101T000000Z',
    'authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b',
    `content-length: ${content.length}`,
    '',
    content,
  ]
  return lines.join('\r\n')
}
