/**
 * Clients that AWS publishes, each in its own language, do one story against `millrace serve`: streams, records, shards,
 * consumers, tags, refusals. What they did stands in `clients/reports`, and `docs/compatibility.md` shows it; `npm run
 * clients` writes both anew.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clients } from './clients/all.js'
import { STORY_MS_MAX, tell } from './clients/client.js'
import { reportOf, REPORTS, type Run, textOf } from './clients/report.js'

describe.each(clients)('$name', (client) => {
  const story = client.prepare()
  const reason = 'missing' in story ? ` (skipped: ${story.missing})` : ''

  test.skipIf('missing' in story)(`does what its report says${reason}`, { timeout: 2 * STORY_MS_MAX }, async () => {
    if ('missing' in story) return
    const runs: Run[] = []
    for (const tls of client.withTls ? [false, true] : [false]) runs.push(await tell(story, tls))
    const report = reportOf(client.name, runs)
    // What a client was answered, the server has answered.
    expect(Object.entries(report.operations).filter(([, protocols]) => protocols.length === 0)).toEqual([])
    await expect(textOf(report)).toMatchFileSnapshot(join(REPORTS, `${client.id}.json`))
  })
})
