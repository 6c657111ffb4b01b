/**
 * The Kinesis Client Library for Java, as `docs/recipes/kcl.md` has it: two workers process a stream while its shards split
 * and merge, while one of them is killed and while the server ends and comes back, with all of their state in the server.
 */
import { MergeShardsCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { describe, expect, test } from 'vitest'
import { observe } from './ledger.js'
import { JAVA, recipe } from './recipe.js'

/** The longest that all of it goes on, in milliseconds. */
const RUN_MS_MAX = 300_000
/** Records that are written in each part of a run. */
const PART = 500

const prepared = recipe('kcl', JAVA)
const reason = 'missing' in prepared ? ` (skipped: ${prepared.missing})` : ''

describe.skipIf('missing' in prepared)(`Kinesis Client Library${reason}`, () => {
  test.each(['polling', 'fan-out'])(
    '%s: over a split, a merge, a killed worker and a server that ends twice, all is processed in order',
    { timeout: RUN_MS_MAX },
    async (mode) => {
      if ('missing' in prepared) return
      const { server, client, ledger } = await observe({ tls: false, msMax: RUN_MS_MAX })
      const env = { ...server.env, MODE: mode }
      const worker = (name: string) => ledger.start(prepared, name, env, RUN_MS_MAX)
      const one = worker('one')
      await ledger.write(PART)
      await ledger.processed()
      // Not at once: see the recipe.
      const two = worker('two')

      const stream = { StreamName: 'events' }
      await Promise.all([
        ledger.write(PART),
        client.send(
          new SplitShardCommand({
            ...stream,
            ShardToSplit: 'shardId-000000000000',
            NewStartingHashKey: String(1n << 126n),
          }),
        ),
      ])
      await Promise.all([
        ledger.write(PART),
        client.send(
          new MergeShardsCommand({
            ...stream,
            ShardToMerge: 'shardId-000000000003',
            AdjacentShardToMerge: 'shardId-000000000001',
          }),
        ),
      ])
      await ledger.processed()

      // The one that holds a shard for sure.
      const holder = ledger.latest() === 'one' ? one : two
      holder.kill('SIGKILL')
      await ledger.write(PART)
      await ledger.processed()

      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await Promise.all([ledger.write(PART), server.end(signal).then(() => server.start())])
        await ledger.processed()
      }
      expect(await ledger.faults()).toEqual([])
    },
  )

  test('over TLS, fan-out: all is processed in order', { timeout: RUN_MS_MAX }, async () => {
    if ('missing' in prepared) return
    const { server, ledger } = await observe({ tls: true, msMax: RUN_MS_MAX })
    const env = { ...server.javaEnv(), MODE: 'fan-out' }
    ledger.start(prepared, 'one', env, RUN_MS_MAX)
    await ledger.write(PART)
    await ledger.processed()
    expect(await ledger.faults()).toEqual([])
  })
})
