/** A thousand leases and fifty workers: whether one order of all that they did and saw explains it. */
import { Agent } from 'node:http'
import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { expect, onTestFinished, test } from 'vitest'
import { type Read, violations, type Write } from './leases/history.js'
import { createLeases, type Take, takeBlindly, takeOnCondition, work } from './leases/workers.js'
import { startProgram } from './program.js'
import { emptyFolder } from './support.js'

const LEASES = Array.from({ length: 1_000 }, (_, lease) => `shard-${lease}`)
const WORKERS = 50
const ROUNDS = 60

async function served(): Promise<DynamoDB> {
  const running = startProgram(emptyFolder(), ['serve', '--port', '0', '--log', 'off'])
  onTestFinished(() => running.kill('SIGKILL'))
  await running.heard('\n')
  const client = new DynamoDB({
    endpoint: `http://127.0.0.1:${/:(\d+)\s*$/.exec(running.output())?.[1] ?? ''}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'anybody', secretAccessKey: 'anything' },
    // A call that is tried again by the client would be told that its own first try was somebody else's.
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({ httpAgent: new Agent({ keepAlive: true, maxSockets: WORKERS }) }),
  })
  onTestFinished(() => client.destroy())
  return client
}

/** Numbers from 0 below 1, the same for the same seed. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

async function fight(take: Take): Promise<(Write | Read)[]> {
  const client = await served()
  await createLeases(client, LEASES)
  const workers = Array.from({ length: WORKERS }, (_, worker) => {
    return work(client, `worker-${worker}`, { leases: LEASES, rounds: ROUNDS, take, random: dice(worker) })
  })
  return (await Promise.all(workers)).flat()
}

test('fifty_workers_lose_no_update_of_a_thousand_leases', { timeout: 90_000 }, async () => {
  const history = await fight(takeOnCondition)
  expect(violations(history)).toEqual([])
  const writes = history.filter(({ kind }) => kind === 'write').length
  // They did meet: of the takes, which are half of the calls and more, some failed.
  expect(writes).toBeGreaterThan((WORKERS * ROUNDS) / 10)
  expect(writes).toBeLessThan(WORKERS * ROUNDS)
})

test('workers_that_ask_for_no_condition_are_found_to_lose_updates', { timeout: 90_000 }, async () => {
  expect(violations(await fight(takeBlindly)).filter((what) => what.includes('an update is lost'))).not.toEqual([])
})

test('each_kind_of_lie_in_a_history_is_found', () => {
  const times = (begun: number, ended: number) => ({ lease: 'a', begun, ended })
  const write = (counter: number, owner: string, begun: number, ended: number) =>
    ({ kind: 'write', owner, counter, ...times(begun, ended) }) as const
  const read = (counter: number, owner: string | undefined, begun: number, ended: number) =>
    ({ kind: 'read', owner, counter, ...times(begun, ended) }) as const
  const honest = [write(0, 'x', 0, 10), read(0, undefined, 1, 2), write(1, 'y', 11, 20), read(1, 'x', 12, 13)]
  expect(violations(honest)).toEqual([])
  const lies: [string, Write | Read][] = [
    ['an update is lost', write(1, 'z', 21, 22)],
    ['nobody at 2', write(3, 'z', 21, 22)],
    ['before y began', write(2, 'z', 1, 2)],
    ['a read saw 1, expected 2 to 2', read(1, 'x', 21, 22)],
    ['a read saw 2, expected 0 to 1', read(2, 'y', 1, 2)],
    ['a read saw z at 2, expected y', read(2, 'z', 21, 22)],
  ]
  for (const [what, lie] of lies) expect(violations([...honest, lie]).join('; ')).toContain(what)
})
