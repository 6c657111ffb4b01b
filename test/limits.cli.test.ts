/** `limits` and `tag`, and what limits do to an ingestion. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ownStore } from './program.js'

const own = ownStore()
const { run, ok, json } = own

describe('limits', () => {
  it('are_given_at_creation_shown_and_changed', () => {
    expect(ok('create', 'clicks', '--limits', 'write-records=2,write-bytes=64k')).toContain(
      'limits 64.0 KiB/s in, 2 records/s in',
    )
    expect(json('limits', 'clicks')).toEqual({
      stream: 'clicks',
      limits: { writeRecordsPerSecond: 2, writeBytesPerSecond: 65_536 },
    })
    expect(ok('describe', 'clicks')).toMatch(/Limits +64\.0 KiB\/s in, 2 records\/s in/)
    expect(ok('limits', 'clicks', 'aws')).toBe("limits of stream 'clicks': aws (was 64.0 KiB/s in, 2 records/s in)\n")
    expect(ok('limits', 'clicks', 'unlimited')).toContain('unlimited (was aws)')
    for (const wrong of ['fast', 'writes=5', 'reads=0', 'reads=']) {
      expect(run('limits', 'clicks', wrong), wrong).toMatchObject({ code: 2, stdout: '' })
    }
  })

  it('slow_an_ingestion_down_and_lose_nothing_of_it', () => {
    ok('create', 'clicks', '--limits', 'write-records=200')
    const lines = Array.from({ length: 500 }, (_, n) => `line ${n}`)
    writeFileSync(join(own.directory, 'in.txt'), `${lines.join('\n')}\n`)
    const { seconds, records } = json('ingest', 'clicks', join(own.directory, 'in.txt')) as {
      seconds: number
      records: number
    }
    expect(records).toBe(500)
    expect(seconds).toBeGreaterThan(1)
    const stored = ok('tail', 'clicks', '--until-end', '--data-only').split('\n').filter(Boolean)
    expect(stored.toSorted()).toEqual(lines.toSorted())
  })
})

it('the_mode_is_given_at_creation_shown_and_switched_twice', () => {
  expect(ok('create', 'visits', '--mode', 'on-demand')).toContain(
    '4 shards, retention 24 h, durability synced, on-demand',
  )
  expect(json('mode', 'visits')).toMatchObject({ mode: 'on-demand', shards: 4 })
  expect(ok('mode', 'visits', '--warm', '8')).toBe(
    "stream 'visits' is on-demand, with 8 open shards, warm for 8 MiB/s\n",
  )
  expect(ok('mode', 'visits', 'provisioned')).toContain('provisioned, with 8 open shards')
  expect(ok('describe', 'visits')).toMatch(/Shards +8, provisioned/)
  ok('mode', 'visits', 'on-demand')
  const third = run('mode', 'visits', 'provisioned')
  expect(third).toMatchObject({ code: 1, stdout: '' })
  expect(third.stderr).toContain('(ERR_MILLRACE_LIMIT_EXCEEDED)')
  expect(run('mode', 'visits', 'automatic')).toMatchObject({ code: 2 })
})

it('tags_are_added_shown_and_removed', () => {
  ok('create', 'clicks', '--tag', 'team=checkout')
  expect(json('tag', 'clicks', 'stage=live', 'team=search')).toEqual({ team: 'search', stage: 'live' })
  expect(ok('tag', 'clicks')).toMatch(/stage +live/)
  expect(ok('describe', 'clicks')).toMatch(/Tags +stage=live, team=search/)
  expect(json('tag', 'clicks', '--remove', 'stage', '--remove', 'other')).toEqual({ team: 'search' })
  expect(run('tag', 'clicks', 'no value')).toMatchObject({ code: 2, stdout: '' })
  expect(run('tag', 'clicks', 'aws:x=1')).toMatchObject({ code: 2, stdout: '' })
})
