/** `consumers`, `subscribe` and `queue`: each call is a process of its own, as a shell makes it. */
import { describe, expect, it } from 'vitest'
import { ownStore, startProgram } from './program.js'

const own = ownStore()
const { run, ok, json } = own

const lines = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)

interface Event {
  readonly records: readonly { readonly partitionKey: string; readonly data: string }[]
  readonly continuationSequenceNumber: string
  readonly millisBehindLatest: number
  readonly childShards?: readonly { readonly shardId: string }[]
}

interface Message {
  readonly receipt: string
  readonly recordId: string
  readonly receiveCount: number
  readonly data: string
}

describe('consumers', () => {
  it('are_registered_listed_and_deregistered', () => {
    ok('create', 'clicks')
    expect(
      json('consumers', 'register', 'clicks', 'billing', '--tag', 'team=money', '--tag', 'stage=live'),
    ).toMatchObject({
      name: 'billing',
      tags: { team: 'money', stage: 'live' },
    })
    ok('consumers', 'register', 'clicks', 'audit')
    expect(json<{ name: string }[]>('consumers', 'list', 'clicks').map(({ name }) => name)).toEqual([
      'billing',
      'audit',
    ])
    expect(ok('consumers', 'list', 'clicks')).toMatch(
      /billing .* stage=live, team=money|billing .* team=money, stage=live/,
    )
    const again = run('consumers', 'register', 'clicks', 'billing')
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(again.stderr).toContain('(ERR_MILLRACE_CONSUMER_EXISTS)')
    ok('consumers', 'deregister', 'clicks', 'billing')
    expect(json<{ name: string }[]>('consumers', 'list', 'clicks').map(({ name }) => name)).toEqual(['audit'])
    expect(run('consumers', 'deregister', 'clicks', 'billing').stderr).toContain('(ERR_MILLRACE_CONSUMER_NOT_FOUND)')
  })

  it('a_subscription_goes_on_behind_the_event_it_ended_with', () => {
    ok('create', 'clicks')
    for (const data of ['1', '2']) ok('put', 'clicks', '--key', 'k', data)
    expect(run('subscribe', 'clicks', 'billing').stderr).toContain('(ERR_MILLRACE_CONSUMER_NOT_FOUND)')
    const subscribe = (...args: string[]) => lines<Event>(ok('subscribe', 'clicks', 'billing', '--limit', '1', ...args))
    const [first] = subscribe('--register', '--from', 'trim-horizon')
    expect(first?.records.map(({ data }) => data)).toEqual(['1', '2'])
    ok('put', 'clicks', '--key', 'k', '{"n":3}')
    const [second] = subscribe('--from', `after:${first?.continuationSequenceNumber}`, '--parse')
    expect(second).toMatchObject({ records: [{ partitionKey: 'k', data: { n: 3 } }], millisBehindLatest: 0 })
  })

  it('the_last_event_of_a_shard_that_was_split_tells_its_children', () => {
    ok('create', 'clicks')
    ok('put', 'clicks', '--key', 'k', 'in the parent')
    ok('split', 'clicks', 'shardId-000000000000')
    const shard = ['--shard', 'shardId-000000000000', '--from', 'trim-horizon']
    const events = lines<Event>(ok('subscribe', 'clicks', 'billing', '--register', ...shard))
    expect(events.flatMap(({ records }) => records.map(({ data }) => data))).toEqual(['in the parent'])
    const children = events.at(-1)?.childShards ?? []
    expect(children.map(({ shardId }) => shardId)).toEqual(['shardId-000000000001', 'shardId-000000000002'])
  })

  it('an_interrupted_subscription_ends_with_130', async () => {
    ok('create', 'clicks')
    ok('put', 'clicks', '--key', 'k', 'seen')
    const follower = startProgram(own.store, ['subscribe', 'clicks', 'billing', '--register', '--from', 'trim-horizon'])
    await follower.heard('seen')
    follower.kill('SIGINT')
    expect(await follower.ended).toBe(130)
  })
})

