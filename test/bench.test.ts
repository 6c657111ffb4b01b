/**
 * What the bench concludes from its figures, with made-up figures: measuring is not tested, judging is.
 */
import { describe, expect, test } from 'vitest'
import { mergeContests, type ContestResult } from '../bench/results.js'
import { atLeast, median, percentile, ratioAtLeast, ratioAtMost, runContest, type Side } from '../bench/rows.js'
import { isRegression, judgePairs } from '../bench/verdict.js'

/** Twelve runs of the same build: within 4 % of 100, in no order. */
const RATES = [101, 98, 103, 99, 97, 100, 102, 96, 104, 100, 99, 101]

describe('a comparison of two builds', () => {
  test('finds a build equal to itself', () => {
    const verdict = judgePairs({ unit: 'records/s', old: RATES, fresh: RATES.toReversed() })
    expect(verdict.says).toBe('equal within noise')
    expect(isRegression(verdict, 0)).toBe(false)
  })

  test('finds a loss of a fifth, in rates and in times', () => {
    const rates = judgePairs({ unit: 'records/s', old: RATES, fresh: RATES.toReversed().map((rate) => rate * 0.8) })
    const times = judgePairs({ unit: 'µs', old: RATES, fresh: RATES.toReversed().map((time) => time / 0.8) })
    for (const verdict of [rates, times]) {
      expect(verdict.says).toBe('slower')
      expect(verdict.speed).toBeCloseTo(0.8, 1)
      expect(isRegression(verdict, 0.1)).toBe(true)
      expect(isRegression(verdict, 0.3)).toBe(false)
    }
  })

  test('is not misled by one wild pair', () => {
    const wild = RATES.toReversed().with(3, 5)
    expect(judgePairs({ unit: 'records/s', old: RATES, fresh: wild }).says).toBe('equal within noise')
    const faster = RATES.map((rate) => rate * 1.5).with(3, 5)
    expect(judgePairs({ unit: 'records/s', old: RATES, fresh: faster }).says).toBe('faster')
  })

  test('says nothing from too few pairs', () => {
    const verdict = judgePairs({ unit: 'ns', old: [1, 1, 1, 1, 1], fresh: [2, 2, 2, 2, 2] })
    expect(verdict.says).toBe('too few pairs')
    expect(isRegression(verdict, 0.1)).toBe(false)
  })

  test('takes memory that did not grow in either build for no change', () => {
    const none = [0, 0, 0, 0, 0, 0]
    expect(judgePairs({ unit: 'MiB', old: none, fresh: none })).toMatchObject({ speed: 1, says: 'equal within noise' })
  })
})

describe('a contest', () => {
  const sides = (target: Side['target']): Side[] => {
    const figures = { limit: [100, 200, 400], engine: [90, 100, 360] }
    const side = (name: 'limit' | 'engine'): Side => {
      return { name, unit: 'records/s', measure: (round) => figures[name][round] ?? Number.NaN }
    }
    return [side('limit'), { ...side('engine'), against: 'limit', target }]
  }
  const run = async (target: Side['target']) => {
    const open = async () => ({ sides: sides(target), close: async () => {} })
    return (await runContest({ name: 'made up', rounds: 3, open }))[1]
  }

  test('takes the median of the ratios of its rounds, not the ratio of medians', async () => {
    const row = await run(undefined)
    expect(row).toMatchObject({ median: 100, min: 90, max: 360, against: 'limit', ratio: 0.9, kept: null })
    expect(row?.values).toEqual([90, 100, 360])
    expect(row?.ratios).toEqual([0.9, 0.5, 0.9])
  })

  test('judges each of several targets', async () => {
    const row = await run([atLeast(100), ratioAtLeast(0.95), ratioAtMost(0.9)])
    expect(row?.targets.map(({ kept }) => kept)).toEqual([true, false, true])
    expect(row?.kept).toBe(false)
  })

  test('percentiles are interpolated', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(percentile([1, 2, 3, 4, 5], 0.99)).toBeCloseTo(4.96)
  })
})

test('a run of some contests leaves the results of the others, in the order of all', () => {
  const result = (contest: string, commit: string) =>
    ({ contest, run: { commit }, others: 0, rows: [] }) as unknown as ContestResult
  const merged = mergeContests(
    [result('a', 'old'), result('b', 'old'), result('gone', 'old')],
    [result('c', 'new'), result('a', 'new')],
    ['a', 'b', 'c'],
  )
  expect(merged.map(({ contest, run }) => `${contest} ${run.commit}`)).toEqual(['a new', 'b old', 'c new'])
})
