/**
 * lifion-kinesis, as `docs/recipes/lifion.md` has it: it reads a stream by polling over a server that is killed, with its
 * state in the server.
 */
import { describe, expect, test } from 'vitest'
import { observe } from './ledger.js'
import { recipe } from './recipe.js'

/** The longest that all of it goes on, in milliseconds. */
const RUN_MS_MAX = 120_000
/** Records that are written in each part of a run. */
const PART = 300

const prepared = recipe('lifion', [])
const reason = 'missing' in prepared ? ` (skipped: ${prepared.missing})` : ''

describe.skipIf('missing' in prepared)(`lifion-kinesis${reason}`, () => {
  test('over a server that is killed, all comes in order', { timeout: RUN_MS_MAX }, async () => {
    if ('missing' in prepared) return
    const { server, ledger } = await observe({ tls: false, msMax: RUN_MS_MAX })
    ledger.start(prepared, 'one', server.env, RUN_MS_MAX)
    await ledger.write(PART)
    await ledger.processed()
    await Promise.all([ledger.write(PART), server.end('SIGKILL').then(() => server.start())])
    await ledger.processed()
    expect(await ledger.faults()).toEqual([])
  })
})
