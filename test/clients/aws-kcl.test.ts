/**
 * The Kinesis Client Library from Node.js, as `docs/recipes/aws-kcl.md` has it: a processor in Node.js below the daemon in
 * Java processes a stream over a split and a server that is killed.
 */
import { SplitShardCommand } from '@aws-sdk/client-kinesis'
import { describe, expect, test } from 'vitest'
import { observe } from './ledger.js'
import { JAVA, recipe } from './recipe.js'

/** The longest that all of it goes on, in milliseconds. */
const RUN_MS_MAX = 300_000
/** Records that are written in each part of a run. */
const PART = 300

const prepared = recipe('aws-kcl', JAVA)
const reason = 'missing' in prepared ? ` (skipped: ${prepared.missing})` : ''

describe.skipIf('missing' in prepared)(`aws-kcl${reason}`, () => {
  test('over a split and a server that is killed, all is processed in order', { timeout: RUN_MS_MAX }, async () => {
    if ('missing' in prepared) return
    const { server, client, ledger } = await observe({ tls: false, msMax: RUN_MS_MAX })
    ledger.start(prepared, 'one', server.env, RUN_MS_MAX)
    await ledger.write(PART)
    await ledger.processed()
    const split = { StreamName: 'events', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: String(1n << 126n) }
    await Promise.all([ledger.write(PART), client.send(new SplitShardCommand(split))])
    await ledger.processed()
    await Promise.all([ledger.write(PART), server.end('SIGKILL').then(() => server.start())])
    await ledger.processed()
    expect(await ledger.faults()).toEqual([])
  })
})