describe('queues', () => {
  it('hand_out_each_record_until_it_is_acknowledged', () => {
    ok('create', 'orders')
    for (const data of ['1', '2']) ok('put', 'orders', '--key', 'k', data)
    ok('queue', 'create', 'orders', 'shipping', '--from', 'trim-horizon', '--visibility', '600', '--tag', 'team=post')
    const received = lines<Message>(ok('queue', 'receive', 'orders', 'shipping'))
    expect(received.map(({ data, receiveCount }) => [data, receiveCount])).toEqual([
      ['1', 1],
      ['2', 1],
    ])
    expect(ok('queue', 'receive', 'orders', 'shipping')).toBe('')
    expect(json('queue', 'list', 'orders')).toMatchObject([
      { name: 'shipping', visibilitySeconds: 600, tags: { team: 'post' }, metrics: { visible: 0, inFlight: 2 } },
    ])
    const [one, two] = received.map(({ receipt }) => receipt)
    expect(ok('queue', 'ack', 'orders', 'shipping', one as string)).toContain('acknowledged 1 record')
    ok('queue', 'extend', 'orders', 'shipping', two as string, '--visibility', '0')
    const [again] = lines<Message>(ok('queue', 'receive', 'orders', 'shipping', '--ack'))
    expect(again).toMatchObject({ data: '2', receiveCount: 2, recordId: received[1]?.recordId })
    expect(json('queue', 'list', 'orders')).toMatchObject([{ metrics: { visible: 0, inFlight: 0 } }])
    expect(ok('queue', 'list', 'orders')).toContain('after 6 receives')
  })

  it('what_nobody_acknowledges_becomes_a_dead_letter_and_can_be_restored', () => {
    ok('create', 'orders')
    ok('put', 'orders', '--key', 'k', 'x')
    ok('queue', 'create', 'orders', 'shipping', '--from', 'trim-horizon', '--max-receives', '1', '--visibility', '0')
    expect(lines<Message>(ok('queue', 'receive', 'orders', 'shipping'))).toHaveLength(1)
    expect(ok('queue', 'receive', 'orders', 'shipping')).toBe('')
    const [dead] = lines<Message>(ok('queue', 'dead-letters', 'orders', 'shipping', '--visibility', '60'))
    expect(dead).toMatchObject({ data: 'x' })
    expect(ok('queue', 'restore', 'orders', 'shipping', dead?.receipt as string)).toContain('restored 1 record')
    expect(lines<Message>(ok('queue', 'receive', 'orders', 'shipping'))).toMatchObject([{ data: 'x', receiveCount: 1 }])
  })

  it('what_of_a_queue_can_be_changed_is_changed_and_the_rest_stays', () => {
    ok('create', 'orders')
    ok('queue', 'create', 'orders', 'shipping', '--visibility', '600')
    const none = json('queue', 'update', 'orders', 'shipping', '--no-dead-letters')
    expect(none).toMatchObject({ name: 'shipping', visibilitySeconds: 600, maxReceiveCount: 'none' })
    expect(ok('queue', 'update', 'orders', 'shipping', '--max-receives', '3', '--visibility', '5')).toBe(
      "queue 'shipping' of stream 'orders': visibility 5 s, dead letters after 3 receives\n",
    )
    const nothing = run('queue', 'update', 'orders', 'shipping')
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('--max-receives or --no-dead-letters') })
    expect(json('queue', 'list', 'orders')).toMatchObject([{ visibilitySeconds: 5, maxReceiveCount: 3 }])
  })

  it('a_bad_receipt_is_told_and_exits_1_and_a_deleted_queue_is_gone', () => {
    ok('create', 'orders')
    ok('queue', 'create', 'orders', 'shipping')
    expect(run('queue', 'create', 'orders', 'shipping').stderr).toContain('(ERR_MILLRACE_QUEUE_EXISTS)')
    ok('queue', 'create', 'orders', 'shipping', '--if-not-exists')
    const { code, stderr } = run('queue', 'ack', 'orders', 'shipping', 'nonsense')
    expect({ code, stderr }).toMatchObject({ code: 1 })
    expect(stderr).toContain('(ERR_MILLRACE_RECEIPT_INVALID)')
    ok('queue', 'delete', 'orders', 'shipping')
    expect(run('queue', 'receive', 'orders', 'shipping').stderr).toContain('(ERR_MILLRACE_QUEUE_NOT_FOUND)')
    expect(run('queue', 'create', 'orders', 'x', '--from', `at:${'4'.repeat(56)}`)).toMatchObject({ code: 2 })
    expect(run('queue', 'receive', 'orders', 'x', '--wait', '-1')).toMatchObject({ code: 2 })
  })
})
