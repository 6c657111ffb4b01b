/**
 * lifion-kinesis, as `docs/recipes/lifion.md` has it: it reads a stream by polling over a server that is killed, with its
 * state in the server.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Ledger } from './clients/ledger.js'
import { recipe } from './clients/recipe.js'
import { serve } from './clients/server.js'
import { clientOf, create } from './clients/streams.js'
import { emptyFolder } from './support.js'

/** The longest that all of it goes on, in milliseconds. */
const RUN_MS_MAX = 120_000
/** Records that are written in each part of a run. */
const PART = 300

const prepared = recipe('lifion', [])
const reason = 'missing' in prepared ? ` (skipped: ${prepared.missing})` : ''

describe.skipIf('missing' in prepared)(`lifion-kinesis${reason}`, () => {
  test('over a server that is killed, all comes in order', { timeout: RUN_MS_MAX }, async () => {
    if ('missing' in prepared) return
    const server = await serve({ tls: false, msMax: RUN_MS_MAX })
    const client = clientOf(server)
    await create(client, 2, 'events')
    const ledger = new Ledger(client, 'events', join(emptyFolder(), 'processed'))
    ledger.start(prepared, 'one', server.env, RUN_MS_MAX)
    await ledger.write(PART)
    await ledger.processed()
    await Promise.all([ledger.write(PART), server.end('SIGKILL').then(() => server.start())])
    await ledger.processed()
    expect(await ledger.faults()).toEqual([])
  })
})
