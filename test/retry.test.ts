/** Trying again: when, how long after, and when no more. */
import { expect, test, vi } from 'vitest'
import { MillraceError, retry, retryPutMany, type PutOutcome, type PutRecord, type RetryOptions } from '../src/index.js'
import { allRecords, bytes, openStore } from './store.js'

const full = (): MillraceError => new MillraceError('ERR_MILLRACE_BACKPRESSURE', 'no room')

type Work = (attempt: number) => unknown

/** Time that passes only by pauses, and a memory of them. */
function time(): { pauses: number[]; options: RetryOptions; pass: (milliseconds: number) => void } {
  const pauses: number[] = []
  let now = 0
  return {
    pauses,
    pass: (milliseconds) => (now += milliseconds),
    options: {
      now: () => now,
      random: () => 0.5,
      delay: async (milliseconds) => {
        pauses.push(milliseconds)
        now += milliseconds
      },
    },
  }
}

/** Fails so often, then gives the number of the attempt. */
function failing(times: number, error: () => unknown = full): (attempt: number) => number {
  return (attempt) => {
    if (attempt <= times) throw error()
    return attempt
  }
}

test('what succeeds at once is done once', async () => {
  const { pauses, options } = time()
  const work = vi.fn<Work>(() => 'done')
  expect(await retry(work, options)).toBe('done')
  expect(work).toHaveBeenCalledTimes(1)
  expect(pauses).toEqual([])
})

test('pauses double up to the longest, and each is a random part of it', async () => {
  const { pauses, options } = time()
  expect(await retry(failing(6), { ...options, minDelayMs: 100, maxDelayMs: 1_000 })).toBe(7)
  expect(pauses).toEqual([50, 100, 200, 400, 500, 500])
})

test('full jitter: a pause lies between nothing and the longest', async () => {
  for (const [draw, pause] of [
    [0, 0],
    [0.25, 25],
    [0.999, 99.9],
  ] as const) {
    const { pauses, options } = time()
    await retry(failing(1), { ...options, random: () => draw, minDelayMs: 100 })
    expect(pauses[0]).toBeCloseTo(pause)
  }
})

test('an error that says when to come again is given that long, and the random pause on top', async () => {
  const { pauses, options } = time()
  const throttled = (): Error => Object.assign(full(), { retryAfterMs: 7_000 })
  await retry(failing(1, throttled), { ...options, minDelayMs: 100, maxDelayMs: 200 })
  expect(pauses).toEqual([7_050])
})

test('attempts are bounded, and the last error comes out as it is', async () => {
  const { pauses, options } = time()
  const last = full()
  const work = vi.fn<Work>((attempt) => {
    throw attempt === 3 ? last : full()
  })
  await expect(retry(work, { ...options, attempts: 3 })).rejects.toBe(last)
  expect(work).toHaveBeenCalledTimes(3)
  expect(pauses).toHaveLength(2)
})

test('no attempt begins after the time that may pass', async () => {
  const { pauses, options, pass } = time()
  const work = vi.fn<Work>(() => {
    pass(400)
    throw full()
  })
  await expect(retry(work, { ...options, minDelayMs: 100, maxElapsedMs: 1_000 })).rejects.toThrow('no room')
  expect(pauses).toEqual([50, 100])
  expect(work).toHaveBeenCalledTimes(3)
})

test('what no waiting mends is not tried again, unless the caller knows better', async () => {
  const { options } = time()
  const invalid = (): Error => new MillraceError('ERR_MILLRACE_INVALID_KEY', 'empty')
  const unknown = (): Error => new MillraceError('ERR_MILLRACE_OUTCOME_UNKNOWN', 'who knows')
  for (const error of [invalid, unknown, () => new Error('other')]) {
    const work = vi.fn<Work>(failing(1, error))
    await expect(retry(work, options)).rejects.toThrow(error().message)
    expect(work).toHaveBeenCalledTimes(1)
  }
  const told: unknown[] = []
  const result = await retry(
    failing(2, () => new Error('other')),
    {
      ...options,
      retryable: () => true,
      onRetry: (error, attempt, delayMs) => told.push([(error as Error).message, attempt, delayMs]),
    },
  )
  expect(result).toBe(3)
  expect(told).toEqual([
    ['other', 1, 25],
    ['other', 2, 50],
  ])
})

