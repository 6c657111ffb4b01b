/** `millrace split`, `merge` and `scale`: other shards for a stream, or what they would be. */
import type { Command } from 'commander'
import type { ShardDescription, Stream } from '../../index.js'
import { positiveInteger } from '../arguments.js'
import type { Register } from '../command.js'
import { plural } from '../format.js'
import { commonOptions, openBytes, type CommandResult, type CommonOptions, type Session } from '../session.js'
import { openedTable, overlaps } from '../shard-tree.js'

interface ReshardOptions extends CommonOptions {
  readonly dryRun?: true
}

interface SplitOptions extends ReshardOptions {
  readonly at?: string
}

const AFTERWARDS = `
Records that come from then on go to the new shards; closed ones can be read until their records have expired.
--dry-run shows what would be done, and changes nothing.
`

const SPLIT_EXAMPLES = `${AFTERWARDS}
Examples:
  $ millrace split clicks shardId-000000000000
  $ millrace split clicks shardId-000000000000 --at 85070591730234615865843651857942052864 --dry-run`

const MERGE_EXAMPLES = `${AFTERWARDS}
Examples:
  $ millrace merge clicks shardId-000000000001 shardId-000000000002`

const SCALE_EXAMPLES = `${AFTERWARDS}
All open shards are of the same size then. At most twice as many as now, at least half.

Examples:
  $ millrace scale clicks 8 --dry-run
  $ millrace scale clicks 8`

/** Adds the three commands to the program. */
export function registerReshard(program: Command, register: Register): void {
  const split = command(program, 'split', 'split an open shard in two', SPLIT_EXAMPLES)
    .argument('<shard>', 'the shard, such as shardId-000000000000')
    .option('--at <hash-key>', "where the upper child's hash keys begin (default: in the middle)")
  register(split, (session, options: SplitOptions, name, shard) =>
    reshard(session, options, name, (stream, dryRun) =>
      stream.splitShard(shard, { dryRun, ...(options.at === undefined ? {} : { at: options.at }) }),
    ),
  )
  const merge = command(program, 'merge', 'merge two open shards whose hash keys adjoin', MERGE_EXAMPLES)
    .argument('<shard>', 'one of them, such as shardId-000000000001')
    .argument('<shard>', 'the other')
  register(merge, (session, options: ReshardOptions, name, shard, adjacent) =>
    reshard(session, options, name, async (stream, dryRun) => [await stream.mergeShards(shard, adjacent, { dryRun })]),
  )
  const scale = command(program, 'scale', 'change the number of open shards', SCALE_EXAMPLES).argument(
    '<count>',
    'how many there are to be',
    positiveInteger,
  )
  register(scale, (session, options: ReshardOptions, name, count) =>
    reshard(session, options, name, (stream, dryRun) => stream.updateShardCount(Number(count), { dryRun })),
  )
}

function command(program: Command, name: string, description: string, examples: string): Command {
  const added = program.command(name).description(description).argument('<stream>', 'name of the stream')
  return commonOptions(added).option('--dry-run', 'only show what would be done').addHelpText('after', examples)
}

async function reshard(
  session: Session,
  options: ReshardOptions,
  name: string,
  change: (stream: Stream, dryRun: boolean) => Promise<readonly ShardDescription[]>,
): CommandResult {
  const dryRun = options.dryRun === true
  const { before, opened } = await session.withStore('existing', async (store) => {
    const stream = await openBytes(store, name)
    const open = stream.listShards({ filter: 'AT_LATEST' })
    return { before: open, opened: await change(stream, dryRun) }
  })
  const closed = before.filter((shard) => opened.some((other) => overlaps(shard, other)))
  const count = before.length - closed.length + opened.length
  if (session.json) {
    session.out.json({ stream: name, dryRun, openShards: count, closed: closed.map(({ shardId }) => shardId), opened })
    return
  }
  if (opened.length === 0) {
    session.out.line(`stream '${name}' has ${plural(count, 'open shard')} of the same size already`)
    return
  }
  const does = dryRun ? 'would have' : 'has'
  session.out.line(`stream '${name}' ${does} ${plural(count, 'open shard')} (was ${before.length})\n`)
  session.out.line(openedTable(opened, before))
}
