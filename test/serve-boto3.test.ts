/** The server as Python meets it: boto3, in clear text and over TLS. */
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Millrace } from '../src/index.js'
import { BOTO3, pythonWith } from './clients/python.js'
import { emptyFolder, root, run } from './support.js'

const python = pythonWith('boto3', BOTO3)
const reason = 'missing' in python ? ` (skipped: ${python.missing})` : ''

describe.skipIf('missing' in python)(`boto3${reason}`, () => {
  test.each([false, true])('does all that an application does, with tls: %s', { timeout: 60_000 }, async (tls) => {
    const store = await Millrace.open(emptyFolder())
    onTestFinished(() => store.close())
    const server = await store.serve({ port: 0, log: 'off', limits: 'unlimited', tls })
    const program = 'folder' in python ? join(python.folder, 'bin', 'python') : ''
    const authority = server.certificateAuthority === undefined ? [] : [server.certificateAuthority]
    const { status, output } = await run(
      program,
      [join(root, 'test/clients/python/application.py'), server.url, ...authority],
      root,
    )
    expect(status, output).toBe(0)
    expect(JSON.parse(output.trim().split('\n').at(-1) ?? '')).toEqual({
      status: 'ACTIVE',
      created: new Date().getFullYear(),
      failed: 0,
      shards: ['shardId-000000000000', 'shardId-000000000001'],
      described: 2,
      records: ['\u0000one', 'two', 'three'],
      pushed: ['\u0000one', 'two', 'three'],
      policy: 'kinesis:GetRecords',
      encryption: 'KMS',
      metrics: 7,
      errors: [
        ['ResourceNotFoundException', 'Stream missing under account 000000000000 not found.'],
        ['InvalidArgumentException', 'Invalid ShardIterator.'],
        ['ResourceInUseException', 'Stream clicks under account 000000000000 already exists.'],
      ],
      left: [],
    })
  })
})