test('an abort ends the waiting at once, and no attempt follows', async () => {
  const controller = new AbortController()
  const work = vi.fn<Work>(failing(9))
  const waiting = retry(work, {
    minDelayMs: 3_600_000,
    maxDelayMs: 3_600_000,
    random: () => 1,
    signal: controller.signal,
  })
  await vi.waitFor(() => expect(work).toHaveBeenCalledTimes(1))
  controller.abort('enough')
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_MILLRACE_ABORTED', cause: 'enough' })
  await expect(retry(work, { signal: controller.signal })).rejects.toMatchObject({ code: 'ERR_MILLRACE_ABORTED' })
  expect(work).toHaveBeenCalledTimes(1)
})

test('the timer of its own waits and lets go of the signal', async () => {
  const { signal } = new AbortController()
  const removed = vi.spyOn(signal, 'removeEventListener')
  expect(await retry(failing(2), { minDelayMs: 1, signal })).toBe(3)
  expect(removed).toHaveBeenCalledTimes(2)
})

test.each([
  { attempts: 0 },
  { attempts: Number.NaN },
  { minDelayMs: -1 },
  { maxDelayMs: '5' as unknown as number },
  { maxElapsedMs: -1 },
])('limits out of bounds are refused before anything is tried: %j', async (options) => {
  const work = vi.fn<Work>()
  await expect(retry(work, options)).rejects.toMatchObject({ code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  expect(work).not.toHaveBeenCalled()
})

const throttled = (retryAfterMs: number): MillraceError =>
  new MillraceError('ERR_MILLRACE_THROUGHPUT_EXCEEDED', 'too fast', { retryAfterMs })

/** Takes so many records at a time, and refuses the others with the pauses that it is told. */
function narrow(admits: number, pausesMs: readonly number[]) {
  const batches: string[][] = []
  const putMany = async (records: Iterable<PutRecord<Uint8Array>>): Promise<PutOutcome[]> => {
    const keys = [...records].map(({ partitionKey }) => partitionKey)
    batches.push(keys)
    return keys.map((key, i) =>
      i < admits
        ? { ok: true, shardId: 'shardId-000000000000', sequenceNumber: key }
        : { ok: false, error: throttled(pausesMs[i % pausesMs.length] as number) },
    )
  }
  return { batches, stream: { putMany } }
}

const letters = [...'abcde'].map((partitionKey) => ({ partitionKey, data: bytes('x') }))

test('only the records that were refused are put again, after the longest pause that one asks for', async () => {
  const { pauses, options } = time()
  const { batches, stream } = narrow(2, [10, 300, 20])
  const outcomes = await retryPutMany(stream, letters, { ...options, minDelayMs: 0 })
  expect(batches.map((keys) => keys.join(''))).toEqual(['abcde', 'cde', 'e'])
  expect(outcomes.map((outcome) => (outcome.ok ? outcome.sequenceNumber : 'refused'))).toEqual([...'abcde'])
  expect(pauses).toEqual([300, 20])
})

test('what is refused to the end stands among the outcomes, and no promise rejects for it', async () => {
  const { options } = time()
  const { batches, stream } = narrow(1, [10])
  const outcomes = await retryPutMany(stream, letters, { ...options, attempts: 2 })
  expect(batches).toHaveLength(2)
  expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false, false, false])
})

test('an error of the whole batch comes out as it is', async () => {
  const { options } = time()
  const failed = new MillraceError('ERR_MILLRACE_INVALID_KEY', 'empty')
  await expect(retryPutMany({ putMany: () => Promise.reject(failed) }, letters, options)).rejects.toBe(failed)
})

test('a stream with limits gets all records in the end', async () => {
  const millrace = await openStore()
  const stream = await millrace.createStream('narrow', { limits: { writeRecordsPerSecond: 200 } })
  const records = Array.from({ length: 300 }, (_, i) => ({ partitionKey: `k${i}`, data: bytes('x') }))
  const outcomes = await retryPutMany(stream, records)
  expect(outcomes.every(({ ok }) => ok)).toBe(true)
  expect(await allRecords(stream.read({ from: 'TRIM_HORIZON', follow: false }))).toHaveLength(300)
  const { incoming } = stream.metrics()
  expect(incoming.total.records).toBe(300)
  expect(incoming.total.throttled).toBeGreaterThanOrEqual(100)
})
