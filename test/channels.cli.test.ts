/** `channel`: each call is a process of its own, as a shell makes it; `serve` delivers. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { suggest } from '../src/cli/completion/suggest.js'
import { program } from '../src/cli/program.js'
import { ownStore, startProgram } from './program.js'

const own = ownStore()
const { run, ok, json } = own

describe('channels', () => {
  it('are_created_listed_described_changed_and_deleted', () => {
    ok('create', 'clicks')
    const flags = ['--bucket', 'archive', '--format', 'json', '--compression', 'gzip', '--tag', 'team=ops']
    expect(ok('channel', 'create', 'clicks', 'to-archive', ...flags)).toBe(
      "channel 'to-archive' of stream 'clicks': to bucket 'archive' as json, gzip, when 300 s old\n",
    )
    const other = ['--bucket', 'archive', '--format', 'text', '--freshness', '9', '--key-template', '{channel}/']
    const sent = ['--storage-class', 'glacier-ir', '--bucket-owner', '123456789012', '--encryption-key', 'alias/key']
    const dead = ['--dead-letter-bucket', 'dead', '--dead-letter-prefix', 'letters/']
    expect(json('channel', 'create', 'clicks', 'all', ...other, ...sent, ...dead)).toMatchObject({
      name: 'all',
      status: 'paused',
      format: 'text',
      freshnessSeconds: 9,
      keyTemplate: '{channel}/',
      storageClass: 'glacier-ir',
      bucketOwner: '123456789012',
      encryptionKey: 'alias/key',
      deadLetterBucket: 'dead',
      deadLetterPrefix: 'letters/',
    })
    expect(ok('channel', 'list', 'clicks')).toMatch(/to-archive +archive +json +gzip +300 s +\S+ +team=ops/)
    expect(ok('channel', 'describe', 'clicks', 'all')).toMatch(/Dead letters +to bucket 'dead', letters\/\n/)
    expect(ok('channel', 'update', 'clicks', 'all', '--freshness', '60')).toContain('when 60 s old')
    expect(json('channel', 'describe', 'clicks', 'all')).toMatchObject({ freshnessSeconds: 60, bucket: 'archive' })
    expect(ok('channel', 'delete', 'clicks', 'all')).toBe("deleted channel 'all' of stream 'clicks'\n")
    expect(json<{ name: string }[]>('channel', 'list', 'clicks').map(({ name }) => name)).toEqual(['to-archive'])
  })

  it('what_is_wrong_is_told_with_its_code', () => {
    ok('create', 'clicks')
    const flags = ['--bucket', 'archive', '--format', 'json']
    ok('channel', 'create', 'clicks', 'archive', ...flags)
    ok('channel', 'create', 'clicks', 'archive', ...flags, '--if-not-exists')
    const again = run('channel', 'create', 'clicks', 'archive', ...flags)
    expect(again).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('(ERR_MILLRACE_CHANNEL_EXISTS)'),
    })
    expect(run('channel', 'delete', 'clicks', 'other').stderr).toContain('(ERR_MILLRACE_CHANNEL_NOT_FOUND)')
    expect(run('channel', 'update', 'clicks', 'archive', '--freshness', '901').stderr).toContain(
      '(ERR_MILLRACE_INVALID_ARGUMENT)',
    )
    expect(run('channel', 'update', 'clicks', 'archive')).toMatchObject({ code: 2 })
    expect(run('channel', 'create', 'clicks', 'x', '--bucket', 'archive')).toMatchObject({ code: 2 })
    expect(run('channel', 'create', 'clicks', 'x', '--bucket', 'b', '--format', 'xml')).toMatchObject({ code: 2 })
  })

  it('deliver_while_a_server_runs', async () => {
    ok('create', 'clicks')
    ok('channel', 'create', 'clicks', 'archive', '--bucket', 'archive', '--format', 'json', '--freshness', '1')
    ok('put', 'clicks', '--key', 'ann', '{"page":"/"}')
    const buckets = join(own.directory, 'buckets')
    mkdirSync(buckets)
    const server = startProgram(own.store, ['serve', '--port', '0', '--channels-directory', buckets])
    onTestFinished(() => server.kill('SIGKILL'))
    const objects = () =>
      readdirSync(buckets, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.jsonl'))
    await vi.waitFor(() => expect(objects()).toHaveLength(1), { timeout: 20_000 })
    server.kill('SIGTERM')
    await server.ended
  })

  it('are_completed_in_the_shell', async () => {
    const suggested = async (...words: string[]) => {
      const found = await suggest(
        program(() => {}),
        words,
        async () => ['clicks'],
      )
      return typeof found === 'string' ? found : found.map(({ value }) => value)
    }
    expect(await suggested('channel', '')).toEqual(['list', 'create', 'describe', 'update', 'delete', 'help'])
    expect(await suggested('channel', 'list', '')).toEqual(['clicks'])
    expect(await suggested('channel', 'create', 'clicks', 'archive', '--format', '')).toEqual(['json', 'text', 'bytes'])
    expect(await suggested('channel', 'create', 'clicks', 'archive', '--storage')).toEqual(['--storage-class'])
  })
})
