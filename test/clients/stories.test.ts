/**
 * Clients that AWS publishes, each in its own language, do one story against `millrace serve`: streams, records, shards,
 * consumers, tags, refusals. What they did stands in `clients/reports`, and `docs/compatibility.md` shows it; `npm run
 * clients` writes both anew.
 */
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Millrace } from '../../src/index.js'
import { clients } from './all.js'
import { STORY_MS_MAX, tell } from './client.js'
import { BOTO3, pythonWith } from './python.js'
import { reportOf, REPORTS, type Run, textOf } from './report.js'
import { SERVER } from './server.js'
import { emptyFolder, root, run } from '../support.js'

describe.each(clients)('$name', (client) => {
  const story = client.prepare()
  const reason = 'missing' in story ? ` (skipped: ${story.missing})` : ''

  test.skipIf('missing' in story)(`does what its report says${reason}`, { timeout: 2 * STORY_MS_MAX }, async () => {
    if ('missing' in story) return
    const runs: Run[] = []
    for (const tls of client.withTls ? [false, true] : [false]) runs.push(await tell(story, tls))
    // A story checks itself; what another server answered to it, no log says.
    if (SERVER !== 'millrace') return
    const report = reportOf(client.name, runs)
    // What a client was answered, the server has answered.
    expect(Object.entries(report.operations).filter(([, protocols]) => protocols.length === 0)).toEqual([])
    await expect(textOf(report)).toMatchFileSnapshot(join(REPORTS, `${client.id}.json`))
  })
})

// In this file, because two that install one package at once would be in each other's way.
const python = pythonWith('boto3', BOTO3)
const noPython = 'missing' in python ? ` (skipped: ${python.missing})` : ''

describe.skipIf('missing' in python)(`an application of boto3${noPython}`, () => {
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
      commitment: 'ENABLED',
      errors: [
        ['ResourceNotFoundException', 'Stream missing under account 000000000000 not found.'],
        ['InvalidArgumentException', 'Invalid ShardIterator.'],
        ['ResourceInUseException', 'Stream clicks under account 000000000000 already exists.'],
      ],
      caller: 'arn:aws:iam::000000000000:root',
      put: 200,
      metricErrors: [
        ['InvalidParameterValue', 'The value NaN for parameter MetricData.member.1.Value is invalid.'],
        ['InvalidAction', 'Millrace does not do the operation ListMetrics of CloudWatch.'],
      ],
      left: [],
    })
  })
})
