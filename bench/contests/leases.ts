/**
 * Renewals of leases over the wire: a conditional `UpdateItem` of `millrace.serve()`, as the KCL sends it, beside a bare
 * append of as many bytes with its fdatasync, at the same pace. Each call is sent when it is due, whether or not those
 * before it are answered, and its time counts from then.
 */
import { Agent, request } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { type Bench, openFresh } from '../bench.js'
import { percentileSides } from '../percentiles.js'
import { atMost, type Contest, type OpenContest } from '../rows.js'

const PER_SECOND = 1_000
const LEASES = 1_000
/** What a renewal takes in the log: head, run and the lease as JSON. */
const FRAME_BYTES = 512
const LIMIT = 'bare append + fdatasync of 512 B, 1,000 a second'

/** The contest of renewals. */
export function leaseContests(bench: Bench): Contest[] {
  return [{ name: 'leases', rounds: bench.quick ? 3 : 7, open: () => openLeases(bench) }]
}

async function openLeases(bench: Bench): Promise<OpenContest> {
  const calls = bench.quick ? 1_000 : 5_000
  const { millrace, remove } = await openFresh(bench, 'leases')
  const server = await millrace.serve({ port: 0, log: 'off' })
  const wire = new TableWire(server.url)
  await makeLeases(wire)
  const counters = Array.from({ length: LEASES }, () => 0)
  const file = bench.workspace.path('leases.limit')
  bench.limits.prepareFile(file, 'rewritten', calls * FRAME_BYTES)
  const bare = () => {
    const ns = bench.limits.pacedSyncedWrites(file, 0, FRAME_BYTES, calls, 'sleep', 1_000_000 / PER_SECOND)
    return [...ns].map((each) => each / 1000)
  }
  const renewals = () => paced(calls, (call) => renew(wire, counters, call % LEASES))
  const [median, p99] = percentileSides({
    name: 'UpdateItem on a condition, 1,000 a second over the wire, synced',
    series: 'Millrace',
    chart: 'leases',
    x: 'UpdateItem on a condition',
    against: LIMIT,
    run: renewals,
  })
  const sides = [
    ...percentileSides({ name: LIMIT, series: 'limit', chart: 'leases', x: LIMIT, run: bare }),
    median,
    { ...p99, target: atMost(2_000) },
  ]
  const close = async () => {
    wire.close()
    await server.stop()
    await remove()
  }
  return { sides, close }
}

/** Starts so many calls, each when it is due; resolves to the microseconds from then to its answer. */
async function paced(calls: number, work: (call: number) => Promise<void>): Promise<number[]> {
  const begun = performance.now()
  const due = (call: number) => begun + (call * 1_000) / PER_SECOND
  const under: Promise<number>[] = []
  while (under.length < calls) {
    while (under.length < calls && due(under.length) <= performance.now()) {
      const call = under.length
      under.push(work(call).then(() => (performance.now() - due(call)) * 1_000))
    }
    // A timer would round the time of the next call up to a millisecond.
    await turn()
  }
  return Promise.all(under)
}

async function makeLeases(wire: TableWire): Promise<void> {
  await wire.call('CreateTable', {
    TableName: 'leases',
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    BillingMode: 'PAY_PER_REQUEST',
  })
  for (let from = 0; from < LEASES; from += 25) {
    const puts = Array.from({ length: 25 }, (_, index) => ({ PutRequest: { Item: lease(from + index) } }))
    await wire.call('BatchWriteItem', { RequestItems: { leases: puts } })
  }
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

async function renew(wire: TableWire, counters: number[], shard: number): Promise<void> {
  const counter = counters[shard] ?? 0
  counters[shard] = counter + 1
  await wire.call('UpdateItem', {
    TableName: 'leases',
    Key: key(shard),
    Expected: { leaseCounter: { Value: { N: String(counter) } } },
    AttributeUpdates: { leaseCounter: { Value: { N: String(counter + 1) }, Action: 'PUT' } },
  })
}

/** Calls of tables over connections that stay open, as small as can be. */
class TableWire {
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 })

  constructor(url: string) {
    this.#url = url
  }

  /** Fails where the answer is an error. */
  async call(operation: string, body: object): Promise<void> {
    const headers = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'x-amz-date': '20260101T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=b',
    }
    const { promise, resolve, reject } = deferred()
    const sent = request(this.#url, { agent: this.#agent, method: 'POST', headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${operation}: ${text}`))))
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
    return promise
  }

  close(): void {
    this.#agent.destroy()
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<void>((done, failed) => {
    resolve = done
    reject = failed
  })
  return { promise, resolve, reject }
}
