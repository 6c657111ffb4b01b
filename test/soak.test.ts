/** The soak's own checks: each can tell what it is there to tell. `npm run soak` itself is a step of `npm test`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Millrace } from '../src/index.js'
import { Ledger, type ProducerAccount } from './soak/ledger.js'
import { BOUNDS, judge } from './soak/judge.js'
import { keyOf, Payloads } from './soak/payload.js'
import { keptBy, paceOf, ROLES, STANDING } from './soak/plan.js'
import { ACTIVITIES } from './soak/activities.js'
import { Random } from './soak/random.js'
import { WATCHED, type Figure, type Sample } from './soak/resources.js'
import { Tally } from './soak/tally.js'
import { codeOf } from './store.js'
import { emptyFolder, root } from './support.js'

const MIB = 2 ** 20
const STREAM = 7
const FOR_EVER = { leastMs: Number.POSITIVE_INFINITY, mostMs: Number.POSITIVE_INFINITY }

/** A producer with `count` records acknowledged, and what reads them. */
function written(count: number, keys = 2) {
  const witness = { ledger: Ledger.create(1_000), payloads: new Payloads(1) }
  const account = witness.ledger.register(STREAM, keys)
  for (let i = 0; i < count; i += 1) account.begin()
  account.acknowledge(count)
  const tally = new Tally(witness, STREAM, FOR_EVER, true)
  const read = (counter: number, producer = account.producer): void => {
    const origin = { producer, counter, keys }
    tally.takeRecord(keyOf(origin), witness.payloads.make(origin), witness.ledger.now())
  }
  return { witness, account, tally, read, finish: () => tally.finish(witness.ledger.accountsOf(STREAM)) }
}

test('all that was acknowledged, read once and in order, is no breach', () => {
  const { read, finish, tally } = written(10)
  for (const counter of [0, 2, 1, 3, 4, 5, 6, 7, 8, 9]) read(counter)
  finish()
  expect(tally.records).toBe(10)
})

test('a record that is missing at the start, in the middle or at the end is a breach', () => {
  expect(() => written(10).read(2)).toThrow(/record 0 .* is missing/)
  const middle = written(10)
  for (const counter of [0, 1, 2, 3]) middle.read(counter)
  expect(() => middle.read(6)).toThrow(/record 4 .* is missing/)
  const end = written(10)
  for (const counter of [0, 1, 2, 3, 4, 5, 6, 7, 8]) end.read(counter)
  expect(() => end.finish()).toThrow(/record 9 .* is missing/)
  expect(() => written(1).finish()).toThrow(/record 0 .* is missing/)
})

test('a record that is repeated, out of order, unknown, misplaced or changed is a breach', () => {
  const { read, witness, tally, account } = written(10)
  for (const counter of [0, 1, 2]) read(counter)
  expect(() => read(2)).toThrow(/came after record 2/)
  expect(() => read(0)).toThrow(/came after record 2/)
  expect(() => read(12)).toThrow(/was never written/)
  expect(() => read(3, account.producer + 1)).toThrow(/long forgotten/)
  const origin = { producer: account.producer, counter: 3, keys: 2 }
  const data = witness.payloads.make({ ...origin, counter: 3 })
  expect(() => tally.takeRecord('other', data, 0)).toThrow(/under the key/)
  data[data.length - 1] = (data[data.length - 1] as number) ^ 1
  expect(() => tally.takeRecord(keyOf(origin), data, 0)).toThrow(/other bytes|under the key/)
  const elsewhere = new Tally(witness, STREAM + 1, FOR_EVER, false)
  expect(() => elsewhere.takeRecord(keyOf(origin), witness.payloads.make(origin), 0)).toThrow(/to stream 7/)
})

test('what is old enough may be missing, and what is too old must be', () => {
  const { witness, account, read } = written(4)
  account.end()
  const origin = (counter: number) => ({ producer: account.producer, counter, keys: 2 })
  const expired = new Tally(witness, STREAM, { leastMs: 0, mostMs: Number.POSITIVE_INFINITY }, true)
  expired.takeRecord(keyOf(origin(2)), witness.payloads.make(origin(2)), 0)
  expect(expired.expired).toBe(1)
  const late = new Tally(witness, STREAM, { leastMs: 0, mostMs: 1_000 }, true)
  const tenSecondsLater = witness.ledger.now() + 10_000
  expect(() => late.takeRecord(keyOf(origin(0)), witness.payloads.make(origin(0)), tenSecondsLater)).toThrow(/served/)
  read(0)
})

