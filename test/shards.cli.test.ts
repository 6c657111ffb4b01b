/** `split`, `merge`, `scale` and `shards`: what they say is what the stream then is. */
import { describe, expect, it } from 'vitest'
import type { ShardDescription } from '../src/index.js'
import { ownStore } from './program.js'

const { run, ok, json } = ownStore()

interface Change {
  readonly dryRun: boolean
  readonly openShards: number
  readonly closed: readonly string[]
  readonly opened: readonly ShardDescription[]
}

const change = (...args: string[]): Change => json(...args)
const list = (...args: string[]): ShardDescription[] => json('shards', 'clicks', ...args)
const numbers = (shards: readonly ShardDescription[]): number[] =>
  shards.map(({ shardId }) => Number(shardId.slice(-12)))

describe('resharding', () => {
  it('a_split_closes_the_shard_and_opens_its_halves', () => {
    ok('create', 'clicks', '--shards', '2')
    ok('put', 'clicks', '--key', 'k', '--hash-key', '0', 'before')
    const split = change('split', 'clicks', 'shardId-000000000000')
    expect(split).toMatchObject({ dryRun: false, openShards: 3, closed: ['shardId-000000000000'] })
    expect(ok('put', 'clicks', '--key', 'k', '--hash-key', '0', 'after')).toMatch(/^shardId-000000000002 /)
    expect(numbers(list())).toEqual([0, 1, 2, 3])
    expect(numbers(list('--open'))).toEqual([1, 2, 3])
    expect(numbers(list('--after', 'shardId-000000000001'))).toEqual([2, 3])
    expect(numbers(list('--since', '0ms'))).toEqual([1, 2, 3])
    expect(ok('shards', 'clicks')).toMatch(
      /shardId-0{12} +closed[\s\S]*├─ shardId-0{11}2 +open[\s\S]*└─ shardId-0{11}3 +open/,
    )
    const tail = (...args: string[]): string => ok('tail', 'clicks', '--until-end', '--data-only', ...args)
    expect(tail('--shard', 'shardId-000000000000', '--from', 'trim-horizon')).toBe('before\n')
    expect(tail('--shard', 'shardId-000000000000', '--from', 'trim-horizon', '--with-children')).toBe('before\nafter\n')
    expect(tail()).toBe('before\nafter\n')
  })

  it('a_split_point_can_be_chosen', () => {
    ok('create', 'clicks')
    const { opened } = change('split', 'clicks', 'shardId-000000000000', '--at', '1000')
    expect(opened.map(({ hashKeyRange }) => hashKeyRange.endingHashKey)[0]).toBe('999')
  })

  it('neighbours_are_merged_and_a_number_is_reached', () => {
    ok('create', 'clicks', '--shards', '4')
    expect(change('merge', 'clicks', 'shardId-000000000001', 'shardId-000000000002').openShards).toBe(3)
    expect(ok('shards', 'clicks')).toMatch(/└─ shardId-0{11}4 +open .* and shardId-0{11}2/)
    expect(ok('scale', 'clicks', '5')).toContain("stream 'clicks' has 5 open shards (was 3)")
    expect(ok('scale', 'clicks', '5')).toContain('of the same size already')
  })

  it('a_dry_run_says_what_comes_of_it_and_changes_nothing', () => {
    ok('create', 'clicks', '--shards', '4')
    for (const args of [
      ['split', 'clicks', 'shardId-000000000000'],
      ['merge', 'clicks', 'shardId-000000000001', 'shardId-000000000002'],
      ['scale', 'clicks', '6'],
    ]) {
      const before = list()
      const planned = change(...args, '--dry-run')
      expect(ok(...args, '--dry-run')).toContain("stream 'clicks' would have")
      expect(list()).toEqual(before)
      const done = change(...args)
      expect({ closed: planned.closed, opened: numbers(planned.opened) }).toEqual({
        closed: done.closed,
        opened: numbers(done.opened),
      })
      ok('delete', 'clicks', '--yes')
      ok('create', 'clicks', '--shards', '4')
    }
  })

  it('what_cannot_be_done_is_refused_and_changes_nothing', () => {
    ok('create', 'clicks', '--shards', '4')
    const before = list()
    for (const [code, ...args] of [
      [1, 'split', 'clicks', 'shardId-000000000009'],
      [2, 'split', 'clicks', 'shardId-000000000003', '--at', '5'],
      [2, 'merge', 'clicks', 'shardId-000000000000', 'shardId-000000000002'],
      [2, 'scale', 'clicks', '9'],
      [2, 'scale', 'clicks', 'many'],
      [2, 'scale', 'clicks', '1', '--dry-run'],
      [2, 'shards', 'clicks', '--open', '--at', '1h'],
      [2, 'shards', 'clicks', '--at', 'yesterday'],
    ] as const) {
      const outcome = run(...args)
      expect(outcome, args.join(' ')).toMatchObject({ code, stdout: '' })
      expect(outcome.stderr).toMatch(/^millrace: .+ \(ERR_[A-Z_]+\)\n$/)
    }
    expect(list()).toEqual(before)
  })
})