test('sequences that repeat or go back are a breach', () => {
  const { witness, account } = written(3, 1)
  const tally = new Tally(witness, STREAM, FOR_EVER, true)
  const batch = (counter: number, sequence: string) => {
    const origin = { producer: account.producer, counter, keys: 1 }
    return {
      length: 1,
      shardId: () => 'shardId-000000000000',
      sequenceNumber: () => sequence,
      partitionKey: () => keyOf(origin),
      data: () => witness.payloads.make(origin),
    } as never
  }
  tally.take(batch(0, '5'), 0)
  expect(() => tally.take(batch(1, '5'), 0)).toThrow(/came after 5/)
  expect(() => tally.take(batch(1, '4'), 0)).toThrow(/came after 5/)
})

test('a slot of the ledger is used again only long after its producer wrote last', () => {
  const ledger = Ledger.create(1_000)
  const accounts: ProducerAccount[] = []
  expect(() => {
    for (let i = 0; i < 10_000; i += 1) accounts.push(ledger.register(1, 1))
  }).toThrow(/a free one of/)
  expect(new Set(accounts.map(({ producer }) => producer % accounts.length)).size).toBe(accounts.length)
})

/** Samples of a minute, of which `figure` grows by `growth` from the first to the last; all of them with some noise. */
function samples(figure?: Figure, growth = 0): Sample[] {
  const random = new Random(1, 'noise')
  return Array.from({ length: 60 }, (_, second) => {
    const level = (name: Figure): number => {
      const { constant } = BOUNDS[name]
      return constant * 2 + constant * 0.3 * random.fraction() + (name === figure ? (growth * second) / 59 : 0)
    }
    return { ms: second * 1_000, ...Object.fromEntries(WATCHED.map((name) => [name, level(name)])) } as Sample
  })
}

test('the judge lets noise pass, and finds each figure that grows', () => {
  expect(judge(samples(), 10_000)?.filter(({ kept }) => !kept)).toEqual([])
  for (const figure of WATCHED) {
    // Of a growth the halves' floors show a part, and of the delay, which may double, the least.
    const verdicts = judge(samples(figure, 30 * BOUNDS[figure].constant), 10_000)
    expect(verdicts?.filter(({ kept }) => !kept).map((verdict) => verdict.figure)).toEqual([figure])
  }
})

test('the judge says nothing of too few samples', () => {
  expect(judge(samples().slice(0, 12), 10_000)).toBeUndefined()
})

test('a descriptor, or a MiB, that is lost each second of ten minutes is found', () => {
  const at = (second: number, leak: Partial<Record<Figure, number>>): Sample => {
    const level = { rss: 400 * MIB, anonymous: 300 * MIB, heapUsed: 50 * MIB, external: 60 * MIB, descriptors: 150 }
    const sample = { ...Object.fromEntries(WATCHED.map((name) => [name, 100])), ...level }
    for (const [name, rate] of Object.entries(leak)) sample[name as 'rss'] += rate * second
    return { ms: second * 1_000, ...sample } as unknown as Sample
  }
  for (const [figure, rate] of [
    ['descriptors', 1],
    ['maps', 1],
    ['anonymous', MIB],
    ['heapUsed', MIB],
  ] as const) {
    const leaking = Array.from({ length: 600 }, (_, second) => at(second, { [figure]: rate }))
    const grown = judge(leaking, 48_000)
      ?.filter(({ kept }) => !kept)
      .map((verdict) => verdict.figure)
    expect(grown).toEqual([figure])
  }
})

test('the options for tests are refused outside of their limits, and stand in no declaration', async () => {
  const open = async (testing: object) => await Millrace.open(emptyFolder(), { testing })
  for (const clockFactor of [0, -1, 1.5, 1_000_001, Number.NaN, '3600']) {
    expect(await codeOf(open({ clockFactor })), String(clockFactor)).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  }
  expect(await codeOf(open({ segmentBytesMax: 65_537 }))).toBe('ERR_MILLRACE_INVALID_ARGUMENT')
  const fast = await open({ clockFactor: 1_000_000, segmentBytesMax: 65_536 })
  await fast.close()
  for (const folder of ['dist', 'dist-cjs']) {
    for (const file of ['options.d.ts', 'millrace.d.ts', 'index.d.ts']) {
      expect(readFileSync(join(root, folder, file), 'utf8')).not.toMatch(/clockFactor|TestingOptions|testing\?/)
    }
  }
})

test('every activity of the plan exists and each is in the plan; retention passes ten times in a run', () => {
  const planned = new Set(ROLES.flatMap(({ activities }) => activities))
  expect([...planned].toSorted()).toEqual(Object.keys(ACTIVITIES).toSorted())
  for (const minutes of [0.35, 5, 60]) {
    const pace = paceOf(minutes * 60_000)
    expect(minutes * 60_000).toBeGreaterThanOrEqual(6 * pace.retentionMs)
    for (const { id } of STANDING) expect(keptBy(pace, id).mostMs).toBeGreaterThan(keptBy(pace, id).leastMs)
  }
})
